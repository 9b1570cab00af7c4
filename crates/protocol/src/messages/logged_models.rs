//! Logged models. Those of one model have its id in the path.

use serde::{Deserialize, Serialize};

use super::{Kind, Parameter, Request, request, response};
use crate::error::ApiError;
use crate::json;
use crate::logged_model::{LoggedModel, LoggedModelParameter, LoggedModelStatus, LoggedModelTag};
use crate::search::LoggedModelOrder;

request! {
    /// Makes a logged model.
    CreateLoggedModel {
        /// An active experiment.
        experiment_id: required,
        /// Absent: one that is drawn.
        name: text,
        /// The kind.
        model_type: value,
        /// The run that makes it.
        source_run_id: value,
        /// Settings.
        params: list<LoggedModelParameter>,
        /// Notes.
        tags: list<LoggedModelTag>,
    }
}

response! {
    /// Answers [`CreateLoggedModel`], [`FinalizeLoggedModel`], [`GetLoggedModel`] and [`SetLoggedModelTags`].
    LoggedModelResponse {
        /// The model.
        model: LoggedModel,
    }
}

/// Sets the status of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct FinalizeLoggedModel {
    /// Where it stands.
    pub status: LoggedModelStatus,
}

impl Request for FinalizeLoggedModel {
    const PARAMETERS: &'static [Parameter] = &[Parameter::required("status", Kind::Any)];

    fn is_complete(&self) -> bool {
        true
    }
}

request! {
    /// Asks for a logged model.
    GetLoggedModel {
        /// Whether a deleted one will do.
        allow_deleted: boolean,
    }
}

request! {
    /// Sets tags of a logged model.
    SetLoggedModelTags {
        /// Of a key that comes twice the last value stays.
        tags: list<LoggedModelTag>,
    }
}

request! {
    /// Adds params to a logged model.
    LogLoggedModelParamsRequest {
        /// Settings.
        params: list<LoggedModelParameter>,
    }
}

request! {
    /// Asks for the files of a logged model.
    ListLoggedModelArtifacts {
        /// A folder below the model's files; absent: their root.
        artifact_directory_path: text,
        /// From the page before.
        page_token: text,
    }
}

request! {
    /// Searches logged models.
    SearchLoggedModels {
        /// Where to look.
        experiment_ids: required_texts,
        /// In the grammar of [`crate::search`].
        filter: text,
        /// Data sets on which metrics were measured.
        datasets: list<SearchedDataset>,
        /// Absent: [`crate::limits::LOGGED_MODEL_RESULTS_DEFAULT`].
        max_results: integer,
        /// The first counts most.
        order_by: list<OrderBy>,
        /// From the page before.
        page_token: text,
    }
}

/// A data set that [`SearchLoggedModels`] names (`SearchLoggedModels.Dataset` in the proto).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchedDataset {
    /// Its name.
    #[serde(default, deserialize_with = "json::text")]
    pub dataset_name: String,
    /// Its digest; absent: any.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

/// One term of the order that [`SearchLoggedModels`] asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBy {
    /// An attribute, or `metrics.` and a metric.
    #[serde(default, deserialize_with = "json::text")]
    pub field_name: String,
    /// Smallest first, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ascending: Option<bool>,
    /// Only points measured on the data set of this name.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Only points measured on the data set of this digest.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub dataset_digest: Option<String>,
}

impl OrderBy {
    /// As a typed term.
    ///
    /// # Errors
    /// As [`LoggedModelOrder::parse`].
    pub fn parse(&self) -> Result<LoggedModelOrder, ApiError> {
        LoggedModelOrder::parse(
            &self.field_name,
            self.ascending.unwrap_or(true),
            self.dataset_name.as_deref(),
            self.dataset_digest.as_deref(),
        )
    }
}

response! {
    /// Answers [`SearchLoggedModels`].
    SearchLoggedModelsResponse [
        /// In order.
        models: LoggedModel
    ]
}
