//! MLflow's own web UI, unchanged, from the folder of an installed package.

use std::path::Path;

use anmok_protocol::ArtifactPath;
use anmok_tracking::ArtifactStore;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::Response;

use crate::answer::Failure;
use crate::content_type;
use crate::endpoint::{Shared, in_path};
use crate::file;

/// How long a browser keeps a file whose name changes with its content: MLflow's four weeks.
const KEPT: &str = "public, max-age=2419200";

/// `/`: the page that loads the rest.
pub(crate) async fn index(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    send(&app, "index.html", request.headers(), "no-cache").await
}

/// `/static-files/...`
pub(crate) async fn static_file(app: Shared, mut request: Request<Body>) -> Result<Response, Failure> {
    let path = in_path(&mut request).await;
    send(&app, path.first(), request.headers(), KEPT).await
}

async fn send(app: &Shared, path: &str, asked: &HeaderMap, cache: &'static str) -> Result<Response, Failure> {
    let path = ArtifactPath::parse(path)?;
    let folder = app.options.ui_bundle.as_deref().unwrap_or(Path::new("."));
    let mut response = file::send(&ArtifactStore::folder(folder), &path, asked).await?;
    let headers = response.headers_mut();
    // Pages and scripts of the UI are shown and run, unlike artifacts.
    headers.remove(header::CONTENT_DISPOSITION);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    let extension = path.file_name().rsplit('.').next().unwrap_or_default();
    let kind = content_type::kind(extension).unwrap_or("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
