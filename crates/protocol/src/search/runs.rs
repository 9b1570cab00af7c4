//! What runs can be searched and ordered by.

use super::field::{Field, LIST_COMPARATORS, NUMBER_COMPARATORS, Name, Ordered, Searched, Test, TextValue, keyed_text, only_lists_of};
use super::{Comparison, Filter, Order, SearchError, TextTest};

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

const ATTRIBUTE_KEYS: &str =
    "artifact_uri, end_time, run_id, run_name, start_time, status, user_id, created, Created, run name, Run name, Run Name";

/// What a name is, aliases included; a key without entity is an attribute.
enum Known<'a> {
    Metric(&'a str),
    Param(&'a str),
    Tag(&'a str),
    Text(TextField),
    Number(NumberField),
    Dataset(DatasetField),
}

fn known<'a>(name: &Name<'a>) -> Result<Known<'a>, SearchError> {
    let key = name.key;
    match name.entity.unwrap_or("attribute") {
        "metric" | "metrics" => Ok(Known::Metric(key)),
        "parameter" | "parameters" | "param" | "params" => Ok(Known::Param(key)),
        "tag" | "tags" => Ok(Known::Tag(key)),
        "attribute" | "attributes" | "attr" | "run" => match key {
            "run_id" => Ok(Known::Text(TextField::RunId)),
            "run_name" | "run name" | "Run name" | "Run Name" => Ok(Known::Text(TextField::RunName)),
            "user_id" => Ok(Known::Text(TextField::UserId)),
            "status" => Ok(Known::Text(TextField::Status)),
            "artifact_uri" => Ok(Known::Text(TextField::ArtifactUri)),
            "start_time" | "created" | "Created" => Ok(Known::Number(NumberField::StartTime)),
            "end_time" => Ok(Known::Number(NumberField::EndTime)),
            _ => {
                let mut error = name.unknown_attribute(ATTRIBUTE_KEYS);
                if name.entity.is_none() {
                    error.message += &format!("; a metric is written metrics.{key}, a param params.{key}, a tag tags.{key}");
                }
                Err(error)
            }
        },
        "dataset" | "datasets" => match key {
            "name" => Ok(Known::Dataset(DatasetField::Name)),
            "digest" => Ok(Known::Dataset(DatasetField::Digest)),
            "context" => Ok(Known::Dataset(DatasetField::Context)),
            _ => Err(name.error(format!("Invalid dataset key '{key}' specified. Valid keys are 'context, digest, name'"))),
        },
        other => {
            Err(name
                .error(format!("Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']")))
        }
    }
}

impl Searched for Clause {
    fn field(name: &Name) -> Result<Field<Self>, SearchError> {
        let key = name.key.to_string();
        let no_nulls =
            |kind: &str, key: &str| format!("IS NULL / IS NOT NULL is only supported for tags and params, not for '{kind}' '{key}'");
        let nullable = "=, !=, LIKE, ILIKE, IS NULL, IS NOT NULL";
        Ok(match known(name)? {
            Known::Metric(_) => {
                let no_nulls = no_nulls("metric", name.key);
                let make = Box::new(|(comparison, value)| Clause::Metric { key, comparison, value });
                let complaint = "Expected numeric value type for metric. Found".into();
                Field::new(Test::Number { complaint, make }, no_nulls, NUMBER_COMPARATORS)
            }
            Known::Number(field) => {
                let key = match field {
                    NumberField::StartTime => "start_time",
                    NumberField::EndTime => "end_time",
                };
                let make = Box::new(move |(comparison, value)| Clause::Number { field, comparison, value });
                let complaint = format!("Expected numeric value type for numeric attribute: {key}. Found");
                Field::new(Test::Number { complaint, make }, no_nulls("attribute", key), NUMBER_COMPARATORS)
            }
            Known::Param(_) => {
                let make = Box::new(|test| Clause::Param { key, test });
                Field::new(Test::Text { value: keyed_text("parameter"), make }, "", nullable).with_nulls()
            }
            Known::Tag(_) => {
                let make = Box::new(|test| Clause::Tag { key, test });
                Field::new(Test::Text { value: keyed_text("tag"), make }, "", nullable).with_nulls()
            }
            Known::Text(field) => {
                let value = TextValue {
                    complaint: "Expected a quoted string value for attributes. Got value".into(),
                    no_number: None,
                    no_list: (field != TextField::RunId).then(|| only_lists_of("'run_id'")),
                    bare: false,
                };
                let make = Box::new(move |test| Clause::Text { field, test });
                Field::new(Test::Text { value, make }, no_nulls("attribute", name.key), LIST_COMPARATORS)
            }
            Known::Dataset(field) => {
                let value = TextValue {
                    complaint: "Expected a quoted string value for dataset attributes. Got value".into(),
                    no_number: None,
                    no_list: None,
                    bare: false,
                };
                let make = Box::new(move |test| Clause::Dataset { field, test });
                Field::new(Test::Text { value, make }, no_nulls("dataset", name.key), LIST_COMPARATORS)
            }
        })
    }
}

impl Ordered for OrderField {
    fn order_field(name: &Name) -> Result<Self, SearchError> {
        Ok(match known(name)? {
            Known::Metric(key) => OrderField::Metric(key.into()),
            Known::Param(key) => OrderField::Param(key.into()),
            Known::Tag(key) => OrderField::Tag(key.into()),
            Known::Text(field) => OrderField::Text(field),
            Known::Number(field) => OrderField::Number(field),
            Known::Dataset(_) => return Err(name.error("Invalid identifier type 'dataset'")),
        })
    }
}
