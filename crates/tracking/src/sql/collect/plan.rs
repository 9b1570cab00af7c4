//! What is marked deleted, and what of it must stay.

use std::collections::{HashMap, HashSet};

use anmok_protocol::{ApiError, ErrorCode, LifecycleStage, validate};

use super::super::connection::{Connection, Row, Value};
use super::super::failure::Failure;
use super::super::location::Locations;
use super::rows;
use crate::maintenance::{CollectIds, CollectRequest, Collectable};

/// One thing that is marked deleted.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub kind: Collectable,
    pub number: i64,
    pub id: String,
    /// The experiment that it belongs to; of an experiment itself.
    pub experiment: i64,
    /// As it is shown.
    pub artifact_uri: String,
    /// By an earlier call that was interrupted.
    pub claimed: bool,
    /// Whether it was found for itself, and not only in its experiment.
    pub for_itself: bool,
}

/// Everything that could be deleted.
pub(super) struct Found {
    /// Runs and logged models.
    pub items: Vec<Item>,
    pub experiments: Vec<Item>,
    /// Model versions whose files are those of a run or logged model, by its id.
    users: HashMap<String, String>,
    /// How many active runs an experiment has.
    active_runs: HashMap<i64, i64>,
}

/// What is to be done.
pub(super) struct Plan {
    pub items: Vec<Item>,
    pub experiments: Vec<Item>,
    /// With the reason.
    pub kept: Vec<(Item, String)>,
}

const RUNS: &str = "SELECT run, run_id, experiment, artifact_uri, collected FROM anmok_runs r WHERE";
const MODELS: &str = "SELECT model, model_id, experiment, artifact_uri, collected FROM anmok_logged_models l WHERE";
const EXPERIMENTS: &str = "SELECT experiment, experiment, experiment, artifact_location, collected FROM anmok_experiments e WHERE";

pub(super) fn found(
    connection: &mut dyn Connection,
    request: &CollectRequest,
    before: i64,
    locations: &Locations,
) -> Result<Found, Failure> {
    let mut found = Found { items: vec![], experiments: vec![], users: HashMap::new(), active_runs: HashMap::new() };
    let deleted = LifecycleStage::Deleted.name();
    let ask = |connection: &mut dyn Connection, kind, sql: String, parameters: &[Value]| {
        connection.all(&sql, parameters, |row| item(row, kind, locations))
    };
    let since = [deleted.into(), before.into()];
    if let Some(ids) = &request.only {
        require(connection, ids, before)?;
        let experiments: Vec<i64> = ids.experiment_ids.iter().map(|id| validate::experiment_id(id)).collect::<Result<_, _>>()?;
        let of_ids = |ids: &[String]| Value::from(ids.to_vec());
        let listed = |column: &str| format!("{column} IN (SELECT value FROM json_each(?1))");
        found.experiments = ask(
            connection,
            Collectable::Experiment,
            format!("{EXPERIMENTS} {} OR collected = 1", listed("experiment")),
            &[experiments.into()],
        )?;
        for (kind, sql, column, ids) in
            [(Collectable::Run, RUNS, "run_id", &ids.run_ids), (Collectable::LoggedModel, MODELS, "model_id", &ids.logged_model_ids)]
        {
            found.items.extend(ask(connection, kind, format!("{sql} {} OR collected = 1", listed(column)), &[of_ids(ids)])?);
        }
    } else {
        let old = |since: &str| format!("collected = 1 OR (lifecycle_stage = ?1 AND {since} <= ?2)");
        found.experiments = ask(connection, Collectable::Experiment, format!("{EXPERIMENTS} {}", old(rows::EXPERIMENT_SINCE)), &since)?;
        for (kind, sql, since_column) in [(Collectable::Run, RUNS, rows::RUN_SINCE), (Collectable::LoggedModel, MODELS, rows::MODEL_SINCE)]
        {
            found.items.extend(ask(connection, kind, format!("{sql} {}", old(since_column)), &since)?);
        }
    }
    found.with_contents(connection, locations)?;
    Ok(found)
}

fn item(row: &dyn Row, kind: Collectable, locations: &Locations) -> Result<Item, Failure> {
    let id = if kind == Collectable::Experiment { row.integer(1)?.to_string() } else { row.string(1)? };
    let artifact_uri = locations.resolved(row.text(3)?);
    let (number, experiment, claimed) = (row.integer(0)?, row.integer(2)?, row.truth(4)?);
    Ok(Item { kind, number, id, experiment, artifact_uri, claimed, for_itself: true })
}

/// An error that names every id that cannot be deleted for good, and why.
fn require(connection: &mut dyn Connection, ids: &CollectIds, before: i64) -> Result<(), Failure> {
    let mut problems = vec![];
    for (kind, ids, table, column, since) in [
        (Collectable::Run, &ids.run_ids, "anmok_runs", "run_id", rows::RUN_SINCE),
        (Collectable::LoggedModel, &ids.logged_model_ids, "anmok_logged_models", "model_id", rows::MODEL_SINCE),
        (Collectable::Experiment, &ids.experiment_ids, "anmok_experiments", "experiment", rows::EXPERIMENT_SINCE),
    ] {
        let sql = format!("SELECT lifecycle_stage, {since} FROM {table} WHERE {column} = ?1");
        for id in ids {
            let value: Value = if kind == Collectable::Experiment { validate::experiment_id(id)?.into() } else { id.into() };
            let found = connection.first(&sql, &[value], |row| Ok((row.string(0)?, row.integer(1)?)))?;
            let why = match found {
                None => "does not exist",
                Some((stage, _)) if stage != LifecycleStage::Deleted.name() => "is not marked deleted; delete it first",
                Some((_, since)) if since > before => "was marked deleted too short a time ago for --older-than",
                Some(_) => continue,
            };
            problems.push(format!("{} {id} {why}", kind.noun()));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::InvalidParameterValue, format!("nothing was deleted: {}", problems.join("; "))).into())
}

impl Found {
    /// Adds what lies in the experiments, and what stands in the way.
    fn with_contents(&mut self, connection: &mut dyn Connection, locations: &Locations) -> Result<(), Failure> {
        let numbers: Vec<i64> = self.experiments.iter().map(|experiment| experiment.number).collect();
        let in_experiments = "experiment IN (SELECT value FROM json_each(?1))";
        for (kind, sql) in [
            (Collectable::Run, format!("{RUNS} {in_experiments} AND lifecycle_stage = ?2")),
            // Logged models go with their experiment, marked deleted or not, as MLflow's do.
            (Collectable::LoggedModel, format!("{MODELS} {in_experiments} AND lifecycle_stage IN ('active', ?2)")),
        ] {
            let parameters = [numbers.as_slice().into(), LifecycleStage::Deleted.name().into()];
            let more = connection.all(&sql, &parameters, |row| item(row, kind, locations))?;
            let known: HashSet<i64> = self.items.iter().filter(|item| item.kind == kind).map(|item| item.number).collect();
            let more = more.into_iter().filter(|item| !known.contains(&item.number));
            self.items.extend(more.map(|item| Item { for_itself: false, ..item }));
        }
        self.active_runs = connection
            .all(
                &format!(
                    "SELECT experiment, count(*) FROM anmok_runs WHERE {in_experiments} AND lifecycle_stage <> ?2 GROUP BY experiment"
                ),
                &[numbers.into(), LifecycleStage::Deleted.name().into()],
                |row| Ok((row.integer(0)?, row.integer(1)?)),
            )?
            .into_iter()
            .collect();
        self.users = rows::users(connection, &self.items)?;
        Ok(())
    }

    /// Sorts out what must stay: what model versions use, what `objection` says, and experiments with something in them that stays.
    pub fn decided(self, mut objection: impl FnMut(&Item) -> Option<String>) -> Plan {
        let Self { items, experiments, users, active_runs } = self;
        let mut plan = Plan { items: vec![], experiments: vec![], kept: vec![] };
        for item in items {
            let used = users.get(&item.id).map(|user| format!("its files are those of {user}; delete that version first"));
            match used.filter(|_| !item.claimed).or_else(|| objection(&item)) {
                Some(why) => plan.kept.push((item, why)),
                None => plan.items.push(item),
            }
        }
        let full: HashSet<i64> = plan.kept.iter().map(|(item, _)| item.experiment).collect();
        let mut staying: HashSet<i64> = HashSet::new();
        for experiment in experiments {
            let why = match active_runs.get(&experiment.number) {
                Some(count) => Some(format!("{count} of its runs were restored and are active")),
                None if full.contains(&experiment.number) => Some("some of its runs or logged models must stay".to_string()),
                None => None,
            };
            match why {
                Some(why) => {
                    staying.insert(experiment.number);
                    plan.kept.push((experiment, why));
                }
                None => plan.experiments.push(experiment),
            }
        }
        plan.without_contents_of(&staying);
        plan
    }
}

impl Plan {
    /// What would have gone only with its experiment stays with it.
    pub fn without_contents_of(&mut self, experiments: &HashSet<i64>) {
        self.items.retain(|item| item.for_itself || !experiments.contains(&item.experiment));
    }
}
