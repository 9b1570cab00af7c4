//! Artifact locations: stored relative to the folder of a database file where they lie in it, so that a project can be moved
//! or copied as a whole; resolved when read. A database that is no file stores them as they are.

use std::path::{Component, Path, PathBuf};

use crate::artifact::{file_uri, local_folder};
use crate::error::TrackingError;

/// What starts a location that is relative to the database's folder.
const RELATIVE: &str = "./";

#[derive(Debug, Clone)]
pub(crate) struct Locations {
    /// The database's folder as a `file://` URI.
    folder_uri: String,
    /// `None` for a database that is no file.
    folder: Option<PathBuf>,
    /// Where new experiments' artifacts go, as it is stored.
    root: String,
}

impl Locations {
    /// Of a database file: `artifact_root`, or the folder `NAME-artifacts` beside the database `NAME.db`.
    pub fn beside(database: &Path, artifact_root: Option<&str>) -> Result<Self, TrackingError> {
        let folder = database.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut name = database.file_stem().unwrap_or_default().to_os_string();
        name.push("-artifacts");
        let default = folder.join(name);
        Self { folder_uri: file_uri(&folder), folder: Some(folder), root: String::new() }.with_root(artifact_root, &default)
    }

    /// Of a database on a server: `artifact_root`, or the folder `anmok-artifacts` in the working directory.
    pub fn of_server(artifact_root: Option<&str>) -> Result<Self, TrackingError> {
        let default = Path::new("anmok-artifacts");
        let default = std::path::absolute(default).map_err(|error| TrackingError::io("finding the folder of", default, error))?;
        Self { folder_uri: "file:///".into(), folder: None, root: String::new() }.with_root(artifact_root, &default)
    }

    fn with_root(mut self, artifact_root: Option<&str>, default: &Path) -> Result<Self, TrackingError> {
        self.root = match artifact_root {
            Some(root) => self.stored(root)?,
            None => self.stored_folder(default),
        };
        Ok(self)
    }

    /// As it is stored: a URI as it is, a folder below the database's own as a relative path.
    pub fn stored(&self, location: &str) -> Result<String, TrackingError> {
        match local_folder(location)? {
            Some(folder) => Ok(self.stored_folder(&folder)),
            None => Ok(location.trim_end_matches('/').to_string()),
        }
    }

    fn stored_folder(&self, folder: &Path) -> String {
        match self.folder.as_ref().map(|own| folder.strip_prefix(own)) {
            Some(Ok(below)) if below.components().all(|part| matches!(part, Component::Normal(_))) && !below.as_os_str().is_empty() => {
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

    /// SQL for the shown form of a stored location; `place` is that of the parameter [`Self::prefix`].
    pub fn resolved_sql(column: &str, place: &str) -> String {
        format!("CASE WHEN substr({column}, 1, 2) = '{RELATIVE}' THEN {place} || substr({column}, 3) ELSE {column} END")
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
