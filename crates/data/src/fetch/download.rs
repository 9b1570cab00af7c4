//! One file over HTTP: resumed where an earlier attempt ended, tried again, checked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use ureq::http::Response;
use ureq::{Agent, Body};

use super::speed::Meter;
use super::{FetchEvent, Listener, Patience};
use crate::error::DataError;
use crate::files::LARGEST_FILE;

/// Downloads `url` to `part`, going on from what `part` holds, and checks it. If what was resumed turns out wrong, it is
/// fetched once more from the start; if that is wrong too, it is removed, because it could only stay wrong.
pub(super) fn checked<T>(
    url: &str,
    part: &Path,
    patience: &Patience,
    listener: Listener<'_>,
    check: impl Fn(&Path) -> Result<T, DataError>,
) -> Result<T, DataError> {
    loop {
        let resumed = download(url, part, patience, listener).inspect_err(|error| {
            // Nothing has come: nothing is left behind, as far as that can be helped. (Busy: it is another process's file.)
            if !matches!(error, DataError::Busy { .. }) && fs::metadata(part).is_ok_and(|metadata| metadata.len() == 0) {
                let _ = fs::remove_file(part);
            }
        })?;
        hear(listener, url, &FetchEvent::Checking { file: part.into() })?;
        match check(part) {
            Ok(contents) => return Ok(contents),
            Err(error) => {
                fs::remove_file(part).map_err(DataError::io("remove", part))?;
                if !(resumed && matches!(error, DataError::Checksum { .. })) {
                    return Err(error);
                }
            }
        }
    }
}

/// Why a connection ended before the file did.
enum Failure {
    /// Worth another attempt.
    Broken(String),
    Final(DataError),
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Final(error)
    }
}

/// Returns whether anything of an earlier call was kept.
fn download(url: &str, part: &Path, patience: &Patience, listener: Listener<'_>) -> Result<bool, DataError> {
    let open = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(part);
    let mut file = open.map_err(DataError::io("create", part))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(DataError::Busy { path: part.into() }),
        Err(TryLockError::Error(source)) => return Err(DataError::Io { doing: "lock", path: part.into(), source }),
    }
    let length = |file: &File| Ok::<_, DataError>(file.metadata().map_err(DataError::io("read", part))?.len());
    let agent = agent(url, patience);
    let had = length(&file)?;
    let (mut lowest, mut fruitless) = (had, 0);
    loop {
        let before = length(&file)?;
        let problem = match connection(&agent, url, part, &mut file, before, patience, listener, &mut lowest) {
            Ok(()) => return Ok(lowest > 0),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Broken(problem)) => problem,
        };
        fruitless = if length(&file)? > before { 0 } else { fruitless + 1 };
        if fruitless >= patience.attempts {
            return Err(DataError::Unreachable { url: url.into(), problem });
        }
        let pause = patience.pause * 2_u32.saturating_pow(fruitless.saturating_sub(1)).min(64);
        hear(listener, url, &FetchEvent::Retry { url: url.into(), problem, pause })?;
        std::thread::sleep(pause);
    }
}

fn agent(url: &str, patience: &Patience) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("anmok/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(patience.stalled_after))
        .timeout_recv_response(Some(patience.stalled_after))
        .timeout_per_read(Some(patience.stalled_after));
    // ureq follows the usual proxy variables; a server on this machine is never behind one.
    let authority = url.split('/').nth(2).unwrap_or("");
    let local = authority.starts_with("127.") || authority.starts_with("localhost") || authority.starts_with("[::1]");
    if local { config.proxy(None).build().into() } else { config.build().into() }
}

/// One request, from `offset` on. `lowest` is the smallest length that the file had: what was there before all this.
#[expect(clippy::too_many_arguments, reason = "the parts of one download, which only these two functions share")]
fn connection(
    agent: &Agent,
    url: &str,
    part: &Path,
    file: &mut File,
    offset: u64,
    patience: &Patience,
    listener: Listener<'_>,
    lowest: &mut u64,
) -> Result<(), Failure> {
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if offset > 0 {
        request = request.header("Range", format!("bytes={offset}-"));
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(ureq::Error::HostNotFound) => return Err(unreachable(url, "the host's name cannot be resolved")),
        Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => return Err(unreachable(url, error)),
        Err(error) => return Err(Failure::Broken(error.to_string())),
    };
    let (mut bytes, total) = match (response.status().as_u16(), content_range(&response)) {
        (200, _) => (0, response.body().content_length()),
        (206, Some((start, total))) if start == Some(offset) => (offset, total),
        // The host has no more than this: it is whole, or it is another file.
        (416, range) if range.is_some_and(|(_, total)| total == Some(offset)) => return Ok(()),
        (206 | 416, _) => (0, None),
        (status @ (408 | 429 | 500..), _) => return Err(Failure::Broken(format!("the host answers {status}"))),
        (status, _) => return Err(DataError::Refused { url: url.into(), status }.into()),
    };
    *lowest = bytes.min(*lowest);
    file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes))).map_err(DataError::io("write", part))?;
    if matches!(response.status().as_u16(), 206 | 416) && bytes != offset {
        return Err(Failure::Broken("the host has another version of the file; starting over".into()));
    }
    hear(listener, url, &FetchEvent::Started { url: url.into(), resumed_at: bytes, total })?;
    let mut meter = Meter::new(Instant::now(), bytes);
    let (mut reader, mut buffer) = (response.into_body().into_with_config().limit(u64::MAX).reader(), vec![0; 1 << 16]);
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) => return Err(Failure::Broken(error.to_string())),
        };
        file.write_all(&buffer[..n]).map_err(DataError::io("write", part))?;
        bytes += n as u64;
        if bytes > total.unwrap_or(LARGEST_FILE).min(LARGEST_FILE) {
            return Err(DataError::Unreachable {
                url: url.into(),
                problem: format!("the host sends more than the file can have ({bytes} bytes)"),
            }
            .into());
        }
        let now = Instant::now();
        if let Some(progress) = meter.note(now, bytes, total) {
            hear(listener, url, &FetchEvent::Progress(progress))?;
            if meter.is_slow(now, &progress, patience.slow_below, patience.slow_after) {
                hear(listener, url, &FetchEvent::Slow(progress))?;
            }
        }
    }
    if total.is_some_and(|total| bytes < total) {
        return Err(Failure::Broken(format!("the connection ended after {bytes} of {} bytes", total.unwrap_or(0))));
    }
    file.sync_all().map_err(DataError::io("write", part))?;
    Ok(())
}

fn unreachable(url: &str, problem: impl ToString) -> Failure {
    DataError::Unreachable { url: url.into(), problem: problem.to_string() }.into()
}

/// `bytes START-END/TOTAL` or `bytes */TOTAL`.
fn content_range(response: &Response<Body>) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = response.headers().get("Content-Range")?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-').and_then(|(start, _)| start.parse().ok()), total.parse().ok()))
}

fn hear(listener: Listener<'_>, url: &str, event: &FetchEvent) -> Result<(), DataError> {
    match listener(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(DataError::Stopped { what: url.into() }),
    }
}
