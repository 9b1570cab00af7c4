//! Copying a database of MLflow's own into ours, and ours into one that MLflow has made.
//!
//! - [`tables`], [`model_tables`]: what both have in common
//! - [`source`]: MLflow's database, known by its schema
//! - [`record`]: its rows, whatever they hold
//! - [`import`], [`import_rows`]: into ours; [`export`], [`export_rows`]: back
//! - [`ours`]: our rows in the same form
//! - [`tally`]: whether both sides are the same

mod export;
mod export_rows;
mod import;
mod import_rows;
mod model_tables;
mod ours;
mod record;
mod source;
mod tables;
mod tally;

pub(super) use export::export;
pub(super) use import::import;

/// Runs that are copied together.
const RUNS_AT_ONCE: usize = 200;

/// Rows of a table that are written together.
const ROWS_AT_ONCE: usize = 5000;
