//! `anmok db upgrade|check|import|export`: the care of a tracking database.

use super::{Given, Surroundings};
use crate::database;
use crate::failure::Usage;
use crate::logging;
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Resolved, Section, output, server, tracking, without_password};
use crate::terminal::units::grouped;
use crate::terminal::{print, print_json};
use anmok_tracking::{Check, Copied, CopyProgress, SchemaVersion, open_store, schema_version};
use anyhow::bail;
use clap::{Args, Subcommand};
use indicatif::MultiProgress;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const EXAMPLES: &str = "\
Examples:
  anmok db upgrade --backend-store-uri postgresql://user@db/anmok
  anmok db check                                 is everything that belongs together there?
  anmok db import sqlite:///mlflow.db            an MLflow database, into ./anmok.db
  anmok db export sqlite:///mlflow.db            back, into an empty database that `mlflow db upgrade` has made";

/// How often a copy says how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// The care of a tracking database: upgrade, check, import from MLflow, export to MLflow.
#[derive(Debug, Args)]
pub struct Db {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Bring the schema up to date now, as the first server that opens the database would
    Upgrade(Upgrade),
    /// Look for damage; exit code 1 if there is some
    Check(CheckDb),
    /// Copy a database of MLflow's own into this one
    #[command(after_help = IMPORT)]
    Import(Import),
    /// Copy this database into an empty one that MLflow has made
    #[command(after_help = EXPORT)]
    Export(Export),
}

const IMPORT: &str = "\
Ids stay as they are; files stay where they are. SOURCE is only read. An import that was
interrupted is finished by the next one. MLflow 2.22 to 3.17 are understood.";

const EXPORT: &str = "\
TARGET is made by MLflow itself: `mlflow db upgrade sqlite:///mlflow.db`. Everything is copied, or nothing.";

#[derive(Debug, Args)]
struct Upgrade {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfDb>,
}

#[derive(Debug, Args)]
struct CheckDb {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfDb>,
}

#[derive(Debug, Args)]
struct Import {
    /// MLflow's database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfDb>,
}

#[derive(Debug, Args)]
struct Export {
    /// MLflow's database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE
    #[arg(value_name = "TARGET")]
    target: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfDb>,
}

#[derive(Debug)]
struct OfDb;

impl Sections for OfDb {
    const SECTIONS: &'static [&'static Section] = &[&server::DATABASE, &tracking::OF_SERVER, &output::SECTION];
}

impl Db {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let resolved = |flags: &Flags<OfDb>| -> anyhow::Result<Resolved> {
            let resolved = surroundings.resolve(OfDb::SECTIONS, Given { flags: &flags.given, ..Given::default() })?;
            logging::start(&resolved.settings, &MultiProgress::new(), None);
            resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            Ok(resolved)
        };
        match self.command {
            DbCommand::Upgrade(command) => command.run(&resolved(&command.flags)?),
            DbCommand::Check(command) => command.run(&resolved(&command.flags)?),
            DbCommand::Import(command) => command.run(&resolved(&command.flags)?),
            DbCommand::Export(command) => command.run(&resolved(&command.flags)?),
        }
    }
}

fn uri(resolved: &Resolved) -> &str {
    &resolved.settings.server.backend_store_uri
}

impl Upgrade {
    fn run(&self, resolved: &Resolved) -> anyhow::Result<()> {
        database::require_existing(uri(resolved))?;
        let options = database::options(resolved);
        let SchemaVersion { found, newest } = schema_version(uri(resolved), &options)?;
        open_store(uri(resolved), &options)?;
        let shown = without_password(uri(resolved));
        if self.json {
            print_json(&json!({ "database": shown, "from": found, "to": newest }));
        } else if found == newest {
            print(&format!("{shown} is up to date (schema {newest})."));
        } else {
            print(&format!("{shown}: schema {found} -> {newest}."));
        }
        Ok(())
    }
}

impl CheckDb {
    fn run(&self, resolved: &Resolved) -> anyhow::Result<()> {
        database::require_existing(uri(resolved))?;
        let options = database::options(resolved);
        let SchemaVersion { found, newest } = schema_version(uri(resolved), &options)?;
        if found != newest {
            bail!("the schema is that of an older anmok ({found}; this one has {newest}): `anmok db upgrade` brings it up to date");
        }
        let checks = open_store(uri(resolved), &options)?.check()?;
        let problems: u64 = checks.iter().map(|check| check.problems).sum();
        if self.json {
            let one = |check: &Check| json!({ "check": check.name, "problems": check.problems, "examples": check.examples });
            print_json(&json!({
                "database": without_password(uri(resolved)),
                "ok": problems == 0,
                "checks": checks.iter().map(one).collect::<Vec<_>>(),
            }));
        } else {
            checks.iter().for_each(|check| print(&line(check)));
        }
        if problems > 0 {
            bail!("{problems} problems were found: keep a copy of the database, and restore one from before them if you have it");
        }
        Ok(())
    }
}

fn line(check: &Check) -> String {
    let more = check.problems.saturating_sub(check.examples.len() as u64);
    let mut text = format!("{} {}\n", if check.problems == 0 { "ok  " } else { "BAD " }, check.name);
    check.examples.iter().for_each(|example| text += &format!("       {example}\n"));
    if more > 0 {
        text += &format!("       and {more} more\n");
    }
    text
}

impl Import {
    fn run(&self, resolved: &Resolved) -> anyhow::Result<()> {
        require_another(&self.source, uri(resolved))?;
        // Before anything is made: a source that is not there leaves no empty database behind.
        database::require_existing_file(&self.source)?;
        let store = open_store(uri(resolved), &database::options(resolved))?;
        let copied = store.import_mlflow(&self.source, &mut progress("imported"))?;
        tell(self.json, "Imported", &copied, uri(resolved));
        verdict(&copied)
    }
}

impl Export {
    fn run(&self, resolved: &Resolved) -> anyhow::Result<()> {
        require_another(&self.target, uri(resolved))?;
        let store = database::open_existing(resolved)?;
        let copied = store.export_mlflow(&self.target, &mut progress("exported"))?;
        tell(self.json, "Exported", &copied, uri(resolved));
        verdict(&copied)
    }
}

fn require_another(mlflow: &str, ours: &str) -> anyhow::Result<()> {
    if mlflow.parse::<anmok_tracking::StoreUri>()? == ours.parse()? {
        return Err(Usage("the two databases are the same: name Anmok's with --backend-store-uri".into()).into());
    }
    Ok(())
}

/// Says how far a copy is, now and then.
fn progress(verb: &'static str) -> impl FnMut(&CopyProgress) {
    let mut last = Instant::now();
    move |progress| {
        if last.elapsed() >= EVERY {
            last = Instant::now();
            let (runs, all, rows) = (grouped(progress.runs), grouped(progress.all_runs), grouped(progress.rows));
            tracing::info!("{verb} {runs} of {all} runs, {rows} rows");
        }
    }
}

fn tell(as_json: bool, verb: &str, copied: &Copied, ours: &str) {
    let problems = |lost: bool| copied.problems.iter().filter(move |problem| problem.lost == lost);
    if as_json {
        let list = |lost: bool| -> Vec<Value> {
            problems(lost).map(|problem| json!({ "what": problem.what, "count": problem.count, "examples": problem.examples })).collect()
        };
        return print_json(&json!({
            "mlflow_database": copied.database,
            "revision": copied.revision,
            "anmok_database": without_password(ours),
            "rows": copied.rows,
            "changed": list(false),
            "left_out": list(true),
            "not_copied": copied.not_copied.iter().map(|(what, count)| json!({ "what": what, "count": count })).collect::<Vec<_>>(),
            "verified": copied.differences.is_empty(),
            "differences": copied.differences,
        }));
    }
    for (table, rows) in &copied.rows {
        print(&format!("{:>12}  {}", grouped(*rows), table.replace('_', " ")));
    }
    for (lost, word) in [(false, "changed"), (true, "LEFT OUT")] {
        for problem in problems(lost) {
            print(&format!("{word}: {} ({} times, for example: {})", problem.what, problem.count, problem.examples.join(" | ")));
        }
    }
    for (what, count) in &copied.not_copied {
        print(&format!("not copied, since the other side has none: {count} {what}"));
    }
    copied.differences.iter().for_each(|difference| print(&format!("DIFFERENT: {difference}")));
    if copied.differences.is_empty() {
        print(&format!("{verb}; counts and digests of both sides are the same ({}, revision {}).", copied.database, copied.revision));
    }
}

fn verdict(copied: &Copied) -> anyhow::Result<()> {
    if !copied.differences.is_empty() {
        bail!("the two databases are not the same, as told above: one of them was written to meanwhile or since an earlier import");
    }
    let lost: u64 = copied.problems.iter().filter(|problem| problem.lost).map(|problem| problem.count).sum();
    if lost > 0 {
        bail!("all but {lost} rows were copied; those that were left out are named above");
    }
    Ok(())
}
