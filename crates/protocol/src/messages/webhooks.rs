//! Webhooks. Those of one webhook have its id in the path.

use serde::{Deserialize, Serialize};

use super::{request, response};
use crate::json;

/// Somebody who is told of what happens in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Made by the server.
    pub webhook_id: String,
    /// 1 to 63 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who is told.
    pub url: String,
    /// Of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<WebhookEvent>,
    /// Whether it is told at present.
    #[serde(default)]
    pub status: WebhookStatus,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub creation_timestamp: i64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub last_updated_timestamp: i64,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// To what.
    pub entity: WebhookEntity,
    /// What.
    pub action: WebhookAction,
}

/// What something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookEntity {
    /// Not said.
    Unspecified,
    /// A registered model.
    RegisteredModel,
    /// A version of one.
    ModelVersion,
    /// A tag of a version.
    ModelVersionTag,
    /// An alias of a version.
    ModelVersionAlias,
    /// A prompt.
    Prompt,
    /// A version of one.
    PromptVersion,
    /// A tag of a prompt.
    PromptTag,
    /// A tag of a prompt's version.
    PromptVersionTag,
    /// An alias of a prompt's version.
    PromptAlias,
    /// A budget of the gateway.
    BudgetPolicy,
}

json::wire_enum!(WebhookEntity {
    Unspecified = 0 "ENTITY_UNSPECIFIED",
    RegisteredModel = 1 "REGISTERED_MODEL",
    ModelVersion = 2 "MODEL_VERSION",
    ModelVersionTag = 3 "MODEL_VERSION_TAG",
    ModelVersionAlias = 4 "MODEL_VERSION_ALIAS",
    Prompt = 5 "PROMPT",
    PromptVersion = 6 "PROMPT_VERSION",
    PromptTag = 7 "PROMPT_TAG",
    PromptVersionTag = 8 "PROMPT_VERSION_TAG",
    PromptAlias = 9 "PROMPT_ALIAS",
    BudgetPolicy = 10 "BUDGET_POLICY",
});

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookAction {
    /// Not said.
    Unspecified,
    /// It is made.
    Created,
    /// It is changed.
    Updated,
    /// It is deleted.
    Deleted,
    /// It is set.
    Set,
    /// It is exceeded.
    Exceeded,
}

json::wire_enum!(WebhookAction {
    Unspecified = 0 "ACTION_UNSPECIFIED",
    Created = 1 "CREATED",
    Updated = 2 "UPDATED",
    Deleted = 3 "DELETED",
    Set = 4 "SET",
    Exceeded = 5 "EXCEEDED",
});

/// Whether a webhook is told at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum WebhookStatus {
    /// It is.
    #[default]
    Active,
    /// It is not.
    Disabled,
}

json::wire_enum!(WebhookStatus { Active = 1 "ACTIVE", Disabled = 2 "DISABLED" });

request! {
    /// Makes a webhook.
    CreateWebhook {
        /// 1 to 63 letters, digits, `.`, `_` and `-`.
        name: required,
        /// Who is told.
        url: required,
        /// Of what.
        events: required_list<WebhookEvent>,
        /// What it is for.
        description: text,
        /// What the messages are signed with.
        secret: text,
        /// Absent: active.
        status: one<WebhookStatus>,
    }
}

response! {
    /// Answers [`CreateWebhook`], [`UpdateWebhook`] and the question for one.
    WebhookResponse {
        /// The webhook.
        webhook: Webhook,
    }
}

request! {
    /// Asks for all webhooks.
    ListWebhooks {
        /// Absent: 100.
        max_results: integer,
        /// From the page before.
        page_token: text,
    }
}

response! {
    /// Answers [`ListWebhooks`].
    ListWebhooksResponse [
        /// In order.
        webhooks: Webhook
    ]
}

request! {
    /// Changes a webhook; what is absent stays.
    UpdateWebhook {
        /// 1 to 63 letters, digits, `.`, `_` and `-`.
        name: text,
        /// What it is for.
        description: text,
        /// Who is told.
        url: text,
        /// Of what.
        events: list<WebhookEvent>,
        /// What the messages are signed with.
        secret: text,
        /// Whether it is told at present.
        status: one<WebhookStatus>,
    }
}

request! {
    /// Has a webhook told of an event that did not happen.
    TestWebhook {
        /// Absent: the first of the webhook's own.
        event: one<WebhookEvent>,
    }
}

response! {
    /// Answers [`TestWebhook`].
    TestWebhookResponse {
        /// What came of it.
        result: WebhookTestResult,
    }
}

/// What came of a [`TestWebhook`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTestResult {
    /// Whether the answer was a 2xx.
    pub success: bool,
    /// The HTTP status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<i32>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}
