//! Which path is whose. The table is the protocol's; here stands what each endpoint calls.

use anmok_protocol::routes::{Endpoint, ROUTES, Route};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use axum::routing::MethodRouter;

use crate::answer::text;
use crate::auth::rules::targets::{self, anybody};
use crate::endpoint::{At, Shared, drain};
use crate::front::named;
use crate::handlers::{
    experiments, files, logged_models, metrics, model_versions, permissions, proxy, registered_models, run_files, runs, server, tokens,
    users, webhooks,
};
use crate::{graphql, page, ui};

/// The router over the whole table.
pub(crate) fn router(app: Shared) -> Router {
    let mut router = Router::new();
    for route in ROUTES.iter().filter(|route| app.gate.is_some() || !concerns_users(route)) {
        for path in route.paths() {
            if let Some(handler) = handler(route.endpoint, At { name: route.endpoint.name(), method: route.method }) {
                router = router.route(&path, handler);
            }
        }
    }
    router = match app.options.ui_bundle {
        Some(_) => {
            let ui = At::root("ui");
            router.route("/", ui.stream(anybody, ui::index)).route("/static-files/{*path}", ui.public(ui::static_file))
        }
        None => router.route("/", At::root("page").stream(anybody, page::page)),
    };
    router
        .route("/metrics", At::root("figures").stream(anybody, server::figures))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

/// Whether a route is about users, of whom a server knows nothing that asks nobody who they are.
fn concerns_users(route: &Route) -> bool {
    ["/users/", "/permissions/", "/tokens/"].iter().any(|part| route.path.contains(part))
}

/// What answers an endpoint; `None` for those that this server does not have, which are unknown paths to a client.
fn handler(endpoint: Endpoint, at: At) -> Option<MethodRouter<Shared>> {
    Some(match endpoint {
        Endpoint::CreateExperiment => at.call(experiments::create),
        Endpoint::SearchExperiments => at.call(experiments::search),
        Endpoint::GetExperiment => at.call(experiments::get),
        Endpoint::GetExperimentByName => at.call(experiments::get_by_name),
        Endpoint::DeleteExperiment => at.call(experiments::delete),
        Endpoint::RestoreExperiment => at.call(experiments::restore),
        Endpoint::UpdateExperiment => at.call(experiments::update),
        Endpoint::SetExperimentTag => at.call(experiments::set_tag),
        Endpoint::DeleteExperimentTag => at.call(experiments::delete_tag),
        Endpoint::SearchDatasets => at.call(experiments::search_datasets),

        Endpoint::CreateRun => at.call(runs::create),
        Endpoint::UpdateRun => at.call(runs::update),
        Endpoint::DeleteRun => at.call(runs::delete),
        Endpoint::RestoreRun => at.call(runs::restore),
        Endpoint::GetRun => at.call(runs::get),
        Endpoint::SearchRuns => at.call(runs::search),
        Endpoint::LogMetric => at.call(runs::log_metric),
        Endpoint::LogParam => at.call(runs::log_parameter),
        Endpoint::LogBatch => at.call(runs::log_batch),
        Endpoint::LogModel => at.call(runs::log_model),
        Endpoint::LogInputs => at.call(runs::log_inputs),
        Endpoint::LogOutputs => at.call(runs::log_outputs),
        Endpoint::SetTag => at.call(runs::set_tag),
        Endpoint::DeleteTag => at.call(runs::delete_tag),

        Endpoint::GetMetricHistory => at.stream(anybody, metrics::stream_history),
        Endpoint::GetMetricHistoryBulk => at.call(metrics::history_bulk),
        Endpoint::GetMetricHistoryBulkInterval => at.call(metrics::history_bulk_interval),

        Endpoint::ListArtifacts => at.call(run_files::list),
        Endpoint::CreatePresignedUploadUrl => at.call(run_files::presigned_upload_url),
        Endpoint::CreatePresignedDownloadUrl => at.call(run_files::presigned_download_url),
        Endpoint::GetArtifact => at.stream(targets::get_artifact, files::of_run),
        Endpoint::GetModelVersionArtifact => at.stream(targets::get_model_version_artifact, files::of_model_version),
        Endpoint::GetLoggedModelArtifact => at.stream(targets::get_logged_model_artifact, files::of_logged_model),
        Endpoint::UploadArtifact => at.stream(targets::upload_artifact, files::upload_to_run),

        Endpoint::DownloadProxiedArtifact => at.stream(targets::read_proxied, proxy::download),
        Endpoint::UploadProxiedArtifact => at.stream(targets::write_proxied, proxy::upload),
        Endpoint::DeleteProxiedArtifact => at.call_path(targets::delete_proxied, proxy::delete),
        Endpoint::ListProxiedArtifacts => at.call(proxy::list),
        Endpoint::CreateMultipartUpload => at.call_in_path(proxy::create_multipart_upload),
        Endpoint::CompleteMultipartUpload => at.call_in_path(proxy::complete_multipart_upload),
        Endpoint::AbortMultipartUpload => at.call_in_path(proxy::abort_multipart_upload),
        Endpoint::GetPresignedDownloadUrl => at.call_path(targets::read_proxied, proxy::presigned_download_url),

        Endpoint::CreateLoggedModel => at.call(logged_models::create),
        Endpoint::SearchLoggedModels => at.call(logged_models::search),
        Endpoint::GetLoggedModel => at.call_in_path(logged_models::get),
        Endpoint::FinalizeLoggedModel => at.call_in_path(logged_models::finalize),
        Endpoint::DeleteLoggedModel => at.call_path(targets::delete_logged_model, logged_models::delete),
        Endpoint::SetLoggedModelTags => at.call_in_path(logged_models::set_tags),
        Endpoint::DeleteLoggedModelTag => at.call_path(targets::delete_logged_model, logged_models::delete_tag),
        Endpoint::LogLoggedModelParams => at.call_in_path(logged_models::log_params),
        Endpoint::ListLoggedModelArtifacts => at.call_in_path(run_files::list_logged_model),

        Endpoint::CreateRegisteredModel => at.call(registered_models::create),
        Endpoint::RenameRegisteredModel => at.call(registered_models::rename),
        Endpoint::UpdateRegisteredModel => at.call(registered_models::update),
        Endpoint::DeleteRegisteredModel => at.call(registered_models::delete),
        Endpoint::GetRegisteredModel => at.call(registered_models::get),
        Endpoint::SearchRegisteredModels => at.call(registered_models::search),
        Endpoint::GetLatestVersions => at.call(registered_models::get_latest_versions),
        Endpoint::SetRegisteredModelTag => at.call(registered_models::set_tag),
        Endpoint::DeleteRegisteredModelTag => at.call(registered_models::delete_tag),
        Endpoint::SetRegisteredModelAlias => at.call(registered_models::set_alias),
        Endpoint::DeleteRegisteredModelAlias => at.call(registered_models::delete_alias),
        Endpoint::GetModelVersionByAlias => at.call(registered_models::get_by_alias),

        Endpoint::CreateModelVersion => at.call(model_versions::create),
        Endpoint::UpdateModelVersion => at.call(model_versions::update),
        Endpoint::TransitionModelVersionStage => at.call(model_versions::transition_stage),
        Endpoint::DeleteModelVersion => at.call(model_versions::delete),
        Endpoint::GetModelVersion => at.call(model_versions::get),
        Endpoint::SearchModelVersions => at.call(model_versions::search),
        Endpoint::GetModelVersionDownloadUri => at.call(model_versions::get_download_uri),
        Endpoint::SetModelVersionTag => at.call(model_versions::set_tag),
        Endpoint::DeleteModelVersionTag => at.call(model_versions::delete_tag),

        Endpoint::CreateWebhook => at.call(webhooks::create),
        Endpoint::ListWebhooks => at.call(webhooks::list),
        Endpoint::GetWebhook => at.call_path(targets::nobody, webhooks::get),
        Endpoint::UpdateWebhook => at.call_in_path(webhooks::update),
        Endpoint::DeleteWebhook => at.call_path(targets::nobody, webhooks::delete),
        Endpoint::TestWebhook => at.call_in_path(webhooks::test),

        Endpoint::CreateUser => at.call(users::create),
        Endpoint::GetUser => at.call(users::get),
        Endpoint::GetCurrentUser => at.call(users::current),
        Endpoint::ListUsers => at.call(users::list),
        Endpoint::UpdateUserPassword => at.call(users::update_password),
        Endpoint::UpdateUserAdmin => at.call(users::update_admin),
        Endpoint::DeleteUser => at.call(users::delete),
        Endpoint::GrantUserPermission => at.call(permissions::grant),
        Endpoint::RevokeUserPermission => at.call(permissions::revoke),
        Endpoint::GetUserPermission => at.call(permissions::get),
        Endpoint::ListUserPermissions => at.call(permissions::list),
        Endpoint::ListCurrentUserPermissions => at.call(permissions::list_current),
        Endpoint::CreateExperimentPermission => at.call(permissions::create_of_experiment),
        Endpoint::GetExperimentPermission => at.call(permissions::get_of_experiment),
        Endpoint::UpdateExperimentPermission => at.call(permissions::update_of_experiment),
        Endpoint::DeleteExperimentPermission => at.call(permissions::delete_of_experiment),
        Endpoint::CreateRegisteredModelPermission => at.call(permissions::create_of_model),
        Endpoint::GetRegisteredModelPermission => at.call(permissions::get_of_model),
        Endpoint::UpdateRegisteredModelPermission => at.call(permissions::update_of_model),
        Endpoint::DeleteRegisteredModelPermission => at.call(permissions::delete_of_model),
        Endpoint::CreateToken => at.call(tokens::create),
        Endpoint::ListTokens => at.call(tokens::list),
        Endpoint::RevokeToken => at.call(tokens::revoke),

        Endpoint::GraphQl => at.stream(anybody, graphql::answer),
        Endpoint::ServerInfo => at.public(server::info),
        Endpoint::UiTelemetry => at.stream(anybody, server::ui_telemetry),
        Endpoint::AssistantConfig => at.stream(anybody, server::assistant_config),
        Endpoint::AssistantProviders => at.stream(anybody, server::assistant_providers),
        Endpoint::GatewayProxy => at.stream(anybody, server::gateway_proxy),
        Endpoint::Health => at.public(server::health),
        Endpoint::Version => at.stream(anybody, server::version),
    })
}

/// MLflow answers with a page for people; clients look at the status.
async fn unknown(request: Request<Body>) -> Response {
    drain(request.into_body()).await;
    named("unknown", text(StatusCode::NOT_FOUND, "Not Found: no endpoint of the tracking API lies here\n"))
}

async fn wrong_method(request: Request<Body>) -> Response {
    drain(request.into_body()).await;
    named("unknown", text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed: this endpoint is asked by another method\n"))
}
