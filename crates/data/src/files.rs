//! Finding and reading the published files in a data folder, untouched: as files, gzip-packed files, or in the archive.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::{GzDecoder, MultiGzDecoder};
use sha2::{Digest, Sha256};

use crate::checksum::{hex, md5};
use crate::error::DataError;
use crate::official::{Official, OfficialArchive, OfficialFile};

/// No published file comes near this; what unpacks to more is not one of them.
pub(crate) const LARGEST_FILE: u64 = 1 << 30;

/// The unpacked contents of one published file.
#[derive(Debug)]
pub(crate) struct Contents {
    pub file: OfficialFile,
    /// Where it was read from (`archive:member` for one in an archive).
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// MD5 of `bytes`.
    pub md5: String,
    /// Whether the contents are the published ones.
    pub official: bool,
}

/// Reads all files of `official` from the first place in `data_dir` that has them.
/// Returns the folder or archive that was used, and the files in the table's order.
pub(crate) fn read_all(official: &Official, data_dir: &Path) -> Result<(PathBuf, Vec<Contents>), DataError> {
    let mut best: Vec<&str> = official.files.iter().map(|file| file.name).collect();
    for folder in official.folders {
        let folder = if *folder == "." { data_dir.to_path_buf() } else { data_dir.join(folder) };
        let found: Vec<Option<PathBuf>> = official.files.iter().map(|file| find(&folder, file.name)).collect();
        let missing: Vec<&str> =
            official.files.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(file, _)| file.name).collect();
        if missing.is_empty() {
            let paths: Vec<PathBuf> = found.into_iter().flatten().collect();
            return Ok((folder, in_parallel(official.files, &paths)?));
        }
        if missing.len() < best.len() {
            best = missing;
        }
    }
    if let Some(archive) = official.archive {
        let path = data_dir.join(archive.name);
        if path.is_file() {
            return Ok((path.clone(), read_archive(official, archive, &path)?));
        }
    }
    Err(DataError::Missing {
        dataset: official.name,
        place: data_dir.into(),
        missing: best.join(", "),
        megabytes: official.download_bytes / 1_000_000,
    })
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.is_file())
}

/// Reading, unpacking and hashing 180 MB takes most of a second on one core, so the files are shared out.
fn in_parallel(files: &[OfficialFile], paths: &[PathBuf]) -> Result<Vec<Contents>, DataError> {
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            files.iter().zip(paths).map(|(&file, path)| scope.spawn(move || Ok(contents(file, path.clone(), read(path)?)))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn contents(file: OfficialFile, path: PathBuf, bytes: Vec<u8>) -> Contents {
    let md5 = md5(&bytes);
    let matches = |digest: &str| if digest.len() == 32 { digest == md5 } else { digest == hex(&Sha256::digest(&bytes)) };
    let official = file.digests.iter().any(|digest| matches(digest));
    Contents { file, path, bytes, md5, official }
}

/// Whether the file at `path` has the published contents.
pub(crate) fn is_official(file: OfficialFile, path: &Path) -> Result<bool, DataError> {
    Ok(contents(file, path.into(), read(path)?).official)
}

/// A gzip-packed file, whatever its name.
pub(crate) fn read_packed(file: OfficialFile, path: &Path) -> Result<Contents, DataError> {
    let opened = File::open(path).map_err(DataError::io("open", path))?;
    Ok(contents(file, path.into(), bounded(path, MultiGzDecoder::new(BufReader::new(opened)), 0)?))
}

/// A whole file, unpacked if its name ends with `.gz`.
fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let file = File::open(path).map_err(DataError::io("open", path))?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        bounded(path, MultiGzDecoder::new(BufReader::new(file)), 0)
    } else {
        let length = file.metadata().map_err(DataError::io("read", path))?.len();
        bounded(path, file, length)
    }
}

/// Memory grows with what is really read, not with what a header says; `hint` is the file system's word.
fn bounded(path: &Path, reader: impl Read, hint: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(hint.min(LARGEST_FILE) as usize);
    reader.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => DataError::Corrupt {
            path: path.into(),
            offset: bytes.len() as u64,
            problem: format!("the gzip data is truncated or damaged ({source}); fetch it again"),
        },
        _ => DataError::Io { doing: "read", path: path.into(), source },
    })?;
    if bytes.len() as u64 > LARGEST_FILE {
        let problem = format!("the file is larger than any of the data set's ({LARGEST_FILE} bytes)");
        return Err(DataError::Corrupt { path: path.into(), offset: LARGEST_FILE, problem });
    }
    Ok(bytes)
}

/// The files of `official` out of its archive, by their last path component; nothing is written.
pub(crate) fn read_archive(official: &Official, archive: OfficialArchive, path: &Path) -> Result<Vec<Contents>, DataError> {
    let damaged = |source: io::Error| DataError::Corrupt {
        path: path.into(),
        offset: 0,
        problem: format!("{} cannot be unpacked ({source}): it is truncated or damaged; remove it and fetch it again", archive.name),
    };
    let file = File::open(path).map_err(DataError::io("open", path))?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut found: Vec<Option<Contents>> = official.files.iter().map(|_| None).collect();
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let member = entry.path().map_err(damaged)?.into_owned();
        let wanted =
            |file: &&OfficialFile| entry.header().entry_type().is_file() && member.file_name().is_some_and(|name| name == file.name);
        if let Some(index) = official.files.iter().position(|file| wanted(&file)) {
            let place = PathBuf::from(format!("{}:{}", path.display(), member.display()));
            let bytes = bounded(&place, entry, 0)?;
            found[index] = Some(contents(official.files[index], place, bytes));
            if found.iter().all(Option::is_some) {
                break;
            }
        }
    }
    let missing: Vec<&str> = official.files.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(file, _)| file.name).collect();
    if !missing.is_empty() {
        return Err(DataError::Missing {
            dataset: official.name,
            place: path.into(),
            missing: missing.join(", "),
            megabytes: official.download_bytes / 1_000_000,
        });
    }
    Ok(found.into_iter().flatten().collect())
}
