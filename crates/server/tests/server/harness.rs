//! A server in a temporary folder.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use anmok_server::{Options, Shutdown};
use anmok_tracking::{ArtifactOptions, Store, StoreOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that ends with its value.
pub struct Server {
    pub url: String,
    pub folder: TempDir,
    pub store: Arc<dyn Store>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Server {
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}", folder.path().join("anmok.db").display());
        Self::over(&uri, folder, options)
    }

    /// Over a database of the caller's.
    pub fn over(uri: &str, folder: TempDir, options: Options) -> Self {
        let store_options = StoreOptions {
            artifact_root: Some("mlflow-artifacts:/".into()),
            artifacts: ArtifactOptions {
                destination: Some(folder.path().join("artifacts").display().to_string()),
                ..ArtifactOptions::default()
            },
            ..StoreOptions::default()
        };
        let store: Arc<dyn Store> = Arc::from(anmok_tracking::open_store(uri, &store_options).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::default();
        let asked = shutdown.clone();
        let served = Arc::clone(&store);
        let thread = std::thread::spawn(move || anmok_server::run(listener, served, options, &asked));
        Self { url, folder, store, shutdown, thread: Some(thread) }
    }

    /// Status and body. What is posted says that it is JSON, unless `headers` say something else.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let json: &[(&str, &str)] = if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Type")) {
            &[]
        } else {
            &[("Content-Type", "application/json")]
        };
        for (name, value) in json.iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        Answer { status: response.status().as_u16(), headers, body: response.body_mut().read_to_vec().unwrap() }
    }

    /// The answer to a request that must succeed.
    pub fn post(&self, endpoint: &str, body: Value) -> Value {
        let answer = self.ask("POST", &format!("/api/2.0/mlflow/{endpoint}"), &[], body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{endpoint} {body}: {}", answer.text());
        answer.json()
    }

    pub fn get(&self, endpoint: &str) -> Value {
        let answer = self.ask("GET", &format!("/api/2.0/mlflow/{endpoint}"), &[], b"");
        assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
        answer.json()
    }

    /// A run's id.
    pub fn run(&self) -> String {
        let run = self.post("runs/create", json!({ "experiment_id": "0", "start_time": 1_700_000_000_000_i64 }));
        run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.ask();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server does not panic").expect("the server ends in good order");
            }
        }
    }
}

/// What the server answered.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
