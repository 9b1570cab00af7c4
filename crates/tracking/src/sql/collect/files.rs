//! Whose files lie where, and deleting those of one thing and no others.

use std::collections::{BTreeSet, HashSet};

use anmok_protocol::ArtifactPath;

use super::super::connection::Connection;
use super::super::failure::Failure;
use super::super::location::Locations;
use super::plan::{Found, Item};
use crate::artifact::{ArtifactStore, Artifacts};
use crate::error::TrackingError;

/// What a location starts with whose files a server keeps, and where they all are.
const PROXIED: &str = "mlflow-artifacts:";
const PROXIED_ROOT: &str = "mlflow-artifacts:/";

/// What a run's and a logged model's own folder ends with, after its id.
const FOLDER: &str = "artifacts";

/// The folder of one run or logged model: `FOLDER_ABOVE/ID/artifacts`.
pub(super) struct Place<'a> {
    above: &'a str,
    id: &'a str,
}

impl<'a> Place<'a> {
    /// # Errors
    /// A location that is not of this form: files of others may lie in it.
    pub fn of(item: &'a Item) -> Result<Self, TrackingError> {
        let uri = item.artifact_uri.trim_end_matches('/');
        let above = uri.strip_suffix(FOLDER).and_then(|uri| uri.strip_suffix('/')).and_then(|uri| uri.strip_suffix(item.id.as_str()));
        match above.and_then(|above| above.strip_suffix('/')) {
            Some(above) => Ok(Self { above, id: &item.id }),
            None => Err(TrackingError::ArtifactLocation {
                uri: item.artifact_uri.clone(),
                why: format!("it does not end with {}/{FOLDER}, so that files of others may lie there", item.id),
            }),
        }
    }

    /// Deletes the files. A folder that is left empty goes too.
    pub fn remove(&self, artifacts: &Artifacts) -> Result<(), TrackingError> {
        let above = artifacts.open(self.above)?;
        above.delete(&ArtifactPath::parse(&format!("{}/{FOLDER}", self.id))?)?;
        above.delete_empty_folder(&ArtifactPath::parse(self.id)?);
        Ok(())
    }
}

/// What is left of an experiment's own folder, if nothing is in it.
pub(super) fn remove_empty_folders(experiment: &Item, artifacts: &Artifacts) {
    let own = experiment.artifact_uri.trim_end_matches('/').strip_suffix(experiment.id.as_str()).and_then(|uri| uri.strip_suffix('/'));
    // Only a folder that is named after it: another one may be somebody's who is about to put a file in it.
    if let (Some(above), Ok(id)) = (own, ArtifactPath::parse(&experiment.id))
        && let Ok(above) = artifacts.open(above)
    {
        if let Ok(models) = ArtifactPath::parse(&format!("{id}/models")) {
            above.delete_empty_folder(&models);
        }
        above.delete_empty_folder(&id);
    }
}

/// Where the files of what is not deleted lie.
#[derive(Default)]
pub(super) struct Places {
    /// Experiments' locations, and those of runs and logged models that are not below their experiment's.
    all: BTreeSet<String>,
    /// Those of runs and logged models alone.
    of_things: HashSet<String>,
    /// Ids of runs and logged models that are not deleted, among those that stand in the way of something deleted.
    ids: HashSet<String>,
}

impl Places {
    pub fn live(connection: &mut dyn Connection, found: &Found, locations: &Locations, artifacts: &Artifacts) -> Result<Self, Failure> {
        let mut places = Self::default();
        let mut keep = |uri: &str, of_thing: bool| {
            let uri = locations.resolved(uri);
            // What cannot be opened is not a place where files could be deleted.
            let Ok(store) = artifacts.open(&uri) else { return };
            let place = store.place();
            if of_thing {
                places.of_things.insert(place.clone());
            }
            places.all.insert(place);
        };
        connection.query("SELECT DISTINCT artifact_location FROM anmok_experiments WHERE collected = 0", &[], &mut |row| {
            keep(row.text(0)?, false);
            Ok(())
        })?;
        for (table, id, middle) in [("anmok_runs", "run_id", "/"), ("anmok_logged_models", "model_id", "/models/")] {
            let sql = format!(
                "SELECT x.artifact_uri FROM {table} x JOIN anmok_experiments e USING (experiment)
                 WHERE x.collected = 0 AND x.lifecycle_stage = 'active'
                   AND x.artifact_uri <> e.artifact_location || '{middle}' || x.{id} || '/{FOLDER}'"
            );
            connection.query(&sql, &[], &mut |row| {
                keep(row.text(0)?, true);
                Ok(())
            })?;
        }
        let above: Vec<String> = found.items.iter().flat_map(|item| others_above(item)).map(String::from).collect();
        if !above.is_empty() {
            for (table, id) in [("anmok_runs", "run_id"), ("anmok_logged_models", "model_id")] {
                let sql =
                    format!("SELECT {id} FROM {table} WHERE lifecycle_stage = 'active' AND {id} IN (SELECT value FROM json_each(?1))");
                connection.query(&sql, &[above.clone().into()], &mut |row| {
                    places.ids.insert(row.string(0)?);
                    Ok(())
                })?;
            }
        }
        Ok(places)
    }

    /// Why a thing's files cannot be deleted, if so.
    pub fn objection(&self, item: &Item, artifacts: &Artifacts) -> Option<String> {
        self.checked(item, artifacts).err()
    }

    fn checked(&self, item: &Item, artifacts: &Artifacts) -> Result<(), String> {
        let remedy = "; --metadata-only deletes its rows and leaves all files";
        let place = Place::of(item).map_err(|error| format!("{error}{remedy}"))?;
        let store = artifacts.open(&item.artifact_uri).map_err(|error| format!("{error}{remedy}"))?;
        let above = artifacts.open(place.above).map_err(|error| format!("{error}{remedy}"))?;
        if item.artifact_uri.starts_with(PROXIED)
            && let Some(root) = artifacts.open(PROXIED_ROOT).ok().as_ref().and_then(ArtifactStore::local_root)
            && !root.exists()
        {
            // In another folder, or on another machine: its rows would go and its files stay for ever.
            let why = "which does not exist here; name the server's with --artifacts-destination";
            return Err(format!("a server keeps its files in {}, {why}{remedy}", root.display()));
        }
        let there = store.local_root().is_some_and(|root| std::fs::symlink_metadata(root).is_ok());
        if there && store.leads_out_of(&above) {
            return Err(format!("its files at {} lie elsewhere, behind a symbolic link{remedy}", item.artifact_uri));
        }
        let own = store.place();
        let inside = format!("{own}/");
        let nested = self.all.get(&own).or_else(|| self.all.range(inside.clone()..).next().filter(|other| other.starts_with(&inside)));
        let around = own.match_indices('/').map(|(end, _)| &own[..end]).find(|above| self.of_things.contains(*above));
        if let Some(other) = nested.map(String::as_str).or(around) {
            return Err(format!("its files at {} are shared: {other} is in use{remedy}", item.artifact_uri));
        }
        match others_above(item).into_iter().find(|id| self.ids.contains(*id)) {
            Some(id) => Err(format!("its files at {} lie among those of {id}, which is in use{remedy}", item.artifact_uri)),
            None => Ok(()),
        }
    }
}

/// Ids, or what stands in their place, of those in whose folder `ID/artifacts` this thing's lies.
fn others_above(item: &Item) -> Vec<&str> {
    let parts: Vec<&str> = item.artifact_uri.split('/').collect();
    parts.windows(2).filter(|pair| pair[1] == FOLDER && pair[0] != item.id).map(|pair| pair[0]).collect()
}
