//! What MLflow's web UI asks for on every page, beside what the store holds.

use serde_json::{Value, json};

use crate::harness::Server;

#[test]
fn what_is_not_here_is_answered_empty() {
    let server = Server::start();
    let get = |path: &str| -> Value {
        let answer = server.ask("GET", &format!("/ajax-api/3.0/mlflow/{path}"), &[], b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    assert_eq!(get("ui-telemetry")["disable_ui_telemetry"], json!(true));
    assert_eq!(get("assistant/config")["providers"], json!({}));
    assert_eq!(get("assistant/providers")["providers"], json!([]));
    let sent = server.ask("POST", "/ajax-api/3.0/mlflow/ui-telemetry", &[], br#"{"records": []}"#);
    assert_eq!((sent.status, sent.json()), (200, json!({ "status": "disabled" })));
}
