//! MLflow's search grammar, from text to typed clauses.
//!
//! ```text
//! filter     = { clause | "AND" }
//! clause     = field comparator value
//!            | field ["NOT"] "IN" "(" string { "," string } ")"
//!            | field "IS" ["NOT"] "NULL"
//! field      = [ entity "." ] key
//! entity     = "metrics" | "params" | "tags" | "attributes" | "datasets" (each with aliases)
//! comparator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "LIKE" | "ILIKE"
//! order      = field [ "ASC" | "DESC" ]
//! ```
//!
//! Keywords are case-insensitive. A key with other characters than letters, digits, `_` and `.` stands in back-ticks or
//! double quotes; string values stand in single or double quotes and are taken as they are, without escapes, as MLflow does.
//! All clauses must hold, whether AND stands between them or not. There is no OR, no NOT and no nesting, so parsing needs no recursion and cannot overflow the stack.

mod experiments;
mod field;
mod logged_models;
mod model_versions;
mod parse;
mod registered_models;
mod runs;
mod token;
mod value;
mod write;

pub use experiments::{ExperimentClause, ExperimentFilter, ExperimentOrder, ExperimentOrderField, ExperimentTime};
pub use logged_models::{LoggedModelClause, LoggedModelFilter, LoggedModelOrder, LoggedModelOrderField, LoggedModelText, LoggedModelTime};
pub use model_versions::{ModelVersionClause, ModelVersionFilter, ModelVersionOrder, ModelVersionOrderField, ModelVersionText};
pub use registered_models::{RegisteredModelClause, RegisteredModelFilter, RegisteredModelOrder, RegisteredModelOrderField};
pub use runs::{Clause, DatasetField, NumberField, OrderField, RunFilter, RunOrder, TextField};

use crate::error::ApiError;
use field::{Ordered, Searched};

/// A parsed filter: all clauses must hold. The default has none and lets everything through.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter<C> {
    /// The clauses.
    pub clauses: Vec<C>,
}

impl<C: Searched> Filter<C> {
    /// Parses a filter; blank text lets everything through.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        parse::filter(text).map_err(|error| C::complaint(error, text))
    }
}

impl<C> Default for Filter<C> {
    fn default() -> Self {
        Self { clauses: vec![] }
    }
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As it is written (in SQL too).
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A condition on text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// `= 'x'`
    Equal(String),
    /// `!= 'x'`
    NotEqual(String),
    /// `LIKE 'x%'`: `%` is any text, `_` any character; case counts.
    Like(String),
    /// `ILIKE 'x%'`: case does not count.
    ILike(String),
    /// `IN ('a', 'b')`, never empty.
    In(Vec<String>),
    /// `NOT IN ('a', 'b')`, never empty.
    NotIn(Vec<String>),
    /// `IS NULL`
    Missing,
    /// `IS NOT NULL`
    Present,
}

/// A condition on a number that names something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdTest {
    /// `= '1'`
    Equal(i64),
    /// `!= '1'`
    NotEqual(i64),
    /// `IN ('1', '2')`, never empty.
    In(Vec<i64>),
    /// `NOT IN ('1', '2')`, never empty.
    NotIn(Vec<i64>),
}

/// One term of an order. Those that lack the key come last, NaN before them, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order<F> {
    /// By what.
    pub field: F,
    /// Smallest first.
    pub ascending: bool,
}

impl<F: Ordered> Order<F> {
    /// Parses one term, for example `start_time DESC`; the direction is ascending if absent.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        parse::order(text)
    }

    /// Parses a list of terms.
    ///
    /// # Errors
    /// As [`Self::parse`]; a field that comes twice.
    pub fn parse_all(texts: &[impl AsRef<str>]) -> Result<Vec<Self>, ApiError> {
        let mut orders: Vec<Self> = vec![];
        for text in texts {
            let order = Self::parse(text.as_ref())?;
            if orders.iter().any(|earlier| earlier.field == order.field) {
                let all: Vec<String> = texts.iter().map(|text| crate::validate::python_string(text.as_ref())).collect();
                return Err(ApiError::invalid(format!("`order_by` contains duplicate fields: [{}]", all.join(", "))));
            }
            orders.push(order);
        }
        Ok(orders)
    }
}

/// A filter or order that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {position})")]
pub struct SearchError {
    /// MLflow's words where it has some.
    pub message: String,
    /// The byte of the text at which the problem starts.
    pub position: usize,
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        ApiError::invalid(error.to_string())
    }
}
