//! `anmok sync`: delivers what runs have left in their journals on this machine.

use super::{Given, Surroundings};
use crate::failure::Usage;
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, Settings, Source, connection, output, storage, tracking as tracking_section};
use crate::terminal::{print, print_json, progress};
use crate::{journal_events, liveness, logging, tracking, waiting};
use anmok_tracking::delivery::sync::{Left, NotSynced, Synced, sync};
use anmok_tracking::journal::Folder;
use anmok_tracking::{RunStore, TrackingError, uri};
use clap::Args;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

pub const EXAMPLES: &str = "\
Examples:
  anmok sync                                          everything that waits, each run to the store that it was logged to
  anmok sync 3f2a 91bc                                only these runs
  anmok sync 3f2a --tracking-uri http://host:5000     to another store, where the run is made anew

A run that was logged offline goes to the store of the settings, and its journal is removed. A run that has a store of its own is
made anew in another one only when --tracking-uri names it; its journal then stays, for its own store still lacks it. Delivering
twice changes nothing. A run whose process is still alive is left to it.

Exit codes: 0 everything is delivered; 1 something still waits or was refused; 2 wrong usage.";

/// Deliver to the tracking store what killed or offline runs have left on this machine.
#[derive(Debug, Args)]
pub struct Sync {
    /// The runs: ids, first digits of ids, or names; without any, all of them
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfSync>,
}

#[derive(Debug)]
struct OfSync;

impl Sections for OfSync {
    const SECTIONS: &'static [&'static Section] =
        &[&tracking_section::SECTION, &connection::SECTION, &storage::OF_RECORDS, &output::SECTION];
}

/// What became of one journal.
struct Outcome {
    left: Left,
    to: String,
    result: Result<Synced, NotSynced>,
}

impl Sync {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let resolved = surroundings.resolve(OfSync::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?;
        let named = matches!(resolved.source("tracking_uri"), Source::Flag { .. });
        let settings = &resolved.settings;
        logging::start(settings, &progress::bars(false), None);
        let (mut chosen, unreadable) = self.choose(settings)?;
        // A run may be nested in one that was begun before it.
        chosen.sort_by_key(|left| left.contents.birth.as_ref().map(|birth| birth.start_time));
        let mut stores = Stores { settings, named, open: HashMap::new() };
        let outcomes: Vec<Outcome> = chosen.into_iter().map(|left| stores.deliver(left)).collect();
        stores.open.values().for_each(|store| liveness::mark_dead(store.as_ref()));
        if self.json {
            print_json(&outcomes.iter().map(as_json).collect());
        } else if outcomes.is_empty() && unreadable.is_empty() {
            eprintln!("Nothing waits in {}.", settings.journal_dir.display());
        } else {
            print(&outcomes.iter().map(|outcome| text(outcome) + "\n").collect::<String>());
        }
        unreadable.iter().for_each(|error| tracing::error!("{error}"));
        let undone = outcomes.iter().filter(|outcome| !is_done(outcome)).count() + unreadable.len();
        if undone > 0 {
            anyhow::bail!("{undone} of {} journals could not be delivered wholly", outcomes.len() + unreadable.len());
        }
        Ok(())
    }

    /// The journals that are meant. One that cannot be read does not hold up the others.
    fn choose(&self, settings: &Settings) -> anyhow::Result<(Vec<Left>, Vec<TrackingError>)> {
        let (mut all, mut unreadable) = (vec![], vec![]);
        for folder in Folder::list(&settings.journal_dir)? {
            match Left::read(folder) {
                Ok(left) => all.push(left),
                Err(error) => unreadable.push(error),
            }
        }
        if self.runs.is_empty() {
            return Ok((all, unreadable));
        }
        let is_meant = |left: &Left, text: &str| {
            left.header.run_id.starts_with(text) || left.contents.birth.as_ref().is_some_and(|birth| birth.run_name == text)
        };
        for text in &self.runs {
            let mut ids: Vec<&str> = all.iter().filter(|left| is_meant(left, text)).map(|left| left.header.run_id.as_str()).collect();
            ids.dedup();
            match ids.as_slice() {
                [_] => {}
                [] => {
                    let place = settings.journal_dir.display();
                    return Err(
                        Usage(format!("nothing of a run {text:?} waits in {place}: `anmok runs list` shows what is pending")).into()
                    );
                }
                many => return Err(Usage(format!("{text:?} means several runs: {}; type more of the id", many.join(", "))).into()),
            }
        }
        all.retain(|left| self.runs.iter().any(|text| is_meant(left, text)));
        Ok((all, vec![]))
    }
}

/// The stores that journals go to, each opened once.
struct Stores<'a> {
    settings: &'a Settings,
    /// Whether the store was named on the command line: then everything goes there.
    named: bool,
    open: HashMap<String, Arc<dyn RunStore>>,
}

impl Stores<'_> {
    fn deliver(&mut self, left: Left) -> Outcome {
        let ours = uri::identity(&self.settings.tracking_uri);
        let to = if self.named { ours.clone() } else { left.header.tracking_uri.clone().unwrap_or_else(|| ours.clone()) };
        let result = self.store(&to, &ours).map_err(NotSynced::Failed).and_then(|store| {
            let what = format!("run {} is on its way to {to}", left.header.run_id);
            waiting::told(&what, || sync(&left.folder, store, &to, journal_events::listener()))
        });
        Outcome { left, to, result }
    }

    fn store(&mut self, to: &str, ours: &str) -> Result<Arc<dyn RunStore>, TrackingError> {
        if let Some(store) = self.open.get(to) {
            return Ok(store.clone());
        }
        // Passwords are in the settings alone; a journal has the address without.
        let uri = if to == ours { &self.settings.tracking_uri } else { to };
        if uri.contains(":***@") {
            let why = "the run's own store needs a password, which journals do not keep: set MLFLOW_TRACKING_URI to it".into();
            return Err(TrackingError::Uri { uri: uri.into(), why });
        }
        let failed = |error: anyhow::Error| match error.downcast::<TrackingError>() {
            Ok(error) => error,
            Err(error) => TrackingError::Uri { uri: to.into(), why: format!("{error:#}") },
        };
        let store = tracking::open_for_log(uri, self.settings).map_err(failed)?;
        self.open.insert(to.to_owned(), store.clone());
        Ok(store)
    }
}

/// Whether nothing is left to do: here, or for the process that has it.
fn is_done(outcome: &Outcome) -> bool {
    match &outcome.result {
        Ok(synced) => synced.obstacle.is_none() && synced.waiting_artifacts == 0 && synced.refused.is_empty(),
        Err(NotSynced::Busy | NotSynced::Gone) => true,
        Err(NotSynced::Failed(_)) => false,
    }
}

/// One word for scripts, one sentence for people.
fn state(outcome: &Outcome) -> (&'static str, String) {
    let to = &outcome.to;
    match &outcome.result {
        Ok(Synced { obstacle: Some(error), .. }) => ("waiting", format!("waits: {error}")),
        Ok(Synced { waiting_artifacts, .. }) if *waiting_artifacts > 0 => {
            ("waiting", format!("is delivered to {to}, but for {waiting_artifacts} artifacts, which wait"))
        }
        Ok(synced) => {
            let made = if synced.created { format!(" as the new run {}", synced.run_id) } else { String::new() };
            let missing = match synced.missing_artifacts {
                0 => String::new(),
                count => format!("; {count} artifacts that its own store has already are not there"),
            };
            let kept = if synced.removed { "" } else { "; its journal stays for its own store" };
            let refused = match synced.refused.len() {
                0 => String::new(),
                count => format!("; {count} things were refused and left out"),
            };
            ("delivered", format!("is delivered to {to}{made}{refused}{missing}{kept}"))
        }
        Err(NotSynced::Busy) => ("busy", "is left to the process that writes or delivers it at the moment".to_owned()),
        Err(NotSynced::Gone) => ("delivered", "was delivered by another process just now".to_owned()),
        Err(NotSynced::Failed(error)) => ("failed", format!("waits: {error}")),
    }
}

fn text(outcome: &Outcome) -> String {
    let name = outcome.left.contents.birth.as_ref().map_or(String::new(), |birth| format!(" ({})", birth.run_name));
    format!("run {}{name} {}", outcome.left.header.run_id, state(outcome).1)
}

fn as_json(outcome: &Outcome) -> serde_json::Value {
    let synced = outcome.result.as_ref().ok();
    let (state, message) = state(outcome);
    json!({
        "run_id": outcome.left.header.run_id,
        "run_name": outcome.left.contents.birth.as_ref().map(|birth| &birth.run_name),
        "journal": outcome.left.folder.path().display().to_string(),
        "tracking_uri": outcome.to,
        "state": state,
        "message": message,
        "delivered_run_id": synced.map(|synced| &synced.run_id),
        "created": synced.map(|synced| synced.created),
        "journal_removed": synced.map(|synced| synced.removed),
        "waiting_artifacts": synced.map(|synced| synced.waiting_artifacts),
        "refused": synced.map(|synced| json!(synced.refused)),
    })
}
