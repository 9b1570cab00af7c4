//! Runs, and what is logged to them.

use serde::{Deserialize, Serialize};

use super::{Kind, Parameter, Request, request, response};
use crate::experiment::ViewType;
use crate::json;
use crate::run::{DatasetInput, Metric, ModelInput, ModelOutput, Param, Run, RunData, RunInfo, RunInputs, RunStatus, RunTag};

request! {
    /// Starts a run.
    CreateRun {
        /// An active experiment; MLflow's own server has no default here.
        experiment_id: text,
        /// Who starts it.
        user_id: value,
        /// Absent: the tag `mlflow.runName`, or one that is drawn.
        run_name: text,
        /// Milliseconds since 1970; absent: 0, as MLflow has it.
        start_time: integer,
        /// Tags from the start.
        tags: list<RunTag>,
    }
}

response! {
    /// Answers [`CreateRun`].
    CreateRunResponse {
        /// The run.
        run: MadeRun,
    }
}

/// A run that was just made: it cannot have outputs, and is told without the field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeRun {
    /// What it is.
    pub info: RunInfo,
    /// The tags it was made with.
    pub data: RunData,
    /// Nothing yet.
    pub inputs: RunInputs,
}

response! {
    /// Answers [`GetRun`].
    RunResponse {
        /// The run.
        run: Run,
    }
}

request! {
    /// Changes a run.
    UpdateRun {
        run,
        /// Where it stands.
        status: one<RunStatus>,
        /// Milliseconds since 1970.
        end_time: integer,
        /// Its name.
        run_name: text,
    }
}

response! {
    /// Answers [`UpdateRun`].
    UpdateRunResponse {
        /// The run after the change.
        run_info: RunInfo,
    }
}

request! {
    /// Marks a run as deleted.
    DeleteRun {
        /// The run.
        run_id: required,
    }
}

request! {
    /// Undoes [`DeleteRun`].
    RestoreRun {
        /// The run.
        run_id: required,
    }
}

request! {
    /// Asks for a run.
    GetRun {
        run,
    }
}

request! {
    /// Searches runs.
    SearchRuns {
        /// Where to look.
        experiment_ids: texts,
        /// In the grammar of [`crate::search`].
        filter: text,
        /// Which of the active and deleted ones.
        run_view_type: one<ViewType>,
        /// Absent: [`crate::limits::SEARCH_RESULTS_DEFAULT`].
        max_results: integer,
        /// In the grammar of [`crate::search`].
        order_by: texts,
        /// From the page before.
        page_token: text,
    }
}

response! {
    /// Answers [`SearchRuns`].
    SearchRunsResponse [
        /// In order.
        runs: Run
    ]
}

/// Logs one point of a metric.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LogMetric {
    /// The run.
    #[serde(default, deserialize_with = "json::text")]
    pub run_id: String,
    /// The run, under its older name.
    #[serde(default, deserialize_with = "json::text")]
    pub run_uuid: String,
    /// The metric.
    pub key: String,
    /// NaN is kept.
    #[serde(with = "json::double")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[serde(with = "json::int64")]
    pub timestamp: i64,
    /// The x axis.
    #[serde(default, deserialize_with = "json::optional_int64")]
    pub step: Option<i64>,
    /// The logged model that it belongs to.
    #[serde(default, deserialize_with = "json::optional_text")]
    pub model_id: Option<String>,
    /// The data set that it was measured on.
    #[serde(default, deserialize_with = "json::optional_text")]
    pub dataset_name: Option<String>,
    /// The digest of that data set.
    #[serde(default, deserialize_with = "json::optional_text")]
    pub dataset_digest: Option<String>,
}

impl Request for LogMetric {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("run_id", Kind::Text),
        Parameter::required("key", Kind::Text),
        Parameter::required("value", Kind::Double),
        Parameter::required("timestamp", Kind::Integer),
        Parameter::optional("step", Kind::Integer),
        Parameter::optional("model_id", Kind::Text),
        Parameter::optional("dataset_name", Kind::Text),
        Parameter::optional("dataset_digest", Kind::Text),
    ];

    fn is_complete(&self) -> bool {
        !self.run_id().is_empty() && !self.key.is_empty()
    }
}

impl LogMetric {
    /// The run, under whichever name it came.
    pub fn run_id(&self) -> &str {
        if self.run_id.is_empty() { &self.run_uuid } else { &self.run_id }
    }

    /// The point, and its run.
    pub fn into_metric(self) -> (String, Metric) {
        let run_id = if self.run_id.is_empty() { self.run_uuid } else { self.run_id };
        let mut metric = Metric::new(self.key, self.value, self.timestamp, self.step.unwrap_or(0));
        (metric.model_id, metric.dataset_name, metric.dataset_digest) = (self.model_id, self.dataset_name, self.dataset_digest);
        (run_id, metric)
    }
}

request! {
    /// Logs a param.
    LogParam {
        run,
        /// The param.
        key: required,
        /// The text.
        value: value,
    }
}

request! {
    /// Logs metrics, params and tags at once: all of it or nothing.
    LogBatch {
        /// The run.
        run_id: required,
        /// At most [`crate::limits::BATCH_METRICS`].
        metrics: entries<Metric>["key" "value" "timestamp"],
        /// At most [`crate::limits::BATCH_PARAMS`].
        params: entries<Param>["key"],
        /// At most [`crate::limits::BATCH_TAGS`].
        tags: entries<RunTag>["key"],
    }
}

request! {
    /// Sets a tag of a run.
    SetTag {
        run,
        /// The tag.
        key: required,
        /// The text.
        value: value,
    }
}

request! {
    /// Removes a tag of a run.
    DeleteTag {
        /// The run.
        run_id: required,
        /// The tag.
        key: required,
    }
}

request! {
    /// Records what a run reads.
    LogInputs {
        /// The run.
        run_id: required,
        /// Data sets.
        datasets: list<DatasetInput>,
        /// Logged models.
        models: list<ModelInput>,
    }
}

request! {
    /// Records what a run made.
    LogOutputs {
        /// The run.
        run_id: required,
        /// Logged models.
        models: required_list<ModelOutput>,
    }
}

request! {
    /// Records a model in the tag `mlflow.log-model.history`, as clients of MLflow 2 do.
    LogModel {
        /// The run.
        run_id: required,
        /// The file `MLmodel`, as JSON.
        model_json: required,
    }
}
