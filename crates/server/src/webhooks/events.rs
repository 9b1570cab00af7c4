//! What happens in the registry, and what is told of it: MLflow's events and payloads.

use anmok_protocol::messages::webhooks::{WebhookAction, WebhookEntity, WebhookEvent};
use anmok_protocol::{ApiError, IS_PROMPT_TAG, ModelVersionTag, RegisteredModelTag};
use serde_json::{Map, Value, json};

/// What MLflow keeps in tags of prompts and does not tell as such.
const PROMPT_TYPE_TAG: &str = "_mlflow_prompt_type";
const PROMPT_TEXT_TAG: &str = "mlflow.prompt.text";

/// Something that happened to a registered model or, under other names, to a prompt.
#[derive(Debug)]
pub(crate) struct Happening {
    pub event: WebhookEvent,
    pub data: Value,
}

fn happened(entity: WebhookEntity, action: WebhookAction, data: Value) -> Happening {
    Happening { event: WebhookEvent { entity, action }, data }
}

fn pairs<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    tags.map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

/// Whether tags say that something is a prompt; of a key that comes twice the last counts.
pub(crate) fn is_prompt<'a>(tags: impl DoubleEndedIterator<Item = (&'a str, &'a str)>) -> bool {
    let said = tags.rev().find(|(key, _)| *key == IS_PROMPT_TAG);
    said.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"))
}

/// A registered model was made.
pub(crate) fn model_created(name: &str, description: Option<&str>, tags: &[RegisteredModelTag]) -> Happening {
    let said = || tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    let mut tags = pairs(said());
    let entity = if is_prompt(said()) {
        tags.retain(|key, _| key != IS_PROMPT_TAG && key != PROMPT_TYPE_TAG);
        WebhookEntity::Prompt
    } else {
        WebhookEntity::RegisteredModel
    };
    // Of a proto, an absent text is an empty one.
    let data = json!({ "name": name, "tags": tags, "description": description.unwrap_or_default() });
    happened(entity, WebhookAction::Created, data)
}

/// A version was made.
pub(crate) struct VersionCreated<'a> {
    pub name: &'a str,
    pub version: i64,
    pub source: &'a str,
    pub run_id: Option<&'a str>,
    pub description: Option<&'a str>,
    pub tags: &'a [ModelVersionTag],
}

impl VersionCreated<'_> {
    pub fn happening(&self) -> Happening {
        let said = || self.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
        let (name, version, description) = (self.name, self.version.to_string(), self.description);
        let mut tags = pairs(said());
        if is_prompt(said()) {
            let template = tags.remove(PROMPT_TEXT_TAG).unwrap_or_default();
            tags.retain(|key, _| key != IS_PROMPT_TAG && key != PROMPT_TYPE_TAG);
            let data = json!({ "name": name, "version": version, "template": template, "tags": tags, "description": description });
            return happened(WebhookEntity::PromptVersion, WebhookAction::Created, data);
        }
        let data = json!({
            "name": name, "version": version, "source": self.source, "run_id": self.run_id, "tags": tags, "description": description,
        });
        happened(WebhookEntity::ModelVersion, WebhookAction::Created, data)
    }
}

/// A change to something that is there: what it is called depends on what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    ModelTagSet { key: &'a str, value: &'a str },
    ModelTagDeleted { key: &'a str },
    VersionTagSet { version: &'a str, key: &'a str, value: &'a str },
    VersionTagDeleted { version: &'a str, key: &'a str },
    AliasSet { alias: &'a str, version: &'a str },
    AliasDeleted { alias: &'a str },
}

impl Change<'_> {
    /// What is told; MLflow tells nobody of the tags of a model.
    pub fn happening(self, name: &str, is_prompt: bool) -> Option<Happening> {
        use WebhookAction::{Created, Deleted, Set};
        let either = |prompt, model| if is_prompt { prompt } else { model };
        let tag = either(WebhookEntity::PromptVersionTag, WebhookEntity::ModelVersionTag);
        let of_alias = either(WebhookEntity::PromptAlias, WebhookEntity::ModelVersionAlias);
        Some(match self {
            Self::ModelTagSet { .. } | Self::ModelTagDeleted { .. } if !is_prompt => return None,
            Self::ModelTagSet { key, value } => {
                happened(WebhookEntity::PromptTag, Set, json!({ "name": name, "key": key, "value": value }))
            }
            Self::ModelTagDeleted { key } => happened(WebhookEntity::PromptTag, Deleted, json!({ "name": name, "key": key })),
            Self::VersionTagSet { version, key, value } => {
                happened(tag, Set, json!({ "name": name, "version": version, "key": key, "value": value }))
            }
            Self::VersionTagDeleted { version, key } => happened(tag, Deleted, json!({ "name": name, "version": version, "key": key })),
            Self::AliasSet { alias, version } => happened(of_alias, Created, json!({ "name": name, "alias": alias, "version": version })),
            Self::AliasDeleted { alias } => happened(of_alias, Deleted, json!({ "name": name, "alias": alias })),
        })
    }
}

/// Checks the events of a webhook: each must be one that can happen.
pub(crate) fn check(events: &[WebhookEvent]) -> Result<(), ApiError> {
    match events.iter().find(|event| example(**event).is_none()) {
        Some(event) => {
            Err(ApiError::invalid(format!("Invalid action '{}' for entity '{}'.", wire(event.action.name()), wire(event.entity.name()))))
        }
        None => Ok(()),
    }
}

/// The name of an entity or action in what is told.
pub(crate) fn wire(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// What a test tells; `None` for what never happens.
pub(crate) fn example(event: WebhookEvent) -> Option<Value> {
    use WebhookAction::{Created, Deleted, Exceeded, Set};
    use WebhookEntity::{
        BudgetPolicy, ModelVersion, ModelVersionAlias, ModelVersionTag, Prompt, PromptAlias, PromptTag, PromptVersion, PromptVersionTag,
        RegisteredModel,
    };
    let (model, prompt, tags) = ("example_model", "example_prompt", json!({ "example_key": "example_value" }));
    let (key, value, alias) = ("example_key", "example_value", "example_alias");
    Some(match (event.entity, event.action) {
        (RegisteredModel, Created) => json!({ "name": model, "tags": tags, "description": "An example registered model" }),
        (ModelVersion, Created) => json!({
            "name": model, "version": "1", "source": "models:/123", "run_id": "abcd1234abcd5678", "tags": tags,
            "description": "An example model version",
        }),
        (ModelVersionTag, Set) => json!({ "name": model, "version": "1", "key": key, "value": value }),
        (ModelVersionTag, Deleted) => json!({ "name": model, "version": "1", "key": key }),
        (ModelVersionAlias, Created) => json!({ "name": model, "alias": alias, "version": "1" }),
        (ModelVersionAlias, Deleted) => json!({ "name": model, "alias": alias }),
        (Prompt, Created) => json!({ "name": prompt, "tags": tags, "description": "An example prompt" }),
        (PromptVersion, Created) => json!({
            "name": prompt, "version": "1", "template": "Hello {{name}}!", "tags": tags, "description": "An example prompt version",
        }),
        (PromptTag, Set) => json!({ "name": prompt, "key": key, "value": value }),
        (PromptTag, Deleted) => json!({ "name": prompt, "key": key }),
        (PromptVersionTag, Set) => json!({ "name": prompt, "version": "1", "key": key, "value": value }),
        (PromptVersionTag, Deleted) => json!({ "name": prompt, "version": "1", "key": key }),
        (PromptAlias, Created) => json!({ "name": prompt, "alias": alias, "version": "1" }),
        (PromptAlias, Deleted) => json!({ "name": prompt, "alias": alias }),
        // The gateway's, which this server has not: it can be asked for and tested, and never happens.
        (BudgetPolicy, Exceeded) => json!({
            "budget_policy_id": "bp-abc123", "budget_unit": "USD", "budget_amount": 100.0, "current_spend": 105.5,
            "duration_unit": "MONTHS", "duration_value": 1, "target_scope": "ENDPOINT", "workspace": "default",
            "target_value": "ep-abc123", "window_start": 1_704_067_200_000_i64,
        }),
        _ => return None,
    })
}
