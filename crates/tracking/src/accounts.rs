//! What a server that knows its users asks of a store: users, what they may do, and their tokens.
//!
//! The store keeps hashes of passwords and tokens; it makes and checks none.

use anmok_protocol::messages::accounts::User;
use anmok_protocol::{Grant, Permission, ResourceType};

use crate::error::TrackingError;

/// A store that keeps users.
///
/// As in [`crate::TrackingStore`]: calls block, absence is `None` where something is looked up, and the error
/// `RESOURCE_DOES_NOT_EXIST` where something is to be changed.
pub trait AccountStore: Send + Sync {
    /// Makes a user; `RESOURCE_ALREADY_EXISTS` if the name is taken.
    fn create_user(&self, new: &NewUser) -> Result<User, TrackingError>;

    /// The user of this name.
    fn user(&self, username: &str) -> Result<Option<User>, TrackingError>;

    /// All users, by id.
    fn users(&self) -> Result<Vec<User>, TrackingError>;

    /// Replaces the hash of a user's password.
    fn set_user_password(&self, username: &str, password_hash: &str) -> Result<(), TrackingError>;

    /// Makes a user an administrator, or no longer one.
    fn set_user_admin(&self, username: &str, is_admin: bool) -> Result<(), TrackingError>;

    /// Deletes a user with all grants and tokens. The id is never used again.
    fn delete_user(&self, username: &str) -> Result<(), TrackingError>;

    /// A user with grants and tokens.
    fn account(&self, key: &AccountKey) -> Result<Option<Account>, TrackingError>;

    /// Whether an account is what it was; `None` if it is gone. It costs less than reading it again.
    fn account_revision(&self, user_id: i64) -> Result<Option<i64>, TrackingError>;

    /// A user's grants, in order.
    fn grants(&self, username: &str) -> Result<Vec<Grant>, TrackingError>;

    /// Grants a permission; `false` if the user has a grant on this already, which stays.
    fn grant(&self, username: &str, grant: &Grant) -> Result<bool, TrackingError>;

    /// Changes a grant; `false` if there is none.
    fn update_grant(&self, username: &str, grant: &Grant) -> Result<bool, TrackingError>;

    /// Takes a grant back; `false` if there is none.
    fn revoke(&self, username: &str, resource_type: ResourceType, resource: &str) -> Result<bool, TrackingError>;

    /// Makes a token; `RESOURCE_ALREADY_EXISTS` if the owner has one of this name.
    fn create_token(&self, username: &str, new: &NewToken) -> Result<(), TrackingError>;

    /// A user's tokens, by name.
    fn tokens(&self, username: &str) -> Result<Vec<AccountToken>, TrackingError>;

    /// Removes a token; `false` if there is none of this name.
    fn revoke_token(&self, username: &str, name: &str) -> Result<bool, TrackingError>;

    /// The experiment that a run belongs to, deleted ones included. It never changes.
    fn experiment_of_run(&self, run_id: &str) -> Result<Option<String>, TrackingError>;

    /// The experiment that a logged model belongs to. It never changes.
    fn experiment_of_logged_model(&self, model_id: &str) -> Result<Option<String>, TrackingError>;
}

/// A user to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Unique.
    pub username: String,
    /// Of the password, in any form that its checker understands.
    pub password_hash: String,
    /// Whether everything is allowed.
    pub is_admin: bool,
}

/// How an account is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountKey {
    /// By the user's id.
    Id(i64),
    /// By the user's name.
    Username(String),
    /// By the hash of one of the user's tokens.
    TokenHash(String),
}

/// A user with all that decides what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub user: User,
    /// Of the password.
    pub password_hash: String,
    /// What was granted.
    pub grants: Vec<Grant>,
    /// By name.
    pub tokens: Vec<AccountToken>,
    /// Another one after each change.
    pub revision: i64,
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Unique among the owner's.
    pub name: String,
    /// Of the secret.
    pub token_hash: String,
    /// Milliseconds since 1970; `None`: it does not expire.
    pub expiration_time: Option<i64>,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountToken {
    /// Unique among the owner's.
    pub name: String,
    /// Of the secret.
    pub token_hash: String,
    /// Milliseconds since 1970.
    pub creation_time: i64,
    /// Milliseconds since 1970; `None`: it does not expire.
    pub expiration_time: Option<i64>,
}

/// The grant of whoever makes something.
pub(crate) fn of_creator(resource_type: ResourceType, resource: &str) -> Grant {
    Grant { resource_type, resource: resource.into(), permission: Permission::Manage }
}
