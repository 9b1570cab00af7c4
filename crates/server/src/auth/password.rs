//! Hashes of passwords (Argon2id) and of tokens (SHA-256: a token is 256 random bits, which nobody tries out).

use std::sync::LazyLock;

use anmok_protocol::{ApiError, ErrorCode, validate};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};

/// OWASP's choice: 19 MiB and two passes, some 20 ms on a server's core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Stands before every token, so that one is recognised where it should not be (logs, repositories).
const TOKEN_PREFIX: &str = "anmok_";

fn argon2() -> Result<Argon2<'static>, ApiError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::InternalError, format!("a password could not be hashed: {why}"))
}

/// The hash of a new password, with a random salt.
///
/// # Errors
/// A password that may not be one.
pub fn hash(password: &str) -> Result<String, ApiError> {
    validate::password(password)?;
    hashed(password)
}

fn hashed(password: &str) -> Result<String, ApiError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
    Ok(argon2()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| failed(&error))?.to_string())
}

/// Whether a password is the one of a hash. The time does not depend on where they differ.
pub fn verify(password: &str, hash: &str) -> bool {
    match (PasswordHash::new(hash), argon2()) {
        (Ok(hash), Ok(argon2)) => argon2.verify_password(password.as_bytes(), &hash).is_ok(),
        _ => false,
    }
}

/// Takes as long as [`verify`]: for users that are not there.
pub(super) fn verify_nothing(password: &str) {
    static NOTHING: LazyLock<String> = LazyLock::new(|| hashed("").unwrap_or_default());
    verify(password, &NOTHING);
}

/// A new token's secret and the hash that is kept of it.
///
/// # Errors
/// The system has no random bytes.
pub fn new_token() -> Result<(String, String), ApiError> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| ApiError::new(ErrorCode::InternalError, format!("a token could not be made: {error}")))?;
    let secret = format!("{TOKEN_PREFIX}{}", hexadecimal(&bits));
    let hash = token_hash(&secret);
    Ok((secret, hash))
}

/// The hash of a token's secret.
pub fn token_hash(secret: &str) -> String {
    hexadecimal(&Sha256::digest(secret.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let (first, second) = (hash("correct horse battery").unwrap(), hash("correct horse battery").unwrap());
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second, "the salt is random");
        assert!(verify("correct horse battery", &first) && verify("correct horse battery", &second));
        assert!(!verify("correct horse batterx", &first) && !verify("", &first) && !verify("", "") && !verify("x", "$argon2id$x"));
        assert!(hash("short").is_err());
    }

    #[test]
    fn tokens_are_long_and_told_apart() {
        let ((first, hash), (second, _)) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(first, second);
        assert_eq!((first.len(), hash.len()), (TOKEN_PREFIX.len() + 64, 64));
        assert_eq!(token_hash(&first), hash);
        assert_eq!(token_hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
