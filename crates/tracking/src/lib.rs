//! Where runs are recorded: the [`RunStore`] trait, its stores by URI, artifacts, and the log of a run that never waits.
//!
//! The trait blocks. Its callers are background threads (a training run's [`RunWriter`]) or a server's blocking pool, and
//! SQLite blocks anyway; an asynchronous trait would bring an async runtime into the default binary for nothing.
//!
//! - [`store`]: the trait, and what is asked of it
//! - [`tracking_store`]: what a tracking server asks beyond that
//! - [`registry`]: the model registry's trait
//! - [`accounts`]: what a server that knows its users asks
//! - [`webhooks`]: what a server that tells others of the registry's changes asks
//! - [`uri`]: `MLFLOW_TRACKING_URI` as MLflow's users write it; [`open`]
//! - `sql`: the statements, in our own schema, and the trait on top of them
//! - `sqlite`, `postgres`: the two databases
//! - [`artifact`]: a run's files
//! - [`writer`]: one run's non-blocking log
//! - [`error`]: what can go wrong, each with what to do

pub mod accounts;
pub mod artifact;
pub mod error;
mod postgres;
pub mod registry;
mod run_name;
mod sql;
mod sqlite;
pub mod store;
pub mod tracking_store;
pub mod uri;
pub mod webhooks;
pub mod writer;

pub use accounts::{Account, AccountKey, AccountStore, AccountToken, NewToken, NewUser};
pub use artifact::{ArtifactOptions, ArtifactStore, Artifacts, ByteRange, Download, NoDownload, PresignedMethod, S3Options, Upload};
pub use error::TrackingError;
pub use registry::{ModelRegistry, ModelVersionQuery, NewModelVersion, NewRegisteredModel, RegisteredModelQuery};
pub use store::{ExperimentQuery, NewExperiment, NewRun, Page, PageRequest, RunQuery, RunStore, RunUpdate, now_ms};
pub use tracking_store::{LoggedModelDataset, LoggedModelQuery, NewLoggedModel, SampledHistoryQuery, TrackingStore};
pub use uri::{Durability, StoreOptions, StoreUri, open, open_store};
pub use webhooks::{NewWebhook, StoredWebhook, WebhookStore, WebhookUpdate};
pub use writer::RunWriter;

/// A store that a whole server can stand on: runs, logged models, the registry, users and webhooks.
pub trait Store: TrackingStore + ModelRegistry + AccountStore + WebhookStore {}

impl<T: TrackingStore + ModelRegistry + AccountStore + WebhookStore> Store for T {}
