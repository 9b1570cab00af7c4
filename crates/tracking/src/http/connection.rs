//! Requests to a server: sent, judged, and sent again where that is safe.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anmok_protocol::ErrorCode;
use anmok_protocol::messages::to_query;
use anmok_protocol::routes::{Endpoint, Method};
use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{HeaderValue, Request, Response, Uri};
use ureq::{Agent, AsSendBody, Body};

use super::address::Address;
use super::answer;
use super::failure::{Failure, Kind};
use super::options::{MultipartOptions, ServerOptions};
use super::proxy::Proxies;
use super::retries::Retries;
use super::tls;
use crate::error::TrackingError;

/// A server that lets nobody connect is told from a slow one by this.
const CONNECTING: Duration = Duration::from_secs(10);
/// Below the five seconds after which MLflow's own server hangs up on an idle connection.
const IDLE: Duration = Duration::from_secs(4);
/// Connections that are kept: a run's writer, its uploads, and whoever looks at it.
const IDLE_CONNECTIONS: usize = 4;

/// What a part of a path or a query keeps as it is: RFC 3986's unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A server, its credentials, and the connections to it that are kept.
pub(super) struct Connection {
    pub address: Address,
    authorization: Option<HeaderValue>,
    direct: Agent,
    proxies: Proxies,
    https: Option<Agent>,
    http: Option<Agent>,
    pub retries: Retries,
    /// How long the server may say nothing until it has answered for the first time.
    first_patience: Duration,
    /// Whether the server has ever answered as MLflow does.
    answered: AtomicBool,
    pub multipart: MultipartOptions,
    /// Whether parts for the bucket behind the server have failed to reach it.
    bucket_is_away: AtomicBool,
}

/// What is done before a request is sent again that may have been carried out already.
pub(super) enum Again<'a, T> {
    /// Nothing: doing it twice is doing it once.
    Safe,
    /// It is looked up. What is found is the answer; with nothing found, the request is sent again.
    Unless(&'a dyn Fn() -> Result<Option<T>, TrackingError>),
}

impl Connection {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Settings that cannot be used, by name.
    pub fn new(uri: &str, options: &ServerOptions) -> Result<Self, TrackingError> {
        let address = Address::parse(uri)?;
        let proxies = Proxies::new(&options.proxies)?;
        let tls = tls::config(options)?;
        let patience = options.patience(true);
        let through = |proxy: Option<ureq::Proxy>| -> Agent {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .user_agent(concat!("anmok/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .timeout_connect(Some(CONNECTING.min(patience)))
                .timeout_recv_response(Some(patience))
                .timeout_per_read(Some(patience))
                .timeout_per_write(Some(patience))
                .max_idle_age(IDLE)
                .max_idle_connections_per_host(IDLE_CONNECTIONS)
                // Otherwise ureq would look for one by itself, and take that of https for http too.
                .proxy(proxy)
                .build()
                .into()
        };
        Ok(Self {
            authorization: authorization(&address, options)?,
            address,
            https: proxies.https.clone().map(|proxy| through(Some(proxy))),
            http: proxies.http.clone().map(|proxy| through(Some(proxy))),
            direct: through(None),
            proxies,
            retries: Retries::new(options),
            first_patience: options.patience(false),
            answered: AtomicBool::new(false),
            multipart: options.multipart.clone(),
            bucket_is_away: AtomicBool::new(false),
        })
    }

    /// Calls an endpoint of MLflow's API and reads its answer.
    pub fn call<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        endpoint: Endpoint,
        request: &impl Serialize,
        again: &Again<T>,
    ) -> Result<T, TrackingError> {
        self.call_with_path(doing, endpoint, "", request, again)
    }

    /// Calls an endpoint whose route ends with a path, which is given decoded.
    pub fn call_with_path<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        endpoint: Endpoint,
        path: &str,
        request: &impl Serialize,
        again: &Again<T>,
    ) -> Result<T, TrackingError> {
        let unwritable = |error: serde_json::Error| TrackingError::System { doing, detail: error.to_string() };
        let url = self.url(endpoint, path);
        let method = endpoint.route().method;
        if method == Method::Get {
            let url = with_query(&url, &to_query(request).map_err(unwritable)?);
            return self.persist(doing, again, || answer::json(self.send(method, &url, &[], ())?));
        }
        let body = serde_json::to_vec(request).map_err(unwritable)?;
        let headers = [(CONTENT_TYPE.as_str(), "application/json")];
        self.persist(doing, again, || answer::json(self.send(method, &url, &headers, &body[..])?))
    }

    /// The URL of an endpoint; `path` stands for the parts that its route leaves open.
    pub fn url(&self, endpoint: Endpoint, path: &str) -> String {
        let route = endpoint.route();
        let fixed = route.path.split('{').next().unwrap_or_default();
        let parts: Vec<String> = path.split('/').map(|part| utf8_percent_encode(part, UNRESERVED).to_string()).collect();
        format!("{}{}{fixed}{}", self.address.base, route.place.prefixes()[0], parts.join("/"))
    }

    /// One attempt to ask this server.
    pub fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: impl AsSendBody) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder().method(method.name()).uri(url);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        // An upload may take a server long that has its files elsewhere, whether it is known or not.
        let is_question = method == Method::Get && !self.answered.load(Ordering::Relaxed);
        let patience = is_question.then_some(self.first_patience);
        self.exchange(request, headers, body, patience)
    }

    /// One attempt to ask whomever a URL names, who gets no credentials of this server's.
    pub fn send_elsewhere(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
    ) -> Result<Response<Body>, Failure> {
        self.exchange(Request::builder().method(method.name()).uri(url), headers, body, None)
    }

    /// Whether it is worth trying to send parts to the bucket behind the server.
    pub fn reaches_bucket(&self) -> bool {
        !self.bucket_is_away.load(Ordering::Relaxed)
    }

    /// Files go through the server from now on.
    pub fn leave_bucket(&self) {
        self.bucket_is_away.store(true, Ordering::Relaxed);
    }

    fn exchange(
        &self,
        mut request: ureq::http::request::Builder,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
        patience: Option<Duration>,
    ) -> Result<Response<Body>, Failure> {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| Failure::strange(format!("cannot be asked ({error})")))?;
        let agent = self.agent(request.uri());
        let request = match patience {
            Some(patience) => agent.configure_request(request).timeout_recv_response(Some(patience)).build(),
            None => request,
        };
        let response = agent.run(request).map_err(|error| Failure::of_transport(&error))?;
        answer::judged(response)
    }

    fn agent(&self, uri: &Uri) -> &Agent {
        let proxied = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        proxied.as_ref().filter(|_| !self.proxies.bypassed(uri)).unwrap_or(&self.direct)
    }

    /// Attempts something until it succeeds, is refused, or has failed often enough.
    pub fn persist<T>(
        &self,
        doing: &'static str,
        again: &Again<T>,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, TrackingError> {
        let mut perhaps_done = false;
        let mut retry = 0;
        loop {
            let failure = match attempt() {
                Ok(answer) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let refused = matches!(failure.kind, Kind::Refused(_));
            if refused {
                self.answered.store(true, Ordering::Relaxed);
            }
            perhaps_done |= failure.perhaps_done;
            let answered = self.answered.load(Ordering::Relaxed);
            let can_pass = match failure.kind {
                Kind::Refused(_) | Kind::Final { .. } => false,
                Kind::Passing { .. } => true,
                Kind::Strange { .. } => answered,
            };
            let last = !can_pass || retry >= self.retries.most(answered);
            // A refusal can be what an earlier attempt led to.
            let look_up = match again {
                Again::Unless(look_up) if perhaps_done && (can_pass || refused) => Some(look_up),
                _ => None,
            };
            if !last {
                std::thread::sleep(self.retries.pause(retry + 1, failure.retry_after));
            }
            match look_up.map(|look_up| look_up()) {
                Some(Ok(Some(found))) => return Ok(found),
                Some(Ok(None)) | None if !last => {}
                _ => return Err(self.error(doing, failure.kind, can_pass)),
            }
            retry += 1;
        }
    }

    fn error(&self, doing: &'static str, kind: Kind, can_pass: bool) -> TrackingError {
        match kind {
            Kind::Refused(error) => error.into(),
            Kind::Passing { detail, remedy } | Kind::Strange { detail, remedy } | Kind::Final { detail, remedy } => {
                TrackingError::Server { doing, server: self.address.base.clone(), detail, remedy, can_pass }
            }
        }
    }
}

/// Absence as `None`.
pub(super) fn found<T>(answer: Result<T, TrackingError>) -> Result<Option<T>, TrackingError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(TrackingError::Refused(error)) if error.code == ErrorCode::ResourceDoesNotExist => Ok(None),
        Err(error) => Err(error),
    }
}

fn authorization(address: &Address, options: &ServerOptions) -> Result<Option<HeaderValue>, TrackingError> {
    let basic = |user: &str, password: &str| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        HeaderValue::from_str(&format!("Basic {encoded}"))
    };
    let made = match (&address.credentials, &options.username, &options.password, &options.token) {
        (Some((user, password)), ..) => basic(user, password),
        (None, Some(user), Some(password), _) => basic(user, password),
        (None, _, _, Some(token)) => HeaderValue::from_str(&format!("Bearer {token}")),
        _ => return Ok(None),
    };
    let mut made = made.map_err(|_| TrackingError::Setting {
        name: "MLFLOW_TRACKING_TOKEN".into(),
        why: "it holds a character that no token has, such as the end of a line".into(),
    })?;
    made.set_sensitive(true);
    Ok(Some(made))
}

fn with_query(url: &str, pairs: &[(String, String)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    if pairs.is_empty() { url.to_owned() } else { format!("{url}?{}", pairs.join("&")) }
}
