//! From PostgreSQL's errors to ours.

use std::error::Error as _;
use std::io;

use anmok_protocol::ApiError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::error::TrackingError;
use crate::sql::{Failure, Fault};

pub(super) fn failure(error: Error) -> Failure {
    let words = words(&error);
    let Some(answer) = error.as_db_error() else {
        if error.to_string().starts_with("error serializing parameter") {
            // A value of the caller's, most likely a page token of another search.
            return ApiError::invalid(format!("A value of this request cannot be compared with what is stored: {words}")).into();
        }
        let lost = error.is_closed() || error.source().is_some_and(is_loss) || error.to_string() == "timeout waiting for server";
        return Failure::new(if lost { Fault::Unavailable } else { Fault::Other }, words);
    };
    let code = answer.code();
    let kind = match code.code() {
        "40001" | "40P01" => Fault::Conflict,
        "23505" => Fault::Duplicate,
        // The server goes or comes, has no place left, or has become a copy that takes no writes.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "53200" | "25006" | "25P03" => Fault::Unavailable,
        "53100" | "53000" => Fault::DiskFull,
        "55P03" | "57014" => Fault::Locked,
        "42501" => Fault::ReadOnly,
        "XX001" | "XX002" => Fault::Corrupt,
        class if class.starts_with("08") => Fault::Unavailable,
        _ => Fault::Other,
    };
    if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE || *code == SqlState::UNTRANSLATABLE_CHARACTER {
        return ApiError::invalid("A text has a NUL character, which cannot be stored. Remove it and try again.").into();
    }
    // An index takes texts of some 2700 bytes: more than any name in MLflow's rules has.
    if *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
        return ApiError::invalid(format!("A text of this request is too long to be stored: {words}")).into();
    }
    Failure::new(kind, words)
}

fn is_loss(source: &(dyn std::error::Error + 'static)) -> bool {
    // Invalid data is a certificate that is not believed, which trying again does not cure.
    source.downcast_ref::<io::Error>().is_some_and(|error| error.kind() != io::ErrorKind::InvalidData)
}

/// What the server said, or what the driver says with its reason.
pub(super) fn words(error: &Error) -> String {
    if let Some(answer) = error.as_db_error() {
        let remedy = match answer.code().code() {
            "28P01" | "28000" => "; check the user and password in the tracking URI, and the server's pg_hba.conf",
            "3D000" => "; make the database with `createdb`, or choose another one with the tracking URI",
            "42501" => "; grant the user CREATE on the database, or make the schema anmok and give it to the user",
            _ => "",
        };
        return format!("{}{}{remedy}", answer.message(), answer.detail().map(|detail| format!(" ({detail})")).unwrap_or_default());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Which database, for messages.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub name: String,
}

impl At {
    pub fn result<T>(&self, doing: &str, result: Result<T, Failure>) -> Result<T, TrackingError> {
        result.map_err(|failure| self.error(doing, failure))
    }

    pub fn error(&self, doing: &str, failure: Failure) -> TrackingError {
        let (kind, detail) = match failure.trouble() {
            Ok(trouble) => trouble,
            Err(refused) => return refused,
        };
        let (doing, database) = (doing.to_string(), self.name.clone());
        match kind {
            Fault::Unavailable | Fault::Conflict | Fault::Locked => TrackingError::Unavailable { doing, database, detail },
            Fault::DiskFull => TrackingError::DiskFull { doing, path: database.into() },
            Fault::Corrupt => TrackingError::Corrupt { doing, path: database.into(), detail },
            Fault::ReadOnly | Fault::NotADatabase | Fault::Duplicate | Fault::Other => {
                TrackingError::Database { doing, path: database.into(), detail }
            }
        }
    }
}
