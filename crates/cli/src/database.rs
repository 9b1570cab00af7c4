//! A server's database as commands that care for it use it.

use crate::failure::Usage;
use crate::settings::Resolved;
use anmok_tracking::{ArtifactOptions, Store, StoreOptions, StoreUri};

/// How the settings say that the database and its files are reached.
pub fn options(resolved: &Resolved) -> StoreOptions {
    let settings = &resolved.settings;
    StoreOptions {
        durability: settings.durability,
        artifact_root: Some(settings.default_artifact_root.clone()),
        artifacts: ArtifactOptions { destination: Some(settings.server.artifacts_destination.clone()), buckets: settings.buckets.clone() },
        ..StoreOptions::default()
    }
}

/// Opens the database of the settings; one that does not exist is not made.
pub fn open_existing(resolved: &Resolved) -> anyhow::Result<Box<dyn Store>> {
    let uri = &resolved.settings.server.backend_store_uri;
    require_existing(uri)?;
    Ok(anmok_tracking::open_store(uri, &options(resolved))?)
}

/// An error for a file that does not exist.
pub fn require_existing(uri: &str) -> anyhow::Result<()> {
    require(uri, ": name the server's with --backend-store-uri")
}

/// The same for a file that is not the settings'.
pub fn require_existing_file(uri: &str) -> anyhow::Result<()> {
    require(uri, "")
}

fn require(uri: &str, remedy: &str) -> anyhow::Result<()> {
    match uri.parse()? {
        StoreUri::Sqlite(path) if !path.is_file() => Err(Usage(format!("there is no database {}{remedy}", path.display())).into()),
        _ => Ok(()),
    }
}
