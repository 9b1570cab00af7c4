//! What is asked of one parameter, and MLflow's words when it is not so.

use serde_json::Value;

use crate::error::ApiError;
use crate::validate::json_string;

/// One parameter of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether it must be there, and not empty.
    pub required: bool,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An integer, or text that reads as one.
    Integer,
    /// A number, or text that reads as one.
    Double,
    /// A truth value.
    Boolean,
    /// A list.
    List,
    /// A list of strings.
    Texts,
    /// A list of objects that must have these fields.
    Entries(&'static [&'static str]),
    /// Anything: its own type says what is wrong with it.
    Any,
}

impl Parameter {
    /// One that must be there.
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true }
    }

    /// One that may be absent.
    pub const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false }
    }

    /// Whether a query string may hold it more than once.
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List | Kind::Texts | Kind::Entries(_))
    }

    /// Checks a value; null is absent.
    pub(super) fn check(&self, value: &Value) -> Result<(), ApiError> {
        if self.required && is_empty(value) {
            return Err(ApiError::missing_parameter(self.name));
        }
        if let (Kind::Entries(fields), Value::Array(items)) = (self.kind, value) {
            for (index, item) in items.iter().enumerate() {
                if let Some(field) = fields.iter().find(|field| is_empty(&item[**field])) {
                    return Err(ApiError::missing_parameter(&format!("{}[{index}].{field}", self.name)));
                }
            }
        }
        let fits = match (self.kind, value) {
            (_, Value::Null) | (Kind::Any, _) | (Kind::Text, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) => true,
            (Kind::Integer, Value::Number(number)) => number.is_i64() || number.as_f64().is_some_and(|number| number.fract() == 0.0),
            (Kind::Integer, Value::String(text)) => text.trim().parse::<i64>().is_ok(),
            (Kind::Double, Value::Number(_)) => true,
            (Kind::Double, Value::String(text)) => text.trim().parse::<f64>().is_ok(),
            (Kind::List | Kind::Entries(_), Value::Array(_)) => true,
            (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_string),
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.wrong(value)) }
    }

    fn wrong(&self, value: &Value) -> ApiError {
        ApiError::invalid(format!(
            "Invalid value {} for parameter '{}' supplied:  Hint: Value was of type '{}'. See the API docs for more information about \
             request parameters.",
            python_json(value),
            self.name,
            python_type(value)
        ))
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A value as Python's `json.dumps(value, sort_keys=True, separators=(",", ":"))` writes it.
fn python_json(value: &Value) -> String {
    match value {
        Value::String(text) => json_string(text),
        Value::Array(items) => format!("[{}]", items.iter().map(python_json).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{}", json_string(name), python_json(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}
