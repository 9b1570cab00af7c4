//! What a server that tells others of the registry's changes asks of a store.

use anmok_protocol::messages::webhooks::{Webhook, WebhookEvent, WebhookStatus};

use crate::error::TrackingError;
use crate::store::{Page, PageRequest};

/// A store that keeps webhooks. Secrets come encrypted and are kept as they come.
///
/// As in [`crate::TrackingStore`]: calls block, absence is `None` where something is looked up, and the error
/// `RESOURCE_DOES_NOT_EXIST` where something is to be changed.
pub trait WebhookStore: Send + Sync {
    /// Makes a webhook, with an id of its own.
    fn create_webhook(&self, new: &NewWebhook) -> Result<Webhook, TrackingError>;

    /// The webhook of this id.
    fn webhook(&self, webhook_id: &str) -> Result<Option<StoredWebhook>, TrackingError>;

    /// Webhooks, newest first.
    fn webhooks(&self, page: &PageRequest) -> Result<Page<Webhook>, TrackingError>;

    /// The active webhooks that are told of an event.
    fn webhooks_of(&self, event: WebhookEvent) -> Result<Vec<StoredWebhook>, TrackingError>;

    /// Changes a webhook; what is `None` stays.
    fn update_webhook(&self, webhook_id: &str, update: &WebhookUpdate) -> Result<Webhook, TrackingError>;

    /// Deletes a webhook.
    fn delete_webhook(&self, webhook_id: &str) -> Result<(), TrackingError>;
}

/// A webhook to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Not unique.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Who is told.
    pub url: String,
    /// Of what; at least one.
    pub events: Vec<WebhookEvent>,
    /// What messages are signed with, encrypted.
    pub secret: Option<String>,
    /// Whether it is told at present.
    pub status: WebhookStatus,
}

/// A change to a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookUpdate {
    /// Not unique.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Who is told.
    pub url: Option<String>,
    /// Of what; at least one.
    pub events: Option<Vec<WebhookEvent>>,
    /// What messages are signed with, encrypted.
    pub secret: Option<String>,
    /// Whether it is told at present.
    pub status: Option<WebhookStatus>,
}

/// A webhook with what is shown to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWebhook {
    /// What is shown.
    pub webhook: Webhook,
    /// What messages are signed with, encrypted.
    pub secret: Option<String>,
}
