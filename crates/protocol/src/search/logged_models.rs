//! What logged models can be searched and ordered by.

use super::{Comparison, Filter, Order, TextTest};

/// Conditions on logged models.
pub type LoggedModelFilter = Filter<LoggedModelClause>;

/// One term of an order of logged models.
pub type LoggedModelOrder = Order<LoggedModelOrderField>;

/// One condition on a logged model. One that lacks the value never matches. No test is ever [`TextTest::Missing`] or
/// [`TextTest::Present`].
#[derive(Debug, Clone, PartialEq)]
pub enum LoggedModelClause {
    /// On any point of a metric; where the query names data sets, on any point that was measured on one of them.
    Metric {
        /// The metric.
        key: String,
        /// How to compare.
        comparison: Comparison,
        /// With what.
        value: f64,
    },
    /// On a param's text.
    Param {
        /// The param.
        key: String,
        /// The condition.
        test: TextTest,
    },
    /// On a tag's text.
    Tag {
        /// The tag.
        key: String,
        /// The condition.
        test: TextTest,
    },
    /// On a text attribute.
    Text {
        /// Which.
        field: LoggedModelText,
        /// The condition.
        test: TextTest,
    },
    /// On a time, in milliseconds since 1970.
    Time {
        /// Which.
        field: LoggedModelTime,
        /// How to compare.
        comparison: Comparison,
        /// With what.
        value: f64,
    },
}

/// A text attribute of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedModelText {
    /// `name`
    Name,
    /// `model_id`
    ModelId,
    /// `model_type`
    ModelType,
    /// `status`, under its name on the wire, for example `LOGGED_MODEL_READY`.
    Status,
    /// `source_run_id`
    SourceRunId,
}

/// A time of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedModelTime {
    /// `creation_timestamp`, `creation_time`
    Creation,
    /// `last_updated_timestamp`, `last_updated_time`
    LastUpdated,
}

/// What logged models can be ordered by; those that lack the value come last. Then they come by creation time, newest
/// first, and by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoggedModelOrderField {
    /// The latest value of a metric: the point with the largest (timestamp, step).
    Metric {
        /// The metric.
        key: String,
        /// Only points that were measured on the data set of this name.
        dataset_name: Option<String>,
        /// Only points that were measured on the data set of this digest.
        dataset_digest: Option<String>,
    },
    /// A text attribute.
    Text(LoggedModelText),
    /// A time.
    Time(LoggedModelTime),
}
