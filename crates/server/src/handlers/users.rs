//! `users/*`.

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::accounts::{
    CreateUser, CurrentUserResponse, DeleteUser, GetCurrentUser, GetUser, ListUsers, ListUsersResponse, ListedUser, UpdateUserAdmin,
    UpdateUserPassword, User, UserResponse,
};
use anmok_protocol::{ApiError, ErrorCode};
use anmok_tracking::{AccountKey, NewUser};

use super::{Answer, found, run_files::waiting};
use crate::answer::Failure;
use crate::auth::gate::{Gate, Refusal};
use crate::auth::{Call, password};

pub(crate) fn create(app: &Call, asked: CreateUser) -> Answer<UserResponse> {
    let password_hash = in_turn(app, |_| Ok(password::hash(&asked.password)?))?;
    let new = NewUser { username: asked.username, password_hash, is_admin: false };
    Ok(UserResponse { user: app.store.create_user(&new)? })
}

pub(crate) fn get(app: &Call, asked: GetUser) -> Answer<UserResponse> {
    Ok(UserResponse { user: user(app, &asked.username)? })
}

/// The user of this name.
pub(super) fn user(app: &Call, username: &str) -> Answer<User> {
    found(app.store.user(username)?, || ApiError::user_not_found(username))
}

/// Who asks. The endpoints of users are there only where callers are known.
pub(super) fn current_user(app: &Call) -> Answer<User> {
    app.caller.account().map(|account| account.user.clone()).ok_or(Failure::Forbidden)
}

pub(crate) fn current(app: &Call, _: GetCurrentUser) -> Answer<CurrentUserResponse> {
    Ok(CurrentUserResponse { user: current_user(app)?, is_basic_auth: true })
}

pub(crate) fn list(app: &Call, _: ListUsers) -> Answer<ListUsersResponse> {
    let users = app.store.users()?.into_iter().map(|user| ListedUser { user, roles: vec![] });
    Ok(ListUsersResponse { users: users.collect() })
}

pub(crate) fn update_password(app: &Call, asked: UpdateUserPassword) -> Answer<Empty> {
    let own = current_user(app)?.username == asked.username;
    let hash = in_turn(app, |gate| {
        if own {
            require_current_password(app, gate, &asked)?;
        }
        Ok(password::hash(&asked.password)?)
    })?;
    app.store.set_user_password(&asked.username, &hash)?;
    app.accounts_changed();
    Ok(Empty {})
}

/// Who finds a browser or a token of somebody must not take the account over.
fn require_current_password(app: &Call, gate: &Gate, asked: &UpdateUserPassword) -> Answer<()> {
    let Some(given) = &asked.current_password else {
        return Err(ApiError::invalid("Current password is required when changing your own password.").into());
    };
    if let Some(wait) = gate.must_wait(&asked.username) {
        let message = format!("Too many wrong passwords: try again in {} s.", wait.as_secs() + 1);
        return Err(ApiError::new(ErrorCode::ResourceExhausted, message).into());
    }
    let account = app.store.account(&AccountKey::Username(asked.username.clone()))?;
    let account = found(account, || ApiError::user_not_found(&asked.username))?;
    let right = password::verify(given, &account.password_hash);
    gate.note_password(&asked.username, right);
    if !right {
        return Err(ApiError::invalid("Current password does not match.").into());
    }
    if *given == asked.password {
        return Err(ApiError::invalid("New password must differ from the current password.").into());
    }
    Ok(())
}

/// Does what hashes passwords when it is its turn.
fn in_turn<T>(app: &Call, work: impl FnOnce(&Gate) -> Answer<T>) -> Answer<T> {
    let gate = app.gate.as_ref().ok_or(Failure::Forbidden)?;
    let _turn = match waiting(gate.turn()) {
        Ok(turn) => turn,
        Err(Refusal::Failed(failure)) => return Err(failure),
        Err(_) => return Err(ApiError::new(ErrorCode::ResourceExhausted, "Too many passwords are being looked at: try again.").into()),
    };
    work(gate)
}

pub(crate) fn update_admin(app: &Call, asked: UpdateUserAdmin) -> Answer<Empty> {
    let is_admin = asked.is_admin.ok_or_else(|| ApiError::missing_parameter("is_admin"))?;
    app.store.set_user_admin(&asked.username, is_admin)?;
    app.accounts_changed();
    Ok(Empty {})
}

pub(crate) fn delete(app: &Call, asked: DeleteUser) -> Answer<Empty> {
    if current_user(app)?.username == asked.username {
        let message = "Users cannot delete their own account. Ask another admin to delete this user instead.";
        return Err(ApiError::new(ErrorCode::BadRequest, message).into());
    }
    app.store.delete_user(&asked.username)?;
    app.accounts_changed();
    Ok(Empty {})
}
