//! What can be chosen about a server. Read from flags and the environment in `cli`, never here.

use std::path::PathBuf;
use std::time::Duration;

use crate::auth::Auth;
use crate::webhooks::Webhooks;
use anmok_protocol::host_policy::HostPolicy;

/// How a server behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether `mlflow-artifacts:` URIs and the endpoints below `/api/2.0/mlflow-artifacts` are served.
    pub serve_artifacts: bool,
    /// From where may be asked.
    pub security: Security,
    /// Which hosts the locations that clients name may lead to.
    pub hosts: HostPolicy,
    /// Whether callers must say who they are, and what that means.
    pub auth: Option<Auth>,
    /// How webhooks are told.
    pub webhooks: Webhooks,
    /// The folder of MLflow's own web UI (`mlflow/server/js/build` of an installed package).
    pub ui_bundle: Option<PathBuf>,
    /// The largest JSON body in bytes. A data set's profile alone may have 16 MiB.
    pub body_limit: usize,
    /// How long a client may be silent while it is expected to send, or leave its answer unread.
    pub patience: Duration,
    /// How long requests under way may go on once the server was asked to stop.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            serve_artifacts: true,
            security: Security::default(),
            hosts: HostPolicy::default(),
            auth: None,
            webhooks: Webhooks::default(),
            ui_bundle: None,
            body_limit: 32 * 1024 * 1024,
            patience: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}

/// Who may ask, by the names that a browser sends. It keeps web pages from reaching a server that only the browser's user
/// can reach (DNS rebinding, cross-site requests); it is no substitute for a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Whether anything of this is checked.
    pub enabled: bool,
    /// Values of `Host` that are answered, with `*` for any text. Empty: localhost and the private networks.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` that may change things, with `*` for any text. Localhost always may.
    pub cors_allowed_origins: Vec<String>,
    /// The header `X-Frame-Options`; `None` leaves it out.
    pub frame_options: Option<String>,
}

impl Default for Security {
    fn default() -> Self {
        Self { enabled: true, allowed_hosts: vec![], cors_allowed_origins: vec![], frame_options: Some("SAMEORIGIN".into()) }
    }
}
