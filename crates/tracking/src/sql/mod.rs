//! The statements, written once for all SQL databases, and the store on top of them.
//!
//! - [`store`], [`tracking_store`], [`model_registry`], [`account_store`]: the traits, on a [`Database`]
//! - [`read`], [`write`], [`params`], [`lifecycle`], [`history`], [`experiments`], [`logged_models`], [`registry`], [`registry_read`],
//!   [`accounts`], [`webhooks`]: the statements
//! - [`maintenance`]: the care of the database; [`check`]: looking for damage; [`collect`]: deleting for good; [`mlflow`]: copying
//!   MLflow's own database in, and back into one
//! - [`search`], [`model_search`]: searches; [`select`]: a search's statement in the making; [`candidates`]: what an index spares it
//! - [`connection`]: what they need of a database
//! - [`failure`]: what can go wrong with them
//! - [`location`]: artifact locations as they are stored and shown
//! - [`page`]: page tokens

mod account_store;
mod accounts;
mod candidates;
mod check;
mod collect;
mod connection;
mod experiments;
mod failure;
mod history;
mod lifecycle;
mod location;
mod logged_models;
mod maintenance;
mod mlflow;
mod model_registry;
mod model_search;
mod page;
mod params;
mod read;
mod registry;
mod registry_read;
mod search;
mod select;
mod store;
mod tracking_store;
mod webhooks;
mod write;

pub(crate) use connection::{Connection, DO_NOTHING, Dialect, Planning, Query, Row, Value};
pub(crate) use failure::{Failure, Fault};
pub(crate) use location::Locations;
pub(crate) use store::{Database, SqlStore};
