//! What logged models can be searched and ordered by.

use super::field::{Field, Name, Searched, Test, TextValue};
use super::{Comparison, Filter, Order, SearchError, TextTest};
use crate::error::ApiError;
use crate::logged_model::LoggedModelStatus;
use crate::validate::python_string;

/// Conditions on logged models. Unlike those on other entities, they take texts without quotes too (`params.lr = 0.01`).
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

impl LoggedModelOrder {
    /// A term from what a request says: an attribute or `metrics.` and a metric, and the data set that a metric was measured on.
    ///
    /// # Errors
    /// An unknown attribute; another entity than metrics; a digest without a name.
    pub fn parse(field: &str, ascending: bool, dataset_name: Option<&str>, dataset_digest: Option<&str>) -> Result<Self, ApiError> {
        if field.is_empty() {
            return Err(ApiError::invalid("`field_name` in the `order_by` clause must be specified."));
        }
        let field = match field.split_once('.') {
            Some(("metrics", key)) => {
                if dataset_digest.is_some() && dataset_name.is_none() {
                    return Err(ApiError::invalid("`dataset_digest` can only be specified if `dataset_name` is also specified."));
                }
                LoggedModelOrderField::Metric {
                    key: key.into(),
                    dataset_name: dataset_name.map(Into::into),
                    dataset_digest: dataset_digest.map(Into::into),
                }
            }
            Some(_) => {
                return Err(ApiError::invalid(format!("Invalid order by field name: {}. Only metrics are supported.", field.trim())));
            }
            None => match attribute(field.trim()) {
                Some(Attribute::Text(field)) => LoggedModelOrderField::Text(field),
                Some(Attribute::Time(field)) => LoggedModelOrderField::Time(field),
                None => return Err(ApiError::invalid(format!("Invalid order by field name: {}", field.trim()))),
            },
        };
        Ok(Self { field, ascending })
    }
}

/// A logged model's attribute, of either type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Text(LoggedModelText),
    Time(LoggedModelTime),
}

/// The attribute of a name.
pub(super) fn attribute(name: &str) -> Option<Attribute> {
    Some(match name {
        "name" => Attribute::Text(LoggedModelText::Name),
        "model_id" => Attribute::Text(LoggedModelText::ModelId),
        "model_type" => Attribute::Text(LoggedModelText::ModelType),
        "status" => Attribute::Text(LoggedModelText::Status),
        "source_run_id" => Attribute::Text(LoggedModelText::SourceRunId),
        "creation_timestamp" | "creation_time" => Attribute::Time(LoggedModelTime::Creation),
        "last_updated_timestamp" | "last_updated_time" => Attribute::Time(LoggedModelTime::LastUpdated),
        _ => return None,
    })
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

impl Searched for LoggedModelClause {
    fn field(name: &Name) -> Result<Field<Self>, SearchError> {
        let key = name.key.to_string();
        let text = |make| Test::Text {
            value: TextValue { complaint: "Expected a string value. Got value".into(), no_number: None, no_list: None, bare: true },
            make,
        };
        let number = |make| Test::Number { complaint: "Expected a numeric value. Found".into(), make };
        let test = match name.entity.unwrap_or("attributes") {
            "metrics" => number(Box::new(|(comparison, value)| LoggedModelClause::Metric { key, comparison, value })),
            "params" => text(Box::new(|test| LoggedModelClause::Param { key, test })),
            "tags" => text(Box::new(|test| LoggedModelClause::Tag { key, test })),
            "attributes" => match attribute(name.key) {
                Some(Attribute::Time(field)) => {
                    number(Box::new(move |(comparison, value)| LoggedModelClause::Time { field, comparison, value }))
                }
                Some(Attribute::Text(LoggedModelText::Status)) => {
                    text(Box::new(|test| LoggedModelClause::Text { field: LoggedModelText::Status, test: status_test(test) }))
                }
                Some(Attribute::Text(field)) => text(Box::new(move |test| LoggedModelClause::Text { field, test })),
                None => {
                    return Err(name.unknown_attribute(
                        "name, model_id, model_type, status, source_run_id, creation_timestamp, creation_time, last_updated_timestamp, \
                         last_updated_time",
                    ));
                }
            },
            other => {
                return Err(name.error(format!(
                    "Invalid entity type: {}. Expected one of ['attributes', 'metrics', 'params', 'tags'].",
                    python_string(other)
                )));
            }
        };
        let operators = match &test {
            Test::Number { .. } => "('<', '<=', '>', '>=', '=', '!=')",
            _ => "('=', '!=', 'LIKE', 'ILIKE', 'IN', 'NOT IN')",
        };
        let mut field = Field::new(test, "Invalid comparison: IS NULL / IS NOT NULL. Expected a comparison with 3 tokens.", "");
        let place = format!("{}.{}", name.entity.unwrap_or("attributes"), name.key);
        field.wrong_comparator = (format!("Invalid comparison operator for {place}: '"), format!("'. Expected one of {operators}."));
        field.comparator_first = true;
        Ok(field)
    }

    fn complaint(mut error: SearchError, filter: &str) -> SearchError {
        if let Some(detail) = error.message.strip_prefix("Invalid clause(s) in filter string: ") {
            error.message = format!(
                "Invalid filter string: {}. Expected a list of comparisons separated by 'AND' (e.g. 'metrics.loss > 0.1 AND params.lr = \
                 0.01'). {detail}",
                python_string(filter)
            );
        }
        error
    }
}

/// The Python client's names of statuses (`READY`) are taken for those on the wire.
fn status_test(test: TextTest) -> TextTest {
    let on_the_wire = |text: String| {
        let status = match text.as_str() {
            "UNSPECIFIED" => LoggedModelStatus::Unspecified,
            "PENDING" => LoggedModelStatus::Pending,
            "READY" => LoggedModelStatus::Ready,
            "FAILED" => LoggedModelStatus::UploadFailed,
            _ => return text,
        };
        status.name().to_string()
    };
    match test {
        TextTest::Equal(text) => TextTest::Equal(on_the_wire(text)),
        TextTest::NotEqual(text) => TextTest::NotEqual(on_the_wire(text)),
        TextTest::In(list) => TextTest::In(list.into_iter().map(on_the_wire).collect()),
        TextTest::NotIn(list) => TextTest::NotIn(list.into_iter().map(on_the_wire).collect()),
        other => other,
    }
}
