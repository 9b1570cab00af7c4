//! Our clauses as MLflow's own parser writes them.

use anmok_protocol::search::TextTest;
use serde_json::{Value, json};

/// Comparator and value of a condition on text.
pub fn text_test(test: &TextTest) -> (&'static str, Value) {
    match test {
        TextTest::Equal(text) => ("=", json!(text)),
        TextTest::NotEqual(text) => ("!=", json!(text)),
        TextTest::Like(text) => ("LIKE", json!(text)),
        TextTest::ILike(text) => ("ILIKE", json!(text)),
        TextTest::In(list) => ("IN", json!(list)),
        TextTest::NotIn(list) => ("NOT IN", json!(list)),
        TextTest::Missing => ("IS NULL", Value::Null),
        TextTest::Present => ("IS NOT NULL", Value::Null),
    }
}
