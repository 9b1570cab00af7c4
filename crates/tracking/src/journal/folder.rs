//! A journal's folder: the journal, what is delivered of it, the files that wait, and the lock.
//!
//! ```text
//! RUN_ID/journal          the records
//! RUN_ID/delivered.json   how far they are delivered, and where
//! RUN_ID/files/N          artifacts that wait
//! RUN_ID/refused.jsonl    what the store has refused for good
//! RUN_ID/lock             held by the one process that writes or delivers
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::TrackingError;

/// How many journals of one run are looked at: besides the training process there may be evaluations.
const MOST_JOURNALS: usize = 100;

/// One journal's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The `number`th journal of a run, counted from 0, below `root`.
    pub fn of(root: &Path, run_id: &str, number: usize) -> Self {
        Self(root.join(if number == 0 { run_id.to_owned() } else { format!("{run_id}.{}", number + 1) }))
    }

    /// The first journal of another run, beside this one.
    pub fn of_another(&self, run_id: &str) -> Self {
        Self(self.0.with_file_name(run_id))
    }

    /// Every folder below `root` that holds a journal, by name. None where there is no such place.
    ///
    /// # Errors
    /// A place that cannot be read.
    pub fn list(root: &Path) -> Result<Vec<Self>, TrackingError> {
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(TrackingError::io("reading the folder of journals", root, error)),
        };
        let mut folders = vec![];
        for entry in entries {
            let entry = entry.map_err(|error| TrackingError::io("reading the folder of journals", root, error))?;
            let folder = Self(entry.path());
            if folder.journal().is_file() {
                folders.push(folder);
            }
        }
        folders.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(folders)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The records.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// How far they are delivered.
    pub fn delivered(&self) -> PathBuf {
        self.0.join("delivered.json")
    }

    /// What was refused.
    pub fn refused(&self) -> PathBuf {
        self.0.join("refused.jsonl")
    }

    /// An artifact that waits.
    pub fn kept(&self, number: u64) -> PathBuf {
        self.0.join("files").join(number.to_string())
    }

    /// The number after those of the artifacts that are kept.
    pub fn next_kept(&self) -> u64 {
        let entries = fs::read_dir(self.0.join("files")).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
        numbers.max().map_or(0, |last| last + 1)
    }

    /// Makes the folder if it is not there, and locks it. `None`: another process has it.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn claim(&self) -> Result<Option<Lock>, TrackingError> {
        let files = self.0.join("files");
        let path = self.0.join("lock");
        loop {
            fs::create_dir_all(&files).map_err(|error| TrackingError::io("making the journal's folder", &files, error))?;
            let file = match File::options().create(true).truncate(false).write(true).open(&path) {
                Ok(file) => file,
                // Whoever finished the journal removes its folder just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(TrackingError::io("locking the journal", &path, error)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(TrackingError::io("locking the journal", &path, error)),
            }
            // Removed between opening and locking: the lock is on a file that nobody else can find.
            let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
            if file.metadata().ok().zip(fs::metadata(&path).ok()).is_some_and(|(ours, found)| same(&ours, &found)) {
                return Ok(Some(Lock { folder: self.clone(), _file: file }));
            }
        }
    }

    /// Whether a process writes or delivers this journal at the moment.
    pub fn is_claimed(&self) -> bool {
        let file = File::options().write(true).open(self.0.join("lock"));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }
}

/// Makes the folder of all journals, and finds out whether something can be written there.
///
/// # Errors
/// A place that cannot be written.
pub fn check_writable(root: &Path) -> Result<(), TrackingError> {
    let probe = root.join(format!(".probe-{}", std::process::id()));
    let written = fs::create_dir_all(root).and_then(|()| fs::write(&probe, "probe")).and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| TrackingError::io("writing to the folder of journals", root, error))
}

/// The first journal of the run that no other process holds.
///
/// # Errors
/// A place that cannot be written.
pub fn claim_any(root: &Path, run_id: &str) -> Result<Lock, TrackingError> {
    for number in 0..MOST_JOURNALS {
        if let Some(lock) = Folder::of(root, run_id, number).claim()? {
            return Ok(lock);
        }
    }
    let why = format!("{MOST_JOURNALS} processes write to run {run_id} already");
    Err(TrackingError::Journal { path: root.join(run_id), why })
}

/// A folder that this process alone writes or delivers, until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    folder: Folder,
    _file: File,
}

impl Lock {
    /// What is locked.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Removes the folder, with what is in it.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn remove(self) -> Result<(), TrackingError> {
        let path = self.folder.path();
        // The journal first: a folder without one is no journal to anybody, should the rest not follow.
        let removed = fs::remove_file(self.folder.journal()).and_then(|()| fs::remove_dir_all(path));
        removed.map_err(|error| TrackingError::io("removing the delivered journal", path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_a_removed_folder_can_be_made_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::of(root.path(), "abc", 0);
        let lock = folder.claim().unwrap().unwrap();
        assert!(folder.is_claimed() && folder.claim().unwrap().is_none());
        assert_eq!(claim_any(root.path(), "abc").unwrap().folder().path(), root.path().join("abc.2"));
        fs::write(folder.journal(), "").unwrap();
        assert_eq!(Folder::list(root.path()).unwrap(), std::slice::from_ref(&folder));
        lock.remove().unwrap();
        assert!(!folder.path().exists() && !folder.is_claimed());
        let lock = folder.claim().unwrap().unwrap();
        fs::write(folder.kept(7), "x").unwrap();
        assert_eq!(folder.next_kept(), 8);
        drop(lock);
        assert!(!folder.is_claimed());
    }
}
