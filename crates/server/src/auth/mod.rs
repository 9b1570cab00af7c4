//! Who asks, and what they may do: MLflow's basic-auth app. Without it nobody is asked and everything is allowed.
//!
//! - [`password`]: hashes of passwords and tokens
//! - `credentials`: what stands in `Authorization`
//! - `gate`: from credentials to an account, and what is remembered in between
//! - `throttle`: guesses are few
//! - `check`: whether an account may do something
//! - `rules`: what each request asks of it, on the same message that its handler reads
//!
//! An administrator is asked for nothing. Refusals are MLflow's "Permission denied" (403), and, as there, an id that leads
//! nowhere is refused too, so that ids cannot be tried out.

pub(crate) mod check;
mod credentials;
pub(crate) mod gate;
pub mod password;
pub(crate) mod rules;
mod throttle;

use std::ops::Deref;
use std::sync::Arc;

use anmok_protocol::{Permission, ResourceType, Visible};

use crate::answer::Failure;
use crate::endpoint::InPath;
use crate::state::App;
use check::Check;
pub(crate) use gate::Known;

/// How a server that knows its users behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// What users may do with what nobody granted them.
    pub default_permission: Permission,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Nobody was asked for a name.
    Anyone,
    /// A user.
    Account(Arc<Known>),
}

impl Caller {
    /// The user, unless everything is allowed anyway.
    fn limited(&self) -> Option<&Known> {
        match self {
            Self::Account(account) if !account.user.is_admin => Some(account),
            Self::Anyone | Self::Account(_) => None,
        }
    }

    /// The user's number.
    pub fn id(&self) -> Option<i64> {
        self.account().map(|account| account.user.id)
    }

    /// The user.
    pub fn account(&self) -> Option<&Known> {
        match self {
            Self::Anyone => None,
            Self::Account(account) => Some(account),
        }
    }
}

/// What a handler sees: the server, and who asks.
pub(crate) struct Call<'a> {
    app: &'a App,
    pub caller: &'a Caller,
}

impl Deref for Call<'_> {
    type Target = App;

    fn deref(&self) -> &App {
        self.app
    }
}

impl<'a> Call<'a> {
    pub fn new(app: &'a App, caller: &'a Caller) -> Self {
        Self { app, caller }
    }

    /// Whether the caller may do what `rule` asks.
    pub fn allowed(&self, mut rule: impl FnMut(&Check) -> Result<bool, Failure>) -> Result<bool, Failure> {
        let Some(gate) = &self.app.gate else { return Ok(true) };
        // Nobody comes past the gate without an account; who does is refused.
        let Some(account) = self.caller.account() else { return Ok(false) };
        if account.user.is_admin || rule(&Check { app: self.app, gate, account })? {
            return Ok(true);
        }
        // Another server may have granted it within the last second: nobody is refused by what is remembered.
        match gate.reread(&*self.app.store, account.user.id)? {
            Some(now) if now.revision != account.revision => Ok(now.user.is_admin || rule(&Check { app: self.app, gate, account: &now })?),
            _ => Ok(false),
        }
    }

    /// The caller's own account was changed.
    pub fn caller_changed(&self) {
        if let (Some(gate), Some(id)) = (&self.app.gate, self.caller.id()) {
            gate.forget_one(id);
        }
    }

    /// Accounts were changed.
    pub fn accounts_changed(&self) {
        if let Some(gate) = &self.app.gate {
            gate.forget();
        }
    }

    /// What the caller may see of a type.
    pub fn visible(&self, resource_type: ResourceType) -> Visible {
        match (&self.app.gate, self.caller.limited()) {
            (Some(gate), Some(account)) => account.grants.visible(resource_type, gate.default_permission),
            _ => Visible::Everything,
        }
    }
}

/// A request that is carried out only for those who may ask it. Administrators are not asked.
pub(crate) trait Guarded {
    /// Whether the account may; what it may not see can be taken out of the request instead.
    fn allowed(&mut self, check: &Check, path: &InPath) -> Result<bool, Failure>;
}
