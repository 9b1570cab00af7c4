//! What lies in the artifacts of runs and logged models, and URLs to them that need no server.

use std::time::Duration;

use anmok_protocol::messages::artifacts::{
    CreatePresignedDownloadUrl, CreatePresignedUploadUrl, ListArtifacts, ListArtifactsResponse, PresignedUrlResponse,
};
use anmok_protocol::messages::logged_models::ListLoggedModelArtifacts;
use anmok_protocol::{ApiError, ArtifactPath, ErrorCode};
use anmok_tracking::{ArtifactStore, PresignedMethod};

use super::logged_models::logged_model;
use super::runs::run;
use super::{Answer, artifacts, folder, found};
use crate::auth::Call;
use crate::endpoint::InPath;
use crate::state::App;

/// How long a presigned URL is good if nobody says: MLflow's 15 minutes.
pub(super) const VALID_SECONDS: i64 = 900;

/// The longest time that buckets sign for: a week.
const VALID_SECONDS_MAX: i64 = 604_800;

pub(crate) fn list(app: &Call, asked: ListArtifacts) -> Answer<ListArtifactsResponse> {
    let folder = folder(asked.path.as_deref())?;
    listed(app, run(app, asked.run_id())?.info.artifact_uri, folder.as_ref())
}

pub(crate) fn list_logged_model(app: &Call, path: &InPath, asked: ListLoggedModelArtifacts) -> Answer<ListArtifactsResponse> {
    let folder = folder(asked.artifact_directory_path.as_deref())?;
    listed(app, logged_model(app, path.first(), false)?.info.artifact_uri, folder.as_ref())
}

fn listed(app: &App, root_uri: String, folder: Option<&ArtifactPath>) -> Answer<ListArtifactsResponse> {
    let files = artifacts(app, &root_uri)?.list(folder)?;
    Ok(ListArtifactsResponse { root_uri, files, next_page_token: None })
}

pub(crate) fn presigned_upload_url(app: &Call, asked: CreatePresignedUploadUrl) -> Answer<PresignedUrlResponse> {
    let uri = match (&asked.run_id, &asked.model_id) {
        (Some(run_id), None) => run(app, run_id)?.info.artifact_uri,
        (None, Some(model_id)) => logged_model(app, model_id, false)?.info.artifact_uri,
        _ => return Err(ApiError::invalid("Exactly one of run_id and model_id must be provided.").into()),
    };
    let (store, path) = (direct(app, &uri, "upload")?, ArtifactPath::parse(&asked.path)?);
    let presigned_url = signed(&store, PresignedMethod::Put, &path, asked.expiration)?;
    Ok(PresignedUrlResponse { presigned_url, headers: vec![], file_size: None })
}

pub(crate) fn presigned_download_url(app: &Call, asked: CreatePresignedDownloadUrl) -> Answer<PresignedUrlResponse> {
    let (store, path) = (direct(app, &run(app, &asked.run_id)?.info.artifact_uri, "download")?, ArtifactPath::parse(&asked.path)?);
    let presigned_url = signed(&store, PresignedMethod::Get, &path, asked.expiration)?;
    let file_size = Some(size(&store, &path)?);
    Ok(PresignedUrlResponse { presigned_url, headers: vec![], file_size })
}

/// The artifacts at a URI that leads past this server.
fn direct(app: &App, uri: &str, what: &str) -> Answer<ArtifactStore> {
    let scheme = uri.split(':').next().unwrap_or_default();
    if matches!(scheme, "http" | "https" | "mlflow-artifacts") {
        return Err(ApiError::invalid(format!(
            "Presigned {what} is not supported for runs with proxied artifact storage (artifact URI scheme: {scheme}). This endpoint \
             requires a run with a direct cloud storage artifact URI."
        ))
        .into());
    }
    artifacts(app, uri)
}

/// A URL that is good for some seconds.
pub(super) fn signed(store: &ArtifactStore, method: PresignedMethod, path: &ArtifactPath, seconds: Option<i64>) -> Answer<String> {
    let seconds = seconds.unwrap_or(VALID_SECONDS);
    let Some(valid) = u64::try_from(seconds).ok().filter(|_| (1..=VALID_SECONDS_MAX).contains(&seconds)).map(Duration::from_secs) else {
        return Err(ApiError::invalid(format!("expiration must be between 1 and {VALID_SECONDS_MAX} seconds (got {seconds}).")).into());
    };
    let what = match method {
        PresignedMethod::Get => "download",
        PresignedMethod::Put => "upload",
    };
    let unsupported =
        || ApiError::new(ErrorCode::NotImplemented, format!("Presigned {what} is not supported for the current artifact repository"));
    let objects = found(store.signing(), unsupported)?;
    Ok(waiting(objects.presigned(method, path, valid))?)
}

/// Bytes of an object.
pub(super) fn size(store: &ArtifactStore, path: &ArtifactPath) -> Answer<i64> {
    let objects = found(store.signing(), || ApiError::new(ErrorCode::NotImplemented, "The size of a local file is not asked for"))?;
    let size = waiting(objects.size(path))?;
    let absent = || ApiError::new(ErrorCode::ResourceDoesNotExist, format!("There is no artifact {path}"));
    Ok(i64::try_from(found(size, absent)?).unwrap_or(i64::MAX))
}

/// Waits for something asynchronous on a thread of the pool.
pub(super) fn waiting<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}
