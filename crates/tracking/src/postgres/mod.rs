//! The database on a PostgreSQL server, in our own schema `anmok`, for any number of stateless servers at once.
//!
//! Nothing is remembered between two calls but what never changes (the numbers of keys). Reads see one state of the
//! database; writes run at READ COMMITTED, with statements that are right whatever runs beside them, and are done again when
//! the database finds two of them in each other's way. An acknowledged write was flushed to the server's disk.
//!
//! The driver is tokio-postgres with a small runtime for each connection, which runs while its caller waits (that is what
//! the crate `postgres` does too; doing it here lets statements share a round trip).
//!
//! - [`address`], [`tls`]: where the database is, and how it is reached
//! - [`pool`]: connections on loan
//! - [`connection`]: a connection as the statements of [`crate::sql`] see it
//! - [`keys`]: the numbers of keys, agreed on by all servers
//! - [`schema`]: tables, migrations, whose database it is
//! - [`foreign`]: another program's database
//! - [`failure`]: from PostgreSQL's errors to ours

mod address;
mod connection;
mod failure;
mod foreign;
mod keys;
mod pool;
mod schema;
mod tls;

use std::time::Duration;

use self::address::Address;
use self::connection::Session;
use self::failure::At;
pub(crate) use self::foreign::Foreign;
use self::keys::Keys;
use self::pool::{Lent, Pool};
use crate::artifact::Artifacts;
use crate::error::TrackingError;
use crate::maintenance::SchemaVersion;
use crate::run_name::random_bytes;
use crate::sql::{Connection, Database, Failure, Fault, Locations, SqlStore};
use crate::uri::StoreOptions;

const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// How often work is done again that met other work, or a connection that had died unnoticed.
const ATTEMPTS: u32 = 10;

/// A database on a server.
pub(crate) struct Postgres {
    at: At,
    pool: Pool,
    keys: Keys,
}

/// Opens the store in a database, making the schema if there is none.
///
/// # Errors
/// A server that cannot be reached or refuses the user, a database that is MLflow's or of a newer anmok (it is left as it is).
pub(crate) fn open(uri: &str, options: &StoreOptions) -> Result<SqlStore<Postgres>, TrackingError> {
    let address = Address::parse(uri)?;
    let at = At { name: address.name.clone() };
    let locations = Locations::of_server(options.artifact_root.as_deref())?;
    let pool = Pool::new(address, options.connections, options.busy_timeout);
    schema::prepare(&pool, &at, schema::MIGRATIONS, &locations.of_experiment(0))?;
    let (database, artifacts) = (Postgres { at, pool, keys: Keys::default() }, Artifacts::new(options.artifacts.clone()));
    Ok(SqlStore { database, locations, artifacts, search: options.search })
}

/// The version of the schema in a database.
pub(crate) fn schema_version(uri: &str, options: &StoreOptions) -> Result<SchemaVersion, TrackingError> {
    let address = Address::parse(uri)?;
    let at = At { name: address.name.clone() };
    schema::version(&Pool::new(address, 1, options.busy_timeout), &at)
}

impl Database for Postgres {
    fn read<T>(&self, doing: &str, mut work: impl FnMut(&mut dyn Connection) -> Result<T, Failure>) -> Result<T, TrackingError> {
        let done = self.again_and_again(|lent| {
            let mut session = Session::new(lent.client()?, Some(READ), None);
            let done = work(&mut session);
            // Whatever was read is right, even if the connection dies now: then it is not lent again.
            let ended = if done.is_ok() { session.commit() } else { session.roll_back() };
            if ended.is_err() {
                lent.keep = false;
            }
            done.map_err(Attempt::Undone)
        });
        self.at.result(doing, done)
    }

    fn write<T: Send + 'static>(
        &self,
        doing: &str,
        mut work: impl FnMut(&mut dyn Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, TrackingError> {
        let mut optimistic = true;
        let done = self.again_and_again(|lent| {
            let mut session = Session::new(lent.client()?, Some(WRITE), Some(&self.keys)).optimistic(optimistic);
            let mut undone = |failure: Failure| {
                if optimistic && failure.fault() == Some(Fault::Duplicate) {
                    optimistic = false;
                    return Attempt::Hasty;
                }
                Attempt::Undone(failure)
            };
            match work(&mut session) {
                Ok(done) => match session.commit() {
                    Ok(()) => Ok(done),
                    // So the transaction is undone for certain; after the loss of a connection nobody knows what became of it.
                    Err(failure) if matches!(failure.fault(), None | Some(Fault::Conflict | Fault::Duplicate)) => Err(undone(failure)),
                    Err(failure) => {
                        lent.keep = false;
                        Err(Attempt::Unknown(failure))
                    }
                },
                Err(failure) => {
                    if session.roll_back().is_err() {
                        lent.keep = false;
                    }
                    if let Failure::NewKeys(names) = &failure {
                        Keys::store(&mut Session::new(lent.client()?, None, None), names)?;
                    }
                    Err(undone(failure))
                }
            }
        });
        self.at.result(doing, done)
    }
}

/// How a piece of work failed.
enum Attempt {
    /// It left no trace.
    Undone(Failure),
    /// It left no trace: rows that it took to be new were there. It will not take them to be new again.
    Hasty,
    /// It may have been done.
    Unknown(Failure),
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        Self::Undone(failure)
    }
}

impl Postgres {
    /// Does work on a connection, again if it was undone by what may pass at once: another transaction, or a connection that
    /// died while nobody used it. A server that is away is told to the caller, who knows how long to wait.
    fn again_and_again<T>(&self, mut work: impl FnMut(&mut Lent) -> Result<T, Attempt>) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut lent = self.pool.get()?;
            let failure = match work(&mut lent) {
                Ok(done) => return Ok(done),
                Err(Attempt::Undone(failure)) => failure,
                Err(Attempt::Hasty) => continue,
                Err(Attempt::Unknown(failure)) => {
                    self.lost(lent, &failure);
                    return Err(failure);
                }
            };
            let again = match failure.fault() {
                None => matches!(failure, Failure::NewKeys(_)),
                Some(Fault::Conflict) => true,
                Some(Fault::Unavailable) => {
                    let was_new = lent.is_new;
                    self.lost(lent, &failure);
                    !was_new
                }
                Some(_) => false,
            };
            if !again || attempt == ATTEMPTS {
                return Err(failure);
            }
            if failure.fault() == Some(Fault::Conflict) {
                std::thread::sleep(pause(attempt));
            }
        }
    }

    fn lost(&self, mut lent: Lent, failure: &Failure) {
        if failure.fault() == Some(Fault::Unavailable) {
            lent.keep = false;
            drop(lent);
            self.pool.lost();
            self.keys.forget();
        }
    }
}

/// Longer with each attempt, and different for each of those who met.
fn pause(attempt: u32) -> Duration {
    let random = random_bytes::<1>().map_or(128, |[byte]| u32::from(byte));
    Duration::from_micros(u64::from(random * 20)) * 2_u32.pow(attempt.min(6))
}
