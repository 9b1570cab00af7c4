//! Which addresses may be told. Whoever may make a webhook would otherwise have this server ask its own network: other
//! servers behind the same firewall, or a cloud's metadata with its credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use anmok_protocol::ApiError;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The addresses of a URL's host.
pub(super) fn resolved(uri: &Uri) -> Result<Vec<SocketAddr>, ApiError> {
    let host = uri.host().unwrap_or_default();
    let unresolved = |why: String| ApiError::invalid(format!("Cannot resolve Webhook URL hostname '{host}': {why}"));
    let port = uri.port_u16().unwrap_or(443);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = (name, port).to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    if addresses.is_empty() { Err(unresolved("it has no address".into())) } else { Ok(addresses) }
}

/// Whether everybody can reach an address: it is of no network that somebody has for themselves.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Carriers' own, benchmarks, and what the IETF keeps.
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 0 && c == 0))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // What is routed at all lies in 2000::/3; of that, documentation and what the IETF keeps for protocols (2001::/23) is not.
    (0x2000..0x4000).contains(&parts[0])
        && !(parts[0] == 0x2001 && (parts[1] < 0x200 || parts[1] == 0xdb8))
        && !(parts[0] == 0x3fff && parts[1] < 0x1000)
}

/// The address of IPv4 that one of IPv6 stands for: mapped, 6to4, NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        (0x2002, _) => Some(from(b, c)),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => Some(from(g, h)),
        _ => address.to_ipv4_mapped(),
    }
}

/// Resolves names to addresses that may be told, and to no others: the request goes to the very address that was looked at.
#[derive(Debug)]
pub(super) struct PublicAddresses {
    pub inner: DefaultResolver,
    pub allow_private: bool,
}

impl Resolver for PublicAddresses {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        if !self.allow_private
            && let Some(address) = found.iter().find(|address| !is_public(address.ip()))
        {
            let message = format!("Webhook connection blocked: {} is not a public IP address.", address.ip());
            return Err(Error::Io(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_can_reach_is_public() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("100.63.0.1", true),
            ("2606:4700::1111", true),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::808:808", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.0.8", false),
            ("198.18.0.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("2001::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("2002:7f00:1::", false),
            ("64:ff9b::a9fe:a9fe", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
