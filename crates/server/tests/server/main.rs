//! The real server on a port of its own with a database of its own, spoken to over HTTP.

mod artifacts;
mod auth;
mod errors;
mod graphql;
mod harness;
mod permissions;
#[path = "../../../tracking/tests/postgres/mod.rs"]
mod postgres;
mod security;
mod story;
mod web_ui;
mod webhooks;
