//! Experiments, and the life cycle that runs share with them.

use serde::{Deserialize, Serialize};

use crate::json;

/// A named group of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// A number as text.
    pub experiment_id: String,
    /// Unique, deleted experiments included.
    pub name: String,
    /// Where its runs' artifacts go.
    #[serde(default)]
    pub artifact_location: String,
    /// Whether it was deleted.
    pub lifecycle_stage: LifecycleStage,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub last_update_time: i64,
    /// Milliseconds since 1970.
    #[serde(default, with = "json::int64")]
    pub creation_time: i64,
    /// By key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<ExperimentTag>,
}

/// A note on an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentTag {
    /// The name.
    pub key: String,
    /// The text.
    #[serde(default)]
    pub value: String,
}

/// Whether an experiment or run was deleted (softly: it can be restored).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LifecycleStage {
    /// Not deleted.
    #[default]
    Active,
    /// Deleted.
    Deleted,
}

json::wire_enum!(LifecycleStage { Active = 1 "active", Deleted = 2 "deleted" });

/// Which of the active and deleted ones a search sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ViewType {
    /// Those not deleted.
    #[default]
    ActiveOnly,
    /// Those deleted.
    DeletedOnly,
    /// Both.
    All,
}

json::wire_enum!(ViewType { ActiveOnly = 1 "ACTIVE_ONLY", DeletedOnly = 2 "DELETED_ONLY", All = 3 "ALL" });

impl ViewType {
    /// Whether something in `stage` is seen.
    pub fn shows(self, stage: LifecycleStage) -> bool {
        match self {
            Self::ActiveOnly => stage == LifecycleStage::Active,
            Self::DeletedOnly => stage == LifecycleStage::Deleted,
            Self::All => true,
        }
    }
}
