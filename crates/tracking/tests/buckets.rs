//! Artifacts in buckets, on real servers: SeaweedFS for S3 and for Google's XML API (without Google's signatures: what they
//! are checked against exists at Google alone), Microsoft's Azurite for Azure. `scripts/bucket-server` starts them.
#![allow(clippy::disallowed_methods, reason = "programs are started")]

#[path = "../../cli/tests/cli/mlflow_python.rs"]
mod mlflow_python;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anmok_protocol::{ArtifactPath, FileInfo};
use anmok_tracking::{ArtifactOptions, ArtifactStore, Artifacts, BucketOptions, ByteRange, NoDownload, PresignedMethod, TrackingError};
use bytes::Bytes;
use futures_util::TryStreamExt;
use mlflow_python::{python, root, skip};

/// What the script ends with where the server is not installed.
const MISSING: i32 = 77;

/// Several parts of a large file.
const LARGE: usize = 40 * 1024 * 1024;

/// A server with an empty bucket; gone when dropped, as its input ends.
struct Server {
    process: Child,
    leash: Option<ChildStdin>,
    uri: String,
    variables: BTreeMap<String, String>,
}

impl Server {
    fn start(test: &str, kind: &str) -> Option<Self> {
        let python = python(test)?;
        let mut command = Command::new(root().join("scripts/bucket-server"));
        command.arg(kind).arg(python).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("scripts/bucket-server can be run: it needs python3");
        let leash = process.stdin.take();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let output = process.wait_with_output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(MISSING), "scripts/bucket-server {kind}: {words}");
            skip(test, words.trim());
            return None;
        }
        let reached: serde_json::Value = serde_json::from_str(&line).unwrap();
        let variables = reached["variables"].as_object().unwrap().iter();
        let variables = variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        // The location says which bucket it is, whatever else is set for other programs.
        let others =
            ["AWS_BUCKET", "AWS_BUCKET_NAME", "GOOGLE_BUCKET", "AZURE_CONTAINER_NAME"].map(|name| (name.into(), "elsewhere".into()));
        let variables = variables.chain(others).collect();
        Some(Self { process, leash, uri: reached["uri"].as_str().unwrap().to_owned(), variables })
    }

    /// The artifacts at `uri`, with some variables changed.
    fn at(&self, uri: &str, changed: &[(&str, &str)]) -> ArtifactStore {
        let mut variables = self.variables.clone();
        variables.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let s3_endpoint_url = variables.remove("MLFLOW_S3_ENDPOINT_URL");
        let buckets = BucketOptions { s3_endpoint_url, s3_ignore_tls: false, variables };
        Artifacts::new(ArtifactOptions { destination: None, buckets }).open(uri).unwrap()
    }

    fn store(&self) -> ArtifactStore {
        self.at(&self.uri, &[])
    }

    /// What is wrong with some variables changed is said with the one that mends it, and without a secret.
    fn refuses(&self, changed: &[(&str, &str)], words: &[&str]) {
        let store = self.at(&self.uri, changed);
        let errors: [TrackingError; 3] =
            [store.put_bytes(&path("a"), b"a").unwrap_err(), store.list(None).unwrap_err(), store.open_file(&path("a")).err().unwrap()];
        let given = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(changed.iter().copied());
        let secrets: Vec<&str> = given.filter_map(|(name, value)| secret(name, value)).collect();
        for error in errors {
            let said = error.to_string();
            assert!(words.iter().all(|words| said.contains(words)), "{said}");
            assert!(secrets.iter().all(|secret| !said.contains(secret)), "{said}");
        }
    }
}

/// What of a variable nobody may read.
fn secret<'a>(name: &str, value: &'a str) -> Option<&'a str> {
    match name {
        "AWS_SECRET_ACCESS_KEY" => Some(value),
        "AZURE_STORAGE_CONNECTION_STRING" => value.split(';').find_map(|part| part.strip_prefix("AccountKey=")),
        _ => None,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leash.take();
        self.process.wait().ok();
    }
}

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

fn read(store: &ArtifactStore, text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    store.open_file(&path(text)).unwrap()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

/// Not the same at any distance that parts are apart.
fn large() -> Vec<u8> {
    (0..LARGE as u32 / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// What every kind of bucket does.
fn whole_life(store: &ArtifactStore) {
    let names = ["a.txt", "metrics/b c.json", "metrics/100%1+2.txt", "안목/그림.png"];
    assert_eq!(store.list(None).unwrap(), []);
    for name in names {
        store.put_bytes(&path(name), name.as_bytes()).unwrap();
    }
    store.put_bytes(&path("empty"), b"").unwrap();
    for name in names {
        assert_eq!(read(store, name).as_deref(), Some(name.as_bytes()), "{name}");
    }
    assert_eq!(read(store, "empty").as_deref(), Some(&b""[..]));
    assert_eq!(read(store, "metrics"), None, "a folder is no file");
    assert_eq!(read(store, "none"), None);
    let listed = |folder: Option<&str>| store.list(folder.map(path).as_ref()).unwrap();
    let file = |path: &str, size: usize| FileInfo { path: path.into(), is_dir: false, file_size: Some(size as u64) };
    let folder = |path: &str| FileInfo { path: path.into(), is_dir: true, file_size: None };
    assert_eq!(listed(None), [file("a.txt", 5), file("empty", 0), folder("metrics"), folder("안목")]);
    assert_eq!(listed(Some("metrics")), [file("metrics/100%1+2.txt", 19), file("metrics/b c.json", 16)]);
    assert_eq!(listed(Some("none")), []);
    assert_eq!(store.below(&path("metrics")).list(None).unwrap().len(), 2);
    store.put_bytes(&path("a.txt"), b"anew").unwrap();
    assert_eq!(read(store, "a.txt").as_deref(), Some(&b"anew"[..]));

    let folder = tempfile::tempdir().unwrap();
    let bytes = large();
    std::fs::write(folder.path().join("in"), &bytes).unwrap();
    store.put_file(&path("large/weights"), &folder.path().join("in")).unwrap();
    store.get_file(&path("large/weights"), &folder.path().join("out")).unwrap();
    assert!(std::fs::read(folder.path().join("out")).unwrap() == bytes, "the large file came back otherwise");
    block_on(pieces(store, &bytes));

    assert!(store.delete(&path("a.txt")).unwrap());
    assert!(!store.delete(&path("a.txt")).unwrap());
    assert!(store.delete(&path("metrics")).unwrap());
    assert_eq!(read(store, "metrics/b c.json"), None);
    // SeaweedFS keeps a folder for keys that are gone.
    assert_eq!(listed(Some("metrics")), []);
    let left: Vec<String> = listed(None).into_iter().map(|entry| entry.path).filter(|path| path != "metrics").collect();
    assert_eq!(left, ["empty", "large", "안목"]);
}

/// Ranges, and uploads that are given up.
async fn pieces(store: &ArtifactStore, bytes: &[u8]) {
    let weights = path("large/weights");
    let size = bytes.len() as u64;
    for (range, expected) in [
        (None, 0..size),
        (Some(ByteRange::Bounded(5..105)), 5..105),
        (Some(ByteRange::From(size - 7)), size - 7..size),
        (Some(ByteRange::Last(9)), size - 9..size),
    ] {
        let download = store.download(&weights, range).await.unwrap_or_else(|_| panic!("{expected:?} is there"));
        assert_eq!((download.size, download.range.clone()), (size, expected.clone()));
        let got: Vec<Bytes> = download.bytes.try_collect().await.unwrap();
        assert!(got.concat() == bytes[expected.start as usize..expected.end as usize], "{expected:?}");
    }
    let beyond = store.download(&weights, Some(ByteRange::From(size + 1))).await;
    assert!(matches!(beyond, Err(NoDownload::OutOfRange(found)) if found == size));
    assert!(matches!(store.download(&path("large"), None).await, Err(NoDownload::IsFolder)));
    assert!(matches!(store.download(&path("none"), None).await, Err(NoDownload::Absent)));
    for count in [1, 3] {
        let mut upload = store.upload(&path("given-up")).await.unwrap();
        for _ in 0..count {
            upload.write(Bytes::from(vec![7; 16 * 1024 * 1024])).await.unwrap();
        }
        drop(upload);
    }
    assert!(matches!(store.download(&path("given-up"), None).await, Err(NoDownload::Absent)));
}

#[test]
fn s3() {
    let Some(server) = Server::start("buckets::s3", "s3") else { return };
    let store = server.store();
    whole_life(&store);
    server.refuses(
        &[("AWS_SECRET_ACCESS_KEY", "wr0ng")],
        &["access was refused", "s3://box/artifacts", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"],
    );
    server.refuses(&[("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")], &["Connection refused", "set MLFLOW_S3_ENDPOINT_URL"]);

    // URLs that need no credentials.
    let signing = store.signing().expect("S3 signs");
    let minute = Duration::from_secs(60);
    let url = block_on(signing.presigned(PresignedMethod::Put, &path("signed/a b.txt"), minute)).unwrap();
    ureq::put(&url).send(&b"by anybody"[..]).unwrap();
    assert_eq!(read(&store, "signed/a b.txt").as_deref(), Some(&b"by anybody"[..]));
    let url = block_on(signing.presigned(PresignedMethod::Get, &path("signed/a b.txt"), minute)).unwrap();
    assert_eq!(ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap(), "by anybody");
    ureq::get(&url.replace("Signature=", "Signature=0")).call().unwrap_err();
    let bytes = large();
    let halves = bytes.chunks(LARGE / 2);
    let (id, urls) = block_on(signing.begin_parts(&path("signed/large"), 2, minute)).unwrap();
    let etags = urls.iter().zip(halves).map(|(url, half)| {
        let answer = ureq::put(url).send(half).unwrap();
        answer.headers()["etag"].to_str().unwrap().to_owned()
    });
    block_on(signing.complete_parts(&path("signed/large"), &id, etags.collect())).unwrap();
    assert!(read(&store, "signed/large").is_some_and(|read| read == bytes));
    assert_eq!(block_on(signing.size(&path("signed/large"))).unwrap(), Some(LARGE as u64));
    let (id, _) = block_on(signing.begin_parts(&path("signed/none"), 2, minute)).unwrap();
    block_on(signing.abort_parts(&path("signed/none"), &id)).unwrap();
    assert_eq!(block_on(signing.size(&path("signed/none"))).unwrap(), None);
}

#[test]
fn google() {
    let Some(server) = Server::start("buckets::google", "google") else { return };
    let store = server.store();
    whole_life(&store);
    server.refuses(&[("GOOGLE_BASE_URL", "http://127.0.0.1:1")], &["gs://box/artifacts", "Connection refused", "set GOOGLE_BASE_URL"]);
}

#[test]
fn azure() {
    let Some(server) = Server::start("buckets::azure", "azure") else { return };
    let store = server.store();
    whole_life(&store);
    assert!(store.signing().is_none());
    // The data lake's name for the same place.
    let lake = server.at("abfss://box@story.dfs.core.windows.net/artifacts", &[]);
    assert_eq!(read(&lake, "empty").as_deref(), Some(&b""[..]));
    let string = &server.variables["AZURE_STORAGE_CONNECTION_STRING"];
    server.refuses(
        &[("AZURE_STORAGE_CONNECTION_STRING", &string.replace("AccountKey=", "AccountKey=AAAA"))],
        &["access was refused", "wasbs://box@story.blob.core.windows.net/artifacts", "AZURE_STORAGE_CONNECTION_STRING"],
    );
    let closed = string.replace("127.0.0.1:", "127.0.0.1:1/");
    server.refuses(&[("AZURE_STORAGE_CONNECTION_STRING", &closed)], &["Connection refused", "set AZURE_STORAGE_CONNECTION_STRING"]);
}
