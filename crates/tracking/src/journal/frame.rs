//! The journal's file: a header, then records, each with its length and checksum.
//!
//! ```text
//! anmok journal 1\n | frame(header as JSON) | frame(record) | frame(record) | ...
//! frame: length of the payload u32 | CRC-32 of length and payload u32 | payload      (little endian)
//! ```
//!
//! The checksum covers the length, so that a length that was never written whole is not believed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::record::Record;

/// The first bytes of every journal; the number is the format's version.
pub const MAGIC: &[u8] = b"anmok journal 1\n";
/// What the versions have in common.
pub const MAGIC_WITHOUT_VERSION: &[u8] = b"anmok journal ";

const FRAME_HEAD: usize = 8;
/// No record is longer: a data set's profile, the longest thing there is, has 16 million characters of up to four bytes, which
/// JSON may write as six.
const LONGEST_RECORD: u64 = 128 << 20;
/// Bytes that are read at once.
const READ_AHEAD: usize = 256 << 10;

/// What is known of the whole journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The run's id in the store, or the one it goes by until it has a store.
    pub run_id: String,
    /// The store's URI without passwords; `None` for a run that was begun offline.
    pub tracking_uri: Option<String>,
    /// Milliseconds since 1970.
    pub created: i64,
}

/// Appends a frame whose payload is written by `payload`.
pub fn frame(bytes: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; FRAME_HEAD]);
    payload(bytes);
    let length = ((bytes.len() - start - FRAME_HEAD) as u32).to_le_bytes();
    let checksum = checksum(&length, &bytes[start + FRAME_HEAD..]).to_le_bytes();
    bytes[start..start + 4].copy_from_slice(&length);
    bytes[start + 4..start + FRAME_HEAD].copy_from_slice(&checksum);
}

fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

/// A new journal's bytes.
pub fn header_bytes(header: &Header) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    frame(&mut bytes, |bytes| serde_json::to_writer(bytes, header).expect("a header is plain data"));
    bytes
}

/// Reads frames one after the other.
#[derive(Debug)]
pub struct Reader {
    file: File,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    buffer_start: u64,
    offset: u64,
}

/// What lies at a place of the file.
#[derive(Debug, PartialEq)]
pub enum Next<T> {
    /// A record, whole and unharmed.
    Whole(T),
    /// The end.
    End,
    /// Bytes that are no whole record: a write that a crash cut off, or damage.
    Torn,
}

impl Reader {
    /// Reads from `offset`, which must be where a frame begins.
    pub fn new(file: File, offset: u64) -> Self {
        Self { file, buffer: vec![], buffer_start: offset, offset }
    }

    /// Where the next frame begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on from another place.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The next record that ends at `limit` or before.
    pub fn record(&mut self, limit: u64) -> io::Result<Next<Record>> {
        let start = self.offset;
        let record = match self.payload(limit)? {
            Next::Whole(payload) => Record::decode(payload),
            Next::End => return Ok(Next::End),
            Next::Torn => return Ok(Next::Torn),
        };
        Ok(record.map_or_else(
            || {
                self.offset = start;
                Next::Torn
            },
            Next::Whole,
        ))
    }

    /// The next frame's payload; the reader stays where it is before one that is not whole.
    pub fn payload(&mut self, limit: u64) -> io::Result<Next<&[u8]>> {
        let left = limit.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Next::End);
        }
        let Some(head) = self.bytes(FRAME_HEAD as u64, left)? else { return Ok(Next::Torn) };
        let (length, expected) = head.split_at(4);
        let (length, expected) = (<[u8; 4]>::try_from(length).unwrap_or_default(), <[u8; 4]>::try_from(expected).unwrap_or_default());
        let size = FRAME_HEAD as u64 + u64::from(u32::from_le_bytes(length));
        if size > LONGEST_RECORD {
            return Ok(Next::Torn);
        }
        let offset = self.offset;
        let Some(bytes) = self.bytes(size, left)? else { return Ok(Next::Torn) };
        if checksum(&length, &bytes[FRAME_HEAD..]) != u32::from_le_bytes(expected) {
            return Ok(Next::Torn);
        }
        self.offset = offset + size;
        let start = (offset - self.buffer_start) as usize + FRAME_HEAD;
        Ok(Next::Whole(&self.buffer[start..start + size as usize - FRAME_HEAD]))
    }

    /// The next `count` bytes, `None` if there are not as many. No more is allocated than the file has.
    fn bytes(&mut self, count: u64, left: u64) -> io::Result<Option<&[u8]>> {
        if count > left {
            return Ok(None);
        }
        let end = self.offset + count;
        if self.offset < self.buffer_start || end > self.buffer_start + self.buffer.len() as u64 {
            let wanted = (count as usize).max(READ_AHEAD).min(left as usize);
            self.buffer.resize(wanted, 0);
            self.buffer_start = self.offset;
            let mut read = 0;
            while read < wanted {
                match self.file.read_at(&mut self.buffer[read..], self.offset + read as u64) {
                    Ok(0) => break,
                    Ok(more) => read += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.buffer.truncate(read);
            if (read as u64) < count {
                return Ok(None);
            }
        }
        let start = (self.offset - self.buffer_start) as usize;
        Ok(Some(&self.buffer[start..start + count as usize]))
    }
}
