//! Looking for damage: what no statement of ours leaves behind, but a failing disk or another program's hand can.

use anmok_protocol::{LifecycleStage, LoggedModelStatus, RunStatus};

use super::connection::{Connection, Dialect, Row};
use super::failure::Failure;
use crate::maintenance::Check;

/// Examples that a check names.
const EXAMPLES: usize = 5;

/// Rows and what they belong to: a table, its column, and the table whose number that is (with its column).
const OWNERS: &[(&str, &str, &str, &str)] = &[
    ("experiment_tags", "experiment", "experiments", "experiment"),
    ("runs", "experiment", "experiments", "experiment"),
    ("latest_metrics", "run", "runs", "run"),
    ("params", "run", "runs", "run"),
    ("tags", "run", "runs", "run"),
    ("datasets", "experiment", "experiments", "experiment"),
    ("inputs", "run", "runs", "run"),
    ("inputs", "dataset", "datasets", "dataset"),
    ("input_tags", "input", "inputs", "input"),
    ("model_inputs", "run", "runs", "run"),
    ("model_outputs", "run", "runs", "run"),
    ("logged_models", "experiment", "experiments", "experiment"),
    ("logged_model_tags", "model", "logged_models", "model"),
    ("logged_model_params", "model", "logged_models", "model"),
    ("logged_model_metrics", "model", "logged_models", "model"),
    ("logged_model_metrics", "run", "runs", "run"),
    ("registered_model_tags", "registered_model", "registered_models", "registered_model"),
    ("registered_model_aliases", "registered_model", "registered_models", "registered_model"),
    ("model_versions", "registered_model", "registered_models", "registered_model"),
    ("model_version_tags", "model_version", "model_versions", "model_version"),
    ("account_grants", "account", "accounts", "account"),
    ("account_tokens", "account", "accounts", "account"),
    ("webhook_events", "webhook", "webhooks", "webhook"),
    ("experiment_tags", "key", "keys", "key"),
    ("latest_metrics", "key", "keys", "key"),
    ("params", "key", "keys", "key"),
    ("tags", "key", "keys", "key"),
    ("logged_model_tags", "key", "keys", "key"),
    ("logged_model_params", "key", "keys", "key"),
    ("logged_model_metrics", "key", "keys", "key"),
    ("registered_model_tags", "key", "keys", "key"),
    ("model_version_tags", "key", "keys", "key"),
];

pub(super) fn all(connection: &mut dyn Connection) -> Result<Vec<Check>, Failure> {
    let mut checks = vec![];
    if connection.dialect() == Dialect::Sqlite {
        checks.push(integrity(connection)?);
    }
    checks.push(owners(connection)?);
    checks.push(latest_metrics(connection)?);
    checks.push(known_values(connection)?);
    checks.push(registry(connection)?);
    Ok(checks)
}

impl Check {
    fn new(name: &'static str) -> Self {
        Self { name, problems: 0, examples: vec![] }
    }

    /// Counts one, and remembers it if it is one of the first.
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.problems += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }

    /// Counts the rows of a query.
    fn rows(
        &mut self,
        connection: &mut dyn Connection,
        sql: &str,
        say: impl Fn(&dyn Row) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        connection.query(sql, &[], &mut |row| {
            let said = say(row)?;
            self.add(|| said);
            Ok(())
        })
    }
}

fn integrity(connection: &mut dyn Connection) -> Result<Check, Failure> {
    let mut check = Check::new("the file's pages and indexes");
    connection.query("PRAGMA integrity_check", &[], &mut |row| {
        let said = row.string(0)?;
        if said != "ok" {
            check.add(|| said);
        }
        Ok(())
    })?;
    Ok(check)
}

fn owners(connection: &mut dyn Connection) -> Result<Check, Failure> {
    let mut check = Check::new("rows belong to something that is there");
    for (table, column, owner, key) in OWNERS {
        let sql = format!(
            "SELECT DISTINCT {column} FROM anmok_{table} t
             WHERE NOT EXISTS (SELECT 1 FROM anmok_{owner} o WHERE o.{key} = t.{column}) ORDER BY {column}"
        );
        check.rows(connection, &sql, |row| Ok(format!("{table}: {column} {} is not in {owner}", row.integer(0)?)))?;
    }
    Ok(check)
}

fn latest_metrics(connection: &mut dyn Connection) -> Result<Check, Failure> {
    let mut check = Check::new("each metric's latest point is the latest of its history");
    for (sql, words) in [
        (
            // Each metric once: its history is read in the order in which it is stored.
            "SELECT run, key FROM anmok_latest_metrics l
             WHERE EXISTS (SELECT 1 FROM anmok_metrics m
                           WHERE m.run = l.run AND m.key = l.key AND (m.step, m.timestamp, m.value) > (l.step, l.timestamp, l.value))",
            "has a later point in its history",
        ),
        (
            "SELECT run, key FROM anmok_latest_metrics l
             WHERE NOT EXISTS (SELECT 1 FROM anmok_metrics m
                               WHERE m.run = l.run AND m.key = l.key AND m.timestamp = l.timestamp AND m.step = l.step
                                 AND m.value = l.value AND m.is_nan = l.is_nan)",
            "has a latest point that is not in its history",
        ),
        ("SELECT run, key FROM anmok_metrics EXCEPT SELECT run, key FROM anmok_latest_metrics", "has a history but no latest point"),
    ] {
        let named = format!(
            "SELECT COALESCE(r.run_id, 'of number ' || CAST(x.run AS TEXT)), COALESCE(k.name, 'of number ' || CAST(x.key AS TEXT))
             FROM ({sql}) x LEFT JOIN anmok_runs r ON r.run = x.run LEFT JOIN anmok_keys k ON k.key = x.key ORDER BY 1, 2"
        );
        check.rows(connection, &named, |row| Ok(format!("metric {} of run {} {words}", row.text(1)?, row.text(0)?)))?;
    }
    Ok(check)
}

fn known_values(connection: &mut dyn Connection) -> Result<Check, Failure> {
    let mut check = Check::new("states are known ones");
    let list = |names: &[&str]| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let stages = list(&[LifecycleStage::Active.name(), LifecycleStage::Deleted.name()]);
    let run = [RunStatus::Running, RunStatus::Scheduled, RunStatus::Finished, RunStatus::Failed, RunStatus::Killed];
    let statuses = list(&run.map(RunStatus::name));
    let model = [LoggedModelStatus::Unspecified, LoggedModelStatus::Pending, LoggedModelStatus::Ready, LoggedModelStatus::UploadFailed];
    let model_statuses = list(&model.map(LoggedModelStatus::name));
    for (noun, id, table, column, known) in [
        ("experiment", "CAST(experiment AS TEXT)", "experiments", "lifecycle_stage", &stages),
        ("run", "run_id", "runs", "lifecycle_stage", &stages),
        ("run", "run_id", "runs", "status", &statuses),
        ("logged model", "model_id", "logged_models", "lifecycle_stage", &stages),
        ("logged model", "model_id", "logged_models", "status", &model_statuses),
    ] {
        let sql = format!("SELECT {id}, {column} FROM anmok_{table} WHERE {column} NOT IN ({known}) ORDER BY 1");
        check.rows(connection, &sql, |row| Ok(format!("{noun} {} has the {column} {:?}", row.text(0)?, row.text(1)?)))?;
    }
    Ok(check)
}

fn registry(connection: &mut dyn Connection) -> Result<Check, Failure> {
    let mut check = Check::new("aliases and counters of registered models fit their versions");
    check.rows(
        connection,
        "SELECT m.name, a.alias, a.version FROM anmok_registered_model_aliases a JOIN anmok_registered_models m USING (registered_model)
         WHERE NOT EXISTS (SELECT 1 FROM anmok_model_versions v WHERE v.registered_model = a.registered_model AND v.version = a.version)
         ORDER BY 1, 2",
        |row| {
            Ok(format!("alias {} of registered model {} names version {}, which is not there", row.text(1)?, row.text(0)?, row.integer(2)?))
        },
    )?;
    check.rows(
        connection,
        "SELECT m.name, m.last_version, max(v.version) FROM anmok_registered_models m JOIN anmok_model_versions v USING (registered_model)
         GROUP BY m.registered_model, m.name, m.last_version HAVING max(v.version) > m.last_version ORDER BY 1",
        |row| {
            let (name, counter, largest) = (row.text(0)?, row.integer(1)?, row.integer(2)?);
            Ok(format!("registered model {name} counts {counter} versions but has a version {largest}"))
        },
    )?;
    Ok(check)
}
