//! MLflow's error codes, and the one table from them to HTTP statuses.

use serde::{Deserialize, Serialize};

/// Why a request was refused, as MLflow clients read it: `{"error_code": ..., "message": ...}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind, which decides the HTTP status.
    #[serde(rename = "error_code")]
    pub code: ErrorCode,
    /// MLflow's own words where it has some: clients and test suites match on them.
    pub message: String,
}

impl ApiError {
    /// An error of any kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `INVALID_PARAMETER_VALUE`: the caller's mistake.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameterValue, message)
    }

    /// `INVALID_PARAMETER_VALUE` for a parameter that is absent or empty.
    pub fn missing_parameter(name: &str) -> Self {
        Self::invalid(format!(
            "Missing value for required parameter '{name}'. See the API docs for more information about request parameters."
        ))
    }

    /// `RESOURCE_DOES_NOT_EXIST` for a user.
    pub fn user_not_found(username: &str) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, format!("User with username={username} not found"))
    }

    /// `RESOURCE_DOES_NOT_EXIST` for a run.
    pub fn run_not_found(run_id: &str) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, format!("Run with id={run_id} not found"))
    }

    /// `RESOURCE_DOES_NOT_EXIST` for a logged model.
    pub fn logged_model_not_found(model_id: &str) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, format!("Logged model with ID '{model_id}' not found."))
    }

    /// `RESOURCE_DOES_NOT_EXIST` for a registered model.
    pub fn registered_model_not_found(name: &str) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, format!("Registered Model with name={name} not found"))
    }

    /// `RESOURCE_DOES_NOT_EXIST` for a version of a registered model.
    pub fn model_version_not_found(name: &str, version: i64) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, format!("Model Version (name={name}, version={version}) not found"))
    }

    /// `INVALID_PARAMETER_VALUE`, as MLflow has it, for an alias of a registered model that is there.
    pub fn alias_not_found(alias: &str) -> Self {
        Self::invalid(format!("Registered model alias {alias} not found."))
    }

    /// `RESOURCE_DOES_NOT_EXIST` for an experiment.
    pub fn experiment_not_found(experiment_id: &str) -> Self {
        Self::new(ErrorCode::ResourceDoesNotExist, format!("No Experiment with id={experiment_id} exists"))
    }
}

macro_rules! error_codes {
    ($($variant:ident $name:literal $status:literal),+ $(,)?) => {
        /// The codes that MLflow's server answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("HTTP ", stringify!($status), ".")]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl ErrorCode {
            /// All of them, in the table's order.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant),+];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The HTTP status that a server answers with.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }
        }
    };
}

error_codes! {
    InternalError "INTERNAL_ERROR" 500,
    InvalidState "INVALID_STATE" 500,
    DataLoss "DATA_LOSS" 500,
    NotImplemented "NOT_IMPLEMENTED" 501,
    TemporarilyUnavailable "TEMPORARILY_UNAVAILABLE" 503,
    DeadlineExceeded "DEADLINE_EXCEEDED" 504,
    RequestLimitExceeded "REQUEST_LIMIT_EXCEEDED" 429,
    Cancelled "CANCELLED" 499,
    ResourceExhausted "RESOURCE_EXHAUSTED" 429,
    Aborted "ABORTED" 409,
    ResourceConflict "RESOURCE_CONFLICT" 409,
    AlreadyExists "ALREADY_EXISTS" 409,
    NotFound "NOT_FOUND" 404,
    EndpointNotFound "ENDPOINT_NOT_FOUND" 404,
    ResourceDoesNotExist "RESOURCE_DOES_NOT_EXIST" 404,
    PermissionDenied "PERMISSION_DENIED" 403,
    CustomerUnauthorized "CUSTOMER_UNAUTHORIZED" 401,
    Unauthenticated "UNAUTHENTICATED" 401,
    BadRequest "BAD_REQUEST" 400,
    ResourceAlreadyExists "RESOURCE_ALREADY_EXISTS" 400,
    InvalidParameterValue "INVALID_PARAMETER_VALUE" 400,
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
