//! Our grammar for experiments, registered models, model versions and logged models against MLflow's own reading.

mod answers;
mod clauses;

use anmok_protocol::search::{
    Comparison, ExperimentClause, ExperimentOrderField, ExperimentTime, IdTest, LoggedModelClause, LoggedModelText, LoggedModelTime,
    ModelVersionClause, ModelVersionOrderField, ModelVersionText, RegisteredModelClause, RegisteredModelOrderField, TextTest,
};
use anmok_protocol::{
    ExperimentFilter, ExperimentOrder, LoggedModelFilter, ModelVersionFilter, ModelVersionOrder, RegisteredModelFilter,
    RegisteredModelOrder, SearchError,
};
use answers::answers;
use clauses::text_test;
use serde_json::{Value, json};

/// What MLflow refuses and we take: attributes that its own SQL columns are named differently from.
const MORE_LENIENT: &[&str] = &["attributes.creation_timestamp < 5", "attributes.last_updated_timestamp != 5"];
/// What both refuse, ours with other words: the column's name instead of the attribute's; a keyword as a key.
const OTHER_WORDS: &[&str] = &["creation_timestamp LIKE 'x'", "creation_timestamp IN (1)", "tags.a IS NULL", "version"];

#[test]
fn filters_of_experiments() {
    each("experiment_filters", |text| Ok(ExperimentFilter::parse(text)?.clauses.iter().map(experiment).collect()));
}

#[test]
fn filters_of_registered_models() {
    each("registered_model_filters", |text| {
        let clause = |clause: &RegisteredModelClause| match clause {
            RegisteredModelClause::Name(test) => clause_json("attribute", "name", text_test(test)),
            RegisteredModelClause::Tag { key, test } => clause_json("tag", key, text_test(test)),
        };
        Ok(RegisteredModelFilter::parse(text)?.clauses.iter().map(clause).collect())
    });
}

#[test]
fn filters_of_model_versions() {
    each("model_version_filters", |text| {
        let clause = |clause: &ModelVersionClause| match clause {
            ModelVersionClause::Text { field, test } => {
                let key = match field {
                    ModelVersionText::Name => "name",
                    ModelVersionText::RunId => "run_id",
                    ModelVersionText::Source => "source_path",
                };
                clause_json("attribute", key, text_test(test))
            }
            ModelVersionClause::Version { comparison, value } => {
                clause_json("attribute", "version_number", (comparison.symbol(), json!(value)))
            }
            ModelVersionClause::Tag { key, test } => clause_json("tag", key, text_test(test)),
        };
        Ok(ModelVersionFilter::parse(text)?.clauses.iter().map(clause).collect())
    });
}

#[test]
fn filters_of_logged_models() {
    each("logged_model_filters", |text| Ok(LoggedModelFilter::parse(text)?.clauses.iter().map(logged_model).collect()));
}

#[test]
fn orders_of_experiments() {
    each("experiment_orders", |text| {
        let order = ExperimentOrder::parse(text)?;
        let key = match order.field {
            ExperimentOrderField::Id => "experiment_id",
            ExperimentOrderField::Name => "name",
            ExperimentOrderField::Time(ExperimentTime::Creation) => "creation_time",
            ExperimentOrderField::Time(ExperimentTime::LastUpdate) => "last_update_time",
        };
        Ok(json!({"key": key, "ascending": order.ascending}))
    });
}

#[test]
fn orders_of_registered_models() {
    each("registered_model_orders", |text| {
        let order = RegisteredModelOrder::parse(text)?;
        let key = match order.field {
            RegisteredModelOrderField::Name => "name",
            RegisteredModelOrderField::LastUpdatedTimestamp if text.contains("last") => "last_updated_timestamp",
            RegisteredModelOrderField::LastUpdatedTimestamp => "timestamp",
        };
        Ok(json!({"key": key, "ascending": order.ascending}))
    });
    let twice = RegisteredModelOrder::parse_all(&["timestamp", "last_updated_timestamp DESC"]).unwrap_err();
    assert_eq!(twice.message, "`order_by` contains duplicate fields: ['timestamp', 'last_updated_timestamp DESC']");
}

#[test]
fn orders_of_model_versions() {
    each("model_version_orders", |text| {
        let order = ModelVersionOrder::parse(text)?;
        let key = match order.field {
            ModelVersionOrderField::Name => "name",
            ModelVersionOrderField::Version => "version_number",
            ModelVersionOrderField::CreationTimestamp => "creation_timestamp",
            ModelVersionOrderField::LastUpdatedTimestamp => "last_updated_timestamp",
        };
        Ok(json!({"key": key, "ascending": order.ascending}))
    });
}

#[test]
fn prompts_are_asked_for_by_their_tag() {
    let asks = |text: &str| {
        let mut filter = RegisteredModelFilter::parse(text).unwrap();
        (filter.take_prompt_clauses(), filter.clauses.len())
    };
    assert_eq!(asks(""), (false, 0));
    assert_eq!(asks("name = 'a'"), (false, 1));
    assert_eq!(asks("tags.`mlflow.prompt.is_prompt` = 'true' AND name = 'a'"), (true, 1));
    assert_eq!(asks("tags.mlflow.prompt.is_prompt != 'False'"), (true, 0));
    assert_eq!(asks("tags.mlflow.prompt.is_prompt = 'false'"), (false, 0));
    let mut versions = ModelVersionFilter::parse("tag.mlflow.prompt.is_prompt = 'true' and run_id = 'r'").unwrap();
    assert_eq!((versions.take_prompt_clauses(), versions.clauses.len()), (true, 1));
}

#[test]
fn a_status_has_two_names() {
    let clauses = LoggedModelFilter::parse("status = 'READY' and attributes.status IN ('FAILED', 'LOGGED_MODEL_PENDING')").unwrap().clauses;
    let status = |test| LoggedModelClause::Text { field: LoggedModelText::Status, test };
    assert_eq!(clauses[0], status(TextTest::Equal("LOGGED_MODEL_READY".into())));
    assert_eq!(clauses[1], status(TextTest::In(vec!["LOGGED_MODEL_UPLOAD_FAILED".into(), "LOGGED_MODEL_PENDING".into()])));
}

fn experiment(clause: &ExperimentClause) -> Value {
    match clause {
        ExperimentClause::Id(test) => {
            let texts = |ids: &[i64]| json!(ids.iter().map(i64::to_string).collect::<Vec<_>>());
            let test = match test {
                IdTest::Equal(id) => ("=", json!(id.to_string())),
                IdTest::NotEqual(id) => ("!=", json!(id.to_string())),
                IdTest::In(ids) => ("IN", texts(ids)),
                IdTest::NotIn(ids) => ("NOT IN", texts(ids)),
            };
            clause_json("attribute", "experiment_id", test)
        }
        ExperimentClause::Name(test) => clause_json("attribute", "name", text_test(test)),
        ExperimentClause::Time { field, comparison, value } => {
            let key = if *field == ExperimentTime::Creation { "creation_time" } else { "last_update_time" };
            clause_json("attribute", key, (comparison.symbol(), json!(value)))
        }
        ExperimentClause::Tag { key, test } => clause_json("tag", key, text_test(test)),
    }
}

fn logged_model(clause: &LoggedModelClause) -> Value {
    let number = |comparison: &Comparison, value: &f64| (comparison.symbol(), json!(value));
    match clause {
        LoggedModelClause::Metric { key, comparison, value } => clause_json("metric", key, number(comparison, value)),
        LoggedModelClause::Param { key, test } => clause_json("parameter", key, text_test(test)),
        LoggedModelClause::Tag { key, test } => clause_json("tag", key, text_test(test)),
        LoggedModelClause::Text { field, test } => {
            let key = match field {
                LoggedModelText::Name => "name",
                LoggedModelText::ModelId => "model_id",
                LoggedModelText::ModelType => "model_type",
                LoggedModelText::Status => "status",
                LoggedModelText::SourceRunId => "source_run_id",
            };
            clause_json("attribute", key, text_test(test))
        }
        LoggedModelClause::Time { field, comparison, value } => {
            let key = if *field == LoggedModelTime::Creation { "creation_timestamp_ms" } else { "last_updated_timestamp_ms" };
            clause_json("attribute", key, number(comparison, value))
        }
    }
}

fn clause_json(kind: &str, key: &str, (comparator, value): (&str, Value)) -> Value {
    json!({"type": kind, "key": key, "comparator": comparator, "value": value})
}

/// Numbers without regard to whether Python took them for integers, and quoted numbers as the numbers they are compared as.
fn comparable(mut answer: Value) -> Value {
    for clause in answer.as_array_mut().into_iter().flatten() {
        if clause["key"] == "version_number"
            && let Some(number) = clause["value"].as_str().and_then(|text| text.parse::<i64>().ok())
        {
            clause["value"] = json!(number);
        }
        if let Some(number) = clause["value"].as_f64() {
            clause["value"] = json!(number);
        }
    }
    answer
}

fn each(kind: &str, ours: impl Fn(&str) -> Result<Value, SearchError>) {
    let texts: Vec<(String, Value)> = answers(kind);
    assert!(texts.len() > 5, "{kind}");
    for (text, answer) in texts {
        let refused = answer.get("error").or(answer.get("crash")).and_then(Value::as_str);
        match (ours(&text), refused) {
            (Ok(ours), None) => assert_eq!(comparable(ours), comparable(answer), "{kind}: {text}"),
            (Ok(_), Some(error)) => assert!(MORE_LENIENT.contains(&text.as_str()), "{kind}: MLflow refuses {text:?}: {error}"),
            (Err(error), None) => panic!("{kind}: MLflow takes {text:?}, ours: {error}"),
            (Err(error), Some(mlflow)) => {
                // Sets come in no order, an unclear rest is cut in other places, and a list is shown up to its bracket.
                let cut = mlflow.split("{'").next().unwrap_or_default();
                let cut = cut.split(" string: ").next().unwrap_or_default().split("('x')").next().unwrap_or_default();
                let cut = cut.split("(5").next().unwrap_or_default().split(": (1,").next().unwrap_or_default();
                let same = error.message.starts_with(cut.trim_end_matches('\''));
                assert!(same || OTHER_WORDS.contains(&text.as_str()), "{kind}: {text:?}\n  MLflow: {mlflow}\n  ours:   {error}");
                assert!(text.is_char_boundary(error.position), "{kind}: {text:?}");
            }
        }
    }
}
