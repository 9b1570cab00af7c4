//! From typed clauses back to text, for a client that asks a server.

use super::token::is_one_text;
use super::{
    Clause, Comparison, DatasetField, ExperimentClause, ExperimentFilter, ExperimentOrder, ExperimentOrderField, ExperimentTime, IdTest,
    NumberField, OrderField, RunFilter, RunOrder, TextField, TextTest,
};
use crate::error::ApiError;

impl RunFilter {
    /// The filter as text that [`Self::parse`] reads as the same.
    ///
    /// # Errors
    /// A text that holds both kinds of quotes: the grammar has no way to write it.
    pub fn to_text(&self) -> Result<String, ApiError> {
        joined(self.clauses.iter().map(run_clause))
    }
}

impl ExperimentFilter {
    /// As [`RunFilter::to_text`].
    ///
    /// # Errors
    /// As [`RunFilter::to_text`].
    pub fn to_text(&self) -> Result<String, ApiError> {
        joined(self.clauses.iter().map(|clause| match clause {
            ExperimentClause::Id(test) => Ok(format!("attribute.experiment_id {}", id_test(test))),
            ExperimentClause::Name(test) => Ok(format!("attribute.name {}", text_test(test)?)),
            ExperimentClause::Time { field, comparison, value } => {
                Ok(format!("attribute.{} {} {value}", experiment_time(*field), comparison.symbol()))
            }
            ExperimentClause::Tag { key, test } => Ok(format!("tags.{} {}", quoted_key(key)?, text_test(test)?)),
        }))
    }
}

impl RunOrder {
    /// As [`RunFilter::to_text`].
    ///
    /// # Errors
    /// As [`RunFilter::to_text`].
    pub fn to_text(&self) -> Result<String, ApiError> {
        let field = match &self.field {
            OrderField::Metric(key) => format!("metrics.{}", quoted_key(key)?),
            OrderField::Param(key) => format!("params.{}", quoted_key(key)?),
            OrderField::Tag(key) => format!("tags.{}", quoted_key(key)?),
            OrderField::Text(field) => format!("attributes.{}", text_field(*field)),
            OrderField::Number(field) => format!("attributes.{}", number_field(*field)),
        };
        Ok(format!("{field} {}", direction(self.ascending)))
    }
}

impl ExperimentOrder {
    /// The order as text.
    pub fn to_text(&self) -> String {
        let field = match self.field {
            ExperimentOrderField::Id => "experiment_id",
            ExperimentOrderField::Name => "name",
            ExperimentOrderField::Time(field) => experiment_time(field),
        };
        format!("{field} {}", direction(self.ascending))
    }
}

fn joined(clauses: impl Iterator<Item = Result<String, ApiError>>) -> Result<String, ApiError> {
    Ok(clauses.collect::<Result<Vec<_>, _>>()?.join(" AND "))
}

fn run_clause(clause: &Clause) -> Result<String, ApiError> {
    Ok(match clause {
        Clause::Metric { key, comparison, value } => format!("metrics.{} {}", quoted_key(key)?, number_test(*comparison, *value)),
        Clause::Param { key, test } => format!("params.{} {}", quoted_key(key)?, text_test(test)?),
        Clause::Tag { key, test } => format!("tags.{} {}", quoted_key(key)?, text_test(test)?),
        Clause::Text { field, test } => format!("attributes.{} {}", text_field(*field), text_test(test)?),
        Clause::Number { field, comparison, value } => format!("attributes.{} {}", number_field(*field), number_test(*comparison, *value)),
        Clause::Dataset { field, test } => format!("datasets.{} {}", dataset_field(*field), text_test(test)?),
    })
}

fn number_test(comparison: Comparison, value: f64) -> String {
    // A number beyond the largest double is read as an infinity; only such a number names one.
    if value.is_infinite() {
        format!("{} {}1e999", comparison.symbol(), if value < 0.0 { "-" } else { "" })
    } else {
        format!("{} {value}", comparison.symbol())
    }
}

fn text_test(test: &TextTest) -> Result<String, ApiError> {
    Ok(match test {
        TextTest::Equal(text) => format!("= {}", quoted(text)?),
        TextTest::NotEqual(text) => format!("!= {}", quoted(text)?),
        TextTest::Like(text) => format!("LIKE {}", quoted(text)?),
        TextTest::ILike(text) => format!("ILIKE {}", quoted(text)?),
        TextTest::In(texts) => format!("IN {}", list(texts)?),
        TextTest::NotIn(texts) => format!("NOT IN {}", list(texts)?),
        TextTest::Missing => "IS NULL".into(),
        TextTest::Present => "IS NOT NULL".into(),
    })
}

fn id_test(test: &IdTest) -> String {
    let list = |ids: &[i64]| ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    match test {
        IdTest::Equal(id) => format!("= '{id}'"),
        IdTest::NotEqual(id) => format!("!= '{id}'"),
        IdTest::In(ids) => format!("IN ({})", list(ids)),
        IdTest::NotIn(ids) => format!("NOT IN ({})", list(ids)),
    }
}

fn list(texts: &[String]) -> Result<String, ApiError> {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect::<Result<_, _>>()?;
    Ok(format!("({})", texts.join(", ")))
}

fn quoted(text: &str) -> Result<String, ApiError> {
    within(text, ['\'', '"'])
}

fn quoted_key(key: &str) -> Result<String, ApiError> {
    within(key, ['`', '"'])
}

/// The text between the first of the quotes that it does not end early.
fn within(text: &str, quotes: [char; 2]) -> Result<String, ApiError> {
    let written = quotes.into_iter().map(|quote| format!("{quote}{text}{quote}")).find(|written| is_one_text(written));
    written.ok_or_else(|| ApiError::invalid(format!("A filter cannot hold the text {text:?}: its quotes would end it early")))
}

fn direction(ascending: bool) -> &'static str {
    if ascending { "ASC" } else { "DESC" }
}

fn text_field(field: TextField) -> &'static str {
    match field {
        TextField::RunId => "run_id",
        TextField::RunName => "run_name",
        TextField::UserId => "user_id",
        TextField::Status => "status",
        TextField::ArtifactUri => "artifact_uri",
    }
}

fn number_field(field: NumberField) -> &'static str {
    match field {
        NumberField::StartTime => "start_time",
        NumberField::EndTime => "end_time",
    }
}

fn dataset_field(field: DatasetField) -> &'static str {
    match field {
        DatasetField::Name => "name",
        DatasetField::Digest => "digest",
        DatasetField::Context => "context",
    }
}

fn experiment_time(time: ExperimentTime) -> &'static str {
    match time {
        ExperimentTime::Creation => "creation_time",
        ExperimentTime::LastUpdate => "last_update_time",
    }
}
