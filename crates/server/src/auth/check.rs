//! Whether an account may do something. What leads nowhere is refused, as MLflow does it, except where the handler says so
//! without telling anything (an experiment's or a model's own name).

use anmok_protocol::{Action, Permission, ResourceType, validate};

use super::gate::{Gate, Known};
use crate::handlers::Answer;
use crate::state::App;

/// One account in front of one request.
pub(crate) struct Check<'a> {
    pub app: &'a App,
    pub gate: &'a Gate,
    pub account: &'a Known,
}

impl Check<'_> {
    /// What the account may do with something.
    pub fn permission(&self, resource_type: ResourceType, resource: &str) -> Permission {
        self.account.grants.permission(resource_type, resource, self.gate.default_permission)
    }

    /// An experiment, which need not be there.
    pub fn experiment(&self, experiment_id: &str, action: Action) -> Answer<bool> {
        // As the store reads it: "01" is experiment 1, whose grants must count.
        let id = validate::experiment_id(experiment_id)?.to_string();
        Ok(self.permission(ResourceType::Experiment, &id).allows(action))
    }

    /// Experiments, which need not be there.
    pub fn experiments(&self, experiment_ids: &[String], action: Action) -> Answer<bool> {
        all(experiment_ids, |id| self.experiment(id, action))
    }

    /// Leaves those experiments that may be read.
    pub fn keep_readable(&self, experiment_ids: &mut Vec<String>) -> Answer<()> {
        let mut kept = Vec::with_capacity(experiment_ids.len());
        for id in std::mem::take(experiment_ids) {
            if self.experiment(&id, Action::Read)? {
                kept.push(id);
            }
        }
        *experiment_ids = kept;
        Ok(())
    }

    /// A run, by its experiment.
    pub fn run(&self, run_id: &str, action: Action) -> Answer<bool> {
        match self.gate.experiment_of_run(&*self.app.store, run_id)? {
            Some(experiment_id) => self.experiment(&experiment_id, action),
            None => Ok(false),
        }
    }

    /// Runs, by their experiments.
    pub fn runs<'a>(&self, run_ids: impl IntoIterator<Item = &'a String>, action: Action) -> Answer<bool> {
        all(run_ids, |id| self.run(id, action))
    }

    /// A logged model, by its experiment.
    pub fn logged_model(&self, model_id: &str, action: Action) -> Answer<bool> {
        match self.gate.experiment_of_model(&*self.app.store, model_id)? {
            Some(experiment_id) => self.experiment(&experiment_id, action),
            None => Ok(false),
        }
    }

    /// Logged models, by their experiments.
    pub fn logged_models<'a>(&self, model_ids: impl IntoIterator<Item = &'a String>, action: Action) -> Answer<bool> {
        all(model_ids, |id| self.logged_model(id, action))
    }

    /// A registered model, which need not be there.
    pub fn model(&self, name: &str, action: Action) -> Answer<bool> {
        Ok(self.permission(ResourceType::RegisteredModel, name).allows(action))
    }

    /// A registered model that must be there.
    pub fn model_there(&self, name: &str, action: Action) -> Answer<bool> {
        Ok(self.model(name, action)? && self.app.store.registered_model(name)?.is_some())
    }

    /// Whether the account is this user's.
    pub fn is_user(&self, username: &str) -> bool {
        self.account.user.username == username
    }
}

fn all<T>(items: impl IntoIterator<Item = T>, allowed: impl Fn(T) -> Answer<bool>) -> Answer<bool> {
    for item in items {
        if !allowed(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}
