//! Users, what they may do, and their tokens, told once for any database.

mod postgres;

use anmok_protocol::permission::EVERY;
use anmok_protocol::{ErrorCode, Grant, Permission, ResourceType, Visible};
use anmok_tracking::{
    AccountKey, ExperimentQuery, ModelVersionQuery, NewExperiment, NewLoggedModel, NewModelVersion, NewRegisteredModel, NewRun, NewToken,
    NewUser, RegisteredModelQuery, Store, StoreOptions, TrackingError, open_store,
};

fn options() -> StoreOptions {
    StoreOptions { artifact_root: Some("mlflow-artifacts:/".into()), ..StoreOptions::default() }
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", folder.path().join("anmok.db").display());
    story(&*open_store(&uri, &options()).unwrap());
}

#[test]
fn postgresql() {
    let Some(server) = postgres::shared("accounts::postgresql") else { return };
    story(&*open_store(&server.database(), &options()).unwrap());
}

fn story(store: &dyn Store) {
    users(store);
    grants(store);
    tokens(store);
    what_is_made_is_managed_by_its_maker(store);
    grants_follow_a_model(store);
    searches_show_what_is_visible(store);
    whose_experiment(store);
}

fn refused<T: std::fmt::Debug>(result: Result<T, TrackingError>, code: ErrorCode, words: &str) {
    match result {
        Err(TrackingError::Refused(error)) => {
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(words), "{error} lacks {words:?}");
        }
        other => panic!("expected a refusal with {words:?}, got {other:?}"),
    }
}

fn user(store: &dyn Store, username: &str) -> i64 {
    store.create_user(&NewUser { username: username.into(), password_hash: "hash".into(), is_admin: false }).unwrap().id
}

fn grant(resource_type: ResourceType, resource: &str, permission: Permission) -> Grant {
    Grant { resource_type, resource: resource.into(), permission }
}

fn users(store: &dyn Store) {
    assert_eq!(store.users().unwrap(), []);
    let admin = NewUser { username: "admin".into(), password_hash: "hash 1".into(), is_admin: true };
    let made = store.create_user(&admin).unwrap();
    assert!(made.is_admin);
    refused(store.create_user(&admin), ErrorCode::ResourceAlreadyExists, "User (username=admin) already exists");
    refused(store.create_user(&NewUser { username: "a:b".into(), ..admin }), ErrorCode::InvalidParameterValue, "':'");
    let anna = user(store, "안나");
    assert_eq!(store.users().unwrap().iter().map(|user| user.id).collect::<Vec<_>>(), [made.id, anna]);
    assert_eq!(store.user("Admin").unwrap(), None, "names mind case");

    let before = store.account(&AccountKey::Username("admin".into())).unwrap().unwrap();
    store.set_user_password("admin", "hash 2").unwrap();
    store.set_user_admin("admin", false).unwrap();
    let after = store.account(&AccountKey::Id(made.id)).unwrap().unwrap();
    assert_eq!((after.password_hash.as_str(), after.user.is_admin), ("hash 2", false));
    assert_ne!(after.revision, before.revision);
    assert_eq!(store.account_revision(made.id).unwrap(), Some(after.revision));
    refused(store.set_user_password("nobody", "x"), ErrorCode::ResourceDoesNotExist, "User with username=nobody not found");
    refused(store.delete_user("nobody"), ErrorCode::ResourceDoesNotExist, "User with username=nobody not found");

    let gone = user(store, "gone");
    store.grant("gone", &grant(ResourceType::Experiment, "0", Permission::Edit)).unwrap();
    store.create_token("gone", &NewToken { name: "t".into(), token_hash: "gone's".into(), expiration_time: None }).unwrap();
    store.delete_user("gone").unwrap();
    assert_eq!(store.account_revision(gone).unwrap(), None);
    assert_eq!(store.account(&AccountKey::TokenHash("gone's".into())).unwrap(), None);
    let again = user(store, "gone");
    assert_ne!(again, gone, "who comes back is somebody else");
    assert_eq!(store.grants("gone").unwrap(), []);
}

fn grants(store: &dyn Store) {
    user(store, "granted");
    let (zero, every) =
        (grant(ResourceType::Experiment, "0", Permission::Edit), grant(ResourceType::RegisteredModel, EVERY, Permission::Deny));
    let before = store.account(&AccountKey::Username("granted".into())).unwrap().unwrap();
    assert!(store.grant("granted", &zero).unwrap() && store.grant("granted", &every).unwrap());
    assert!(!store.grant("granted", &grant(ResourceType::Experiment, "0", Permission::Manage)).unwrap(), "what is there stays");
    assert_eq!(store.grants("granted").unwrap(), [zero, every]);
    let account = store.account(&AccountKey::Username("granted".into())).unwrap().unwrap();
    assert_eq!(account.grants, store.grants("granted").unwrap());
    assert_ne!(account.revision, before.revision);

    assert!(store.update_grant("granted", &grant(ResourceType::Experiment, "0", Permission::NoPermissions)).unwrap());
    assert!(!store.update_grant("granted", &grant(ResourceType::Experiment, "1", Permission::Read)).unwrap());
    assert_eq!(store.grants("granted").unwrap()[0].permission, Permission::NoPermissions);
    assert!(store.revoke("granted", ResourceType::Experiment, "0").unwrap());
    assert!(!store.revoke("granted", ResourceType::Experiment, "0").unwrap());
    refused(store.grants("nobody"), ErrorCode::ResourceDoesNotExist, "User with username=nobody not found");
    refused(
        store.grant("granted", &grant(ResourceType::Experiment, "x", Permission::Read)),
        ErrorCode::InvalidParameterValue,
        "must be a valid integer",
    );
}

fn tokens(store: &dyn Store) {
    let id = user(store, "bearer");
    let new = NewToken { name: "ci".into(), token_hash: "h1".into(), expiration_time: Some(1) };
    store.create_token("bearer", &new).unwrap();
    store.create_token("bearer", &NewToken { name: "a".into(), token_hash: "h2".into(), expiration_time: None }).unwrap();
    refused(store.create_token("bearer", &new), ErrorCode::ResourceAlreadyExists, "Token (name=ci) of user bearer already exists");
    let kept = store.tokens("bearer").unwrap();
    assert_eq!(kept.iter().map(|token| (token.name.as_str(), token.expiration_time)).collect::<Vec<_>>(), [("a", None), ("ci", Some(1))]);
    let account = store.account(&AccountKey::TokenHash("h1".into())).unwrap().unwrap();
    assert_eq!((account.user.id, account.tokens), (id, kept));
    assert!(store.revoke_token("bearer", "ci").unwrap() && !store.revoke_token("bearer", "ci").unwrap());
    assert_eq!(store.account(&AccountKey::TokenHash("h1".into())).unwrap(), None);
}

fn what_is_made_is_managed_by_its_maker(store: &dyn Store) {
    let id = user(store, "maker");
    let experiment = NewExperiment { name: "made".into(), creator: Some(id), ..NewExperiment::default() };
    let experiment_id = store.create_experiment(&experiment).unwrap();
    let model = NewRegisteredModel { name: "made".into(), creator: Some(id), ..NewRegisteredModel::default() };
    store.create_registered_model(&model).unwrap();
    let expected = [
        grant(ResourceType::Experiment, &experiment_id, Permission::Manage),
        grant(ResourceType::RegisteredModel, "made", Permission::Manage),
    ];
    assert_eq!(store.grants("maker").unwrap(), expected);
    refused(store.create_registered_model(&model), ErrorCode::ResourceAlreadyExists, "already exists");
    // A model of this name would give its maker every model.
    let every = NewRegisteredModel { name: EVERY.into(), creator: Some(id), ..NewRegisteredModel::default() };
    refused(store.create_registered_model(&every), ErrorCode::InvalidParameterValue, "stands for every name");
    assert_eq!(store.registered_model(EVERY).unwrap(), None);
    store.rename_registered_model("made", EVERY).unwrap();
    assert_eq!(store.grants("maker").unwrap(), expected[..1]);
    store.delete_registered_model(EVERY).unwrap();
    // A maker who is gone gets nothing, and the work is done.
    store.create_experiment(&NewExperiment { name: "made by nobody".into(), creator: Some(-1), ..NewExperiment::default() }).unwrap();
}

fn grants_follow_a_model(store: &dyn Store) {
    user(store, "follower");
    let model = |name: &str| store.create_registered_model(&NewRegisteredModel { name: name.into(), ..NewRegisteredModel::default() });
    model("old").unwrap();
    store.grant("follower", &grant(ResourceType::RegisteredModel, "old", Permission::Edit)).unwrap();
    store.grant("follower", &grant(ResourceType::RegisteredModel, "new", Permission::Deny)).unwrap();
    store.grant("follower", &grant(ResourceType::Experiment, "7", Permission::Edit)).unwrap();
    let before = store.account(&AccountKey::Username("follower".into())).unwrap().unwrap().revision;
    store.rename_registered_model("old", "new").unwrap();
    let grants = store.grants("follower").unwrap();
    assert_eq!(grants[1..], [grant(ResourceType::RegisteredModel, "new", Permission::Edit)]);
    assert_ne!(store.account(&AccountKey::Username("follower".into())).unwrap().unwrap().revision, before);
    store.delete_registered_model("new").unwrap();
    assert_eq!(store.grants("follower").unwrap(), [grant(ResourceType::Experiment, "7", Permission::Edit)]);
    model("new").unwrap();
    store.delete_registered_model("new").unwrap();
}

fn searches_show_what_is_visible(store: &dyn Store) {
    let ids: Vec<String> = (0..6)
        .map(|number| store.create_experiment(&NewExperiment { name: format!("seen {number}"), ..NewExperiment::default() }).unwrap())
        .collect();
    let mut hidden = vec![ids[1].clone(), ids[2].clone(), ids[4].clone()];
    hidden.sort();
    let all = store.search_experiments(&ExperimentQuery::default()).unwrap().items.len();
    let pages = |visible: Visible| {
        let mut query = ExperimentQuery { visible, max_results: 1, ..ExperimentQuery::default() };
        let mut seen = vec![];
        loop {
            let page = store.search_experiments(&query).unwrap();
            assert_eq!(page.items.len(), 1, "pages are full");
            seen.extend(page.items.into_iter().map(|experiment| experiment.experiment_id));
            match page.next_page_token {
                Some(token) => query.page_token = Some(token),
                None => return seen,
            }
        }
    };
    let mut only = pages(Visible::Only(hidden.clone()));
    only.sort();
    assert_eq!(only, hidden);
    let others = pages(Visible::Except(hidden.clone()));
    assert!(others.len() == all - 3 && others.iter().all(|id| !hidden.contains(id)), "{others:?}");
    assert_eq!(
        store.search_experiments(&ExperimentQuery { visible: Visible::Only(vec![]), ..ExperimentQuery::default() }).unwrap().items,
        []
    );

    for name in ["seen", "unseen"] {
        store.create_registered_model(&NewRegisteredModel { name: name.into(), ..NewRegisteredModel::default() }).unwrap();
        store
            .create_model_version(&NewModelVersion { name: name.into(), source: "s3://b/x".into(), ..NewModelVersion::default() })
            .unwrap();
    }
    for visible in [Visible::Only(vec!["seen".into()]), Visible::Except(vec!["unseen".into()])] {
        let models = store.search_registered_models(&RegisteredModelQuery { visible: visible.clone(), ..RegisteredModelQuery::default() });
        assert_eq!(models.unwrap().items.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["seen"]);
        let versions = store.search_model_versions(&ModelVersionQuery { visible, ..ModelVersionQuery::default() });
        assert_eq!(versions.unwrap().items.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(), ["seen"]);
    }
}

fn whose_experiment(store: &dyn Store) {
    let run = store.create_run(&NewRun::default()).unwrap();
    assert_eq!(store.experiment_of_run(&run.info.run_id).unwrap().as_deref(), Some("0"));
    assert_eq!(store.experiment_of_run("none").unwrap(), None);
    let model = store.create_logged_model(&NewLoggedModel { experiment_id: "0".into(), ..NewLoggedModel::default() }).unwrap();
    assert_eq!(store.experiment_of_logged_model(&model.info.model_id).unwrap().as_deref(), Some("0"));
    assert_eq!(store.experiment_of_logged_model("m-none").unwrap(), None);
}
