//! `anmok server` when things break: kill -9 under load, many clients, slow clients, two servers on one file, a full disk,
//! an S3 server that is away.

use super::sandbox::{Sandbox, Server};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One client with one kept connection.
struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    fn of(server: &Server) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
        Self { agent: config.build().into(), url: server.url.clone() }
    }

    /// Status and answer; `None` where the connection broke.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let mut answer = self.agent.run(request.body(body).unwrap()).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    fn post(&self, endpoint: &str, body: &Value) -> Option<(u16, Value)> {
        self.ask("POST", &format!("/api/2.0/mlflow/{endpoint}"), body.to_string().as_bytes())
    }

    #[track_caller]
    fn must(&self, endpoint: &str, body: &Value) -> Value {
        let (status, answer) = self.post(endpoint, body).expect("an answer");
        assert_eq!(status, 200, "{endpoint}: {answer}");
        answer
    }

    fn new_run(&self) -> String {
        let answer = self.must("runs/create", &json!({ "experiment_id": "0" }));
        answer["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    fn log(&self, run_id: &str, step: i64) -> bool {
        let point = json!({ "run_id": run_id, "key": "loss", "value": 0.5, "timestamp": 1, "step": step });
        self.post("runs/log-metric", &point).is_some_and(|(status, _)| status == 200)
    }

    /// The steps of `loss`, each of which must be there once.
    fn steps(&self, run_id: &str) -> HashSet<i64> {
        let path = format!("/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=loss");
        let (status, answer) = self.ask("GET", &path, b"").expect("an answer");
        assert_eq!(status, 200, "{answer}");
        let points = answer["metrics"].as_array().cloned().unwrap_or_default();
        let steps: HashSet<i64> = points.iter().map(|point| point["step"].as_i64().unwrap()).collect();
        assert_eq!(steps.len(), points.len(), "a point is there twice");
        steps
    }
}

#[test]
fn a_server_killed_under_load_has_every_write_that_it_acknowledged() {
    const CLIENTS: usize = 8;
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    let run_ids: Vec<String> = (0..CLIENTS).map(|_| Client::of(&server).new_run()).collect();
    let mut acknowledged: Vec<HashSet<i64>> = vec![HashSet::new(); CLIENTS];
    for life in 0..4 {
        let begin: i64 = life * 1_000_000;
        std::thread::scope(|scope| {
            let clients: Vec<_> = run_ids
                .iter()
                .map(|run_id| {
                    let client = Client::of(&server);
                    // Until the server is gone.
                    scope.spawn(move || (begin..).take_while(|step| client.log(run_id, *step)).collect::<Vec<_>>())
                })
                .collect();
            // Each time at another moment of a commit.
            std::thread::sleep(Duration::from_millis(400 + 37 * life as u64));
            server.kill();
            for (all, client) in acknowledged.iter_mut().zip(clients) {
                all.extend(client.join().unwrap());
            }
        });
        server = Server::start(&sandbox, "");
        let client = Client::of(&server);
        for (run_id, acknowledged) in run_ids.iter().zip(&acknowledged) {
            let stored = client.steps(run_id);
            let lost: Vec<_> = acknowledged.difference(&stored).collect();
            assert!(lost.is_empty(), "lost after {} acknowledged: {lost:?}", acknowledged.len());
            // What was under way may be there or not: one write for each life.
            assert!(stored.len() - acknowledged.len() <= life as usize + 1, "{} stored, {} acknowledged", stored.len(), acknowledged.len());
        }
    }
    assert!(acknowledged.iter().all(|acknowledged| acknowledged.len() > 40), "there was hardly any load");
}

#[test]
fn two_servers_write_to_one_file() {
    let sandbox = Sandbox::new();
    let servers = [Server::start(&sandbox, ""), Server::start(&sandbox, "")];
    let run_id = Client::of(&servers[0]).new_run();
    std::thread::scope(|scope| {
        for (number, server) in servers.iter().enumerate() {
            let run_id = &run_id;
            scope.spawn(move || {
                let client = Client::of(server);
                for step in 0..200 {
                    assert!(client.log(run_id, 2 * step + number as i64));
                }
            });
        }
    });
    for server in &servers {
        assert_eq!(Client::of(server).steps(&run_id), (0..400).collect());
    }
}

#[test]
fn five_hundred_clients_at_once_are_all_answered() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, "");
    let run_id = Client::of(&server).new_run();
    std::thread::scope(|scope| {
        for number in 0..500 {
            let (server, run_id) = (&server, &run_id);
            let work = move || {
                let client = Client::of(server);
                for step in 0..3 {
                    assert!(client.log(run_id, number * 3 + step), "client {number}");
                }
            };
            std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, work).expect("a thread");
        }
    });
    assert_eq!(Client::of(&server).steps(&run_id), (0..1500).collect());
}

#[test]
fn clients_that_send_half_a_request_keep_nobody_waiting() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, "");
    let address = server.url.trim_start_matches("http://");
    let halves =
        ["GET /health HTTP/1.1\r\nHo", "POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"];
    let silent: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.write_all(halves[number % 2].as_bytes()).expect("half a request");
            stream
        })
        .collect();
    let begin = Instant::now();
    let client = Client::of(&server);
    let run_id = client.new_run();
    for step in 0..20 {
        assert!(client.log(&run_id, step));
    }
    // Far more than this takes, and far less than the patience with the silent ones.
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    drop(silent);
}

#[test]
fn a_walk_over_all_runs_meets_each_once_while_others_are_made() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, "");
    let client = Client::of(&server);
    let there: HashSet<String> = (0..250).map(|_| client.new_run()).collect();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = Client::of(&server);
            while !done.load(Ordering::Relaxed) {
                let run_id = client.new_run();
                assert!(client.log(&run_id, 1));
            }
        });
        let mut seen = vec![];
        let mut token = String::new();
        loop {
            let page = client.must("runs/search", &json!({ "experiment_ids": ["0"], "max_results": 7, "page_token": token }));
            let runs = page["runs"].as_array().cloned().unwrap_or_default();
            seen.extend(runs.iter().map(|run| run["info"]["run_id"].as_str().unwrap().to_owned()));
            match page["next_page_token"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut token),
                _ => break,
            }
        }
        done.store(true, Ordering::Relaxed);
        seen
    });
    let different: HashSet<String> = seen.iter().cloned().collect();
    assert_eq!(different.len(), seen.len(), "a run came twice");
    assert!(different.is_superset(&there), "a run was left out");
}

/// A limit on the size of a file stands for the full disk: the same writes fail.
#[test]
fn a_full_disk_is_said_and_what_was_acknowledged_stays() {
    let sandbox = Sandbox::new();
    let mut limited = sandbox.command("sh");
    let program = env!("CARGO_BIN_EXE_anmok");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f 1000; exec '{program}' server --port 0")]);
    let server = Server::of(limited);
    let client = Client::of(&server);
    let run_id = client.new_run();
    let mut acknowledged = 0;
    let (status, answer) = loop {
        let metrics: Vec<Value> =
            (0..500).map(|number| json!({ "key": "loss", "value": 1, "timestamp": 1, "step": acknowledged * 500 + number })).collect();
        match client.post("runs/log-batch", &json!({ "run_id": run_id, "metrics": metrics })).expect("an answer") {
            (200, _) => acknowledged += 1,
            refused => break refused,
        }
        assert!(acknowledged < 1000, "the disk does not fill");
    };
    // The server's trouble and not the user's: clients try again.
    assert!((500..600).contains(&status), "{status} {answer}");
    assert!(answer["message"].as_str().unwrap().contains("disk"), "{answer}");
    assert_eq!(client.steps(&run_id).len(), acknowledged as usize * 500);
    drop(server);
    let server = Server::start(&sandbox, "");
    let client = Client::of(&server);
    assert_eq!(client.steps(&run_id).len(), acknowledged as usize * 500);
    assert!(client.log(&run_id, -1), "with room again it goes on");
}

#[test]
fn an_s3_server_that_is_away_stops_artifacts_and_nothing_else() {
    let sandbox = Sandbox::new();
    // A port that is surely closed: it was just free.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_anmok"));
    command.args("server --port 0 --artifacts-destination s3://bucket/artifacts".split(' '));
    command.env("MLFLOW_S3_ENDPOINT_URL", format!("http://{closed}"));
    command.env("AWS_ACCESS_KEY_ID", "name").env("AWS_SECRET_ACCESS_KEY", "word-that-nobody-sees");
    let server = Server::of(command);
    let client = Client::of(&server);
    let run_id = client.new_run();
    let upload = std::thread::scope(|scope| {
        let upload = scope.spawn(|| {
            let client = Client::of(&server);
            client.ask("PUT", &format!("/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/note.txt"), b"text")
        });
        for step in 0..50 {
            assert!(client.log(&run_id, step));
        }
        upload.join().unwrap()
    });
    let (status, answer) = upload.expect("an answer");
    assert!((500..600).contains(&status), "{status} {answer}");
    let message = answer["message"].as_str().unwrap();
    // Where the server keeps its files is said, what its network looks like is not: the answer may go to a stranger.
    assert!(message.starts_with("writing the artifact s3://bucket/") && message.contains("MLFLOW_S3_ENDPOINT_URL"), "{message}");
    assert!(!message.contains("word-that-nobody-sees"), "{message}");
    assert_eq!(client.steps(&run_id).len(), 50);
    assert!(!Path::new(&sandbox.path("artifacts")).exists(), "the files went elsewhere");
}
