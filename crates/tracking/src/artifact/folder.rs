//! Artifacts in a local folder: whole files, and no way out.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anmok_protocol::{ArtifactPath, FileInfo};
use bytes::Bytes;

use super::transfer::{ByteRange, ByteStream, Download, NoDownload};
use crate::error::TrackingError;
use crate::run_name::random_bytes;

/// What a temporary file's name ends with; listings leave them out.
const TEMPORARY: &str = ".anmok-part";

/// Bytes of a piece on its way out.
const PIECE: usize = 256 * 1024;

/// A folder of artifacts.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Nothing is made until something is put.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn below(&self, folder: &ArtifactPath) -> Self {
        Self { root: self.place(folder) }
    }

    /// Writes a file, replacing what is there.
    pub fn put(&self, path: &ArtifactPath, source: &mut impl Read) -> Result<(), TrackingError> {
        replace(&self.target(path)?, source)
    }

    /// Where a file is to be written: its folder is there, and inside.
    fn target(&self, path: &ArtifactPath) -> Result<PathBuf, TrackingError> {
        let target = self.place(path);
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|error| TrackingError::io("making the artifact folder", folder, error))?;
        self.require_inside(folder, path)?;
        Ok(target)
    }

    pub fn open_file(&self, path: &ArtifactPath) -> Result<Option<Box<dyn Read + Send>>, TrackingError> {
        match self.open(path) {
            Ok((file, _)) => Ok(Some(Box::new(file))),
            Err(NoDownload::Failed(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn open(&self, path: &ArtifactPath) -> Result<(File, fs::Metadata), NoDownload> {
        let place = self.place(path);
        match File::open(&place) {
            Ok(file) => {
                self.require_inside(&place, path)?;
                let metadata = file.metadata().map_err(|error| TrackingError::io("reading the artifact", &place, error))?;
                if metadata.is_dir() { Err(NoDownload::IsFolder) } else { Ok((file, metadata)) }
            }
            Err(error) if is_absent(&error) => Err(NoDownload::Absent),
            Err(error) => Err(TrackingError::io("reading the artifact", &place, error).into()),
        }
    }

    pub async fn download(&self, path: &ArtifactPath, range: Option<ByteRange>) -> Result<Download, NoDownload> {
        let (folder, path) = (self.clone(), path.clone());
        waiting(move || {
            let (mut file, metadata) = folder.open(&path)?;
            let size = metadata.len();
            let range = match range {
                Some(range) => range.within(size).ok_or(NoDownload::OutOfRange(size))?,
                None => 0..size,
            };
            let place = folder.place(&path);
            let failed = |error| TrackingError::io("reading the artifact", &place, error);
            file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
            let modified = metadata.modified().map_err(failed)?;
            let bytes = pieces(file, place, range.end - range.start);
            Ok(Download { size, range, modified, bytes })
        })
        .await
    }

    pub async fn upload(&self, path: &ArtifactPath) -> Result<FolderUpload, TrackingError> {
        let (folder, path) = (self.clone(), path.clone());
        waiting(move || Ok(FolderUpload { part: Some(Part::beside(folder.target(&path)?)?) })).await
    }

    pub fn delete(&self, path: &ArtifactPath) -> Result<bool, TrackingError> {
        let place = self.place(path);
        let failed = |error| TrackingError::io("deleting the artifact", &place, error);
        // Not what a link points to: the link itself is deleted.
        let metadata = match fs::symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        self.require_inside(place.parent().unwrap_or(&self.root), path)?;
        if metadata.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) }.map_err(failed)?;
        Ok(true)
    }

    pub fn list(&self, folder: Option<&ArtifactPath>) -> Result<Vec<FileInfo>, TrackingError> {
        let place = folder.map_or_else(|| self.root.clone(), |folder| self.place(folder));
        let failed = |error| TrackingError::io("listing the artifacts in", &place, error);
        let entries = match fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(vec![]),
            Err(error) => return Err(failed(error)),
        };
        if let Some(folder) = folder {
            self.require_inside(&place, folder)?;
        }
        let mut files = vec![];
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // A name that is not Unicode cannot be asked for, and was not put here by us.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(TEMPORARY) {
                continue;
            }
            // Gone since the folder was read, or a link to nowhere.
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            let path = folder.map_or_else(|| name.clone(), |folder| format!("{folder}/{name}"));
            files.push(FileInfo { path, is_dir: metadata.is_dir(), file_size: metadata.is_file().then_some(metadata.len()) });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    pub fn place(&self, path: &ArtifactPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    /// Whether the folder, with every symbolic link followed, lies in another. What is not there yet is judged by the
    /// nearest folder above it that is; a way that cannot be followed leads nowhere.
    pub fn lies_in(&self, other: &Self) -> bool {
        let real = |root: &Path| {
            let (there, real) = root.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)))?;
            // A link to nowhere has no real path, but is there: whoever makes its target decides where it leads.
            let missing = root.strip_prefix(there).ok()?;
            let dangling = missing.components().next().is_some_and(|first| fs::symlink_metadata(there.join(first)).is_ok());
            (!dangling).then(|| real.join(missing))
        };
        real(&self.root).zip(real(&other.root)).is_some_and(|(inner, outer)| inner.starts_with(outer))
    }

    /// The folder with every symbolic link followed, as far as it is there.
    pub fn real(&self) -> PathBuf {
        let found = self.root.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
        let real = found.and_then(|(there, real)| Some(real.join(self.root.strip_prefix(there).ok()?)));
        real.unwrap_or_else(|| self.root.clone())
    }

    /// [`ArtifactPath`] cannot leave the folder by itself; a symbolic link on its way could.
    fn require_inside(&self, place: &Path, path: &ArtifactPath) -> Result<(), TrackingError> {
        let real = |place: &Path| fs::canonicalize(place).map_err(|error| TrackingError::io("finding the artifact", place, error));
        if real(place)?.starts_with(real(&self.root)?) {
            Ok(())
        } else {
            let why = format!("{path} leads out of the run's folder through a symbolic link");
            Err(TrackingError::ArtifactLocation { uri: self.root.display().to_string(), why })
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Streams into a temporary file beside the target, and renames it when it is on the disk.
pub(super) fn replace(target: &Path, source: &mut impl Read) -> Result<(), TrackingError> {
    let mut part = Part::beside(target.to_path_buf())?;
    io::copy(source, &mut part.file).map_err(|error| part.failed(error))?;
    part.finish()
}

/// The temporary file that becomes the target. Dropped before, it is removed and the target untouched.
#[derive(Debug)]
struct Part {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl Part {
    fn beside(target: PathBuf) -> Result<Self, TrackingError> {
        let unique: String = random_bytes::<6>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let temporary = target.with_file_name(format!(".{unique}{TEMPORARY}"));
        match File::create_new(&temporary) {
            Ok(file) => Ok(Self { file, temporary, target }),
            Err(error) => Err(TrackingError::io("writing the artifact", &target, error)),
        }
    }

    fn failed(&self, error: io::Error) -> TrackingError {
        TrackingError::io("writing the artifact", &self.target, error)
    }

    fn finish(self) -> Result<(), TrackingError> {
        // Otherwise a power cut after the rename can leave an empty file under the final name.
        self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.target)).map_err(|error| self.failed(error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Renamed already, or of no use any more.
        fs::remove_file(&self.temporary).ok();
    }
}

/// A file on its way in, piece by piece.
#[derive(Debug)]
pub(super) struct FolderUpload {
    /// `None` only after a failure.
    part: Option<Part>,
}

impl FolderUpload {
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), TrackingError> {
        let Some(mut part) = self.part.take() else {
            return Err(TrackingError::System { doing: "writing an artifact", detail: "an earlier piece was lost".into() });
        };
        self.part = Some(
            waiting(move || match part.file.write_all(&bytes) {
                Ok(()) => Ok(part),
                Err(error) => Err(part.failed(error)),
            })
            .await?,
        );
        Ok(())
    }

    pub async fn finish(self) -> Result<(), TrackingError> {
        match self.part {
            Some(part) => waiting(move || part.finish()).await,
            None => Err(TrackingError::System { doing: "writing an artifact", detail: "an earlier piece was lost".into() }),
        }
    }
}

/// The next `left` bytes of a file.
fn pieces(file: File, place: PathBuf, left: u64) -> ByteStream {
    Box::pin(futures_util::stream::try_unfold((file, place, left), |(mut file, place, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        waiting(move || {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            file.read_exact(&mut piece).map_err(|error| TrackingError::io("reading the artifact", &place, error))?;
            let left = left - piece.len() as u64;
            Ok(Some((Bytes::from(piece), (file, place, left))))
        })
        .await
    }))
}

/// Does what blocks on tokio's threads for that.
async fn waiting<T: Send + 'static, E: From<TrackingError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(TrackingError::System { doing: "waiting for an artifact's file", detail: error.to_string() }.into()),
    }
}
