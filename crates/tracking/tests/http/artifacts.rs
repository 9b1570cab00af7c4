//! Files through a server: in pieces, sent again, gone on with.

use std::io::Read;

use anmok_protocol::{ArtifactPath, FileInfo};
use anmok_tracking::{MultipartOptions, ServerOptions, TrackingError};
use serde_json::json;

use crate::scripted::{Act, Scripted, answer, ok, status};
use crate::{EXPERIMENT, impatient, store, store_with};

fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

const URI: &str = "mlflow-artifacts:/7/r/artifacts";
const PREFIX: &str = "/api/2.0/mlflow-artifacts/artifacts/7/r/artifacts";

#[test]
fn a_file_is_sent_again_after_a_cut_connection() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.bin");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(&file, &bytes).unwrap();
    let server = Scripted::start([ok(EXPERIMENT), Act::Cut(vec![]), status("503 Service Unavailable", "", ""), ok("{}")]);
    let store = store(&server.url);
    store.experiment("7").unwrap();
    store.artifacts(URI).unwrap().put_file(&path("model/50% 한.bin"), &file).unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    for asked in &asked[1..] {
        assert_eq!(asked.line, format!("PUT {PREFIX}/model/50%25%20%ED%95%9C.bin HTTP/1.1"));
        assert!(asked.body == bytes, "{} bytes", asked.body.len());
    }
    let error = store.artifacts(URI).unwrap().put_file(&path("x"), &folder.path().join("none")).unwrap_err();
    assert!(matches!(error, TrackingError::Io { .. }), "{error}");
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let text: String = ('a'..='z').collect::<String>().repeat(1000);
    let whole = |headers: &str| answer("200 OK", headers, &text);
    let etag = "ETag: \"v1\"\r\n";
    let read = |acts: Vec<Act>| {
        let server = Scripted::start(acts);
        let mut file = store(&server.url).artifacts(URI).unwrap().open_file(&path("x.txt")).unwrap().unwrap();
        let mut read = String::new();
        (file.read_to_string(&mut read).map(|_| read), server)
    };
    let cut = |headers: &str, at: usize| Act::Cut(whole(headers)[..answer("200 OK", headers, &text).len() - text.len() + at].to_vec());
    // With ranges.
    let rest = answer("206 Partial Content", &format!("{etag}Content-Range: bytes 5000-25999/26000\r\n"), &text[5000..]);
    let (got, server) = read(vec![cut(etag, 5000), Act::Say(rest)]);
    assert_eq!(got.unwrap(), text);
    let head = server.asked()[1].head.to_ascii_lowercase();
    assert!(head.contains("range: bytes=5000-") && head.contains("if-range: \"v1\""), "{head}");
    // Without: what is known already is passed over.
    let (got, _) = read(vec![cut("", 5000), cut("", 9000), Act::Say(whole(""))]);
    assert_eq!(got.unwrap(), text);
    // Another file in its place is not glued to the first.
    let (got, _) = read(vec![cut(etag, 5000), Act::Say(whole("ETag: \"v2\"\r\n"))]);
    assert!(got.unwrap_err().to_string().contains("another file"));
    let other = answer("206 Partial Content", "ETag: \"v2\"\r\nContent-Range: bytes 5000-25999/26000\r\n", &text[5000..]);
    let (got, _) = read(vec![cut(etag, 5000), Act::Say(other)]);
    assert!(got.unwrap_err().to_string().contains("another file"));
}

/// As MLflow 2 answers for a file that is not there.
#[test]
fn a_file_that_is_not_there_is_not_asked_for_again_and_again() {
    let failed = || status("500 Internal Server Error", "", r#"{"error_code": "INTERNAL_ERROR", "message": "No such file or directory"}"#);
    let server = Scripted::start([ok(EXPERIMENT), failed(), ok("{}")]);
    let store = store(&server.url);
    store.experiment("7").unwrap();
    assert!(store.artifacts(URI).unwrap().open_file(&path("m/x")).unwrap().is_none());
    assert_eq!(server.lines()[2], "GET /api/2.0/mlflow-artifacts/artifacts?path=7%2Fr%2Fartifacts%2Fm");
    // One that is there is.
    let there = r#"{"files": [{"path": "x", "is_dir": false, "file_size": 2}]}"#;
    let server = Scripted::start([ok(EXPERIMENT), failed(), ok(there), status("200 OK", "", "hi")]);
    let store = store_with(&server.url, impatient());
    store.experiment("7").unwrap();
    let mut text = String::new();
    store.artifacts(URI).unwrap().open_file(&path("m/x")).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "hi");
}

#[test]
fn listings_hold_names_and_no_ways_out() {
    let listed = json!({ "files": [
        { "path": "b", "is_dir": true }, { "path": "a.txt", "is_dir": false, "file_size": 3 },
        { "path": "../up", "is_dir": false }, { "path": "..", "is_dir": true }, { "path": "", "is_dir": true }, { "path": "c\\d", "is_dir": true }
    ] });
    let one = json!({ "files": [{ "path": "a.txt", "is_dir": false, "file_size": 3 }] });
    let absent = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}"#;
    let server = Scripted::start([ok(&listed.to_string()), ok(&one.to_string()), ok("{}"), status("404 Not Found", "", absent)]);
    let artifacts = store(&server.url).artifacts(URI).unwrap();
    let entry = |path: &str, is_dir, file_size| FileInfo { path: path.into(), is_dir, file_size };
    assert_eq!(artifacts.list(Some(&path("f"))).unwrap(), [entry("f/a.txt", false, Some(3)), entry("f/b", true, None)]);
    assert_eq!(artifacts.list(Some(&path("a.txt"))).unwrap(), [], "a file has nothing in it");
    assert_eq!(artifacts.list(None).unwrap(), []);
    assert!(!artifacts.delete(&path("x")).unwrap());
    assert_eq!(server.lines()[0], "GET /api/2.0/mlflow-artifacts/artifacts?path=7%2Fr%2Fartifacts%2Ff");
}

/// What the server behind `url` offers for two parts.
fn offer(bucket: &str) -> Act {
    let part = |number: u32| json!({ "url": format!("{bucket}/bucket/x?partNumber={number}"), "part_number": number, "headers": [{ "key": "x-amz-a", "value": "b" }] });
    ok(&json!({ "upload_id": "u1", "credentials": [part(1), part(2)] }).to_string())
}

fn in_parts() -> ServerOptions {
    ServerOptions {
        multipart: MultipartOptions { enabled: true, minimum_file_size: 15, chunk_size: 10 },
        token: Some("secret".into()),
        ..impatient()
    }
}

#[test]
fn a_large_file_goes_to_the_bucket_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big");
    std::fs::write(&file, b"0123456789abcdef").unwrap();
    let tagged = |tag: &str| Act::Say(answer("200 OK", &format!("ETag: \"{tag}\"\r\n"), ""));
    let bucket = Scripted::start([tagged("one"), Act::Cut(vec![]), status("503 Slow Down", "", ""), tagged("two")]);
    let server = Scripted::start([offer(&bucket.url), ok("{}")]);
    store_with(&server.url, in_parts()).artifacts(URI).unwrap().put_file(&path("m/big"), &file).unwrap();
    let sent = bucket.asked();
    let bodies: Vec<&[u8]> = sent.iter().map(|asked| &asked.body[..]).collect();
    assert_eq!(bodies, [&b"0123456789"[..], b"abcdef", b"abcdef", b"abcdef"], "a part alone is sent again");
    assert!(sent.iter().all(|asked| asked.head.contains("x-amz-a: b") && !asked.head.contains("secret")), "{sent:?}");
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /api/2.0/mlflow-artifacts/mpu/create/7/r/artifacts/m HTTP/1.1");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&asked[0].body).unwrap(), json!({ "path": "big", "num_parts": 2 }));
    let completed: serde_json::Value = serde_json::from_slice(&asked[1].body).unwrap();
    assert_eq!((&completed["upload_id"], &completed["parts"][1]["etag"]), (&json!("u1"), &json!("\"two\"")));
}

#[test]
fn a_bucket_out_of_reach_leaves_the_way_through_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big");
    std::fs::write(&file, b"0123456789abcdef").unwrap();
    // No such bucket; then a server that has none.
    let server = Scripted::start([offer("http://127.0.0.1:1"), ok("{}"), ok("{}"), ok("{}")]);
    let artifacts = store_with(&server.url, in_parts()).artifacts(URI).unwrap();
    artifacts.put_file(&path("big"), &file).unwrap();
    artifacts.put_file(&path("big2"), &file).unwrap();
    let method = |line: &String| line.split('?').next().unwrap().rsplit_once("mlflow-artifacts/").unwrap().1.to_owned();
    let asked: Vec<String> = server.lines().iter().map(method).collect();
    let rest = "7/r/artifacts";
    assert_eq!(
        asked,
        [format!("mpu/create/{rest}"), format!("mpu/abort/{rest}"), format!("artifacts/{rest}/big"), format!("artifacts/{rest}/big2")]
    );

    let unsupported =
        r#"{"error_code": "NOT_IMPLEMENTED", "message": "Multipart upload is not supported for the current artifact repository"}"#;
    let server = Scripted::start([status("501 Not Implemented", "", unsupported), ok("{}")]);
    store_with(&server.url, in_parts()).artifacts(URI).unwrap().put_file(&path("big"), &file).unwrap();
    assert_eq!(server.asked()[1].body, b"0123456789abcdef");
}

#[test]
fn another_server_gets_no_credentials() {
    let keeper = Scripted::start([ok("{}"), ok("{}")]);
    let server = Scripted::start([ok("{}"), ok("{}")]);
    let store = store_with(&server.url, ServerOptions { token: Some("secret".into()), ..impatient() });
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    for uri in [format!("mlflow-artifacts://{}/7", host(&keeper.url)), format!("{}/api/2.0/mlflow-artifacts/artifacts/7", keeper.url)] {
        store.artifacts(&uri).unwrap().put_bytes(&path("x"), b"1").unwrap();
    }
    for uri in [format!("mlflow-artifacts://{}/7", host(&server.url)), format!("{}/api/2.0/mlflow-artifacts/artifacts/7", server.url)] {
        store.artifacts(&uri).unwrap().put_bytes(&path("x"), b"1").unwrap();
    }
    let has = |scripted: &Scripted| scripted.asked().iter().map(|asked| asked.head.contains("secret")).collect::<Vec<_>>();
    assert_eq!((has(&keeper), has(&server)), (vec![false, false], vec![true, true]));
}
