//! What a server says about itself.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
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
        && app.blocking("ServerInfo", |app| Ok(app.store.artifacts(crate::handlers::PROXIED)?.signing().is_some())).await.unwrap_or(false);
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

/// Nothing is sent home: the web UI is told not to count its clicks, and what it still sends is dropped.
pub(crate) async fn ui_telemetry(_: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let told = if request.method() == Method::POST {
        drain(request.into_body()).await;
        json!({ "status": "disabled" })
    } else {
        json!({ "disable_ui_telemetry": true, "disable_ui_events": [], "ui_rollout_percentage": 0 })
    };
    Ok(json(&told)?.into_json_response())
}

/// No assistant stands behind this server: none is set up.
pub(crate) async fn assistant_config(_: Shared, _: Request<Body>) -> Result<Response, Failure> {
    Ok(json(&json!({ "providers": {}, "projects": {}, "remote_access_allowed": false }))?.into_json_response())
}

/// No assistant stands behind this server: none can be set up.
pub(crate) async fn assistant_providers(_: Shared, _: Request<Body>) -> Result<Response, Failure> {
    Ok(json(&json!({ "providers": [], "resolved": null, "gateway_vendor_options": {} }))?.into_json_response())
}

/// For Prometheus.
pub(crate) async fn figures(app: Shared, _: Request<Body>) -> Result<Response, Failure> {
    let mut response = text(StatusCode::OK, app.figures.render());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
