//! `tokens/*`, which are ours: what MLflow's clients send as `MLFLOW_TRACKING_TOKEN`.

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::accounts::{CreateToken, CreateTokenResponse, ListTokens, ListTokensResponse, RevokeToken, Token};
use anmok_protocol::{ApiError, ErrorCode};
use anmok_tracking::{NewToken, now_ms};

use super::Answer;
use super::users::current_user;
use crate::auth::{Call, password};

/// Whose token a request is about.
fn owner(app: &Call, username: Option<String>) -> Answer<String> {
    username.map_or_else(|| Ok(current_user(app)?.username), Ok)
}

pub(crate) fn create(app: &Call, asked: CreateToken) -> Answer<CreateTokenResponse> {
    let username = owner(app, asked.username)?;
    let creation_time = now_ms();
    let expiration_time = asked.expires_in_seconds.map(|seconds| expiration(creation_time, seconds)).transpose()?;
    let (secret, token_hash) = password::new_token()?;
    app.store.create_token(&username, &NewToken { name: asked.name.clone(), token_hash, expiration_time })?;
    app.accounts_changed();
    Ok(CreateTokenResponse { token: Token { name: asked.name, username, creation_time, expiration_time }, secret })
}

fn expiration(now: i64, seconds: i64) -> Result<i64, ApiError> {
    let refused = || ApiError::invalid(format!("expires_in_seconds must be at least 1 (got {seconds})."));
    let milliseconds = Some(seconds).filter(|seconds| *seconds > 0).and_then(|seconds| seconds.checked_mul(1000)).ok_or_else(refused)?;
    now.checked_add(milliseconds).ok_or_else(refused)
}

pub(crate) fn list(app: &Call, asked: ListTokens) -> Answer<ListTokensResponse> {
    let username = owner(app, asked.username)?;
    let tokens = app.store.tokens(&username)?.into_iter().map(|token| Token {
        name: token.name,
        username: username.clone(),
        creation_time: token.creation_time,
        expiration_time: token.expiration_time,
    });
    Ok(ListTokensResponse { tokens: tokens.collect() })
}

pub(crate) fn revoke(app: &Call, asked: RevokeToken) -> Answer<Empty> {
    let username = owner(app, asked.username)?;
    if !app.store.revoke_token(&username, &asked.name)? {
        let message = format!("Token (name={}) of user {username} not found", asked.name);
        return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, message).into());
    }
    app.accounts_changed();
    Ok(Empty {})
}
