//! Copying our database into one that MLflow has made.

use std::collections::{HashMap, HashSet};

use super::super::connection::Connection;
use super::super::failure::Failure;
use super::super::store::{Database, SqlStore};
use super::ours::{self, Owners};
use super::record::{Cell, Problems, Reading, Record, shown};
use super::source::{Foreign, Schema};
use super::tables::{Kind, Table};
use super::tally::Tally;
use super::{ROWS_AT_ONCE, RUNS_AT_ONCE, export_rows};
use crate::error::TrackingError;
use crate::maintenance::{Copied, CopyProgress};
use crate::uri::StoreOptions;

/// Values that are too long which are named.
const EXAMPLES: usize = 10;

/// Copies everything, or nothing.
pub(in super::super) fn export<D: Database>(
    store: &SqlStore<D>,
    target: &str,
    report: &mut dyn FnMut(&CopyProgress),
) -> Result<Copied, TrackingError> {
    let mut foreign = Foreign::open(target, true, &StoreOptions::default())?;
    let name = foreign.name();
    let folder = foreign.folder();
    foreign.transaction("writing MLflow's database", true, |target| {
        let schema = Schema::of(target, &name)?;
        require_empty(target, &schema, &name)?;
        let lengths = export_rows::lengths(target)?;
        store
            .database
            .read("exporting", |source| {
                let mut export = Export {
                    store,
                    name: &name,
                    target,
                    schema: &schema,
                    lengths: &lengths,
                    too_long: vec![],
                    model_points: HashSet::new(),
                    problems: Problems::default(),
                    tally: Tally::default(),
                    owners: Owners::default(),
                    progress: CopyProgress { runs: 0, all_runs: 0, rows: 0 },
                    report,
                };
                let runs = export.all(source)?;
                let found = mlflow_tally(export.target, &schema, &runs, &Reading { folder: folder.clone(), ..Reading::default() })?;
                let differences = export.tally.differences(&found);
                if !differences.is_empty() {
                    let detail = format!("the copy is not the same as what was read, and was undone: {}", differences.join("; "));
                    return Err(Failure::other(detail));
                }
                Ok(Copied {
                    database: name.clone(),
                    revision: schema.revision.clone(),
                    rows: export.tally.counts(),
                    not_copied: export_rows::not_kept(source, &schema)?,
                    problems: export.problems.list(),
                    differences,
                })
            })
            .map_err(Failure::from)
    })
}

struct Export<'a, 'c, D> {
    store: &'a SqlStore<D>,
    /// MLflow's database.
    name: &'a str,
    target: &'a mut (dyn Connection + 'c),
    schema: &'a Schema,
    /// Characters that a column takes at most, by table and column; PostgreSQL insists on them.
    lengths: &'a HashMap<(String, String), usize>,
    too_long: Vec<String>,
    /// Logged models' metrics that are written, without their values.
    model_points: HashSet<Vec<String>>,
    problems: Problems,
    tally: Tally,
    owners: Owners,
    progress: CopyProgress,
    report: &'a mut dyn FnMut(&CopyProgress),
}

impl<D: Database> Export<'_, '_, D> {
    /// Gives the ids of the runs.
    fn all(&mut self, source: &mut dyn Connection) -> Result<Vec<String>, Failure> {
        let runs = source.all("SELECT run_id FROM anmok_runs ORDER BY run_id", &[], |row| row.string(0))?;
        self.progress.all_runs = runs.len() as u64;
        let tables: Vec<&'static Table> = self.schema.tables().collect();
        let first = tables.iter().position(|table| table.run.is_some()).unwrap_or(tables.len());
        let last = tables.iter().rposition(|table| table.run.is_some()).map_or(first, |place| place + 1);
        for table in &tables[..first] {
            self.copy(source, table, &[])?;
        }
        for batch in runs.chunks(RUNS_AT_ONCE) {
            for table in &tables[first..last] {
                self.copy(source, table, batch)?;
            }
            self.progress.runs += batch.len() as u64;
            (self.report)(&self.progress);
        }
        for table in &tables[last..] {
            self.copy(source, table, &[])?;
        }
        if !self.too_long.is_empty() {
            let what = format!("MLflow's database cannot hold these values, which are too long for it: {}", self.too_long.join("; "));
            return Err(TrackingError::Export { what }.into());
        }
        let counts = source.all(
            "SELECT name, last_version FROM anmok_registered_models m WHERE last_version > 0 AND NOT EXISTS
                (SELECT 1 FROM anmok_model_versions v WHERE v.registered_model = m.registered_model AND v.version = m.last_version)",
            &[],
            |row| Ok((row.string(0)?, row.integer(1)?)),
        )?;
        export_rows::after(self.target, &counts)?;
        Ok(runs)
    }

    fn copy(&mut self, source: &mut dyn Connection, table: &'static Table, runs: &[String]) -> Result<(), Failure> {
        let mut chunk: Vec<Record> = vec![];
        let locations = self.store.locations.clone();
        ours::each(source, table, runs, &locations, &mut |record| {
            if let Err(why) = self.owners.accept(table, record) {
                self.problems.add(format!("{} {why}", table.name), true, || shown(table, record));
                return Ok(());
            }
            if table.name == "logged_model_metrics" && !self.model_points.insert(record[..5].iter().map(Cell::shown).collect()) {
                let what = "logged_model_metrics has a second value at one time and step, for which MLflow has no place: it was left out";
                self.problems.add(what.into(), true, || shown(table, record));
                return Ok(());
            }
            self.measure(table, record);
            self.tally.add(table, record);
            self.progress.rows += 1;
            chunk.push(std::mem::take(record));
            if chunk.len() >= ROWS_AT_ONCE {
                self.write(table, &std::mem::take(&mut chunk))?;
                (self.report)(&self.progress);
            }
            Ok(())
        })?;
        self.write(table, &chunk)
    }

    fn write(&mut self, table: &Table, chunk: &[Record]) -> Result<(), Failure> {
        // With a value that is too long nothing will be kept, and the database would name no row.
        if chunk.is_empty() || !self.too_long.is_empty() {
            return Ok(());
        }
        export_rows::write(self.target, self.schema, table, chunk).map_err(|failure| match failure.trouble() {
            Ok((_, detail)) => {
                let doing = format!("writing the table {}", table.name);
                TrackingError::Database { doing, path: self.name.into(), detail }.into()
            }
            Err(refused) => refused.into(),
        })
    }

    /// Remembers values that are too long for their columns.
    fn measure(&mut self, table: &Table, record: &Record) {
        for (column, cell) in table.columns.iter().zip(record) {
            let (alias, name) = column.mlflow.split_once('.').unwrap_or(("", column.mlflow));
            let table_of_column = if alias == "t" { table.requires } else { table.name };
            let Some(length) = self.lengths.get(&(table_of_column.to_string(), name.to_string())) else { continue };
            if self.too_long.len() < EXAMPLES && column.kind != Kind::Integer && cell.text().chars().count() > *length {
                self.too_long.push(format!("{} of {} ({}; at most {length} characters)", column.name, table.name, shown(table, record)));
            }
        }
    }
}

fn require_empty(target: &mut dyn Connection, schema: &Schema, name: &str) -> Result<(), Failure> {
    let mut counts = vec![];
    for (what, from) in [
        ("experiments", "experiments WHERE experiment_id <> 0"),
        ("runs", "runs"),
        ("logged models", "logged_models"),
        ("registered models", "registered_models"),
    ] {
        let table = from.split(' ').next().unwrap_or(from);
        if schema.has(table, None) {
            let count = target.first(&format!("SELECT count(*) FROM {from}"), &[], |row| row.integer(0))?.unwrap_or(0);
            if count > 0 {
                counts.push(format!("{count} {what}"));
            }
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    Err(TrackingError::CopyConflict { database: name.into(), what: counts.join(", ") }.into())
}

/// Reads the copy as an import would.
fn mlflow_tally(target: &mut dyn Connection, schema: &Schema, runs: &[String], reading: &Reading) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for table in schema.tables() {
        let sql = table.of_mlflow(schema.has_workspaces());
        let batches: Vec<&[String]> = if table.run.is_some() { runs.chunks(RUNS_AT_ONCE).collect() } else { vec![&[]] };
        for batch in batches {
            let parameters: Vec<_> = table.run.iter().map(|_| batch.to_vec().into()).collect();
            target.query(&sql, &parameters, &mut |row| {
                if let Some(record) = reading.record(row, table, &mut Problems::default())? {
                    tally.add(table, &record);
                }
                Ok(())
            })?;
        }
    }
    Ok(tally)
}
