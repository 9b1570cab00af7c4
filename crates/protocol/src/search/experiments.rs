//! What experiments can be searched and ordered by.

use super::{Comparison, Filter, IdTest, Order, TextTest};

/// Conditions on experiments.
pub type ExperimentFilter = Filter<ExperimentClause>;

/// One term of an order of experiments.
pub type ExperimentOrder = Order<ExperimentOrderField>;

/// One condition on an experiment. One that lacks the tag never matches, except for [`TextTest::Missing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExperimentClause {
    /// `experiment_id`
    Id(IdTest),
    /// `name`; never [`TextTest::Missing`] or [`TextTest::Present`], never a list.
    Name(TextTest),
    /// A time, in milliseconds since 1970.
    Time {
        /// Which.
        field: ExperimentTime,
        /// How to compare.
        comparison: Comparison,
        /// With what.
        value: i64,
    },
    /// On a tag's text; never a list.
    Tag {
        /// The tag.
        key: String,
        /// The condition.
        test: TextTest,
    },
}

/// A time of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExperimentTime {
    /// `creation_time`
    Creation,
    /// `last_update_time`
    LastUpdate,
}

/// What experiments can be ordered by. Without a term of their own, they come by creation time, newest first, then by id;
/// after other terms than the id, by id, largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExperimentOrderField {
    /// `experiment_id`, as a number.
    Id,
    /// `name`
    Name,
    /// `creation_time` or `last_update_time`
    Time(ExperimentTime),
}
