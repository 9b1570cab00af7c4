//! `users/*`, permissions and tokens: everybody looks after themselves, whoever manages something says who else may use it,
//! and the rest is for administrators, who are not asked.

use anmok_protocol::Action;
use anmok_protocol::messages::accounts::{
    CreateExperimentPermission, CreateRegisteredModelPermission, CreateToken, CreateUser, DeleteExperimentPermission,
    DeleteRegisteredModelPermission, DeleteUser, GetCurrentUser, GetExperimentPermission, GetRegisteredModelPermission, GetUser,
    GetUserPermission, GrantUserPermission, ListCurrentUserPermissions, ListTokens, ListUserPermissions, ListUsers, RevokeToken,
    RevokeUserPermission, UpdateExperimentPermission, UpdateRegisteredModelPermission, UpdateUserAdmin, UpdateUserPassword,
};
use anmok_protocol::permission::EVERY;

use super::rules;
use crate::auth::check::Check;
use crate::handlers::Answer;
use crate::handlers::permissions::resource;

rules! {
    CreateUser | UpdateUserAdmin | DeleteUser => |_, _, _| Ok(false);
    // To grant something one must know to whom.
    ListUsers | GetCurrentUser | ListCurrentUserPermissions => |_, _, _| Ok(true);
    GetUser | UpdateUserPassword | ListUserPermissions | GetUserPermission => |check, asked, _| Ok(check.is_user(&asked.username));
    GrantUserPermission | RevokeUserPermission => |check, asked, _| manages(check, &asked.resource_type, &asked.resource_id);
    CreateExperimentPermission | GetExperimentPermission | UpdateExperimentPermission | DeleteExperimentPermission => |check, asked, _| {
        check.experiment(&asked.experiment_id, Action::Manage)
    };
    CreateRegisteredModelPermission | GetRegisteredModelPermission | UpdateRegisteredModelPermission | DeleteRegisteredModelPermission
        => |check, asked, _| Ok(asked.name != EVERY && check.model(&asked.name, Action::Manage)?);
    CreateToken | ListTokens | RevokeToken => |check, asked, _| {
        Ok(asked.username.as_ref().is_none_or(|username| check.is_user(username)))
    };
}

fn manages(check: &Check, resource_type: &str, resource_id: &str) -> Answer<bool> {
    let (resource_type, resource) = resource(resource_type, resource_id)?;
    Ok(resource != EVERY && check.permission(resource_type, &resource).allows(Action::Manage))
}
