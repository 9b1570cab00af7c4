//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a file could not be written. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {action}: {problem}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What was being done.
    pub action: &'static str,
    /// The system's reason.
    pub problem: io::Error,
}

/// Writes `path` by way of a temporary file in the same folder: `fill` writes the contents (they are buffered), which
/// are then fsynced and renamed over `path`, and the folder is fsynced. A reader sees the old file or the new one,
/// after a crash or a power cut too; an error leaves the old one. The folder must exist.
///
/// A process that is killed leaves a `.NAME.PID-N.tmp` behind; the next write to `path` removes those older than an hour
/// (younger ones may belong to another process that is writing).
pub fn atomic_write(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    let fail = |action| move |problem| WriteError { path: path.to_owned(), action, problem };
    let name = path.file_name().ok_or_else(|| fail("naming the file")(io::ErrorKind::InvalidInput.into()))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    remove_abandoned(folder, name);
    let (temporary, file) = create_temporary(folder, name).map_err(fail("creating a temporary file beside it"))?;
    let mut writer = BufWriter::with_capacity(1 << 18, file);
    fill(&mut writer).map_err(fail("writing the contents"))?;
    let file = writer.into_inner().map_err(|error| fail("writing the contents")(error.into_error()))?;
    file.sync_all().map_err(fail("fsync"))?;
    drop(file);
    fs::rename(&temporary.0, path).map_err(fail("renaming the temporary file"))?;
    std::mem::forget(temporary);
    // Without this the rename itself may be lost in a power cut. Other systems have no such call.
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail("fsync of the folder"))?;
    }
    Ok(())
}

/// Removes its file unless it is forgotten.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // The error that brought us here is the one to report; a file left behind is swept up later.
        let _ = fs::remove_file(&self.0);
    }
}

/// In containers every process is number 1: another one's file, alive or abandoned, may have the name already.
fn create_temporary(folder: &Path, name: &std::ffi::OsStr) -> io::Result<(Temporary, File)> {
    const ATTEMPTS: usize = 1000;
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..ATTEMPTS {
        let path = folder.join(temporary_name(name));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((Temporary(path), file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

fn prefix(name: &std::ffi::OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

fn temporary_name(name: &std::ffi::OsStr) -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut temporary = prefix(name);
    temporary.push(format!("{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    temporary
}

/// Housekeeping: what cannot be listed or removed stays, and does not keep the new file from being written.
fn remove_abandoned(folder: &Path, name: &std::ffi::OsStr) {
    let prefix = prefix(name);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let entry_name = entry.file_name();
        let Some(rest) = entry_name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes()) else { continue };
        let Some(middle) = rest.strip_suffix(b".tmp") else { continue };
        let ours = !middle.is_empty() && middle.iter().all(|&byte| byte.is_ascii_digit() || byte == b'-');
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|modified| modified.elapsed().ok());
        if ours && age.is_some_and(|age| age > Duration::from_secs(3600)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for contents in ["one", "two"] {
            atomic_write(&path, |writer| writer.write_all(contents.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        }
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        fs::write(&path, "old").unwrap();
        let error = atomic_write(&path, |writer| {
            writer.write_all(&[0; 1 << 20])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        let text = error.unwrap_err().to_string();
        assert!(text.contains("a.bin: writing the contents: no storage space"), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(&folder.path().join("missing/a.bin"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("missing/a.bin: creating a temporary file beside it"), "{error}");
        assert!(atomic_write(Path::new("/"), |_| Ok(())).is_err());
    }

    #[test]
    fn only_old_temporary_files_of_the_same_target_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(7200);
        for (name, is_old) in [(".a.bin.12-0.tmp", true), (".a.bin.13-0.tmp", false), (".b.bin.12-0.tmp", true), (".a.bin.notes.tmp", true)]
        {
            let file = File::create(folder.path().join(name)).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
        }
        atomic_write(&folder.path().join("a.bin"), |_| Ok(())).unwrap();
        assert_eq!(names(folder.path()), [".a.bin.13-0.tmp", ".a.bin.notes.tmp", ".b.bin.12-0.tmp", "a.bin"]);
    }

    /// The counter starts at 0 in each process, so a second process of our number finds the first names taken.
    #[test]
    fn another_processs_temporary_files_are_passed_over_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let taken: Vec<String> = (0..200).map(|number| format!(".a.bin.{}-{number}.tmp", std::process::id())).collect();
        for name in &taken {
            fs::write(folder.path().join(name), "another's").unwrap();
        }
        atomic_write(&folder.path().join("a.bin"), |writer| writer.write_all(b"ours")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a.bin")).unwrap(), "ours");
        for name in &taken {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "another's");
        }
    }

    #[test]
    fn writers_of_one_file_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::thread::scope(|scope| {
            for byte in 0..8u8 {
                let path = &path;
                scope.spawn(move || atomic_write(path, |writer| writer.write_all(&[byte; 100_000])).unwrap());
            }
        });
        let contents = fs::read(&path).unwrap();
        assert!(contents.len() == 100_000 && contents.iter().all(|&byte| byte == contents[0]));
        assert_eq!(names(folder.path()), ["a.bin"]);
    }
}
