//! Samples of metrics' histories, for charts.

use std::collections::HashMap;

use anmok_protocol::{ApiError, MetricWithRunId};

use super::connection::{Connection, Value};
use super::failure::Failure;
use super::read::metric_value;
use crate::tracking_store::SampledHistoryQuery;

const COUNT: &str = "
    SELECT count(*) FROM anmok_metrics
    WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2) AND step BETWEEN ?3 AND ?4";

const BY_TIME: &str = "
    SELECT value, is_nan, timestamp, step FROM anmok_metrics
    WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2) AND step BETWEEN ?3 AND ?4
    ORDER BY timestamp, step, value, is_nan";

const BY_STEP: &str = "
    SELECT value, is_nan, timestamp, step FROM anmok_metrics
    WHERE run = ?1 AND key = (SELECT key FROM anmok_keys WHERE name = ?2) AND step BETWEEN ?3 AND ?4
    ORDER BY step, timestamp, value, is_nan";

/// The places that are taken of `points`, none more than `most`: MLflow's. The points are dealt into as many equal stretches
/// as points are wanted (the first ones are longer by one if it does not come out even), and the first of each is taken;
/// but of the last stretch the last.
fn is_taken(place: i64, points: i64, most: i64) -> bool {
    let (length, longer) = (points / most, points % most);
    if points <= most || place == points - 1 {
        true
    } else if place == (most - 1) * length + longer.min(most - 1) {
        false
    } else if place < longer * (length + 1) {
        place % (length + 1) == 0
    } else {
        (place - longer * (length + 1)) % length == 0
    }
}

/// One run's points that are taken, in the order of their steps.
///
/// Nearly always a later step has a later timestamp. So they are read in the index's order, which costs no sorting; if a
/// point turns out to stand before its predecessor, the database sorts them after all. Of a long history only what is
/// taken is kept.
fn of_run(connection: &mut dyn Connection, run: i64, run_id: &str, query: &SampledHistoryQuery) -> Result<Vec<MetricWithRunId>, Failure> {
    let (first, last) = query.steps.unwrap_or((i64::MIN, i64::MAX));
    let parameters: [Value; 4] = [run.into(), (&query.metric_key).into(), first.into(), last.into()];
    let points = connection.first(COUNT, &parameters, |row| row.integer(0))?.unwrap_or(0);
    let most = i64::try_from(query.max_results).unwrap_or(i64::MAX).max(1);
    for sql in [BY_TIME, BY_STEP] {
        let mut taken = vec![];
        let (mut place, mut before, mut in_order) = (0, i64::MIN, true);
        connection.query(sql, &parameters, &mut |row| {
            let step = row.integer(3)?;
            in_order &= step >= before;
            before = step;
            if in_order && is_taken(place, points, most) {
                let (key, value, timestamp) = (query.metric_key.clone(), metric_value(row, 0)?, row.integer(2)?);
                taken.push(MetricWithRunId { key, value, timestamp, step, run_id: run_id.to_owned() });
            }
            place += 1;
            Ok(())
        })?;
        if in_order {
            return Ok(taken);
        }
    }
    Err(Failure::other("points sorted by their steps are not in the order of their steps"))
}

pub(super) fn sampled(connection: &mut dyn Connection, query: &SampledHistoryQuery) -> Result<Vec<MetricWithRunId>, Failure> {
    let run_ids: Vec<&str> = query.run_ids.iter().map(String::as_str).collect();
    let mut runs: HashMap<String, i64> = connection
        .all("SELECT run_id, run FROM anmok_runs WHERE run_id IN (SELECT value FROM json_each(?1))", &[run_ids.into()], |row| {
            Ok((row.string(0)?, row.integer(1)?))
        })?
        .into_iter()
        .collect();
    if let Some(unknown) = query.run_ids.iter().find(|run_id| !runs.contains_key(*run_id)) {
        return Err(ApiError::run_not_found(unknown).into());
    }
    // Each once, in the order in which they were asked for.
    let mut points = vec![];
    for run_id in &query.run_ids {
        if let Some(run) = runs.remove(run_id) {
            points.extend(of_run(connection, run, run_id, query)?);
        }
    }
    Ok(points)
}
