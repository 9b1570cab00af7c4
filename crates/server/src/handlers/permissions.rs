//! Who is granted what: `users/permissions/*` of MLflow 3, and `experiments/permissions/*` and
//! `registered-models/permissions/*` of MLflow 2, over the same grants.

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::accounts::{
    CreateExperimentPermission, CreateRegisteredModelPermission, DeleteExperimentPermission, DeleteRegisteredModelPermission,
    ExperimentPermission, ExperimentPermissionResponse, GetExperimentPermission, GetRegisteredModelPermission, GetUserPermission,
    GetUserPermissionResponse, GrantUserPermission, ListCurrentUserPermissions, ListUserPermissions, ListUserPermissionsResponse,
    ListedPermission, RegisteredModelPermission, RegisteredModelPermissionResponse, RevokeUserPermission, UpdateExperimentPermission,
    UpdateRegisteredModelPermission, User,
};
use anmok_protocol::permission::EVERY;
use anmok_protocol::{ApiError, ErrorCode, Grant, Grants, Permission, ResourceType, validate};

use super::users::{current_user, user};
use super::{Answer, found};
use crate::answer::Failure;
use crate::auth::Call;

/// What a grant is on, as it is kept.
pub(crate) fn resource(resource_type: &str, resource: &str) -> Result<(ResourceType, String), ApiError> {
    let kind = ResourceType::parse(resource_type, resource)?;
    let resource = match kind {
        ResourceType::Experiment if resource != EVERY => validate::experiment_id(resource)?.to_string(),
        _ => resource.to_owned(),
    };
    Ok((kind, resource))
}

pub(crate) fn grant(app: &Call, asked: GrantUserPermission) -> Answer<Empty> {
    user(app, &asked.username)?;
    let (resource_type, resource) = resource(&asked.resource_type, &asked.resource_id)?;
    let permission = Permission::parse(&asked.permission)?;
    if permission == Permission::NoPermissions {
        return Err(ApiError::invalid(format!(
            "Invalid permission 'NO_PERMISSIONS' for resource_type='{}'. Resource-level grants accept only: ('DENY', 'EDIT', 'MANAGE', \
             'READ', 'USE').",
            asked.resource_type
        ))
        .into());
    }
    if !app.store.grant(&asked.username, &Grant { resource_type, resource, permission })? {
        let message = format!(
            "Permission for user={} on resource_type={}, resource_id={} already exists.",
            asked.username, asked.resource_type, asked.resource_id
        );
        return Err(ApiError::new(ErrorCode::ResourceAlreadyExists, message).into());
    }
    app.accounts_changed();
    Ok(Empty {})
}

pub(crate) fn revoke(app: &Call, asked: RevokeUserPermission) -> Answer<Empty> {
    user(app, &asked.username)?;
    let (resource_type, resource) = resource(&asked.resource_type, &asked.resource_id)?;
    if !app.store.revoke(&asked.username, resource_type, &resource)? {
        let message = format!(
            "Permission for user={} on resource_type={}, resource_id={} not found.",
            asked.username, asked.resource_type, asked.resource_id
        );
        return Err(ApiError::new(ErrorCode::ResourceDoesNotExist, message).into());
    }
    app.accounts_changed();
    Ok(Empty {})
}

pub(crate) fn get(app: &Call, asked: GetUserPermission) -> Answer<GetUserPermissionResponse> {
    let (resource_type, resource) = resource(&asked.resource_type, &asked.resource_id)?;
    let grants = Grants::new(app.store.grants(&asked.username)?);
    let default = app.gate.as_ref().ok_or(Failure::Forbidden)?.default_permission;
    let permission = grants.permission(resource_type, &resource, default);
    let allowed = matches!(permission, Permission::Use | Permission::Edit | Permission::Manage);
    Ok(GetUserPermissionResponse { allowed, permission: permission.name().into() })
}

pub(crate) fn list(app: &Call, asked: ListUserPermissions) -> Answer<ListUserPermissionsResponse> {
    let user = user(app, &asked.username)?;
    listed(app, &user)
}

pub(crate) fn list_current(app: &Call, _: ListCurrentUserPermissions) -> Answer<ListUserPermissionsResponse> {
    listed(app, &current_user(app)?)
}

fn listed(app: &Call, user: &User) -> Answer<ListUserPermissionsResponse> {
    let permissions = app.store.grants(&user.username)?.into_iter().map(|grant| ListedPermission {
        role_id: user.id,
        role_name: format!("__user_{}__", user.id),
        workspace: "default".into(),
        resource_type: grant.resource_type.name().into(),
        resource_pattern: grant.resource,
        permission: grant.permission.name().into(),
    });
    Ok(ListUserPermissionsResponse { is_admin: user.is_admin, permissions: permissions.collect() })
}

/// A grant in the words of MLflow 2's endpoints.
struct Named<'a> {
    resource_type: ResourceType,
    resource: String,
    username: &'a str,
}

impl<'a> Named<'a> {
    fn experiment(experiment_id: &str, username: &'a str) -> Answer<Self> {
        let resource = validate::experiment_id(experiment_id)?.to_string();
        Ok(Self { resource_type: ResourceType::Experiment, resource, username })
    }

    fn model(name: &str, username: &'a str) -> Self {
        Self { resource_type: ResourceType::RegisteredModel, resource: name.into(), username }
    }

    fn absent(&self) -> ApiError {
        let (resource, username) = (&self.resource, self.username);
        let message = match self.resource_type {
            ResourceType::Experiment => format!("Experiment permission with experiment_id={resource} and username={username} not found"),
            ResourceType::RegisteredModel => {
                format!("Registered model permission with workspace=default, name={resource} and username={username} not found")
            }
        };
        ApiError::new(ErrorCode::ResourceDoesNotExist, message)
    }

    fn taken(&self) -> ApiError {
        let (resource, username) = (&self.resource, self.username);
        let message = match self.resource_type {
            ResourceType::Experiment => format!("Experiment permission (experiment_id={resource}, username={username}) already exists."),
            ResourceType::RegisteredModel => {
                format!("Registered model permission (workspace=default, name={resource}, username={username}) already exists.")
            }
        };
        ApiError::new(ErrorCode::ResourceAlreadyExists, message)
    }

    fn create(&self, app: &Call, permission: &str) -> Answer<(i64, Permission)> {
        let (user, grant) = (user(app, self.username)?, self.grant(permission)?);
        if !app.store.grant(self.username, &grant)? {
            return Err(self.taken().into());
        }
        app.accounts_changed();
        Ok((user.id, grant.permission))
    }

    fn get(&self, app: &Call) -> Answer<(i64, Permission)> {
        let user = user(app, self.username)?;
        let grants = app.store.grants(self.username)?;
        let grant = grants.into_iter().find(|grant| grant.resource_type == self.resource_type && grant.resource == self.resource);
        Ok((user.id, found(grant, || self.absent())?.permission))
    }

    fn update(&self, app: &Call, permission: &str) -> Answer<Empty> {
        self.done(app, app.store.update_grant(self.username, &self.grant(permission)?)?)
    }

    fn delete(&self, app: &Call) -> Answer<Empty> {
        self.done(app, app.store.revoke(self.username, self.resource_type, &self.resource)?)
    }

    fn done(&self, app: &Call, was_there: bool) -> Answer<Empty> {
        if !was_there {
            return Err(self.absent().into());
        }
        app.accounts_changed();
        Ok(Empty {})
    }

    fn grant(&self, permission: &str) -> Answer<Grant> {
        let permission = Permission::parse(permission)?;
        Ok(Grant { resource_type: self.resource_type, resource: self.resource.clone(), permission })
    }
}

fn of_experiment(asked_id: &str, (user_id, permission): (i64, Permission)) -> ExperimentPermissionResponse {
    let experiment_permission = ExperimentPermission { experiment_id: asked_id.into(), user_id, permission: permission.name().into() };
    ExperimentPermissionResponse { experiment_permission }
}

fn of_model(name: String, (user_id, permission): (i64, Permission)) -> RegisteredModelPermissionResponse {
    let registered_model_permission = RegisteredModelPermission { name, user_id, permission: permission.name().into() };
    RegisteredModelPermissionResponse { registered_model_permission }
}

pub(crate) fn create_of_experiment(app: &Call, asked: CreateExperimentPermission) -> Answer<ExperimentPermissionResponse> {
    let named = Named::experiment(&asked.experiment_id, &asked.username)?;
    Ok(of_experiment(&named.resource, named.create(app, &asked.permission)?))
}

pub(crate) fn get_of_experiment(app: &Call, asked: GetExperimentPermission) -> Answer<ExperimentPermissionResponse> {
    let named = Named::experiment(&asked.experiment_id, &asked.username)?;
    Ok(of_experiment(&named.resource, named.get(app)?))
}

pub(crate) fn update_of_experiment(app: &Call, asked: UpdateExperimentPermission) -> Answer<Empty> {
    Named::experiment(&asked.experiment_id, &asked.username)?.update(app, &asked.permission)
}

pub(crate) fn delete_of_experiment(app: &Call, asked: DeleteExperimentPermission) -> Answer<Empty> {
    Named::experiment(&asked.experiment_id, &asked.username)?.delete(app)
}

pub(crate) fn create_of_model(app: &Call, asked: CreateRegisteredModelPermission) -> Answer<RegisteredModelPermissionResponse> {
    let granted = Named::model(&asked.name, &asked.username).create(app, &asked.permission)?;
    Ok(of_model(asked.name, granted))
}

pub(crate) fn get_of_model(app: &Call, asked: GetRegisteredModelPermission) -> Answer<RegisteredModelPermissionResponse> {
    let granted = Named::model(&asked.name, &asked.username).get(app)?;
    Ok(of_model(asked.name, granted))
}

pub(crate) fn update_of_model(app: &Call, asked: UpdateRegisteredModelPermission) -> Answer<Empty> {
    Named::model(&asked.name, &asked.username).update(app, &asked.permission)
}

pub(crate) fn delete_of_model(app: &Call, asked: DeleteRegisteredModelPermission) -> Answer<Empty> {
    Named::model(&asked.name, &asked.username).delete(app)
}
