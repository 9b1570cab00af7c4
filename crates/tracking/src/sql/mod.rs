//! The statements, written once for all SQL databases, and the store on top of them.
//!
//! - [`store`]: the `RunStore` of a [`Database`]
//! - [`read`], [`write`], [`search`]: the statements
//! - [`connection`]: what they need of a database
//! - [`failure`]: what can go wrong with them
//! - [`location`]: artifact locations as they are stored and shown
//! - [`page`]: page tokens

mod connection;
mod failure;
mod location;
mod page;
mod read;
mod search;
mod store;
mod write;

pub(crate) use connection::{Connection, Dialect, Row, Value};
pub(crate) use failure::{Failure, Fault};
pub(crate) use location::Locations;
pub(crate) use store::{Database, SqlStore};
