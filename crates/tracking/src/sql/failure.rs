//! Why a piece of work on a database failed, before it is known what was being done and where.

use anmok_protocol::ApiError;

use crate::error::TrackingError;

/// Why a piece of work failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// It was refused, with the words for the user.
    Refused(TrackingError),
    /// By the database.
    Database {
        kind: Fault,
        /// The database's words.
        detail: String,
    },
    /// These keys have no number yet; the work is done again when they have (see [`crate::postgres`]).
    NewKeys(Vec<String>),
}

/// What kind of trouble a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Somebody else holds a lock for too long.
    Locked,
    /// Not allowed to write, or to open.
    ReadOnly,
    DiskFull,
    NotADatabase,
    Corrupt,
    /// What must be unique is there already.
    Duplicate,
    /// Two transactions were in each other's way; the same may succeed when it is done again.
    Conflict,
    /// The connection is gone, or the server takes none at the moment.
    Unavailable,
    Other,
}

impl Failure {
    pub fn new(kind: Fault, detail: impl Into<String>) -> Self {
        Self::Database { kind, detail: detail.into() }
    }

    /// Something that should not be, for which there is no remedy but a report.
    pub fn other(detail: impl Into<String>) -> Self {
        Self::new(Fault::Other, detail)
    }

    /// The fault and the database's words, for whoever knows what was being done and where; a refusal is an error already.
    pub fn trouble(self) -> Result<(Fault, String), TrackingError> {
        match self {
            Self::Refused(error) => Err(error),
            Self::Database { kind, detail } => Ok((kind, detail)),
            Self::NewKeys(_) => Ok((Fault::Other, "keys were asked for while reading".into())),
        }
    }

    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Database { kind, .. } => Some(*kind),
            Self::Refused(_) | Self::NewKeys(_) => None,
        }
    }
}

impl From<TrackingError> for Failure {
    fn from(error: TrackingError) -> Self {
        Self::Refused(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error.into())
    }
}
