//! Requests, signatures, and trying again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anmok_protocol::ApiError;
use anmok_protocol::messages::webhooks::{WebhookEvent, WebhookTestResult};
use anmok_tracking::StoredWebhook;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Semaphore;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::address::PublicAddresses;
use super::{Webhooks, events, secret};

/// Requests under way at most: MLflow's number of threads.
const AT_ONCE: usize = 10;
/// Deliveries at most that wait for their turn or their next try; what comes on top is dropped, with a word in the log.
const PENDING: usize = 1000;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What is read of an answer.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Tells webhooks.
pub(crate) struct Courier {
    pub options: Webhooks,
    agent: ureq::Agent,
    turns: Arc<Semaphore>,
    pending: Arc<AtomicUsize>,
}

/// One message to one webhook, as it is sent.
#[derive(Debug, Clone)]
struct Message {
    url: String,
    /// For the log: the URL may hold a secret in its query.
    webhook_id: String,
    body: String,
    headers: Vec<(&'static str, String)>,
}

/// What came of one request.
enum Outcome {
    Answered { status: u16, retry_after: Option<Duration>, body: String },
    Failed { why: String, for_good: bool },
}

impl Courier {
    pub fn new(options: Webhooks) -> Self {
        // No redirect: it could lead where nobody looked. No proxy of the environment: it would be what is looked at.
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .build();
        let resolver = PublicAddresses { inner: DefaultResolver::default(), allow_private: options.allow_private_addresses };
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), resolver);
        Self { options, agent, turns: Arc::new(Semaphore::new(AT_ONCE)), pending: Arc::default() }
    }

    /// Tells a webhook of an event and waits for nothing. To be called within the server's runtime.
    pub fn send(&self, stored: &StoredWebhook, event: WebhookEvent, data: &Value) {
        let message = match self.message(stored, event, data) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!("the webhook {} was not told of {}: {error}", stored.webhook.webhook_id, name(event));
                return;
            }
        };
        if self.pending.fetch_add(1, Ordering::Relaxed) >= PENDING {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            tracing::error!("the webhook {} was not told of {}: {PENDING} messages wait already", message.webhook_id, name(event));
            return;
        }
        let (agent, turns, pending) = (self.agent.clone(), Arc::clone(&self.turns), Arc::clone(&self.pending));
        let (retries, backoff) = (self.options.retries, self.options.backoff);
        tokio::spawn(async move {
            deliver(&agent, &turns, &message, retries, backoff).await;
            pending.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Tells a webhook of something that did not happen, and what it said.
    pub fn test(&self, stored: &StoredWebhook, event: WebhookEvent, data: &Value) -> WebhookTestResult {
        let message = match self.message(stored, event, data) {
            Ok(message) => message,
            Err(error) => return failed(&error.message),
        };
        match request(&self.agent, &message) {
            Outcome::Answered { status, body, .. } => WebhookTestResult {
                success: status < 400,
                response_status: Some(status.into()),
                response_body: Some(body),
                error_message: None,
            },
            Outcome::Failed { why, .. } => failed(&why),
        }
    }

    fn message(&self, stored: &StoredWebhook, event: WebhookEvent, data: &Value) -> Result<Message, ApiError> {
        let webhook = &stored.webhook;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let body = json!({
            "entity": events::wire(event.entity.name()),
            "action": events::wire(event.action.name()),
            "timestamp": iso_8601(now),
            "data": data,
        });
        let (body, delivery_id, timestamp) = (body.to_string(), delivery_id()?, now.as_secs().to_string());
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-mlflow-delivery-id", delivery_id.clone()),
            ("x-mlflow-timestamp", timestamp.clone()),
        ];
        if let Some(stored) = &stored.secret {
            let secret = secret::decrypted(self.options.secret_key.as_ref(), stored)?;
            headers.push(("x-mlflow-signature", signature(&secret, &delivery_id, &timestamp, &body)?));
        }
        Ok(Message { url: webhook.url.clone(), webhook_id: webhook.webhook_id.clone(), body, headers })
    }
}

fn failed(why: &str) -> WebhookTestResult {
    WebhookTestResult { success: false, error_message: Some(format!("Failed to test webhook: {why}")), ..WebhookTestResult::default() }
}

fn name(event: WebhookEvent) -> String {
    format!("{}.{}", events::wire(event.entity.name()), events::wire(event.action.name()))
}

/// A random UUID.
fn delivery_id() -> Result<String, ApiError> {
    let mut bytes = [0_u8; 16];
    let unlucky = |error| ApiError::new(anmok_protocol::ErrorCode::InternalError, format!("a delivery has no id: {error}"));
    getrandom::fill(&mut bytes).map_err(unlucky)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]))
}

/// `v1,` and the HMAC-SHA256 of id, time and body in base64: MLflow's, which is Standard Webhooks'.
fn signature(secret: &str, delivery_id: &str, timestamp: &str, body: &str) -> Result<String, ApiError> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mac = mac.map_err(|error| ApiError::new(anmok_protocol::ErrorCode::InternalError, error.to_string()))?;
    let signed = format!("{delivery_id}.{timestamp}.{body}");
    Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.chain_update(signed).finalize().into_bytes())))
}

/// `2026-11-26T08:03:14.123456+00:00`, as Python writes it.
fn iso_8601(since_1970: Duration) -> String {
    let (days, seconds) = ((since_1970.as_secs() / 86_400) as i64, since_1970.as_secs() % 86_400);
    // Howard Hinnant's civil_from_days, for days after 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}+00:00", since_1970.subsec_micros())
}

async fn deliver(agent: &ureq::Agent, turns: &Semaphore, message: &Message, retries: u32, backoff: Duration) {
    for attempt in 0..=retries {
        // Held for a request alone: who waits for the next try is in nobody's way.
        let Ok(turn) = turns.acquire().await else { return };
        let (agent, sent) = (agent.clone(), message.clone());
        let outcome = tokio::task::spawn_blocking(move || request(&agent, &sent)).await;
        drop(turn);
        let webhook_id = &message.webhook_id;
        let wait = match outcome {
            Ok(Outcome::Answered { status, .. }) if status < 400 => {
                tracing::debug!("the webhook {webhook_id} was told (status {status})");
                return;
            }
            Ok(Outcome::Answered { status, retry_after, .. }) if matches!(status, 429 | 500 | 502 | 503 | 504) => {
                tracing::warn!("the webhook {webhook_id} answered with status {status}");
                retry_after
            }
            Ok(Outcome::Answered { status, .. }) => {
                tracing::error!("the webhook {webhook_id} answered with status {status}; it is not told again");
                return;
            }
            Ok(Outcome::Failed { why, for_good: false }) => {
                tracing::warn!("the webhook {webhook_id} cannot be reached: {why}");
                None
            }
            Ok(Outcome::Failed { why, for_good: true }) => {
                tracing::error!("the webhook {webhook_id} is not told: {why}");
                return;
            }
            Err(panic) => {
                tracing::error!("telling the webhook {webhook_id} panicked: {panic}");
                return;
            }
        };
        if attempt < retries {
            let doubled = backoff.saturating_mul(1 << attempt.min(16));
            tokio::time::sleep(wait.unwrap_or(doubled).min(LONGEST_WAIT)).await;
        }
    }
    tracing::error!("the webhook {} was not told in {} tries", message.webhook_id, retries + 1);
}

fn request(agent: &ureq::Agent, message: &Message) -> Outcome {
    let mut post = agent.post(&message.url);
    for (name, value) in &message.headers {
        post = post.header(*name, value);
    }
    match post.send(&message.body) {
        Ok(mut response) => {
            let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let status = response.status().as_u16();
            let body = response.body_mut().with_config().limit(ANSWER_BYTES).lossy_utf8(true).read_to_string();
            Outcome::Answered { status, retry_after: retry_after.map(Duration::from_secs), body: body.unwrap_or_default() }
        }
        Err(error) => {
            let refused = matches!(&error, ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied);
            Outcome::Failed { for_good: refused || matches!(error, ureq::Error::BadUri(_)), why: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_mlflows() {
        // mlflow.webhooks.delivery._generate_hmac_signature("secret", "id", "1700000000", '{"a": 1}')
        let signed = signature("secret", "id", "1700000000", "{\"a\": 1}").unwrap();
        assert_eq!(signed, "v1,38uVORQcsSdjatM9lCcMNO82Q89mMAbtl9RgUgq98/w=");
    }

    #[test]
    fn times_are_pythons() {
        for (seconds, micros, text) in [
            (0, 0, "1970-01-01T00:00:00.000000+00:00"),
            (951_782_399, 1, "2000-02-28T23:59:59.000001+00:00"),
            (951_868_800, 0, "2000-03-01T00:00:00.000000+00:00"),
            (1_795_680_194, 123_456, "2026-11-26T08:03:14.123456+00:00"),
        ] {
            assert_eq!(iso_8601(Duration::from_secs(seconds) + Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn ids_are_random_uuids() {
        let (first, second) = (delivery_id().unwrap(), delivery_id().unwrap());
        assert_ne!(first, second);
        assert!(first.len() == 36 && first.as_bytes()[14] == b'4' && matches!(first.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{first}");
    }
}
