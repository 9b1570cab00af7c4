//! Files of runs, and the artifact proxy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{request, response};
use crate::artifact_path::FileInfo;
use crate::json;

request! {
    /// Asks for the files of a run.
    ListArtifacts {
        run,
        /// A folder below the run's artifacts; absent: their root.
        path: text,
        /// From the page before.
        page_token: text,
    }
}

/// Answers [`ListArtifacts`] and [`super::logged_models::ListLoggedModelArtifacts`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListArtifactsResponse {
    /// The root of the files.
    pub root_uri: String,
    /// Paths relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileInfo>,
    /// For the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

request! {
    /// Asks the proxy for the files of a folder.
    ListProxiedArtifacts {
        /// A folder below the proxy's root; absent: the root.
        path: text,
    }
}

response! {
    /// Answers [`ListProxiedArtifacts`].
    ListProxiedArtifactsResponse (
        /// Base names.
        files: FileInfo
    )
}

request! {
    /// Asks for a URL to which a file of a run or of a logged model can be written.
    CreatePresignedUploadUrl {
        /// The run, if not a model.
        run_id: text,
        /// The logged model, if not a run.
        model_id: text,
        /// Below the artifacts' root.
        path: required,
        /// Seconds.
        expiration: integer,
    }
}

request! {
    /// Asks for a URL from which a file of a run can be read.
    CreatePresignedDownloadUrl {
        /// The run.
        run_id: required,
        /// Below the run's artifacts.
        path: required,
        /// Seconds.
        expiration: integer,
    }
}

/// One header that a request to a presigned URL must carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadersEntry {
    /// The name.
    pub key: String,
    /// The text.
    pub value: String,
}

/// Answers [`CreatePresignedUploadUrl`] and [`CreatePresignedDownloadUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresignedUrlResponse {
    /// The URL.
    pub presigned_url: String,
    /// What the request must carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeadersEntry>,
    /// Bytes; absent for an upload.
    #[serde(default, deserialize_with = "json::optional_int64", skip_serializing_if = "Option::is_none")]
    pub file_size: Option<i64>,
}

/// Answers `mlflow-artifacts/presigned/<path>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetPresignedDownloadUrlResponse {
    /// The URL.
    pub url: String,
    /// What the request must carry, by name; told even if it is nothing.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Bytes.
    #[serde(default, deserialize_with = "json::optional_int64", skip_serializing_if = "Option::is_none")]
    pub file_size: Option<i64>,
}

request! {
    /// Starts an upload in parts.
    CreateMultipartUpload {
        /// The file, below the path of the route.
        path: required,
        /// How many.
        num_parts: integer,
    }
}

/// Answers [`CreateMultipartUpload`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateMultipartUploadResponse {
    /// The upload; absent where the parts need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    /// One per part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<MultipartUploadCredential>,
}

/// Where one part goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultipartUploadCredential {
    /// The URL.
    pub url: String,
    /// From 1 on.
    #[serde(with = "json::int64")]
    pub part_number: i64,
    /// What the request must carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeadersEntry>,
}

request! {
    /// Ends an upload in parts.
    CompleteMultipartUpload {
        /// The file, below the path of the route.
        path: required,
        /// The upload.
        upload_id: text,
        /// All of them.
        parts: required_list<MultipartUploadPart>,
    }
}

/// A part that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultipartUploadPart {
    /// From 1 on.
    #[serde(with = "json::int64")]
    pub part_number: i64,
    /// What the store answered.
    #[serde(default, deserialize_with = "json::text")]
    pub etag: String,
    /// Where it went.
    #[serde(default, deserialize_with = "json::optional_text", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

request! {
    /// Gives up an upload in parts.
    AbortMultipartUpload {
        /// The file, below the path of the route.
        path: required,
        /// The upload.
        upload_id: text,
    }
}
