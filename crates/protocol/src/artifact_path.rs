//! Paths of artifacts inside a run, checked once so that nothing behind them needs to think of escapes.

use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// A relative path with `/` between non-empty parts: no `..`, no `.`, no root, no backslash, no drive letter, no `#`.
///
/// It is taken as it is, not percent-decoded: whoever receives an encoded path decodes it first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactPath(String);

impl ArtifactPath {
    /// Checks a path. A trailing `/` is dropped.
    ///
    /// # Errors
    /// `INVALID_PARAMETER_VALUE` that names the path and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let refuse = |why: &str| Err(ApiError::invalid(format!("Invalid path: {text} ({why})")));
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return refuse("an artifact needs a name");
        }
        if path.starts_with('/') {
            return refuse("it must be relative to the run's artifacts");
        }
        if path.contains('\\') {
            return refuse("parts are separated by '/', not '\\'");
        }
        if path.contains('#') {
            return refuse("'#' is not allowed");
        }
        if path.chars().any(char::is_control) {
            return refuse("control characters are not allowed");
        }
        let bytes = path.as_bytes();
        if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
            return refuse("drive letters are not allowed");
        }
        for part in path.split('/') {
            match part {
                "" => return refuse("a part is empty"),
                "." | ".." => return refuse("'.' and '..' are not allowed"),
                _ => {}
            }
        }
        Ok(Self(path.to_string()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for ArtifactPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Relative to the root of the listing's run.
    pub path: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Bytes; absent for a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
}
