//! A server's address as MLflow's users write it, and what is said of it.

use percent_encoding::percent_decode_str;
use ureq::http::Uri;

use crate::error::TrackingError;
use crate::uri::without_password;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `http(s)://host:port/prefix`, without user, password and a slash at the end.
    pub base: String,
    /// User and password of the address itself.
    pub credentials: Option<(String, String)>,
}

impl Address {
    /// Reads `http(s)://[user:password@]host[:port][/prefix]`.
    ///
    /// # Errors
    /// What is wrong with it, without its password.
    pub fn parse(text: &str) -> Result<Self, TrackingError> {
        let refuse = |why: String| TrackingError::Uri { uri: without_password(text), why };
        let uri: Uri = text.parse().map_err(|error| refuse(format!("{error}; write http(s)://host:port")))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refuse("it names no host; write http(s)://host:port".into()));
        };
        if uri.query().is_some() || text.contains('#') {
            return Err(refuse("an address has no '?' and no '#'; write http(s)://host:port".into()));
        }
        let (user, host) = authority.as_str().rsplit_once('@').map_or((None, authority.as_str()), |(user, host)| (Some(user), host));
        let names_port = host.trim_start_matches(authority.host()).starts_with(':');
        if authority.host().is_empty() || (names_port && authority.port_u16().is_none()) {
            return Err(refuse("it names no host, or a port that is none; write http(s)://host:port".into()));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decoded(name), decoded(password))
        });
        Ok(Self { base: format!("{scheme}://{host}{}", uri.path().trim_end_matches('/')), credentials })
    }

    /// The address without its path: what has the same has the same server.
    pub fn origin(&self) -> &str {
        let start = self.base.find("://").map_or(0, |at| at + 3);
        self.base[start..].find('/').map_or(&self.base, |end| &self.base[..start + end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, base, credentials) in [
            ("http://localhost:5000", "http://localhost:5000", None),
            ("http://localhost:5000/", "http://localhost:5000", None),
            ("https://host/ml/flow//", "https://host/ml/flow", None),
            ("http://[::1]:80/x", "http://[::1]:80/x", None),
            ("https://u:p%40ss@host", "https://host", Some(("u", "p@ss"))),
            ("https://u@host:1", "https://host:1", Some(("u", ""))),
        ] {
            let credentials = credentials.map(|(user, password): (&str, &str)| (user.to_owned(), password.to_owned()));
            assert_eq!(Address::parse(text).unwrap(), Address { base: base.into(), credentials }, "{text}");
        }
        assert_eq!(Address::parse("https://host:1/a/b").unwrap().origin(), "https://host:1");
        assert_eq!(Address::parse("https://host:1").unwrap().origin(), "https://host:1");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_without_its_password() {
        for text in
            ["http://", "http://u:secret@", "http://u:secret@host:port", "http://u:secret@host/?a=b", "http://host#x", "http://a b/"]
        {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains("write http(s)://host:port"), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
