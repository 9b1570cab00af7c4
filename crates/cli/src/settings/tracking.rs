//! Where runs are recorded, under MLflow's names.

use super::value::{OptionalText, Place, Text};
use super::{Section, Setting};

pub const SECTION: Section = Section {
    title: "Tracking",
    of_recipe: false,
    settings: &[
        Setting {
            name: "tracking_uri",
            variables: &["MLFLOW_TRACKING_URI"],
            help: "Where runs are recorded: sqlite:///FILE",
            value: &Text { field: |s| &mut s.tracking_uri, noun: "URI", what: "a URI such as sqlite:///anmok.db" },
        },
        Setting {
            name: "artifact_root",
            variables: &["MLFLOW_DEFAULT_ARTIFACT_ROOT"],
            help: "Folder for the artifacts of new experiments",
            value: &Place { field: |s| &mut s.artifact_root, what: "a folder" },
        },
        Setting {
            name: "experiment_name",
            variables: &["MLFLOW_EXPERIMENT_NAME", "EXPERIMENT_NAME"],
            help: "Experiment that a new run belongs to; made if it does not exist",
            value: &Text { field: |s| &mut s.experiment_name, noun: "NAME", what: "a name" },
        },
        Setting {
            name: "run_name",
            variables: &["MLFLOW_RUN_NAME"],
            help: "Name of a new run",
            value: &OptionalText { field: |s| &mut s.run_name, noun: "NAME", what: "a name, or none (one is made up)" },
        },
    ],
};
