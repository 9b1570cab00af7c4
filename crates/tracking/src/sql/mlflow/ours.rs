//! Our rows, in the form that both databases have in common.

use std::collections::HashSet;

use super::super::connection::{Connection, Value};
use super::super::failure::Failure;
use super::super::location::Locations;
use super::RUNS_AT_ONCE;
use super::record::{Cell, Problems, Reading, Record};
use super::tables::{Kind, Owner, Table};
use super::tally::Tally;

/// Everything that a copy is about, by its owners' ids.
#[derive(Debug, Default)]
pub(super) struct Owners {
    experiments: HashSet<i64>,
    runs: HashSet<String>,
    models: HashSet<String>,
    registered: HashSet<String>,
}

impl Owners {
    /// Takes up an owner's own row; an error names what any other row belongs to and is not there.
    pub fn accept(&mut self, table: &Table, record: &[Cell]) -> Result<(), String> {
        let absent = |noun: &str, cell: &Cell| format!("belongs to {noun} {}, which is not copied: the row was left out", cell.shown());
        let in_experiment = |known: &HashSet<i64>, cell: &Cell| match cell {
            Cell::Integer(id) if known.contains(id) => Ok(()),
            _ => Err(absent("experiment", cell)),
        };
        match table.name {
            "experiments" => {
                self.experiments.insert(record[0].integer());
            }
            "runs" => {
                in_experiment(&self.experiments, &record[1])?;
                self.runs.insert(record[0].text().into());
            }
            "logged_models" => {
                in_experiment(&self.experiments, &record[1])?;
                self.models.insert(record[0].text().into());
            }
            "registered_models" => {
                self.registered.insert(record[0].text().into());
            }
            _ if !self.has(table, record) => return Err(absent(table.owner.noun(), &record[0])),
            "logged_model_metrics" if !self.runs.contains(record[1].text()) => return Err(absent("run", &record[1])),
            _ => {}
        }
        Ok(())
    }

    /// Whether the row's owner is one of these.
    fn has(&self, table: &Table, record: &[Cell]) -> bool {
        match table.owner {
            Owner::Experiment => self.experiments.contains(&record[0].integer()),
            Owner::Run => self.runs.contains(record[0].text()),
            Owner::LoggedModel => self.models.contains(record[0].text()),
            Owner::RegisteredModel => self.registered.contains(record[0].text()),
        }
    }
}

/// Hands over our rows of a table, of these runs if it has runs.
pub(super) fn each(
    connection: &mut dyn Connection,
    table: &Table,
    runs: &[String],
    locations: &Locations,
    each: &mut dyn FnMut(&mut Record) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let parameters: Vec<Value> = table.run.iter().map(|_| Value::from(runs.to_vec())).collect();
    let reading = Reading { as_they_are: true, ..Reading::default() };
    // Our own rows are what we wrote; what is odd in them is not news.
    let mut problems = Problems::default();
    let kinds: Vec<Kind> = table.columns.iter().map(|column| column.kind).collect();
    connection.query(&table.of_ours(), &parameters, &mut |row| {
        let Some(mut record) = reading.record(row, table, &mut problems)? else {
            return Err(Failure::other(format!("a row of {} cannot be read; `anmok db check` tells more", table.name)));
        };
        for (cell, kind) in record.iter_mut().zip(&kinds) {
            if let (Kind::Location, Cell::Text(location)) = (kind, &mut *cell) {
                *location = locations.resolved(location);
            }
        }
        each(&mut record)
    })
}

/// Counts our rows that belong to `owners`.
pub(super) fn tally(
    connection: &mut dyn Connection,
    tables: &[&Table],
    runs: &[String],
    owners: &Owners,
    locations: &Locations,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for table in tables {
        // One empty batch for tables without runs.
        let batches: Vec<&[String]> = if table.run.is_some() { runs.chunks(RUNS_AT_ONCE).collect() } else { vec![&[]] };
        for batch in batches {
            each(connection, table, batch, locations, &mut |record| {
                if owners.has(table, record) {
                    tally.add(table, record);
                }
                Ok(())
            })?;
        }
    }
    Ok(tally)
}
