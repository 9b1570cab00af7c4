//! Artifacts that a server keeps for its clients, streamed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anmok_protocol::messages::artifacts::{ListProxiedArtifacts, ListProxiedArtifactsResponse};
use anmok_protocol::routes::{Endpoint, Method};
use anmok_protocol::{ArtifactPath, FileInfo};
use ureq::SendBody;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};

use super::connection::{Again, Connection, found};
use super::download::Download;
use super::failure::Failure;
use crate::error::TrackingError;

/// From this many bytes on, the server is asked whether it wants them before they are sent.
const WORTH_ASKING: u64 = 1 << 20;

/// The files below a path of a server's artifacts.
#[derive(Clone)]
pub(crate) struct Proxied {
    pub(super) connection: Arc<Connection>,
    /// Decoded, without slashes around it.
    root: String,
}

impl std::fmt::Debug for Proxied {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}", self.connection.url(Endpoint::DownloadProxiedArtifact, &self.root))
    }
}

impl Proxied {
    pub(super) fn new(connection: Arc<Connection>, root: String) -> Self {
        Self { connection, root }
    }

    pub fn below(&self, folder: &ArtifactPath) -> Self {
        Self { connection: Arc::clone(&self.connection), root: self.path(Some(folder)) }
    }

    pub(super) fn path(&self, path: Option<&ArtifactPath>) -> String {
        match path {
            Some(path) if self.root.is_empty() => path.to_string(),
            Some(path) => format!("{}/{path}", self.root),
            None => self.root.clone(),
        }
    }

    /// As [`crate::ArtifactStore::put_file`].
    pub fn put_file(&self, path: &ArtifactPath, file: &Path) -> Result<(), TrackingError> {
        let unreadable = |error| TrackingError::io("reading the artifact", file, error);
        let size = std::fs::metadata(file).map_err(unreadable)?.len();
        if self.put_in_parts(path, file, size)? {
            return Ok(());
        }
        let mut problem = None;
        let put = self.put(path, size, || match File::open(file) {
            Ok(opened) => Ok(opened),
            Err(error) => {
                let failure = Failure::fixed(format!("was not given the file ({error})"), "try again");
                problem = Some(unreadable(error));
                Err(failure)
            }
        });
        problem.map_or(put, Err)
    }

    /// As [`crate::ArtifactStore::put_bytes`].
    pub fn put_bytes(&self, path: &ArtifactPath, bytes: &[u8]) -> Result<(), TrackingError> {
        self.put(path, bytes.len() as u64, || Ok(bytes))
    }

    /// Sends `size` bytes of what `open` gives, anew at each attempt.
    fn put<R: Read>(&self, path: &ArtifactPath, size: u64, mut open: impl FnMut() -> Result<R, Failure>) -> Result<(), TrackingError> {
        let url = self.connection.url(Endpoint::UploadProxiedArtifact, &self.path(Some(path)));
        let length = size.to_string();
        let mut headers = vec![(CONTENT_LENGTH.as_str(), length.as_str()), (CONTENT_TYPE.as_str(), "application/octet-stream")];
        if size >= WORTH_ASKING {
            headers.push((EXPECT.as_str(), "100-continue"));
        }
        self.connection.persist("uploading an artifact", &Again::Safe, || {
            // A file that grows meanwhile (a log) is sent as long as it was.
            let mut source = open()?.take(size);
            self.connection.send(Method::Put, &url, &headers, SendBody::from_reader(&mut source)).map(drop)
        })
    }

    /// As [`crate::ArtifactStore::open_file`].
    pub fn open_file(&self, path: &ArtifactPath) -> Result<Option<Box<dyn Read + Send>>, TrackingError> {
        let url = self.connection.url(Endpoint::DownloadProxiedArtifact, &self.path(Some(path)));
        // MLflow 2 answers 500 for a file that is not there, which looks as if it could pass.
        let absent = || Ok(self.listed(path)?.is_none());
        let opened = found(Download::open(Arc::clone(&self.connection), url, &absent))?.flatten();
        Ok(opened.map(|download| Box::new(download) as Box<dyn Read + Send>))
    }

    /// The file as its folder's listing has it.
    pub(super) fn listed(&self, path: &ArtifactPath) -> Result<Option<FileInfo>, TrackingError> {
        let folder = path.as_str().rsplit_once('/').map(|(folder, _)| ArtifactPath::parse(folder)).transpose()?;
        Ok(self.list(folder.as_ref())?.into_iter().find(|file| file.path == path.as_str() && !file.is_dir))
    }

    /// As [`crate::ArtifactStore::list`].
    pub fn list(&self, folder: Option<&ArtifactPath>) -> Result<Vec<FileInfo>, TrackingError> {
        let asked = ListProxiedArtifacts { path: Some(self.path(folder)).filter(|path| !path.is_empty()) };
        let listed = self.connection.call("listing artifacts", Endpoint::ListProxiedArtifacts, &asked, &Again::Safe);
        let listed: ListProxiedArtifactsResponse = found(listed)?.unwrap_or_default();
        // Base names; anything else would lead somewhere else.
        let base = |file: &FileInfo| !file.path.is_empty() && !file.path.contains(['/', '\\']) && !matches!(&*file.path, "." | "..");
        let mut files: Vec<FileInfo> = listed.files.into_iter().filter(base).collect();
        if let Some(folder) = folder {
            // Of a file, servers list the file itself.
            if let [only] = files.as_slice()
                && !only.is_dir
                && only.path == folder.file_name()
            {
                return Ok(vec![]);
            }
            files.iter_mut().for_each(|file| file.path = format!("{folder}/{}", file.path));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// As [`crate::ArtifactStore::delete`].
    pub fn delete(&self, path: &ArtifactPath) -> Result<bool, TrackingError> {
        let url = self.connection.url(Endpoint::DeleteProxiedArtifact, &self.path(Some(path)));
        let deleted =
            self.connection.persist("deleting an artifact", &Again::Safe, || self.connection.send(Method::Delete, &url, &[], ()).map(drop));
        Ok(found(deleted)?.is_some())
    }
}
