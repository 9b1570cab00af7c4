//! Webhooks in any database.

mod postgres;

use anmok_protocol::ErrorCode;
use anmok_protocol::messages::webhooks::{WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus};
use anmok_tracking::{NewWebhook, PageRequest, Store, StoreOptions, TrackingError, WebhookUpdate, open_store};

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
    let Some(server) = postgres::shared("webhooks::postgresql") else { return };
    story(&*open_store(&server.database(), &options()).unwrap());
}

const MADE: WebhookEvent = WebhookEvent { entity: WebhookEntity::RegisteredModel, action: WebhookAction::Created };
const TAGGED: WebhookEvent = WebhookEvent { entity: WebhookEntity::ModelVersionTag, action: WebhookAction::Set };

fn new(name: &str, events: &[WebhookEvent]) -> NewWebhook {
    NewWebhook {
        name: name.into(),
        description: None,
        url: "https://host/".into(),
        events: events.to_vec(),
        secret: Some("encrypted".into()),
        status: WebhookStatus::Active,
    }
}

fn is_absent<T: std::fmt::Debug>(result: Result<T, TrackingError>) {
    match result {
        Err(TrackingError::Refused(error)) => {
            assert_eq!((error.code, error.message.as_str()), (ErrorCode::ResourceDoesNotExist, "Webhook with ID none not found."));
        }
        other => panic!("expected that there is none, got {other:?}"),
    }
}

fn story(store: &dyn Store) {
    let first = store.create_webhook(&new("first", &[TAGGED, MADE, TAGGED])).unwrap();
    assert_eq!(first.events, [TAGGED, MADE], "in their order, each once");
    let second = store.create_webhook(&new("second", &[MADE])).unwrap();
    assert!(store.create_webhook(&new("-", &[MADE])).is_err());
    let stored = store.webhook(&first.webhook_id).unwrap().unwrap();
    assert_eq!((&stored.webhook, stored.secret.as_deref()), (&first, Some("encrypted")));

    let told = |event| store.webhooks_of(event).unwrap().into_iter().map(|stored| stored.webhook.name).collect::<Vec<_>>();
    assert_eq!((told(MADE), told(TAGGED)), (vec!["first".to_owned(), "second".into()], vec!["first".into()]));
    assert_eq!(store.webhooks_of(MADE).unwrap()[0].webhook.events, [TAGGED, MADE]);

    let mut page = PageRequest { max_results: Some(1), page_token: None };
    let newest = store.webhooks(&page).unwrap();
    assert_eq!(newest.items, std::slice::from_ref(&second));
    page.page_token = newest.next_page_token;
    let oldest = store.webhooks(&page).unwrap();
    assert_eq!((oldest.items, oldest.next_page_token), (vec![first.clone()], None));
    assert_eq!(store.webhooks(&PageRequest::default()).unwrap().items.len(), 2);

    let nothing = store.update_webhook(&first.webhook_id, &WebhookUpdate::default()).unwrap();
    assert_eq!((&nothing.name, &nothing.events, nothing.status), (&first.name, &first.events, first.status));
    let update = WebhookUpdate {
        name: Some("renamed".into()),
        description: Some("why".into()),
        url: Some("https://other/".into()),
        events: Some(vec![MADE]),
        secret: Some("another".into()),
        status: Some(WebhookStatus::Disabled),
    };
    let updated = store.update_webhook(&first.webhook_id, &update).unwrap();
    assert_eq!((updated.name.as_str(), updated.description.as_deref(), updated.url.as_str()), ("renamed", Some("why"), "https://other/"));
    assert_eq!((&updated.events[..], updated.status), (&[MADE][..], WebhookStatus::Disabled));
    assert_eq!(store.webhook(&first.webhook_id).unwrap().unwrap().secret.as_deref(), Some("another"));
    assert_eq!((told(MADE), told(TAGGED)), (vec!["second".to_owned()], vec![]));

    store.delete_webhook(&second.webhook_id).unwrap();
    assert_eq!((store.webhook(&second.webhook_id).unwrap(), told(MADE)), (None, vec![]));
    is_absent(store.delete_webhook("none"));
    is_absent(store.update_webhook("none", &WebhookUpdate::default()));
}
