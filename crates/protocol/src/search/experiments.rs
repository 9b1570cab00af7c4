//! What experiments can be searched and ordered by.

use super::field::{
    Field, NUMBER_COMPARATORS, Name, Ordered, Quotes, Searched, TEXT_COMPARATORS, Test, TextValue, is_tag, keyed_text, only_lists_of,
};
use super::{Comparison, Filter, IdTest, Order, SearchError, TextTest};

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

const ATTRIBUTE_KEYS: &str = "name, experiment_id, creation_time, last_update_time";

fn attribute(name: &Name) -> Result<ExperimentOrderField, SearchError> {
    match name.key {
        "name" => Ok(ExperimentOrderField::Name),
        "experiment_id" => Ok(ExperimentOrderField::Id),
        "creation_time" => Ok(ExperimentOrderField::Time(ExperimentTime::Creation)),
        "last_update_time" => Ok(ExperimentOrderField::Time(ExperimentTime::LastUpdate)),
        _ => Err(name.unknown_attribute(ATTRIBUTE_KEYS)),
    }
}

impl Searched for ExperimentClause {
    fn field(name: &Name) -> Result<Field<Self>, SearchError> {
        if is_tag(name)? {
            let key = name.key.to_string();
            let make = Box::new(|test| ExperimentClause::Tag { key, test });
            return Ok(Field::new(Test::Text { value: keyed_text("tag"), make }, "", "").with_nulls().wrong_for("tag"));
        }
        let no_nulls = format!("IS NULL / IS NOT NULL is only supported for tags, not for attribute '{}'", name.key);
        let complaint = "Expected a quoted string value for attributes. Got value".to_string();
        Ok(match attribute(name)? {
            ExperimentOrderField::Id => {
                Field::new(Test::Id { complaint, make: Box::new(ExperimentClause::Id) }, no_nulls, "").wrong_for("experiment_id")
            }
            ExperimentOrderField::Name => {
                let value = TextValue { complaint, no_number: None, no_list: Some(only_lists_of("'experiment_id'")), bare: false };
                Field::new(Test::Text { value, make: Box::new(ExperimentClause::Name) }, no_nulls, TEXT_COMPARATORS)
            }
            ExperimentOrderField::Time(field) => {
                let name = match field {
                    ExperimentTime::Creation => "creation_time",
                    ExperimentTime::LastUpdate => "last_update_time",
                };
                let quotes = Quotes::Refused(format!("Expected numeric value type for numeric attribute: {name}. Found"));
                let make = Box::new(move |(comparison, value)| ExperimentClause::Time { field, comparison, value });
                Field::new(Test::Integer { name, quotes, make }, no_nulls, NUMBER_COMPARATORS)
            }
        })
    }
}

impl Ordered for ExperimentOrderField {
    fn order_field(name: &Name) -> Result<Self, SearchError> {
        if is_tag(name)? { Err(name.error("Invalid order_by entity: tag")) } else { attribute(name) }
    }
}
