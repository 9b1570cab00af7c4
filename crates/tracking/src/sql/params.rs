//! Logging params, which keep their first value.

use std::collections::{BTreeMap, HashMap};

use anmok_protocol::{ApiError, validate};

use super::connection::{Connection, DO_NOTHING};
use super::failure::Failure;
use super::write::active_run;

/// Logs one param, which is refused in other words than one of a batch.
pub(super) fn log_one(connection: &mut dyn Connection, run_id: &str, params: &[(String, String)]) -> Result<(), Failure> {
    let run = active_run(connection, run_id)?;
    let names: Vec<&str> = params.iter().map(|(key, _)| key.as_str()).collect();
    let keys = connection.keys(&names)?;
    match insert(connection, run, params, &keys)?.first() {
        None => Ok(()),
        Some(Changed { key, old, new }) => Err(ApiError::invalid(format!(
            "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for run ID='{run_id}'. \
             Attempted logging new value '{new}'."
        ))
        .into()),
    }
}

/// Logs the params of a batch; `keys` are the numbers of theirs.
pub(super) fn log_batch(
    connection: &mut dyn Connection,
    run: i64,
    run_id: &str,
    params: &[(String, String)],
    keys: &[i64],
) -> Result<(), Failure> {
    let changed = insert(connection, run, params, keys)?;
    if changed.is_empty() { Ok(()) } else { Err(params_changed(run_id, &changed).into()) }
}

/// A param that has another value already.
struct Changed {
    key: String,
    old: String,
    new: String,
}

fn params_changed(run_id: &str, changed: &[Changed]) -> ApiError {
    let told = |param: &Changed| {
        let [key, old, new] = [&param.key, &param.old, &param.new].map(|text| validate::python_string(text));
        format!("{{'key': {key}, 'old_value': {old}, 'new_value': {new}}}")
    };
    ApiError::invalid(format!(
        "Changing param values is not allowed. Params were already logged='[{}]' for run ID='{run_id}'.",
        changed.iter().map(told).collect::<Vec<_>>().join(", ")
    ))
}

/// Inserts params, and gives those that cannot be, because they have another value.
fn insert(connection: &mut dyn Connection, run: i64, params: &[(String, String)], keys: &[i64]) -> Result<Vec<Changed>, Failure> {
    let rows: BTreeMap<i64, &str> = keys.iter().copied().zip(params.iter().map(|(_, value)| value.as_str())).collect();
    let (sorted, values): (Vec<i64>, Vec<&str>) = rows.into_iter().unzip();
    let inserted = connection.insert_rows(
        "anmok_params",
        &[("run", run.into()), ("key", sorted.as_slice().into()), ("value", values.into())],
        DO_NOTHING,
    )?;
    if inserted == params.len() as u64 {
        return Ok(vec![]);
    }
    let there: HashMap<i64, String> = connection
        .all(
            "SELECT key, value FROM anmok_params WHERE run = ?1 AND key IN (SELECT value FROM json_each(?2))",
            &[run.into(), sorted.into()],
            |row| Ok((row.integer(0)?, row.string(1)?)),
        )?
        .into_iter()
        .collect();
    let changed = params.iter().zip(keys).filter_map(|((key, new), number)| {
        let old = there.get(number).filter(|old| *old != new)?;
        Some(Changed { key: key.clone(), old: old.clone(), new: new.clone() })
    });
    Ok(changed.collect())
}
