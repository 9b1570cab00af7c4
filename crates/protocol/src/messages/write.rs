//! From a request to a query string.

use serde::Serialize;
use serde_json::Value;

/// The pairs of a request's query string, not yet encoded. A list has one pair per item.
///
/// # Errors
/// A request that is no JSON object: none of this crate's.
pub fn to_query<T: Serialize>(request: &T) -> Result<Vec<(String, String)>, serde_json::Error> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        value => value.to_string(),
    };
    let fields: serde_json::Map<String, Value> = serde_json::from_value(serde_json::to_value(request)?)?;
    let mut pairs = vec![];
    for (name, value) in fields {
        match value {
            Value::Array(items) => pairs.extend(items.into_iter().map(|item| (name.clone(), text(item)))),
            value => pairs.push((name, text(value))),
        }
    }
    Ok(pairs)
}
