//! Artifacts in a bucket, through `object_store`.
//!
//! Keys are the paths as they are, as MLflow's own client writes them, so that the two find each other's files.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anmok_protocol::{ArtifactPath, FileInfo};
use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::multipart::PartId;
use object_store::path::Path as Key;
use object_store::signer::{Method, SignedUrlOptions};
use object_store::{GetOptions, GetRange, ObjectStoreExt};
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Handle, Runtime};

use super::attachment::attachment;
use super::bucket::{Bucket, Signing};
use super::transfer::{ByteRange, ByteStream, Download, NoDownload};
use super::uri::Provider;
use crate::error::TrackingError;

/// Bytes of a part of a large file. S3 takes 10,000 parts: files of up to 80 GB.
const PART: usize = 8 * 1024 * 1024;

/// Parts on their way at once, per file.
const PARTS_AT_ONCE: usize = 2;

/// Bytes that a blocking writer takes at once.
const PIECE: usize = 1024 * 1024;

/// The objects of a bucket below a prefix.
#[derive(Debug, Clone)]
pub struct Objects {
    bucket: Bucket,
    /// Without slashes around it; empty for the whole bucket.
    prefix: String,
}

impl Objects {
    pub(super) fn new(bucket: Bucket, prefix: &str) -> Self {
        Self { bucket, prefix: prefix.to_owned() }
    }

    pub(super) fn below(&self, folder: &ArtifactPath) -> Self {
        Self { bucket: self.bucket.clone(), prefix: self.text(Some(folder)) }
    }

    pub(super) fn place(&self) -> String {
        self.uri(&self.prefix).trim_end_matches('/').to_owned()
    }

    fn text(&self, path: Option<&ArtifactPath>) -> String {
        match path {
            Some(path) if self.prefix.is_empty() => path.to_string(),
            Some(path) => format!("{}/{path}", self.prefix),
            None => self.prefix.clone(),
        }
    }

    fn key(&self, path: Option<&ArtifactPath>) -> Result<Key, TrackingError> {
        let text = self.text(path);
        Key::parse(&text).map_err(|error| TrackingError::ArtifactLocation { uri: self.uri(&text), why: error.to_string() })
    }

    fn uri(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket.name)
    }

    /// What went wrong, with the place and what to do.
    fn failed(&self, doing: &'static str, key: &Key, error: &object_store::Error) -> TrackingError {
        use object_store::Error;
        let uri = self.uri(key.as_ref());
        let refused = |uri| TrackingError::ArtifactsRefused { doing, uri, check: self.bucket.provider.credentials() };
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => refused(uri),
            // A bucket that does not exist; an absent object is told apart before.
            Error::NotFound { .. } => TrackingError::ArtifactLocation { uri, why: format!("{doing}: there is no such bucket or object") },
            _ => {
                let detail = root_cause(error);
                // Of a list this is told as any other error.
                if ["401 Unauthorized", "403 Forbidden"].iter().any(|status| detail.contains(status)) {
                    return refused(uri);
                }
                TrackingError::ArtifactsUnavailable { doing, uri, detail, address: self.bucket.provider.address() }
            }
        }
    }

    /// A file or a part of it in pieces.
    pub(super) async fn download(&self, path: &ArtifactPath, range: Option<ByteRange>) -> Result<Download, NoDownload> {
        let key = self.key(Some(path))?;
        let asked = match &range {
            None => None,
            Some(ByteRange::Bounded(range)) => Some(GetRange::Bounded(range.clone())),
            Some(ByteRange::From(start)) => Some(GetRange::Offset(*start)),
            // Azure knows no ranges from the end.
            Some(ByteRange::Last(count)) if self.bucket.provider == Provider::Azure => match self.bucket.store.head(&key).await {
                Ok(meta) => Some(GetRange::Offset(meta.size.saturating_sub(*count))),
                // The read itself tells what is wrong.
                Err(_) => None,
            },
            Some(ByteRange::Last(count)) => Some(GetRange::Suffix(*count)),
        };
        let options = GetOptions { range: asked, ..GetOptions::default() };
        match self.bucket.store.get_opts(&key, options).await {
            Ok(found) => {
                let (size, range, modified) = (found.meta.size, found.range.clone(), found.meta.last_modified.into());
                let this = self.clone();
                let bytes: ByteStream =
                    Box::pin(found.into_stream().map_err(move |error| this.failed("reading the artifact", &key, &error)));
                Ok(Download { size, range, modified, bytes })
            }
            Err(object_store::Error::NotFound { .. }) => {
                Err(if self.is_folder(path).await? { NoDownload::IsFolder } else { NoDownload::Absent })
            }
            Err(error) => {
                // Out of range is no kind of error of its own; the size tells.
                if let (Some(range), Ok(meta)) = (range, self.bucket.store.head(&key).await)
                    && range.within(meta.size).is_none()
                {
                    return Err(NoDownload::OutOfRange(meta.size));
                }
                Err(self.failed("reading the artifact", &key, &error).into())
            }
        }
    }

    async fn is_folder(&self, path: &ArtifactPath) -> Result<bool, TrackingError> {
        let key = self.key(Some(path))?;
        let mut below = self.bucket.store.list(Some(&key));
        below.try_next().await.map(|first| first.is_some()).map_err(|error| self.failed("listing the artifacts in", &key, &error))
    }

    /// Begins to write a file in pieces.
    pub(super) fn upload(&self, path: &ArtifactPath) -> ObjectUpload {
        ObjectUpload { objects: self.clone(), path: path.clone(), writer: None, written: 0 }
    }

    /// As [`super::ArtifactStore::list`].
    pub async fn entries(&self, folder: Option<&ArtifactPath>) -> Result<Vec<FileInfo>, TrackingError> {
        let key = self.key(folder)?;
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        let listed = self.bucket.store.list_with_delimiter(prefix).await;
        let listed = listed.map_err(|error| self.failed("listing the artifacts in", &key, &error))?;
        let shown = |key: &Key| key.as_ref()[self.prefix.len()..].trim_start_matches('/').to_owned();
        let folders = listed.common_prefixes.iter().map(|key| FileInfo { path: shown(key), is_dir: true, file_size: None });
        let files = listed.objects.iter().map(|meta| FileInfo { path: shown(&meta.location), is_dir: false, file_size: Some(meta.size) });
        // Some servers and tools keep an empty object for the folder itself.
        let itself = folder.map_or("", ArtifactPath::as_str);
        let mut all: Vec<_> = folders.chain(files).filter(|entry| !entry.path.is_empty() && entry.path != itself).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    /// As [`super::ArtifactStore::delete`].
    pub async fn remove(&self, path: &ArtifactPath) -> Result<bool, TrackingError> {
        let key = self.key(Some(path))?;
        let failed = |error: object_store::Error| self.failed("deleting the artifacts in", &key, &error);
        let below: Vec<_> = self.bucket.store.list(Some(&key)).map_ok(|meta| meta.location).try_collect().await.map_err(failed)?;
        let itself = match self.bucket.store.head(&key).await {
            Ok(_) => true,
            Err(object_store::Error::NotFound { .. }) => false,
            Err(error) => return Err(failed(error)),
        };
        let found = itself || !below.is_empty();
        for each in below.into_iter().chain(itself.then(|| key.clone())) {
            self.bucket.store.delete(&each).await.map_err(failed)?;
        }
        Ok(found)
    }

    /// Whether this bucket makes URLs that need no credentials, for files and for their parts.
    pub(super) fn signs(&self) -> bool {
        self.bucket.signing.is_some()
    }

    fn signing(&self) -> Result<&dyn Signing, TrackingError> {
        self.bucket.signing.as_deref().ok_or_else(|| {
            let why = "no URLs are signed for it".into();
            TrackingError::ArtifactLocation { uri: self.place(), why }
        })
    }

    /// A URL with which `method` can be done on a file without credentials, for a time.
    ///
    /// # Errors
    /// Credentials that cannot be had.
    pub async fn presigned(&self, method: PresignedMethod, path: &ArtifactPath, valid: Duration) -> Result<String, TrackingError> {
        let key = self.key(Some(path))?;
        let options = match method {
            PresignedMethod::Get => SignedUrlOptions::new().with_query([("response-content-disposition", attachment(path.file_name()))]),
            PresignedMethod::Put => SignedUrlOptions::new(),
        };
        let url = self.signing()?.signed_url_opts(method.http(), &key, valid, &options).await;
        url.map(String::from).map_err(|error| self.failed("signing a URL for", &key, &error))
    }

    /// Bytes of a file; `None` if there is none.
    ///
    /// # Errors
    /// As [`super::ArtifactStore::list`].
    pub async fn size(&self, path: &ArtifactPath) -> Result<Option<u64>, TrackingError> {
        let key = self.key(Some(path))?;
        match self.bucket.store.head(&key).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("reading the artifact", &key, &error)),
        }
    }

    /// Begins an upload whose parts are sent to the bucket by somebody else: its id, and the URL of each part, from 1 on.
    ///
    /// # Errors
    /// As [`super::ArtifactStore::put_file`].
    pub async fn begin_parts(&self, path: &ArtifactPath, parts: u32, valid: Duration) -> Result<(String, Vec<String>), TrackingError> {
        let key = self.key(Some(path))?;
        let failed = |error: object_store::Error| self.failed("beginning to upload", &key, &error);
        let signing = self.signing()?;
        let id = signing.create_multipart(&key).await.map_err(failed)?;
        let mut urls = Vec::with_capacity(parts as usize);
        for number in 1..=parts {
            let query = [("partNumber", number.to_string()), ("uploadId", id.clone())];
            let options = SignedUrlOptions::new().with_query(query);
            match signing.signed_url_opts(Method::PUT, &key, valid, &options).await {
                Ok(url) => urls.push(url.into()),
                Err(error) => {
                    // What was begun would be paid for until somebody removes it.
                    signing.abort_multipart(&key, &id).await.ok();
                    return Err(failed(error));
                }
            }
        }
        Ok((id, urls))
    }

    /// Makes a file of the parts, given by their entity tags in order.
    ///
    /// # Errors
    /// As [`super::ArtifactStore::put_file`]; parts that the bucket does not have.
    pub async fn complete_parts(&self, path: &ArtifactPath, upload_id: &str, etags: Vec<String>) -> Result<(), TrackingError> {
        let key = self.key(Some(path))?;
        let parts = etags.into_iter().map(|content_id| PartId { content_id }).collect();
        let done = self.signing()?.complete_multipart(&key, &upload_id.to_owned(), parts).await;
        done.map(drop).map_err(|error| self.failed("completing the upload of", &key, &error))
    }

    /// Forgets the parts.
    ///
    /// # Errors
    /// As [`super::ArtifactStore::put_file`].
    pub async fn abort_parts(&self, path: &ArtifactPath, upload_id: &str) -> Result<(), TrackingError> {
        let key = self.key(Some(path))?;
        let done = self.signing()?.abort_multipart(&key, &upload_id.to_owned()).await;
        done.map_err(|error| self.failed("aborting the upload of", &key, &error))
    }

    pub(super) fn list(&self, folder: Option<&ArtifactPath>) -> Result<Vec<FileInfo>, TrackingError> {
        runtime()?.block_on(self.entries(folder))
    }

    pub(super) fn delete(&self, path: &ArtifactPath) -> Result<bool, TrackingError> {
        runtime()?.block_on(self.remove(path))
    }

    /// `from` is named in an error of the source's.
    pub(super) fn put(&self, path: &ArtifactPath, source: &mut impl Read, from: &Path) -> Result<(), TrackingError> {
        let runtime = runtime()?;
        let mut upload = self.upload(path);
        loop {
            let mut piece = vec![];
            let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            let written = match read {
                Ok(0) => return runtime.block_on(upload.finish()),
                Ok(_) => runtime.block_on(upload.write(Bytes::from(piece))),
                Err(error) => Err(TrackingError::io("reading the artifact", from, error)),
            };
            if let Err(error) = written {
                runtime.block_on(upload.abandon());
                return Err(error);
            }
        }
    }

    pub(super) fn open_file(&self, path: &ArtifactPath) -> Result<Option<Box<dyn Read + Send>>, TrackingError> {
        match runtime()?.block_on(self.download(path, None)) {
            Ok(download) => Ok(Some(Box::new(BlockingRead { bytes: download.bytes, piece: Bytes::new() }))),
            Err(NoDownload::Failed(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// What a presigned URL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresignedMethod {
    /// Reading.
    Get,
    /// Writing.
    Put,
}

impl PresignedMethod {
    fn http(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Put => Method::PUT,
        }
    }
}

/// An object on its way in: at once if it is small, in parts otherwise.
#[derive(Debug)]
pub(super) struct ObjectUpload {
    objects: Objects,
    path: ArtifactPath,
    /// Made by the first piece.
    writer: Option<BufWriter>,
    written: u64,
}

impl ObjectUpload {
    fn writer(&mut self) -> Result<(Key, &mut BufWriter), TrackingError> {
        let key = self.objects.key(Some(&self.path))?;
        let store = Arc::clone(&self.objects.bucket.store);
        let make = || BufWriter::with_capacity(store, key.clone(), PART).with_max_concurrency(PARTS_AT_ONCE);
        let writer = self.writer.get_or_insert_with(make);
        Ok((key, writer))
    }

    pub async fn write(&mut self, bytes: Bytes) -> Result<(), TrackingError> {
        self.written += bytes.len() as u64;
        let (key, writer) = self.writer()?;
        let done = writer.put(bytes).await;
        done.map_err(|error| self.objects.failed("writing the artifact", &key, &error))
    }

    pub async fn finish(mut self) -> Result<(), TrackingError> {
        let (key, writer) = self.writer()?;
        let done = writer.shutdown().await;
        let done = done.map_err(|error| match error.downcast::<object_store::Error>() {
            Ok(error) => self.objects.failed("writing the artifact", &key, &error),
            Err(error) => TrackingError::ArtifactsUnavailable {
                doing: "writing the artifact",
                uri: self.objects.uri(key.as_ref()),
                detail: error.to_string(),
                address: self.objects.bucket.provider.address(),
            },
        });
        if done.is_ok() {
            self.writer = None;
        }
        done
    }

    /// Forgets the parts that are there already.
    pub async fn abandon(mut self) {
        if let Some(mut writer) = self.writer.take() {
            // Best effort: what stays are parts that nobody sees, which buckets can be told to expire.
            let _ = writer.abort().await;
        }
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        // Only parts need to be taken back; and only where something runs that can do it.
        if let (Some(mut writer), true, Ok(runtime)) = (self.writer.take(), self.written >= PART as u64, Handle::try_current()) {
            runtime.spawn(async move {
                let _ = writer.abort().await;
            });
        }
    }
}

/// Reads a stream from a thread that may wait.
struct BlockingRead {
    bytes: ByteStream,
    piece: Bytes,
}

impl Read for BlockingRead {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            let next = runtime().map_err(std::io::Error::other)?.block_on(self.bytes.try_next());
            match next.map_err(std::io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

/// The runtime under the blocking calls, made by the first of them. It has a thread of its own, so that connections that
/// are kept open are looked after between two calls.
fn runtime() -> Result<&'static Runtime, TrackingError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread().worker_threads(1).thread_name("artifacts").enable_all().build();
    let made = made.map_err(|error| TrackingError::System { doing: "starting the thread for artifacts", detail: error.to_string() })?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// The innermost cause, which says what happened ("Connection refused"); the layers around it say it again. Its first line: what
/// follows is a server's XML.
fn root_cause(error: &object_store::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string().lines().next().unwrap_or_default().to_owned()
}
