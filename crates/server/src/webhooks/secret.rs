//! Secrets as they are stored: encrypted with a key that is not in the database, as MLflow has it. MLflow's key is taken too
//! (`MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY`); what is encrypted with it is not exchanged, and so is ours: ChaCha20-Poly1305.

use anmok_protocol::{ApiError, ErrorCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What the ciphertext is for, so that it is taken for nothing else.
const PURPOSE: &[u8] = b"anmok webhook secret 1";

/// A key as MLflow's users write it: 32 bytes in base64, of either alphabet.
///
/// # Errors
/// What is wrong with it.
pub fn key_from_text(text: &str) -> Result<[u8; 32], ApiError> {
    let plain = text.trim().replace('-', "+").replace('_', "/");
    let bytes = BASE64_STANDARD.decode(plain).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        ApiError::invalid("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY must be 32 random bytes in base64 (`openssl rand -base64 32`)")
    })
}

fn key(bytes: &[u8; 32]) -> Result<LessSafeKey, ApiError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).map_err(|_| failed("the key cannot be used"))?;
    Ok(LessSafeKey::new(key))
}

fn failed(why: &str) -> ApiError {
    ApiError::new(ErrorCode::InternalError, format!("a webhook's secret: {why}"))
}

/// A secret as it is stored.
pub(crate) fn encrypted(bytes: Option<&[u8; 32]>, secret: &str) -> Result<String, ApiError> {
    let Some(bytes) = bytes else {
        return Err(ApiError::invalid(
            "This server keeps no secrets of webhooks: set MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY to 32 random bytes in base64 (`openssl \
             rand -base64 32`) and start it again, or make the webhook without a secret.",
        ));
    };
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| failed("the system has no random bytes"))?;
    let mut sealed = secret.as_bytes().to_vec();
    key(bytes)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(PURPOSE), &mut sealed)
        .map_err(|_| failed("it cannot be encrypted"))?;
    Ok(BASE64_STANDARD.encode([nonce.as_slice(), &sealed].concat()))
}

/// A stored secret as it was.
pub(crate) fn decrypted(bytes: Option<&[u8; 32]>, stored: &str) -> Result<String, ApiError> {
    let unreadable = || {
        failed(
            "it cannot be decrypted with this MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY; set the one that it was made with, or another secret",
        )
    };
    let bytes = bytes.ok_or_else(unreadable)?;
    let mut sealed = BASE64_STANDARD.decode(stored).map_err(|_| unreadable())?;
    if sealed.len() < NONCE_LEN {
        return Err(unreadable());
    }
    let nonce = Nonce::try_assume_unique_for_key(&sealed[..NONCE_LEN]).map_err(|_| unreadable())?;
    let opened = key(bytes)?.open_within(nonce, Aad::from(PURPOSE), &mut sealed, NONCE_LEN..).map_err(|_| unreadable())?;
    String::from_utf8(opened.to_vec()).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_mlflow_writes_them() {
        assert_eq!(key_from_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(), [0; 32]);
        assert_eq!(key_from_text(" __________________________________________8=\n").unwrap(), [255; 32]);
        assert!(key_from_text("").is_err() && key_from_text("AAAA").is_err() && key_from_text("!").is_err());
    }

    #[test]
    fn a_secret_comes_back_with_its_key_alone() {
        let (mine, other) = ([1; 32], [2; 32]);
        let (first, second) = (encrypted(Some(&mine), "안목 secret").unwrap(), encrypted(Some(&mine), "안목 secret").unwrap());
        assert_ne!(first, second);
        assert!(!first.contains("secret"));
        assert_eq!(decrypted(Some(&mine), &first).unwrap(), "안목 secret");
        assert!(decrypted(Some(&other), &first).is_err() && decrypted(None, &first).is_err() && encrypted(None, "x").is_err());
        for broken in ["", "AAAA", "!", &first[..first.len() - 4], &first.replace(&first[20..24], "AAAA")] {
            assert!(decrypted(Some(&mine), broken).is_err(), "{broken}");
        }
    }
}
