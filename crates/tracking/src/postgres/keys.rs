//! The numbers of metrics', params' and tags' keys, shared by all servers on a database.
//!
//! A new key is stored in a transaction of its own, before the work that needs it: so a number that is remembered here was
//! committed, two servers that store the same keys wait for each other only for moments, and a key never changes or goes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::connection::Session;
use crate::sql::{Connection, DO_NOTHING, Failure, Value};

/// The keys that are remembered at most; then it starts afresh.
const CACHED_KEYS: usize = 50_000;

#[derive(Default)]
pub(super) struct Keys {
    known: Mutex<HashMap<String, i64>>,
}

impl Keys {
    fn known(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers of keys, in their order.
    ///
    /// # Errors
    /// [`Failure::NewKeys`] with those that are not stored; the work is done again after [`Self::store`].
    pub fn numbers(&self, session: &mut Session, names: &[&str]) -> Result<Vec<i64>, Failure> {
        let mut missing: Vec<&str> = {
            let known = self.known();
            names.iter().filter(|name| !known.contains_key(**name)).copied().collect()
        };
        let mut found: HashMap<String, i64> = HashMap::new();
        if !missing.is_empty() {
            // In one order everywhere, so that two servers with the same new keys do not block each other.
            missing.sort_unstable();
            missing.dedup();
            session.query(
                "SELECT name, key FROM anmok_keys WHERE name IN (SELECT value FROM json_each(?1))",
                &[missing.clone().into()],
                &mut |row| {
                    found.insert(row.string(0)?, row.integer(1)?);
                    Ok(())
                },
            )?;
            missing.retain(|name| !found.contains_key(*name));
        }
        if !missing.is_empty() {
            return Err(Failure::NewKeys(missing.into_iter().map(Into::into).collect()));
        }
        let mut known = self.known();
        if known.len() + found.len() > CACHED_KEYS {
            known.clear();
        }
        let number = |name: &&str| found.get(*name).or(known.get(*name)).copied();
        // Nothing is missing unless another thread has just emptied the cache.
        let numbers: Option<Vec<i64>> = names.iter().map(number).collect();
        known.extend(found);
        drop(known);
        match numbers {
            Some(numbers) => Ok(numbers),
            None => Err(Failure::NewKeys(vec![])),
        }
    }

    /// Stores new keys, in a transaction of its own.
    pub fn store(session: &mut Session, names: &[String]) -> Result<(), Failure> {
        if !names.is_empty() {
            let names = Value::from(names.iter().map(String::as_str).collect::<Vec<_>>());
            session.insert_rows("anmok_keys", &[("name", names)], DO_NOTHING)?;
        }
        Ok(())
    }

    /// Forgets everything: after the loss of a connection the database may be an older copy of itself.
    pub fn forget(&self) {
        self.known().clear();
    }
}
