//! Artifact URIs: local folders, `mlflow-artifacts:`, buckets.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use crate::error::TrackingError;
use crate::uri::is_scheme;

/// What stands before the path in an HTTP URL of a server's artifacts.
const PROXY_ROUTE: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// What a path keeps as it is within a URI: RFC 3986's unreserved characters, `/`, and the harmless `:@!$&'()*+,;=`.
const URI_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// An absolute path as a `file://` URI.
pub(crate) fn file_uri(path: &Path) -> String {
    format!("file://{}", percent_encode(path.as_os_str().as_encoded_bytes(), URI_PATH))
}

/// The absolute folder that a `file:` URI or a path names; `None` for a URI of another kind.
pub(crate) fn local_folder(location: &str) -> Result<Option<PathBuf>, TrackingError> {
    let refuse = |why: &str| Err(TrackingError::ArtifactLocation { uri: location.into(), why: why.into() });
    let path = match location.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            if !path.starts_with('/') {
                return refuse("a file URI needs an absolute path: file:///path");
            }
            match percent_decode_str(path).decode_utf8() {
                Ok(path) => PathBuf::from(path.as_ref()),
                Err(_) => return refuse("its percent-encoded bytes are not UTF-8"),
            }
        }
        Some((scheme, _)) if is_scheme(scheme) => return Ok(None),
        _ => PathBuf::from(location),
    };
    if path.as_os_str().is_empty() {
        return refuse("it is empty");
    }
    std::path::absolute(&path).map(Some).map_err(|error| TrackingError::io("finding the artifact folder", &path, error))
}

/// The path within a server's artifacts that a `mlflow-artifacts:` URI names, or an HTTP URL of the proxy's; decoded,
/// without slashes around it. `None` for a URI of another kind.
pub(super) fn proxied_path(uri: &str) -> Result<Option<String>, TrackingError> {
    // A server may be named; it is this one for whoever asks us.
    Ok(proxied(uri)?.map(|(_, path)| path))
}

/// The same, with the server if the URI names one: `host:port`, or with a scheme in front where the URI has it.
pub(crate) fn proxied(uri: &str) -> Result<Option<(Option<String>, String)>, TrackingError> {
    let Some((scheme, rest)) = uri.split_once(':') else { return Ok(None) };
    let (server, path) = match scheme.to_ascii_lowercase().as_str() {
        "mlflow-artifacts" => match rest.strip_prefix("//") {
            Some(rest) => {
                let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(server.to_owned()).filter(|server| !server.is_empty()), path)
            }
            None => (None, rest),
        },
        "http" | "https" => match rest.split_once(PROXY_ROUTE) {
            Some((server, path)) => (Some(format!("{scheme}:{server}")), path),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    match percent_decode_str(path.trim_matches('/')).decode_utf8() {
        Ok(path) => Ok(Some((server, path.into_owned()))),
        Err(_) => Err(TrackingError::ArtifactLocation { uri: uri.into(), why: "its percent-encoded bytes are not UTF-8".into() }),
    }
}

/// The bucket and the key's beginning of an `s3://bucket/prefix` URI; `None` for a URI of another kind.
pub(super) fn s3_bucket(uri: &str) -> Result<Option<(&str, &str)>, TrackingError> {
    let Some((scheme, rest)) = uri.split_once("://") else { return Ok(None) };
    // Hadoop's names for the same.
    if !["s3", "s3a", "s3n"].iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
        return Ok(None);
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(TrackingError::ArtifactLocation { uri: uri.into(), why: "it names no bucket: s3://BUCKET/PREFIX".into() });
    }
    Ok(Some((bucket, prefix.trim_matches('/'))))
}
