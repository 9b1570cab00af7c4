//! What MLflow itself answered (`mlflow_answers.py` asked it).

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The answers of one kind.
pub fn answers<T: DeserializeOwned>(kind: &str) -> T {
    // Python writes infinity as a bare word, which is not JSON.
    let text = include_str!("../mlflow_answers.json").replace("Infinity", "1e308");
    let mut answers: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(answers[kind].take()).unwrap()
}
