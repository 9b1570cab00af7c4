//! Getting the published files: from their official host, from a mirror, or out of another folder.
//!
//! What is fetched is checked against the publishers' digests before it is put in place, file by file, each through a
//! temporary file and a rename. Members of an archive are recognised by their names and written under ours, so that no
//! path of the archive is ever followed. Nothing that is there already is overwritten unless `replace` says so.

mod download;
mod speed;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checksum::md5_of_file;
use crate::error::DataError;
use crate::files::{self, Contents};
use crate::name::DatasetName;
use crate::official::{self, Official, OfficialArchive};
pub use speed::Progress;

/// Where to fetch from and to, and how long to be patient.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// DATA_DIR.
    pub data_dir: PathBuf,
    /// Instead of the official host: a URL (`http://`, `https://`) below which the files have their official names, or
    /// a folder that holds them in any of the ways in which DATA_DIR may.
    pub mirror: Option<String>,
    /// Replace files that are there but are not the published ones.
    pub replace: bool,
    /// When to complain and when to give up.
    pub patience: Patience,
}

impl FetchOptions {
    /// From the official host, replacing nothing.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), mirror: None, replace: false, patience: Patience::default() }
    }
}

/// How long a download may take to do what.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Bytes per second below which a host is slow.
    pub slow_below: u64,
    /// A host that has been slow for this long gives a [`FetchEvent::Slow`], and again each time.
    pub slow_after: Duration,
    /// A connection without any data for this long is given up.
    pub stalled_after: Duration,
    /// Connections in a row that bring no new data before the download is given up.
    pub attempts: u32,
    /// Pause before the second attempt; doubled for each further one.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            slow_below: 200_000,
            slow_after: Duration::from_secs(10),
            stalled_after: Duration::from_secs(15),
            attempts: 3,
            pause: Duration::from_secs(1),
        }
    }
}

/// What is going on. The listener's `Break` ends the fetch with [`DataError::Stopped`]; a download goes on from there
/// the next time.
#[derive(Debug, Clone, PartialEq)]
pub enum FetchEvent {
    /// The published files are there already; nothing is done.
    Present {
        /// The folder or archive.
        place: PathBuf,
    },
    /// A connection was made.
    Started {
        /// What is downloaded.
        url: String,
        /// Bytes that an earlier attempt had brought.
        resumed_at: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
    /// Some five times a second.
    Progress(Progress),
    /// The host is slow; time to offer `FashionMNIST-sample` or a mirror.
    Slow(Progress),
    /// A connection ended early; another is made after a pause.
    Retry {
        /// What is downloaded.
        url: String,
        /// Why.
        problem: String,
        /// How long until then.
        pause: Duration,
    },
    /// All bytes are here and their digest is worked out.
    Checking {
        /// The downloaded file.
        file: PathBuf,
    },
    /// A file was put in place.
    Installed {
        /// The file.
        file: PathBuf,
    },
}

/// Hears about events.
pub type Listener<'a> = &'a mut dyn FnMut(&FetchEvent) -> ControlFlow<()>;

/// Puts the published files of `name` into DATA_DIR and returns the folder. A data set that is compiled in, or a folder,
/// needs no fetching: that is an error.
pub fn fetch(name: &str, options: &FetchOptions, listener: Listener<'_>) -> Result<PathBuf, DataError> {
    let name = DatasetName::parse(name)?;
    let official = official::of(&name).ok_or_else(|| {
        DataError::setting("dataset", &name, "CIFAR10, CIFAR100, FashionMNIST (FashionMNIST-sample and folders need no fetching)")
    })?;
    fetch_official(official, options, listener)
}

/// [`fetch`] for a table of files (the tests have their own).
pub(crate) fn fetch_official(official: &Official, options: &FetchOptions, listener: Listener<'_>) -> Result<PathBuf, DataError> {
    let data_dir = &options.data_dir;
    match files::read_all(official, data_dir) {
        Ok((place, contents)) => match contents.iter().find(|file| !file.official) {
            None => {
                tell(listener, FetchEvent::Present { place: place.clone() }, official)?;
                return Ok(place);
            }
            Some(odd) => refuse_unless(options.replace, &odd.path)?,
        },
        Err(DataError::Missing { .. }) => {}
        Err(DataError::Corrupt { path, .. }) => refuse_unless(options.replace, &path)?,
        Err(other) => return Err(other),
    }
    let folder = data_dir.join(official.folders[0]);
    for file in official.files {
        let path = folder.join(file.name);
        if path.exists() && !files::is_official(*file, &path)? {
            refuse_unless(options.replace, &path)?;
        }
    }
    fs::create_dir_all(data_dir).map_err(DataError::io("create", data_dir))?;
    match source(options.mirror.as_deref(), official)? {
        Source::Folder(from) => {
            let (place, contents) = files::read_all(official, &from)?;
            all_official(&contents, &place.display().to_string())?;
            install_all(official, &contents, &folder, listener)?;
        }
        Source::Url(base) => match official.archive {
            Some(archive) => from_archive(official, archive, &base, &folder, options, listener)?,
            None => one_by_one(official, &base, &folder, options, listener)?,
        },
    }
    Ok(folder)
}

enum Source {
    Folder(PathBuf),
    /// Ends with `/`.
    Url(String),
}

fn source(mirror: Option<&str>, official: &Official) -> Result<Source, DataError> {
    let Some(mirror) = mirror.filter(|mirror| !mirror.is_empty()) else { return Ok(Source::Url(official.host.into())) };
    if mirror.starts_with("http://") || mirror.starts_with("https://") {
        return Ok(Source::Url(format!("{}/", mirror.trim_end_matches('/'))));
    }
    let folder = Path::new(mirror.strip_prefix("file://").unwrap_or(mirror));
    if folder.is_dir() {
        Ok(Source::Folder(folder.into()))
    } else {
        Err(DataError::setting("data_mirror", mirror, "an http:// or https:// URL, or an existing folder"))
    }
}

fn from_archive(
    official: &Official,
    archive: OfficialArchive,
    base: &str,
    folder: &Path,
    options: &FetchOptions,
    listener: Listener<'_>,
) -> Result<(), DataError> {
    let part = options.data_dir.join(format!("{}.part", archive.name));
    let url = format!("{base}{}", archive.name);
    let check = |part: &Path| {
        let found = md5_of_file(part).map_err(DataError::io("read", part))?;
        let is_official = found == archive.md5;
        match files::read_archive(official, archive, part) {
            // A mirror may have packed the same files anew.
            Ok(contents) if is_official || contents.iter().all(|file| file.official) => Ok(contents),
            Err(error) if is_official => Err(error),
            _ => Err(DataError::Checksum { source_name: url.clone(), expected: archive.md5.into(), found }),
        }
    };
    let contents = download::checked(&url, &part, &options.patience, listener, check)?;
    install_all(official, &contents, folder, listener)?;
    fs::remove_file(&part).map_err(DataError::io("remove", &part))
}

fn one_by_one(official: &Official, base: &str, folder: &Path, options: &FetchOptions, listener: Listener<'_>) -> Result<(), DataError> {
    for file in official.files {
        let path = folder.join(file.name);
        if path.exists() && files::is_official(*file, &path)? {
            continue;
        }
        let url = format!("{base}{}.gz", file.name);
        let part = options.data_dir.join(format!("{}.gz.part", file.name));
        let check = |part: &Path| {
            let wrong = |found: String| DataError::Checksum { source_name: url.clone(), expected: file.digests[0].into(), found };
            match files::read_packed(*file, part) {
                Ok(contents) if contents.official => Ok(contents),
                Ok(contents) => Err(wrong(contents.md5)),
                Err(DataError::Corrupt { problem, .. }) => Err(wrong(problem)),
                Err(other) => Err(other),
            }
        };
        let contents = download::checked(&url, &part, &options.patience, listener, check)?;
        install_all(official, std::slice::from_ref(&contents), folder, listener)?;
        fs::remove_file(&part).map_err(DataError::io("remove", &part))?;
    }
    Ok(())
}

fn refuse_unless(replace: bool, path: &Path) -> Result<(), DataError> {
    if replace { Ok(()) } else { Err(DataError::Occupied { path: path.into() }) }
}

fn all_official(contents: &[Contents], place: &str) -> Result<(), DataError> {
    match contents.iter().find(|file| !file.official) {
        None => Ok(()),
        Some(odd) => Err(DataError::Checksum {
            source_name: format!("{} in {place}", odd.file.name),
            expected: odd.file.digests[0].into(),
            found: odd.md5.clone(),
        }),
    }
}

fn install_all(official: &Official, contents: &[Contents], folder: &Path, listener: Listener<'_>) -> Result<(), DataError> {
    fs::create_dir_all(folder).map_err(DataError::io("create", folder))?;
    for file in contents {
        let path = folder.join(file.file.name);
        install(&file.bytes, &path)?;
        tell(listener, FetchEvent::Installed { file: path }, official)?;
    }
    Ok(())
}

/// Whoever looks at `path` sees the old file or the whole new one, after a crash too.
fn install(bytes: &[u8], path: &Path) -> Result<(), DataError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = File::create(&temporary).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let moved = written.and_then(|()| fs::rename(&temporary, path));
    if moved.is_err() {
        // The error to report is the first one.
        let _ = fs::remove_file(&temporary);
    }
    moved.map_err(DataError::io("write", path))?;
    // The rename itself must reach the disk; not every file system can sync a folder.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

fn tell(listener: Listener<'_>, event: FetchEvent, official: &Official) -> Result<(), DataError> {
    match listener(&event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(DataError::Stopped { what: official.name.into() }),
    }
}
