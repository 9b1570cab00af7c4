//! Fields that are read from the JSON of a REST message.

use async_graphql::dynamic::{FieldFuture, FieldValue, ResolverContext};
use async_graphql::parser::types::{BaseType, Type};
use serde_json::Value;

/// How a field's JSON becomes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// A 64-bit integer, written as text.
    Long,
    Float,
    Boolean,
    /// The name of one of an enum's values.
    Name,
    Texts,
    Object,
    Objects,
    /// An object that no message has.
    Never,
}

impl Shape {
    /// The shape of a type of the schema.
    pub fn of(ty: &Type) -> Self {
        match &ty.base {
            BaseType::List(item) if item.base == BaseType::Named(async_graphql::Name::new("String")) => Self::Texts,
            BaseType::List(_) => Self::Objects,
            BaseType::Named(name) => match name.as_str() {
                "String" => Self::Text,
                "LongString" => Self::Long,
                "Float" => Self::Float,
                "Boolean" => Self::Boolean,
                "ApiError" => Self::Never,
                name if name.ends_with("Status") || name.ends_with("ConnectionState") || name.ends_with("RunState") => Self::Name,
                _ => Self::Object,
            },
        }
    }

    /// The value of a field that is not in its message: that of an unset field of a proto.
    fn unset(self) -> Option<FieldValue<'static>> {
        match self {
            Self::Text => Some(FieldValue::value("")),
            Self::Long => Some(FieldValue::value("0")),
            Self::Boolean => Some(FieldValue::value(false)),
            Self::Object => Some(FieldValue::borrowed_any(&Value::Null)),
            Self::Texts | Self::Objects => Some(FieldValue::list(Vec::<FieldValue>::new())),
            Self::Float | Self::Name | Self::Never => None,
        }
    }

    /// The value of a field that belongs to the message above it.
    fn borrowed(self, json: &Value) -> Option<FieldValue<'_>> {
        match (self, json) {
            (Self::Object, Value::Object(_)) => Some(FieldValue::borrowed_any(json)),
            (Self::Objects, Value::Array(items)) => Some(FieldValue::list(items.iter().map(|item| FieldValue::borrowed_any(item)))),
            _ => self.plain(json),
        }
    }

    /// The value of a field that was asked for on its own.
    pub fn owned(self, json: Value) -> Option<FieldValue<'static>> {
        match (self, json) {
            (Self::Object, json @ Value::Object(_)) => Some(FieldValue::owned_any(json)),
            (Self::Objects, Value::Array(items)) => Some(FieldValue::list(items.into_iter().map(FieldValue::owned_any))),
            (_, json) => self.plain(&json),
        }
    }

    fn plain(self, json: &Value) -> Option<FieldValue<'static>> {
        match (self, json) {
            (Self::Text, Value::String(text)) => Some(FieldValue::value(text.as_str())),
            (Self::Name, Value::String(name)) => Some(FieldValue::value(async_graphql::Value::Enum(async_graphql::Name::new(name)))),
            (Self::Long, Value::Number(number)) => Some(FieldValue::value(number.to_string())),
            // JSON has no NaN: it stands as text in a REST message, and is null here.
            (Self::Float, json) => json.as_f64().map(FieldValue::value),
            (Self::Boolean, Value::Bool(value)) => Some(FieldValue::value(*value)),
            (Self::Texts, Value::Array(items)) => Some(FieldValue::list(items.iter().filter_map(Value::as_str).map(FieldValue::value))),
            _ => self.unset(),
        }
    }
}

/// The field `key` of the message that the parent is.
pub(super) fn resolve<'a>(context: &ResolverContext<'a>, key: &str, shape: Shape) -> FieldFuture<'a> {
    let parent = context.parent_value.downcast_ref::<Value>().unwrap_or(&Value::Null);
    FieldFuture::Value(shape.borrowed(&parent[key]))
}

/// `run_uuid` for `runUuid`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
