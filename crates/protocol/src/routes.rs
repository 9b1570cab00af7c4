//! The route table: which method and path is which endpoint.

use std::fmt;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What is asked for. Several routes may lead to one endpoint.
    pub endpoint: Endpoint,
    /// By which method.
    pub method: Method,
    /// Under which prefixes.
    pub place: Place,
    /// The rest of the path; `{name}` is one part, `{*name}` is all parts from there on.
    pub path: &'static str,
}

impl Route {
    /// The whole paths.
    pub fn paths(&self) -> impl Iterator<Item = String> + use<> {
        let path = self.path;
        self.place.prefixes().iter().map(move |prefix| format!("{prefix}{path}"))
    }
}

/// The methods of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET, and HEAD with it.
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Where a route lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Under `/api` (clients) and `/ajax-api` (the web UI).
    Api,
    /// Under `/ajax-api`.
    Ajax,
    /// At the root.
    Root,
}

impl Place {
    /// What stands before the path.
    pub fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Api => &["/api", "/ajax-api"],
            Self::Ajax => &["/ajax-api"],
            Self::Root => &[""],
        }
    }
}

macro_rules! routes {
    ($($endpoint:ident { $($method:ident $place:ident $path:literal),+ $(,)? })+) => {
        /// The endpoints, under the names of their requests in the protos where they have some.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $(
                $(#[doc = concat!("`", $path, "`\n")])+
                $endpoint,
            )+
        }

        impl Endpoint {
            /// The name, for logs and figures.
            pub fn name(self) -> &'static str {
                match self { $(Self::$endpoint => stringify!($endpoint)),+ }
            }

            /// The route that a client takes: the first of its rows.
            pub fn route(self) -> &'static Route {
                match self { $(Self::$endpoint => const { &[$(Route {
                    endpoint: Endpoint::$endpoint, method: Method::$method, place: Place::$place, path: $path,
                }),+][0] }),+ }
            }
        }

        /// All routes.
        pub const ROUTES: &[Route] = &[
            $($(Route { endpoint: Endpoint::$endpoint, method: Method::$method, place: Place::$place, path: $path },)+)+
        ];
    };
}

routes! {
    CreateExperiment { Post Api "/2.0/mlflow/experiments/create" }
    SearchExperiments { Post Api "/2.0/mlflow/experiments/search", Get Api "/2.0/mlflow/experiments/search" }
    GetExperiment { Get Api "/2.0/mlflow/experiments/get" }
    GetExperimentByName { Get Api "/2.0/mlflow/experiments/get-by-name" }
    DeleteExperiment { Post Api "/2.0/mlflow/experiments/delete" }
    RestoreExperiment { Post Api "/2.0/mlflow/experiments/restore" }
    UpdateExperiment { Post Api "/2.0/mlflow/experiments/update" }
    SetExperimentTag { Post Api "/2.0/mlflow/experiments/set-experiment-tag" }
    DeleteExperimentTag { Post Api "/2.0/mlflow/experiments/delete-experiment-tag" }
    // The official path lacks a slash ("/api/2.0mlflow/..."), and clients of both spellings are about.
    SearchDatasets { Post Api "/2.0/mlflow/experiments/search-datasets", Post Api "/2.0mlflow/experiments/search-datasets" }

    CreateRun { Post Api "/2.0/mlflow/runs/create" }
    UpdateRun { Post Api "/2.0/mlflow/runs/update" }
    DeleteRun { Post Api "/2.0/mlflow/runs/delete" }
    RestoreRun { Post Api "/2.0/mlflow/runs/restore" }
    GetRun { Get Api "/2.0/mlflow/runs/get" }
    SearchRuns { Post Api "/2.0/mlflow/runs/search" }
    LogMetric { Post Api "/2.0/mlflow/runs/log-metric" }
    LogParam { Post Api "/2.0/mlflow/runs/log-parameter" }
    LogBatch { Post Api "/2.0/mlflow/runs/log-batch" }
    LogModel { Post Api "/2.0/mlflow/runs/log-model" }
    LogInputs { Post Api "/2.0/mlflow/runs/log-inputs" }
    LogOutputs { Post Api "/2.0/mlflow/runs/outputs" }
    SetTag { Post Api "/2.0/mlflow/runs/set-tag" }
    DeleteTag { Post Api "/2.0/mlflow/runs/delete-tag" }

    GetMetricHistory { Get Api "/2.0/mlflow/metrics/get-history" }
    GetMetricHistoryBulk { Get Ajax "/2.0/mlflow/metrics/get-history-bulk" }
    GetMetricHistoryBulkInterval {
        Get Api "/2.11/mlflow/metrics/get-history-bulk-interval",
        Get Api "/2.0/mlflow/metrics/get-history-bulk-interval",
    }

    ListArtifacts { Get Api "/2.0/mlflow/artifacts/list" }
    CreatePresignedUploadUrl { Post Api "/2.0/mlflow/artifacts/presigned-upload-url" }
    CreatePresignedDownloadUrl { Post Api "/2.0/mlflow/artifacts/presigned-download-url" }
    GetArtifact { Get Root "/get-artifact" }
    GetModelVersionArtifact { Get Root "/model-versions/get-artifact" }
    UploadArtifact { Post Ajax "/2.0/mlflow/upload-artifact" }
    DownloadProxiedArtifact { Get Api "/2.0/mlflow-artifacts/artifacts/{*artifact_path}" }
    UploadProxiedArtifact { Put Api "/2.0/mlflow-artifacts/artifacts/{*artifact_path}" }
    DeleteProxiedArtifact { Delete Api "/2.0/mlflow-artifacts/artifacts/{*artifact_path}" }
    ListProxiedArtifacts { Get Api "/2.0/mlflow-artifacts/artifacts" }
    CreateMultipartUpload { Post Api "/2.0/mlflow-artifacts/mpu/create/{*artifact_path}" }
    CompleteMultipartUpload { Post Api "/2.0/mlflow-artifacts/mpu/complete/{*artifact_path}" }
    AbortMultipartUpload { Post Api "/2.0/mlflow-artifacts/mpu/abort/{*artifact_path}" }
    GetPresignedDownloadUrl { Get Api "/2.0/mlflow-artifacts/presigned/{*artifact_path}" }

    CreateLoggedModel { Post Api "/2.0/mlflow/logged-models" }
    SearchLoggedModels { Post Api "/2.0/mlflow/logged-models/search" }
    GetLoggedModel { Get Api "/2.0/mlflow/logged-models/{model_id}" }
    FinalizeLoggedModel { Patch Api "/2.0/mlflow/logged-models/{model_id}" }
    DeleteLoggedModel { Delete Api "/2.0/mlflow/logged-models/{model_id}" }
    SetLoggedModelTags { Patch Api "/2.0/mlflow/logged-models/{model_id}/tags" }
    DeleteLoggedModelTag { Delete Api "/2.0/mlflow/logged-models/{model_id}/tags/{tag_key}" }
    LogLoggedModelParams { Post Api "/2.0/mlflow/logged-models/{model_id}/params" }
    ListLoggedModelArtifacts { Get Api "/2.0/mlflow/logged-models/{model_id}/artifacts/directories" }
    GetLoggedModelArtifact { Get Ajax "/2.0/mlflow/logged-models/{model_id}/artifacts/files" }

    CreateRegisteredModel { Post Api "/2.0/mlflow/registered-models/create" }
    RenameRegisteredModel { Post Api "/2.0/mlflow/registered-models/rename" }
    UpdateRegisteredModel { Patch Api "/2.0/mlflow/registered-models/update" }
    DeleteRegisteredModel { Delete Api "/2.0/mlflow/registered-models/delete" }
    GetRegisteredModel { Get Api "/2.0/mlflow/registered-models/get" }
    SearchRegisteredModels { Get Api "/2.0/mlflow/registered-models/search" }
    GetLatestVersions {
        Post Api "/2.0/mlflow/registered-models/get-latest-versions",
        Get Api "/2.0/mlflow/registered-models/get-latest-versions",
    }
    SetRegisteredModelTag { Post Api "/2.0/mlflow/registered-models/set-tag" }
    DeleteRegisteredModelTag { Delete Api "/2.0/mlflow/registered-models/delete-tag" }
    SetRegisteredModelAlias { Post Api "/2.0/mlflow/registered-models/alias" }
    DeleteRegisteredModelAlias { Delete Api "/2.0/mlflow/registered-models/alias" }
    GetModelVersionByAlias { Get Api "/2.0/mlflow/registered-models/alias" }

    CreateModelVersion { Post Api "/2.0/mlflow/model-versions/create" }
    UpdateModelVersion { Patch Api "/2.0/mlflow/model-versions/update" }
    TransitionModelVersionStage { Post Api "/2.0/mlflow/model-versions/transition-stage" }
    DeleteModelVersion { Delete Api "/2.0/mlflow/model-versions/delete" }
    GetModelVersion { Get Api "/2.0/mlflow/model-versions/get" }
    SearchModelVersions { Get Api "/2.0/mlflow/model-versions/search" }
    GetModelVersionDownloadUri { Get Api "/2.0/mlflow/model-versions/get-download-uri" }
    SetModelVersionTag { Post Api "/2.0/mlflow/model-versions/set-tag" }
    DeleteModelVersionTag { Delete Api "/2.0/mlflow/model-versions/delete-tag" }

    CreateWebhook { Post Api "/2.0/mlflow/webhooks" }
    ListWebhooks { Get Api "/2.0/mlflow/webhooks" }
    GetWebhook { Get Api "/2.0/mlflow/webhooks/{webhook_id}" }
    UpdateWebhook { Patch Api "/2.0/mlflow/webhooks/{webhook_id}" }
    DeleteWebhook { Delete Api "/2.0/mlflow/webhooks/{webhook_id}" }
    TestWebhook { Post Api "/2.0/mlflow/webhooks/{webhook_id}/test" }

    ServerInfo { Get Api "/3.0/mlflow/server-info" }
    GraphQl { Get Root "/graphql", Post Root "/graphql" }
    UiTelemetry { Get Ajax "/3.0/mlflow/ui-telemetry", Post Ajax "/3.0/mlflow/ui-telemetry" }
    AssistantConfig { Get Ajax "/3.0/mlflow/assistant/config" }
    AssistantProviders { Get Ajax "/3.0/mlflow/assistant/providers" }
    GatewayProxy { Get Ajax "/2.0/mlflow/gateway-proxy", Post Ajax "/2.0/mlflow/gateway-proxy" }
    Health { Get Root "/health" }
    Version { Get Root "/version" }
}
