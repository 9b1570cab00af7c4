//! Where runs are recorded, under MLflow's names.

use super::value::{Kind, OneOf, Optional, Text};
use super::{Section, setting};
use anmok_tracking::Durability;

pub const SECTION: Section = Section {
    title: "Tracking",
    of_recipe: false,
    settings: &[
        setting(
            "tracking_uri",
            "Where runs are recorded: sqlite:///FILE",
            &Text { field: |s| &mut s.tracking_uri, noun: "URI", what: "a URI such as sqlite:///anmok.db" },
        )
        .with_variables(&["MLFLOW_TRACKING_URI"]),
        setting(
            "artifact_root",
            "Folder for the artifacts of new experiments",
            &Text { field: |s| &mut s.artifact_root, noun: "FOLDER", what: "a folder" },
        )
        .with_variables(&["MLFLOW_DEFAULT_ARTIFACT_ROOT"]),
        setting(
            "durability",
            "What a recorded write survives: normal the death of the program, full (slower) a power cut too",
            &OneOf { field: |s| &mut s.durability, names: &[("normal", Durability::Normal), ("full", Durability::Full)] },
        )
        .with_variables(&["ANMOK_DURABILITY"]),
        setting(
            "experiment_name",
            "Experiment that a new run belongs to; made if it does not exist",
            &Text { field: |s| &mut s.experiment_name, noun: "NAME", what: "a name" },
        )
        .with_variables(&["MLFLOW_EXPERIMENT_NAME", "EXPERIMENT_NAME"]),
        setting(
            "run_name",
            "Name of a new run",
            &Optional { field: |s| &mut s.run_name, kind: Kind::Text, noun: "NAME", what: "a name", absent: "one is made up" },
        )
        .with_variables(&["MLFLOW_RUN_NAME"]),
    ],
};
