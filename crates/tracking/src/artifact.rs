//! A run's files.
//!
//! Only local folders so far; other kinds (S3, a server's proxy) become further cases behind the same methods, so that
//! callers know one type and no trait.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anmok_protocol::{ArtifactPath, FileInfo};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use crate::error::TrackingError;
use crate::run_name::random_bytes;
use crate::uri::is_scheme;

/// What a temporary file's name ends with; listings leave them out.
const TEMPORARY: &str = ".anmok-part";

/// The files below one artifact URI.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    /// Where they lie.
    root: PathBuf,
}

impl ArtifactStore {
    /// The files below a `file://` URI or a path. Nothing is made until something is put.
    ///
    /// # Errors
    /// A URI of a kind that this build cannot reach.
    pub fn open(uri: &str) -> Result<Self, TrackingError> {
        match local_folder(uri)? {
            Some(root) => Ok(Self { root }),
            None => Err(TrackingError::ArtifactLocation {
                uri: uri.into(),
                why: "this build reaches only local folders (a path, or file:///path)".into(),
            }),
        }
    }

    /// Copies a local file to `path`, replacing what is there. Whoever reads meanwhile sees the old or the new file, whole.
    ///
    /// # Errors
    /// A file that cannot be read, a folder that cannot be written, a full disk, a way out of the folder through a link.
    pub fn put_file(&self, path: &ArtifactPath, file: &Path) -> Result<(), TrackingError> {
        let mut source = File::open(file).map_err(|error| TrackingError::io("reading the artifact", file, error))?;
        self.put(path, &mut source)
    }

    /// Writes bytes to `path`, as [`Self::put_file`] does.
    ///
    /// # Errors
    /// As [`Self::put_file`].
    pub fn put_bytes(&self, path: &ArtifactPath, mut bytes: &[u8]) -> Result<(), TrackingError> {
        self.put(path, &mut bytes)
    }

    fn put(&self, path: &ArtifactPath, source: &mut impl Read) -> Result<(), TrackingError> {
        let target = self.place(path);
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|error| TrackingError::io("making the artifact folder", folder, error))?;
        self.require_inside(folder, path)?;
        replace(&target, source)
    }

    /// Opens a file for reading; `None` if there is none.
    ///
    /// # Errors
    /// A file that cannot be read, a way out of the folder through a link.
    pub fn open_file(&self, path: &ArtifactPath) -> Result<Option<Box<dyn Read + Send>>, TrackingError> {
        let place = self.place(path);
        match File::open(&place) {
            Ok(file) => {
                self.require_inside(&place, path)?;
                let metadata = file.metadata().map_err(|error| TrackingError::io("reading the artifact", &place, error))?;
                Ok(if metadata.is_dir() { None } else { Some(Box::new(file)) })
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(TrackingError::io("reading the artifact", &place, error)),
        }
    }

    /// Copies the artifact to a local file, which appears whole or not at all.
    ///
    /// # Errors
    /// As [`Self::open_file`]; an absent artifact; a file that cannot be written.
    pub fn get_file(&self, path: &ArtifactPath, to: &Path) -> Result<(), TrackingError> {
        match self.open_file(path)? {
            Some(mut source) => replace(to, &mut source),
            None => Err(TrackingError::io("reading the artifact", &self.place(path), io::Error::from(io::ErrorKind::NotFound))),
        }
    }

    /// What lies in a folder (`None`: the root), by path; paths are relative to the root. Nothing for an absent folder.
    ///
    /// # Errors
    /// A folder that cannot be read, a way out of the folder through a link.
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

    /// Where the artifact lies or would lie on this machine, if it does at all.
    pub fn local_path(&self, path: &ArtifactPath) -> Option<PathBuf> {
        Some(self.place(path))
    }

    /// The folder itself, if it lies on this machine.
    pub fn local_root(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn place(&self, path: &ArtifactPath) -> PathBuf {
        self.root.join(path.as_str())
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
fn replace(target: &Path, source: &mut impl Read) -> Result<(), TrackingError> {
    let failed = |error| TrackingError::io("writing the artifact", target, error);
    let unique: String = random_bytes::<6>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let temporary = target.with_file_name(format!(".{unique}{TEMPORARY}"));
    let mut write = || {
        let mut file = File::create_new(&temporary)?;
        io::copy(source, &mut file)?;
        file.flush()?;
        // Otherwise a power cut after the rename can leave an empty file under the final name.
        file.sync_all()?;
        fs::rename(&temporary, target)
    };
    write().map_err(|error| {
        // The target is untouched; what is left of the temporary file is of no use.
        fs::remove_file(&temporary).ok();
        failed(error)
    })
}

/// What a path keeps as it is within a URI: RFC 3986's unreserved characters, `/`, and the harmless `:@!$&'()*+,;=`.
const URI_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// An absolute path as a `file://` URI.
pub(crate) fn file_uri(path: &Path) -> String {
    format!("file://{}", percent_encode(path.as_os_str().as_encoded_bytes(), URI_PATH))
}

/// The absolute folder that a `file:` URI or a path names; `None` for a URI of another kind.
pub(crate) fn local_folder(location: &str) -> Result<Option<PathBuf>, TrackingError> {
    let refuse = |why: &str| Err(TrackingError::ArtifactLocation { uri: location.into(), why: why.into() });
    let path = match location.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            if !path.starts_with('/') {
                return refuse("a file URI needs an absolute path: file:///path");
            }
            match percent_decode_str(path).decode_utf8() {
                Ok(path) => PathBuf::from(path.as_ref()),
                Err(_) => return refuse("its percent-encoded bytes are not UTF-8"),
            }
        }
        Some((scheme, _)) if is_scheme(scheme) => return Ok(None),
        _ => PathBuf::from(location),
    };
    if path.as_os_str().is_empty() {
        return refuse("it is empty");
    }
    std::path::absolute(&path).map(Some).map_err(|error| TrackingError::io("finding the artifact folder", &path, error))
}
