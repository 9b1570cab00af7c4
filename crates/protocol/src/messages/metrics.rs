//! Histories of metrics.

use super::{request, response};
use crate::run::{Metric, MetricWithRunId};

request! {
    /// Asks for the points of a metric of one run.
    GetMetricHistory {
        run,
        /// The metric.
        metric_key: required,
        /// From the page before.
        page_token: text,
        /// Absent: all of them.
        max_results: integer,
    }
}

response! {
    /// Answers [`GetMetricHistory`].
    GetMetricHistoryResponse [
        /// By (timestamp, step, value).
        metrics: Metric
    ]
}

request! {
    /// Asks for the points of a metric of several runs.
    GetMetricHistoryBulk {
        /// At least one, at most [`crate::limits::SAMPLED_HISTORY_RUNS`].
        run_id: texts,
        /// The metric.
        metric_key: text,
        /// At most [`crate::limits::BULK_HISTORY_POINTS`].
        max_results: integer,
    }
}

request! {
    /// Asks for evenly spread points of a metric of several runs.
    GetMetricHistoryBulkInterval {
        /// At most [`crate::limits::SAMPLED_HISTORY_RUNS`].
        run_ids: required_texts,
        /// The metric.
        metric_key: required,
        /// With `end_step`, or neither.
        start_step: integer,
        /// Included.
        end_step: integer,
        /// Of each run, 1 to [`crate::limits::SAMPLED_HISTORY_POINTS`].
        max_results: integer,
    }
}

response! {
    /// Answers [`GetMetricHistoryBulk`] and [`GetMetricHistoryBulkInterval`].
    GetMetricHistoryBulkIntervalResponse (
        /// Run by run.
        metrics: MetricWithRunId
    )
}
