//! Names, aliases and tags of the model registry, and of logged models.

use super::{is_word, length, missing, name, python_string, refuse_path};
use crate::error::ApiError;
use crate::limits;

/// Checks a registered model's name: no `/`, no `:`, no name that a path would resolve to another one.
pub fn model_name(name: &str) -> Result<(), ApiError> {
    if name.trim().is_empty() {
        return Err(missing("name"));
    }
    if name.contains(['/', ':']) {
        return Err(ApiError::invalid(format!("Invalid model name '{name}'. Names cannot contain '/' or ':'.")));
    }
    refuse_path(name, "name")
}

/// Checks the new name of a registered model.
pub fn model_rename(new_name: &str) -> Result<(), ApiError> {
    if new_name.trim().is_empty() {
        return Err(missing("new_name"));
    }
    model_name(new_name)
}

/// A model version's number, from the text that it is on the wire.
pub fn model_version(text: &str) -> Result<i64, ApiError> {
    text.trim().parse().map_err(|_| ApiError::invalid(format!("Parameter 'version' must be an integer, got '{text}'.")))
}

/// Checks an alias that is looked up or removed: letters, digits, `_` and `-`.
pub fn model_alias(alias: &str) -> Result<(), ApiError> {
    if alias.is_empty() {
        return Err(ApiError::invalid("Registered model alias name cannot be empty."));
    }
    // Python's `$` lets one line end pass, and an alias with one could not be named in a URI.
    if !alias.chars().all(|c| is_word(c) || c == '-') {
        return Err(ApiError::invalid(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )));
    }
    length("Registered model alias name", limits::ALIAS_LENGTH, alias)
}

/// Checks an alias that is set: one that [`model_alias`] takes, and neither `latest` nor a version (`v1`).
pub fn new_model_alias(alias: &str) -> Result<(), ApiError> {
    model_alias(alias)?;
    if alias.eq_ignore_ascii_case("latest") {
        return Err(ApiError::invalid("'latest' alias name (case insensitive) is reserved."));
    }
    let digits = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    if !digits.is_empty() && digits.chars().all(char::is_numeric) {
        return Err(ApiError::invalid(format!("Version alias name '{alias}' is reserved.")));
    }
    Ok(())
}

/// Checks a tag of a registered model.
pub fn registered_model_tag(key: &str, value: &str) -> Result<(), ApiError> {
    name(key, "key")?;
    length("key", limits::REGISTRY_TAG_KEY_LENGTH, key)?;
    length("value", limits::REGISTRY_TAG_VALUE_LENGTH, value)
}

/// Checks a tag of a model version.
pub fn model_version_tag(key: &str, value: &str) -> Result<(), ApiError> {
    name(key, "key")?;
    length("key", limits::REGISTRY_TAG_KEY_LENGTH, key)?;
    if key == "mlflow.prompt.text" && limits::cut(value, limits::REGISTRY_TAG_VALUE_LENGTH).len() < value.len() {
        return Err(ApiError::invalid(format!("Prompt text exceeds max length of {} characters.", limits::REGISTRY_TAG_VALUE_LENGTH)));
    }
    length("value", limits::REGISTRY_TAG_VALUE_LENGTH, value)
}

/// Checks a logged model's name.
pub fn logged_model_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(ApiError::invalid(format!(
            "Invalid model name ({}) provided. Model name must be a non-empty string and cannot contain the following characters: ('/', \
             ':', '.', '%', '\"', \"'\")",
            python_string(name)
        )));
    }
    length("name", limits::LOGGED_MODEL_NAME_LENGTH, name)
}

/// Checks a param of a logged model. MLflow's own server leaves this to its database.
pub fn logged_model_parameter(key: &str, value: &str) -> Result<(), ApiError> {
    length("Param key", limits::LOGGED_MODEL_KEY_LENGTH, key)?;
    length("Param value", limits::PARAM_VALUE_LENGTH, value)
}

/// Checks a tag of a logged model. MLflow's own server leaves this to its database.
pub fn logged_model_tag(key: &str, value: &str) -> Result<(), ApiError> {
    length("Tag key", limits::LOGGED_MODEL_KEY_LENGTH, key)?;
    length("Tag value", limits::TAG_VALUE_LENGTH, value)
}

/// Checks a webhook's name: 1 to 63 letters, digits, `.`, `_` and `-` of ASCII, the first and the last a letter or digit.
pub fn webhook_name(name: &str) -> Result<(), ApiError> {
    let bytes = name.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if bytes.len() <= 63 && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inside) {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Webhook name {} is invalid. It must start and end with a letter or digit, be less than 63 characters long, and contain only \
         letters, digits, dots (.), underscores (_), and hyphens (-).",
        python_string(name)
    )))
}
