//! Parameters that a resumed run would have otherwise than it began. The store keeps the first value of a param for good; what
//! changed is noted as tags, or the run does not go on.

use super::resume::Resumption;
use crate::failure::Usage;
use crate::settings::Settings;
use crate::settings::tracking::ParamDrift;
use anmok_protocol::{Run, limits};
use anmok_tracking::delivery::superseded::ATTEMPT_TAG;
use anmok_train::Recipe;

/// A parameter with another value.
struct Drift {
    key: String,
    before: String,
    now: String,
}

/// Refuses to go on, where that is wanted, or warns.
pub fn check(resumption: &Resumption, settings: &Settings) -> Result<(), Usage> {
    let drifts = drifts(&resumption.run, &settings.recipe);
    if drifts.is_empty() {
        return Ok(());
    }
    let changed: Vec<String> = drifts.iter().map(|Drift { key, before, now }| format!("{key} was {before} and is {now}")).collect();
    let changed = changed.join(", ");
    match settings.param_drift {
        ParamDrift::Refuse => Err(Usage(format!(
            "run {} does not go on with other parameters: {changed}; --param-drift record goes on and notes them as tags",
            resumption.run.info.run_id
        ))),
        ParamDrift::Record => {
            tracing::warn!("parameters differ from those that the run has on record, and are noted as tags: {changed}");
            Ok(())
        }
    }
}

/// The tags that note it: `anmok.drift.KEY`, with the value of this sitting.
pub fn tags(run: &Run, recipe: &Recipe) -> Vec<(String, String)> {
    let attempt = super::record::Attempt::after(run, 0).number;
    let note = |Drift { key, before, now }: Drift| (format!("anmok.drift.{key}"), format!("{before} -> {now} ({ATTEMPT_TAG} {attempt})"));
    drifts(run, recipe).into_iter().map(note).collect()
}

fn drifts(run: &Run, recipe: &Recipe) -> Vec<Drift> {
    let changed = |(key, now): (String, String)| {
        let before = run.data.param(&key)?;
        // What was too long for a param was cut when it was logged, and cannot be compared.
        let differs = before != now && now.chars().count() <= limits::PARAM_VALUE_LENGTH;
        differs.then(|| Drift { before: before.to_owned(), key, now })
    };
    recipe.parameters().into_iter().filter_map(changed).collect()
}
