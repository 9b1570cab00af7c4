//! The [`AccountStore`] of any SQL database.

use anmok_protocol::messages::accounts::User;
use anmok_protocol::permission::EVERY;
use anmok_protocol::{ApiError, Grant, ResourceType, validate};

use super::accounts;
use super::store::{Database, SqlStore};
use crate::accounts::{Account, AccountKey, AccountStore, AccountToken, NewToken, NewUser};
use crate::error::TrackingError;

impl<D: Database> AccountStore for SqlStore<D> {
    fn create_user(&self, new: &NewUser) -> Result<User, TrackingError> {
        validate::username(&new.username)?;
        let new = new.clone();
        self.database.write("making a user", move |connection| accounts::create_user(connection, &new))
    }

    fn user(&self, username: &str) -> Result<Option<User>, TrackingError> {
        self.database.read("reading a user", |connection| accounts::user(connection, username))
    }

    fn users(&self) -> Result<Vec<User>, TrackingError> {
        self.database.read("reading the users", |connection| accounts::users(connection))
    }

    fn set_user_password(&self, username: &str, password_hash: &str) -> Result<(), TrackingError> {
        let (username, hash) = (username.to_string(), password_hash.to_string());
        self.database.write("changing a password", move |connection| accounts::set_password(connection, &username, &hash))
    }

    fn set_user_admin(&self, username: &str, is_admin: bool) -> Result<(), TrackingError> {
        let username = username.to_string();
        self.database.write("changing a user", move |connection| accounts::set_admin(connection, &username, is_admin))
    }

    fn delete_user(&self, username: &str) -> Result<(), TrackingError> {
        let username = username.to_string();
        self.database.write("deleting a user", move |connection| accounts::delete_user(connection, &username))
    }

    fn account(&self, key: &AccountKey) -> Result<Option<Account>, TrackingError> {
        self.database.read("reading a user", |connection| accounts::account(connection, key))
    }

    fn account_revision(&self, user_id: i64) -> Result<Option<i64>, TrackingError> {
        self.database.read("reading a user", |connection| accounts::revision(connection, user_id))
    }

    fn grants(&self, username: &str) -> Result<Vec<Grant>, TrackingError> {
        self.database.read("reading a user's permissions", |connection| {
            let user = accounts::user(connection, username)?.ok_or_else(|| ApiError::user_not_found(username))?;
            accounts::grants(connection, user.id)
        })
    }

    fn grant(&self, username: &str, grant: &Grant) -> Result<bool, TrackingError> {
        if grant.resource_type == ResourceType::Experiment && grant.resource != EVERY {
            validate::experiment_id(&grant.resource)?;
        }
        let (username, grant) = (username.to_string(), grant.clone());
        self.database.write("granting a permission", move |connection| accounts::grant(connection, &username, &grant))
    }

    fn update_grant(&self, username: &str, grant: &Grant) -> Result<bool, TrackingError> {
        let (username, grant) = (username.to_string(), grant.clone());
        self.database.write("changing a permission", move |connection| accounts::update_grant(connection, &username, &grant))
    }

    fn revoke(&self, username: &str, resource_type: ResourceType, resource: &str) -> Result<bool, TrackingError> {
        let (username, resource) = (username.to_string(), resource.to_string());
        self.database.write("revoking a permission", move |connection| accounts::revoke(connection, &username, resource_type, &resource))
    }

    fn create_token(&self, username: &str, new: &NewToken) -> Result<(), TrackingError> {
        validate::token_name(&new.name)?;
        let (username, new) = (username.to_string(), new.clone());
        self.database.write("making a token", move |connection| accounts::create_token(connection, &username, &new))
    }

    fn tokens(&self, username: &str) -> Result<Vec<AccountToken>, TrackingError> {
        self.database.read("reading a user's tokens", |connection| {
            let user = accounts::user(connection, username)?.ok_or_else(|| ApiError::user_not_found(username))?;
            accounts::tokens(connection, user.id)
        })
    }

    fn revoke_token(&self, username: &str, name: &str) -> Result<bool, TrackingError> {
        let (username, name) = (username.to_string(), name.to_string());
        self.database.write("revoking a token", move |connection| accounts::revoke_token(connection, &username, &name))
    }

    fn experiment_of_run(&self, run_id: &str) -> Result<Option<String>, TrackingError> {
        self.database.read("reading a run", |connection| accounts::experiment_of(connection, "anmok_runs", "run_id", run_id))
    }

    fn experiment_of_logged_model(&self, model_id: &str) -> Result<Option<String>, TrackingError> {
        self.database
            .read("reading a logged model", |connection| accounts::experiment_of(connection, "anmok_logged_models", "model_id", model_id))
    }
}
