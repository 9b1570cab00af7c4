//! Artifacts: those of runs follow the run, proxied ones the experiment that their path begins with.

use anmok_protocol::messages::artifacts::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, CreatePresignedDownloadUrl, CreatePresignedUploadUrl,
    ListArtifacts, ListProxiedArtifacts,
};
use anmok_protocol::{Action, ResourceType};

use super::rules;
use crate::auth::check::Check;
use crate::handlers::Answer;

rules! {
    ListArtifacts => |check, asked, _| check.run(asked.run_id(), Action::Read);
    CreatePresignedDownloadUrl => |check, asked, _| check.run(&asked.run_id, Action::Read);
    CreatePresignedUploadUrl => |check, asked, _| {
        Ok(check.runs(&asked.run_id, Action::Update)? && check.logged_models(&asked.model_id, Action::Update)?)
    };
    ListProxiedArtifacts => |check, asked, _| proxied(check, asked.path.as_deref().unwrap_or_default(), Action::Read);
    CreateMultipartUpload | CompleteMultipartUpload | AbortMultipartUpload => |check, _, path| {
        proxied(check, path.first(), Action::Update)
    };
}

/// A path below the server's artifacts. What belongs to no experiment is judged by the default permission, as in MLflow.
pub(super) fn proxied(check: &Check, path: &str, action: Action) -> Answer<bool> {
    let first = path.split('/').next().unwrap_or_default();
    let is_experiment = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_experiment { first } else { "" };
    Ok(check.permission(ResourceType::Experiment, id).allows(action))
}
