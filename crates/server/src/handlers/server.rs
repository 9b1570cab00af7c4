//! What a server says about itself.

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use crate::answer::{Failure, IntoJsonResponse, json, text};
use crate::endpoint::{Shared, drain};

/// The version of MLflow whose protocol is spoken: clients compare it with their own.
const MLFLOW_VERSION: &str = "3.17.2";

pub(crate) async fn health(_: Shared, _: Request<Body>) -> Result<Response, Failure> {
    Ok(text(StatusCode::OK, "OK"))
}

pub(crate) async fn version(_: Shared, _: Request<Body>) -> Result<Response, Failure> {
    Ok(text(StatusCode::OK, MLFLOW_VERSION))
}

/// What the client and the web UI adapt to. Traces, workspaces and the like are not kept here.
pub(crate) async fn info(app: Shared, _: Request<Body>) -> Result<Response, Failure> {
    let parts = app.options.serve_artifacts
        && app.blocking("ServerInfo", |app| Ok(app.store.artifacts(crate::handlers::PROXIED)?.objects().is_some())).await.unwrap_or(false);
    let info = json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": parts,
        "multipart_downloads_enabled": parts,
        "presigned_upload_run_id_supported": true,
        "presigned_upload_model_id_supported": true,
        "features_enabled": { "gateway": false },
    });
    Ok(json(&info)?.into_json_response())
}

/// No gateway stands behind this server: an empty list, as MLflow answers.
pub(crate) async fn gateway_proxy(_: Shared, request: Request<Body>) -> Result<Response, Failure> {
    drain(request.into_body()).await;
    Ok(json(&json!({ "endpoints": [] }))?.into_json_response())
}

/// For Prometheus.
pub(crate) async fn figures(app: Shared, _: Request<Body>) -> Result<Response, Failure> {
    let mut response = text(StatusCode::OK, app.figures.render());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
