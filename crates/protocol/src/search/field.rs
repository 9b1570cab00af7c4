//! What a clause or an order can be about.

use super::{DatasetField, NumberField, SearchError, TextField};

/// What a field names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    Metric(String),
    Param(String),
    Tag(String),
    Text(TextField),
    Number(NumberField),
    Dataset(DatasetField),
}

const ATTRIBUTE_KEYS: &str =
    "artifact_uri, end_time, run_id, run_name, start_time, status, user_id, created, Created, run name, Run name, Run Name";

impl Field {
    /// Resolves entity and key, aliases included; a key without entity is an attribute.
    pub fn new(entity: Option<&str>, key: &str, position: usize) -> Result<Self, SearchError> {
        match entity.unwrap_or("attribute") {
            "metric" | "metrics" => Ok(Self::Metric(key.into())),
            "parameter" | "parameters" | "param" | "params" => Ok(Self::Param(key.into())),
            "tag" | "tags" => Ok(Self::Tag(key.into())),
            "attribute" | "attributes" | "attr" | "run" => match key {
                "run_id" => Ok(Self::Text(TextField::RunId)),
                "run_name" | "run name" | "Run name" | "Run Name" => Ok(Self::Text(TextField::RunName)),
                "user_id" => Ok(Self::Text(TextField::UserId)),
                "status" => Ok(Self::Text(TextField::Status)),
                "artifact_uri" => Ok(Self::Text(TextField::ArtifactUri)),
                "start_time" | "created" | "Created" => Ok(Self::Number(NumberField::StartTime)),
                "end_time" => Ok(Self::Number(NumberField::EndTime)),
                _ => {
                    let mut message = format!("Invalid attribute key '{key}' specified. Valid keys are '{ATTRIBUTE_KEYS}'");
                    if entity.is_none() {
                        message += &format!("; a metric is written metrics.{key}, a param params.{key}, a tag tags.{key}");
                    }
                    Err(SearchError { message, position })
                }
            },
            "dataset" | "datasets" => match key {
                "name" => Ok(Self::Dataset(DatasetField::Name)),
                "digest" => Ok(Self::Dataset(DatasetField::Digest)),
                "context" => Ok(Self::Dataset(DatasetField::Context)),
                _ => Err(SearchError {
                    message: format!("Invalid dataset key '{key}' specified. Valid keys are 'context, digest, name'"),
                    position,
                }),
            },
            other => Err(SearchError {
                message: format!("Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"),
                position,
            }),
        }
    }

    /// MLflow's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Metric(_) => "metric",
            Self::Param(_) => "parameter",
            Self::Tag(_) => "tag",
            Self::Text(_) | Self::Number(_) => "attribute",
            Self::Dataset(_) => "dataset",
        }
    }

    /// The key, under its first name.
    pub fn key(&self) -> &str {
        match self {
            Self::Metric(key) | Self::Param(key) | Self::Tag(key) => key,
            Self::Text(TextField::RunId) => "run_id",
            Self::Text(TextField::RunName) => "run_name",
            Self::Text(TextField::UserId) => "user_id",
            Self::Text(TextField::Status) => "status",
            Self::Text(TextField::ArtifactUri) => "artifact_uri",
            Self::Number(NumberField::StartTime) => "start_time",
            Self::Number(NumberField::EndTime) => "end_time",
            Self::Dataset(DatasetField::Name) => "name",
            Self::Dataset(DatasetField::Digest) => "digest",
            Self::Dataset(DatasetField::Context) => "context",
        }
    }
}
