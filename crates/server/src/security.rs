//! Who may ask, by `Host` and `Origin`: MLflow's rules against DNS rebinding and cross-site requests.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Method, header};

use crate::options::Security;

/// MLflow's words.
pub(crate) const INVALID_HOST: &str = "Invalid Host header - possible DNS rebinding attack detected";
/// MLflow's words.
pub(crate) const CROSS_ORIGIN: &str = "Cross-origin request blocked";

impl Security {
    /// Whether a `Host` is one of ours. A pattern without a port stands for every port.
    pub(crate) fn allows_host(&self, host: Option<&str>) -> bool {
        if !self.enabled {
            return true;
        }
        let Some(host) = host.filter(|host| !host.is_empty()) else { return false };
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        if self.allowed_hosts.is_empty() {
            // MLflow matches patterns such as `10.*`, which `10.attacker.example` passes too; we ask for an address.
            return name == "localhost" || address(name).is_some_and(is_near);
        }
        self.allowed_hosts
            .iter()
            .map(|allowed| allowed.to_ascii_lowercase())
            .any(|allowed| matches(&allowed, &host) || (without_port(&allowed) == allowed && matches(&allowed, name)))
    }

    /// Whether a browser's page of this origin may change things here.
    pub(crate) fn allows_change(&self, method: &Method, origin: Option<&str>) -> bool {
        let changes = matches!(*method, Method::POST | Method::PUT | Method::DELETE | Method::PATCH);
        match origin.filter(|origin| !origin.is_empty()) {
            Some(origin) if self.enabled && changes => self.allows_origin(origin),
            _ => true,
        }
    }

    /// Whether a page of this origin may read our answers.
    pub(crate) fn allows_origin(&self, origin: &str) -> bool {
        is_local_origin(origin) || self.cors_allowed_origins.iter().any(|allowed| matches(allowed, origin))
    }

    /// Whether every origin is allowed; then answers carry no credentials.
    pub(crate) fn allows_every_origin(&self) -> bool {
        self.cors_allowed_origins.iter().any(|allowed| allowed == "*")
    }
}

/// A header as text.
pub(crate) fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `[::1]:5000` to `[::1]`, `localhost:5000` to `localhost`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => name.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse().ok(),
    }
}

/// This machine or a private network.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

fn is_local_origin(origin: &str) -> bool {
    let Some((_, rest)) = origin.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    matches!(without_port(authority).to_ascii_lowercase().as_str(), "localhost" | "127.0.0.1" | "[::1]")
}

/// Whether `*` in the pattern can stand for texts so that it becomes `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_only_we_can_be() {
        let near = Security::default();
        for host in [
            "localhost",
            "localhost:5000",
            "LOCALHOST:80",
            "127.0.0.1:5000",
            "[::1]:5000",
            "0.0.0.0:5000",
            "192.168.1.7",
            "10.0.0.1:80",
            "172.31.0.1",
            "[fd00::1]:5000",
        ] {
            assert!(near.allows_host(Some(host)), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "10.evil.example",
            "localhost.evil.example",
            "172.32.0.1",
            "8.8.8.8",
            "127.0.0.1.evil.example:5000",
            "localhost:5000:80",
        ] {
            assert!(!near.allows_host(Some(host)), "{host}");
        }
        assert!(!near.allows_host(None));
        assert!(Security { enabled: false, ..near }.allows_host(Some("evil.example")));
    }

    #[test]
    fn hosts_that_were_named() {
        let named = Security { allowed_hosts: vec!["mlflow.example".into(), "*.lab.example:5000".into()], ..Security::default() };
        for host in ["mlflow.example", "mlflow.example:5000", "MLflow.Example:80", "a.lab.example:5000"] {
            assert!(named.allows_host(Some(host)), "{host}");
        }
        for host in ["localhost", "evil.mlflow.example", "a.lab.example", "a.lab.example:80"] {
            assert!(!named.allows_host(Some(host)), "{host}");
        }
        assert!(Security { allowed_hosts: vec!["*".into()], ..Security::default() }.allows_host(Some("any.example")));
    }

    #[test]
    fn only_known_pages_change_things() {
        let security =
            Security { cors_allowed_origins: vec!["https://ui.example".into(), "https://*.lab.example".into()], ..Security::default() };
        for (origin, may) in [
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("http://[::1]:80", true),
            ("https://ui.example", true),
            ("https://a.lab.example", true),
            ("https://evil.example", false),
            ("http://localhost.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(security.allows_change(&Method::POST, Some(origin)), may, "{origin}");
            assert!(security.allows_change(&Method::GET, Some(origin)), "{origin}");
        }
        assert!(security.allows_change(&Method::POST, None));
    }

    #[test]
    fn stars() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*bc", "abxbc", true),
            ("ab*b", "ab", false),
            ("a", "ab", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
