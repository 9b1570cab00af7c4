//! `mlflow-artifacts/*`: files that this server keeps for clients that have no way to its bucket or folder.

use std::collections::BTreeMap;
use std::time::Duration;

use anmok_protocol::messages::Empty;
use anmok_protocol::messages::artifacts::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, CreateMultipartUploadResponse, GetPresignedDownloadUrlResponse,
    ListProxiedArtifacts, ListProxiedArtifactsResponse, MultipartUploadCredential,
};
use anmok_protocol::{ApiError, ArtifactPath, ErrorCode, FileInfo};
use anmok_tracking::{ArtifactStore, PresignedMethod};
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;

use super::run_files::{VALID_SECONDS, signed, size, waiting};
use super::{Answer, PROXIED, artifacts, folder, found};
use crate::answer::{Failure, IntoJsonResponse};
use crate::auth::Call;
use crate::endpoint::{InPath, Shared, drain, in_path};
use crate::file;
use crate::state::App;

/// S3 takes no more parts.
const PARTS_MAX: i64 = 10_000;

/// The root of what is kept here.
fn root(app: &App) -> Answer<ArtifactStore> {
    if app.options.serve_artifacts {
        return artifacts(app, PROXIED);
    }
    let message = "Artifact serving is disabled. Run `anmok server` with `--serve-artifacts` to enable.";
    Err(ApiError::new(ErrorCode::TemporarilyUnavailable, message).into())
}

pub(crate) async fn download(app: Shared, mut request: Request<Body>) -> Result<Response, Failure> {
    let path = ArtifactPath::parse(in_path(&mut request).await.first())?;
    let store = app.blocking("DownloadProxiedArtifact", root).await?;
    file::send(&store, &path, request.headers()).await
}

pub(crate) async fn upload(app: Shared, mut request: Request<Body>) -> Result<Response, Failure> {
    let path = in_path(&mut request).await;
    let (store, path) = match place(&app, path.first()).await {
        Ok(place) => place,
        Err(failure) => {
            drain(request.into_body()).await;
            return Err(failure);
        }
    };
    file::receive(&app, &store, &path, request.into_body()).await?;
    Ok(bytes::Bytes::from_static(b"{}").into_json_response())
}

/// Where an upload goes.
async fn place(app: &Shared, path: &str) -> Answer<(ArtifactStore, ArtifactPath)> {
    if path.ends_with('/') {
        return Err(ApiError::invalid("Artifact path must include a filename (cannot end with '/').").into());
    }
    let path = ArtifactPath::parse(path)?;
    Ok((app.blocking("UploadProxiedArtifact", root).await?, path))
}

pub(crate) fn delete(app: &Call, path: &InPath) -> Answer<Empty> {
    let path = ArtifactPath::parse(path.first())?;
    if root(app)?.delete(&path)? {
        Ok(Empty {})
    } else {
        Err(ApiError::new(ErrorCode::ResourceDoesNotExist, format!("No such file or directory: '{path}'")).into())
    }
}

/// Base names, as MLflow has it; its client puts the folder before them.
pub(crate) fn list(app: &Call, asked: ListProxiedArtifacts) -> Answer<ListProxiedArtifactsResponse> {
    let folder = folder(asked.path.as_deref())?;
    let files = root(app)?.list(folder.as_ref())?;
    let base = |file: FileInfo| FileInfo { path: file.path.rsplit('/').next().unwrap_or_default().to_owned(), ..file };
    Ok(ListProxiedArtifactsResponse { files: files.into_iter().map(base).collect() })
}

/// Where a file of an upload in parts goes: its name, below the folder in the path.
fn target(path: &InPath, name: &str) -> Result<ArtifactPath, ApiError> {
    let name = ArtifactPath::parse(name)?;
    ArtifactPath::parse(&format!("{}/{}", path.first().trim_end_matches('/'), name.file_name()))
}

fn unsupported() -> ApiError {
    ApiError::new(ErrorCode::NotImplemented, "Multipart upload is not supported for the current artifact repository")
}

pub(crate) fn create_multipart_upload(app: &Call, path: &InPath, asked: CreateMultipartUpload) -> Answer<CreateMultipartUploadResponse> {
    let (root, target) = (root(app)?, target(path, &asked.path)?);
    let parts = asked.num_parts.unwrap_or(1);
    let Some(parts) = u32::try_from(parts).ok().filter(|_| (1..=PARTS_MAX).contains(&parts)) else {
        return Err(ApiError::invalid(format!("num_parts must be between 1 and {PARTS_MAX} (got {parts}).")).into());
    };
    let objects = found(root.signing(), unsupported)?;
    let (upload_id, urls) = waiting(objects.begin_parts(&target, parts, Duration::from_secs(VALID_SECONDS.unsigned_abs())))?;
    let credentials = urls.into_iter().zip(1..).map(|(url, part_number)| MultipartUploadCredential { url, part_number, headers: vec![] });
    Ok(CreateMultipartUploadResponse { upload_id: Some(upload_id), credentials: credentials.collect() })
}

pub(crate) fn complete_multipart_upload(app: &Call, path: &InPath, mut asked: CompleteMultipartUpload) -> Answer<Empty> {
    let (root, target) = (root(app)?, target(path, &asked.path)?);
    let objects = found(root.signing(), unsupported)?;
    asked.parts.sort_by_key(|part| part.part_number);
    if asked.parts.iter().zip(1..).any(|(part, number)| part.part_number != number) {
        return Err(ApiError::invalid("The parts must be numbered from 1 on without a gap.").into());
    }
    let etags = asked.parts.into_iter().map(|part| part.etag).collect();
    waiting(objects.complete_parts(&target, asked.upload_id.as_deref().unwrap_or_default(), etags))?;
    Ok(Empty {})
}

pub(crate) fn abort_multipart_upload(app: &Call, path: &InPath, asked: AbortMultipartUpload) -> Answer<Empty> {
    let (root, target) = (root(app)?, target(path, &asked.path)?);
    let objects = found(root.signing(), unsupported)?;
    waiting(objects.abort_parts(&target, asked.upload_id.as_deref().unwrap_or_default()))?;
    Ok(Empty {})
}

pub(crate) fn presigned_download_url(app: &Call, path: &InPath) -> Answer<GetPresignedDownloadUrlResponse> {
    let (root, path) = (root(app)?, ArtifactPath::parse(path.first())?);
    let unsupported =
        || ApiError::new(ErrorCode::NotImplemented, "Multipart download is not supported for the current artifact repository");
    found(root.signing(), unsupported)?;
    let file_size = Some(size(&root, &path)?);
    let url = signed(&root, PresignedMethod::Get, &path, None)?;
    Ok(GetPresignedDownloadUrlResponse { url, headers: BTreeMap::new(), file_size })
}
