//! What can go wrong with a store, each with what was being done, to what, and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anmok_protocol::{ApiError, ErrorCode};

/// A store's failure. It can be cloned, because a failed commit fails everyone whose work was in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrackingError {
    /// The request was refused, with MLflow's code and words.
    #[error(transparent)]
    Refused(#[from] ApiError),

    /// The tracking URI cannot be used.
    #[error("the tracking URI {uri:?} cannot be used: {why}")]
    Uri {
        /// As it was given.
        uri: String,
        /// What is wrong and what to write instead.
        why: String,
    },

    /// Another program holds the database's lock.
    #[error(
        "{doing}: {} is locked by another program, for longer than {} s; end that program or wait for it, then try again",
        path.display(),
        waited.as_secs_f64()
    )]
    Locked {
        /// What was being done.
        doing: String,
        /// The database.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },

    /// The database, or the folder it lies in, cannot be written.
    #[error("{doing}: {} cannot be opened for writing; give write permission to the file and its folder, or choose another place with the tracking URI", path.display())]
    ReadOnly {
        /// What was being done.
        doing: String,
        /// The database.
        path: PathBuf,
    },

    /// A setting of the tracking server's client cannot be used.
    #[error("{name} cannot be used: {why}")]
    Setting {
        /// The variable.
        name: String,
        /// What is wrong and what would be right.
        why: String,
    },

    /// A tracking server did not answer, or not as one does.
    #[error("{doing}: {server} {detail}; {remedy}")]
    Server {
        /// What was being done.
        doing: &'static str,
        /// Its address.
        server: String,
        /// What it did.
        detail: String,
        /// What can be done about it.
        remedy: &'static str,
        /// Whether it may be over the next time.
        can_pass: bool,
    },

    /// The database's server is away or too busy. Nothing is wrong with the request.
    #[error("{doing}: {database} cannot answer at the moment ({detail}); it is tried again with the next request")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// The server's address.
        database: String,
        /// The server's or the driver's words.
        detail: String,
    },

    /// No space is left.
    #[error("{doing}: the disk that holds {} is full; nothing of this write was stored; free some space and try again", path.display())]
    DiskFull {
        /// What was being done.
        doing: String,
        /// The database or file.
        path: PathBuf,
    },

    /// The file is no SQLite database.
    #[error("{} is not an SQLite database; it was left as it is; choose another file with the tracking URI", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },

    /// The database is damaged.
    #[error("{doing}: {} is damaged ({detail}); restore a copy, or save what can be read with `sqlite3 FILE .recover`", path.display())]
    Corrupt {
        /// What was being done.
        doing: String,
        /// The database.
        path: PathBuf,
        /// The database's words.
        detail: String,
    },

    /// The database belongs to MLflow itself.
    #[error(
        "{database} is a database of MLflow's own server; it was left as it is. Anmok keeps its runs in its own schema: choose a new \
         database with the tracking URI, and copy the old runs into it with `anmok db import`"
    )]
    MlflowDatabase {
        /// The file, or the server's address.
        database: String,
    },

    /// The database is not MLflow's, where one of MLflow's is needed.
    #[error("{database} cannot be read as a database of MLflow's own server: {why}")]
    NotMlflow {
        /// The file, or the server's address.
        database: String,
        /// What is wrong and what can be done.
        why: String,
    },

    /// A copy would mix up what is there with what comes.
    #[error("nothing was copied: {database} already holds {what}; choose a new database for the copy")]
    CopyConflict {
        /// Where the copy would go.
        database: String,
        /// What is in the way.
        what: String,
    },

    /// What is stored does not fit into MLflow's database.
    #[error("nothing was exported: {what}")]
    Export {
        /// What does not fit.
        what: String,
    },

    /// The database belongs to some other program.
    #[error(
        "{database} is another program's database (it has the tables {tables}); it was left as it is; choose another one with the \
         tracking URI"
    )]
    ForeignDatabase {
        /// The file, or the server's address.
        database: String,
        /// Some of its tables.
        tables: String,
    },

    /// The database was made by a newer anmok.
    #[error("{database} was written by a newer anmok (schema {found}; this one knows up to {known}); update anmok")]
    NewerSchema {
        /// The file, or the server's address.
        database: String,
        /// Its schema version.
        found: i64,
        /// The newest that this build knows.
        known: i64,
    },

    /// Any other failure of the database.
    #[error("{doing}: {}: {detail}", path.display())]
    Database {
        /// What was being done.
        doing: String,
        /// The database.
        path: PathBuf,
        /// The database's words.
        detail: String,
    },

    /// A file could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's words.
        source: Arc<io::Error>,
    },

    /// The artifact location is of a kind that this build cannot reach.
    #[error("the artifacts at {uri:?} cannot be reached: {why}")]
    ArtifactLocation {
        /// The location.
        uri: String,
        /// What is wrong and what can be done.
        why: String,
    },

    /// A bucket refused the credentials.
    #[error("{doing} {uri}: access was refused; check {check}, and what they may do in this bucket")]
    ArtifactsRefused {
        /// What was being done.
        doing: &'static str,
        /// To which object.
        uri: String,
        /// Where its credentials come from.
        check: &'static str,
    },

    /// A bucket did not answer, or not as it should.
    #[error("{doing} {uri}: {detail}; if the server's address is wrong, set {address}, otherwise try again later")]
    ArtifactsUnavailable {
        /// What was being done.
        doing: &'static str,
        /// To which object.
        uri: String,
        /// The client's words.
        detail: String,
        /// The variable that names the server's address.
        address: &'static str,
    },

    /// A run's journal on this machine cannot be used.
    #[error("the journal {} cannot be used: {why}; it was left as it is", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The system gave no random bytes or no thread.
    #[error("{doing}: {detail}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The system's words.
        detail: String,
    },
}

impl TrackingError {
    /// What a server answers with: `TEMPORARILY_UNAVAILABLE`, which MLflow's clients try again, where the same request may
    /// succeed later by itself.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code,
            Self::Locked { .. } | Self::Unavailable { .. } | Self::DiskFull { .. } | Self::Server { can_pass: true, .. } => {
                ErrorCode::TemporarilyUnavailable
            }
            _ => ErrorCode::InternalError,
        }
    }

    /// A file's failure; a full disk is told apart.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { doing: doing.into(), path: path.into() },
            _ => Self::Io { doing, path: path.into(), source: Arc::new(source) },
        }
    }
}
