//! What MLflow's database and ours have in common, table by table: the same rows asked of both in the same columns.
//!
//! A row's first column is its owner's id. Copying a table is asking it of one database and writing it to the other; whether
//! the copy is right is asking it of both.

use anmok_protocol::DEFAULT_EXPERIMENT_ID;

use super::model_tables::OF_MODELS;

/// What a column may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A name or id: it must be indexed.
    Name,
    /// NULL is the empty text.
    Text,
    OptionalText,
    /// NULL is 0.
    Integer,
    OptionalInteger,
    Real,
    /// One of these; NULL and others are taken as the first.
    OneOf(&'static [&'static str]),
    /// Where files lie.
    Location,
}

/// Whose rows they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Experiment,
    Run,
    LoggedModel,
    RegisteredModel,
}

impl Owner {
    pub fn noun(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::LoggedModel => "logged model",
            Self::RegisteredModel => "registered model",
        }
    }
}

pub(super) struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// As MLflow's database has it, and ours.
    pub mlflow: &'static str,
    pub ours: &'static str,
}

pub(super) struct Table {
    pub name: &'static str,
    pub owner: Owner,
    pub columns: &'static [Column],
    /// What follows FROM. `{default}` becomes a condition on the workspace, where there are workspaces.
    pub mlflow: &'static str,
    pub ours: &'static str,
    /// What must be there in MLflow's database; older ones lack some.
    pub requires: &'static str,
    /// The column of the run's id, in both, where the rows are asked for some runs at a time.
    pub run: Option<(&'static str, &'static str)>,
}

pub(super) const fn column(name: &'static str, kind: Kind, mlflow: &'static str, ours: &'static str) -> Column {
    Column { name, kind, mlflow, ours }
}

use Kind::{Integer, Location, Name, OneOf, OptionalInteger, OptionalText, Real, Text};

pub(super) const STAGES: Kind = OneOf(&["active", "deleted"]);

pub(super) const EXPERIMENTS: Table = Table {
    name: "experiments",
    owner: Owner::Experiment,
    columns: &[
        column("experiment_id", Integer, "t.experiment_id", "t.experiment"),
        column("name", Name, "t.name", "t.name"),
        column("artifact_location", Location, "t.artifact_location", "t.artifact_location"),
        column("lifecycle_stage", STAGES, "t.lifecycle_stage", "t.lifecycle_stage"),
        column("creation_time", Integer, "t.creation_time", "t.creation_time"),
        column("last_update_time", Integer, "t.last_update_time", "t.last_update_time"),
    ],
    mlflow: "experiments t WHERE {default}",
    ours: "anmok_experiments t",
    requires: "experiments",
    run: None,
};

pub(super) const RUNS: Table = Table {
    name: "runs",
    owner: Owner::Run,
    columns: &[
        column("run_id", Name, "t.run_uuid", "t.run_id"),
        column("experiment_id", Integer, "t.experiment_id", "t.experiment"),
        column("run_name", Text, "t.name", "t.run_name"),
        column("user_id", Text, "t.user_id", "t.user_id"),
        column("status", OneOf(&["FAILED", "FINISHED", "KILLED", "RUNNING", "SCHEDULED"]), "t.status", "t.status"),
        column("start_time", Integer, "t.start_time", "t.start_time"),
        column("end_time", OptionalInteger, "t.end_time", "t.end_time"),
        column("lifecycle_stage", STAGES, "t.lifecycle_stage", "t.lifecycle_stage"),
        column("deleted_time", OptionalInteger, "t.deleted_time", "t.deleted_time"),
        column("artifact_uri", Location, "t.artifact_uri", "t.artifact_uri"),
    ],
    mlflow: "runs t",
    ours: "anmok_runs t",
    requires: "runs",
    run: Some(("t.run_uuid", "t.run_id")),
};

const POINT: &[Column] = &[
    column("run_id", Name, "t.run_uuid", "r.run_id"),
    column("key", Name, "t.key", "k.name"),
    column("timestamp", Integer, "t.timestamp", "t.timestamp"),
    column("step", Integer, "t.step", "t.step"),
    column("value", Real, "t.value", "t.value"),
    column("is_nan", Integer, "t.is_nan", "t.is_nan"),
];

const RUN_VALUE: &[Column] = &[
    column("run_id", Name, "t.run_uuid", "r.run_id"),
    column("key", Name, "t.key", "k.name"),
    column("value", Text, "t.value", "t.value"),
];

const BY_RUN: Option<(&str, &str)> = Some(("t.run_uuid", "r.run_id"));

/// Experiments and runs, in an order in which what is named is there before.
const OF_RUNS: &[Table] = &[
    EXPERIMENTS,
    Table {
        name: "experiment_tags",
        owner: Owner::Experiment,
        columns: &[
            column("experiment_id", Integer, "t.experiment_id", "t.experiment"),
            column("key", Name, "t.key", "k.name"),
            column("value", Text, "t.value", "t.value"),
        ],
        mlflow: "experiment_tags t",
        ours: "anmok_experiment_tags t JOIN anmok_keys k USING (key)",
        requires: "experiment_tags",
        run: None,
    },
    Table {
        name: "datasets",
        owner: Owner::Experiment,
        columns: &[
            column("experiment_id", Integer, "t.experiment_id", "t.experiment"),
            column("name", Name, "t.name", "t.name"),
            column("digest", Name, "t.digest", "t.digest"),
            column("source_type", Text, "t.dataset_source_type", "t.source_type"),
            column("source", Text, "t.dataset_source", "t.source"),
            column("schema", OptionalText, "t.dataset_schema", "t.schema"),
            column("profile", OptionalText, "t.dataset_profile", "t.profile"),
        ],
        mlflow: "datasets t",
        ours: "anmok_datasets t",
        requires: "datasets",
        run: None,
    },
    RUNS,
    Table {
        name: "params",
        owner: Owner::Run,
        columns: RUN_VALUE,
        mlflow: "params t",
        ours: "anmok_params t JOIN anmok_runs r USING (run) JOIN anmok_keys k USING (key)",
        requires: "params",
        run: BY_RUN,
    },
    Table {
        name: "tags",
        owner: Owner::Run,
        columns: RUN_VALUE,
        mlflow: "tags t",
        ours: "anmok_tags t JOIN anmok_runs r USING (run) JOIN anmok_keys k USING (key)",
        requires: "tags",
        run: BY_RUN,
    },
    Table {
        name: "inputs",
        owner: Owner::Run,
        columns: &[
            column("run_id", Name, "t.destination_id", "r.run_id"),
            column("dataset", Name, "d.name", "d.name"),
            column("digest", Name, "d.digest", "d.digest"),
        ],
        mlflow: "inputs t JOIN datasets d ON d.dataset_uuid = t.source_id AND t.source_type = 'DATASET' AND t.destination_type = 'RUN'",
        ours: "anmok_inputs t JOIN anmok_runs r USING (run) JOIN anmok_datasets d USING (dataset)",
        requires: "inputs",
        run: Some(("t.destination_id", "r.run_id")),
    },
    Table {
        name: "input_tags",
        owner: Owner::Run,
        columns: &[
            column("run_id", Name, "t.destination_id", "r.run_id"),
            column("dataset", Name, "d.name", "d.name"),
            column("digest", Name, "d.digest", "d.digest"),
            column("key", Name, "g.name", "g.key"),
            column("value", Text, "g.value", "g.value"),
        ],
        mlflow: "inputs t JOIN datasets d ON d.dataset_uuid = t.source_id AND t.source_type = 'DATASET' AND t.destination_type = 'RUN'
                 JOIN input_tags g ON g.input_uuid = t.input_uuid",
        ours: "anmok_inputs t JOIN anmok_runs r USING (run) JOIN anmok_datasets d USING (dataset)
               JOIN anmok_input_tags g ON g.input = t.input",
        requires: "input_tags",
        run: Some(("t.destination_id", "r.run_id")),
    },
    Table {
        name: "model_inputs",
        owner: Owner::Run,
        columns: &[column("run_id", Name, "t.source_id", "r.run_id"), column("model_id", Name, "t.destination_id", "t.model_id")],
        mlflow: "(SELECT * FROM inputs WHERE source_type = 'RUN_INPUT' AND destination_type = 'MODEL_INPUT') t",
        ours: "anmok_model_inputs t JOIN anmok_runs r USING (run)",
        requires: "logged_models",
        run: Some(("t.source_id", "r.run_id")),
    },
    Table {
        name: "model_outputs",
        owner: Owner::Run,
        columns: &[
            column("run_id", Name, "t.source_id", "r.run_id"),
            column("model_id", Name, "t.destination_id", "t.model_id"),
            column("step", Integer, "t.step", "t.step"),
        ],
        mlflow: "(SELECT * FROM inputs WHERE source_type = 'RUN_OUTPUT' AND destination_type = 'MODEL_OUTPUT') t",
        ours: "anmok_model_outputs t JOIN anmok_runs r USING (run)",
        requires: "logged_models",
        run: Some(("t.source_id", "r.run_id")),
    },
    Table {
        name: "metrics",
        owner: Owner::Run,
        columns: POINT,
        mlflow: "metrics t",
        ours: "anmok_metrics t JOIN anmok_runs r USING (run) JOIN anmok_keys k USING (key)",
        requires: "metrics",
        run: BY_RUN,
    },
    Table {
        name: "latest_metrics",
        owner: Owner::Run,
        columns: POINT,
        mlflow: "latest_metrics t",
        ours: "anmok_latest_metrics t JOIN anmok_runs r USING (run) JOIN anmok_keys k USING (key)",
        requires: "latest_metrics",
        run: BY_RUN,
    },
];

/// All of them, in an order in which what is named is there before.
pub(super) fn tables() -> impl Iterator<Item = &'static Table> {
    OF_RUNS.iter().chain(OF_MODELS)
}

impl Table {
    /// The query of MLflow's database; `?1` is a list of run ids where the table has runs.
    pub fn of_mlflow(&self, has_workspaces: bool) -> String {
        let condition = if has_workspaces { "t.workspace = 'default'" } else { "1 = 1" };
        self.query(|column| column.mlflow, &self.mlflow.replace("{default}", condition), self.run.map(|(mlflow, _)| mlflow))
    }

    /// The same of ours.
    pub fn of_ours(&self) -> String {
        self.query(|column| column.ours, self.ours, self.run.map(|(_, ours)| ours))
    }

    fn query(&self, text: impl Fn(&Column) -> &'static str, from: &str, run: Option<&str>) -> String {
        let columns: Vec<&str> = self.columns.iter().map(text).collect();
        let condition = run.map(|run| format!(" WHERE {run} IN (SELECT value FROM json_each(?1))")).unwrap_or_default();
        format!("SELECT {} FROM {from}{condition}", columns.join(", "))
    }
}

/// The experiment that every database has.
pub(super) fn default_experiment() -> i64 {
    DEFAULT_EXPERIMENT_ID.parse().unwrap_or(0)
}
