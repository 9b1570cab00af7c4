//! What MLflow's database and ours have in common of logged models and the registry.

use super::tables::Kind::{Integer, Location, Name, OneOf, OptionalText, Real, Text};
use super::tables::{Column, Owner, STAGES, Table, column};

const MODEL_VALUE: &[Column] = &[
    column("model_id", Name, "t.model_id", "l.model_id"),
    column("key", Name, "t.tag_key", "k.name"),
    column("value", Text, "t.tag_value", "t.value"),
];

/// In an order in which what is named is there before.
pub(super) const OF_MODELS: &[Table] = &[
    Table {
        name: "logged_models",
        owner: Owner::LoggedModel,
        columns: &[
            column("model_id", Name, "t.model_id", "t.model_id"),
            column("experiment_id", Integer, "t.experiment_id", "t.experiment"),
            column("name", Text, "t.name", "t.name"),
            column("artifact_location", Location, "t.artifact_location", "t.artifact_uri"),
            column("creation_timestamp_ms", Integer, "t.creation_timestamp_ms", "t.creation_time"),
            column("last_updated_timestamp_ms", Integer, "t.last_updated_timestamp_ms", "t.last_update_time"),
            column(
                "status",
                Integer,
                "t.status",
                "CASE t.status WHEN 'LOGGED_MODEL_PENDING' THEN 1 WHEN 'LOGGED_MODEL_READY' THEN 2
                    WHEN 'LOGGED_MODEL_UPLOAD_FAILED' THEN 3 ELSE 0 END",
            ),
            column("lifecycle_stage", STAGES, "t.lifecycle_stage", "t.lifecycle_stage"),
            column("model_type", OptionalText, "t.model_type", "t.model_type"),
            column("source_run_id", OptionalText, "t.source_run_id", "t.source_run_id"),
        ],
        mlflow: "logged_models t",
        ours: "anmok_logged_models t",
        requires: "logged_models",
        run: None,
    },
    Table {
        name: "logged_model_tags",
        owner: Owner::LoggedModel,
        columns: MODEL_VALUE,
        mlflow: "logged_model_tags t",
        ours: "anmok_logged_model_tags t JOIN anmok_logged_models l USING (model) JOIN anmok_keys k USING (key)",
        requires: "logged_model_tags",
        run: None,
    },
    Table {
        name: "logged_model_params",
        owner: Owner::LoggedModel,
        columns: &[
            column("model_id", Name, "t.model_id", "l.model_id"),
            column("key", Name, "t.param_key", "k.name"),
            column("value", Text, "t.param_value", "t.value"),
        ],
        mlflow: "logged_model_params t",
        ours: "anmok_logged_model_params t JOIN anmok_logged_models l USING (model) JOIN anmok_keys k USING (key)",
        requires: "logged_model_params",
        run: None,
    },
    Table {
        name: "logged_model_metrics",
        owner: Owner::LoggedModel,
        columns: &[
            column("model_id", Name, "t.model_id", "l.model_id"),
            column("run_id", Name, "t.run_id", "r.run_id"),
            column("key", Name, "t.metric_name", "k.name"),
            column("timestamp", Integer, "t.metric_timestamp_ms", "t.timestamp"),
            column("step", Integer, "t.metric_step", "t.step"),
            column("value", Real, "t.metric_value", "t.value"),
            column("dataset_name", OptionalText, "t.dataset_name", "t.dataset_name"),
            column("dataset_digest", OptionalText, "t.dataset_digest", "t.dataset_digest"),
        ],
        mlflow: "logged_model_metrics t",
        ours: "anmok_logged_model_metrics t JOIN anmok_logged_models l USING (model) JOIN anmok_runs r USING (run)
               JOIN anmok_keys k USING (key)",
        requires: "logged_model_metrics",
        run: None,
    },
    Table {
        name: "registered_models",
        owner: Owner::RegisteredModel,
        columns: &[
            column("name", Name, "t.name", "t.name"),
            column("description", OptionalText, "t.description", "t.description"),
            column("creation_time", Integer, "t.creation_time", "t.creation_time"),
            column("last_updated_time", Integer, "t.last_updated_time", "t.last_update_time"),
            // MLflow counts versions that were deleted by keeping their rows.
            column(
                "last_version",
                Integer,
                "COALESCE((SELECT max(v.version) FROM model_versions v WHERE v.name = t.name), 0)",
                "t.last_version",
            ),
        ],
        mlflow: "registered_models t WHERE {default}",
        ours: "anmok_registered_models t",
        requires: "registered_models",
        run: None,
    },
    Table {
        name: "registered_model_tags",
        owner: Owner::RegisteredModel,
        columns: &[
            column("name", Name, "t.name", "m.name"),
            column("key", Name, "t.key", "k.name"),
            column("value", Text, "t.value", "t.value"),
        ],
        mlflow: "registered_model_tags t WHERE {default}",
        ours: "anmok_registered_model_tags t JOIN anmok_registered_models m USING (registered_model) JOIN anmok_keys k USING (key)",
        requires: "registered_model_tags",
        run: None,
    },
    Table {
        name: "registered_model_aliases",
        owner: Owner::RegisteredModel,
        columns: &[
            column("name", Name, "t.name", "m.name"),
            column("alias", Name, "t.alias", "t.alias"),
            column("version", Integer, "t.version", "t.version"),
        ],
        mlflow: "registered_model_aliases t WHERE {default}",
        ours: "anmok_registered_model_aliases t JOIN anmok_registered_models m USING (registered_model)",
        requires: "registered_model_aliases",
        run: None,
    },
    Table {
        name: "model_versions",
        owner: Owner::RegisteredModel,
        columns: &[
            column("name", Name, "t.name", "m.name"),
            column("version", Integer, "t.version", "t.version"),
            column("creation_time", Integer, "t.creation_time", "t.creation_time"),
            column("last_updated_time", Integer, "t.last_updated_time", "t.last_update_time"),
            column("description", OptionalText, "t.description", "t.description"),
            column("current_stage", OneOf(&["None", "Staging", "Production", "Archived"]), "t.current_stage", "t.stage"),
            column("source", Text, "t.source", "t.source"),
            column("run_id", OptionalText, "t.run_id", "t.run_id"),
            column("status", OneOf(&["READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"]), "t.status", "t.status"),
            column("run_link", OptionalText, "t.run_link", "t.run_link"),
            column("storage_location", OptionalText, "t.storage_location", "t.storage_location"),
        ],
        mlflow: "model_versions t WHERE {default} AND COALESCE(t.current_stage, '') <> 'Deleted_Internal'",
        ours: "anmok_model_versions t JOIN anmok_registered_models m USING (registered_model)",
        requires: "model_versions",
        run: None,
    },
    Table {
        name: "model_version_tags",
        owner: Owner::RegisteredModel,
        columns: &[
            column("name", Name, "t.name", "m.name"),
            column("version", Integer, "t.version", "v.version"),
            column("key", Name, "t.key", "k.name"),
            column("value", Text, "t.value", "t.value"),
        ],
        // The tags of deleted versions stay in MLflow's database.
        mlflow: "model_version_tags t WHERE {default} AND EXISTS
                 (SELECT 1 FROM model_versions v
                  WHERE v.name = t.name AND v.version = t.version AND COALESCE(v.current_stage, '') <> 'Deleted_Internal')",
        ours: "anmok_model_version_tags t JOIN anmok_model_versions v USING (model_version)
               JOIN anmok_registered_models m USING (registered_model) JOIN anmok_keys k USING (key)",
        requires: "model_version_tags",
        run: None,
    },
];
