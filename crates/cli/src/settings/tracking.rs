//! Where runs are recorded, under MLflow's names.

use super::value::{Kind, OneOf, Optional, Switch, Text, Whole};
use super::{Section, Setting, setting};
use anmok_tracking::Durability;

/// What happens to parameters that a resumed run would have otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamDrift {
    /// They are noted as tags of the run.
    Record,
    /// The run does not go on.
    Refuse,
}

const DEFAULT_ARTIFACT_ROOT: Setting = setting(
    "default_artifact_root",
    "Where the artifacts of new experiments go: a folder, or a bucket: s3://, gs://, wasbs://",
    &Text { field: |s| &mut s.default_artifact_root, noun: "URI", what: "a folder or URI" },
)
.with_variables(&["MLFLOW_DEFAULT_ARTIFACT_ROOT"]);

const DURABILITY: Setting = setting(
    "durability",
    "What a recorded write survives: normal the death of the program, full (slower) a power cut too",
    &OneOf { field: |s| &mut s.durability, names: &[("normal", Durability::Normal), ("full", Durability::Full)] },
)
.with_variables(&["ANMOK_DURABILITY"]);

const S3_ENDPOINT_URL: Setting = setting(
    "s3_endpoint_url",
    "Where an S3 server other than Amazon's is reached; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    &Optional { field: |s| &mut s.buckets.s3_endpoint_url, kind: Kind::Text, noun: "URL", what: "a URL", absent: "Amazon's" },
)
.with_variables(&["MLFLOW_S3_ENDPOINT_URL"]);

const S3_IGNORE_TLS: Setting = setting(
    "s3_ignore_tls",
    "Accept an S3 server's certificate that cannot be checked",
    &Switch { field: |s| &mut s.buckets.s3_ignore_tls },
)
.with_variables(&["MLFLOW_S3_IGNORE_TLS"]);

/// Those of [`SECTION`] that a server takes as flags; the rest is for clients.
pub const OF_SERVER: Section =
    Section { title: "Store", of_recipe: false, settings: &[DEFAULT_ARTIFACT_ROOT, DURABILITY, S3_ENDPOINT_URL, S3_IGNORE_TLS] };

pub const SECTION: Section = Section {
    title: "Tracking",
    of_recipe: false,
    settings: &[
        setting(
            "tracking_uri",
            "Where runs are recorded: sqlite:///FILE, postgresql://HOST/DATABASE, or a server's http(s)://HOST:PORT",
            &Text { field: |s| &mut s.tracking_uri, noun: "URI", what: "a URI such as sqlite:///anmok.db" },
        )
        .with_variables(&["MLFLOW_TRACKING_URI"]),
        DEFAULT_ARTIFACT_ROOT,
        DURABILITY,
        S3_ENDPOINT_URL,
        S3_IGNORE_TLS,
        setting(
            "experiment_name",
            "Experiment that a new run belongs to; made if it does not exist",
            &Text { field: |s| &mut s.experiment_name, noun: "NAME", what: "a name" },
        )
        .with_variables(&["MLFLOW_EXPERIMENT_NAME", "EXPERIMENT_NAME"]),
        setting(
            "experiment_id",
            "Experiment that a new run belongs to, by its id",
            &Optional { field: |s| &mut s.experiment_id, kind: Kind::Text, noun: "ID", what: "an id", absent: "the name counts" },
        )
        .with_variables(&["MLFLOW_EXPERIMENT_ID"]),
        setting(
            "run_name",
            "Name of a new run",
            &Optional { field: |s| &mut s.run_name, kind: Kind::Text, noun: "NAME", what: "a name", absent: "one is made up" },
        )
        .with_variables(&["MLFLOW_RUN_NAME"]),
        setting(
            "offline",
            "Record runs in the journal alone, without a tracking store; `anmok sync` delivers them later",
            &Switch { field: |s| &mut s.offline },
        )
        .with_variables(&["ANMOK_OFFLINE"]),
        setting(
            "param_drift",
            "Parameters of a resumed run that are not what they were: record them as tags, or refuse to go on",
            &OneOf { field: |s| &mut s.param_drift, names: &[("record", ParamDrift::Record), ("refuse", ParamDrift::Refuse)] },
        )
        .with_variables(&["ANMOK_PARAM_DRIFT"]),
        setting(
            "system_metrics",
            "Log what this machine's CPU, memory, disk, network and NVIDIA GPUs do as metrics system/...",
            &Switch { field: |s| &mut s.system_metrics },
        )
        .with_variables(&["MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"]),
        setting("system_metrics_interval", "Seconds between two samples of them", &Whole { field: |s| &mut s.system_metrics_interval })
            .with_variables(&["MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"]),
    ],
};

/// Beside [`SECTION`], for training alone: other commands mean by `--run-id` the run that they look at.
pub const OF_TRAINING: Section = Section {
    title: "Runs made elsewhere",
    of_recipe: false,
    settings: &[
        setting(
            "run_id",
            "Train in this run, which was made elsewhere and has nothing logged to it yet",
            &Optional { field: |s| &mut s.run_id, kind: Kind::Text, noun: "RUN", what: "a run's id", absent: "a new run is made" },
        )
        .with_variables(&["MLFLOW_RUN_ID"]),
        setting(
            "parent_run_id",
            "Nest the new run in this one (a sweep's, say), in whose experiment it then is",
            &Optional { field: |s| &mut s.parent_run_id, kind: Kind::Text, noun: "RUN", what: "a run's id", absent: "it has no parent" },
        )
        .with_variables(&["ANMOK_PARENT_RUN_ID"]),
    ],
};
