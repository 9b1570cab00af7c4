//! Where a model version may come from. A source that the server would follow must not lead out of what its run or logged
//! model owns: whoever may register a model could otherwise read any file of the server.
//!
//! MLflow resolves local paths on the file system; here they are compared as text, and a path with `..` is refused instead.
//! Links that lead out of the artifacts are for whoever has the file system to notice: [`local_path_outside`] is their error.

use crate::error::ApiError;
use crate::uri::{Uri, decoded};

/// What a `models:/` URI names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelUri {
    /// `models:/<model id>`: a logged model.
    Id(String),
    /// `models:/<name>/<version>`
    Version(String, i64),
    /// `models:/<name>/<stage>`: the latest version of a stage.
    Stage(String, String),
    /// `models:/<name>/latest`
    Latest(String),
    /// `models:/<name>@<alias>`
    Alias(String, String),
}

impl ModelUri {
    /// Reads a source. One that is no `models:/` URI is `None`.
    ///
    /// # Errors
    /// `INVALID_PARAMETER_VALUE` for a `models:` URI that names nothing, or a server.
    pub fn parse(source: &str) -> Result<Option<Self>, ApiError> {
        let uri = Uri::parse(source);
        if !uri.is("models") {
            return Ok(None);
        }
        if !uri.authority.is_empty() {
            return Err(ApiError::invalid(format!(
                "Invalid model version source: '{source}'. Registered model sources must use the active model registry."
            )));
        }
        // A name may contain `#`; MLflow does not cut it there.
        let path = uri_path_with_fragment(source, &uri);
        let parts: Vec<&str> = path.strip_prefix('/').map_or(vec![], |path| path.trim_start_matches('/').split('/').collect());
        let named = |name: &str| (!name.trim().is_empty()).then(|| name.to_string());
        let found = match parts[..] {
            [name, suffix] => match (named(name), named(suffix)) {
                (Some(name), Some(suffix)) => match suffix.parse() {
                    Ok(version) if suffix.bytes().all(|byte| byte.is_ascii_digit()) => Some(Self::Version(name, version)),
                    _ if suffix.eq_ignore_ascii_case("latest") => Some(Self::Latest(name)),
                    _ => Some(Self::Stage(name, suffix)),
                },
                _ => None,
            },
            [single] => match single.rsplit_once('@') {
                Some((name, alias)) => named(name).zip(named(alias)).map(|(name, alias)| Self::Alias(name, alias)),
                None => named(single).map(Self::Id),
            },
            _ => None,
        };
        found.map(Some).ok_or_else(|| outside(source, OwnerKind::Model))
    }
}

/// Where the files of a run or logged model lie, against which a source is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceOwner<'a> {
    /// The request names a run, or nothing.
    Run {
        /// Empty: the request names nothing.
        run_id: &'a str,
        /// The run's artifacts; `None` if there is no such run.
        artifact_uri: Option<&'a str>,
    },
    /// The request names a logged model.
    Model {
        /// The model.
        model_id: &'a str,
        /// The model's files; `None` if there is no such model.
        artifact_uri: Option<&'a str>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnerKind {
    Run,
    Model,
}

impl OwnerKind {
    /// The request's parameter that names the owner.
    fn parameter(self) -> &'static str {
        match self {
            Self::Run => "run_id",
            Self::Model => "model_id",
        }
    }
}

impl<'a> SourceOwner<'a> {
    fn kind(&self) -> OwnerKind {
        match self {
            Self::Run { .. } => OwnerKind::Run,
            Self::Model { .. } => OwnerKind::Model,
        }
    }

    fn root(&self) -> Option<&'a str> {
        match *self {
            Self::Run { artifact_uri, .. } | Self::Model { artifact_uri, .. } => artifact_uri,
        }
    }

    fn id(&self) -> &'a str {
        match *self {
            Self::Run { run_id, .. } => run_id,
            Self::Model { model_id, .. } => model_id,
        }
    }
}

/// Checks that a source belongs to its owner. A source that names a version of a registered model belongs to everybody, and
/// one in a store of its own (`s3:`, `gs:`, a foreign server) to whoever has the credentials.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`, in MLflow's words.
pub fn check(source: &str, owner: SourceOwner) -> Result<(), ApiError> {
    if is_local(source)? {
        return check_local(source, owner);
    }
    refuse_relative(source)?;
    let uri = Uri::parse(source);
    let outside = outside(source, owner.kind());
    if uri.is("runs") {
        let run_id = uri.path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
        let right = owner.kind() == OwnerKind::Run && uri.authority.is_empty() && !run_id.is_empty() && run_id == owner.id();
        return if right { Ok(()) } else { Err(outside) };
    }
    if uri.is("models") {
        // Whatever the request names, MLflow's words are about the model.
        let outside = self::outside(source, OwnerKind::Model);
        if !uri.authority.is_empty() {
            return Err(outside);
        }
        return match ModelUri::parse(source)? {
            Some(ModelUri::Id(model_id)) if owner.kind() == OwnerKind::Run || model_id != owner.id() => Err(outside),
            _ => Ok(()),
        };
    }
    if is_proxied(source) {
        let inside = !owner.id().is_empty() && owner.root().is_some_and(|root| is_within(source, root));
        return if inside { Ok(()) } else { Err(outside) };
    }
    Ok(())
}

fn check_local(source: &str, owner: SourceOwner) -> Result<(), ApiError> {
    if !owner.id().is_empty() && owner.root().is_none() {
        return Err(outside(source, owner.kind()));
    }
    let inside = !owner.id().is_empty()
        && owner.root().is_some_and(|root| {
            is_local(root).unwrap_or(false)
                && match (local_parts(source), local_parts(root)) {
                    (Some(source), Some(root)) => source.starts_with(&root),
                    _ => false,
                }
        });
    if inside { Ok(()) } else { Err(local_path_outside(source, owner)) }
}

/// The error for a local source that is not in its owner's folder, which only the file system may show.
pub fn local_path_outside(source: &str, owner: SourceOwner) -> ApiError {
    let id = owner.kind().parameter();
    // MLflow has resolved the path by the time that it compares it with an owner's.
    let source = if owner.id().is_empty() { source.to_string() } else { resolved(source) };
    ApiError::invalid(format!(
        "Invalid model version source: '{source}'. To use a local path as a model version source, the {id} request parameter has to be \
         specified and the local path has to be contained within the artifact directory of the run specified by the {id}."
    ))
}

/// Whether a URI is a path of this machine.
fn is_local(text: &str) -> Result<bool, ApiError> {
    if text == "databricks" {
        return Ok(false);
    }
    let uri = Uri::parse(text);
    if uri.scheme.is_empty() {
        return Ok(true);
    }
    if !uri.is("file") {
        return Ok(false);
    }
    let host = uri.host();
    if host.is_empty() || host == "." || host.starts_with("localhost") || host.starts_with("127.0.0.1") {
        return Ok(true);
    }
    Err(ApiError::invalid(format!(
        "{text} is not a valid remote uri. For remote access on windows, please consider using a different scheme such as SMB (e.g. \
         smb://<hostname>/<path>)."
    )))
}

/// The path of a local source without `.` and `..`; one that is relative to a working directory stays as it is.
fn resolved(source: &str) -> String {
    let path = if source.starts_with("file:") { Uri::parse(source).path } else { source };
    let path = crate::uri::decoded_once(path);
    match path.strip_prefix('/') {
        Some(rest) => crate::validate::normalised(&format!("/{}", rest.trim_start_matches('/'))),
        None => source.to_string(),
    }
}

/// The decoded parts of an absolute local path; `None` for any other, and for one with `..` or a zero byte.
fn local_parts(text: &str) -> Option<Vec<String>> {
    // Behind a URI's `?` or `#` too: whoever opens the file may take these for parts of its name.
    if crate::uri::decoded_once(text).split('/').any(|part| part == "..") {
        return None;
    }
    let path = if text.starts_with("file:") { Uri::parse(text).path } else { text };
    let path = crate::uri::decoded_once(path);
    let parts: Vec<String> = path.strip_prefix('/')?.split('/').filter(|part| !part.is_empty() && *part != ".").map(Into::into).collect();
    (!parts.iter().any(|part| part.contains('\0'))).then_some(parts)
}

/// Refuses a URI whose path, however often it is encoded, is not plainly absolute.
fn refuse_relative(source: &str) -> Result<(), ApiError> {
    // `+` is a space in a query; a part that is only `..` stays one either way.
    let plain = decoded(source);
    let path = Uri::parse(&plain).path.trim_end_matches('/');
    let relative = !path.starts_with('/')
        || path.contains('\0')
        || plain.split('/').any(|part| part == "..")
        || path.split('/').any(|part| part == "." || part == "..")
        // Something that is still encoded after so many rounds is meant to deceive.
        || crate::uri::decoded_once(&plain) != plain;
    if !relative {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, objectstore, or \
         mlflow-artifacts uri, an absolute path must be provided without relative path references present. Please provide an absolute path."
    )))
}

/// A URI's scheme and authority in lower case, and the parts of its path, decoded.
fn parts(text: &str) -> (String, String, Vec<String>) {
    let uri = Uri::parse(text);
    let path = uri.path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    (uri.scheme.to_ascii_lowercase(), uri.authority.to_ascii_lowercase(), path)
}

fn is_within(source: &str, root: &str) -> bool {
    let ((scheme, authority, path), (root_scheme, root_authority, root_path)) = (parts(source), parts(root));
    scheme == root_scheme && authority == root_authority && !root_path.is_empty() && path.starts_with(&root_path)
}

/// Whether a source lies behind an artifact proxy.
fn is_proxied(source: &str) -> bool {
    let (scheme, _, path) = parts(source);
    let route = ["api", "2.0", "mlflow-artifacts", "artifacts"];
    scheme == "mlflow-artifacts"
        || (matches!(scheme.as_str(), "http" | "https") && path.windows(route.len()).any(|window| window.iter().eq(route)))
}

/// The path with whatever follows `#`, which ends no name in a `models:/` URI.
fn uri_path_with_fragment<'a>(source: &'a str, uri: &Uri<'a>) -> &'a str {
    match uri.fragment {
        Some(_) if uri.query.is_none() => {
            let start = source.len() - source.split_once(':').map_or(source.len(), |(_, rest)| rest.len());
            &source[start..]
        }
        _ => uri.path,
    }
}

fn outside(source: &str, kind: OwnerKind) -> ApiError {
    let id = kind.parameter();
    ApiError::invalid(format!(
        "Invalid model version source: '{source}'. The {id} request parameter must identify the resource that contains the source."
    ))
}
