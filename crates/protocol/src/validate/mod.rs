//! What a name, a value and a batch may be, with MLflow's own messages.

mod accounts;
mod registry;

pub use accounts::{password, token_name, username};
pub use registry::{
    logged_model_name, logged_model_parameter, logged_model_tag, model_alias, model_name, model_rename, model_version, model_version_tag,
    new_model_alias, registered_model_tag, webhook_name,
};

use crate::error::ApiError;
use crate::limits;
use crate::run::{Batch, DatasetInput, Metric, Param, RunTag};

const BAD_CHARACTERS: &str = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), \
                              spaces ( ), colon(:) and slashes (/).";

/// Checks a whole batch: every name, length and count, and that no param key comes twice.
///
/// Values of params and tags that are too long are no error: stores cut them ([`limits::cut`]).
pub fn batch(batch: &Batch) -> Result<(), ApiError> {
    for (index, item) in batch.metrics.iter().enumerate() {
        metric(item, &format!("metrics[{index}]."))?;
    }
    for (index, item) in batch.params.iter().enumerate() {
        param(item, &format!("params[{index}]."))?;
    }
    for (index, item) in batch.tags.iter().enumerate() {
        tag(item, &format!("tags[{index}]."))?;
    }
    let (metrics, params, tags) = (batch.metrics.len(), batch.params.len(), batch.tags.len());
    count("metrics", limits::BATCH_METRICS, metrics)?;
    count("params", limits::BATCH_PARAMS, params)?;
    count("tags", limits::BATCH_TAGS, tags)?;
    count("metrics, params, and tags", limits::BATCH_ENTITIES, metrics + params + tags)?;
    let mut keys = std::collections::HashSet::new();
    let twice: Vec<&str> = batch.params.iter().map(|param| param.key.as_str()).filter(|key| !keys.insert(*key)).collect();
    if !twice.is_empty() {
        return Err(ApiError::invalid(format!(
            "Duplicate parameter keys have been submitted: {}. Please ensure the request contains only one param value per param key.",
            python_list(&twice)
        )));
    }
    Ok(())
}

/// Checks a metric's name and timestamp; `prefix` (`metrics[3].`, or nothing) is the place that the message names.
pub fn metric(metric: &Metric, prefix: &str) -> Result<(), ApiError> {
    name(&metric.key, &format!("{prefix}name"))?;
    if metric.timestamp < 0 {
        return Err(ApiError::invalid(format!(
            "Invalid value {} for parameter '{prefix}timestamp' supplied: metric '{}' (value={}). Timestamp must be a nonnegative long \
             (64-bit integer) ",
            metric.timestamp, metric.key, metric.value
        )));
    }
    length("Metric name", limits::KEY_LENGTH, &metric.key)
}

/// Checks a param's key.
pub fn param(param: &Param, prefix: &str) -> Result<(), ApiError> {
    name(&param.key, &format!("{prefix}key"))?;
    length("Param key", limits::KEY_LENGTH, &param.key)
}

/// Checks a run tag's key.
pub fn tag(tag: &RunTag, prefix: &str) -> Result<(), ApiError> {
    name(&tag.key, &format!("{prefix}key"))?;
    length(&format!("{prefix}key"), limits::KEY_LENGTH, &tag.key)
}

/// Checks the key of a tag that a run is made with: unlike one that is set later, it may be any text, as MLflow has it.
pub fn new_run_tag(tag: &RunTag, prefix: &str) -> Result<(), ApiError> {
    length(&format!("{prefix}key"), limits::KEY_LENGTH, &tag.key)
}

/// Checks an experiment tag.
pub fn experiment_tag(key: &str, value: &str) -> Result<(), ApiError> {
    name(key, "key")?;
    length("key", limits::EXPERIMENT_TAG_KEY_LENGTH, key)?;
    length("value", limits::EXPERIMENT_TAG_VALUE_LENGTH, value)
}

/// Checks an experiment's name.
pub fn experiment_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid("Invalid experiment name: ''"));
    }
    length("name", limits::EXPERIMENT_NAME_LENGTH, name)
}

/// Checks the place of an experiment's artifacts: no `runs:` URI, nothing in it that would end up behind the files' paths.
pub fn artifact_location(location: &str) -> Result<(), ApiError> {
    let url = crate::uri::Uri::parse(location);
    if url.fragment.is_some_and(|fragment| !fragment.is_empty()) || url.path.contains(';') {
        return Err(ApiError::invalid("'artifact_location' URL can't include fragments or params."));
    }
    if crate::uri::decoded(url.query.unwrap_or_default()).contains("..") {
        return Err(ApiError::invalid("Invalid query string"));
    }
    if location.starts_with("runs:") {
        return Err(ApiError::invalid(format!("Artifact location cannot be a runs:/ URI. Given: '{location}'")));
    }
    if limits::cut(location, limits::ARTIFACT_LOCATION_LENGTH).len() < location.len() {
        return Err(ApiError::invalid(format!(
            "Invalid artifact path length. The length of the artifact path cannot be greater than {} characters.",
            limits::ARTIFACT_LOCATION_LENGTH
        )));
    }
    Ok(())
}

/// An experiment's id as the number it is.
pub fn experiment_id(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| ApiError::invalid(format!("Invalid experiment ID '{text}'. Experiment ID must be a valid integer.")))
}

/// Checks a run's id: 1 to 256 letters, digits, `_` and `-`, the first a letter or digit of ASCII.
pub fn run_id(run_id: &str) -> Result<(), ApiError> {
    let mut characters = run_id.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphanumeric());
    if first && characters.clone().count() <= 255 && characters.all(|c| is_word(c) || c == '-') {
        Ok(())
    } else {
        Err(ApiError::invalid(format!("Invalid value {} for parameter 'run_id' supplied.", json_string(run_id))))
    }
}

/// Checks a data set and its tags.
pub fn dataset_input(input: &DatasetInput) -> Result<(), ApiError> {
    let dataset = &input.dataset;
    length("name", limits::DATASET_NAME_LENGTH, &dataset.name)?;
    length("digest", limits::DATASET_DIGEST_LENGTH, &dataset.digest)?;
    length("source", limits::DATASET_SOURCE_LENGTH, &dataset.source)?;
    length("schema", limits::DATASET_SCHEMA_LENGTH, dataset.schema.as_deref().unwrap_or_default())?;
    length("profile", limits::DATASET_PROFILE_LENGTH, dataset.profile.as_deref().unwrap_or_default())?;
    for tag in &input.tags {
        length("key", limits::INPUT_TAG_KEY_LENGTH, &tag.key)?;
        length("value", limits::INPUT_TAG_VALUE_LENGTH, &tag.value)?;
    }
    Ok(())
}

/// Checks how many results a search asks for.
pub fn max_results(max_results: usize) -> Result<(), ApiError> {
    let problem = if max_results < 1 {
        "a positive integer".to_string()
    } else if max_results > limits::SEARCH_RESULTS_MAX {
        format!("at most {}", limits::SEARCH_RESULTS_MAX)
    } else {
        return Ok(());
    };
    Err(ApiError::invalid(format!("Invalid value {max_results} for parameter 'max_results' supplied. It must be {problem}")))
}

/// A name that is also a file name in MLflow's oldest store: no odd characters, no path that means another one.
fn name(name: &str, path: &str) -> Result<(), ApiError> {
    if !name.chars().all(|c| is_word(c) || matches!(c, '/' | '.' | '-' | ' ' | ':')) {
        return Err(invalid_value(name, path, BAD_CHARACTERS));
    }
    refuse_path(name, path)
}

/// Refuses a name that, as a path, would mean another one.
fn refuse_path(name: &str, path: &str) -> Result<(), ApiError> {
    let normal = normalised(name);
    if normal == name && normal != "." && !normal.starts_with("..") && !normal.starts_with('/') {
        return Ok(());
    }
    let why = format!(
        "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would \
         resolve to {}",
        python_string(&normal)
    );
    Err(invalid_value(name, path, &why))
}

fn invalid_value(value: &str, path: &str, why: &str) -> ApiError {
    ApiError::invalid(format!("Invalid value {} for parameter '{path}' supplied: {why}", json_string(value)))
}

fn missing(path: &str) -> ApiError {
    ApiError::invalid(format!("Missing value for required parameter '{path}'."))
}

/// Python's `\w`.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Python's `posixpath.normpath`.
pub(crate) fn normalised(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let root = match path.bytes().take_while(|byte| *byte == b'/').count() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if root.is_empty() && parts.last().is_none_or(|last| *last == "..") => parts.push(".."),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let normal = format!("{root}{}", parts.join("/"));
    if normal.is_empty() { ".".into() } else { normal }
}

fn length(what: &str, limit: usize, text: &str) -> Result<(), ApiError> {
    if limits::cut(text, limit).len() == text.len() {
        Ok(())
    } else {
        Err(ApiError::invalid(format!("'{what}' exceeds the maximum length of {limit} characters")))
    }
}

fn count(what: &str, limit: usize, found: usize) -> Result<(), ApiError> {
    if found <= limit {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "A batch logging request can contain at most {limit} {what}. Got {found} {what}. Please split up {what} across multiple requests \
         and try again."
    )))
}

/// A JSON string literal in ASCII, as Python's `json.dumps` writes it.
pub fn json_string(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| json.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    json.push('"');
    json
}

/// A string as Python's `repr` writes it (printable characters as they are).
pub fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut literal = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c if c == quote => literal.extend(['\\', c]),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => literal.push_str(&format!("\\x{:02x}", c as u32)),
            c => literal.push(c),
        }
    }
    literal.push(quote);
    literal
}

fn python_list(items: &[&str]) -> String {
    format!("[{}]", items.iter().map(|item| python_string(item)).collect::<Vec<_>>().join(", "))
}
