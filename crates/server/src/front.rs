//! What happens around every request: its id, who may ask, the answer's headers, the access log, the figures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use hyper::Request;
use hyper::body::Incoming;
use tower_service::Service;

use crate::answer::text;
use crate::auth::Caller;
use crate::endpoint::drain;
use crate::security::{CROSS_ORIGIN, INVALID_HOST, header_text};
use crate::state::App;

/// Names a request in the log and to its sender, who may choose it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The server as connections see it.
#[derive(Clone)]
pub(crate) struct Front {
    pub app: Arc<App>,
    pub router: axum::Router,
}

/// Put into an answer by whoever made it: the route's name in log and figures.
#[derive(Clone, Copy)]
pub(crate) struct RouteName(pub &'static str);

/// What is remembered of a request for its log line.
struct Asked {
    start: Instant,
    id: String,
    method: Method,
    path: String,
    received: u64,
}

impl Front {
    /// Answers one request.
    pub async fn answer(mut self, peer: SocketAddr, request: Request<Incoming>) -> Response {
        let asked = Asked {
            start: Instant::now(),
            id: request_id(request.headers()),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            received: request.body().size_hint().exact().unwrap_or(0),
        };
        self.app.figures.begin();
        let origin = header_text(request.headers(), header::ORIGIN).map(str::to_owned);
        let mut response = match self.refused(&asked, &request, origin.as_deref()) {
            Some(refusal) => refusal,
            None => self.answer_caller(peer, request).await,
        };
        self.add_headers(&mut response, &asked, origin.as_deref());
        self.note(&asked, &response, peer);
        response
    }

    /// Lets a request through if its caller is known, where that is asked.
    async fn answer_caller(&mut self, peer: SocketAddr, mut request: Request<Incoming>) -> Response {
        if let Some(gate) = &self.app.gate
            && !is_public(request.uri().path())
        {
            match gate.admit(&self.app, request.headers(), peer.ip()).await {
                Ok(account) => drop(request.extensions_mut().insert(Caller::Account(account))),
                Err(refusal) => {
                    drain(Body::new(request.into_body())).await;
                    return named("refused", refusal.into_response());
                }
            }
        }
        // The router is always ready and never fails.
        self.router.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
    }

    /// The answer to a request that goes no further: a foreign host or page, or a browser's question whether it may ask.
    fn refused(&self, asked: &Asked, request: &Request<Incoming>, origin: Option<&str>) -> Option<Response> {
        let security = &self.app.options.security;
        let exempt = matches!(asked.path.as_str(), "/health" | "/version");
        let host = header_text(request.headers(), header::HOST);
        if !exempt && !security.allows_host(host) {
            let host = host.unwrap_or_default();
            tracing::warn!("refused a request for the host {host:?}; if people reach this server by that name, add it to --allowed-hosts");
            return Some(named("refused", text(StatusCode::FORBIDDEN, INVALID_HOST)));
        }
        let is_api = asked.path.starts_with("/api/") || asked.path.starts_with("/ajax-api/") || asked.path == "/graphql";
        if is_api && !security.allows_change(&asked.method, origin) {
            let origin = origin.unwrap_or_default();
            tracing::warn!("refused a change by a page of {origin:?}; if it is to be trusted, add it to --cors-allowed-origins");
            return Some(named("refused", text(StatusCode::FORBIDDEN, CROSS_ORIGIN)));
        }
        if asked.method == Method::OPTIONS {
            return Some(named("options", preflight(request.headers())));
        }
        None
    }

    fn add_headers(&self, response: &mut Response, asked: &Asked, origin: Option<&str>) {
        let security = &self.app.options.security;
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(&asked.id) {
            headers.insert(REQUEST_ID, id);
        }
        if !security.enabled {
            return;
        }
        if let Some(value) = security.frame_options.as_deref().and_then(|options| HeaderValue::from_str(options).ok()) {
            headers.insert(header::X_FRAME_OPTIONS, value);
        }
        let Some(origin) = origin.filter(|origin| security.allows_origin(origin)) else { return };
        if security.allows_every_origin() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        } else if let Ok(origin) = HeaderValue::from_str(origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// The access log's line and the figures.
    fn note(&self, asked: &Asked, response: &Response, peer: SocketAddr) {
        let route = response.extensions().get::<RouteName>().map_or("other", |name| name.0);
        let status = response.status().as_u16();
        let elapsed = asked.start.elapsed();
        let sent = response.body().size_hint().exact();
        self.app.figures.end(route, status, elapsed, asked.received, sent.unwrap_or(0));
        let milliseconds = elapsed.as_secs_f64() * 1000.0;
        let (method, path, id) = (&asked.method, &asked.path, &asked.id);
        // Probes come every few seconds and say nothing.
        if matches!(route, "health" | "figures") {
            tracing::debug!(target: "access", request_id = id, %peer, status, "{method} {path} {status} {milliseconds:.2} ms");
        } else {
            tracing::info!(
                target: "access", request_id = id, %peer, %method, path, route, status, duration_ms = milliseconds, bytes = sent,
                "{method} {path} {status} {milliseconds:.2} ms"
            );
        }
    }
}

/// What is shown to whoever asks, as MLflow has it: that the server lives, how it is set up, and the web UI's own files.
fn is_public(path: &str) -> bool {
    matches!(path, "/health" | "/favicon.ico" | "/api/3.0/mlflow/server-info" | "/ajax-api/3.0/mlflow/server-info")
        || path.starts_with("/static-files/")
}

/// Gives an answer its route's name.
pub(crate) fn named(name: &'static str, mut response: Response) -> Response {
    response.extensions_mut().insert(RouteName(name));
    response
}

/// What a browser may do if the origin's headers, which are added elsewhere, let it.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS, PATCH"));
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// The sender's id if it is a harmless one, else one of ours: a number that no other of this process has, behind a text
/// that most probably no other process has.
fn request_id(headers: &HeaderMap) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let harmless =
        |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match header_text(headers, REQUEST_ID).filter(harmless) {
        Some(id) => id.to_owned(),
        None => format!("{:08x}-{:x}", process_mark(), NEXT.fetch_add(1, Ordering::Relaxed)),
    }
}

fn process_mark() -> u32 {
    static MARK: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    // Without random bytes the process id tells processes of one machine apart.
    *MARK.get_or_init(|| getrandom::u32().unwrap_or_else(|_| std::process::id()))
}
