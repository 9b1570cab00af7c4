//! Artifact locations: stored relative to the database's folder where they lie in it, so that a project can be moved or
//! copied as a whole; resolved when read.

use std::path::{Component, Path, PathBuf};

use crate::artifact::{file_uri, local_folder};
use crate::error::TrackingError;

/// What starts a location that is relative to the database's folder.
const RELATIVE: &str = "./";

#[derive(Debug, Clone)]
pub(super) struct Locations {
    /// The database's folder as a `file://` URI.
    folder_uri: String,
    folder: PathBuf,
    /// Where new experiments' artifacts go, as it is stored.
    root: String,
}

impl Locations {
    /// `artifact_root`, or the folder `NAME-artifacts` beside the database `NAME.db`.
    pub fn new(database: &Path, artifact_root: Option<&str>) -> Result<Self, TrackingError> {
        let folder = database.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut locations = Self { folder_uri: file_uri(&folder), folder, root: String::new() };
        locations.root = match artifact_root {
            Some(root) => locations.stored(root)?,
            None => {
                let mut name = database.file_stem().unwrap_or_default().to_os_string();
                name.push("-artifacts");
                locations.stored_folder(&locations.folder.join(name))
            }
        };
        Ok(locations)
    }

    /// As it is stored: a URI as it is, a folder below the database's own as a relative path.
    pub fn stored(&self, location: &str) -> Result<String, TrackingError> {
        match local_folder(location)? {
            Some(folder) => Ok(self.stored_folder(&folder)),
            None => Ok(location.trim_end_matches('/').to_string()),
        }
    }

    fn stored_folder(&self, folder: &Path) -> String {
        match folder.strip_prefix(&self.folder) {
            Ok(below) if below.components().all(|part| matches!(part, Component::Normal(_))) && !below.as_os_str().is_empty() => {
                let uri = file_uri(folder);
                format!("{RELATIVE}{}", uri[self.folder_uri.len()..].trim_start_matches('/'))
            }
            _ => file_uri(folder),
        }
    }

    /// As it is shown.
    pub fn resolved(&self, stored: &str) -> String {
        match stored.strip_prefix(RELATIVE) {
            Some(below) => format!("{}/{below}", self.folder_uri.trim_end_matches('/')),
            None => stored.to_string(),
        }
    }

    /// SQL for the shown form of a stored location; its one parameter is [`Self::prefix`].
    pub fn resolved_sql(column: &str, parameter: usize) -> String {
        format!("CASE WHEN substr({column}, 1, 2) = '{RELATIVE}' THEN ?{parameter} || substr({column}, 3) ELSE {column} END")
    }

    /// What stands in place of [`RELATIVE`] in a shown location.
    pub fn prefix(&self) -> String {
        format!("{}/", self.folder_uri.trim_end_matches('/'))
    }

    /// A new experiment's location, as it is stored.
    pub fn of_experiment(&self, experiment: i64) -> String {
        format!("{}/{experiment}", self.root)
    }
}
