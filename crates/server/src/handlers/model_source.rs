//! What a model version may be made from: the protocol's rules, with the runs and models of this store.

use anmok_protocol::messages::model_versions::CreateModelVersion;
use anmok_protocol::model_source::{self, ModelUri, SourceOwner};
use anmok_protocol::{ApiError, IS_PROMPT_TAG, ModelStage, ModelVersion};

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

/// Checks the source of a version that is to be made.
pub(super) fn check(app: &App, asked: &CreateModelVersion) -> Answer<Source> {
    let mut source = Source {
        uri: asked.source.clone(),
        storage_location: None,
        run_id: not_empty(asked.run_id.as_deref()),
        model_id: not_empty(asked.model_id.as_deref()),
        is_prompt: is_prompt(app, asked)?,
    };
    if source.is_prompt && !PROMPT_SOURCES.contains(&source.uri.as_str()) {
        let message = format!("Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.", source.uri);
        return Err(ApiError::invalid(message).into());
    }
    app.options.hosts.check(&source.uri, "source")?;
    if source.is_prompt {
        return Ok(source);
    }
    match ModelUri::parse(&asked.source)? {
        None => belongs(app, &source)?,
        Some(ModelUri::Id(model_id)) => {
            belongs(app, &source)?;
            let model = logged_model(app, &model_id, false)?.info;
            source.storage_location = Some(model.artifact_uri);
            source.run_id = source.run_id.or_else(|| not_empty(model.source_run_id.as_deref()));
        }
        Some(named) => copy(app, asked, &named, &mut source)?,
    }
    if let (None, Some(model_id)) = (&source.run_id, &source.model_id) {
        source.run_id = not_empty(logged_model(app, model_id, false)?.info.source_run_id.as_deref());
    }
    Ok(source)
}

fn not_empty(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn says_so(key: &str, value: &str) -> bool {
    key == IS_PROMPT_TAG && value.eq_ignore_ascii_case("true")
}

/// A version is a prompt's if it says so or its registered model does.
fn is_prompt(app: &App, asked: &CreateModelVersion) -> Answer<bool> {
    if asked.tags.iter().any(|tag| says_so(&tag.key, &tag.value)) {
        return Ok(true);
    }
    let model = app.store.registered_model(&asked.name)?;
    Ok(model.is_some_and(|model| model.tags.iter().any(|tag| says_so(&tag.key, &tag.value))))
}

/// The source must lie in what the request names as its owner: the logged model, else the run.
fn belongs(app: &App, source: &Source) -> Answer<()> {
    let mut root = None;
    let owner = match (&source.model_id, &source.run_id) {
        (Some(model_id), _) => {
            root = app.store.logged_model(model_id, false)?.map(|model| model.info.artifact_uri);
            SourceOwner::Model { model_id, artifact_uri: root.as_deref() }
        }
        (None, Some(run_id)) => {
            root = app.store.run(run_id)?.map(|run| run.info.artifact_uri);
            SourceOwner::Run { run_id, artifact_uri: root.as_deref() }
        }
        (None, None) => SourceOwner::Run { run_id: "", artifact_uri: None },
    };
    model_source::check(&source.uri, owner)?;
    // An owner whose files this server cannot reach, or that has them in a bucket, has no links to follow.
    let owned = root.as_deref().and_then(|root| app.store.artifacts(root).ok()).filter(|files| files.local_root().is_some());
    if owned.is_some_and(|owned| app.store.artifacts(&source.uri).is_ok_and(|files| files.leads_out_of(&owned))) {
        return Err(model_source::local_path_outside(&source.uri, owner).into());
    }
    Ok(())
}

/// A copy of another version: its run, model and files are the other's.
fn copy(app: &App, asked: &CreateModelVersion, named: &ModelUri, source: &mut Source) -> Answer<()> {
    let other = named_version(app, &asked.source, named)?;
    let differs = |asked: Option<&str>, other: Option<&str>| asked.is_some_and(|asked| asked != other.unwrap_or_default());
    if differs(asked.run_id.as_deref(), other.run_id.as_deref()) || differs(asked.model_id.as_deref(), other.model_id.as_deref()) {
        return invalid(&asked.source, "The run_id and model_id request parameters must match the referenced model version.");
    }
    source.uri = format!("models:/{}/{}", other.name, other.version);
    source.storage_location = app.store.model_version_download_uri(&other.name, other.version)?;
    source.run_id = other.run_id;
    source.model_id = other.model_id;
    Ok(())
}

fn named_version(app: &App, source: &str, named: &ModelUri) -> Answer<ModelVersion> {
    let (ModelUri::Version(name, _) | ModelUri::Stage(name, _) | ModelUri::Latest(name) | ModelUri::Alias(name, _) | ModelUri::Id(name)) =
        named;
    let model = found(app.store.registered_model(name)?, || ApiError::registered_model_not_found(name))?;
    if model.tags.iter().any(|tag| says_so(&tag.key, &tag.value)) {
        return invalid(source, "Prompt versions cannot be used as model version sources.");
    }
    let absent = |what: &str| ApiError::invalid(format!("No versions of model with name '{name}' and {what} found"));
    match named {
        ModelUri::Version(_, version) => model_version(app, name, *version),
        ModelUri::Stage(_, stage) => {
            let stages = [stage.parse::<ModelStage>()?];
            found(app.store.latest_versions(name, &stages)?.pop(), || absent(&format!("stage '{stage}'")))
        }
        ModelUri::Alias(_, alias) => found(app.store.model_version_by_alias(name, alias)?, || ApiError::alias_not_found(alias)),
        ModelUri::Latest(_) | ModelUri::Id(_) => found(app.store.model_version_by_alias(name, "latest")?, || absent("any stage")),
    }
}

fn invalid<T>(source: &str, why: &str) -> Answer<T> {
    Err(ApiError::invalid(format!("Invalid model version source: '{source}'. {why}")).into())
}
