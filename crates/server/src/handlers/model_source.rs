//! What a model version may be made from. Without these checks a version could name any file of the server's machine, and
//! whoever may read the version could read the file.

use std::path::{Component, Path, PathBuf};

use anmok_protocol::messages::model_versions::CreateModelVersion;
use anmok_protocol::{ApiError, IS_PROMPT_TAG, ModelStage};
use anmok_tracking::ArtifactStore;

use super::logged_models::logged_model;
use super::model_versions::model_version;
use super::{Answer, found};
use crate::state::App;

/// The sources that MLflow's own clients give for prompts, which have none.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// A source that was checked.
pub(super) struct Source {
    pub uri: String,
    /// Where the files lie, if `uri` names another model.
    pub storage_location: Option<String>,
    pub run_id: Option<String>,
    pub model_id: Option<String>,
    pub is_prompt: bool,
}

/// What a `models:` URI names.
enum Named<'a> {
    LoggedModel(&'a str),
    Version { name: &'a str, version: Wanted<'a> },
}

enum Wanted<'a> {
    Number(i64),
    Latest,
    Stage(&'a str),
    Alias(&'a str),
}

/// Checks the source of a version that is to be made.
pub(super) fn check(app: &App, asked: &CreateModelVersion) -> Answer<Source> {
    let mut source = Source {
        uri: asked.source.clone(),
        storage_location: None,
        run_id: not_empty(asked.run_id.as_deref()),
        model_id: not_empty(asked.model_id.as_deref()),
        is_prompt: is_prompt(app, asked)?,
    };
    if source.is_prompt {
        if !PROMPT_SOURCES.contains(&source.uri.as_str()) {
            let message = format!("Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.", source.uri);
            return Err(ApiError::invalid(message).into());
        }
        return Ok(source);
    }
    if let Some(Named::Version { name, version }) = named(&asked.source)? {
        from_version(app, asked, name, &version, &mut source)?;
    } else {
        match source.model_id.clone() {
            Some(model_id) => within_model(app, &source.uri, &model_id)?,
            None => within_run(app, &source.uri, source.run_id.as_deref())?,
        }
        if let Some(Named::LoggedModel(model_id)) = named(&asked.source)? {
            let model = logged_model(app, model_id, false)?.info;
            source.storage_location = Some(model.artifact_uri);
            source.run_id = source.run_id.or(model.source_run_id);
        }
    }
    if let (None, Some(model_id)) = (&source.run_id, &source.model_id) {
        source.run_id = logged_model(app, model_id, false)?.info.source_run_id;
    }
    Ok(source)
}

fn not_empty(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A version is a prompt's if it says so or its registered model does.
fn is_prompt(app: &App, asked: &CreateModelVersion) -> Answer<bool> {
    let says_so = |key: &str, value: &str| key == IS_PROMPT_TAG && value.eq_ignore_ascii_case("true");
    if asked.tags.iter().any(|tag| says_so(&tag.key, &tag.value)) {
        return Ok(true);
    }
    let model = app.store.registered_model(&asked.name)?;
    Ok(model.is_some_and(|model| model.tags.iter().any(|tag| says_so(&tag.key, &tag.value))))
}

fn invalid<T>(source: &str, why: &str) -> Answer<T> {
    Err(ApiError::invalid(format!("Invalid model version source: '{source}'. {why}")).into())
}

fn not_contained<T>(source: &str, parameter: &str) -> Answer<T> {
    invalid(source, &format!("The {parameter} request parameter must identify the resource that contains the source."))
}

/// What a `models:` URI names; `None` for a URI of another kind.
fn named(source: &str) -> Answer<Option<Named<'_>>> {
    let Some(rest) = source.strip_prefix("models:") else { return Ok(None) };
    let Some(path) = rest.strip_prefix('/').filter(|path| !path.starts_with('/')) else {
        return invalid(source, "Registered model sources must use the active model registry.");
    };
    let parts: Vec<&str> = path.split('/').collect();
    Ok(Some(match parts.as_slice() {
        [name, suffix] if !name.is_empty() && !suffix.trim().is_empty() => {
            let version = match suffix.parse() {
                Ok(number) => Wanted::Number(number),
                Err(_) if suffix.eq_ignore_ascii_case("latest") => Wanted::Latest,
                Err(_) => Wanted::Stage(suffix),
            };
            Named::Version { name, version }
        }
        [one] if !one.is_empty() => match one.rsplit_once('@') {
            Some((name, alias)) => Named::Version { name, version: Wanted::Alias(alias) },
            None => Named::LoggedModel(one),
        },
        _ => return not_contained(source, "model_id"),
    }))
}

/// A copy of another version: its run, model and files are the other's.
fn from_version(app: &App, asked: &CreateModelVersion, name: &str, wanted: &Wanted, source: &mut Source) -> Answer<()> {
    let model = found(app.store.registered_model(name)?, || ApiError::registered_model_not_found(name))?;
    if model.tags.iter().any(|tag| tag.key == IS_PROMPT_TAG && tag.value.eq_ignore_ascii_case("true")) {
        return invalid(&asked.source, "Prompt versions cannot be used as model version sources.");
    }
    let absent = |what: &str| ApiError::invalid(format!("No versions of model with name '{name}' and {what} found"));
    let other = match wanted {
        Wanted::Number(version) => model_version(app, name, *version)?,
        Wanted::Latest => found(app.store.model_version_by_alias(name, "latest")?, || absent("stage None"))?,
        Wanted::Stage(stage) => {
            let stage_of = stage.parse::<ModelStage>()?;
            found(app.store.latest_versions(name, &[stage_of])?.pop(), || absent(&format!("stage '{stage}'")))?
        }
        Wanted::Alias(alias) => found(app.store.model_version_by_alias(name, alias)?, || ApiError::alias_not_found(alias))?,
    };
    let differs = |asked: Option<&str>, other: Option<&str>| asked.is_some_and(|asked| asked != other.unwrap_or_default());
    if differs(asked.run_id.as_deref(), other.run_id.as_deref()) || differs(asked.model_id.as_deref(), other.model_id.as_deref()) {
        return invalid(&asked.source, "The run_id and model_id request parameters must match the referenced model version.");
    }
    source.uri = format!("models:/{name}/{}", other.version);
    source.storage_location = app.store.model_version_download_uri(name, other.version)?;
    source.run_id = other.run_id;
    source.model_id = other.model_id;
    Ok(())
}

fn within_run(app: &App, source: &str, run_id: Option<&str>) -> Answer<()> {
    let root = || -> Answer<Option<String>> {
        let Some(run_id) = run_id else { return Ok(None) };
        match app.store.run(run_id)? {
            Some(run) => Ok(Some(run.info.artifact_uri)),
            None => not_contained(source, "run_id"),
        }
    };
    if let Some(path) = local(source) {
        return match root()? {
            Some(root) if contains(&root, &path) => Ok(()),
            _ => invalid(
                source,
                "To use a local path as a model version source, the run_id request parameter has to be specified and the local path \
                 has to be contained within the artifact directory of the run specified by the run_id.",
            ),
        };
    }
    no_way_back(source)?;
    if source.starts_with("models:") {
        return not_contained(source, "model_id");
    }
    if let Some(rest) = source.strip_prefix("runs:") {
        let of_run = rest.strip_prefix('/').and_then(|path| path.trim_start_matches('/').split('/').next());
        return if run_id.is_some() && of_run == run_id && !rest.starts_with("//") { Ok(()) } else { not_contained(source, "run_id") };
    }
    if is_proxied(source) {
        return match root()? {
            Some(root) if begins_with(source, &root) => Ok(()),
            _ => not_contained(source, "run_id"),
        };
    }
    Ok(())
}

fn within_model(app: &App, source: &str, model_id: &str) -> Answer<()> {
    let root = || -> Answer<String> {
        match app.store.logged_model(model_id, false)? {
            Some(model) => Ok(model.info.artifact_uri),
            None => not_contained(source, "model_id"),
        }
    };
    if let Some(path) = local(source) {
        return if contains(&root()?, &path) {
            Ok(())
        } else {
            invalid(
                source,
                "To use a local path as a model version source, the model_id request parameter has to be specified and the local path \
                 has to be contained within the artifact directory of the run specified by the model_id.",
            )
        };
    }
    no_way_back(source)?;
    match named(source)? {
        Some(Named::LoggedModel(named)) if named == model_id => return Ok(()),
        Some(_) => return not_contained(source, "model_id"),
        None if source.starts_with("runs:") => return not_contained(source, "model_id"),
        None => {}
    }
    if is_proxied(source) && !begins_with(source, &root()?) {
        return not_contained(source, "model_id");
    }
    Ok(())
}

/// The path of a source on this machine, as it is written; `None` for a URI of another kind.
fn local(source: &str) -> Option<PathBuf> {
    // It opens nothing. What cannot be understood as a URI is no local path either, and is refused further on.
    ArtifactStore::open(source).ok()?.local_root().map(Path::to_path_buf)
}

/// Whether a local path lies in the folder of an artifact URI, links followed.
fn contains(root: &str, path: &Path) -> bool {
    let Some(root) = local(root) else { return false };
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    !path.components().any(|part| part == Component::ParentDir) && real(path).starts_with(real(&root))
}

/// Refuses a URI with `..` in it, however often it was percent-encoded.
fn no_way_back(source: &str) -> Answer<()> {
    let decoded = decoded(source);
    let path = decoded.split_once(':').map_or(decoded.as_str(), |(_, rest)| rest);
    if decoded.contains('\0') || path.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
        return invalid(
            source,
            "If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be \
             provided without relative path references present. Please provide an absolute path.",
        );
    }
    Ok(())
}

/// Percent-decoded until nothing changes.
fn decoded(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let next = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if next == text {
            return text;
        }
        text = next;
    }
}

/// Whether the files are kept by a tracking server.
fn is_proxied(source: &str) -> bool {
    let scheme = source.split(':').next().unwrap_or_default().to_ascii_lowercase();
    scheme == "mlflow-artifacts"
        || (matches!(scheme.as_str(), "http" | "https") && decoded(source).contains("/api/2.0/mlflow-artifacts/artifacts"))
}

/// Whether a URI lies below another: the same scheme and host, and the other's path before its own.
fn begins_with(source: &str, root: &str) -> bool {
    let parts = |uri: &str| {
        let uri = decoded(uri);
        let (scheme, rest) = uri.split_once(':').unwrap_or(("", &uri));
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
            None => ("", rest),
        };
        let path: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase(), path)
    };
    let ((scheme, authority, path), (root_scheme, root_authority, root_path)) = (parts(source), parts(root));
    scheme == root_scheme && authority == root_authority && !root_path.is_empty() && path.starts_with(&root_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_back_are_found_however_they_are_written() {
        for source in
            ["s3://b/a/../c", "mlflow-artifacts:/a/%2e%2e/c", "http://h/a/%252e%252e%252fc", "s3://b/a%2f..", "s3://b/\0", "dbfs:/a/./b"]
        {
            assert!(no_way_back(source).is_err(), "{source}");
        }
        for source in ["s3://b/a/c", "runs:/0123/model", "mlflow-artifacts:/0/a/artifacts/..model", "http://h/a%20b"] {
            assert!(no_way_back(source).is_ok(), "{source}");
        }
    }

    #[test]
    fn what_lies_below() {
        let root = "mlflow-artifacts:/0/run/artifacts";
        for (source, below) in [
            ("mlflow-artifacts:/0/run/artifacts", true),
            ("mlflow-artifacts:/0/run/artifacts/model", true),
            ("MLFLOW-ARTIFACTS:/0/run%2Fartifacts/model", true),
            ("mlflow-artifacts:/0/run/artifacts2", false),
            ("mlflow-artifacts:/0/other/artifacts", false),
            ("mlflow-artifacts://host/0/run/artifacts", false),
        ] {
            assert_eq!(begins_with(source, root), below, "{source}");
        }
        assert!(!begins_with("mlflow-artifacts:/0", "mlflow-artifacts:/"));
    }
}
