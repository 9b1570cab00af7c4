//! What stands in `Authorization`: `Basic` with a name and a password, or `Bearer` with a token.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Some clients leave the padding out.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Longer ones are no credentials: names have 255 bytes, passwords 1024.
const HEADER_BYTES: usize = 4096;

/// Who somebody says to be.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Password { username: String, password: String },
    Token(String),
}

impl Credentials {
    /// Those of a request; `None` if it has none that can be read.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
    }

    fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ').filter(|_| header.len() <= HEADER_BYTES)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Token(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(LENIENT.decode(rest).ok()?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Self::Password { username: username.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(username: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { username: username.into(), password: password.into() })
    }

    #[test]
    fn headers_are_read_as_clients_write_them() {
        for (header, credentials) in [
            ("Basic YWRtaW46cGFzc3dvcmQ=", password("admin", "password")),
            ("basic YTpiOmM=", password("a", "b:c")),
            ("Basic YTpiOmM", password("a", "b:c")),
            ("Basic 7JWI66qpOuu5hOuwgOuyiO2YuA==", password("안목", "비밀번호")),
            ("Basic Og==", password("", "")),
            ("Bearer anmok_1 ", Some(Credentials::Token("anmok_1".into()))),
            ("Basic YWRtaW4=", None),
            ("Basic Y", None),
            ("Basic !!!!", None),
            ("Basic /w==", None),
            ("Digest x", None),
            ("Basic", None),
            ("", None),
        ] {
            assert!(Credentials::read(header) == credentials, "{header}");
        }
        assert!(Credentials::read(&format!("Bearer {}", "x".repeat(HEADER_BYTES))).is_none());
    }
}
