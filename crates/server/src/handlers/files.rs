//! Single files of runs, logged models and model versions, as the web UI asks for them.

use anmok_protocol::messages::model_versions::GetModelVersionDownloadUri;
use anmok_protocol::{ApiError, ArtifactPath, ErrorCode};
use axum::body::Body;
use axum::http::{Request, Uri};
use axum::response::Response;
use bytes::Bytes;

use super::logged_models::logged_model;
use super::runs::run;
use super::{Answer, artifacts, model_versions};
use crate::answer::{Failure, IntoJsonResponse};
use crate::endpoint::{Shared, body, in_path, parameter};
use crate::file;

/// The most that the web UI may upload at once.
const UPLOAD_LIMIT: usize = 10 * 1024 * 1024;

/// A parameter that must be there.
fn required(uri: &Uri, names: &[&str]) -> Answer<String> {
    let value = names.iter().find_map(|name| parameter(uri, name)).filter(|value| !value.is_empty());
    let message = || ApiError::invalid(format!("Request must specify {}.", names.first().unwrap_or(&"")));
    value.ok_or_else(|| message().into())
}

pub(crate) async fn of_run(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let (run_id, path) = (required(request.uri(), &["run_id", "run_uuid"])?, ArtifactPath::parse(&required(request.uri(), &["path"])?)?);
    let store = app.blocking("GetArtifact", move |app| artifacts(app, &run(app, &run_id)?.info.artifact_uri)).await?;
    file::send(&store, &path, request.headers()).await
}

pub(crate) async fn of_model_version(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let (name, version) = (required(request.uri(), &["name"])?, required(request.uri(), &["version"])?);
    let path = ArtifactPath::parse(&required(request.uri(), &["path"])?)?;
    let find = GetModelVersionDownloadUri { name, version };
    let store = app.blocking("GetModelVersionArtifact", move |app| artifacts(app, &model_versions::download_uri(app, &find)?)).await?;
    file::send(&store, &path, request.headers()).await
}

pub(crate) async fn of_logged_model(app: Shared, mut request: Request<Body>) -> Result<Response, Failure> {
    let model_id = in_path(&mut request).await.first().to_owned();
    let Some(path) = parameter(request.uri(), "artifact_file_path").filter(|path| !path.is_empty()) else {
        return Err(ApiError::new(ErrorCode::BadRequest, "Request must include the \"artifact_file_path\" query parameter.").into());
    };
    let path = ArtifactPath::parse(&path)?;
    let find = move |app: &_| artifacts(app, &logged_model(app, &model_id, false)?.info.artifact_uri);
    let store = app.blocking("GetLoggedModelArtifact", find).await?;
    file::send(&store, &path, request.headers()).await
}

pub(crate) async fn upload_to_run(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let uri = request.uri().clone();
    // The body first: a client that is refused while it sends never sees why.
    let bytes = body(&app, request, UPLOAD_LIMIT).await?;
    let (run_id, path) = (required(&uri, &["run_uuid", "run_id"])?, ArtifactPath::parse(&required(&uri, &["path"])?)?);
    if bytes.is_empty() {
        return Err(ApiError::invalid("Request must specify data.").into());
    }
    app.blocking("UploadArtifact", move |app| Ok(artifacts(app, &run(app, &run_id)?.info.artifact_uri)?.put_bytes(&path, &bytes)?)).await?;
    Ok(Bytes::from_static(b"{}").into_json_response())
}
