//! Documents in GraphQL, as the web UI sends them.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Kind, Parameter, Request};
use crate::json;

/// Asks by a document in GraphQL.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GraphQl {
    /// The document.
    #[serde(deserialize_with = "json::text")]
    pub query: String,
    /// Which of the document's operations; absent: its only one.
    #[serde(rename = "operationName", deserialize_with = "json::optional_text")]
    pub operation_name: Option<String>,
    /// The values of the document's variables. In a query string they are JSON as text.
    #[serde(deserialize_with = "variables")]
    pub variables: Map<String, Value>,
}

impl Request for GraphQl {
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("query", Kind::Text),
        Parameter::optional("operationName", Kind::Text),
        Parameter::optional("variables", Kind::Any),
    ];

    fn is_complete(&self) -> bool {
        !self.query.is_empty()
    }
}

fn variables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let read = match Value::deserialize(deserializer)? {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::String(text) => serde_json::from_str(&text).map_err(|error| D::Error::custom(format!("variables are no JSON: {error}")))?,
        value => value,
    };
    match read {
        Value::Null => Ok(Map::new()),
        Value::Object(variables) => Ok(variables),
        _ => Err(D::Error::custom("variables must be a JSON object")),
    }
}
