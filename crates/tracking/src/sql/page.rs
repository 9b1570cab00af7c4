//! Page tokens: where the last page ended, by value. Opaque to callers.

use anmok_protocol::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn token<T: Serialize>(position: &T) -> Result<String, ApiError> {
    let json = serde_json::to_vec(position).map_err(|error| ApiError::invalid(format!("a page token cannot be made: {error}")))?;
    Ok(json.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn position<T: DeserializeOwned>(token: &str) -> Result<T, ApiError> {
    let refuse = || ApiError::invalid("Invalid page token: it is not one that this server gave for this request");
    if !token.len().is_multiple_of(2) || !token.is_ascii() {
        return Err(refuse());
    }
    let bytes: Option<Vec<u8>> = (0..token.len()).step_by(2).map(|at| u8::from_str_radix(&token[at..at + 2], 16).ok()).collect();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(refuse)
}
