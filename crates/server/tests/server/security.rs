//! Foreign hosts and pages are refused; answers carry the headers that browsers heed.

use anmok_server::{Options, Security};

use crate::harness::Server;

const CREATE: &str = "/api/2.0/mlflow/experiments/create";

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let server = Server::start();
    let evil = [("host", "evil.example")];
    let answer = server.ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", &evil, b"");
    assert_eq!((answer.status, answer.text().as_str()), (403, "Invalid Host header - possible DNS rebinding attack detected"));
    // What load balancers ask is answered under any name.
    assert_eq!(server.ask("GET", "/health", &evil, b"").text(), "OK");
    let answer = server.ask("POST", CREATE, &[("origin", "https://evil.example")], br#"{"name": "a"}"#);
    assert_eq!((answer.status, answer.text().as_str()), (403, "Cross-origin request blocked"));
    let answer = server.ask("POST", CREATE, &[("origin", "http://localhost:3000")], br#"{"name": "a"}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
    let answer = server.ask("GET", "/health", &[("x-request-id", "abc-1")], b"");
    assert_eq!(answer.header("x-request-id"), Some("abc-1"));
    assert_eq!(server.ask("OPTIONS", CREATE, &[("origin", "http://localhost:3000")], b"").status, 204);
}

#[test]
fn named_hosts_and_origins_are_answered() {
    let security = Security {
        allowed_hosts: vec!["mlflow.example".into()],
        cors_allowed_origins: vec!["https://ui.example".into()],
        ..Security::default()
    };
    let server = Server::with(Options { security, ..Options::default() });
    let answer = server.ask("POST", CREATE, &[("host", "mlflow.example:80"), ("origin", "https://ui.example")], br#"{"name": "a"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.ask("POST", CREATE, &[("host", "localhost")], br#"{"name": "b"}"#).status, 403);
}
