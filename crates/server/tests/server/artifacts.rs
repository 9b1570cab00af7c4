//! Files through the server, and no way out of their folder.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anmok_server::Options;
use serde_json::json;

use crate::harness::Server;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

#[test]
fn a_file_goes_in_and_comes_out_whole_and_in_part() {
    let server = Server::start();
    let run = server.run();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let place = format!("{PROXY}/0/{run}/artifacts/model/%EC%95%88%EB%AA%A9%20net.pth");
    assert_eq!(server.ask("PUT", &place, &[], &content).status, 200);

    let answer = server.ask("GET", &place, &[], b"");
    assert_eq!(answer.status, 200);
    assert!(answer.body == content);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\" net.pth\"; filename*=UTF-8''%EC%95%88%EB%AA%A9%20net.pth")
    );
    let part = server.ask("GET", &place, &[("range", "bytes=1000-1999")], b"");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 1000-1999/3000000")));
    assert!(part.body == content[1000..2000]);
    assert_eq!(server.ask("GET", &place, &[("range", "bytes=3000000-")], b"").status, 416);

    let list = server.ask("GET", &format!("{PROXY}?path=0/{run}/artifacts/model"), &[], b"").json();
    assert_eq!(list, json!({ "files": [{ "path": "안목 net.pth", "is_dir": false, "file_size": 3_000_000 }] }));
    let list = server.get(&format!("artifacts/list?run_id={run}&path=model"));
    assert_eq!(list["files"][0]["path"], "model/안목 net.pth");
    let answer = server.ask("GET", &format!("/get-artifact?run_uuid={run}&path=model%2F%EC%95%88%EB%AA%A9+net.pth"), &[], b"");
    assert!(answer.body == content);
    let uploaded = server.ask("POST", &format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=notes/a.txt"), &[], b"hello");
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    assert_eq!(server.ask("GET", &format!("/get-artifact?run_id={run}&path=notes/a.txt"), &[], b"").text(), "hello");

    assert_eq!(server.ask("DELETE", &place, &[], b"").status, 200);
    assert_eq!(server.ask("GET", &place, &[], b"").status, 404);
    assert_eq!(server.ask("GET", &format!("{PROXY}/0/{run}/artifacts/notes"), &[], b"").status, 400, "a folder is no file");
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let server = Server::with(Options { patience: Duration::from_millis(300), ..Options::default() });
    let size = 64 << 20;
    let place = server.folder.path().join("artifacts/large");
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::File::create(&place).unwrap().set_len(size).unwrap();
    let mut client = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(client, "GET {PROXY}/large HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // The kernel's buffers hold a few megabytes; then the server can send no more until we read.
    std::thread::sleep(Duration::from_secs(2));
    let received = std::io::copy(&mut client, &mut std::io::sink()).unwrap_or(0);
    assert!(received < size, "all {received} bytes came");
    assert_eq!(server.ask("GET", "/health", &[], b"").text(), "OK");
}

#[test]
fn no_path_leads_out() {
    let server = Server::start();
    let run = server.run();
    let secret = server.folder.path().join("secret.txt");
    std::fs::write(&secret, "secret").unwrap();
    server.ask("PUT", &format!("{PROXY}/0/{run}/artifacts/a.txt"), &[], b"a");
    for path in [
        "..%2Fsecret.txt",
        "%2e%2e/secret.txt",
        "0/../../secret.txt",
        "..%5Csecret.txt",
        "%2Fetc/passwd",
        "C:%5Csecret.txt",
        "a%00b",
        "a%23b",
        "0//a",
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = server.ask(method, &format!("{PROXY}/{path}"), &[], b"x");
            assert!(matches!(answer.status, 400 | 404), "{method} {path}: {} {}", answer.status, answer.text());
        }
        for endpoint in [
            format!("/get-artifact?run_id={run}&path={path}"),
            format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}"),
            format!("{PROXY}?path={path}"),
        ] {
            let answer = server.ask("GET", &endpoint, &[], b"");
            assert_eq!(answer.status, 400, "{endpoint}: {}", answer.text());
        }
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_server_that_serves_no_artifacts_says_so() {
    let server = Server::with(Options { serve_artifacts: false, ..Options::default() });
    let answer = server.ask("GET", &format!("{PROXY}/a"), &[], b"");
    assert!(answer.text().contains("--serve-artifacts"), "{}", answer.text());
}

/// Whose files lie where this server reaches nothing has no links, and may name a source elsewhere.
#[test]
fn a_model_version_of_a_run_out_of_reach_is_made() {
    let server = Server::start();
    let experiment = server.post("experiments/create", json!({ "name": "far", "artifact_location": "dbfs:/runs" }));
    let run = server.post("runs/create", json!({ "experiment_id": experiment["experiment_id"] }));
    server.post("registered-models/create", json!({ "name": "far" }));
    let body = json!({ "name": "far", "source": "s3://models/far", "run_id": run["run"]["info"]["run_id"] });
    assert_eq!(server.post("model-versions/create", body)["model_version"]["source"], "s3://models/far");
}

/// A source as text lies in its run's folder; a link on its way may lead elsewhere.
#[cfg(unix)]
#[test]
fn a_model_version_is_made_of_nothing_that_a_link_leads_to() {
    let server = Server::start();
    let runs = server.folder.path().join("runs");
    let location = format!("file://{}", runs.display());
    let experiment = server.post("experiments/create", json!({ "name": "links", "artifact_location": location }));
    let run = server.post("runs/create", json!({ "experiment_id": experiment["experiment_id"] }));
    let (run_id, root) = (&run["run"]["info"]["run_id"], run["run"]["info"]["artifact_uri"].as_str().unwrap().to_owned());
    let folder = std::path::PathBuf::from(root.strip_prefix("file://").unwrap());
    let secrets = server.folder.path().join("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("key.txt"), "secret").unwrap();
    std::fs::create_dir_all(folder.join("model")).unwrap();
    std::os::unix::fs::symlink(&secrets, folder.join("out")).unwrap();
    std::os::unix::fs::symlink(server.folder.path().join("nowhere"), folder.join("dangling")).unwrap();
    std::os::unix::fs::symlink(folder.join("model"), folder.join("within")).unwrap();
    server.post("registered-models/create", json!({ "name": "linked" }));
    for (path, status) in
        [("out", 400), ("out/deeper", 400), ("dangling", 400), ("dangling/deeper", 400), ("within", 200), ("not/yet", 200)]
    {
        let body = json!({ "name": "linked", "source": format!("{root}/{path}"), "run_id": run_id }).to_string();
        let answer = server.ask("POST", "/api/2.0/mlflow/model-versions/create", &[], body.as_bytes());
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(status == 200 || answer.text().contains("contained within the artifact directory"), "{path}: {}", answer.text());
    }
}
