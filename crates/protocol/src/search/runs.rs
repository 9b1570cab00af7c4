//! What runs can be searched and ordered by.

use super::{Comparison, Filter, Order, TextTest};

/// Conditions on runs.
pub type RunFilter = Filter<Clause>;

/// One term of an order of runs.
pub type RunOrder = Order<OrderField>;

/// One condition on a run. A run that lacks the key never matches, except for [`TextTest::Missing`].
#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// On the latest value of a metric; NaN matches only `!=`.
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
    /// On a text attribute of the run.
    Text {
        /// Which.
        field: TextField,
        /// The condition.
        test: TextTest,
    },
    /// On a numeric attribute of the run.
    Number {
        /// Which.
        field: NumberField,
        /// How to compare.
        comparison: Comparison,
        /// With what.
        value: f64,
    },
    /// On any of the run's data sets.
    Dataset {
        /// What of it.
        field: DatasetField,
        /// The condition.
        test: TextTest,
    },
}

/// A text attribute of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextField {
    /// `run_id`
    RunId,
    /// `run_name`
    RunName,
    /// `user_id`
    UserId,
    /// `status`
    Status,
    /// `artifact_uri`
    ArtifactUri,
}

/// A numeric attribute of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberField {
    /// `start_time`, milliseconds since 1970.
    StartTime,
    /// `end_time`, milliseconds since 1970; runs that have not ended lack it.
    EndTime,
}

/// A field of a run's data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetField {
    /// `name`
    Name,
    /// `digest`
    Digest,
    /// `context`: the input's tag `mlflow.data.context`.
    Context,
}

/// What runs can be ordered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OrderField {
    /// The latest value of a metric.
    Metric(String),
    /// A param's text.
    Param(String),
    /// A tag's text.
    Tag(String),
    /// A text attribute.
    Text(TextField),
    /// A numeric attribute.
    Number(NumberField),
}
