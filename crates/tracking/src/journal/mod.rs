//! The journal of a run: what was logged, on this machine's disk, until the store has it.
//!
//! Appending is a write to a file; a thread of the process that logs, or `anmok sync` later, delivers it
//! ([`crate::delivery`]). A journal is never changed but at its end, and goes away as a whole when all of it is delivered.
//!
//! What survives: a process that is killed loses nothing that was written (every 200 ms, and at each flush); a power cut takes
//! at most what was written since the last wait for the disk (at each flush, and every 5 s).
//!
//! - [`record`]: what it holds
//! - [`frame`]: length, checksum, and reading
//! - [`folder`]: its files, and the lock
//! - [`position`]: how far it is delivered

pub mod folder;
pub mod frame;
pub mod position;
pub mod record;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub use folder::{Folder, Lock, claim_any};
pub use frame::{Header, Next, Reader};
pub use position::{Position, Positions};
pub use record::{Birth, Record};

use crate::error::TrackingError;

/// A journal that is appended to.
#[derive(Debug)]
pub struct Journal {
    lock: Lock,
    file: File,
    header: Header,
    /// Where the next record goes: the end of the last whole one.
    end: u64,
    next_file: u64,
    kept_since_sync: bool,
}

/// What was found in a journal.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// How the run came to be.
    pub birth: Option<Birth>,
    /// The largest step of each metric.
    pub steps: HashMap<String, i64>,
    /// The values of params.
    pub params: HashMap<String, String>,
    /// The last values of tags.
    pub tags: HashMap<String, String>,
    /// Whole records, and where the last one ends.
    pub records: u64,
    /// The end of the last whole record.
    pub end: u64,
    /// Bytes behind that, which are no whole record.
    pub torn: u64,
    /// The number after the last artifact's.
    pub next_file: u64,
}

impl Journal {
    /// Opens the journal in a locked folder, or makes it. What a crash left behind the last whole record is cut off; its bytes
    /// are kept beside the journal, for it may be damage.
    ///
    /// # Errors
    /// A file that is no journal, that is another run's, or that cannot be written.
    pub fn open(lock: Lock, header: Header) -> Result<(Self, Contents), TrackingError> {
        let path = lock.folder().journal();
        let io = |error| TrackingError::io("opening the journal", &path, error);
        if !path.exists() {
            create(&path, &header).map_err(io)?;
        }
        let file = File::options().read(true).write(true).open(&path).map_err(io)?;
        let delivered = Positions::read(&lock.folder().delivered());
        let (found, contents) = scan(&path, file.try_clone().map_err(io)?, &delivered)?;
        if found.run_id != header.run_id {
            let why = format!("it belongs to run {}, not to {}", found.run_id, header.run_id);
            return Err(TrackingError::Journal { path, why });
        }
        if contents.torn > 0 {
            cut(&path, &file, contents.end, contents.torn).map_err(io)?;
        }
        if delivered.targets.iter().any(|position| position.offset > contents.end) {
            shorten(&lock, delivered, contents.end)?;
        }
        // No number twice: the file of a record that is delivered already may be gone, and must not be another one's.
        let next_file = lock.folder().next_kept().max(contents.next_file);
        Ok((Self { lock, file, header: found, end: contents.end, next_file, kept_since_sync: false }, contents))
    }

    /// What is known of the whole.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        self.lock.folder()
    }

    /// The end of the last whole record.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Writes frames behind the last whole record. After a failure the same place is written again: what was left there is
    /// no whole record to anybody.
    ///
    /// # Errors
    /// A full disk, and what else keeps a file from being written.
    pub fn append(&mut self, frames: &[u8]) -> Result<(), TrackingError> {
        let written = self.file.write_all_at(frames, self.end);
        written.map_err(|error| TrackingError::io("writing the journal", &self.folder().journal(), error))?;
        self.end += frames.len() as u64;
        Ok(())
    }

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn sync(&mut self) -> Result<(), TrackingError> {
        let failed = |error| TrackingError::io("writing the journal to the disk,", &self.folder().journal(), error);
        if self.kept_since_sync {
            // The files' names; what is in them was waited for when they were kept.
            let names = self.folder().kept(0);
            let folder = names.parent().unwrap_or(&names);
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        self.file.sync_data().map_err(failed)?;
        self.kept_since_sync = false;
        Ok(())
    }

    /// Keeps a file until it is delivered, and gives its number. A file that is only ever replaced as a whole is kept by a hard
    /// link, at no cost, where the file system allows it; one that may grow or change is copied.
    ///
    /// # Errors
    /// A file that is not there, a full disk.
    pub fn keep(&mut self, file: &Path, may_change: bool) -> Result<u64, TrackingError> {
        let number = self.next_file;
        let kept = self.folder().kept(number);
        let linked = !may_change && fs::metadata(file).is_ok_and(|found| found.is_file()) && fs::hard_link(file, &kept).is_ok();
        if !linked {
            fs::copy(file, &kept).and_then(|_| File::open(&kept)?.sync_all()).map_err(|error| {
                // Half a copy is of no use.
                fs::remove_file(&kept).ok();
                TrackingError::io("keeping the artifact", file, error)
            })?;
        }
        self.next_file += 1;
        self.kept_since_sync = true;
        Ok(number)
    }

    /// A reader of its own, from `offset` on.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn reader(&self, offset: u64) -> Result<Reader, TrackingError> {
        open_at(&self.folder().journal(), offset)
    }

    /// The lock, when nothing more is appended.
    pub fn into_lock(self) -> Lock {
        self.lock
    }
}

/// Reads a journal without changing it.
///
/// # Errors
/// A file that is no journal, or that cannot be read.
pub fn read(folder: &Folder) -> Result<(Header, Contents), TrackingError> {
    let path = folder.journal();
    let file = File::open(&path).map_err(|error| TrackingError::io("opening the journal", &path, error))?;
    scan(&path, file, &Positions::read(&folder.delivered()))
}

/// Where the first record of a journal begins.
///
/// # Errors
/// A file that is no journal, or that cannot be read.
pub fn first_record(folder: &Folder) -> Result<u64, TrackingError> {
    let path = folder.journal();
    let io = |error| TrackingError::io("opening the journal", &path, error);
    let file = File::open(&path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    Ok(read_header(&path, &file, size)?.1)
}

/// A reader from `offset` on.
pub(crate) fn open_at(path: &Path, offset: u64) -> Result<Reader, TrackingError> {
    let file = File::open(path).map_err(|error| TrackingError::io("opening the journal", path, error))?;
    Ok(Reader::new(file, offset))
}

/// Appears whole or not at all.
fn create(path: &Path, header: &Header) -> io::Result<()> {
    let temporary = path.with_extension("part");
    let file = File::create(&temporary)?;
    file.write_all_at(&frame::header_bytes(header), 0)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The names too: of a folder that a power cut forgets, nothing inside is found.
    let folders = path.ancestors().skip(1).take(2);
    folders.map(File::open).try_for_each(|folder| folder?.sync_all())
}

fn scan(path: &Path, file: File, delivered: &Positions) -> Result<(Header, Contents), TrackingError> {
    let io = |error| TrackingError::io("reading the journal", path, error);
    let size = file.metadata().map_err(io)?.len();
    let (header, start) = read_header(path, &file, size)?;
    let mut reader = Reader::new(file, start);
    let mut contents = Contents { end: start, ..Contents::default() };
    let mut delivered: Vec<u64> = delivered.targets.iter().map(|position| position.offset).collect();
    delivered.sort_unstable();
    loop {
        match reader.record(size).map_err(io)? {
            Next::Whole(record) => {
                contents.take(record);
                contents.end = reader.offset();
            }
            Next::End => return Ok((header, contents)),
            // Damage in what is delivered already costs nothing: a record begins where delivery stands.
            Next::Torn => match delivered.iter().find(|&&offset| offset > reader.offset() && offset < size) {
                Some(&offset) => reader.seek(offset),
                None => {
                    contents.torn = size - contents.end;
                    return Ok((header, contents));
                }
            },
        }
    }
}

fn read_header(path: &Path, file: &File, size: u64) -> Result<(Header, u64), TrackingError> {
    let refuse = |why: &str| TrackingError::Journal { path: path.into(), why: why.into() };
    let mut magic = [0; frame::MAGIC.len()];
    let read = file.read_at(&mut magic, 0).map_err(|error| TrackingError::io("reading the journal", path, error))?;
    if read < magic.len() || !magic.starts_with(frame::MAGIC_WITHOUT_VERSION) {
        return Err(refuse("it is no journal of anmok's"));
    }
    if magic != *frame::MAGIC {
        return Err(refuse("another version of anmok wrote it, which has to deliver it too"));
    }
    let file = file.try_clone().map_err(|error| TrackingError::io("reading the journal", path, error))?;
    let mut reader = Reader::new(file, frame::MAGIC.len() as u64);
    let payload = reader.payload(size).map_err(|error| TrackingError::io("reading the journal", path, error))?;
    let header = match payload {
        Next::Whole(payload) => serde_json::from_slice(payload).ok(),
        Next::End | Next::Torn => None,
    };
    header.map(|header| (header, reader.offset())).ok_or_else(|| refuse("its first bytes are damaged"))
}

/// Cuts off what is no whole record, and keeps it beside the journal.
fn cut(path: &Path, file: &File, end: u64, torn: u64) -> io::Result<()> {
    let mut tail = vec![0; usize::try_from(torn.min(64 << 20)).unwrap_or(0)];
    file.read_exact_at(&mut tail, end)?;
    fs::write(path.with_extension("torn"), tail)?;
    file.set_len(end)
}

/// A power cut can leave less of the journal than was delivered of it: what is appended now must not pass for delivered.
fn shorten(lock: &Lock, mut delivered: Positions, end: u64) -> Result<(), TrackingError> {
    for position in &mut delivered.targets {
        position.offset = position.offset.min(end);
        position.artifacts.retain(|&offset| offset < end);
    }
    delivered.write(&lock.folder().delivered())
}

impl Contents {
    fn take(&mut self, record: Record) {
        self.records += 1;
        match record {
            Record::Birth(birth) => {
                self.birth.get_or_insert(birth);
            }
            Record::Metrics { step, points, .. } => {
                for (name, _) in points {
                    self.steps.entry(name).and_modify(|last| *last = step.max(*last)).or_insert(step);
                }
            }
            Record::Params(params) => self.params.extend(params.into_iter().map(|param| (param.key, param.value))),
            Record::Tags(tags) => self.tags.extend(tags.into_iter().map(|tag| (tag.key, tag.value))),
            Record::Artifact { file, .. } => self.next_file = self.next_file.max(file.saturating_add(1)),
            Record::Dataset(_) | Record::Status { .. } => {}
        }
    }
}
