//! Deleting for good what is marked deleted: nothing that is not, nobody's files but its own, and nothing half.

mod postgres;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anmok_protocol::{ArtifactPath, Batch, Dataset, DatasetInput, InputTag, Metric, Param, RunInputs, RunTag};
use anmok_tracking::{
    CollectEvent, CollectIds, CollectOutcome, CollectRequest, Collectable, Collected, NewExperiment, NewLoggedModel, NewModelVersion,
    NewRegisteredModel, NewRun, NewUser, PageRequest, Store, StoreOptions, open_store,
};

/// A store with its artifacts in a folder.
struct Place {
    store: Box<dyn Store>,
    folder: tempfile::TempDir,
    uri: String,
    server: Option<std::sync::Arc<postgres::Server>>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}", folder.path().join("anmok.db").display());
        let options = StoreOptions { artifact_root: Some(folder.path().join("files").display().to_string()), ..StoreOptions::default() };
        Self { store: open_store(&uri, &options).unwrap(), folder, uri, server: None }
    }

    fn postgresql(test: &str) -> Option<Self> {
        let server = postgres::shared(test)?;
        let folder = tempfile::tempdir().unwrap();
        let uri = server.database();
        let options = StoreOptions { artifact_root: Some(folder.path().join("files").display().to_string()), ..StoreOptions::default() };
        Some(Self { store: open_store(&uri, &options).unwrap(), folder, uri, server: Some(server) })
    }

    /// Runs a statement behind the store's back, in SQLite's names.
    fn sql(&self, sql: &str) -> String {
        match &self.server {
            Some(server) => server.sql(&self.uri, &sql.replace("anmok_", "anmok.")),
            None => {
                let connection = rusqlite::Connection::open(self.folder.path().join("anmok.db")).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                if sql.starts_with("SELECT") {
                    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().to_string()
                } else {
                    connection.execute_batch(sql).unwrap();
                    String::new()
                }
            }
        }
    }

    /// Rows of all tables that hang on runs, logged models and experiments.
    fn rows(&self) -> u64 {
        [
            "experiment_tags",
            "runs",
            "metrics",
            "latest_metrics",
            "params",
            "tags",
            "datasets",
            "inputs",
            "input_tags",
            "model_inputs",
            "model_outputs",
            "logged_models",
            "logged_model_tags",
            "logged_model_params",
            "logged_model_metrics",
        ]
        .iter()
        .map(|table| self.sql(&format!("SELECT count(*) FROM anmok_{table}")).parse::<u64>().unwrap())
        .sum()
    }

    /// A run with a bit of everything, and a file.
    fn run(&self, experiment_id: &str) -> String {
        let run = self.store.create_run(&NewRun { experiment_id: experiment_id.into(), ..NewRun::default() }).unwrap();
        let run_id = run.info.run_id;
        let batch = Batch {
            metrics: (0..5).map(|step| Metric::new("loss", 0.5, step, step)).collect(),
            params: vec![Param::new("lr", "0.1")],
            tags: vec![RunTag::new("team", "A")],
        };
        self.store.log_batch(&run_id, &batch).unwrap();
        let dataset =
            Dataset { name: "d".into(), digest: "1".into(), source_type: "local".into(), source: "{}".into(), schema: None, profile: None };
        let input = DatasetInput { tags: vec![InputTag { key: "mlflow.data.context".into(), value: "train".into() }], dataset };
        let mut inputs = RunInputs::default();
        inputs.dataset_inputs.push(input);
        self.store.log_inputs(&run_id, &inputs).unwrap();
        self.store.artifacts(&run.info.artifact_uri).unwrap().put_bytes(&ArtifactPath::parse("a/b.txt").unwrap(), b"x").unwrap();
        run_id
    }

    fn model(&self, experiment_id: &str) -> String {
        let new = NewLoggedModel { experiment_id: experiment_id.into(), ..NewLoggedModel::default() };
        let model = self.store.create_logged_model(&new).unwrap().info;
        self.store.artifacts(&model.artifact_uri).unwrap().put_bytes(&ArtifactPath::parse("MLmodel").unwrap(), b"x").unwrap();
        model.model_id
    }

    fn file_of_run(&self, experiment_id: &str, run_id: &str) -> PathBuf {
        self.folder.path().join(format!("files/{experiment_id}/{run_id}/artifacts/a/b.txt"))
    }

    fn collect(&self, request: &CollectRequest) -> (Collected, Vec<CollectEvent>) {
        let mut events = vec![];
        let sums = self.store.collect(request, &mut |event| events.push(event.clone())).unwrap();
        (sums, events)
    }

    fn experiment(&self, name: &str, location: Option<&Path>) -> String {
        let new =
            NewExperiment { name: name.into(), artifact_location: location.map(|l| l.display().to_string()), tags: vec![], creator: None };
        self.store.create_experiment(&new).unwrap()
    }
}

fn only(run_ids: &[&str], experiment_ids: &[&str], logged_model_ids: &[&str]) -> CollectRequest {
    let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_string()).collect();
    let ids = CollectIds { run_ids: owned(run_ids), experiment_ids: owned(experiment_ids), logged_model_ids: owned(logged_model_ids) };
    CollectRequest { only: Some(ids), ..CollectRequest::default() }
}

fn why(events: &[CollectEvent], id: &str) -> String {
    match &events.iter().find(|event| event.id == id).unwrap_or_else(|| panic!("{id} is not in {events:#?}")).outcome {
        CollectOutcome::Kept(why) | CollectOutcome::Failed(why) => why.clone(),
        other => panic!("{id}: {other:?}"),
    }
}

#[test]
fn what_is_deleted_goes_and_the_rest_stays_in_sqlite() {
    story(&Place::sqlite());
}

#[test]
fn what_is_deleted_goes_and_the_rest_stays_in_postgresql() {
    if let Some(place) = Place::postgresql("collect::what_is_deleted_goes_and_the_rest_stays_in_postgresql") {
        story(&place);
    }
}

fn story(place: &Place) {
    let store = &place.store;
    let user = store.create_user(&NewUser { username: "maker".into(), password_hash: "hash".into(), is_admin: false }).unwrap();
    let [first, second] = ["first", "second"].map(|name| {
        let new = NewExperiment { name: name.into(), artifact_location: None, tags: vec![], creator: Some(user.id) };
        store.create_experiment(&new).unwrap()
    });
    let live = place.run(&first);
    let before = place.rows();
    let gone = place.run(&first);
    let model = place.model(&first);
    // Points of the deleted run that belong to a model that stays, and the other way round.
    let kept_model = place.model(&first);
    for (run, model) in [(&gone, &kept_model), (&live, &model)] {
        let mut point = Metric::new("accuracy", 0.9, 1, 1);
        point.model_id = Some(model.clone());
        store.log_batch(run, &Batch { metrics: vec![point], ..Batch::default() }).unwrap();
    }
    let nothing = place.collect(&CollectRequest::default());
    assert_eq!((nothing.0, nothing.1), (Collected::default(), vec![]), "nothing is marked deleted");

    store.delete_run(&gone).unwrap();
    store.delete_logged_model(&model).unwrap();
    let young = place.collect(&CollectRequest { older_than: Duration::from_secs(3600), ..CollectRequest::default() });
    assert_eq!(young.0, Collected::default());
    let (dry, events) = place.collect(&CollectRequest { dry_run: true, ..CollectRequest::default() });
    assert_eq!((dry.runs, dry.logged_models, events[0].outcome.clone()), (1, 1, CollectOutcome::WouldBeDeleted));
    assert!(store.run(&gone).unwrap().is_some() && place.file_of_run(&first, &gone).exists());

    let (sums, _) = place.collect(&CollectRequest::default());
    assert_eq!(sums, Collected { runs: 1, logged_models: 1, ..Collected::default() });
    assert_eq!(store.run(&gone).unwrap(), None);
    assert_eq!(store.logged_model(&model, true).unwrap(), None);
    assert!(!place.file_of_run(&first, &gone).parent().unwrap().parent().unwrap().parent().unwrap().exists(), "its folder is gone");
    assert!(!place.folder.path().join(format!("files/{first}/models/{model}/artifacts")).exists());
    assert!(place.file_of_run(&first, &live).exists());
    assert!(place.folder.path().join(format!("files/{first}/models/{kept_model}/artifacts/MLmodel")).exists());
    assert_eq!(store.run(&live).unwrap().unwrap().data.metric("accuracy"), Some(0.9));
    assert_eq!(store.logged_model(&kept_model, false).unwrap().unwrap().data.metrics, []);
    // What is left over the start is the model that stays and the live run's point of the model that went (twice: history, latest).
    assert_eq!(place.rows(), before + 1 + 2);

    // An experiment takes all of its own with it, and nothing of the others.
    let inside = place.run(&second);
    place.model(&second);
    store.delete_experiment(&second).unwrap();
    let (sums, _) = place.collect(&only(&[], &[&second], &[]));
    assert_eq!(sums, Collected { runs: 1, logged_models: 1, experiments: 1, ..Collected::default() });
    assert_eq!((store.experiment(&second).unwrap(), store.run(&inside).unwrap()), (None, None));
    assert!(!place.folder.path().join(format!("files/{second}")).exists());
    assert_eq!(place.rows(), before + 3);
    let granted: Vec<String> = store.grants("maker").unwrap().into_iter().map(|grant| grant.resource).collect();
    assert_eq!(granted, [first], "what was granted on it goes with it");
    // Its name is free again, and its number is not given again.
    assert_ne!(place.experiment("second", None), second);
}

#[test]
fn what_is_named_must_be_deleted_and_old_enough() {
    let place = Place::sqlite();
    let [live, young, old] = [(); 3].map(|()| place.run("0"));
    place.store.delete_run(&young).unwrap();
    place.store.delete_run(&old).unwrap();
    place.sql(&format!("UPDATE anmok_runs SET deleted_time = deleted_time - 7200000 WHERE run_id = '{old}'"));
    let request = CollectRequest { older_than: Duration::from_secs(3600), ..only(&[&live, &young, "nobody", &old], &["7"], &["m-0"]) };
    let error = place.store.collect(&request, &mut |_| {}).unwrap_err().to_string();
    for words in [
        "nothing was deleted".to_string(),
        format!("run {live} is not marked deleted"),
        format!("run {young} was marked deleted too short a time ago"),
        "run nobody does not exist".into(),
        "experiment 7 does not exist".into(),
        "logged model m-0 does not exist".into(),
    ] {
        assert!(error.contains(&words), "{words:?} is not in {error}");
    }
    assert!(!error.contains(&old), "{error}");
    let (sums, _) = place.collect(&CollectRequest { older_than: Duration::from_secs(3600), ..CollectRequest::default() });
    assert_eq!(sums.runs, 1);
    assert!(place.store.run(&old).unwrap().is_none() && place.store.run(&young).unwrap().is_some());
}

/// Files in places that others use, or that lead elsewhere, stay with the run that names them.
#[test]
fn files_of_others_are_never_deleted() {
    let place = Place::sqlite();
    let (store, folder) = (&place.store, place.folder.path());
    let shared = place.experiment("shared", Some(&folder.join("shared")));
    let also = place.experiment("also shared", Some(&folder.join("shared")));
    let (gone, stays) = (place.run(&shared), place.run(&also));
    store.delete_run(&gone).unwrap();
    let (sums, _) = place.collect(&CollectRequest::default());
    assert_eq!(sums.runs, 1, "one location for two experiments: each run has its own folder");
    assert!(!folder.join(format!("shared/{gone}")).exists() && folder.join(format!("shared/{stays}/artifacts/a/b.txt")).exists());

    // An experiment whose files lie in a deleted run's folder.
    let host = place.run("0");
    let guests = place.experiment("guests", Some(&folder.join(format!("files/0/{host}/artifacts/sub"))));
    let guest = place.run(&guests);
    // A folder that is not the run's own, and one behind a link.
    let odd = place.run("0");
    place.sql(&format!("UPDATE anmok_runs SET artifact_uri = 'file://{}' WHERE run_id = '{odd}'", folder.join("shared").display()));
    let linked = place.run("0");
    std::fs::create_dir_all(folder.join("elsewhere/artifacts")).unwrap();
    std::fs::write(folder.join("elsewhere/artifacts/precious"), "x").unwrap();
    std::fs::remove_dir_all(folder.join(format!("files/0/{linked}"))).unwrap();
    std::os::unix::fs::symlink(folder.join("elsewhere"), folder.join(format!("files/0/{linked}"))).unwrap();
    // A place that this build cannot reach, and a way out.
    let far = place.run("0");
    place.sql(&format!("UPDATE anmok_runs SET artifact_uri = 'dbfs:/0/{far}/artifacts' WHERE run_id = '{far}'"));
    let all = [&host, &odd, &linked, &far];
    all.iter().for_each(|run| store.delete_run(run).unwrap());
    let (sums, events) = place.collect(&CollectRequest::default());
    assert_eq!(sums, Collected { kept: 4, ..Collected::default() }, "{events:#?}");
    for (run, words) in [(&host, "are shared"), (&odd, "it does not end with"), (&linked, "symbolic link"), (&far, "cannot be reached")] {
        assert!(why(&events, run).contains(words), "{}", why(&events, run));
        assert!(store.run(run).unwrap().is_some());
    }
    assert!(folder.join("elsewhere/artifacts/precious").exists());
    assert!(folder.join(format!("files/0/{host}/artifacts/sub/{guest}/artifacts/a/b.txt")).exists());
    // They can be restored, and their rows alone can go.
    store.restore_run(&host).unwrap();
    let (sums, _) = place.collect(&CollectRequest { metadata_only: true, ..CollectRequest::default() });
    assert_eq!(sums.runs, 3);
    assert!(folder.join("elsewhere/artifacts/precious").exists() && folder.join("shared").exists());

    // The guest itself lies among the files of a run that is in use.
    store.delete_run(&guest).unwrap();
    let (_, events) = place.collect(&CollectRequest::default());
    assert!(why(&events, &guest).contains("lie among those of"), "{}", why(&events, &guest));
}

#[test]
fn what_a_model_version_stands_on_is_kept() {
    let place = Place::sqlite();
    let store = &place.store;
    let (run, model) = (place.run("0"), place.model("0"));
    store.create_registered_model(&NewRegisteredModel { name: "iris".into(), ..NewRegisteredModel::default() }).unwrap();
    let uri = store.run(&run).unwrap().unwrap().info.artifact_uri;
    for (source, model_id) in [(format!("{uri}/model"), None), (format!("models:/{model}"), Some(model.clone()))] {
        store.create_model_version(&NewModelVersion { name: "iris".into(), source, model_id, ..NewModelVersion::default() }).unwrap();
    }
    store.delete_run(&run).unwrap();
    store.delete_logged_model(&model).unwrap();
    let (sums, events) = place.collect(&CollectRequest::default());
    assert_eq!(sums.kept, 2);
    assert!(why(&events, &run).contains("model version iris/1"), "{}", why(&events, &run));
    assert!(why(&events, &model).contains("model version iris/2"), "{}", why(&events, &model));
    store.delete_registered_model("iris").unwrap();
    assert_eq!(place.collect(&CollectRequest::default()).0, Collected { runs: 1, logged_models: 1, ..Collected::default() });
}

#[test]
fn an_interrupted_collection_is_finished_in_sqlite() {
    interrupted(&Place::sqlite());
}

#[test]
fn an_interrupted_collection_is_finished_in_postgresql() {
    if let Some(place) = Place::postgresql("collect::an_interrupted_collection_is_finished_in_postgresql") {
        interrupted(&place);
    }
}

/// As it stands after a crash between the claim and the end.
fn interrupted(place: &Place) {
    let store = &place.store;
    let experiment = place.experiment("interrupted", None);
    let (run, inside) = (place.run("0"), place.run(&experiment));
    store.delete_run(&run).unwrap();
    store.delete_experiment(&experiment).unwrap();
    place.sql("UPDATE anmok_runs SET collected = 1 WHERE lifecycle_stage = 'deleted'");
    place.sql(&format!("UPDATE anmok_experiments SET collected = 1 WHERE experiment = {experiment}"));
    std::fs::remove_dir_all(place.file_of_run("0", &run).parent().unwrap()).unwrap();
    for refused in [store.restore_run(&run), store.restore_run(&inside), store.restore_experiment(&experiment)] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("is being deleted for good (`anmok gc`) and cannot be restored"), "{error}");
    }
    // It asks for something else, and is as young as can be.
    let (sums, _) = place.collect(&CollectRequest { older_than: Duration::from_secs(3600), ..CollectRequest::default() });
    assert_eq!(sums, Collected { runs: 2, experiments: 1, ..Collected::default() });
    assert_eq!((store.run(&run).unwrap(), store.run(&inside).unwrap(), store.experiment(&experiment).unwrap()), (None, None, None));
    assert!(!place.file_of_run(&experiment, &inside).exists());
}

#[test]
fn restoring_meanwhile_is_safe_in_sqlite() {
    restoring(&Place::sqlite());
}

#[test]
fn restoring_meanwhile_is_safe_in_postgresql() {
    if let Some(place) = Place::postgresql("collect::restoring_meanwhile_is_safe_in_postgresql") {
        restoring(&place);
    }
}

/// Every run ends whole and active, or gone with its files; and an experiment with one of its runs active stays.
fn restoring(place: &Place) {
    let experiments: Vec<String> = (0..4).map(|number| place.experiment(&format!("e{number}"), None)).collect();
    let runs: Vec<(String, String)> =
        experiments.iter().flat_map(|experiment| (0..30).map(|_| (experiment.clone(), place.run(experiment)))).collect();
    for (index, (experiment, run)) in runs.iter().enumerate() {
        // Half of the experiments as a whole, the runs of the others one by one.
        if experiments.iter().position(|e| e == experiment).unwrap() % 2 == 0 {
            place.store.delete_run(run).unwrap();
        } else if index % 30 == 0 {
            place.store.delete_experiment(experiment).unwrap();
        }
    }
    let restored: Vec<&(String, String)> = std::thread::scope(|scope| {
        let (begun, wait) = std::sync::mpsc::channel();
        let (runs, store) = (&runs, &place.store);
        let restoring = scope.spawn(move || {
            let chosen = runs.iter().rev().step_by(3);
            chosen
                .filter(|(_, run)| {
                    let restored = store.restore_run(run).is_ok();
                    begun.send(()).ok();
                    restored
                })
                .collect::<Vec<_>>()
        });
        wait.recv().unwrap();
        for _ in 0..3 {
            place.collect(&CollectRequest::default());
        }
        restoring.join().unwrap()
    });
    place.collect(&CollectRequest::default());
    assert!(!restored.is_empty(), "none was fast enough");
    for (experiment, run) in &runs {
        let found = place.store.run(run).unwrap();
        let is_restored = restored.iter().any(|(_, restored)| restored == run);
        assert_eq!(place.file_of_run(experiment, run).exists(), is_restored, "{run}");
        assert_eq!(found.is_some(), is_restored, "{run}");
        if let Some(found) = found {
            assert_eq!(found.data.params.len(), 1);
            assert_eq!(place.store.metric_history(run, "loss", &PageRequest::default()).unwrap().items.len(), 5);
            assert!(place.store.experiment(experiment).unwrap().is_some());
        }
    }
}

/// Histories that take several transactions, among them one with a single time for all points.
#[test]
fn long_histories_go_in_pieces() {
    let place = Place::sqlite();
    let run = place.run("0");
    for (key, timestamp) in [("steady", 0), ("moving", 1)] {
        for start in (0..45_000).step_by(1000) {
            let metrics = (start..start + 1000).map(|step| Metric::new(key, 1.0, timestamp * step, step)).collect();
            place.store.log_batch(&run, &Batch { metrics, ..Batch::default() }).unwrap();
        }
    }
    place.store.delete_run(&run).unwrap();
    let (sums, events) = place.collect(&CollectRequest::default());
    assert_eq!((sums.runs, events.len(), events[0].kind), (1, 1, Collectable::Run));
    // The data set is the experiment's.
    assert_eq!(place.rows(), 1);
}
