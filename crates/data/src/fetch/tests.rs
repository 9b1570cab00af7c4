//! Fetching from a real server on this machine, which can be told to misbehave.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::checksum::md5;
use crate::official::OfficialFile;

/// How the server treats its next requests; the last one stays.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Whole,
    /// Announces everything, sends this many bytes, hangs up.
    HangUpAfter(usize),
    /// The same, and ranges are ignored.
    NoRangesHangUpAfter(usize),
    /// Sends this many bytes, then nothing.
    StallAfter(usize),
    Status(u16),
}

struct Server {
    address: SocketAddr,
    /// Each request's `Range` header.
    requests: Arc<Mutex<Vec<Option<String>>>>,
}

impl Server {
    /// Runs until the test process ends.
    fn start(files: HashMap<String, Vec<u8>>, manners: Vec<Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(vec![])));
        let (seen, files) = (requests.clone(), Arc::new(files));
        std::thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let (manner, files, seen) = (manners[index.min(manners.len() - 1)], files.clone(), seen.clone());
                // A client that hangs up is part of some tests.
                std::thread::spawn(move || answer(stream.unwrap(), &files, manner, &seen).unwrap_or(()));
            }
        });
        Self { address, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/data", self.address)
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    manner: Manner,
    seen: &Mutex<Vec<Option<String>>>,
) -> std::io::Result<()> {
    let lines: Vec<String> =
        BufReader::new(stream.try_clone()?).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else { return Ok(()) };
    let range = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: ").map(str::to_owned));
    seen.lock().unwrap().push(range.clone());
    let status = if let Manner::Status(status) = manner { status } else { 200 };
    let Some(body) = files.get(path).filter(|_| status == 200) else {
        let status = if status == 200 { 404 } else { status };
        return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let start: usize = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let ranges = !matches!(manner, Manner::NoRangesHangUpAfter(_));
    let (start, total) = (if ranges { start } else { 0 }, body.len());
    if start >= total {
        return write!(stream, "HTTP/1.1 416 Range\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let rest = &body[start..];
    if start > 0 {
        write!(stream, "HTTP/1.1 206 Part\r\nContent-Range: bytes {start}-{}/{total}\r\n", total - 1)?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    match manner {
        Manner::HangUpAfter(n) | Manner::NoRangesHangUpAfter(n) => stream.write_all(&rest[..n.min(rest.len())]),
        Manner::StallAfter(n) => {
            stream.write_all(&rest[..n.min(rest.len())])?;
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        }
        _ => stream.write_all(rest),
    }
}

/// Two files of noise, published as an archive or one by one.
struct Published {
    official: Official,
    archive: Vec<u8>,
    packed: Vec<(String, Vec<u8>)>,
}

const NAMES: [&str; 2] = ["first.bin", "second.bin"];

fn published(in_archive: bool) -> Published {
    let bytes = |file: u64| (0..50_000).map(|i| anmok_random::bits(file, i) as u8).collect::<Vec<u8>>();
    let contents = [bytes(0), bytes(1)];
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (name, bytes) in NAMES.iter().zip(&contents) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("the-folder/{name}"), bytes.as_slice()).unwrap();
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    let files: Vec<OfficialFile> =
        NAMES.iter().zip(&contents).map(|(name, bytes)| OfficialFile { name, digests: Box::leak(Box::new([leak(md5(bytes))])) }).collect();
    let packed = NAMES.iter().zip(&contents).map(|(name, bytes)| {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        encoder.write_all(bytes).unwrap();
        (format!("/data/{name}.gz"), encoder.finish().unwrap())
    });
    let official = Official {
        name: "NOISE",
        folders: &["noise", "."],
        files: files.leak(),
        archive: in_archive.then(|| OfficialArchive { name: "noise.tar.gz", md5: leak(md5(&archive)) }),
        host: "http://127.0.0.1:9/",
        download_bytes: 100_000,
    };
    Published { official, archive, packed: packed.collect() }
}

/// A server with the archive, a data folder and options that lose no time.
fn archive_setup(manners: &[Manner]) -> (Published, Server, tempfile::TempDir, FetchOptions) {
    let published = published(true);
    let server = Server::start(HashMap::from([("/data/noise.tar.gz".into(), published.archive.clone())]), manners.to_vec());
    let folder = tempfile::tempdir().unwrap();
    let patience = Patience { stalled_after: Duration::from_millis(300), pause: Duration::from_millis(1), ..Patience::default() };
    let options = FetchOptions { mirror: Some(server.url()), patience, ..FetchOptions::new(folder.path()) };
    (published, server, folder, options)
}

fn quiet(_: &FetchEvent) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Everything below a folder.
fn listing(folder: &Path) -> Vec<String> {
    let mut names = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() { names.extend(listing(&path).into_iter().map(|inner| format!("{name}/{inner}"))) } else { names.push(name) }
    }
    names.sort();
    names
}

#[test]
fn an_archive_is_fetched_unpacked_and_then_present() {
    let (published, server, folder, options) = archive_setup(&[Manner::Whole]);
    let mut events = vec![];
    let place = fetch_official(&published.official, &options, &mut |event| {
        events.push(event.clone());
        ControlFlow::Continue(())
    });
    assert_eq!(place.unwrap(), folder.path().join("noise"));
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
    assert!(
        matches!(&events[0], FetchEvent::Started { resumed_at: 0, total: Some(total), .. } if *total == published.archive.len() as u64)
    );
    assert!(events.iter().any(|event| matches!(event, FetchEvent::Progress(progress) if progress.bytes == published.archive.len() as u64)));
    assert!(matches!(events.last(), Some(FetchEvent::Installed { file }) if file.ends_with("noise/second.bin")));
    let mut again = vec![];
    fetch_official(&published.official, &options, &mut |event| {
        again.push(event.clone());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(again, [FetchEvent::Present { place: folder.path().join("noise") }]);
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn files_are_fetched_one_by_one() {
    let published = published(false);
    let server = Server::start(published.packed.iter().cloned().collect(), vec![Manner::Whole]);
    let folder = tempfile::tempdir().unwrap();
    let options = FetchOptions { mirror: Some(server.url()), ..FetchOptions::new(folder.path()) };
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
    assert!(files::read_all(&published.official, folder.path()).unwrap().1.iter().all(|file| file.official));
}

#[test]
fn a_download_goes_on_after_hang_ups_and_after_a_stop() {
    let (published, server, folder, options) = archive_setup(&[Manner::HangUpAfter(30_000), Manner::HangUpAfter(20_000), Manner::Whole]);
    let stop_at_retry = &mut |event: &FetchEvent| match event {
        FetchEvent::Retry { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let error = fetch_official(&published.official, &options, stop_at_retry).unwrap_err();
    assert!(matches!(error, DataError::Stopped { .. }) && error.is_remedied_by_sample());
    assert_eq!(listing(folder.path()), ["noise.tar.gz.part"]);
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=30000-".into()), Some("bytes=50000-".into())]);
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
}

#[test]
fn a_host_without_ranges_is_asked_for_everything_again() {
    let (published, server, folder, options) =
        archive_setup(&[Manner::NoRangesHangUpAfter(30_000), Manner::NoRangesHangUpAfter(usize::MAX)]);
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=30000-".into())]);
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
}

#[test]
fn a_stalled_connection_is_given_up_and_made_again() {
    let (published, server, _folder, options) = archive_setup(&[Manner::StallAfter(10_000), Manner::Whole]);
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=10000-".into())]);
}

#[test]
fn leftovers_of_another_file_are_fetched_anew_once() {
    let (published, server, folder, options) = archive_setup(&[Manner::Whole]);
    fs::write(folder.path().join("noise.tar.gz.part"), vec![7; 40_000]).unwrap();
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(server.ranges(), [Some("bytes=40000-".into()), None]);
    // Longer than the file: the host says so, and it is started over.
    let (published, server, folder, options) = archive_setup(&[Manner::Whole]);
    fs::write(folder.path().join("noise.tar.gz.part"), vec![7; 400_000]).unwrap();
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(server.ranges(), [Some("bytes=400000-".into()), None]);
}

#[test]
fn wrong_contents_are_refused_and_nothing_is_installed() {
    let (mut published, _server, folder, options) = archive_setup(&[Manner::Whole]);
    published.official.archive = Some(OfficialArchive { name: "noise.tar.gz", md5: "0123" });
    let files: Vec<OfficialFile> = NAMES.iter().map(|name| OfficialFile { name, digests: &["4567"] }).collect();
    published.official.files = files.leak();
    let message = fetch_official(&published.official, &options, &mut quiet).unwrap_err().to_string();
    assert!(message.contains("noise.tar.gz is not the published file: its digest is ") && message.contains("expected 0123"), "{message}");
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn a_mirrors_own_packing_of_the_published_files_is_accepted() {
    let (mut published, _server, folder, options) = archive_setup(&[Manner::Whole]);
    published.official.archive = Some(OfficialArchive { name: "noise.tar.gz", md5: "0123" });
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
}

#[test]
fn hosts_that_say_no_or_are_not_there_are_told_apart() {
    let (published, server, _folder, options) = archive_setup(&[Manner::Status(404)]);
    let error = fetch_official(&published.official, &options, &mut quiet).unwrap_err();
    assert!(matches!(error, DataError::Refused { status: 404, .. }), "{error}");
    assert_eq!(server.ranges().len(), 1);

    let (published, server, _folder, options) = archive_setup(&[Manner::Status(503)]);
    let error = fetch_official(&published.official, &options, &mut quiet).unwrap_err();
    assert!(matches!(error, DataError::Unreachable { .. }) && error.to_string().contains("the host answers 503"), "{error}");
    assert_eq!(server.ranges().len(), 3);

    let (published, _server, _folder, mut options) = archive_setup(&[Manner::Whole]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    options.mirror = Some(format!("http://{closed}"));
    let error = fetch_official(&published.official, &options, &mut quiet).unwrap_err();
    assert!(matches!(error, DataError::Unreachable { .. }) && error.is_remedied_by_sample(), "{error}");
    assert!(listing(&options.data_dir).is_empty());
}

#[test]
fn a_folder_is_a_mirror_however_it_holds_the_files() {
    let (published, _server, folder, mut options) = archive_setup(&[Manner::Whole]);
    let mirror = tempfile::tempdir().unwrap();
    fs::write(mirror.path().join("noise.tar.gz"), &published.archive).unwrap();
    options.mirror = Some(mirror.path().display().to_string());
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
    options.mirror = Some("ftp://somewhere".into());
    options.data_dir = mirror.path().join("new");
    let message = fetch_official(&published.official, &options, &mut quiet).unwrap_err().to_string();
    assert_eq!(message, "data_mirror is ftp://somewhere; allowed: an http:// or https:// URL, or an existing folder");
}

#[test]
fn what_is_there_stays_unless_told_otherwise() {
    let (published, _server, folder, mut options) = archive_setup(&[Manner::Whole]);
    let path = folder.path().join("noise/second.bin");
    fs::create_dir(folder.path().join("noise")).unwrap();
    fs::write(&path, "my own").unwrap();
    let message = fetch_official(&published.official, &options, &mut quiet).unwrap_err().to_string();
    assert!(message.contains("second.bin is there already and is not the published file; it stays as it is"), "{message}");
    assert_eq!((fs::read(&path).unwrap(), listing(folder.path())), (b"my own".to_vec(), vec!["noise/second.bin".to_owned()]));
    options.replace = true;
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(listing(folder.path()), ["noise/first.bin", "noise/second.bin"]);
    assert_eq!(fs::read(&path).unwrap().len(), 50_000);
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let (published, _server, folder, options) = archive_setup(&[Manner::Whole]);
    let part = File::create(folder.path().join("noise.tar.gz.part")).unwrap();
    (&part).write_all(b"1").unwrap();
    part.lock().unwrap();
    let error = fetch_official(&published.official, &options, &mut quiet).unwrap_err();
    assert!(matches!(error, DataError::Busy { .. }), "{error}");
}

#[test]
fn members_of_an_archive_cannot_leave_the_folder() {
    let (mut published, _server, folder, mut options) = archive_setup(&[Manner::Whole]);
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for name in NAMES {
        let mut header = tar::Header::new_gnu();
        // The checked setter refuses such a path.
        let path = format!("../../{name}");
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(3);
        header.set_cksum();
        tar.append(&header, b"bad".as_slice()).unwrap();
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    published.official.archive = Some(OfficialArchive { name: "noise.tar.gz", md5: Box::leak(md5(&archive).into_boxed_str()) });
    let server = Server::start(HashMap::from([("/data/noise.tar.gz".into(), archive)]), vec![Manner::Whole]);
    (options.mirror, options.data_dir) = (Some(server.url()), folder.path().join("a/b"));
    fetch_official(&published.official, &options, &mut quiet).unwrap();
    assert_eq!(listing(folder.path()), ["a/b/noise/first.bin", "a/b/noise/second.bin"]);
}
