//! Files through the server, and no way out of their folder.

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
