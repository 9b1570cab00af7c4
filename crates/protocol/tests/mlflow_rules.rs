//! Our rules against MLflow's own answers (`mlflow_answers.py` made them).

use anmok_protocol::{Batch, ErrorCode, Metric, Param, RunTag, limits, validate};
use serde::de::DeserializeOwned;
use serde_json::Value;

#[test]
fn error_codes_have_mlflows_statuses() {
    let statuses: std::collections::BTreeMap<String, u16> = answers("statuses");
    let ours = ErrorCode::ALL.iter().map(|code| (code.name().to_string(), code.http_status())).collect();
    assert_eq!(statuses, ours);
}

#[test]
fn limits_are_mlflows() {
    let limit = |name: &str| answers::<Value>("limits")[name].as_u64().expect(name) as usize;
    assert_eq!(limits::KEY_LENGTH, limit("MAX_ENTITY_KEY_LENGTH"));
    assert_eq!(limits::PARAM_VALUE_LENGTH, limit("MAX_PARAM_VAL_LENGTH"));
    assert_eq!(limits::TAG_VALUE_LENGTH, limit("MAX_TAG_VAL_LENGTH"));
    assert_eq!(limits::EXPERIMENT_NAME_LENGTH, limit("MAX_EXPERIMENT_NAME_LENGTH"));
    assert_eq!(limits::EXPERIMENT_TAG_KEY_LENGTH, limit("MAX_EXPERIMENT_TAG_KEY_LENGTH"));
    assert_eq!(limits::EXPERIMENT_TAG_VALUE_LENGTH, limit("MAX_EXPERIMENT_TAG_VAL_LENGTH"));
    assert_eq!(limits::DATASET_NAME_LENGTH, limit("MAX_DATASET_NAME_SIZE"));
    assert_eq!(limits::DATASET_DIGEST_LENGTH, limit("MAX_DATASET_DIGEST_SIZE"));
    assert_eq!(limits::DATASET_SOURCE_LENGTH, limit("MAX_DATASET_SOURCE_SIZE"));
    assert_eq!(limits::DATASET_SCHEMA_LENGTH, limit("MAX_DATASET_SCHEMA_SIZE"));
    assert_eq!(limits::DATASET_PROFILE_LENGTH, limit("MAX_DATASET_PROFILE_SIZE"));
    assert_eq!(limits::INPUT_TAG_KEY_LENGTH, limit("MAX_INPUT_TAG_KEY_SIZE"));
    assert_eq!(limits::INPUT_TAG_VALUE_LENGTH, limit("MAX_INPUT_TAG_VALUE_SIZE"));
    assert_eq!(limits::BATCH_METRICS, limit("MAX_METRICS_PER_BATCH"));
    assert_eq!(limits::BATCH_PARAMS, limit("MAX_PARAMS_TAGS_PER_BATCH"));
    assert_eq!(limits::BATCH_TAGS, limit("MAX_PARAMS_TAGS_PER_BATCH"));
    assert_eq!(limits::BATCH_ENTITIES, limit("MAX_ENTITIES_PER_BATCH"));
    assert_eq!(limits::SEARCH_RESULTS_DEFAULT, limit("SEARCH_MAX_RESULTS_DEFAULT"));
    assert_eq!(limits::SEARCH_RESULTS_MAX, limit("SEARCH_MAX_RESULTS_THRESHOLD"));
}

#[test]
fn names_are_refused_in_mlflows_words() {
    for (name, refusal) in answers::<Vec<(String, Option<String>)>>("metric_names") {
        assert_eq!(message(validate::metric(&Metric::new(&name, 1.0, 1, 1), "")), refusal, "metric {name:?}");
    }
    for (name, refusal) in answers::<Vec<(String, Option<String>)>>("param_names") {
        assert_eq!(message(validate::param(&Param::new(&name, "x"), "")), refusal, "param {name:?}");
    }
    for (name, refusal) in answers::<Vec<(String, Option<String>)>>("tag_names") {
        assert_eq!(message(validate::tag(&RunTag::new(&name, "x"), "tags[3].")), refusal, "tag {name:?}");
    }
    for (run_id, refusal) in answers::<Vec<(String, Option<String>)>>("run_ids") {
        assert_eq!(message(validate::run_id(&run_id)), refusal, "run id {run_id:?}");
    }
}

#[test]
fn batches_are_counted_as_mlflow_counts_them() {
    for ((metrics, params, tags), refusal) in answers::<Vec<((usize, usize, usize), Option<String>)>>("counts") {
        let batch = Batch {
            metrics: (0..metrics).map(|index| Metric::new(format!("m{index}"), 1.0, 1, 1)).collect(),
            params: (0..params).map(|index| Param::new(format!("p{index}"), "x")).collect(),
            tags: (0..tags).map(|index| RunTag::new(format!("t{index}"), "x")).collect(),
        };
        assert_eq!(message(validate::batch(&batch)), refusal, "{metrics} metrics, {params} params, {tags} tags");
    }
}

#[test]
fn a_negative_time_is_refused() {
    let error = validate::metric(&Metric::new("loss", 0.5, -1, 1), "metrics[2].").unwrap_err();
    assert_eq!(
        error.message,
        "Invalid value -1 for parameter 'metrics[2].timestamp' supplied: metric 'loss' (value=0.5). Timestamp must be a nonnegative long \
         (64-bit integer) "
    );
}

fn answers<T: DeserializeOwned>(kind: &str) -> T {
    let text = include_str!("mlflow_answers.json").replace("Infinity", "1e308");
    let mut answers: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(answers[kind].take()).unwrap()
}

fn message(result: Result<(), anmok_protocol::ApiError>) -> Option<String> {
    result.err().map(|error| error.message)
}
