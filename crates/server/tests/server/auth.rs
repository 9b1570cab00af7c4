//! A server that asks who is there: passwords, tokens, and what becomes of wrong ones.

use std::time::{Duration, Instant};

use anmok_protocol::Permission;
use anmok_server::{Auth, Options, password};
use anmok_tracking::{NewToken, NewUser, now_ms};
use serde_json::{Value, json};

use crate::harness::{Answer, Server};

pub const PASSWORD: &str = "correct horse battery";
const NOT_AUTHENTICATED: &str = "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow on how to authenticate.";

pub fn options(default_permission: Permission) -> Options {
    Options { auth: Some(Auth { default_permission }), ..Options::default() }
}

/// A user of a server, known by a token.
pub struct Client<'a> {
    pub server: &'a Server,
    pub username: String,
    bearer: String,
}

impl<'a> Client<'a> {
    pub fn new(server: &'a Server, username: &str, is_admin: bool) -> Self {
        let password_hash = "no password".into();
        server.store.create_user(&NewUser { username: username.into(), password_hash, is_admin }).unwrap();
        let (secret, token_hash) = password::new_token().unwrap();
        server.store.create_token(username, &NewToken { name: "test".into(), token_hash, expiration_time: None }).unwrap();
        Self { server, username: username.into(), bearer: format!("Bearer {secret}") }
    }

    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("authorization", self.bearer.as_str()), ("content-type", "application/json")];
        self.server.ask(method, path, &headers, body)
    }

    /// The status and body of an endpoint of MLflow's: with a body, or with a query string.
    pub fn call(&self, method: &str, endpoint: &str, asked: &Value) -> (u16, Value) {
        let version = if endpoint.starts_with("users/permissions") || endpoint == "users/current/permissions" { "3.0" } else { "2.0" };
        let path = format!("/api/{version}/mlflow/{endpoint}");
        let answer = match (method, asked) {
            ("GET", Value::Object(fields)) => {
                let pairs = fields.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
                self.ask("GET", &format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")), b"")
            }
            _ => self.ask(method, &path, asked.to_string().as_bytes()),
        };
        let json = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Value::String(answer.text()));
        (answer.status, json)
    }

    /// What must succeed.
    pub fn done(&self, method: &str, endpoint: &str, asked: &Value) -> Value {
        let (status, answer) = self.call(method, endpoint, asked);
        assert_eq!(status, 200, "{method} {endpoint} {asked} as {}: {answer}", self.username);
        answer
    }
}

/// `Basic` with a name and a password.
pub fn basic(username: &str, password: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("{username}:{password}");
    let groups = text.as_bytes().chunks(3).map(|group| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..4).map(|at| if at <= group.len() { char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]) } else { '=' }).collect::<String>()
    });
    format!("Basic {}", groups.collect::<String>())
}

fn experiment(server: &Server, authorization: &str) -> Answer {
    server.ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", &[("authorization", authorization)], b"")
}

fn with_password(server: &Server, username: &str, is_admin: bool) {
    let password_hash = password::hash(PASSWORD).unwrap();
    server.store.create_user(&NewUser { username: username.into(), password_hash, is_admin }).unwrap();
}

#[test]
fn who_is_not_known_is_told_how_to_be() {
    let server = Server::with(options(Permission::Read));
    with_password(&server, "안나", false);
    for authorization in ["", "Basic", "Basic !", "Bearer x", "Digest x", &basic("안나", "wrong password"), &basic("nobody", PASSWORD)] {
        let answer = experiment(&server, authorization);
        assert_eq!((answer.status, answer.text().as_str()), (401, NOT_AUTHENTICATED), "{authorization}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"mlflow\""));
    }
    for path in ["/", "/version", "/metrics", "/graphql", "/get-artifact?run_id=x&path=y", "/api/2.0/mlflow/none", "/static-file"] {
        assert_eq!(server.ask("GET", path, &[], b"").status, 401, "{path}");
    }
    assert_eq!(server.ask("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/a", &[], &[0; 100_000]).status, 401);
    assert_eq!(server.ask("GET", "/health", &[], b"").text(), "OK");
    assert_eq!(server.ask("GET", "/api/3.0/mlflow/server-info", &[], b"").status, 200);
    let answer = experiment(&server, &basic("안나", PASSWORD));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn without_users_nobody_is_asked_and_there_are_none() {
    let server = Server::start();
    assert_eq!(experiment(&server, &basic("admin", "whatever")).status, 200);
    assert_eq!(server.ask("GET", "/api/2.0/mlflow/users/list", &[], b"").status, 404);
    assert_eq!(server.ask("POST", "/api/2.0/anmok/tokens/create", &[], b"{}").status, 404);
}

#[test]
fn what_was_changed_counts_at_once() {
    let server = Server::with(options(Permission::Read));
    let admin = Client::new(&server, "admin", true);
    let user = json!({ "username": "anna", "password": PASSWORD });
    let made = admin.done("POST", "users/create", &user);
    assert_eq!((made["user"]["username"].as_str(), made["user"]["is_admin"].as_bool()), (Some("anna"), Some(false)));
    let old = basic("anna", PASSWORD);
    assert_eq!(experiment(&server, &old).status, 200);

    let body = json!({ "username": "anna", "password": "another good one", "current_password": PASSWORD });
    let as_anna = [("authorization", old.as_str())];
    let change = |body: &Value| server.ask("PATCH", "/api/2.0/mlflow/users/update-password", &as_anna, body.to_string().as_bytes());
    for (body, words) in [
        (json!({ "username": "anna", "password": "another good one" }), "Current password is required when changing your own password."),
        (json!({ "username": "anna", "password": "another good one", "current_password": "x" }), "Current password does not match."),
        (
            json!({ "username": "anna", "password": PASSWORD, "current_password": PASSWORD }),
            "New password must differ from the current password.",
        ),
        (json!({ "username": "anna", "password": "short", "current_password": PASSWORD }), "Password must be at least 12 characters."),
    ] {
        let answer = change(&body);
        assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some(words)));
    }
    assert_eq!(change(&body).status, 200);
    assert_eq!(experiment(&server, &old).status, 401);
    assert_eq!(experiment(&server, &basic("anna", "another good one")).status, 200);

    let deleted = admin.call("DELETE", "users/delete", &json!({ "username": "admin" }));
    assert_eq!(deleted.0, 400);
    admin.done("DELETE", "users/delete", &json!({ "username": "anna" }));
    assert_eq!(experiment(&server, &basic("anna", "another good one")).status, 401);
}

#[test]
fn what_was_changed_elsewhere_counts_within_a_second() {
    let server = Server::with(options(Permission::NoPermissions));
    with_password(&server, "anna", false);
    let anna = basic("anna", PASSWORD);
    assert_eq!(experiment(&server, &anna).status, 403);
    server.store.set_user_admin("anna", true).unwrap();
    assert_eq!(experiment(&server, &anna).status, 200, "nobody is refused by what is remembered");
    server.store.set_user_password("anna", "gone").unwrap();
    let start = Instant::now();
    while experiment(&server, &anna).status == 200 {
        assert!(start.elapsed() < Duration::from_secs(5), "an old password is good for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(experiment(&server, &anna).status, 401);
}

#[test]
fn tokens_are_made_listed_expired_and_revoked() {
    let server = Server::with(options(Permission::Read));
    let (anna, admin) = (Client::new(&server, "anna", false), Client::new(&server, "admin", true));
    let ask = |client: &Client, method: &str, path: &str, body: Value| {
        let answer = client.ask(method, &format!("/api/2.0/anmok/tokens/{path}"), body.to_string().as_bytes());
        (answer.status, answer.text())
    };
    let before = now_ms();
    let (status, text) = ask(&anna, "POST", "create", json!({ "name": "ci", "expires_in_seconds": 3600 }));
    assert_eq!(status, 200, "{text}");
    let made: Value = serde_json::from_str(&text).unwrap();
    let secret = format!("Bearer {}", made["secret"].as_str().unwrap());
    let expires = made["token"]["expiration_time"].as_i64().unwrap();
    assert!(secret.starts_with("Bearer anmok_") && (before + 3_600_000..before + 3_700_000).contains(&expires), "{made}");
    assert_eq!(experiment(&server, &secret).status, 200);
    assert_eq!(ask(&anna, "POST", "create", json!({ "name": "ci" })).0, 400);
    for wrong in [json!({ "name": "x", "expires_in_seconds": 0 }), json!({ "name": "x", "expires_in_seconds": i64::MAX }), json!({})] {
        assert_eq!(ask(&anna, "POST", "create", wrong.clone()).0, 400, "{wrong}");
    }
    let (_, listed) = ask(&anna, "GET", "list?username=anna", json!({}));
    assert!(listed.contains("\"ci\"") && !listed.contains("anmok_") && !listed.contains("hash"), "{listed}");

    // Of others, only administrators.
    assert_eq!(ask(&anna, "POST", "create", json!({ "name": "ci", "username": "admin" })).0, 403);
    assert_eq!(ask(&anna, "GET", "list?username=admin", json!({})).0, 403);
    assert_eq!(ask(&anna, "DELETE", "revoke", json!({ "name": "test", "username": "admin" })).0, 403);
    assert_eq!(ask(&admin, "GET", "list?username=anna", json!({})).1, listed);
    assert_eq!(ask(&admin, "DELETE", "revoke", json!({ "name": "ci", "username": "anna" })).0, 200);
    assert_eq!(ask(&admin, "DELETE", "revoke", json!({ "name": "ci", "username": "anna" })).0, 404);
    assert_eq!(experiment(&server, &secret).status, 401);

    let (secret, token_hash) = password::new_token().unwrap();
    let expired = NewToken { name: "old".into(), token_hash, expiration_time: Some(now_ms() + 300) };
    server.store.create_token("anna", &expired).unwrap();
    assert_eq!(experiment(&server, &format!("Bearer {secret}")).status, 200);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(experiment(&server, &format!("Bearer {secret}")).status, 401);
}

#[test]
fn guesses_wait_and_others_do_not() {
    let server = Server::with(options(Permission::Read));
    with_password(&server, "anna", false);
    let (anna, other) = (basic("anna", PASSWORD), Client::new(&server, "other", false));
    assert_eq!(experiment(&server, &anna).status, 200);
    let answers: Vec<u16> = (0..12).map(|guess| experiment(&server, &basic("anna", &format!("wrong {guess}"))).status).collect();
    assert!(answers[..10].iter().all(|status| *status == 401) && answers.contains(&429), "{answers:?}");
    let answer = experiment(&server, &basic("anna", "wrong again"));
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some_and(|seconds| (1..=3).contains(&seconds.parse::<u32>().unwrap())));
    assert_eq!(experiment(&server, &anna).status, 200, "who is known is not locked out");
    assert_eq!(other.ask("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0", b"").status, 200);
}

/// An unknown name takes as long as a wrong password: the answer's time does not tell which names there are.
#[test]
fn names_cannot_be_found_out_by_the_clock() {
    let server = Server::with(options(Permission::Read));
    with_password(&server, "anna", false);
    let time = |username: &str| {
        let times = (0..5).map(|guess| {
            let start = Instant::now();
            assert_eq!(experiment(&server, &basic(username, &format!("wrong {guess}"))).status, 401);
            start.elapsed()
        });
        times.min().unwrap()
    };
    let (known, unknown) = (time("anna"), time("nobody"));
    assert!(unknown > known / 2 && known > unknown / 2, "known {known:?}, unknown {unknown:?}");
}
