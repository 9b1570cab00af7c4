//! Our rules against MLflow's own answers (`mlflow_answers.py` made them).

mod answers;

use std::collections::BTreeSet;

use anmok_protocol::host_policy::HostPolicy;
use anmok_protocol::model_source::{self, SourceOwner};
use anmok_protocol::routes::ROUTES;
use anmok_protocol::{Batch, ErrorCode, Metric, ModelStage, Param, RunTag, limits, validate};
use answers::answers;
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
    assert_eq!(limits::BATCH_BYTES, limit("MAX_BATCH_LOG_REQUEST_SIZE"));
    assert_eq!(limits::REGISTRY_TAG_KEY_LENGTH, limit("MAX_MODEL_REGISTRY_TAG_KEY_LENGTH"));
    assert_eq!(limits::REGISTRY_TAG_VALUE_LENGTH, limit("MAX_MODEL_REGISTRY_TAG_VALUE_LENGTH"));
    assert_eq!(limits::ALIAS_LENGTH, limit("MAX_REGISTERED_MODEL_ALIAS_LENGTH"));
    assert_eq!(limits::REGISTERED_MODEL_RESULTS_DEFAULT, limit("SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT"));
    assert_eq!(limits::REGISTERED_MODEL_RESULTS_MAX, limit("SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD"));
    assert_eq!(limits::MODEL_VERSION_RESULTS_DEFAULT, limit("SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT"));
    assert_eq!(limits::MODEL_VERSION_RESULTS_MAX, limit("SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD"));
    assert_eq!(limits::LOGGED_MODEL_RESULTS_DEFAULT, limit("SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT"));
    assert_eq!(limits::SAMPLED_HISTORY_POINTS, limit("MAX_RESULTS_PER_RUN"));
    assert_eq!(limits::SAMPLED_HISTORY_RUNS, limit("MAX_RUNS_GET_METRIC_HISTORY_BULK"));
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
fn names_of_the_registry_are_refused_in_mlflows_words() {
    let check = |kind: &str, rule: &dyn Fn(&str) -> Option<String>| {
        for (name, refusal) in answers::<Vec<(String, Option<String>)>>(kind) {
            assert_eq!(rule(&name), refusal, "{kind}: {name:?}");
        }
    };
    check("model_names", &|name| message(validate::model_name(name)));
    check("aliases", &|alias| message(validate::model_alias(alias)));
    check("new_aliases", &|alias| message(validate::new_model_alias(alias)));
    check("logged_model_names", &|name| message(validate::logged_model_name(name)));
    check("versions", &|text| message(validate::model_version(text).map(drop)));
    check("stages", &|text| message(text.parse::<ModelStage>().map(drop)));
    check("webhook_names", &|name| message(validate::webhook_name(name)));
    for ((key, value), refusal) in answers::<Vec<((usize, usize), Option<String>)>>("registry_tags") {
        let (key, value) = ("k".repeat(key), "v".repeat(value));
        assert_eq!(message(validate::registered_model_tag(&key, &value)), refusal);
        assert_eq!(message(validate::model_version_tag(&key, &value)), refusal);
    }
    assert!(message(validate::model_rename(" ")).unwrap().contains("'new_name'"));
}

#[test]
fn artifact_locations_are_refused_in_mlflows_words() {
    for (location, refusal) in answers::<Vec<(String, Option<String>)>>("locations") {
        // MLflow goes on to name a variable of its own, with which the limit can be moved.
        let refusal = refusal.map(|text| text.split(" To configure").next().unwrap_or_default().to_string());
        assert_eq!(message(validate::artifact_location(&location)), refusal, "{location}");
    }
}

#[test]
fn sources_are_refused_in_mlflows_words() {
    // Where MLflow's words are about the form of the URI (with INTERNAL_ERROR), ours are about what it names.
    const OTHER_WORDS: &[&str] = &["runs:/"];
    let asked: Vec<(String, String, String, String, Option<String>)> = answers("sources");
    assert!(asked.len() > 500);
    for (source, root, kind, id, refusal) in asked {
        let owner = match kind.as_str() {
            "run" => SourceOwner::Run { run_id: &id, artifact_uri: Some(&root) },
            _ => SourceOwner::Model { model_id: &id, artifact_uri: Some(&root) },
        };
        let ours = message(model_source::check(&source, owner));
        if OTHER_WORDS.contains(&source.as_str()) {
            assert!(ours.is_some() && refusal.is_some(), "{source}");
        } else {
            // MLflow shows a relative path below its own working directory.
            let told = |text: Option<String>| match text {
                Some(text) if text.contains("To use a local path") && !source.starts_with(['/', 'f']) => {
                    text.split_once("'. ").map(|(_, rest)| rest.to_string())
                }
                text => text,
            };
            assert_eq!(told(ours.clone()), told(refusal), "{source} of {kind} {id:?} at {root}");
        }
        let gone = match kind.as_str() {
            "run" => SourceOwner::Run { run_id: &id, artifact_uri: None },
            _ => SourceOwner::Model { model_id: &id, artifact_uri: None },
        };
        // Nothing opens that was shut because its owner is gone.
        assert!(ours.is_none() || model_source::check(&source, gone).is_err(), "{source}");
    }
}

#[test]
fn hosts_are_refused_as_by_mlflow() {
    let asked: Vec<(String, String, String, Option<String>)> = answers("hosts");
    assert!(asked.len() > 100);
    for (uri, schemes, place, refusal) in asked {
        let schemes: Vec<String> = schemes.split(',').map(|scheme| scheme.trim().to_string()).collect();
        let policy = HostPolicy::new(&schemes, [place.as_str()]);
        assert_eq!(message(policy.check(&uri, "source")), refusal, "{uri}, allowed {schemes:?}, own {place}");
    }
}

#[test]
fn mlflows_endpoints_have_routes() {
    let ours: BTreeSet<(String, String)> =
        ROUTES.iter().flat_map(|route| route.paths().map(move |path| (route.method.to_string(), path))).collect();
    let asked: Vec<(String, String)> = answers("endpoints");
    assert!(asked.len() > 100);
    for (method, path) in asked {
        let written = path.replace("<path:", "{*").replace('<', "{").replace('>', "}");
        assert!(ours.contains(&(method.clone(), written.clone())), "{method} {written}");
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

fn message(result: Result<(), anmok_protocol::ApiError>) -> Option<String> {
    result.err().map(|error| error.message)
}
