//! `webhooks/*`, and telling webhooks of what happened.

use anmok_protocol::ApiError;
use anmok_protocol::ErrorCode;
use anmok_protocol::messages::Empty;
use anmok_protocol::messages::webhooks::{
    CreateWebhook, ListWebhooks, ListWebhooksResponse, TestWebhook, TestWebhookResponse, UpdateWebhook, WebhookResponse,
};
use anmok_tracking::{NewWebhook, PageRequest, StoredWebhook, WebhookUpdate};

use super::{Answer, found};
use crate::auth::Call;
use crate::endpoint::InPath;
use crate::webhooks::events::{self, Change, Happening};
use crate::webhooks::secret;

/// The longest page: MLflow's.
const PAGE_MAX: i64 = 1000;

pub(crate) fn create(app: &Call, asked: CreateWebhook) -> Answer<WebhookResponse> {
    app.courier.options.check(&asked.url)?;
    events::check(&asked.events)?;
    let new = NewWebhook {
        name: asked.name,
        description: asked.description,
        url: asked.url,
        events: asked.events,
        secret: encrypted(app, asked.secret)?,
        status: asked.status.unwrap_or_default(),
    };
    Ok(WebhookResponse { webhook: app.store.create_webhook(&new)? })
}

fn encrypted(app: &Call, secret: Option<String>) -> Result<Option<String>, ApiError> {
    secret.map(|secret| secret::encrypted(app.courier.options.secret_key.as_ref(), &secret)).transpose()
}

pub(crate) fn list(app: &Call, asked: ListWebhooks) -> Answer<ListWebhooksResponse> {
    let max_results = match asked.max_results {
        Some(most) if most > PAGE_MAX => {
            let message = format!("Invalid value for max_results. It must be at most {PAGE_MAX}, but got value {most}");
            return Err(ApiError::invalid(message).into());
        }
        most => most.map(|most| usize::try_from(most).unwrap_or(0)),
    };
    let page = app.store.webhooks(&PageRequest { max_results, page_token: asked.page_token })?;
    Ok(ListWebhooksResponse { webhooks: page.items, next_page_token: page.next_page_token })
}

fn webhook(app: &Call, webhook_id: &str) -> Answer<StoredWebhook> {
    let absent = || ApiError::new(ErrorCode::ResourceDoesNotExist, format!("Webhook with ID {webhook_id} not found."));
    found(app.store.webhook(webhook_id)?, absent)
}

pub(crate) fn get(app: &Call, path: &InPath) -> Answer<WebhookResponse> {
    Ok(WebhookResponse { webhook: webhook(app, path.first())?.webhook })
}

pub(crate) fn update(app: &Call, path: &InPath, asked: UpdateWebhook) -> Answer<WebhookResponse> {
    if let Some(url) = &asked.url {
        app.courier.options.check(url)?;
    }
    events::check(&asked.events)?;
    let update = WebhookUpdate {
        name: asked.name,
        description: asked.description,
        url: asked.url,
        events: Some(asked.events).filter(|events| !events.is_empty()),
        secret: encrypted(app, asked.secret)?,
        status: asked.status,
    };
    Ok(WebhookResponse { webhook: app.store.update_webhook(path.first(), &update)? })
}

pub(crate) fn delete(app: &Call, path: &InPath) -> Answer<Empty> {
    app.store.delete_webhook(path.first())?;
    Ok(Empty {})
}

pub(crate) fn test(app: &Call, path: &InPath, asked: TestWebhook) -> Answer<TestWebhookResponse> {
    let stored = webhook(app, path.first())?;
    let event = found(asked.event.or_else(|| stored.webhook.events.first().copied()), || ApiError::missing_parameter("event"))?;
    events::check(&[event])?;
    let data = events::example(event).unwrap_or_default();
    Ok(TestWebhookResponse { result: app.courier.test(&stored, event, &data) })
}

/// Tells those who are to be told. What goes wrong is in the log: whoever changed the registry did so.
pub(super) fn tell(app: &Call, happening: &Happening) {
    match app.store.webhooks_of(happening.event) {
        Ok(webhooks) => webhooks.iter().for_each(|webhook| app.courier.send(webhook, happening.event, &happening.data)),
        Err(error) => tracing::error!("webhooks were not told of what happened: {error}"),
    }
}

/// Tells of a change to a model, or to a prompt, of this name.
pub(super) fn tell_change(app: &Call, name: &str, change: Change) {
    let is_prompt = match app.store.registered_model(name) {
        Ok(model) => model.is_some_and(|model| events::is_prompt(model.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())))),
        Err(error) => return tracing::error!("webhooks were not told of what happened to {name:?}: {error}"),
    };
    if let Some(happening) = change.happening(name, is_prompt) {
        tell(app, &happening);
    }
}
