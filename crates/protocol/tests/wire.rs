//! proto3 JSON, as MLflow's clients and servers write it.

use anmok_protocol::{ApiError, ArtifactPath, Batch, ErrorCode, Metric, Param, Run, RunStatus, RunTag, ViewType};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What MLflow 3.17.2 answers to runs/get (one NaN, one tag, an ended run).
const RUN: &str = r#"{
    "info": {
        "run_uuid": "f2d4cc1b8a9e4a0d9a6b7f4d2f0b1c3e", "experiment_id": "1", "run_name": "quick-fox-12", "user_id": "me",
        "status": "FINISHED", "start_time": 1763849381000, "end_time": 1763849382000, "artifact_uri": "mlflow-artifacts:/1/f2d4/artifacts",
        "lifecycle_stage": "active", "run_id": "f2d4cc1b8a9e4a0d9a6b7f4d2f0b1c3e"
    },
    "data": {
        "metrics": [{"key": "loss", "value": "NaN", "timestamp": 1763849381500, "step": 3, "run_id": "f2d4cc1b8a9e4a0d9a6b7f4d2f0b1c3e"}],
        "tags": [{"key": "mlflow.runName", "value": "quick-fox-12"}]
    },
    "inputs": {}, "outputs": {}
}"#;

#[test]
fn a_run_is_read_and_written() {
    let run: Run = serde_json::from_str(RUN).unwrap();
    assert_eq!((run.info.status, run.info.end_time), (RunStatus::Finished, Some(1_763_849_382_000)));
    assert!(run.data.metric("loss").unwrap().is_nan());
    assert_eq!(serde_json::to_value(&run).unwrap(), serde_json::from_str::<Value>(RUN).unwrap());
}

#[test]
fn absent_fields_have_defaults() {
    let run: Run = serde_json::from_value(json!({
        "info": {"run_id": "a", "experiment_id": "0", "status": "RUNNING", "lifecycle_stage": "active", "end_time": null}
    }))
    .unwrap();
    assert_eq!((run.info.end_time, run.data.tags.len()), (None, 0));
    assert!(serde_json::to_value(&run).unwrap()["info"].get("end_time").is_none());
}

#[test]
fn numbers_come_as_strings_too() {
    let read = |text: Value| serde_json::from_value::<Metric>(text).map_err(|error| error.to_string());
    let metric = read(json!({"key": "a", "value": "1.5", "timestamp": "12", "step": "-3"})).unwrap();
    assert_eq!((metric.value, metric.timestamp, metric.step), (1.5, 12, -3));
    let metric = read(json!({"key": "a", "value": 2, "timestamp": 1e3, "unknown": []})).unwrap();
    assert_eq!((metric.value, metric.timestamp, metric.step), (2.0, 1000, 0));
    assert_eq!(read(json!({"key": "a", "value": "-Infinity"})).unwrap().value, f64::NEG_INFINITY);
    for bad in [json!("x"), json!(1.5), json!(1e19), json!(18_446_744_073_709_551_615_u64), json!([]), json!(true)] {
        assert!(read(json!({"key": "a", "value": 1, "step": bad.clone()})).is_err(), "step {bad}");
    }
    assert!(read(json!({"key": "a", "value": {}})).is_err());
    assert!(read(json!({"key": "a"})).unwrap_err().contains("value"));
}

#[test]
fn enums_are_read_by_name_and_number() {
    assert_eq!(serde_json::from_value::<ViewType>(json!("DELETED_ONLY")).unwrap(), ViewType::DeletedOnly);
    assert_eq!(serde_json::from_value::<RunStatus>(json!(5)).unwrap(), RunStatus::Killed);
    assert!(serde_json::from_value::<RunStatus>(json!("DONE")).unwrap_err().to_string().contains("RUNNING, SCHEDULED"));
    assert!(serde_json::from_value::<RunStatus>(json!(9)).is_err());
    assert_eq!(serde_json::to_value(RunStatus::Scheduled).unwrap(), json!("SCHEDULED"));
    assert_eq!("KILLED".parse::<RunStatus>().unwrap().to_string(), "KILLED");
}

#[test]
fn an_error_carries_its_code() {
    let error = ApiError::new(ErrorCode::ResourceDoesNotExist, "Run with id=a not found");
    let json = json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run with id=a not found"});
    assert_eq!(serde_json::to_value(&error).unwrap(), json);
    assert_eq!(serde_json::from_value::<ApiError>(json).unwrap(), error);
}

#[test]
fn artifact_paths_cannot_escape() {
    for good in ["model.pth", "a/b.c/d", "그림/혼동 행렬.png", "a..b", "..a", "a b%2e.txt", "한", "xy:z"] {
        assert_eq!(ArtifactPath::parse(good).unwrap().as_str(), good);
    }
    assert_eq!(ArtifactPath::parse("plots/").unwrap().as_str(), "plots");
    assert_eq!(ArtifactPath::parse("plots/a.png").unwrap().file_name(), "a.png");
    for bad in ["", "/", "/etc/passwd", "..", "a/../b", "../a", "./a", "a//b", "a\\b", "..\\a", "C:/a", "c:", "a#b", "a\0b", "a\nb", "a/."]
    {
        let error = ArtifactPath::parse(bad).expect_err(bad);
        assert!(error.message.starts_with(&format!("Invalid path: {bad}")), "{error}");
    }
}

proptest! {
    #[test]
    fn a_parsed_path_stays_below_its_root(text in any::<String>()) {
        if let Ok(path) = ArtifactPath::parse(&text) {
            let place = std::path::Path::new("/root").join(path.as_str());
            prop_assert!(place.starts_with("/root"));
            prop_assert!(place.components().skip(2).all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }

    #[test]
    fn a_batch_survives_the_wire(
        points in prop::collection::vec((any::<String>(), any::<f64>(), any::<i64>(), any::<i64>()), 0..5),
        texts in prop::collection::vec((any::<String>(), any::<String>()), 0..5),
    ) {
        let batch = Batch {
            metrics: points.into_iter().map(|(key, value, timestamp, step)| Metric::new(key, value, timestamp, step)).collect(),
            params: texts.iter().map(|(key, value)| Param::new(key, value)).collect(),
            tags: texts.iter().map(|(key, value)| RunTag::new(key, value)).collect(),
        };
        let read: Batch = serde_json::from_str(&serde_json::to_string(&batch).unwrap()).unwrap();
        // NaN is not equal to itself.
        prop_assert_eq!(format!("{read:?}"), format!("{batch:?}"));
    }
}
