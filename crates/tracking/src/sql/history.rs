//! Samples of metrics' histories, for charts.

use std::collections::HashMap;

use anmok_protocol::{ApiError, MetricWithRunId};

use super::connection::{Connection, Value};
use super::failure::Failure;
use super::read::metric_value;
use crate::tracking_store::SampledHistoryQuery;

/// The places that are taken of a run with more points than asked for: MLflow's. The points are dealt into as many equal
/// stretches as points are wanted (the first ones are longer by one if it does not come out even), and the first of each
/// is taken; but of the last stretch the last.
const SAMPLE: &str = "
    SELECT run, value, is_nan, timestamp, step FROM (
        SELECT run, value, is_nan, timestamp, step,
            row_number() OVER (PARTITION BY run ORDER BY step, timestamp, value, is_nan) - 1 AS place,
            count(*) OVER (PARTITION BY run) AS points
        FROM anmok_metrics
        WHERE run IN (SELECT value FROM json_each(?1)) AND key = (SELECT key FROM anmok_keys WHERE name = ?2) AND step BETWEEN ?3 AND ?4
    ) AS numbered
    WHERE CASE
        WHEN points <= ?5 THEN 1
        WHEN place = points - 1 THEN 1
        WHEN place = (?5 - 1) * (points / ?5) + CASE WHEN points % ?5 < ?5 - 1 THEN points % ?5 ELSE ?5 - 1 END THEN 0
        WHEN place < (points % ?5) * (points / ?5 + 1) THEN CASE WHEN place % (points / ?5 + 1) = 0 THEN 1 ELSE 0 END
        WHEN (place - (points % ?5) * (points / ?5 + 1)) % (points / ?5) = 0 THEN 1
        ELSE 0
    END = 1
    ORDER BY run, step, timestamp, value, is_nan";

pub(super) fn sampled(connection: &mut dyn Connection, query: &SampledHistoryQuery) -> Result<Vec<MetricWithRunId>, Failure> {
    let run_ids: Vec<&str> = query.run_ids.iter().map(String::as_str).collect();
    let runs: HashMap<String, i64> = connection
        .all("SELECT run_id, run FROM anmok_runs WHERE run_id IN (SELECT value FROM json_each(?1))", &[run_ids.into()], |row| {
            Ok((row.string(0)?, row.integer(1)?))
        })?
        .into_iter()
        .collect();
    if let Some(unknown) = query.run_ids.iter().find(|run_id| !runs.contains_key(*run_id)) {
        return Err(ApiError::run_not_found(unknown).into());
    }
    let names: HashMap<i64, &String> = runs.iter().map(|(run_id, run)| (*run, run_id)).collect();
    let (first, last) = query.steps.unwrap_or((i64::MIN, i64::MAX));
    let mut histories: HashMap<i64, Vec<MetricWithRunId>> = HashMap::new();
    let most = i64::try_from(query.max_results).unwrap_or(i64::MAX);
    let parameters: [Value; 5] =
        [names.keys().copied().collect::<Vec<_>>().into(), (&query.metric_key).into(), first.into(), last.into(), most.into()];
    connection.query(SAMPLE, &parameters, &mut |row| {
        let run = row.integer(0)?;
        histories.entry(run).or_default().push(MetricWithRunId {
            key: query.metric_key.clone(),
            value: metric_value(row, 1)?,
            timestamp: row.integer(3)?,
            step: row.integer(4)?,
            run_id: names.get(&run).map(ToString::to_string).unwrap_or_default(),
        });
        Ok(())
    })?;
    // In the order in which they were asked for.
    Ok(query.run_ids.iter().filter_map(|run_id| histories.remove(runs.get(run_id)?)).flatten().collect())
}
