//! Rules of requests that are no messages: what they are about stands in their address.

use anmok_protocol::Action;
use axum::http::Uri;

use super::artifacts::proxied;
use crate::auth::check::Check;
use crate::endpoint::{InPath, parameter};
use crate::handlers::Answer;

/// A request's address.
pub(crate) struct Target<'a> {
    pub uri: &'a Uri,
    pub path: &'a InPath,
}

/// Whether an account may ask for what an address names.
pub(crate) type Rule = fn(&Check, &Target) -> Answer<bool>;

/// For everybody who is known.
pub(crate) fn anybody(_: &Check, _: &Target) -> Answer<bool> {
    Ok(true)
}

/// For administrators, who are not asked.
pub(crate) fn nobody(_: &Check, _: &Target) -> Answer<bool> {
    Ok(false)
}

fn run(check: &Check, target: &Target, names: [&str; 2], action: Action) -> Answer<bool> {
    // The first that is there, as the handler takes it.
    let run_id = names.iter().find_map(|name| parameter(target.uri, name));
    check.runs(&run_id, action)
}

pub(crate) fn get_artifact(check: &Check, target: &Target) -> Answer<bool> {
    run(check, target, ["run_id", "run_uuid"], Action::Read)
}

pub(crate) fn upload_artifact(check: &Check, target: &Target) -> Answer<bool> {
    run(check, target, ["run_uuid", "run_id"], Action::Update)
}

pub(crate) fn get_model_version_artifact(check: &Check, target: &Target) -> Answer<bool> {
    match parameter(target.uri, "name") {
        Some(name) => check.model_there(&name, Action::Read),
        None => Ok(true),
    }
}

pub(crate) fn get_logged_model_artifact(check: &Check, target: &Target) -> Answer<bool> {
    check.logged_model(target.path.first(), Action::Read)
}

pub(crate) fn delete_logged_model(check: &Check, target: &Target) -> Answer<bool> {
    check.logged_model(target.path.first(), Action::Delete)
}

pub(crate) fn read_proxied(check: &Check, target: &Target) -> Answer<bool> {
    proxied(check, target.path.first(), Action::Read)
}

pub(crate) fn write_proxied(check: &Check, target: &Target) -> Answer<bool> {
    proxied(check, target.path.first(), Action::Update)
}

pub(crate) fn delete_proxied(check: &Check, target: &Target) -> Answer<bool> {
    proxied(check, target.path.first(), Action::Manage)
}
