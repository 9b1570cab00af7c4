//! The model registry: registered models, their versions, stages, tags and aliases.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ApiError;
use crate::json;

/// A name under which versions of a model are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// Unique.
    pub name: String,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub creation_timestamp: i64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub last_updated_timestamp: i64,
    /// Who made it; MLflow's own server never says.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// What it is for.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The highest version of each stage that has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latest_versions: Vec<ModelVersion>,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<RegisteredModelTag>,
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<RegisteredModelAlias>,
}

/// A note on a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModelTag {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

/// A name for one version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModelAlias {
    /// The name, for example `champion`.
    pub alias: String,
    /// The version that it stands for.
    #[serde(with = "json::version")]
    pub version: i64,
}

/// One version of a registered model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The registered model.
    pub name: String,
    /// From 1 on; text on the wire.
    #[serde(with = "json::version")]
    pub version: i64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub creation_timestamp: i64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub last_updated_timestamp: i64,
    /// Who made it; MLflow's own server never says.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// How far it has come.
    #[serde(default)]
    pub current_stage: ModelStage,
    /// What is special about it.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The URI that it was made from.
    #[serde(default)]
    pub source: String,
    /// The run that made the model.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub status: ModelVersionStatus,
    /// More on the status.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<ModelVersionTag>,
    /// Where the run can be looked at, if on another server.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub run_link: Option<String>,
    /// The aliases that stand for it, by name; not told in the lists of searches and of registered models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The logged model that it was made from; read from servers that tell it, which MLflow's own does not.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing)]
    pub model_id: Option<String>,
}

/// A note on a model version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersionTag {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

/// Whether a model version can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ModelVersionStatus {
    /// Its files are being copied.
    PendingRegistration,
    /// Its files could not be copied.
    FailedRegistration,
    /// It can be used.
    #[default]
    Ready,
}

json::wire_enum!(ModelVersionStatus {
    PendingRegistration = 1 "PENDING_REGISTRATION",
    FailedRegistration = 2 "FAILED_REGISTRATION",
    Ready = 3 "READY",
});

/// How far a model version has come (MLflow advises aliases instead, and keeps the stages).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ModelStage {
    /// Nowhere yet.
    #[default]
    None,
    /// Being tried.
    Staging,
    /// In use.
    Production,
    /// Put away.
    Archived,
}

impl ModelStage {
    /// All of them, in MLflow's order.
    pub const ALL: [ModelStage; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// Whether moving a version here can archive those that are here already.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}

impl fmt::Display for ModelStage {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for ModelStage {
    type Err = ApiError;

    /// Case does not count.
    fn from_str(text: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|stage| stage.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
            ApiError::invalid(format!("Invalid Model Version stage: {text}. Value must be one of None, Staging, Production, Archived."))
        })
    }
}

impl Serialize for ModelStage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for ModelStage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
