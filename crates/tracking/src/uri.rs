//! Tracking URIs as MLflow's users write them, and the store behind each.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::Store;
use crate::artifact::ArtifactOptions;
use crate::error::TrackingError;
use crate::http::HttpStore;
use crate::http::options::ServerOptions;
use crate::maintenance::SchemaVersion;
use crate::store::{RunStore, SearchEffort};
use crate::{postgres, sqlite};

/// Opens the store that a tracking URI names. A server is not asked yet.
///
/// # Errors
/// A URI that this build cannot serve, with what to write instead; whatever keeps the database from opening; settings of a
/// server's client that cannot be used.
pub fn open(uri: &str, options: &StoreOptions) -> Result<Box<dyn RunStore>, TrackingError> {
    match uri.parse()? {
        StoreUri::Http(uri) => Ok(Box::new(HttpStore::new(&uri, options)?)),
        StoreUri::Sqlite(_) | StoreUri::Postgres(_) => {
            let store: Box<dyn RunStore> = open_store(uri, options)?;
            Ok(store)
        }
    }
}

/// Opens the database that a tracking URI names, with all that a server needs of it.
///
/// # Errors
/// As [`open`]; a URI of another server.
pub fn open_store(uri: &str, options: &StoreOptions) -> Result<Box<dyn Store>, TrackingError> {
    match uri.parse()? {
        StoreUri::Sqlite(path) => Ok(Box::new(sqlite::open(&path, options)?)),
        StoreUri::Postgres(uri) => Ok(Box::new(postgres::open(&uri, options)?)),
        StoreUri::Http(_) => Err(no_server(uri)),
    }
}

/// The version of the schema in the database that a tracking URI names. Nothing is changed or made.
///
/// # Errors
/// As [`open`].
pub fn schema_version(uri: &str, options: &StoreOptions) -> Result<SchemaVersion, TrackingError> {
    match uri.parse()? {
        StoreUri::Sqlite(path) => sqlite::schema_version(&path, options),
        StoreUri::Postgres(uri) => postgres::schema_version(&uri, options),
        StoreUri::Http(_) => Err(no_server(uri)),
    }
}

fn no_server(uri: &str) -> TrackingError {
    TrackingError::Uri {
        uri: without_password(uri),
        why: "a server cannot stand on another server; write sqlite:///relative/path.db, sqlite:////absolute/path.db or \
              postgresql://user:password@host/database"
            .into(),
    }
}

/// A store's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUri {
    /// `sqlite:///relative.db` (to the working directory) or `sqlite:////absolute.db`.
    Sqlite(PathBuf),
    /// `postgresql://...`, whatever driver was named.
    Postgres(String),
    /// `http://...` or `https://...`.
    Http(String),
}

/// How a store behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// How long to wait for another program's write, or for a connection to the server.
    pub busy_timeout: Duration,
    /// Connections to a database server at most.
    pub connections: usize,
    /// Where artifacts of new experiments go: a folder or URI. `None` is a folder beside the database file, recorded relative
    /// to it, so that the two can be moved together (and `anmok-artifacts` in the working directory, if there is no file).
    pub artifact_root: Option<String>,
    /// How artifacts other than local folders are reached.
    pub artifacts: ArtifactOptions,
    /// How a tracking server is reached.
    pub server: ServerOptions,
    /// How many runs a search in a database looks at.
    pub search: SearchEffort,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Normal,
            busy_timeout: Duration::from_secs(30),
            connections: 16,
            artifact_root: None,
            artifacts: ArtifactOptions::default(),
            server: ServerOptions::default(),
            search: SearchEffort::default(),
        }
    }
}

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the program (kill -9, a crash). A power cut can take the last moments; the database stays whole.
    #[default]
    Normal,
    /// A power cut too, at the price of waiting for the disk at each commit.
    Full,
}

impl FromStr for StoreUri {
    type Err = TrackingError;

    fn from_str(uri: &str) -> Result<Self, TrackingError> {
        let refuse = |why: String| Err(TrackingError::Uri { uri: without_password(uri), why });
        let Some((scheme, rest)) = uri.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            let file = if uri.ends_with(".db") { uri.to_string() } else { "anmok.db".into() };
            return refuse(format!(
                "it is a bare path, which MLflow reads as a folder of run files, and that format is not supported; write \
                 sqlite:///{file} for an embedded database"
            ));
        };
        let scheme = scheme.to_ascii_lowercase();
        let (kind, driver) = scheme.split_once('+').map_or((scheme.as_str(), None), |(kind, driver)| (kind, Some(driver)));
        match kind {
            "sqlite" if driver.is_none_or(|driver| driver == "pysqlite") => match rest.strip_prefix("///") {
                None => refuse("sqlite needs three slashes: sqlite:///relative/path.db, or four: sqlite:////absolute/path.db".into()),
                Some("" | ":memory:") => {
                    refuse("a database in memory would be lost at the end; name a file, for example sqlite:///anmok.db".into())
                }
                Some(path) if path.contains('?') => refuse("options after '?' are not supported; write only the path".into()),
                Some(path) if path.contains('\0') => refuse("a path cannot hold a NUL character".into()),
                Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
            },
            "postgresql" | "postgres" if rest.starts_with("//") => Ok(Self::Postgres(format!("postgresql:{rest}"))),
            "http" | "https" if rest.len() > 2 && rest.starts_with("//") && driver.is_none() => Ok(Self::Http(format!("{kind}:{rest}"))),
            "file" => refuse(
                "MLflow's folder of run files is not supported; write sqlite:///anmok.db for an embedded database (old runs: `mlflow \
                 server` on the folder, or MLflow's own migration to a database, then `anmok db import`)"
                    .into(),
            ),
            _ => refuse(
                "supported are sqlite:///relative/path.db, sqlite:////absolute/path.db, postgresql://user:password@host/database and \
                 http(s)://host:port"
                    .into(),
            ),
        }
    }
}

/// What names a store wherever it is written down: no password, no user of a server, no path that depends on the working folder.
/// Two URIs of one text are one store.
pub fn identity(uri: &str) -> String {
    match uri.parse() {
        // A path that cannot be made absolute (there is no working folder) stays as it is.
        Ok(StoreUri::Sqlite(path)) => format!("sqlite:///{}", std::path::absolute(&path).unwrap_or(path).display()),
        Ok(StoreUri::Postgres(uri)) => without_password(&uri),
        Ok(StoreUri::Http(uri)) => match uri.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                format!("{scheme}://{host}{}", path.trim_end_matches('/'))
            }
            None => uri,
        },
        Err(_) => without_password(uri),
    }
}

/// RFC 3986's scheme, of two letters at least (one letter is a Windows drive).
pub(crate) fn is_scheme(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// For messages: what stands between `:` and `@` is hidden, and so is an option `password`. A password with characters that
/// should be encoded is hidden too: everything up to the last `@` may be part of it.
pub(crate) fn without_password(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_string() };
    let shown = match rest.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("{}:***@{host}", user.split(':').next().unwrap_or_default()),
        _ => rest.to_string(),
    };
    match shown.split_once("password=") {
        Some((before, after)) => format!("{scheme}://{before}password=***{}", after.find('&').map_or("", |end| &after[end..])),
        None => format!("{scheme}://{shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_as_mlflows_users_write_them() {
        let sqlite = |path: &str| StoreUri::Sqlite(path.into());
        for (uri, store) in [
            ("sqlite:///anmok.db", sqlite("anmok.db")),
            ("sqlite:////var/lib/anmok.db", sqlite("/var/lib/anmok.db")),
            ("sqlite:///a b/실험%20.db", sqlite("a b/실험%20.db")),
            ("SQLite+pysqlite:///anmok.db", sqlite("anmok.db")),
            ("postgresql://u:p@host/db", StoreUri::Postgres("postgresql://u:p@host/db".into())),
            ("postgresql+psycopg2://u:p@host/db", StoreUri::Postgres("postgresql://u:p@host/db".into())),
            ("postgres://host/db", StoreUri::Postgres("postgresql://host/db".into())),
            ("http://localhost:5000", StoreUri::Http("http://localhost:5000".into())),
            ("HTTPS://host/path", StoreUri::Http("https://host/path".into())),
        ] {
            assert_eq!(uri.parse::<StoreUri>().unwrap(), store, "{uri}");
        }
    }

    #[test]
    fn others_are_refused_with_the_remedy() {
        for (uri, words) in [
            ("", "write sqlite:///anmok.db"),
            ("./mlruns", "bare path"),
            ("mlruns", "bare path"),
            ("/data/mlruns", "bare path"),
            ("runs/anmok.db", "write sqlite:///runs/anmok.db"),
            ("C:\\runs", "bare path"),
            ("file:///data/mlruns", "folder of run files is not supported"),
            ("file:./mlruns", "folder of run files is not supported"),
            ("sqlite://anmok.db", "three slashes"),
            ("sqlite:anmok.db", "three slashes"),
            ("sqlite:///", "in memory"),
            ("sqlite:///:memory:", "in memory"),
            ("sqlite:///a.db?mode=ro", "options after '?'"),
            ("mysql://u:secret@host/db", "supported are"),
            ("databricks://x", "supported are"),
            ("http:", "supported are"),
            ("http+x://host", "supported are"),
        ] {
            let error = uri.parse::<StoreUri>().unwrap_err().to_string();
            assert!(error.contains(words), "{uri}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn passwords_are_hidden() {
        for (uri, shown) in [
            ("postgresql://u:secret@host/db", "postgresql://u:***@host/db"),
            ("postgresql://u:se/cr?et@host/db", "postgresql://u:***@host/db"),
            ("postgresql://host/db?password=secret&port=1", "postgresql://host/db?password=***&port=1"),
            ("postgresql://u:secret@host/db?password=secret", "postgresql://u:***@host/db?password=***"),
            ("postgresql://u@host/db", "postgresql://u@host/db"),
            ("sqlite:///anmok.db", "sqlite:///anmok.db"),
        ] {
            assert_eq!(without_password(uri), shown);
        }
    }

    #[test]
    fn a_stores_identity_holds_no_secret_and_no_working_folder() {
        let here = std::path::absolute("anmok.db").unwrap();
        for (uri, name) in [
            ("sqlite:///anmok.db".to_string(), format!("sqlite:///{}", here.display())),
            (format!("sqlite:///{}", here.display()), format!("sqlite:///{}", here.display())),
            ("postgresql+psycopg2://u:secret@host/db".into(), "postgresql://u:***@host/db".into()),
            ("http://u:secret@host:5000/".into(), "http://host:5000".into()),
            ("https://host/mlflow/".into(), "https://host/mlflow".into()),
        ] {
            assert_eq!(identity(&uri), name, "{uri}");
        }
    }

    #[test]
    fn a_server_cannot_stand_on_another_server() {
        let error = open_store("http://u:secret@localhost:5000/x", &StoreOptions::default()).err().expect("it is refused").to_string();
        assert!(error.contains("cannot stand on another server; write sqlite:///"), "{error}");
        assert!(!error.contains("secret") && error.contains("u:***@"), "{error}");
    }
}
