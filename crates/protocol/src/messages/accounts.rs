//! Users, their permissions and their tokens: the REST API of MLflow's basic-auth app, and tokens, which are ours.

use serde::{Deserialize, Serialize};

use super::{request, response};
use crate::json;

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Made by the server.
    pub id: i64,
    /// Unique.
    pub username: String,
    /// Whether everything is allowed.
    pub is_admin: bool,
}

response! {
    /// Answers [`CreateUser`] and [`GetUser`].
    UserResponse {
        /// The user.
        user: User,
    }
}

request! {
    /// Makes a user.
    CreateUser {
        /// Unique.
        username: required,
        /// At least 12 characters.
        password: required,
    }
}

request! {
    /// Asks for a user.
    GetUser {
        /// The user.
        username: required,
    }
}

request! {
    /// Asks who is asking.
    GetCurrentUser {}
}

response! {
    /// Answers [`GetCurrentUser`].
    CurrentUserResponse {
        /// Who is asking.
        user: User,
        /// Whether users have passwords here.
        is_basic_auth: bool,
    }
}

request! {
    /// Asks for all users.
    ListUsers {}
}

/// A user in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedUser {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// There are none here: permissions are granted to users.
    pub roles: Vec<serde_json::Value>,
}

response! {
    /// Answers [`ListUsers`].
    ListUsersResponse {
        /// All of them.
        users: Vec<ListedUser>,
    }
}

request! {
    /// Gives a user another password.
    UpdateUserPassword {
        /// The user.
        username: required,
        /// At least 12 characters.
        password: required,
        /// The present one, which users give who change their own.
        current_password: text,
    }
}

request! {
    /// Makes a user an administrator, or no longer one.
    UpdateUserAdmin {
        /// The user.
        username: required,
        /// Whether everything is allowed.
        is_admin: boolean,
    }
}

request! {
    /// Deletes a user with all grants and tokens.
    DeleteUser {
        /// The user.
        username: required,
    }
}

request! {
    /// Grants a user a permission.
    GrantUserPermission {
        /// The user.
        username: required,
        /// `experiment`, `registered_model` or `prompt`.
        resource_type: required,
        /// An id or name, or `*`.
        resource_id: required,
        /// See [`crate::permission`].
        permission: required,
    }
}

request! {
    /// Takes a grant back.
    RevokeUserPermission {
        /// The user.
        username: required,
        /// `experiment`, `registered_model` or `prompt`.
        resource_type: required,
        /// An id or name, or `*`.
        resource_id: required,
    }
}

request! {
    /// Asks what a user may do with something.
    GetUserPermission {
        /// The user.
        username: required,
        /// `experiment`, `registered_model` or `prompt`.
        resource_type: required,
        /// An id or name, or `*`.
        resource_id: required,
    }
}

response! {
    /// Answers [`GetUserPermission`].
    GetUserPermissionResponse {
        /// Whether it may be used.
        allowed: bool,
        /// What follows from grants and default.
        permission: String,
    }
}

request! {
    /// Asks for the grants of who is asking.
    ListCurrentUserPermissions {}
}

request! {
    /// Asks for a user's grants.
    ListUserPermissions {
        /// The user.
        username: required,
    }
}

/// One grant in a list, in the form of MLflow's roles: every user has one of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPermission {
    /// The user's id.
    pub role_id: i64,
    /// `__user_<id>__`
    pub role_name: String,
    /// The one that there is.
    pub workspace: String,
    /// `experiment` or `registered_model`.
    pub resource_type: String,
    /// An id or name, or `*`.
    pub resource_pattern: String,
    /// What is granted.
    pub permission: String,
}

response! {
    /// Answers [`ListUserPermissions`] and [`ListCurrentUserPermissions`].
    ListUserPermissionsResponse {
        /// Whether everything is allowed.
        is_admin: bool,
        /// The grants.
        permissions: Vec<ListedPermission>,
    }
}

request! {
    /// Grants a user a permission on an experiment, as clients of MLflow 2 do.
    CreateExperimentPermission {
        /// The experiment.
        experiment_id: required,
        /// The user.
        username: required,
        /// See [`crate::permission`].
        permission: required,
    }
}

request! {
    /// Asks for a user's grant on an experiment.
    GetExperimentPermission {
        /// The experiment.
        experiment_id: required,
        /// The user.
        username: required,
    }
}

request! {
    /// Changes a user's grant on an experiment.
    UpdateExperimentPermission {
        /// The experiment.
        experiment_id: required,
        /// The user.
        username: required,
        /// See [`crate::permission`].
        permission: required,
    }
}

request! {
    /// Takes a user's grant on an experiment back.
    DeleteExperimentPermission {
        /// The experiment.
        experiment_id: required,
        /// The user.
        username: required,
    }
}

/// A user's grant on an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentPermission {
    /// The experiment.
    pub experiment_id: String,
    /// The user's id.
    pub user_id: i64,
    /// What is granted.
    pub permission: String,
}

response! {
    /// Answers [`CreateExperimentPermission`] and [`GetExperimentPermission`].
    ExperimentPermissionResponse {
        /// The grant.
        experiment_permission: ExperimentPermission,
    }
}

request! {
    /// Grants a user a permission on a registered model, as clients of MLflow 2 do.
    CreateRegisteredModelPermission {
        /// The model.
        name: required,
        /// The user.
        username: required,
        /// See [`crate::permission`].
        permission: required,
    }
}

request! {
    /// Asks for a user's grant on a registered model.
    GetRegisteredModelPermission {
        /// The model.
        name: required,
        /// The user.
        username: required,
    }
}

request! {
    /// Changes a user's grant on a registered model.
    UpdateRegisteredModelPermission {
        /// The model.
        name: required,
        /// The user.
        username: required,
        /// See [`crate::permission`].
        permission: required,
    }
}

request! {
    /// Takes a user's grant on a registered model back.
    DeleteRegisteredModelPermission {
        /// The model.
        name: required,
        /// The user.
        username: required,
    }
}

/// A user's grant on a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModelPermission {
    /// The model.
    pub name: String,
    /// The user's id.
    pub user_id: i64,
    /// What is granted.
    pub permission: String,
}

response! {
    /// Answers [`CreateRegisteredModelPermission`] and [`GetRegisteredModelPermission`].
    RegisteredModelPermissionResponse {
        /// The grant.
        registered_model_permission: RegisteredModelPermission,
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Unique among the owner's.
    pub name: String,
    /// Whose requests it makes.
    pub username: String,
    /// Milliseconds since 1970.
    #[serde(with = "json::int64")]
    pub creation_time: i64,
    /// Milliseconds since 1970; absent: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<i64>,
}

request! {
    /// Makes a token.
    CreateToken {
        /// Unique among the owner's.
        name: required,
        /// Whose; absent: of who is asking.
        username: text,
        /// How long it is good; absent: until it is revoked.
        expires_in_seconds: integer,
    }
}

response! {
    /// Answers [`CreateToken`].
    CreateTokenResponse {
        /// What is known of it from now on.
        token: Token,
        /// The secret: `Authorization: Bearer <secret>`. It is told this once.
        secret: String,
    }
}

request! {
    /// Asks for a user's tokens.
    ListTokens {
        /// Whose; absent: of who is asking.
        username: text,
    }
}

response! {
    /// Answers [`ListTokens`].
    ListTokensResponse {
        /// By name.
        tokens: Vec<Token>,
    }
}

request! {
    /// Makes a token worthless.
    RevokeToken {
        /// The token.
        name: required,
        /// Whose; absent: of who is asking.
        username: text,
    }
}
