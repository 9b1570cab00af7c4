//! Writing our rows into MLflow's tables.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::super::connection::{Connection, Dialect, Value};
use super::super::failure::Failure;
use super::import_rows::{integers, optional_integers, optional_texts, reals, texts};
use super::record::Record;
use super::source::Schema;
use super::tables::{Kind, Table};

/// What MLflow's columns take at most, where the database insists on it.
pub(super) fn lengths(target: &mut dyn Connection) -> Result<HashMap<(String, String), usize>, Failure> {
    if target.dialect() == Dialect::Sqlite {
        return Ok(HashMap::new());
    }
    let rows = target.all(
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(character_maximum_length AS BIGINT)
         FROM information_schema.columns WHERE table_schema = current_schema() AND character_maximum_length IS NOT NULL",
        &[],
        |row| Ok(((row.string(0)?, row.string(1)?), row.integer(2)?)),
    )?;
    Ok(rows.into_iter().filter_map(|(column, length)| Some((column, usize::try_from(length).ok()?))).collect())
}

pub(super) fn write(target: &mut dyn Connection, schema: &Schema, table: &Table, records: &[Record]) -> Result<(), Failure> {
    match table.name {
        "datasets" => {
            let ids: Vec<String> =
                records.iter().map(|record| dataset_id(record[0].integer(), record[1].text(), record[2].text())).collect();
            let mut columns = plain(table, records);
            columns.push(("dataset_uuid", ids.into()));
            insert(target, "datasets", &columns)
        }
        "runs" => {
            let mut columns = plain(table, records);
            // As MLflow's own server fills what it no longer uses.
            columns.extend([
                ("source_type", "UNKNOWN".into()),
                ("source_name", "".into()),
                ("entry_point_name", "".into()),
                ("source_version", "".into()),
            ]);
            insert(target, "runs", &columns)
        }
        "metrics" | "latest_metrics" => points(target, table, records),
        "inputs" => inputs(target, records),
        "input_tags" => {
            let ids: Vec<String> = records.iter().map(input_id).collect();
            insert(target, "input_tags", &[("input_uuid", ids.into()), ("name", texts(records, 3)), ("value", texts(records, 4))])
        }
        "model_inputs" => model_edges(target, schema, ("RUN_INPUT", "MODEL_INPUT"), records),
        "model_outputs" => model_edges(target, schema, ("RUN_OUTPUT", "MODEL_OUTPUT"), records),
        "experiments" => {
            let update = "ON CONFLICT (experiment_id) DO UPDATE SET name = excluded.name, artifact_location = excluded.artifact_location,
                lifecycle_stage = excluded.lifecycle_stage, creation_time = excluded.creation_time,
                last_update_time = excluded.last_update_time";
            target.insert_rows("experiments", &plain(table, records), update)?;
            Ok(())
        }
        "logged_model_tags" | "logged_model_params" | "logged_model_metrics" => {
            let mut columns = plain(table, records);
            columns.push(("experiment_id", experiments_of_models(target, records)?));
            insert(target, table.name, &columns)
        }
        "registered_models" => {
            let mut columns = plain(table, records);
            columns.retain(|(name, _)| !name.contains(' '));
            insert(target, "registered_models", &columns)
        }
        _ => insert(target, table.requires, &plain(table, records)),
    }
}

fn insert(target: &mut dyn Connection, table: &str, columns: &[(&str, Value)]) -> Result<(), Failure> {
    target.insert_rows(table, columns, "")?;
    Ok(())
}

/// The columns that MLflow has under the names by which they are read.
fn plain<'a>(table: &Table, records: &'a [Record]) -> Vec<(&'static str, Value<'a>)> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(place, column)| {
            let value = match column.kind {
                Kind::Name | Kind::Text | Kind::OneOf(_) | Kind::Location => texts(records, place),
                Kind::OptionalText => optional_texts(records, place),
                Kind::Integer => integers(records, place),
                Kind::OptionalInteger => optional_integers(records, place),
                Kind::Real => reals(records, place),
            };
            (column.mlflow.strip_prefix("t.").unwrap_or(column.mlflow), value)
        })
        .collect()
}

fn points(target: &mut dyn Connection, table: &Table, records: &[Record]) -> Result<(), Failure> {
    if target.dialect() == Dialect::Sqlite {
        return insert(target, table.name, &plain(table, records));
    }
    // PostgreSQL takes no number for a truth value.
    let values =
        [texts(records, 0), texts(records, 1), integers(records, 2), integers(records, 3), reals(records, 4), integers(records, 5)];
    target.execute(
        &format!(
            "INSERT INTO {} (run_uuid, key, timestamp, step, value, is_nan)
             SELECT run, key, timestamp, step, value, is_nan <> 0
             FROM UNNEST(CAST(?1 AS TEXT[]), CAST(?2 AS TEXT[]), CAST(?3 AS BIGINT[]), CAST(?4 AS BIGINT[]),
                         CAST(?5 AS DOUBLE PRECISION[]), CAST(?6 AS BIGINT[])) AS given (run, key, timestamp, step, value, is_nan)",
            table.name
        ),
        &values,
    )?;
    Ok(())
}

/// MLflow draws these ids at random; from what they stand for, the same export gives the same ids.
fn id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn dataset_id(experiment: i64, name: &str, digest: &str) -> String {
    id(&["dataset", &experiment.to_string(), name, digest])
}

/// Of (run, data set, digest).
fn input_id(record: &Record) -> String {
    id(&["input", record[0].text(), record[1].text(), record[2].text()])
}

fn inputs(target: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    let runs = texts(records, 0);
    let experiments: HashMap<String, i64> = target
        .all(
            "SELECT run_uuid, experiment_id FROM runs WHERE run_uuid IN (SELECT value FROM json_each(?1))",
            std::slice::from_ref(&runs),
            |row| Ok((row.string(0)?, row.integer(1)?)),
        )?
        .into_iter()
        .collect();
    let experiment = |record: &Record| experiments.get(record[0].text()).copied().unwrap_or_default();
    let datasets: Vec<String> = records.iter().map(|record| dataset_id(experiment(record), record[1].text(), record[2].text())).collect();
    insert(
        target,
        "inputs",
        &[
            ("input_uuid", records.iter().map(input_id).collect::<Vec<_>>().into()),
            ("source_type", "DATASET".into()),
            ("source_id", datasets.into()),
            ("destination_type", "RUN".into()),
            ("destination_id", runs),
        ],
    )
}

/// What runs read and made of logged models.
fn model_edges(target: &mut dyn Connection, schema: &Schema, (from, to): (&str, &str), records: &[Record]) -> Result<(), Failure> {
    let ids: Vec<String> = records.iter().map(|record| id(&[from, record[0].text(), record[1].text()])).collect();
    let mut columns = vec![
        ("input_uuid", ids.into()),
        ("source_type", from.into()),
        ("source_id", texts(records, 0)),
        ("destination_type", to.into()),
        ("destination_id", texts(records, 1)),
    ];
    if schema.has("inputs", Some("step")) && records.iter().all(|record| record.len() > 2) {
        columns.push(("step", integers(records, 2)));
    }
    insert(target, "inputs", &columns)
}

fn experiments_of_models(target: &mut dyn Connection, records: &[Record]) -> Result<Value<'static>, Failure> {
    let experiments: HashMap<String, i64> = target
        .all(
            "SELECT model_id, experiment_id FROM logged_models WHERE model_id IN (SELECT value FROM json_each(?1))",
            &[texts(records, 0)],
            |row| Ok((row.string(0)?, row.integer(1)?)),
        )?
        .into_iter()
        .collect();
    Ok(records.iter().map(|record| experiments.get(record[0].text()).copied().unwrap_or_default()).collect::<Vec<i64>>().into())
}

/// What MLflow keeps besides: the rows of deleted versions, by which it counts, and PostgreSQL's next number of an experiment.
pub(super) fn after(target: &mut dyn Connection, counts: &[(String, i64)]) -> Result<(), Failure> {
    for (name, version) in counts {
        let columns = [
            ("name", Value::from(name)),
            ("version", (*version).into()),
            ("current_stage", "Deleted_Internal".into()),
            ("source", "REDACTED-SOURCE-PATH".into()),
            ("run_id", "REDACTED-RUN-ID".into()),
            ("run_link", "REDACTED-RUN-LINK".into()),
            ("status", "READY".into()),
        ];
        target.insert_rows("model_versions", &columns, "")?;
    }
    if target.dialect() == Dialect::Postgres {
        let sql = "SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'), GREATEST(max(experiment_id), 1)) FROM experiments";
        target.query(sql, &[], &mut |_| Ok(()))?;
    }
    Ok(())
}

/// What we have and MLflow's database has no place for.
pub(super) fn not_kept(source: &mut dyn Connection, schema: &Schema) -> Result<Vec<(String, u64)>, Failure> {
    let mut left = vec![];
    let mut counted = vec![("NaN among metrics of logged models (MLflow stores 0)", "anmok_logged_model_metrics WHERE is_nan = 1")];
    if !schema.has("logged_models", None) {
        counted = vec![("logged models", "anmok_logged_models"), ("logged models that runs made", "anmok_model_outputs")];
    }
    counted.push(("logged models that versions stand for", "anmok_model_versions WHERE model_id IS NOT NULL"));
    for (what, from) in counted {
        let count = source.first(&format!("SELECT count(*) FROM {from}"), &[], |row| row.integer(0))?;
        if let Some(count) = count.and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0) {
            left.push((what.to_string(), count));
        }
    }
    Ok(left)
}
