//! The care of a database: deleting for good what is marked deleted, bringing the schema up to date, looking for damage.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::TrackingError;

/// A store whose database can be cared for, while servers use it.
pub trait Maintenance: Send + Sync {
    /// Deletes for good what was marked deleted: rows and files. What is under way and what was left is told to `report` as
    /// it happens. An interrupted call is finished by the next one, whatever that one asks for.
    ///
    /// # Errors
    /// An id that does not exist, or whose owner is not marked deleted for long enough (then nothing was done); a failure of
    /// the database. Files that cannot be deleted are no error here: they are in [`Collected::failed`].
    fn collect(&self, request: &CollectRequest, report: &mut dyn FnMut(&CollectEvent)) -> Result<Collected, TrackingError>;

    /// Looks at everything that is stored, and says what was looked for and found. Reads the whole database.
    ///
    /// # Errors
    /// A database that cannot be read.
    fn check(&self) -> Result<Vec<Check>, TrackingError>;

    /// Copies all of a database of MLflow's own into this one, ids kept, and compares the two at the end. Files stay where
    /// they are. What is here already is not copied again, so that an interrupted call is finished by the next one.
    ///
    /// # Errors
    /// A source that is not MLflow's or whose schema is not known; experiments or registered models here that are others
    /// under the same id or name (then nothing was copied); a failure of one of the databases.
    fn import_mlflow(&self, source: &str, report: &mut dyn FnMut(&CopyProgress)) -> Result<Copied, TrackingError>;

    /// Copies all of this database into one that MLflow itself has made and that holds nothing but the experiment Default, in
    /// one transaction, and compares the two before its end.
    ///
    /// # Errors
    /// A target that is not MLflow's, whose schema is not known, or that holds something; values that it cannot hold (by
    /// name); a failure of one of the databases. The target is then as it was.
    fn export_mlflow(&self, target: &str, report: &mut dyn FnMut(&CopyProgress)) -> Result<Copied, TrackingError>;
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// Runs that are copied.
    pub runs: u64,
    /// Of how many.
    pub all_runs: u64,
    /// Rows of all tables.
    pub rows: u64,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// MLflow's database.
    pub database: String,
    /// The state of its schema.
    pub revision: String,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// What was odd.
    pub problems: Vec<CopyProblem>,
    /// Kinds of things that the other side does not have, and how many there are.
    pub not_copied: Vec<(String, u64)>,
    /// What is not the same on both sides, in words; empty after a copy that is whole.
    pub differences: Vec<String>,
}

/// A kind of odd value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyProblem {
    /// Where, what is odd, and what was made of it.
    pub what: String,
    /// Whether rows were left out for it.
    pub lost: bool,
    /// How often.
    pub count: u64,
    /// Some of the rows.
    pub examples: Vec<String>,
}

/// Something that was looked for, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is right if nothing was found.
    pub name: &'static str,
    /// How often it is wrong.
    pub problems: u64,
    /// Some of these.
    pub examples: Vec<String>,
}

/// The versions of a database's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The one found; 0 is an empty database.
    pub found: i64,
    /// The newest that this build knows.
    pub newest: i64,
}

/// What is to be deleted for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectRequest {
    /// Only these; `None` is everything that is marked deleted. An experiment takes its runs and logged models with it.
    pub only: Option<CollectIds>,
    /// Only what was marked deleted this long ago, or longer.
    pub older_than: Duration,
    /// Tell what would be deleted, and delete nothing.
    pub dry_run: bool,
    /// Leave all files where they are.
    pub metadata_only: bool,
}

/// Ids of what is to be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectIds {
    /// Runs.
    pub run_ids: Vec<String>,
    /// Experiments.
    pub experiment_ids: Vec<String>,
    /// Logged models.
    pub logged_model_ids: Vec<String>,
}

/// A kind of thing that can be marked deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collectable {
    /// A run.
    Run,
    /// A logged model.
    LoggedModel,
    /// An experiment.
    Experiment,
}

impl Collectable {
    /// In words.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::LoggedModel => "logged model",
            Self::Experiment => "experiment",
        }
    }
}

/// Something that happened to one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectEvent {
    /// What it is.
    pub kind: Collectable,
    /// Its id.
    pub id: String,
    /// What became of it.
    pub outcome: CollectOutcome,
}

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectOutcome {
    /// It is gone, its files too.
    Deleted,
    /// It would be, without [`CollectRequest::dry_run`].
    WouldBeDeleted,
    /// Nothing was done to it, for this reason.
    Kept(String),
    /// It cannot be restored any more, but is not gone yet, for this reason; the next call tries again.
    Failed(String),
}

/// How many things were deleted (or would be).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Runs.
    pub runs: u64,
    /// Logged models.
    pub logged_models: u64,
    /// Experiments.
    pub experiments: u64,
    /// Things of any kind that were kept.
    pub kept: u64,
    /// Things of any kind that are not gone yet.
    pub failed: u64,
}
