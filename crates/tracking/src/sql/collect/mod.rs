//! Deleting for good what is marked deleted.
//!
//! In steps, each of which can be the last before a crash: the database is asked what there is ([`plan`]); a row is claimed in
//! a transaction that looks once more whether it is still deleted, and from then on nobody can restore it ([`rows`]); its
//! files go; its rows go, the row that says so last. What an earlier call had claimed is taken up first.

mod files;
mod plan;
mod rows;

use std::collections::HashSet;

use self::files::Place;
use self::plan::{Item, Plan};
use super::store::{Database, SqlStore};
use crate::error::TrackingError;
use crate::maintenance::{CollectEvent, CollectOutcome, CollectRequest, Collectable, Collected};
use crate::store::now_ms;

/// Things that are claimed, emptied and removed together.
const BATCH: usize = 100;

/// Who is told, and the sums.
struct Told<'a> {
    report: &'a mut dyn FnMut(&CollectEvent),
    sums: Collected,
}

impl Told<'_> {
    fn tell(&mut self, kind: Collectable, id: &str, outcome: CollectOutcome) {
        let sum = match (&outcome, kind) {
            (CollectOutcome::Kept(_), _) => &mut self.sums.kept,
            (CollectOutcome::Failed(_), _) => &mut self.sums.failed,
            (_, Collectable::Run) => &mut self.sums.runs,
            (_, Collectable::LoggedModel) => &mut self.sums.logged_models,
            (_, Collectable::Experiment) => &mut self.sums.experiments,
        };
        *sum += 1;
        (self.report)(&CollectEvent { kind, id: id.into(), outcome });
    }
}

impl<D: Database> SqlStore<D> {
    pub(super) fn collect_garbage(
        &self,
        request: &CollectRequest,
        report: &mut dyn FnMut(&CollectEvent),
    ) -> Result<Collected, TrackingError> {
        let older_than = i64::try_from(request.older_than.as_millis()).unwrap_or(i64::MAX);
        let before = now_ms().saturating_sub(older_than);
        let mut told = Told { report, sums: Collected::default() };
        let mut plan = self.plan(request, before)?;
        for (item, why) in &plan.kept {
            told.tell(item.kind, &item.id, CollectOutcome::Kept(why.clone()));
        }
        if request.dry_run {
            let all = plan.items.iter().chain(&plan.experiments);
            all.for_each(|item| told.tell(item.kind, &item.id, CollectOutcome::WouldBeDeleted));
            return Ok(told.sums);
        }
        let mut experiments = vec![];
        let mut staying = HashSet::new();
        for experiment in plan.experiments.clone() {
            if self.claim_experiment(&experiment, before, &mut told)? {
                experiments.push(experiment);
            } else {
                staying.insert(experiment.number);
            }
        }
        plan.without_contents_of(&staying);
        for kind in [Collectable::Run, Collectable::LoggedModel] {
            let items: Vec<&Item> = plan.items.iter().filter(|item| item.kind == kind).collect();
            for batch in items.chunks(BATCH) {
                self.collect_batch(kind, batch, before, request.metadata_only, &mut told)?;
            }
        }
        for experiment in &experiments {
            self.finish_experiment(experiment, request.metadata_only, &mut told)?;
        }
        Ok(told.sums)
    }

    fn plan(&self, request: &CollectRequest, before: i64) -> Result<Plan, TrackingError> {
        let found = self
            .database
            .read("looking for what is marked deleted", |connection| plan::found(connection, request, before, &self.locations))?;
        let places = if request.metadata_only {
            files::Places::default()
        } else {
            self.database.read("looking whose files lie where", |connection| {
                files::Places::live(connection, &found, &self.locations, &self.artifacts)
            })?
        };
        Ok(found.decided(|item| if request.metadata_only { None } else { places.objection(item, &self.artifacts) }))
    }

    fn claim_experiment(&self, experiment: &Item, before: i64, told: &mut Told) -> Result<bool, TrackingError> {
        let number = experiment.number;
        if experiment.claimed {
            return Ok(true);
        }
        let claimed = self
            .database
            .write("claiming an experiment that is marked deleted", move |connection| rows::claim_experiment(connection, number, before));
        match claimed {
            Ok(()) => Ok(true),
            Err(TrackingError::Refused(error)) => {
                told.tell(Collectable::Experiment, &experiment.id, CollectOutcome::Kept(error.message));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn collect_batch(
        &self,
        kind: Collectable,
        batch: &[&Item],
        before: i64,
        metadata_only: bool,
        told: &mut Told,
    ) -> Result<(), TrackingError> {
        let numbers: Vec<i64> = batch.iter().map(|item| item.number).collect();
        let claimed =
            self.database.write("claiming what is marked deleted", move |connection| rows::claim(connection, kind, &numbers, before))?;
        let mut emptied = vec![];
        for item in batch {
            if !claimed.contains(&item.number) {
                told.tell(
                    kind,
                    &item.id,
                    CollectOutcome::Kept("it was restored, or is in use by a model version, since a moment ago".into()),
                );
                continue;
            }
            let removed = if metadata_only { Ok(()) } else { Place::of(item).and_then(|place| place.remove(&self.artifacts)) };
            match removed {
                Ok(()) => emptied.push(*item),
                Err(error) => told.tell(kind, &item.id, CollectOutcome::Failed(error.to_string())),
            }
        }
        let numbers: Vec<i64> = emptied.iter().map(|item| item.number).collect();
        match kind {
            Collectable::Run => self.remove_runs(&numbers)?,
            _ => self.database.write("removing logged models", move |connection| rows::remove_models(connection, &numbers))?,
        }
        emptied.iter().for_each(|item| told.tell(kind, &item.id, CollectOutcome::Deleted));
        Ok(())
    }

    /// Long histories go in pieces, so that nobody waits long for the database meanwhile.
    fn remove_runs(&self, numbers: &[i64]) -> Result<(), TrackingError> {
        if numbers.is_empty() {
            return Ok(());
        }
        for run in numbers.iter().copied() {
            while self.database.write("removing a run's metrics", move |connection| rows::remove_points(connection, run))? {}
        }
        let models =
            self.database.read("looking for metrics of logged models", |connection| rows::models_with_points_of(connection, numbers))?;
        let numbers = numbers.to_vec();
        self.database.write("removing runs", move |connection| rows::remove_runs(connection, &numbers, &models))
    }

    fn finish_experiment(&self, experiment: &Item, metadata_only: bool, told: &mut Told) -> Result<(), TrackingError> {
        let number = experiment.number;
        let removed = self.database.write("removing an experiment", move |connection| rows::remove_experiment(connection, number))?;
        let outcome = if removed {
            CollectOutcome::Deleted
        } else {
            CollectOutcome::Failed("some of its runs or logged models are not gone yet".into())
        };
        if removed && !metadata_only {
            files::remove_empty_folders(experiment, &self.artifacts);
        }
        told.tell(Collectable::Experiment, &experiment.id, outcome);
        Ok(())
    }
}
