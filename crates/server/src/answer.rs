//! Answers and errors, as MLflow's clients read them.

use std::io::ErrorKind;

use anmok_protocol::{ApiError, ErrorCode, SearchError};
use anmok_tracking::TrackingError;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

/// MLflow's words.
const PERMISSION_DENIED: &str = "Permission denied";

/// Why a request was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller's mistake, in MLflow's words; or something that only the server's log should tell in full.
    Api(ApiError),
    /// The store's failure.
    Store(TrackingError),
    /// The caller may not do this.
    Forbidden,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Self {
        Self::Api(error.into())
    }
}

impl From<TrackingError> for Failure {
    fn from(error: TrackingError) -> Self {
        match error {
            TrackingError::Refused(error) => Self::Api(error),
            error => Self::Store(error),
        }
    }
}

impl Failure {
    /// A panic in a handler: a mistake of ours, whatever was asked.
    pub fn panicked(operation: &str, panic: &tokio::task::JoinError) -> Self {
        tracing::error!("{operation} panicked: {panic}");
        Self::Api(ApiError::new(ErrorCode::InternalError, format!("{operation} failed by a mistake of the server; its log has more")))
    }

    /// The error on the wire. What may pass by itself (a lock, a full disk, a database that restarts) is
    /// `TEMPORARILY_UNAVAILABLE`, which clients try again.
    pub fn error(&self) -> ApiError {
        match self {
            Self::Api(error) => error.clone(),
            Self::Forbidden => ApiError::new(ErrorCode::PermissionDenied, PERMISSION_DENIED),
            Self::Store(error) => {
                let code = match error {
                    TrackingError::Unavailable { .. }
                    | TrackingError::Locked { .. }
                    | TrackingError::DiskFull { .. }
                    | TrackingError::Database { .. }
                    | TrackingError::ArtifactsUnavailable { .. } => ErrorCode::TemporarilyUnavailable,
                    // A path that the file system cannot have, or a file where a folder is asked for.
                    TrackingError::Io { source, .. }
                        if matches!(
                            source.kind(),
                            ErrorKind::InvalidFilename
                                | ErrorKind::InvalidInput
                                | ErrorKind::NotADirectory
                                | ErrorKind::IsADirectory
                                | ErrorKind::AlreadyExists
                                | ErrorKind::NotFound
                        ) =>
                    {
                        ErrorCode::InvalidParameterValue
                    }
                    TrackingError::ArtifactsRefused { .. } => ErrorCode::PermissionDenied,
                    TrackingError::ArtifactLocation { .. } | TrackingError::Uri { .. } => ErrorCode::InvalidParameterValue,
                    _ => ErrorCode::InternalError,
                };
                ApiError::new(code, error.to_string())
            }
        }
    }

    /// The error on the wire, which the log has too if the mistake is not the caller's.
    pub fn told(&self) -> ApiError {
        let error = self.error();
        if error.code.http_status() >= 500 {
            tracing::error!("{error}");
        }
        error
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if matches!(self, Self::Forbidden) {
            // As MLflow's basic-auth app answers, unlike all else: plain text.
            return text(StatusCode::FORBIDDEN, PERMISSION_DENIED);
        }
        let error = self.told();
        let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(&error).unwrap_or_else(|_| Bytes::new()).into_json_response();
        *response.status_mut() = status;
        response
    }
}

/// A value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<Bytes, Failure> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| unwritable(&error))
}

/// A mistake of ours, whatever was asked.
pub(crate) fn unwritable(error: &serde_json::Error) -> Failure {
    ApiError::new(ErrorCode::InternalError, format!("the answer cannot be written: {error}")).into()
}

/// JSON bytes as a response.
pub(crate) trait IntoJsonResponse {
    /// With status 200.
    fn into_json_response(self) -> Response;
}

impl IntoJsonResponse for Bytes {
    fn into_json_response(self) -> Response {
        json_response(Body::from(self))
    }
}

/// A body that is JSON.
pub(crate) fn json_response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
