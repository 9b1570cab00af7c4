//! Webhooks: kept, told of what happens in the registry, signed, told again, and never led into this server's own network.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anmok_server::{Options, Webhooks};
use serde_json::{Value, json};

use crate::harness::{Answer, Server};

/// What a receiver was told.
struct Told {
    headers: Vec<(String, String)>,
    body: String,
}

impl Told {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver that answers with these statuses in turn, the last one for ever.
fn receiver(statuses: &'static [u16]) -> (String, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/told?token=1", listener.local_addr().unwrap());
    let (told, all) = channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut lines = vec![];
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let headers: Vec<(String, String)> = lines[1..]
                .iter()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = statuses[count.min(statuses.len() - 1)];
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n\r\nok");
            stream.write_all(answer.as_bytes()).unwrap();
            if told.send(Told { headers, body: String::from_utf8(body).unwrap() }).is_err() {
                break;
            }
        }
    });
    (url, all)
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(Duration::from_secs(20)).expect("the webhook is told")
}

fn nothing_more(told: &Receiver<Told>) {
    assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "the webhook is told too much");
}

fn near() -> Options {
    let webhooks = Webhooks {
        allowed_schemes: vec!["http".into(), "https".into()],
        allow_private_addresses: true,
        secret_key: Some([7; 32]),
        backoff: Duration::from_millis(20),
        ..Webhooks::default()
    };
    Options { webhooks, ..Options::default() }
}

fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Answer {
    server.ask(method, &format!("/api/2.0/mlflow/{path}"), &[], body.to_string().as_bytes())
}

fn create(server: &Server, url: &str, events: &[(&str, &str)], secret: Option<&str>) -> Answer {
    let events: Vec<Value> = events.iter().map(|(entity, action)| json!({ "entity": entity, "action": action })).collect();
    ask(server, "POST", "webhooks", &json!({ "name": "hook", "url": url, "events": events, "secret": secret }))
}

#[test]
fn the_registry_is_told_of() {
    let server = Server::with(near());
    let (url, told) = receiver(&[200]);
    let events = [
        ("REGISTERED_MODEL", "CREATED"),
        ("MODEL_VERSION", "CREATED"),
        ("MODEL_VERSION_TAG", "SET"),
        ("MODEL_VERSION_TAG", "DELETED"),
        ("MODEL_VERSION_ALIAS", "CREATED"),
        ("MODEL_VERSION_ALIAS", "DELETED"),
        ("PROMPT", "CREATED"),
        ("PROMPT_VERSION", "CREATED"),
        ("PROMPT_TAG", "SET"),
        ("PROMPT_TAG", "DELETED"),
        ("PROMPT_ALIAS", "CREATED"),
    ];
    assert_eq!(create(&server, &url, &events, None).status, 200);
    let prompt_tags = json!([{ "key": "mlflow.prompt.is_prompt", "value": "true" }, { "key": "a", "value": "b" }]);
    let version_tags =
        json!([{ "key": "mlflow.prompt.is_prompt", "value": "true" }, { "key": "mlflow.prompt.text", "value": "Hello {{name}}" }]);
    for (method, path, body, entity, action, data) in [
        (
            "POST",
            "registered-models/create",
            json!({ "name": "net", "tags": [{ "key": "a", "value": "b" }] }),
            "registered_model",
            "created",
            json!({ "name": "net", "tags": { "a": "b" }, "description": "" }),
        ),
        (
            "POST",
            "model-versions/create",
            json!({ "name": "net", "source": "s3://bucket/x", "description": "first" }),
            "model_version",
            "created",
            json!({ "name": "net", "version": "1", "source": "s3://bucket/x", "run_id": null, "tags": {}, "description": "first" }),
        ),
        (
            "POST",
            "model-versions/set-tag",
            json!({ "name": "net", "version": "1", "key": "k", "value": "안목" }),
            "model_version_tag",
            "set",
            json!({ "name": "net", "version": "1", "key": "k", "value": "안목" }),
        ),
        (
            "DELETE",
            "model-versions/delete-tag",
            json!({ "name": "net", "version": "1", "key": "k" }),
            "model_version_tag",
            "deleted",
            json!({ "name": "net", "version": "1", "key": "k" }),
        ),
        (
            "POST",
            "registered-models/alias",
            json!({ "name": "net", "alias": "best", "version": "1" }),
            "model_version_alias",
            "created",
            json!({ "name": "net", "alias": "best", "version": "1" }),
        ),
        (
            "DELETE",
            "registered-models/alias",
            json!({ "name": "net", "alias": "best" }),
            "model_version_alias",
            "deleted",
            json!({ "name": "net", "alias": "best" }),
        ),
        (
            "POST",
            "registered-models/create",
            json!({ "name": "ask", "tags": prompt_tags, "description": "d" }),
            "prompt",
            "created",
            json!({ "name": "ask", "tags": { "a": "b" }, "description": "d" }),
        ),
        (
            "POST",
            "model-versions/create",
            json!({ "name": "ask", "source": "prompt-template", "tags": version_tags }),
            "prompt_version",
            "created",
            json!({ "name": "ask", "version": "1", "template": "Hello {{name}}", "tags": {}, "description": null }),
        ),
        (
            "POST",
            "registered-models/set-tag",
            json!({ "name": "ask", "key": "k", "value": "v" }),
            "prompt_tag",
            "set",
            json!({ "name": "ask", "key": "k", "value": "v" }),
        ),
        (
            "DELETE",
            "registered-models/delete-tag",
            json!({ "name": "ask", "key": "k" }),
            "prompt_tag",
            "deleted",
            json!({ "name": "ask", "key": "k" }),
        ),
        (
            "POST",
            "registered-models/alias",
            json!({ "name": "ask", "alias": "best", "version": "1" }),
            "prompt_alias",
            "created",
            json!({ "name": "ask", "alias": "best", "version": "1" }),
        ),
    ] {
        let answer = ask(&server, method, path, &body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let message = next(&told);
        let json = message.json();
        assert_eq!((json["entity"].as_str(), json["action"].as_str(), &json["data"]), (Some(entity), Some(action), &data), "{path}");
        assert!(json["timestamp"].as_str().unwrap().ends_with("+00:00"));
        assert_eq!(message.header("content-type"), "application/json");
        assert_eq!(message.header("x-mlflow-delivery-id").len(), 36);
        assert_eq!(message.header("x-mlflow-signature"), "");
    }
    // What MLflow tells nobody of, what fails, and what nobody asked for.
    server.post("registered-models/set-tag", json!({ "name": "net", "key": "k", "value": "v" }));
    assert_eq!(ask(&server, "POST", "registered-models/create", &json!({ "name": "net" })).status, 400);
    assert_eq!(ask(&server, "DELETE", "registered-models/alias", &json!({ "name": "ask", "alias": "best" })).status, 200);
    nothing_more(&told);
}

#[test]
fn messages_are_signed_with_a_secret_that_is_stored_encrypted() {
    let server = Server::with(near());
    let (url, told) = receiver(&[200]);
    let made = create(&server, &url, &[("REGISTERED_MODEL", "CREATED")], Some("the secret words")).json();
    assert!(!made.to_string().contains("secret"), "{made}");
    let webhook_id = made["webhook"]["webhook_id"].as_str().unwrap();
    let stored = server.store.webhook(webhook_id).unwrap().unwrap().secret.unwrap();
    assert!(!stored.contains("secret words") && stored.len() > 40, "{stored}");

    server.post("registered-models/create", json!({ "name": "net" }));
    let message = next(&told);
    let signed = format!("{}.{}.{}", message.header("x-mlflow-delivery-id"), message.header("x-mlflow-timestamp"), message.body);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"the secret words");
    let signature =
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, message.header("x-mlflow-signature").strip_prefix("v1,").unwrap());
    ring::hmac::verify(&key, signed.as_bytes(), &signature.unwrap()).expect("the signature fits");

    let without_key = Options { webhooks: Webhooks { secret_key: None, ..near().webhooks }, ..Options::default() };
    let answer = create(&Server::with(without_key), &url, &[("REGISTERED_MODEL", "CREATED")], Some("x"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"), "{}", answer.text());
}

#[test]
fn who_does_not_answer_is_told_again_and_nobody_waits() {
    let server = Server::with(near());
    let (url, told) = receiver(&[503, 500, 200]);
    assert_eq!(create(&server, &url, &[("REGISTERED_MODEL", "CREATED")], None).status, 200);
    server.post("registered-models/create", json!({ "name": "net" }));
    let tries = [next(&told), next(&told), next(&told)];
    nothing_more(&told);
    assert!(tries.iter().all(|message| message.body == tries[0].body), "it is the same message");
    assert!(tries.iter().all(|message| message.header("x-mlflow-delivery-id") == tries[0].header("x-mlflow-delivery-id")));

    // A refusal and a redirect are answers: they are not asked again, and not followed.
    for statuses in [&[400_u16][..], &[302], &[404]] {
        let (url, told) = receiver(statuses);
        let server = Server::with(near());
        assert_eq!(create(&server, &url, &[("REGISTERED_MODEL", "CREATED")], None).status, 200);
        server.post("registered-models/create", json!({ "name": "net" }));
        next(&told);
        nothing_more(&told);
    }
    // And one that is not there at all keeps nobody from working.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(create(&server, &format!("http://{gone}/"), &[("REGISTERED_MODEL", "CREATED")], None).status, 200);
    server.post("registered-models/create", json!({ "name": "other" }));
}

#[test]
fn webhooks_are_kept_and_tested() {
    let server = Server::with(near());
    let (url, told) = receiver(&[200, 418]);
    let made = create(&server, &url, &[("MODEL_VERSION", "CREATED"), ("MODEL_VERSION", "CREATED")], None).json();
    let webhook = &made["webhook"];
    let path = format!("webhooks/{}", webhook["webhook_id"].as_str().unwrap());
    assert_eq!((webhook["status"].as_str(), webhook["events"].as_array().map(Vec::len)), (Some("ACTIVE"), Some(1)));
    assert_eq!(ask(&server, "GET", &path, &json!({})).json(), made);
    for number in 0..3 {
        assert_eq!(create(&server, &format!("{url}&{number}"), &[("PROMPT", "CREATED")], None).status, 200);
    }
    let first = ask(&server, "GET", "webhooks?max_results=3", &json!({})).json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = ask(&server, "GET", &format!("webhooks?max_results=3&page_token={token}"), &json!({})).json();
    assert_eq!((first["webhooks"].as_array().map(Vec::len), second["webhooks"][0].clone()), (Some(3), webhook.clone()));

    let result = ask(&server, "POST", &format!("{path}/test"), &json!({})).json()["result"].clone();
    assert_eq!(result, json!({ "success": true, "response_status": 200, "response_body": "ok" }));
    assert_eq!(next(&told).json()["data"]["source"], "models:/123");
    let event = json!({ "event": { "entity": "PROMPT", "action": "CREATED" } });
    let result = ask(&server, "POST", &format!("{path}/test"), &event).json()["result"].clone();
    assert_eq!((result["success"].as_bool(), result["response_status"].as_i64()), (Some(false), Some(418)));
    assert_eq!(next(&told).json()["data"]["name"], "example_prompt");

    let changed = ask(&server, "PATCH", &path, &json!({ "status": "DISABLED", "description": "why" })).json();
    assert_eq!((changed["webhook"]["status"].as_str(), changed["webhook"]["url"].as_str()), (Some("DISABLED"), Some(url.as_str())));
    server.post("registered-models/create", json!({ "name": "net" }));
    server.post("model-versions/create", json!({ "name": "net", "source": "s3://bucket/x" }));
    nothing_more(&told);
    assert_eq!(ask(&server, "DELETE", &path, &json!({})).status, 200);
    for (method, path, body) in [("GET", path.as_str(), json!({})), ("DELETE", &path, json!({})), ("PATCH", &path, json!({ "name": "x" }))]
    {
        let answer = ask(&server, method, path, &body);
        assert_eq!(answer.status, 404, "{method}: {}", answer.text());
    }
    let wrong = |url: &str, events: &[(&str, &str)]| create(&server, url, events, None).status;
    assert_eq!(wrong("ftp://host/", &[("PROMPT", "CREATED")]), 400);
    assert_eq!(wrong("http://anna:word@host/", &[("PROMPT", "CREATED")]), 400);
    assert_eq!(wrong(&url, &[("PROMPT", "EXCEEDED")]), 400);
    assert_eq!(wrong(&url, &[]), 400);
    assert_eq!(wrong("not a url", &[("PROMPT", "CREATED")]), 400);
}

#[test]
fn nobody_is_led_into_the_servers_own_network() {
    let server = Server::start();
    for url in [
        "https://127.0.0.1/",
        "https://localhost:5000/api",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://0x7f000001/",
        "https://127.1/",
        "https://[::ffff:127.0.0.1]/",
    ] {
        let answer = create(&server, url, &[("REGISTERED_MODEL", "CREATED")], None);
        assert_eq!(answer.status, 400, "{url}: {}", answer.text());
    }
    assert!(create(&server, "http://example.com/", &[("PROMPT", "CREATED")], None).text().contains("Allowed schemes are: https"));

    // One that was made when it was allowed, or whose name leads elsewhere today, is not asked either.
    let (url, told) = receiver(&[200]);
    let only_http = Options { webhooks: Webhooks { allow_private_addresses: false, ..near().webhooks }, ..Options::default() };
    let server = Server::with(only_http);
    server
        .store
        .create_webhook(&anmok_tracking::NewWebhook {
            name: "old".into(),
            description: None,
            url,
            events: vec![serde_json::from_value(json!({ "entity": "REGISTERED_MODEL", "action": "CREATED" })).unwrap()],
            secret: None,
            status: anmok_protocol::messages::webhooks::WebhookStatus::Active,
        })
        .unwrap();
    server.post("registered-models/create", json!({ "name": "net" }));
    nothing_more(&told);
}
