//! Who may do what: MLflow's permissions, and how a user's grants decide.
//!
//! Runs, logged models and metrics follow their experiment; versions, tags and aliases their registered model. Prompts are
//! registered models. An administrator may do everything and is never asked here.

use std::collections::HashMap;
use std::fmt;

use crate::error::ApiError;

/// How far somebody may go with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See it.
    Read,
    /// See and use it; of experiments and models it says no more than READ.
    Use,
    /// And change it.
    Edit,
    /// And delete it, and say who else may.
    Manage,
    /// Nothing, whatever other grants and the default say.
    NoPermissions,
    /// The same, under the name that MLflow 3 gave it.
    Deny,
}

impl Permission {
    /// All of them, in MLflow's order.
    pub const ALL: [Self; 6] = [Self::Read, Self::Use, Self::Edit, Self::Manage, Self::NoPermissions, Self::Deny];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Use => "USE",
            Self::Edit => "EDIT",
            Self::Manage => "MANAGE",
            Self::NoPermissions => "NO_PERMISSIONS",
            Self::Deny => "DENY",
        }
    }

    /// The permission of this name.
    ///
    /// # Errors
    /// MLflow's words for an unknown name.
    pub fn parse(name: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|permission| permission.name() == name).ok_or_else(|| {
            ApiError::invalid(format!(
                "Invalid permission '{name}'. Valid permissions are: ('READ', 'USE', 'EDIT', 'MANAGE', 'NO_PERMISSIONS', 'DENY')"
            ))
        })
    }

    /// Whether it lets somebody do this.
    pub fn allows(self, action: Action) -> bool {
        let rank = self.rank();
        match action {
            Action::Read => rank >= Self::Read.rank(),
            Action::Update => rank >= Self::Edit.rank(),
            Action::Delete | Action::Manage => rank >= Self::Manage.rank(),
        }
    }

    fn denies(self) -> bool {
        matches!(self, Self::NoPermissions | Self::Deny)
    }

    fn rank(self) -> u8 {
        match self {
            Self::NoPermissions | Self::Deny => 0,
            Self::Read => 1,
            Self::Use => 2,
            Self::Edit => 3,
            Self::Manage => 4,
        }
    }

    fn larger(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is done to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is looked at.
    Read,
    /// It, or something in it, is made or changed.
    Update,
    /// It, or something in it, is deleted or restored.
    Delete,
    /// It is said who may do what with it.
    Manage,
}

/// What permissions are granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceType {
    /// By its id.
    Experiment,
    /// By its name.
    RegisteredModel,
}

impl ResourceType {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::RegisteredModel => "registered_model",
        }
    }

    /// The type of this name, where a prompt is the registered model that it is.
    ///
    /// # Errors
    /// A type that is not kept here, or a grant on every prompt, which would be one on every model.
    pub fn parse(name: &str, resource: &str) -> Result<Self, ApiError> {
        match name {
            "experiment" => Ok(Self::Experiment),
            "registered_model" => Ok(Self::RegisteredModel),
            "prompt" if resource != EVERY => Ok(Self::RegisteredModel),
            "prompt" => Err(ApiError::invalid(
                "Prompts share their names with registered models here: grant on one prompt, or on every 'registered_model'.",
            )),
            _ => Err(ApiError::invalid(format!(
                "Invalid resource type '{name}'. Valid resource types are: ('experiment', 'prompt', 'registered_model')"
            ))),
        }
    }
}

/// The resource of a grant on everything of its type.
pub const EVERY: &str = "*";

/// A permission of one user on one thing, or on everything of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Of which type.
    pub resource_type: ResourceType,
    /// An id or name, or [`EVERY`].
    pub resource: String,
    /// What is granted.
    pub permission: Permission,
}

/// A user's grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    experiments: HashMap<String, Permission>,
    registered_models: HashMap<String, Permission>,
}

impl Grants {
    /// Grants by type and name.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        let mut all = Self::default();
        for grant in grants {
            let of_type = match grant.resource_type {
                ResourceType::Experiment => &mut all.experiments,
                ResourceType::RegisteredModel => &mut all.registered_models,
            };
            of_type.insert(grant.resource, grant.permission);
        }
        all
    }

    fn of_type(&self, resource_type: ResourceType) -> &HashMap<String, Permission> {
        match resource_type {
            ResourceType::Experiment => &self.experiments,
            ResourceType::RegisteredModel => &self.registered_models,
        }
    }

    /// What the user may do with something: a denial wins, then the largest of the grants on it, on everything of its type, and
    /// the default, which is for everybody and so a floor.
    pub fn permission(&self, resource_type: ResourceType, resource: &str, default: Permission) -> Permission {
        let grants = self.of_type(resource_type);
        let granted = [grants.get(resource), grants.get(EVERY)].into_iter().flatten().copied();
        match granted.clone().find(|permission| permission.denies()) {
            Some(denial) => denial,
            None => granted.fold(default, Permission::larger),
        }
    }

    /// What the user may see of a type.
    pub fn visible(&self, resource_type: ResourceType, default: Permission) -> Visible {
        let reads = |resource: &str| self.permission(resource_type, resource, default).allows(Action::Read);
        let usual = reads(EVERY);
        let others = self.of_type(resource_type).keys().filter(|resource| *resource != EVERY && reads(resource) != usual);
        let mut others: Vec<String> = others.cloned().collect();
        others.sort();
        match (usual, others.is_empty()) {
            (true, true) => Visible::Everything,
            (true, false) => Visible::Except(others),
            (false, _) => Visible::Only(others),
        }
    }
}

/// Which things of a type somebody may see: a search's first condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    #[default]
    Everything,
    /// All but these.
    Except(Vec<String>),
    /// These alone.
    Only(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(given: &[(&str, Permission)]) -> Grants {
        Grants::new(given.iter().map(|(resource, permission)| Grant {
            resource_type: ResourceType::Experiment,
            resource: (*resource).into(),
            permission: *permission,
        }))
    }

    #[test]
    fn a_denial_wins_then_the_largest() {
        use Permission::{Deny, Edit, Manage, NoPermissions, Read};
        for (given, default, permission) in [
            (&[][..], Read, Read),
            (&[][..], NoPermissions, NoPermissions),
            (&[("1", Edit)], Read, Edit),
            (&[("1", Read)], Edit, Edit),
            (&[("2", Manage)], Read, Read),
            (&[("*", Edit)], NoPermissions, Edit),
            (&[("*", Edit), ("1", Read)], NoPermissions, Edit),
            (&[("*", Edit), ("1", NoPermissions)], Manage, NoPermissions),
            (&[("*", Deny), ("1", Manage)], Manage, Deny),
        ] {
            assert_eq!(grants(given).permission(ResourceType::Experiment, "1", default), permission, "{given:?}, {default}");
            assert_eq!(grants(given).permission(ResourceType::RegisteredModel, "1", default), default, "{given:?}: another type");
        }
    }

    #[test]
    fn what_is_visible_is_what_may_be_read() {
        use Permission::{Deny, Manage, NoPermissions, Read};
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (given, default, visible) in [
            (&[("1", Manage)][..], Read, Visible::Everything),
            (&[("1", Manage), ("2", Deny)], Read, Visible::Except(names(&["2"]))),
            (&[("1", Manage), ("2", Read)], NoPermissions, Visible::Only(names(&["1", "2"]))),
            (&[], NoPermissions, Visible::Only(vec![])),
            (&[("*", Read), ("1", NoPermissions)], NoPermissions, Visible::Except(names(&["1"]))),
            (&[("*", Deny), ("1", Manage)], Manage, Visible::Only(vec![])),
        ] {
            assert_eq!(grants(given).visible(ResourceType::Experiment, default), visible, "{given:?}, {default}");
        }
    }

    #[test]
    fn names_are_mlflows() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.name()), Ok(permission));
        }
        assert!(Permission::parse("read").unwrap_err().message.contains("Valid permissions are: ('READ', 'USE'"));
        assert_eq!(ResourceType::parse("prompt", "a"), Ok(ResourceType::RegisteredModel));
        assert!(ResourceType::parse("prompt", "*").is_err() && ResourceType::parse("scorer", "1/a").is_err());
    }
}
