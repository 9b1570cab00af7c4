//! Copying MLflow's database into ours.

use std::collections::{HashMap, HashSet};

use super::super::connection::{Connection, Dialect, Value};
use super::super::failure::Failure;
use super::super::store::{Database, SqlStore};
use super::ours::{self, Owners};
use super::record::{Cell, Problems, Reading, Record, shown};
use super::source::{Foreign, Schema};
use super::tables::{EXPERIMENTS, RUNS, Table};
use super::tally::Tally;
use super::{ROWS_AT_ONCE, RUNS_AT_ONCE, import_rows};
use crate::error::TrackingError;
use crate::maintenance::{Copied, CopyProgress};
use crate::uri::StoreOptions;

/// Copies all of a database of MLflow's.
pub(in super::super) fn import<D: Database>(
    store: &SqlStore<D>,
    source: &str,
    report: &mut dyn FnMut(&CopyProgress),
) -> Result<Copied, TrackingError> {
    let mut foreign = Foreign::open(source, false, &StoreOptions::default())?;
    let dialect = store.database.read("opening the tracking database", |connection| Ok(connection.dialect()))?;
    let reading = Reading { no_nul: dialect == Dialect::Postgres, folder: foreign.folder(), as_they_are: false };
    let name = foreign.name();
    foreign.transaction("reading MLflow's database", false, |connection| {
        let schema = Schema::of(connection, &name)?;
        let progress = CopyProgress { runs: 0, all_runs: 0, rows: 0 };
        let import = Import {
            store,
            schema,
            reading,
            problems: Problems::default(),
            tally: Tally::default(),
            owners: Owners::default(),
            complete: HashSet::new(),
            progress,
            report,
        };
        import.all(connection, &name)
    })
}

struct Import<'a, D> {
    store: &'a SqlStore<D>,
    schema: Schema,
    reading: Reading,
    problems: Problems,
    /// What the source has.
    tally: Tally,
    owners: Owners,
    /// Runs whose points are here already, all of them.
    complete: HashSet<String>,
    progress: CopyProgress,
    report: &'a mut dyn FnMut(&CopyProgress),
}

impl<D: Database> Import<'_, D> {
    fn all(mut self, source: &mut dyn Connection, name: &str) -> Result<Copied, Failure> {
        let experiments = self.records(source, &EXPERIMENTS)?;
        let models = match self.schema.tables().find(|table| table.name == "registered_models") {
            Some(table) => self.records(source, table)?,
            None => vec![],
        };
        self.require_no_conflict(&experiments, &models, name)?;
        let tables: Vec<&'static Table> = self.schema.tables().collect();
        let runs = self.run_ids(source)?;
        self.progress.all_runs = runs.len() as u64;
        let (of_runs, others): (Vec<&Table>, Vec<&Table>) = tables.iter().partition(|table| table.run.is_some());
        let (before, after): (Vec<&Table>, Vec<&Table>) = others.into_iter().partition(|table| is_before_runs(table));
        for table in before {
            self.copy(source, table, &[])?;
        }
        for batch in runs.chunks(RUNS_AT_ONCE) {
            self.note_complete(source, batch)?;
            for table in &of_runs {
                self.copy(source, table, batch)?;
            }
            self.progress.runs += batch.len() as u64;
            (self.report)(&self.progress);
        }
        for table in after {
            self.copy(source, table, &[])?;
        }
        self.store.database.write("importing", |connection| import_rows::after(connection))?;
        let not_copied = self.schema.not_kept(source)?;
        let found = self
            .store
            .database
            .read("verifying the import", |connection| ours::tally(connection, &tables, &runs, &self.owners, &self.store.locations))?;
        Ok(Copied {
            database: name.into(),
            revision: self.schema.revision,
            rows: self.tally.counts(),
            problems: self.problems.list(),
            not_copied,
            differences: self.tally.differences(&found),
        })
    }

    /// All rows of a small table; what is odd in them is told when they are copied.
    fn records(&self, source: &mut dyn Connection, table: &Table) -> Result<Vec<Record>, Failure> {
        let mut records = vec![];
        source.query(&table.of_mlflow(self.schema.has_workspaces()), &[], &mut |row| {
            records.extend(self.reading.record(row, table, &mut Problems::default())?);
            Ok(())
        })?;
        Ok(records)
    }

    fn run_ids(&mut self, source: &mut dyn Connection) -> Result<Vec<String>, Failure> {
        let mut ids = vec![];
        source.query("SELECT run_uuid FROM runs ORDER BY run_uuid", &[], &mut |row| {
            match row.lossy_text(0)? {
                Some((id, false)) if !self.reading.no_nul || !id.contains('\0') => ids.push(id),
                odd => self
                    .problems
                    .add("runs.run_id is not UTF-8: the run was left out".into(), true, || odd.map(|(id, _)| id).unwrap_or_default()),
            }
            Ok(())
        })?;
        Ok(ids)
    }

    /// Copies a table, of these runs if it has runs.
    fn copy(&mut self, source: &mut dyn Connection, table: &'static Table, runs: &[String]) -> Result<(), Failure> {
        let sql = table.of_mlflow(self.schema.has_workspaces());
        let parameters: Vec<Value> = table.run.iter().map(|_| Value::from(runs.to_vec())).collect();
        let mut chunk = vec![];
        source.query(&sql, &parameters, &mut |row| {
            let Some(mut record) = self.reading.record(row, table, &mut self.problems)? else { return Ok(()) };
            if let Err(why) = self.owners.accept(table, &record) {
                self.problems.add(format!("{} {why}", table.name), true, || shown(table, &record));
                return Ok(());
            }
            self.with_location(table, &mut record);
            self.tally.add(table, &record);
            self.progress.rows += 1;
            if table.name != "metrics" || !self.complete.contains(record[0].text()) {
                chunk.push(record);
            }
            if chunk.len() >= ROWS_AT_ONCE {
                self.write(table, std::mem::take(&mut chunk))?;
                (self.report)(&self.progress);
            }
            Ok(())
        })?;
        self.write(table, chunk)
    }

    fn write(&self, table: &'static Table, chunk: Vec<Record>) -> Result<(), Failure> {
        if !chunk.is_empty() {
            self.store.database.write("importing", move |connection| import_rows::write(connection, table, &chunk))?;
        }
        Ok(())
    }

    /// An experiment without a location gets the one that it would get here.
    fn with_location(&self, table: &Table, record: &mut Record) {
        if table.name == "experiments" && record[2].text().is_empty() {
            let locations = &self.store.locations;
            record[2] = Cell::Text(locations.resolved(&locations.of_experiment(record[0].integer())));
        }
    }

    /// Which of these runs need no points: an earlier call has copied all.
    fn note_complete(&mut self, source: &mut dyn Connection, runs: &[String]) -> Result<(), Failure> {
        self.complete.clear();
        let list = [Value::from(runs.to_vec())];
        let here: HashMap<String, i64> = self.store.database.read("looking what is here already", |connection| {
            let counts = connection.all(
                "SELECT r.run_id, count(*) FROM anmok_metrics m JOIN anmok_runs r USING (run)
                 WHERE r.run_id IN (SELECT value FROM json_each(?1)) GROUP BY r.run_id",
                &list,
                |row| Ok((row.string(0)?, row.integer(1)?)),
            )?;
            Ok(counts.into_iter().collect())
        })?;
        if here.is_empty() {
            return Ok(());
        }
        let sql = "SELECT run_uuid, count(*) FROM metrics WHERE run_uuid IN (SELECT value FROM json_each(?1)) GROUP BY run_uuid";
        source.query(sql, &list, &mut |row| {
            if here.get(row.text(0)?) == Some(&row.integer(1)?) {
                self.complete.insert(row.string(0)?);
            }
            Ok(())
        })
    }

    /// An error if something here is another thing under the same id or name.
    fn require_no_conflict(&self, experiments: &[Record], models: &[Record], source: &str) -> Result<(), Failure> {
        let conflicts = self
            .store
            .database
            .read("looking what is here already", |connection| import_rows::conflicts(connection, experiments, models))?;
        if conflicts.is_empty() {
            return Ok(());
        }
        let what = format!("others than {source} under the same id or name: {}", conflicts.join("; "));
        Err(TrackingError::CopyConflict { database: "this database".into(), what }.into())
    }
}

/// Whether runs name what is in the table.
fn is_before_runs(table: &Table) -> bool {
    table.owner == EXPERIMENTS.owner && table.name != RUNS.name
}
