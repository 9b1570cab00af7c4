//! Which requests go through which proxy.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use super::options::ProxyOptions;
use crate::error::TrackingError;

/// The proxies, and who is reached without.
#[derive(Debug, Clone)]
pub(super) struct Proxies {
    pub https: Option<Proxy>,
    pub http: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    All,
    /// A network, and how many of its bits count.
    Network(IpAddr, u32),
    /// A domain with everything below it, and a port if one is named.
    Domain(String, Option<u16>),
}

impl Proxies {
    /// # Errors
    /// An address that is none of a proxy.
    pub fn new(options: &ProxyOptions) -> Result<Self, TrackingError> {
        let read = |name: &str, text: &Option<String>| {
            text.as_deref().filter(|text| !text.is_empty()).map(Proxy::new).transpose().map_err(|_| TrackingError::Setting {
                name: name.into(),
                why: "it is no address of a proxy; write http://host:port (or https, socks5), with user:password@ where it asks for them"
                    .into(),
            })
        };
        let exceptions = options.no_proxy.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(Exception::parse);
        Ok(Self { https: read("HTTPS_PROXY", &options.https)?, http: read("HTTP_PROXY", &options.http)?, exceptions: exceptions.collect() })
    }

    /// Whether an address is reached without a proxy. This machine always is.
    pub fn bypassed(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = uri.port_u16().or(match uri.scheme_str() {
            Some("https") => Some(443),
            _ => Some(80),
        });
        let ip: Option<IpAddr> = host.parse().ok();
        let local = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        local || self.exceptions.iter().any(|exception| exception.holds(&host, ip, port))
    }
}

impl Exception {
    fn parse(entry: &str) -> Self {
        if entry == "*" {
            return Self::All;
        }
        let (address, bits) = entry.split_once('/').map_or((entry, None), |(address, bits)| (address, bits.parse().ok()));
        if let Ok(ip) = address.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Self::Network(ip, bits.unwrap_or(u32::MAX));
        }
        let (domain, port) = match entry.rsplit_once(':') {
            Some((domain, port)) if port.parse::<u16>().is_ok() => (domain, port.parse().ok()),
            _ => (entry, None),
        };
        Self::Domain(domain.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase(), port)
    }

    fn holds(&self, host: &str, ip: Option<IpAddr>, port: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Network(network, bits) => match (network, ip) {
                (IpAddr::V4(network), Some(IpAddr::V4(ip))) => same_start(network.to_bits().into(), ip.to_bits().into(), 32, *bits),
                (IpAddr::V6(network), Some(IpAddr::V6(ip))) => same_start(network.to_bits(), ip.to_bits(), 128, *bits),
                _ => false,
            },
            Self::Domain(domain, named) => {
                let below = host.strip_suffix(domain.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'));
                below && named.is_none_or(|named| Some(named) == port)
            }
        }
    }
}

/// Whether the first `bits` of `width` are the same.
fn same_start(a: u128, b: u128, width: u32, bits: u32) -> bool {
    let rest = width.saturating_sub(bits);
    rest >= width || a >> rest == b >> rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_others_read_it() {
        let bypassed = |no_proxy: &str, uri: &str| {
            let options = ProxyOptions { no_proxy: no_proxy.into(), ..ProxyOptions::default() };
            Proxies::new(&options).unwrap().bypassed(&uri.parse().unwrap())
        };
        for (no_proxy, uri, expected) in [
            ("", "http://host:5000", false),
            ("", "http://127.0.0.1:5000", true),
            ("", "http://[::1]:5000", true),
            ("", "http://localhost", true),
            ("*", "http://host", true),
            ("example.com", "https://example.com/x", true),
            ("example.com", "https://a.EXAMPLE.com", true),
            ("example.com", "https://notexample.com", false),
            (".example.com", "https://a.example.com", true),
            ("*.example.com", "https://a.example.com", true),
            ("a, b ,c", "http://b:1", true),
            ("host:5000", "http://host:5000", true),
            ("host:5000", "http://host:5001", false),
            ("host:443", "https://host", true),
            ("10.0.0.0/8", "http://10.1.2.3:5000", true),
            ("10.0.0.0/8", "http://11.1.2.3:5000", false),
            ("10.1.2.3", "http://10.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.4", false),
            ("0.0.0.0/0", "http://1.2.3.4", true),
            ("fd00::/8", "http://[fd12::1]:80", true),
            ("fd00::/8", "http://[fe12::1]:80", false),
            ("10.0.0.0/8", "http://[fd12::1]", false),
        ] {
            assert_eq!(bypassed(no_proxy, uri), expected, "{no_proxy:?} {uri}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_being_shown() {
        let options = ProxyOptions { https: Some("http://u:secret@ho st".into()), ..ProxyOptions::default() };
        let error = Proxies::new(&options).unwrap_err().to_string();
        assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
    }
}
