//! Which hosts an artifact location may name.
//!
//! A server that opens a place that a client named would connect to whatever host the client likes. So MLflow's server refuses
//! locations of those schemes that name a host, but for the hosts of its own places and for schemes that its operator allows.

use std::collections::BTreeSet;

use crate::error::ApiError;
use crate::uri::Uri;

/// The schemes that name a host, with the family in which one stands for another, and the ports that are meant where none is
/// named.
const SCHEMES: &[(&str, &str, &[u16])] = &[
    ("abfss", "abfss", &[443]),
    ("b2", "b2", &[443]),
    ("ftp", "ftp", &[21]),
    ("hdfs", "hdfs", &[]),
    ("http", "http", &[80]),
    ("https", "http", &[443]),
    ("mlflow-artifacts", "http", &[80, 443]),
    ("r2", "r2", &[443]),
    ("sftp", "sftp", &[22]),
    ("viewfs", "hdfs", &[]),
];

/// A family of schemes, a host, and a port if it is known.
type Target = (&'static str, String, Option<u16>);

/// What a server lets clients name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    schemes: Vec<String>,
    own: BTreeSet<Target>,
}

impl HostPolicy {
    /// Allows these schemes (`MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES`), and the hosts of the server's own places.
    pub fn new<'a>(schemes: &[String], places: impl IntoIterator<Item = &'a str>) -> Self {
        let schemes = schemes.iter().map(|scheme| scheme.to_ascii_lowercase()).collect();
        Self { schemes, own: places.into_iter().filter_map(targets).flat_map(|(_, targets)| targets).flatten().collect() }
    }

    /// Checks a location that a request gives as `field`.
    ///
    /// # Errors
    /// `INVALID_PARAMETER_VALUE`, in MLflow's words.
    pub fn check(&self, uri: &str, field: &str) -> Result<(), ApiError> {
        let Some((scheme, targets)) = targets(uri) else { return Ok(()) };
        let is_own = targets.is_some_and(|targets| targets.iter().any(|target| self.own.contains(target)));
        if is_own || self.schemes.iter().any(|allowed| allowed == scheme) {
            return Ok(());
        }
        Err(ApiError::invalid(format!(
            "'{field}' cannot use the '{scheme}' scheme: the '{scheme}' scheme addresses a host other than the tracking server's configured \
             artifact storage, so the server would connect to the host named in the URI. Set the \
             MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES environment variable on the server to allow it."
        )))
    }
}

/// The port of an authority, if it names one.
fn port(authority: &str) -> Result<Option<u16>, ()> {
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit(']').next().unwrap_or_default().rsplit_once(':') {
        None | Some((_, "")) => Ok(None),
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().map(Some).map_err(drop),
        Some(_) => Err(()),
    }
}

/// The scheme of a URI that names a host, and where it may lead; `None` there if that cannot be told, which is nobody's own.
fn targets(uri: &str) -> Option<(&'static str, Option<BTreeSet<Target>>)> {
    let parsed = Uri::parse(uri);
    let (scheme, family, ports) = SCHEMES.iter().find(|(scheme, ..)| parsed.is(scheme))?;
    // Without a host it is the server itself.
    if *scheme == "mlflow-artifacts" && parsed.authority.is_empty() {
        return None;
    }
    // Some clients end the host at a backslash.
    let is_plain = !parsed.authority.contains(|c: char| c == '\\' || c.is_whitespace());
    let (Ok(port), true) = (port(parsed.authority), is_plain) else { return Some((scheme, None)) };
    let host = parsed.host().to_lowercase();
    let ports: Vec<Option<u16>> = match (port, ports) {
        (Some(port), _) => vec![Some(port)],
        (None, []) => vec![None],
        (None, known) => known.iter().copied().map(Some).collect(),
    };
    Some((scheme, Some(ports.into_iter().map(|port| (*family, host.clone(), port)).collect())))
}
