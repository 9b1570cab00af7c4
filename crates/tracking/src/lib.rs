//! Where runs are recorded: the [`RunStore`] trait, its stores by URI, artifacts, and the log of a run that never waits.
//!
//! The trait blocks. Its callers are background threads (a training run's [`RunWriter`]) or a server's blocking pool, and
//! SQLite blocks anyway; an asynchronous trait would bring an async runtime into the default binary for nothing.
//!
//! - [`store`]: the trait, and what is asked of it
//! - [`tracking_store`]: what a tracking server asks beyond that
//! - [`registry`]: the model registry's trait
//! - [`maintenance`]: the care of a database
//! - [`accounts`]: what a server that knows its users asks
//! - [`webhooks`]: what a server that tells others of the registry's changes asks
//! - [`uri`]: `MLFLOW_TRACKING_URI` as MLflow's users write it; [`open`]
//! - `sql`: the statements, in our own schema, and the trait on top of them
//! - `sqlite`, `postgres`: the two databases
//! - `http`: a tracking server, ours or the official one
//! - [`artifact`]: a run's files
//! - [`archive`]: a run as a folder, from one store to another
//! - [`writer`]: one run's log, which neither blocks nor loses
//! - [`journal`]: its log on this machine's disk
//! - [`delivery`]: from the journal to a store, while the run is under way or later
//! - [`error`]: what can go wrong, each with what to do

pub mod accounts;
pub mod archive;
pub mod artifact;
pub mod delivery;
pub mod error;
mod http;
pub mod journal;
pub mod maintenance;
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
pub use artifact::{ArtifactOptions, ArtifactStore, Artifacts, BucketOptions, ByteRange, Download, NoDownload, PresignedMethod, Upload};
pub use delivery::offline::offline_run;
pub use error::TrackingError;
pub use http::options::{MultipartOptions, ProxyOptions, ServerOptions};
pub use maintenance::{
    Check, CollectEvent, CollectIds, CollectOutcome, CollectRequest, Collectable, Collected, Copied, CopyProblem, CopyProgress,
    Maintenance, SchemaVersion,
};
pub use registry::{ModelRegistry, ModelVersionQuery, NewModelVersion, NewRegisteredModel, RegisteredModelQuery};
pub use store::{
    ExperimentQuery, NewExperiment, NewRun, Page, PageRequest, RunQuery, RunStore, RunUpdate, SearchEffort, all_experiments, now_ms,
};
pub use tracking_store::{LoggedModelDataset, LoggedModelQuery, NewLoggedModel, SampledHistoryQuery, TrackingStore};
pub use uri::{Durability, StoreOptions, StoreUri, open, open_store, schema_version};
pub use webhooks::{NewWebhook, StoredWebhook, WebhookStore, WebhookUpdate};
pub use writer::{LogOptions, RunWriter};

/// A store that a whole server can stand on: runs, logged models, the registry, users, webhooks, and the care of it all.
pub trait Store: TrackingStore + ModelRegistry + AccountStore + WebhookStore + Maintenance {}

impl<T: TrackingStore + ModelRegistry + AccountStore + WebhookStore + Maintenance> Store for T {}
