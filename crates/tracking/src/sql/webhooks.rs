//! Webhooks: the statements, and the [`WebhookStore`] of any SQL database.

use anmok_protocol::messages::webhooks::{Webhook, WebhookEvent, WebhookStatus};
use anmok_protocol::{ApiError, ErrorCode, validate};

use super::connection::{Connection, DO_NOTHING, Row};
use super::failure::Failure;
use super::read::parsed;
use super::select::{SortKey, Sql};
use super::store::{Database, SqlStore};
use crate::error::TrackingError;
use crate::run_name::random_run_id;
use crate::store::{Page, PageRequest, now_ms};
use crate::webhooks::{NewWebhook, StoredWebhook, WebhookStore, WebhookUpdate};

const COLUMNS: &str = "w.webhook, w.webhook_id, w.name, w.description, w.url, w.status, w.creation_time, w.last_update_time, w.secret";

/// Webhooks in a page if nobody says: the proto's default.
const PAGE: usize = 100;

fn webhook_row(row: &dyn Row) -> Result<(i64, StoredWebhook), Failure> {
    let webhook = Webhook {
        webhook_id: row.string(1)?,
        name: row.string(2)?,
        description: row.optional_string(3)?,
        url: row.string(4)?,
        events: vec![],
        status: parsed(row, 5)?,
        creation_timestamp: row.integer(6)?,
        last_updated_timestamp: row.integer(7)?,
    };
    Ok((row.integer(0)?, StoredWebhook { webhook, secret: row.optional_string(8)? }))
}

/// Webhooks with their events, in the order given.
fn filled(connection: &mut dyn Connection, mut found: Vec<(i64, StoredWebhook)>) -> Result<Vec<StoredWebhook>, Failure> {
    let numbers: Vec<i64> = found.iter().map(|(number, _)| *number).collect();
    connection.query(
        "SELECT webhook, entity, action FROM anmok_webhook_events WHERE webhook IN (SELECT value FROM json_each(?1))
         ORDER BY webhook, place",
        &[numbers.into()],
        &mut |row| {
            let number = row.integer(0)?;
            if let Some((_, stored)) = found.iter_mut().find(|(webhook, _)| *webhook == number) {
                stored.webhook.events.push(WebhookEvent { entity: parsed(row, 1)?, action: parsed(row, 2)? });
            }
            Ok(())
        },
    )?;
    Ok(found.into_iter().map(|(_, webhook)| webhook).collect())
}

fn webhook(connection: &mut dyn Connection, webhook_id: &str) -> Result<Option<StoredWebhook>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM anmok_webhooks w WHERE w.webhook_id = ?1");
    let found = connection.first(&sql, &[webhook_id.into()], webhook_row)?;
    Ok(filled(connection, found.into_iter().collect())?.pop())
}

fn webhook_after(connection: &mut dyn Connection, webhook_id: &str) -> Result<Webhook, Failure> {
    Ok(webhook(connection, webhook_id)?.ok_or_else(|| absent(webhook_id))?.webhook)
}

fn absent(webhook_id: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceDoesNotExist, format!("Webhook with ID {webhook_id} not found."))
}

fn set_events(connection: &mut dyn Connection, number: i64, events: &[WebhookEvent]) -> Result<(), Failure> {
    connection.execute("DELETE FROM anmok_webhook_events WHERE webhook = ?1", &[number.into()])?;
    let columns = [
        ("webhook", number.into()),
        ("place", (0..events.len() as i64).collect::<Vec<_>>().into()),
        ("entity", events.iter().map(|event| event.entity.name()).collect::<Vec<_>>().into()),
        ("action", events.iter().map(|event| event.action.name()).collect::<Vec<_>>().into()),
    ];
    // An event that was named twice is told once.
    connection.insert_rows("anmok_webhook_events", &columns, DO_NOTHING).map(drop)
}

fn create(connection: &mut dyn Connection, webhook_id: &str, new: &NewWebhook) -> Result<Webhook, Failure> {
    let number = connection.first(
        "INSERT INTO anmok_webhooks (webhook_id, name, description, url, status, secret, creation_time, last_update_time)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) RETURNING webhook",
        &[
            webhook_id.into(),
            (&new.name).into(),
            new.description.as_ref().into(),
            (&new.url).into(),
            new.status.name().into(),
            new.secret.as_ref().into(),
            now_ms().into(),
        ],
        |row| row.integer(0),
    )?;
    set_events(connection, number.ok_or_else(|| Failure::other("the new webhook has no number"))?, &new.events)?;
    webhook_after(connection, webhook_id)
}

fn update(connection: &mut dyn Connection, webhook_id: &str, update: &WebhookUpdate) -> Result<Webhook, Failure> {
    let number = connection.first(
        "UPDATE anmok_webhooks SET name = COALESCE(?2, name), description = COALESCE(?3, description), url = COALESCE(?4, url),
             status = COALESCE(?5, status), secret = COALESCE(?6, secret), last_update_time = ?7
         WHERE webhook_id = ?1 RETURNING webhook",
        &[
            webhook_id.into(),
            update.name.as_ref().into(),
            update.description.as_ref().into(),
            update.url.as_ref().into(),
            update.status.map(WebhookStatus::name).into(),
            update.secret.as_ref().into(),
            now_ms().into(),
        ],
        |row| row.integer(0),
    )?;
    let number = number.ok_or_else(|| absent(webhook_id))?;
    if let Some(events) = &update.events {
        set_events(connection, number, events)?;
    }
    webhook_after(connection, webhook_id)
}

fn delete(connection: &mut dyn Connection, webhook_id: &str) -> Result<(), Failure> {
    let sql = "DELETE FROM anmok_webhooks WHERE webhook_id = ?1 RETURNING webhook";
    let number = connection.first(sql, &[webhook_id.into()], |row| row.integer(0))?.ok_or_else(|| absent(webhook_id))?;
    connection.execute("DELETE FROM anmok_webhook_events WHERE webhook = ?1", &[number.into()]).map(drop)
}

fn told_of(connection: &mut dyn Connection, event: WebhookEvent) -> Result<Vec<StoredWebhook>, Failure> {
    let sql = format!(
        "SELECT {COLUMNS} FROM anmok_webhook_events e JOIN anmok_webhooks w ON w.webhook = e.webhook
         WHERE e.entity = ?1 AND e.action = ?2 AND w.status = ?3 ORDER BY w.webhook"
    );
    let parameters = [event.entity.name().into(), event.action.name().into(), WebhookStatus::Active.name().into()];
    let found = connection.all(&sql, &parameters, webhook_row)?;
    filled(connection, found)
}

fn page(connection: &mut dyn Connection, request: &PageRequest) -> Result<Page<Webhook>, Failure> {
    let mut sql = Sql::new(connection.dialect());
    let sort = [SortKey::new("w.creation_time", true), SortKey::new("w.webhook", true)];
    sql.require_after(&sort, request.page_token.as_deref())?;
    let most = request.max_results.unwrap_or(PAGE);
    let (found, next_page_token) = sql.page(connection, COLUMNS, "anmok_webhooks w", &sort, most, webhook_row)?;
    Ok(Page { items: filled(connection, found)?.into_iter().map(|stored| stored.webhook).collect(), next_page_token })
}

impl<D: Database> WebhookStore for SqlStore<D> {
    fn create_webhook(&self, new: &NewWebhook) -> Result<Webhook, TrackingError> {
        validate::webhook_name(&new.name)?;
        let (webhook_id, new) = (random_run_id()?, new.clone());
        self.database.write("making a webhook", move |connection| create(connection, &webhook_id, &new))
    }

    fn webhook(&self, webhook_id: &str) -> Result<Option<StoredWebhook>, TrackingError> {
        self.database.read("reading a webhook", |connection| webhook(connection, webhook_id))
    }

    fn webhooks(&self, request: &PageRequest) -> Result<Page<Webhook>, TrackingError> {
        if request.max_results == Some(0) {
            validate::max_results(0)?;
        }
        self.database.read("reading the webhooks", |connection| page(connection, request))
    }

    fn webhooks_of(&self, event: WebhookEvent) -> Result<Vec<StoredWebhook>, TrackingError> {
        self.database.read("reading the webhooks of an event", |connection| told_of(connection, event))
    }

    fn update_webhook(&self, webhook_id: &str, changes: &WebhookUpdate) -> Result<Webhook, TrackingError> {
        changes.name.as_deref().map(validate::webhook_name).transpose()?;
        let (webhook_id, changes) = (webhook_id.to_string(), changes.clone());
        self.database.write("changing a webhook", move |connection| update(connection, &webhook_id, &changes))
    }

    fn delete_webhook(&self, webhook_id: &str) -> Result<(), TrackingError> {
        let webhook_id = webhook_id.to_string();
        self.database.write("deleting a webhook", move |connection| delete(connection, &webhook_id))
    }
}
