//! `anmok gc`: deletes for good what is marked deleted.

use super::{Given, Surroundings};
use crate::database;
use crate::failure::Usage;
use crate::logging;
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, output, server, tracking};
use crate::terminal::{print, print_json};
use anmok_tracking::{CollectEvent, CollectIds, CollectOutcome, CollectRequest, Collectable, Collected};
use anyhow::bail;
use clap::Args;
use indicatif::MultiProgress;
use serde_json::{Value, json};
use std::time::Duration;

pub const EXAMPLES: &str = "\
Examples:
  anmok gc --dry-run                             what would be deleted
  anmok gc --older-than 30d                      what has been marked deleted for 30 days or longer
  anmok gc --run-ids 0a1b...,2c3d...             these runs and nothing else
  anmok gc --backend-store-uri postgresql://user@db/anmok --artifacts-destination s3://bucket/artifacts

Works while servers use the database. A collection that was interrupted is finished by the next one.
Exit code 1 if something that was named was kept, or files could not be deleted.";

/// Delete for good what is marked deleted: runs, experiments, logged models, and their files.
#[derive(Debug, Args)]
pub struct Gc {
    /// Only what was marked deleted this long ago or longer, as #d#h#m#s: 30d, 1d12h, 1.5h
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "0s", hide_default_value = true)]
    older_than: Duration,
    /// Only these runs, and what the other two lists name
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    run_ids: Option<Vec<String>>,
    /// Only these experiments, with their runs and logged models, and what the other two lists name
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    experiment_ids: Option<Vec<String>>,
    /// Only these logged models, and what the other two lists name
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    logged_model_ids: Option<Vec<String>>,
    /// Tell what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave all files where they are
    #[arg(long)]
    metadata_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfGc>,
}

#[derive(Debug)]
struct OfGc;

impl Sections for OfGc {
    const SECTIONS: &'static [&'static Section] = &[&server::DATABASE, &tracking::OF_SERVER, &output::SECTION];
}

impl Gc {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let resolved = surroundings.resolve(OfGc::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?;
        logging::start(&resolved.settings, &MultiProgress::new(), None);
        resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let request = self.request()?;
        let store = database::open_existing(&resolved)?;
        let mut events = vec![];
        let sums = store.collect(&request, &mut |event| {
            if !self.json {
                print(&sentence(event));
            }
            events.push(event.clone());
        })?;
        if self.json {
            print_json(&as_json(&request, &events));
        } else {
            print(&summary(&request, sums));
        }
        if sums.failed > 0 {
            bail!("{} of them are not gone yet, for the reasons above: remove the cause and run `anmok gc` again", sums.failed);
        }
        if sums.kept > 0 && request.only.is_some() {
            bail!("{} of what was named was kept, for the reasons above", sums.kept);
        }
        Ok(())
    }

    fn request(&self) -> anyhow::Result<CollectRequest> {
        let lists = [("run", &self.run_ids), ("experiment", &self.experiment_ids), ("logged-model", &self.logged_model_ids)];
        for (name, list) in lists {
            // An empty variable in a script would otherwise mean everything.
            if list.as_ref().is_some_and(|ids| ids.iter().any(|id| id.trim().is_empty())) {
                return Err(Usage(format!("--{name}-ids has an empty id; leave the flag out to mean all that are marked deleted")).into());
            }
        }
        let ids = |list: &Option<Vec<String>>| list.iter().flatten().map(|id| id.trim().to_owned()).collect();
        let only = lists.iter().any(|(_, list)| list.is_some()).then(|| CollectIds {
            run_ids: ids(&self.run_ids),
            experiment_ids: ids(&self.experiment_ids),
            logged_model_ids: ids(&self.logged_model_ids),
        });
        Ok(CollectRequest { only, older_than: self.older_than, dry_run: self.dry_run, metadata_only: self.metadata_only })
    }
}

/// Reads `1d2h3m4.5s`, as `mlflow gc` does.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not of the form #d#h#m#s, for example 30d, 1d12h or 1.5h");
    let (mut rest, mut seconds) = (text, 0.0);
    for (unit, length) in [('d', 86_400.0), ('h', 3_600.0), ('m', 60.0), ('s', 1.0)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: f64 = number.parse().ok().filter(|_| number.bytes().all(|b| b.is_ascii_digit() || b == b'.')).ok_or_else(wrong)?;
            seconds += number * length;
            rest = after;
        }
    }
    if text.is_empty() || !rest.is_empty() {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn sentence(event: &CollectEvent) -> String {
    let noun = match event.kind {
        Collectable::Run => "Run",
        Collectable::LoggedModel => "Logged model",
        Collectable::Experiment => "Experiment",
    };
    let what = match &event.outcome {
        CollectOutcome::Deleted => "has been permanently deleted.".into(),
        CollectOutcome::WouldBeDeleted => "would be permanently deleted.".into(),
        CollectOutcome::Kept(why) => format!("was kept: {why}."),
        CollectOutcome::Failed(why) => format!("is not gone yet: {why}."),
    };
    format!("{noun} with ID {} {what}", event.id)
}

fn summary(request: &CollectRequest, sums: Collected) -> String {
    let verb = if request.dry_run { "Would delete" } else { "Deleted" };
    let deleted = format!("{verb} {} runs, {} logged models, {} experiments", sums.runs, sums.logged_models, sums.experiments);
    let rest = [(sums.kept, "kept"), (sums.failed, "not gone yet")].map(|(count, word)| format!("; {count} {word}"));
    let rest: String = rest.into_iter().zip([sums.kept, sums.failed]).filter(|(_, count)| *count > 0).map(|(text, _)| text).collect();
    format!("{deleted}{rest}.")
}

fn as_json(request: &CollectRequest, events: &[CollectEvent]) -> Value {
    let of = |wanted: fn(&CollectOutcome) -> Option<&str>| -> Vec<Value> {
        let chosen = events.iter().filter_map(|event| Some((event, wanted(&event.outcome)?)));
        chosen
            .map(|(event, why)| match why {
                "" => json!({ "kind": event.kind.noun(), "id": event.id }),
                why => json!({ "kind": event.kind.noun(), "id": event.id, "reason": why }),
            })
            .collect()
    };
    json!({
        "dry_run": request.dry_run,
        "deleted": of(|outcome| matches!(outcome, CollectOutcome::Deleted | CollectOutcome::WouldBeDeleted).then_some("")),
        "kept": of(|outcome| if let CollectOutcome::Kept(why) = outcome { Some(why) } else { None }),
        "failed": of(|outcome| if let CollectOutcome::Failed(why) = outcome { Some(why) } else { None }),
    })
}

#[cfg(test)]
mod tests {
    use super::age;
    use std::time::Duration;

    #[test]
    fn ages_are_read_as_mlflow_reads_them() {
        for (text, seconds) in
            [("30d", 2_592_000.0), ("1d2h3m4s", 93_784.0), ("1.5h", 5_400.0), ("2m4s", 124.0), ("0s", 0.0), ("8h", 28_800.0)]
        {
            assert_eq!(age(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "30", "d", "3h2d", "-1d", "1e3d", "nans", "1w", "1d 2h", "99999999999999999999999d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
