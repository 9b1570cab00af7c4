//! Our grammar against MLflow's own reading of the same texts (`mlflow_answers.py` made the answers).

mod answers;
mod clauses;

use anmok_protocol::search::{Clause, DatasetField, NumberField, OrderField, TextField};
use anmok_protocol::{RunFilter, RunOrder};
use answers::answers;
use clauses::text_test;
use serde_json::{Value, json};

/// What MLflow takes and we refuse: a key that is missing, and a list after `=`, which its own SQL then fails on.
const STRICTER: &[&str] = &["metrics. > 1", "run_id = ('a')", "dataset.name"];
/// What MLflow refuses and we take: the alias that it has for filters, in orders too.
const MORE_LENIENT: &[&str] = &["`run name` ASC", "attr.`Run Name` DESC"];
/// What both refuse, and ours with a more telling message than "Invalid clause(s)".
const CLEARER: &[&str] = &["metrics.acc > 0x10"];

#[test]
fn filters_are_read_as_mlflow_reads_them() {
    for (text, answer) in answers::<Vec<(String, Value)>>("filters") {
        let ours = RunFilter::parse(&text).map(|filter| Value::from(filter.clauses.iter().map(as_mlflow).collect::<Vec<_>>()));
        compare(&text, ours.map_err(|error| error.message), &answer);
    }
}

#[test]
fn orders_are_read_as_mlflow_reads_them() {
    for (text, answer) in answers::<Vec<(String, Value)>>("orders") {
        let ours = RunOrder::parse(&text).map(|order| {
            let (kind, key) = match &order.field {
                OrderField::Metric(key) => ("metric", key.as_str()),
                OrderField::Param(key) => ("parameter", key.as_str()),
                OrderField::Tag(key) => ("tag", key.as_str()),
                OrderField::Text(field) => ("attribute", text_field(*field)),
                OrderField::Number(field) => ("attribute", number_field(*field)),
            };
            json!({"type": kind, "key": key, "ascending": order.ascending})
        });
        compare(&text, ours.map_err(|error| error.message), &answer);
    }
}

fn compare(text: &str, ours: Result<Value, String>, mlflow: &Value) {
    match (ours, mlflow.get("error")) {
        (Ok(ours), None) => assert_eq!(&ours, mlflow, "{text}"),
        (Ok(_), Some(error)) => assert!(MORE_LENIENT.contains(&text), "MLflow refuses {text:?}: {error}"),
        (Err(error), None) => assert!(STRICTER.contains(&text), "MLflow takes {text:?}, ours: {error}"),
        (Err(ours), Some(mlflow)) => {
            // MLflow's texts hold sets, in no order, and from an unclear clause on each parser sees other pieces.
            let stable = |text: &str| text.split("'{").next().unwrap_or_default().split(" string: ").next().unwrap_or_default().to_string();
            let (mlflow, ours) = (stable(mlflow.as_str().unwrap()), ours.as_str());
            let unclear = ["Invalid comparison clause", "Search filter contained multiple expression"];
            let expected = if unclear.iter().any(|words| mlflow.starts_with(words)) { "Invalid clause(s) in filter" } else { &mlflow };
            let expected = expected.trim_end_matches('.').split(" ('a'").next().unwrap_or_default();
            assert!(ours.starts_with(expected) || CLEARER.contains(&text), "{text:?}\n  MLflow: {mlflow}\n  ours:   {ours}");
        }
    }
}

fn as_mlflow(clause: &Clause) -> Value {
    let (kind, key, (comparator, value)) = match clause {
        Clause::Metric { key, comparison, value } => ("metric", key.as_str(), (comparison.symbol(), json!(value.min(1e308)))),
        Clause::Param { key, test } => ("parameter", key.as_str(), text_test(test)),
        Clause::Tag { key, test } => ("tag", key.as_str(), text_test(test)),
        Clause::Text { field, test } => ("attribute", text_field(*field), text_test(test)),
        Clause::Number { field, comparison, value } => {
            // Python keeps integers apart from floats.
            let value = if value.fract() == 0.0 { json!(*value as i64) } else { json!(value) };
            ("attribute", number_field(*field), (comparison.symbol(), value))
        }
        Clause::Dataset { field, test } => {
            let field = match field {
                DatasetField::Name => "name",
                DatasetField::Digest => "digest",
                DatasetField::Context => "context",
            };
            ("dataset", field, text_test(test))
        }
    };
    json!({"type": kind, "key": key, "comparator": comparator, "value": value})
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
