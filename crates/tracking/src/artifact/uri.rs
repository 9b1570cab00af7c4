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

/// Where Azure keeps blobs. A location that names another host is refused: whoever asked it would show it its credentials.
const AZURE_DOMAINS: [&str; 3] = ["blob.core.windows.net", "blob.core.chinacloudapi.cn", "blob.core.usgovcloudapi.net"];

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Google,
    Azure,
}

/// A bucket, or what its provider calls so, and the beginning of the keys in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BucketUri<'a> {
    pub provider: Provider,
    pub bucket: &'a str,
    /// Azure's storage account, and the domain its blobs are at.
    pub account: Option<(&'a str, &'static str)>,
    /// Without slashes around it.
    pub prefix: &'a str,
}

impl BucketUri<'_> {
    /// The bucket as one text, the same for every way to write it.
    pub fn name(&self) -> String {
        match (self.provider, &self.account) {
            (Provider::S3, _) => format!("s3://{}", self.bucket),
            (Provider::Google, _) => format!("gs://{}", self.bucket),
            (Provider::Azure, Some((account, domain))) => format!("wasbs://{}@{account}.{domain}", self.bucket),
            (Provider::Azure, None) => format!("wasbs://{}", self.bucket),
        }
    }
}

/// What an `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX` names; `None`
/// for a URI of another kind.
pub(super) fn bucket(uri: &str) -> Result<Option<BucketUri<'_>>, TrackingError> {
    let refuse = |why: &str| Err(TrackingError::ArtifactLocation { uri: uri.into(), why: why.into() });
    let Some((scheme, rest)) = uri.split_once("://") else { return Ok(None) };
    // Some are Hadoop's names for the same.
    let provider = match scheme.to_ascii_lowercase().as_str() {
        "s3" | "s3a" | "s3n" => Provider::S3,
        "gs" => Provider::Google,
        "wasb" | "wasbs" | "abfs" | "abfss" => Provider::Azure,
        _ => return Ok(None),
    };
    let (place, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let (bucket, account) = match provider {
        Provider::S3 | Provider::Google => (place, None),
        Provider::Azure => {
            let parts = place.split_once('@').and_then(|(container, host)| Some((container, host.split_once('.')?)));
            let is_name = |account: &str| !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let Some((container, (account, domain))) = parts.filter(|(_, (account, _))| is_name(account)) else {
                return refuse("it names no container of an account: wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX");
            };
            // A data lake's files are blobs too, at a host of their own.
            let domain = domain.strip_prefix("dfs.").map_or_else(|| domain.to_owned(), |rest| format!("blob.{rest}"));
            let Some(domain) = AZURE_DOMAINS.into_iter().find(|known| *known == domain) else {
                return refuse(&format!("its host is none of Azure's: ACCOUNT.{}", AZURE_DOMAINS.join(", ACCOUNT.")));
            };
            (container, Some((account, domain)))
        }
    };
    if bucket.is_empty() {
        return refuse(&format!("it names no bucket: {scheme}://BUCKET/PREFIX"));
    }
    Ok(Some(BucketUri { provider, bucket, account, prefix: prefix.trim_matches('/') }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_one_name() {
        for (uri, name, prefix) in [
            ("s3://models/a/b/", "s3://models", "a/b"),
            ("S3A://models", "s3://models", ""),
            ("gs://models/a", "gs://models", "a"),
            ("wasbs://box@acme.blob.core.windows.net/a", "wasbs://box@acme.blob.core.windows.net", "a"),
            ("abfss://box@acme.dfs.core.windows.net/a", "wasbs://box@acme.blob.core.windows.net", "a"),
            ("wasb://box@acme.blob.core.chinacloudapi.cn", "wasbs://box@acme.blob.core.chinacloudapi.cn", ""),
        ] {
            let found = bucket(uri).unwrap().unwrap();
            assert_eq!((found.name().as_str(), found.prefix), (name, prefix), "{uri}");
        }
        for uri in ["hdfs://a/b", "/a/b", "gs:/a"] {
            assert_eq!(bucket(uri).unwrap(), None, "{uri}");
        }
        for uri in ["s3://", "gs:///a", "wasbs://box/a", "wasbs://@acme.blob.core.windows.net", "wasbs://box@acme", "wasbs://box@.b"] {
            bucket(uri).unwrap_err();
        }
        // Nobody but Azure is shown Azure's credentials.
        for host in [
            "x.blob.core.evil.net",
            "x.evil.com",
            "x:1@evil.com#.blob.core.windows.net",
            "evil#.blob.core.windows.net",
            "a?b.blob.core.windows.net",
        ] {
            bucket(&format!("wasbs://box@{host}/a")).unwrap_err();
        }
    }
}
