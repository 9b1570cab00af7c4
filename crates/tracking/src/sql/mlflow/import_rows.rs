//! Writing rows of MLflow's into our tables.

use std::collections::{HashMap, HashSet};

use super::super::connection::{Connection, DO_NOTHING, Dialect, Value};
use super::super::failure::Failure;
use super::super::write as statements;
use super::record::{Cell, Record};
use super::tables::{Table, default_experiment};

/// Conflicts that are named.
const EXAMPLES: usize = 5;

/// Writes rows of one table; those that are there already stay as they are.
pub(super) fn write(connection: &mut dyn Connection, table: &Table, records: &[Record]) -> Result<(), Failure> {
    match table.name {
        "experiments" => experiments(connection, records),
        "datasets" => insert(
            connection,
            "anmok_datasets",
            &[
                ("experiment", integers(records, 0)),
                ("name", texts(records, 1)),
                ("digest", texts(records, 2)),
                ("source_type", texts(records, 3)),
                ("source", texts(records, 4)),
                ("schema", optional_texts(records, 5)),
                ("profile", optional_texts(records, 6)),
            ],
        ),
        "runs" => insert(
            connection,
            "anmok_runs",
            &[
                ("run_id", texts(records, 0)),
                ("experiment", integers(records, 1)),
                ("run_name", texts(records, 2)),
                ("user_id", texts(records, 3)),
                ("status", texts(records, 4)),
                ("start_time", integers(records, 5)),
                ("end_time", optional_integers(records, 6)),
                ("lifecycle_stage", texts(records, 7)),
                ("deleted_time", optional_integers(records, 8)),
                ("artifact_uri", texts(records, 9)),
            ],
        ),
        "experiment_tags" => keyed(connection, "anmok_experiment_tags", ("experiment", integers(records, 0)), records),
        "params" => {
            let owner = run(connection, records)?;
            keyed(connection, "anmok_params", owner, records)
        }
        "tags" => {
            let owner = run(connection, records)?;
            keyed(connection, "anmok_tags", owner, records)
        }
        "metrics" => points(connection, "anmok_metrics", records, DO_NOTHING),
        "latest_metrics" => latest_points(connection, records),
        "inputs" => each(
            connection,
            records,
            "INSERT INTO anmok_inputs (run, dataset)
             SELECT r.run, d.dataset FROM anmok_runs r JOIN anmok_datasets d ON d.experiment = r.experiment
             WHERE r.run_id = ?1 AND d.name = ?2 AND d.digest = ?3 ON CONFLICT DO NOTHING",
        ),
        "input_tags" => each(
            connection,
            records,
            "INSERT INTO anmok_input_tags (input, key, value)
             SELECT i.input, ?4, ?5 FROM anmok_inputs i JOIN anmok_runs r USING (run) JOIN anmok_datasets d USING (dataset)
             WHERE r.run_id = ?1 AND d.name = ?2 AND d.digest = ?3 ON CONFLICT DO NOTHING",
        ),
        "model_inputs" => {
            let run = run(connection, records)?;
            insert(connection, "anmok_model_inputs", &[run, ("model_id", texts(records, 1))])
        }
        "model_outputs" => {
            let run = run(connection, records)?;
            insert(connection, "anmok_model_outputs", &[run, ("model_id", texts(records, 1)), ("step", integers(records, 2))])
        }
        "logged_models" => logged_models(connection, records),
        "logged_model_tags" => {
            let owner = model(connection, records)?;
            keyed(connection, "anmok_logged_model_tags", owner, records)
        }
        "logged_model_params" => {
            let owner = model(connection, records)?;
            keyed(connection, "anmok_logged_model_params", owner, records)
        }
        "logged_model_metrics" => model_points(connection, records),
        "registered_models" => insert(
            connection,
            "anmok_registered_models",
            &[
                ("name", texts(records, 0)),
                ("description", optional_texts(records, 1)),
                ("creation_time", integers(records, 2)),
                ("last_update_time", integers(records, 3)),
                ("last_version", integers(records, 4)),
            ],
        ),
        "registered_model_tags" => {
            let owner = registered(connection, records)?;
            keyed(connection, "anmok_registered_model_tags", owner, records)
        }
        "registered_model_aliases" => {
            let owner = registered(connection, records)?;
            let columns = [owner, ("alias", texts(records, 1)), ("version", integers(records, 2))];
            insert(connection, "anmok_registered_model_aliases", &columns)
        }
        "model_versions" => model_versions(connection, records),
        "model_version_tags" => version_tags(connection, records),
        other => Err(Failure::other(format!("the table {other} is read and not written"))),
    }
}

fn insert(connection: &mut dyn Connection, table: &str, columns: &[(&str, Value)]) -> Result<(), Failure> {
    connection.insert_rows(table, columns, DO_NOTHING)?;
    Ok(())
}

/// Runs a statement for each row, whose columns are its parameters.
fn each(connection: &mut dyn Connection, records: &[Record], sql: &str) -> Result<(), Failure> {
    for record in records {
        let parameters: Vec<Value> = record.iter().map(value).collect();
        connection.execute(sql, &parameters)?;
    }
    Ok(())
}

fn value(cell: &Cell) -> Value<'_> {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(value) => (*value).into(),
        Cell::Real(value) => (*value).into(),
        Cell::Text(text) => text.into(),
    }
}

pub(super) fn integers(records: &[Record], column: usize) -> Value<'static> {
    records.iter().map(|record| record[column].integer()).collect::<Vec<i64>>().into()
}

pub(super) fn optional_integers(records: &[Record], column: usize) -> Value<'static> {
    let optional = |record: &Record| matches!(record[column], Cell::Integer(_)).then(|| record[column].integer());
    records.iter().map(optional).collect::<Vec<Option<i64>>>().into()
}

pub(super) fn reals(records: &[Record], column: usize) -> Value<'static> {
    records.iter().map(|record| record[column].real()).collect::<Vec<f64>>().into()
}

pub(super) fn texts(records: &[Record], column: usize) -> Value<'_> {
    records.iter().map(|record| record[column].text()).collect::<Vec<&str>>().into()
}

pub(super) fn optional_texts(records: &[Record], column: usize) -> Value<'_> {
    records.iter().map(|record| record[column].optional_text()).collect::<Vec<Option<&str>>>().into()
}

type Column<'a> = (&'static str, Value<'a>);

/// The numbers of the rows' owners, which the first column names.
fn owner(
    connection: &mut dyn Connection,
    records: &[Record],
    column: usize,
    (table, id, number): (&str, &str, &'static str),
) -> Result<Column<'static>, Failure> {
    let ids: Vec<&str> = records.iter().map(|record| record[column].text()).collect();
    let mut asked = ids.clone();
    asked.sort_unstable();
    asked.dedup();
    let numbers: HashMap<String, i64> = connection
        .all(&format!("SELECT {id}, {number} FROM {table} WHERE {id} IN (SELECT value FROM json_each(?1))"), &[asked.into()], |row| {
            Ok((row.string(0)?, row.integer(1)?))
        })?
        .into_iter()
        .collect();
    let numbers: Result<Vec<i64>, Failure> = ids
        .into_iter()
        .map(|id| numbers.get(id).copied().ok_or_else(|| Failure::other(format!("{id} was removed while it was imported"))))
        .collect();
    Ok((number, numbers?.into()))
}

fn run(connection: &mut dyn Connection, records: &[Record]) -> Result<Column<'static>, Failure> {
    owner(connection, records, 0, ("anmok_runs", "run_id", "run"))
}

fn model(connection: &mut dyn Connection, records: &[Record]) -> Result<Column<'static>, Failure> {
    owner(connection, records, 0, ("anmok_logged_models", "model_id", "model"))
}

fn registered(connection: &mut dyn Connection, records: &[Record]) -> Result<Column<'static>, Failure> {
    owner(connection, records, 0, ("anmok_registered_models", "name", "registered_model"))
}

fn keys(connection: &mut dyn Connection, records: &[Record], column: usize) -> Result<Column<'static>, Failure> {
    let names: Vec<&str> = records.iter().map(|record| record[column].text()).collect();
    Ok(("key", connection.keys(&names)?.into()))
}

/// Rows of (owner, key, value).
fn keyed(connection: &mut dyn Connection, table: &str, owner: Column, records: &[Record]) -> Result<(), Failure> {
    let key = keys(connection, records, 1)?;
    insert(connection, table, &[owner, key, ("value", texts(records, 2))])
}

fn points(connection: &mut dyn Connection, table: &str, records: &[Record], conflict: &str) -> Result<(), Failure> {
    let run = run(connection, records)?;
    let key = keys(connection, records, 1)?;
    let (timestamp, step) = (("timestamp", integers(records, 2)), ("step", integers(records, 3)));
    let columns = [run, key, timestamp, step, ("value", reals(records, 4)), ("is_nan", integers(records, 5))];
    connection.insert_rows(table, &columns, conflict)?;
    Ok(())
}

/// The latest points; of a run that went on since an earlier import, later ones than are here.
fn latest_points(connection: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    // A row can be updated only once in a statement, and two keys that are not UTF-8 can become the same.
    let mut seen = HashSet::new();
    let first: Vec<Record> = records.iter().filter(|record| seen.insert((record[0].text(), record[1].text()))).cloned().collect();
    points(connection, "anmok_latest_metrics", &first, statements::LATER_POINT)
}

fn model_points(connection: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    let model = model(connection, records)?;
    let run = owner(connection, records, 1, ("anmok_runs", "run_id", "run"))?;
    let key = keys(connection, records, 2)?;
    insert(
        connection,
        "anmok_logged_model_metrics",
        &[
            model,
            run,
            key,
            ("timestamp", integers(records, 3)),
            ("step", integers(records, 4)),
            ("value", reals(records, 5)),
            ("dataset_name", optional_texts(records, 6)),
            ("dataset_digest", optional_texts(records, 7)),
            // MLflow does not tell NaN from 0 here.
            ("is_nan", 0.into()),
        ],
    )
}

fn logged_models(connection: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    let status = |record: &Record| match record[6].integer() {
        1 => "LOGGED_MODEL_PENDING",
        2 => "LOGGED_MODEL_READY",
        3 => "LOGGED_MODEL_UPLOAD_FAILED",
        _ => "LOGGED_MODEL_STATUS_UNSPECIFIED",
    };
    insert(
        connection,
        "anmok_logged_models",
        &[
            ("model_id", texts(records, 0)),
            ("experiment", integers(records, 1)),
            ("name", texts(records, 2)),
            ("artifact_uri", texts(records, 3)),
            ("creation_time", integers(records, 4)),
            ("last_update_time", integers(records, 5)),
            ("status", records.iter().map(status).collect::<Vec<_>>().into()),
            ("lifecycle_stage", texts(records, 7)),
            ("model_type", optional_texts(records, 8)),
            ("source_run_id", optional_texts(records, 9)),
        ],
    )
}

fn model_versions(connection: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    let registered = registered(connection, records)?;
    insert(
        connection,
        "anmok_model_versions",
        &[
            registered,
            ("version", integers(records, 1)),
            ("creation_time", integers(records, 2)),
            ("last_update_time", integers(records, 3)),
            ("description", optional_texts(records, 4)),
            ("stage", texts(records, 5)),
            ("source", texts(records, 6)),
            ("run_id", optional_texts(records, 7)),
            ("status", texts(records, 8)),
            ("run_link", optional_texts(records, 9)),
            ("storage_location", optional_texts(records, 10)),
        ],
    )
}

fn version_tags(connection: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    let names: Vec<&str> = records.iter().map(|record| record[2].text()).collect();
    let keys = connection.keys(&names)?;
    for (record, key) in records.iter().zip(keys) {
        connection.execute(
            "INSERT INTO anmok_model_version_tags (model_version, key, value)
             SELECT v.model_version, ?3, ?4 FROM anmok_model_versions v JOIN anmok_registered_models m USING (registered_model)
             WHERE m.name = ?1 AND v.version = ?2 ON CONFLICT DO NOTHING",
            &[value(&record[0]), value(&record[1]), key.into(), value(&record[3])],
        )?;
    }
    Ok(())
}

/// Experiments; that which every new database has becomes the source's.
fn experiments(connection: &mut dyn Connection, records: &[Record]) -> Result<(), Failure> {
    for record in records.iter().filter(|record| record[0].integer() == default_experiment()) {
        let parameters: Vec<Value> = record.iter().map(value).collect();
        connection.execute(
            "UPDATE anmok_experiments
             SET name = ?2, artifact_location = ?3, lifecycle_stage = ?4, creation_time = ?5, last_update_time = ?6 WHERE experiment = ?1",
            &parameters,
        )?;
    }
    insert(
        connection,
        "anmok_experiments",
        &[
            ("experiment", integers(records, 0)),
            ("name", texts(records, 1)),
            ("artifact_location", texts(records, 2)),
            ("lifecycle_stage", texts(records, 3)),
            ("creation_time", integers(records, 4)),
            ("last_update_time", integers(records, 5)),
        ],
    )
}

/// New experiments go on after the imported ones: SQLite sees to that by itself.
pub(super) fn after(connection: &mut dyn Connection) -> Result<(), Failure> {
    if connection.dialect() == Dialect::Postgres {
        connection.query(
            "SELECT setval(pg_get_serial_sequence('anmok.experiments', 'experiment'), GREATEST(max(experiment), 1)) FROM anmok_experiments",
            &[],
            &mut |_| Ok(()),
        )?;
    }
    Ok(())
}

/// What is here under an id or name of the source's and is something else: experiments and registered models are the same if
/// they were made at the same time.
pub(super) fn conflicts(connection: &mut dyn Connection, experiments: &[Record], models: &[Record]) -> Result<Vec<String>, Failure> {
    let mut conflicts = vec![];
    let ids: HashMap<i64, &Record> = experiments.iter().map(|record| (record[0].integer(), record)).collect();
    let names: HashMap<&str, &Record> = experiments.iter().map(|record| (record[1].text(), record)).collect();
    connection.query(
        "SELECT e.experiment, e.name, e.creation_time,
                CASE WHEN EXISTS (SELECT 1 FROM anmok_runs r WHERE r.experiment = e.experiment)
                       OR EXISTS (SELECT 1 FROM anmok_logged_models l WHERE l.experiment = e.experiment)
                       OR EXISTS (SELECT 1 FROM anmok_experiment_tags t WHERE t.experiment = e.experiment) THEN 1 ELSE 0 END
         FROM anmok_experiments e",
        &[],
        &mut |row| {
            let (id, name, made, is_used) = (row.integer(0)?, row.string(1)?, row.integer(2)?, row.truth(3)?);
            let is_new_default = id == default_experiment() && !is_used;
            let same_name = names.get(name.as_str()).filter(|other| other[0].integer() != id);
            let other = ids.get(&id).filter(|other| !is_new_default && (other[1].text() != name || other[4].integer() != made));
            if let Some(other) = same_name.or(other) {
                let (other_id, other_name) = (other[0].integer(), other[1].text());
                conflicts.push(format!("experiment {id} {name:?} (there: experiment {other_id} {other_name:?})"));
            }
            Ok(())
        },
    )?;
    let models: HashMap<&str, i64> = models.iter().map(|record| (record[0].text(), record[2].integer())).collect();
    connection.query("SELECT name, creation_time FROM anmok_registered_models", &[], &mut |row| {
        if models.get(row.text(0)?).is_some_and(|made| row.integer(1).ok() != Some(*made)) {
            conflicts.push(format!("registered model {:?}", row.text(0)?));
        }
        Ok(())
    })?;
    if conflicts.len() > EXAMPLES {
        let more = conflicts.len() - EXAMPLES;
        conflicts.truncate(EXAMPLES);
        conflicts.push(format!("and {more} more"));
    }
    Ok(conflicts)
}
