//! A run's files: local folders and buckets behind one type, so that callers know no trait.
//!
//! Each store can be used in two ways: blocking, for a training run's threads, and asynchronous and in pieces, for a server
//! that carries files of any size at constant memory. Local folders are our own code: `object_store`'s `LocalFileSystem`
//! follows symbolic links out of the folder, and writes names with `%` or `#` under other names.
//!
//! - [`options`]: what is needed to reach other places than folders
//! - [`transfer`]: pieces on their way in and out
//! - `folder`, `objects`: the two kinds; `bucket`: the providers of buckets; `attachment`: how a bucket names what it sends
//! - `uri`: artifact URIs

mod attachment;
mod bucket;
mod folder;
mod objects;
pub mod options;
pub mod transfer;
pub(crate) mod uri;

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anmok_protocol::{ArtifactPath, FileInfo};
use bytes::Bytes;

use self::bucket::Bucket;
use self::folder::{Folder, FolderUpload};
use self::objects::ObjectUpload;
use crate::error::TrackingError;
use crate::http::Proxied;
pub use objects::{Objects, PresignedMethod};
pub use options::{ArtifactOptions, BucketOptions};
pub use transfer::{ByteRange, ByteStream, Download, NoDownload};
pub(crate) use uri::{file_uri, local_folder};

/// Opens artifact URIs, and keeps the connections to buckets that it has opened.
#[derive(Debug, Default)]
pub struct Artifacts {
    options: ArtifactOptions,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Artifacts {
    /// What can be opened with these options.
    pub fn new(options: ArtifactOptions) -> Self {
        Self { options, buckets: Mutex::default() }
    }

    /// The files below a path, or a URI of a folder, a bucket or (where a server keeps some) `mlflow-artifacts:`. Nothing is
    /// made or asked until something is put or read.
    ///
    /// # Errors
    /// A URI of a kind that cannot be reached, with what is missing.
    pub fn open(&self, uri: &str) -> Result<ArtifactStore, TrackingError> {
        if let Some(path) = uri::proxied_path(uri)? {
            let Some(destination) = &self.options.destination else {
                let why = "it is kept by a server; set the tracking URI to that server's http:// address".into();
                return Err(TrackingError::ArtifactLocation { uri: uri.into(), why });
            };
            let store = self.open_here(destination)?;
            return if path.is_empty() { Ok(store) } else { Ok(store.below(&ArtifactPath::parse(&path)?)) };
        }
        self.open_here(uri)
    }

    fn open_here(&self, uri: &str) -> Result<ArtifactStore, TrackingError> {
        if let Some(root) = local_folder(uri)? {
            return Ok(ArtifactStore(Kind::Folder(Folder::new(root))));
        }
        if let Some(found) = uri::bucket(uri)? {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            let name = found.name();
            let bucket = match buckets.get(&name) {
                Some(bucket) => bucket.clone(),
                None => {
                    let bucket = Bucket::open(&found, &self.options.buckets)?;
                    buckets.insert(name, bucket.clone());
                    bucket
                }
            };
            return Ok(ArtifactStore(Kind::Objects(Objects::new(bucket, found.prefix))));
        }
        Err(TrackingError::ArtifactLocation {
            uri: uri.into(),
            why: "what can be reached are folders (a path, or file:///PATH), S3 (s3://BUCKET/PREFIX), Google Cloud Storage (gs://BUCKET/PREFIX) \
                  and Azure (wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PREFIX)"
                .into(),
        })
    }
}

/// The files below one artifact URI.
#[derive(Debug, Clone)]
pub struct ArtifactStore(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Folder(Folder),
    Objects(Objects),
    Proxied(Proxied),
}

impl ArtifactStore {
    /// The files below a path or URI that needs no options: see [`Artifacts::open`].
    ///
    /// # Errors
    /// A URI of a kind that cannot be reached.
    pub fn open(uri: &str) -> Result<Self, TrackingError> {
        Artifacts::default().open(uri)
    }

    /// The files in a local folder, whose path is taken as it is.
    pub fn folder(root: &Path) -> Self {
        Self(Kind::Folder(Folder::new(root.to_path_buf())))
    }

    /// Files that a server keeps for its clients.
    pub(crate) fn proxied(files: Proxied) -> Self {
        Self(Kind::Proxied(files))
    }

    /// The files below one of this store's folders.
    pub fn below(&self, folder: &ArtifactPath) -> Self {
        Self(match &self.0 {
            Kind::Folder(root) => Kind::Folder(root.below(folder)),
            Kind::Objects(root) => Kind::Objects(root.below(folder)),
            Kind::Proxied(root) => Kind::Proxied(root.below(folder)),
        })
    }

    /// Copies a local file to `path`, replacing what is there. Whoever reads meanwhile sees the old or the new file, whole.
    ///
    /// # Errors
    /// A file that cannot be read, a folder that cannot be written, a full disk, a way out of the folder through a link, a
    /// bucket that refuses or does not answer.
    pub fn put_file(&self, path: &ArtifactPath, file: &Path) -> Result<(), TrackingError> {
        let open = || std::fs::File::open(file).map_err(|error| TrackingError::io("reading the artifact", file, error));
        match &self.0 {
            Kind::Folder(folder) => folder.put(path, &mut open()?),
            Kind::Objects(objects) => objects.put(path, &mut open()?, file),
            Kind::Proxied(files) => files.put_file(path, file),
        }
    }

    /// Writes bytes to `path`, as [`Self::put_file`] does.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub fn put_bytes(&self, path: &ArtifactPath, mut bytes: &[u8]) -> Result<(), TrackingError> {
        match &self.0 {
            Kind::Folder(folder) => folder.put(path, &mut bytes),
            Kind::Objects(objects) => objects.put(path, &mut bytes, Path::new(path.as_str())),
            Kind::Proxied(files) => files.put_bytes(path, bytes),
        }
    }

    /// Opens a file for reading; `None` if there is none.
    ///
    /// # Errors
    /// A file that cannot be read, a way out of the folder through a link, a bucket that refuses or does not answer.
    pub fn open_file(&self, path: &ArtifactPath) -> Result<Option<Box<dyn Read + Send>>, TrackingError> {
        match &self.0 {
            Kind::Folder(folder) => folder.open_file(path),
            Kind::Objects(objects) => objects.open_file(path),
            Kind::Proxied(files) => files.open_file(path),
        }
    }

    /// Copies the artifact to a local file, which appears whole or not at all.
    ///
    /// # Errors
    /// As [`Self::open_file`]; an absent artifact; a file that cannot be written.
    pub fn get_file(&self, path: &ArtifactPath, to: &Path) -> Result<(), TrackingError> {
        match self.open_file(path)? {
            Some(mut source) => folder::replace(to, &mut source),
            None => {
                let place = self.local_path(path).unwrap_or_else(|| PathBuf::from(path.as_str()));
                Err(TrackingError::io("reading the artifact", &place, std::io::Error::from(std::io::ErrorKind::NotFound)))
            }
        }
    }

    /// What lies in a folder (`None`: the root), by path; paths are relative to the root. Nothing for an absent folder.
    ///
    /// # Errors
    /// A folder that cannot be read, a way out of the folder through a link, a bucket that refuses or does not answer.
    pub fn list(&self, folder: Option<&ArtifactPath>) -> Result<Vec<FileInfo>, TrackingError> {
        match &self.0 {
            Kind::Folder(root) => root.list(folder),
            Kind::Objects(root) => root.list(folder),
            Kind::Proxied(root) => root.list(folder),
        }
    }

    /// Deletes a file, or a folder with all that is in it; `false` if there is none.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn delete(&self, path: &ArtifactPath) -> Result<bool, TrackingError> {
        match &self.0 {
            Kind::Folder(root) => root.delete(path),
            Kind::Objects(root) => root.delete(path),
            Kind::Proxied(root) => root.delete(path),
        }
    }

    /// Deletes a folder if nothing is in it. Where it cannot be, it stays: an empty folder is nobody's harm.
    pub(crate) fn delete_empty_folder(&self, path: &ArtifactPath) {
        if let Kind::Folder(root) = &self.0 {
            std::fs::remove_dir(root.place(path)).ok();
        }
    }

    /// The place itself as one text, the same for every way to write it, without a `/` at its end: what lies in it starts
    /// with this text and a `/`.
    pub(crate) fn place(&self) -> String {
        match &self.0 {
            Kind::Folder(root) => file_uri(&root.real()).trim_end_matches('/').to_owned(),
            Kind::Objects(objects) => objects.place(),
            Kind::Proxied(files) => files.place(),
        }
    }

    /// Where the artifact lies or would lie on this machine, if it does at all.
    pub fn local_path(&self, path: &ArtifactPath) -> Option<PathBuf> {
        match &self.0 {
            Kind::Folder(folder) => Some(folder.place(path)),
            Kind::Objects(_) | Kind::Proxied(_) => None,
        }
    }

    /// The folder itself, if it lies on this machine.
    pub fn local_root(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Folder(folder) => Some(folder.root()),
            Kind::Objects(_) | Kind::Proxied(_) => None,
        }
    }

    /// Whether symbolic links lead this local folder out of another one. What is not local has no links.
    pub fn leads_out_of(&self, owner: &Self) -> bool {
        match (&self.0, &owner.0) {
            (Kind::Folder(folder), Kind::Folder(owner)) => !folder.lies_in(owner),
            _ => false,
        }
    }

    /// A file or a part of it in pieces. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`NoDownload`] says why there is none.
    pub async fn download(&self, path: &ArtifactPath, range: Option<ByteRange>) -> Result<Download, NoDownload> {
        match &self.0 {
            Kind::Folder(folder) => folder.download(path, range).await,
            Kind::Objects(objects) => objects.download(path, range).await,
            Kind::Proxied(files) => Err(served_twice(files).into()),
        }
    }

    /// Begins to write a file in pieces. Needs a tokio runtime.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub async fn upload(&self, path: &ArtifactPath) -> Result<Upload, TrackingError> {
        Ok(Upload(match &self.0 {
            Kind::Folder(folder) => Writing::Folder(folder.upload(path).await?),
            Kind::Objects(objects) => Writing::Objects(Box::new(objects.upload(path))),
            Kind::Proxied(files) => return Err(served_twice(files)),
        }))
    }

    /// The bucket, where it makes URLs that need no credentials; `None` for a folder, and for a bucket that makes none.
    pub fn signing(&self) -> Option<&Objects> {
        match &self.0 {
            Kind::Folder(_) | Kind::Proxied(_) => None,
            Kind::Objects(objects) => Some(objects).filter(|objects| objects.signs()),
        }
    }
}

/// A server does not stand on another one: a chain of proxies would be as slow as all of them, for nothing.
fn served_twice(files: &Proxied) -> TrackingError {
    let why = "a server cannot serve what another server keeps; let clients ask that one, or give the folder or bucket itself".into();
    TrackingError::ArtifactLocation { uri: format!("{files:?}"), why }
}

/// A file on its way in. It appears, whole, when it is finished; dropped before, it never existed.
#[derive(Debug)]
pub struct Upload(Writing);

#[derive(Debug)]
enum Writing {
    Folder(FolderUpload),
    Objects(Box<ObjectUpload>),
}

impl Upload {
    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`ArtifactStore::put_file`]; the file then never appears.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), TrackingError> {
        match &mut self.0 {
            Writing::Folder(upload) => upload.write(bytes).await,
            Writing::Objects(upload) => upload.write(bytes).await,
        }
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn finish(self) -> Result<(), TrackingError> {
        match self.0 {
            Writing::Folder(upload) => upload.finish().await,
            Writing::Objects(upload) => upload.finish().await,
        }
    }
}
