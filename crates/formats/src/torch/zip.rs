//! The part of the zip format that PyTorch uses: stored entries, aligned to 64 bytes (APPNOTE.TXT 6.3.10).

use std::collections::HashMap;
use std::io::{self, Write};

use crate::error::{DecodeError, EncodeError, Quoted};

const LOCAL: &[u8; 4] = b"PK\x03\x04";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END: &[u8; 4] = b"PK\x05\x06";
const END_64: &[u8; 4] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8; 4] = b"PK\x06\x07";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const LOCATOR_BYTES: usize = 20;

/// Where PyTorch starts the data of an entry, so that storages can be mapped.
const ALIGNMENT: u64 = 64;

/// An entry of an archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Offset of its data in the file.
    pub(super) start: usize,
    size: usize,
    checksum: u32,
    /// Neither compressed nor encrypted. (TorchScript compresses its program: not an error until it is asked for.)
    is_plain: bool,
}

/// An archive in memory, its directory checked: every entry lies within the file, and together they are no larger.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    /// By name without the folder that PyTorch puts everything into.
    entries: HashMap<&'a str, Entry>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let directory = Directory::find(bytes)?;
        let mut entries = HashMap::new();
        let mut folder = None;
        let mut at = directory.start;
        let mut total = 0usize;
        for _ in 0..directory.entries {
            let (name, entry, next) = central_entry(bytes, at)?;
            total = total.saturating_add(entry.size);
            if total > bytes.len() {
                return Err(DecodeError::damaged(at, "the entries together are larger than the file"));
            }
            let (entry_folder, rest) = name.split_once('/').unwrap_or(("", name));
            if *folder.get_or_insert(entry_folder) != entry_folder {
                return Err(DecodeError::damaged(at, format!("the entry {} is outside the archive's folder", Quoted(name))));
            }
            if entries.insert(rest, entry).is_some() {
                return Err(DecodeError::damaged(at, format!("there are two entries {}", Quoted(name))));
            }
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    /// Length of the whole file.
    pub(super) fn file_size(&self) -> usize {
        self.bytes.len()
    }

    /// The entry of this name (without the archive's folder).
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// The entry's data, after its checksum has been verified.
    pub(super) fn contents(&self, entry: Entry) -> Result<&'a [u8], DecodeError> {
        if !entry.is_plain {
            return Err(DecodeError::Unsupported {
                what: "its zip entries are compressed or encrypted".into(),
                remedy: "PyTorch stores entries as they are: save the file again with torch.save",
            });
        }
        let data = &self.bytes[entry.start..entry.start + entry.size];
        if crc32fast::hash(data) != entry.checksum {
            let problem = "the data does not match its checksum (a damaged file, or one saved under \
                           torch.serialization.set_crc32_options(False): save it again without)";
            return Err(DecodeError::damaged(entry.start, problem));
        }
        Ok(data)
    }
}

/// Where the central directory lies.
struct Directory {
    start: usize,
    entries: u64,
}

impl Directory {
    fn find(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The record at the end may be followed by a comment of up to 65535 bytes, to the very end of the file.
        let first = bytes.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
        let is_end = |&at: &usize| {
            bytes[at..].starts_with(END) && u16_at(bytes, at + 20).is_ok_and(|comment| at + END_BYTES + usize::from(comment) == bytes.len())
        };
        let Some(end) = (first..bytes.len()).rev().find(is_end) else {
            return Err(DecodeError::damaged(bytes.len(), "the file ends before the zip directory: it is cut short"));
        };
        let mut entries = u64::from(u16_at(bytes, end + 10)?);
        let mut start = u64::from(u32_at(bytes, end + 16)?);
        let locator = end.checked_sub(LOCATOR_BYTES).filter(|&at| bytes[at..].starts_with(END_64_LOCATOR));
        if let Some(locator) = locator {
            let record = position(u64_at(bytes, locator + 8)?, bytes, locator)?;
            if !bytes[record..].starts_with(END_64) || record.saturating_add(END_64_BYTES) > locator {
                return Err(DecodeError::damaged(locator, "the zip64 record is not where it is said to be"));
            }
            (entries, start) = (u64_at(bytes, record + 32)?, u64_at(bytes, record + 48)?);
        }
        Ok(Self { start: position(start, bytes, end)?, entries })
    }
}

/// Reads the directory's entry at `at`: name, place and the offset of the next one.
fn central_entry(bytes: &[u8], at: usize) -> Result<(&str, Entry, usize), DecodeError> {
    let damaged = |problem: &str| DecodeError::damaged(at, format!("the zip directory: {problem}"));
    if !bytes.get(at..).is_some_and(|rest| rest.starts_with(CENTRAL)) {
        return Err(damaged("no entry where one should be"));
    }
    let (flags, method, checksum) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?, u32_at(bytes, at + 16)?);
    let mut sizes = [u64::from(u32_at(bytes, at + 24)?), u64::from(u32_at(bytes, at + 20)?), u64::from(u32_at(bytes, at + 42)?)];
    let name_start = at + CENTRAL_BYTES;
    let name_end = name_start + usize::from(u16_at(bytes, at + 28)?);
    let extra_end = name_end + usize::from(u16_at(bytes, at + 30)?);
    let next = extra_end + usize::from(u16_at(bytes, at + 32)?);
    let name = bytes.get(name_start..name_end).ok_or_else(|| damaged("a name that goes beyond the file"))?;
    let name = std::str::from_utf8(name).map_err(|_| damaged("a name that is not UTF-8"))?;
    let extra = bytes.get(name_end..extra_end).ok_or_else(|| damaged("an extra field that goes beyond the file"))?;
    zip64_sizes(extra, &mut sizes).ok_or_else(|| damaged("a broken zip64 field"))?;
    let [size, stored_size, offset] = sizes;

    let local = position(offset, bytes, at)?;
    if !bytes[local..].starts_with(LOCAL) {
        return Err(damaged("an entry that is not where it is said to be"));
    }
    let start = local + LOCAL_BYTES + usize::from(u16_at(bytes, local + 26)?) + usize::from(u16_at(bytes, local + 28)?);
    let fits = usize::try_from(stored_size).ok().and_then(|size| start.checked_add(size)).is_some_and(|end| end <= bytes.len());
    if !fits {
        return Err(damaged(&format!("the entry {} goes beyond the file", Quoted(name))));
    }
    let is_plain = flags & 1 == 0 && method == 0;
    if is_plain && size != stored_size {
        return Err(damaged(&format!("the entry {} has two sizes", Quoted(name))));
    }
    Ok((name, Entry { start, size: stored_size as usize, checksum, is_plain }, next))
}

/// Replaces those of (size, stored size, offset) that do not fit into 32 bits by the zip64 field's. `None`: not there.
fn zip64_sizes(mut extra: &[u8], sizes: &mut [u64; 3]) -> Option<()> {
    let large = u64::from(u32::MAX);
    if sizes.iter().all(|&size| size != large) {
        return Some(());
    }
    while let Some((header, rest)) = extra.split_first_chunk::<4>() {
        let (mut field, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([header[2], header[3]])))?;
        if header[..2] == [1, 0] {
            for size in sizes.iter_mut().filter(|size| **size == large) {
                let (value, rest) = field.split_first_chunk::<8>()?;
                (*size, field) = (u64::from_le_bytes(*value), rest);
            }
            return Some(());
        }
        extra = rest;
    }
    None
}

/// An offset that lies within the file.
fn position(offset: u64, bytes: &[u8], at: usize) -> Result<usize, DecodeError> {
    match usize::try_from(offset) {
        Ok(offset) if offset <= bytes.len() => Ok(offset),
        _ => Err(DecodeError::damaged(at, format!("the zip directory points to {offset}, beyond the file: it is cut short"))),
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], DecodeError> {
    let array = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    array.copied().ok_or_else(|| DecodeError::damaged(bytes.len(), "the file ends inside a zip record"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, DecodeError> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, DecodeError> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// The entries of an archive that is about to be written; sizes and checksums are known beforehand.
pub(super) struct Plan {
    folder: &'static str,
    entries: Vec<PlannedEntry>,
}

struct PlannedEntry {
    name: String,
    size: u64,
    checksum: u32,
    /// Offset of the local header.
    offset: u64,
    /// Bytes of the field that moves the data to a multiple of [`ALIGNMENT`].
    padding: u16,
}

/// A plan whose offsets fit the format.
pub(super) struct FinishedPlan(Plan);

impl Plan {
    pub(super) fn new(folder: &'static str) -> Self {
        Self { folder, entries: vec![] }
    }

    pub(super) fn add(&mut self, name: &str, size: usize, checksum: u32) {
        let name = format!("{}/{name}", self.folder);
        let offset = self.end();
        let header = offset + (LOCAL_BYTES + name.len()) as u64;
        // The field's own header takes 4 bytes.
        let padding = ((header + 4).next_multiple_of(ALIGNMENT) - header) as u16;
        self.entries.push(PlannedEntry { name, size: size as u64, checksum, offset, padding });
    }

    /// Where the next entry, or the directory, starts.
    fn end(&self) -> u64 {
        self.entries.last().map_or(0, |e| e.offset + (LOCAL_BYTES + e.name.len()) as u64 + u64::from(e.padding) + e.size)
    }

    fn directory_size(&self) -> u64 {
        self.entries.iter().map(|entry| (CENTRAL_BYTES + entry.name.len()) as u64).sum()
    }

    /// Checks the plan against the format's limits (zip64 is not written).
    pub(super) fn finish(self) -> Result<FinishedPlan, EncodeError> {
        let limit = |what, limit: u64| Err(EncodeError::Limit { what, limit });
        if self.entries.len() > usize::from(u16::MAX) {
            return limit(format!("{} tensors and records", self.entries.len()), u64::from(u16::MAX));
        }
        let bytes = self.end() + self.directory_size();
        if bytes > u64::from(u32::MAX) {
            return limit(format!("a file of {bytes} bytes"), u64::from(u32::MAX));
        }
        Ok(FinishedPlan(self))
    }
}

impl FinishedPlan {
    /// Writes the archive; `contents` writes the data of the entry of that index.
    pub(super) fn write(&self, writer: &mut dyn Write, contents: impl Fn(usize, &mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let Plan { entries, .. } = &self.0;
        for (index, entry) in entries.iter().enumerate() {
            writer.write_all(LOCAL)?;
            writer.write_all(&entry.attributes())?;
            writer.write_all(&entry.padding.to_le_bytes())?;
            writer.write_all(entry.name.as_bytes())?;
            // PyTorch's own padding: a field called FB, filled with Z.
            writer.write_all(b"FB")?;
            writer.write_all(&(entry.padding - 4).to_le_bytes())?;
            writer.write_all(&vec![b'Z'; usize::from(entry.padding) - 4])?;
            contents(index, writer)?;
        }
        for entry in entries {
            writer.write_all(CENTRAL)?;
            writer.write_all(&VERSION_NEEDED.to_le_bytes())?;
            writer.write_all(&entry.attributes())?;
            // Extra field, comment, disk, internal and external attributes: none.
            writer.write_all(&[0; 12])?;
            writer.write_all(&(entry.offset as u32).to_le_bytes())?;
            writer.write_all(entry.name.as_bytes())?;
        }
        let count = entries.len() as u16;
        writer.write_all(END)?;
        writer.write_all(&[0; 4])?;
        writer.write_all(&count.to_le_bytes())?;
        writer.write_all(&count.to_le_bytes())?;
        writer.write_all(&(self.0.directory_size() as u32).to_le_bytes())?;
        writer.write_all(&(self.0.end() as u32).to_le_bytes())?;
        writer.write_all(&[0; 2])
    }
}

/// Version 1.0 of the format can read this.
const VERSION_NEEDED: u16 = 10;

impl PlannedEntry {
    /// What both headers hold from "version needed" to "length of the name".
    fn attributes(&self) -> [u8; 24] {
        let mut attributes = [0; 24];
        let mut put = |at: usize, bytes: &[u8]| attributes[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &VERSION_NEEDED.to_le_bytes());
        // 2: flags; 4: method, stored; 6: time: zero, so that equal weights give equal files; 8: date, 1980-01-01
        put(8, &0x21u16.to_le_bytes());
        put(10, &self.checksum.to_le_bytes());
        put(14, &(self.size as u32).to_le_bytes());
        put(18, &(self.size as u32).to_le_bytes());
        put(22, &(self.name.len() as u16).to_le_bytes());
        attributes
    }
}
