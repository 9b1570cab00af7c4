//! From a body or a query string to a request.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Kind, Request};
use crate::error::ApiError;

/// Reads a request from a JSON body. A body that is empty or no JSON has no parameters, as MLflow has it; one that was
/// encoded twice (older clients do that) is decoded twice.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE` that names the parameter.
pub fn from_json<T: Request>(body: &[u8]) -> Result<T, ApiError> {
    // What is right is read in one pass into its own type; only what is wrong is looked at piece by piece.
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(request) = serde_json::from_slice::<T>(body)
        && request.is_complete()
    {
        return Ok(request);
    }
    let mut json: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Value::String(text) = &json {
        json = serde_json::from_str(text).unwrap_or_default();
    }
    match json {
        Value::Object(fields) => from_fields(fields),
        Value::Null => from_fields(Map::new()),
        _ => Err(ApiError::invalid("The body of the request must be a JSON object.")),
    }
}

/// Reads a request from the decoded pairs of a query string. A list has one pair per item; of anything else the first counts.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE` that names the parameter.
pub fn from_query<T: Request>(pairs: impl IntoIterator<Item = (String, String)>) -> Result<T, ApiError> {
    let kinds: HashMap<&str, Kind> = T::PARAMETERS.iter().map(|parameter| (parameter.name, parameter.kind)).collect();
    let mut fields = Map::new();
    for (name, text) in pairs {
        match kinds.get(name.as_str()) {
            Some(Kind::List | Kind::Texts | Kind::Entries(_)) => {
                if let Value::Array(items) = fields.entry(name).or_insert_with(|| Value::Array(vec![])) {
                    items.push(Value::String(text));
                }
            }
            Some(Kind::Boolean) => {
                let value = match text.to_ascii_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(ApiError::invalid(format!("Invalid boolean value: {text}, must be 'true' or 'false'."))),
                };
                fields.entry(name).or_insert(Value::Bool(value));
            }
            Some(_) => drop(fields.entry(name).or_insert(Value::String(text))),
            // `run_uuid` is no parameter of its own; anything else is ignored by the request's type.
            None => drop(fields.entry(name).or_insert(Value::String(text))),
        }
    }
    from_fields(fields)
}

fn from_fields<T: Request>(fields: Map<String, Value>) -> Result<T, ApiError> {
    for parameter in T::PARAMETERS {
        let value = match fields.get(parameter.name) {
            None | Some(Value::Null) if parameter.name == "run_id" => fields.get("run_uuid"),
            value => value,
        };
        parameter.check(value.unwrap_or(&Value::Null))?;
    }
    T::deserialize(Value::Object(fields)).map_err(|error| {
        ApiError::invalid(format!("Invalid request: {error}. See the API docs for more information about request parameters."))
    })
}
