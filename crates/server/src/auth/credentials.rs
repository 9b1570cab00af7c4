//! What stands in `Authorization`: `Basic` with a name and a password, or `Bearer` with a token.

use axum::http::{HeaderMap, header};

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
        let text = String::from_utf8(decoded(rest)?).ok()?;
        let (username, password) = text.split_once(':')?;
        Some(Self::Password { username: username.to_owned(), password: password.to_owned() })
    }
}

/// Base64, with or without its padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| -> Option<u32> {
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0;
        for byte in group {
            bits = bits << 6 | digit(*byte)?;
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
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
