//! Webhooks: others are told of what happens in the registry, as MLflow tells them.
//!
//! - [`events`]: what happens, and what is told of it
//! - [`delivery`]: requests, signatures, and trying again
//! - [`address`]: who may be asked: nobody on this server's own network, unless an option says so
//! - [`secret`]: secrets as they are stored
//!
//! Nothing of this is waited for by whoever changed the registry. What was not delivered when the server ends is lost, as in
//! MLflow: a webhook is a hint, and the registry is what is true.

mod address;
pub(crate) mod delivery;
pub(crate) mod events;
pub(crate) mod secret;

pub use secret::key_from_text as webhook_key;

use std::time::Duration;

use anmok_protocol::ApiError;
use ureq::http::Uri;

/// How webhooks are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhooks {
    /// `https`, and others if wanted.
    pub allowed_schemes: Vec<String>,
    /// Whether addresses that only this server can reach may be told: this machine, private networks, a cloud's own services.
    pub allow_private_addresses: bool,
    /// What secrets are encrypted with. `None`: webhooks have none.
    pub secret_key: Option<[u8; 32]>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a request is made again that did not succeed but may.
    pub retries: u32,
    /// The wait before the first of these; each further one is twice as long.
    pub backoff: Duration,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            allowed_schemes: vec!["https".into()],
            allow_private_addresses: false,
            secret_key: None,
            timeout: Duration::from_secs(30),
            retries: 3,
            backoff: Duration::from_secs(1),
        }
    }
}

impl Webhooks {
    /// Checks a URL: its scheme, and that it leads to no address that may not be asked. It may lead elsewhere later, and so
    /// each delivery looks again.
    pub(crate) fn check(&self, url: &str) -> Result<Uri, ApiError> {
        let uri: Uri = url.parse().map_err(|error| ApiError::invalid(format!("Invalid webhook URL '{url}': {error}")))?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !self.allowed_schemes.iter().any(|allowed| allowed == scheme) {
            return Err(ApiError::invalid(format!(
                "Invalid webhook URL scheme: '{scheme}'. Allowed schemes are: {}.",
                self.allowed_schemes.join(", ")
            )));
        }
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return Err(ApiError::invalid(format!("Webhook URL must include a hostname: '{url}'")));
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(ApiError::invalid("Webhook URL must not hold a user or password: it is shown to every administrator."));
        }
        if !self.allow_private_addresses {
            for address in address::resolved(&uri)? {
                if !address::is_public(address.ip()) {
                    let message =
                        format!("Webhook URL must not resolve to a non-public IP address. '{host}' resolves to {}.", address.ip());
                    return Err(ApiError::invalid(message));
                }
            }
        }
        Ok(uri)
    }
}
