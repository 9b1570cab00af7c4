//! Makes an HTTP handler of a function over the store: reads the request, calls it on the pool, writes the answer.

use std::sync::Arc;
use std::time::Duration;

use anmok_protocol::messages::{Request, from_json, from_query};
use anmok_protocol::routes::Method;
use anmok_protocol::{ApiError, ErrorCode};
use axum::RequestExt;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::http::{self, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde::Serialize;

use crate::answer::{Failure, IntoJsonResponse, json};
use crate::auth::rules::targets::{Rule, Target};
use crate::auth::{Call, Caller, Guarded};
use crate::front::named;
use crate::handlers::Answer;
use crate::state::App;

/// What handlers share.
pub(crate) type Shared = Arc<App>;

/// The parameters in a path, decoded, in order.
#[derive(Debug, Clone)]
pub(crate) struct InPath(Vec<String>);

impl InPath {
    /// Those of the route; the router has decoded them.
    pub fn new(params: &RawPathParams) -> Self {
        Self(params.iter().map(|(_, value)| value.to_owned()).collect())
    }

    /// None.
    pub fn none() -> Self {
        Self(vec![])
    }

    /// The first; empty if the route has none.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The second; empty if the route has none.
    pub fn second(&self) -> &str {
        self.0.get(1).map_or("", String::as_str)
    }
}

/// One row of the route table, as the router needs it.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// What stands in log and figures.
    pub name: &'static str,
    /// By which method it is reached.
    pub method: Method,
}

impl At {
    /// A page beside the protocol's.
    pub fn root(name: &'static str) -> Self {
        Self { name, method: Method::Get }
    }

    fn filter(self) -> MethodFilter {
        match self.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        }
    }

    /// A function of the request.
    pub fn call<Q, A>(self, handler: fn(&Call, Q) -> Answer<A>) -> MethodRouter<Shared>
    where
        Q: Request + Guarded + Send + 'static,
        A: Serialize + 'static,
    {
        let name = self.name;
        on(self.filter(), async move |State(app): State<Shared>, request: http::Request<Body>| {
            let work = move |call: &Call, asked: &Asked| handler(call, permitted(call, &InPath::none(), asked.read()?)?);
            named(name, answer(&app, name, request, work).await)
        })
    }

    /// A function of the request and of what stands in the path.
    pub fn call_in_path<Q, A>(self, handler: fn(&Call, &InPath, Q) -> Answer<A>) -> MethodRouter<Shared>
    where
        Q: Request + Guarded + Send + 'static,
        A: Serialize + 'static,
    {
        let name = self.name;
        on(self.filter(), async move |State(app): State<Shared>, params: RawPathParams, request: http::Request<Body>| {
            let path = InPath::new(&params);
            let work = move |call: &Call, asked: &Asked| handler(call, &path, permitted(call, &path, asked.read()?)?);
            named(name, answer(&app, name, request, work).await)
        })
    }

    /// A function of what stands in the path alone, for those whom `rule` lets through.
    pub fn call_path<A: Serialize + 'static>(self, rule: Rule, handler: fn(&Call, &InPath) -> Answer<A>) -> MethodRouter<Shared> {
        let name = self.name;
        on(self.filter(), async move |State(app): State<Shared>, params: RawPathParams, request: http::Request<Body>| {
            let path = InPath::new(&params);
            let uri = request.uri().clone();
            let work = move |call: &Call, _: &Asked| {
                if !call.allowed(|check| rule(check, &Target { uri: &uri, path: &path }))? {
                    return Err(Failure::Forbidden);
                }
                handler(call, &path)
            };
            named(name, answer(&app, name, request, work).await)
        })
    }

    /// An asynchronous function of the whole request, for everybody: the front lets its path through.
    pub fn public<F: Future<Output = Result<Response, Failure>> + Send + 'static>(
        self,
        handler: fn(Shared, http::Request<Body>) -> F,
    ) -> MethodRouter<Shared> {
        let name = self.name;
        on(self.filter(), async move |State(app): State<Shared>, request: http::Request<Body>| {
            named(name, handler(app, request).await.unwrap_or_else(IntoResponse::into_response))
        })
    }

    /// An asynchronous function of the whole request, for streams, for those whom `rule` lets through.
    pub fn stream<F: Future<Output = Result<Response, Failure>> + Send + 'static>(
        self,
        rule: Rule,
        handler: fn(Shared, http::Request<Body>) -> F,
    ) -> MethodRouter<Shared> {
        let name = self.name;
        on(self.filter(), async move |State(app): State<Shared>, mut request: http::Request<Body>| {
            let answered = match may_pass(&app, name, rule, &mut request).await {
                Ok(()) => handler(app, request).await,
                Err(refusal) => {
                    drain(request.into_body()).await;
                    Err(refusal)
                }
            };
            named(name, answered.unwrap_or_else(IntoResponse::into_response))
        })
    }
}

/// What was sent: a query string or a body.
pub(crate) struct Asked {
    query: Option<String>,
    body: Bytes,
}

impl Asked {
    /// Waits for the whole of it.
    pub async fn receive(app: &App, request: http::Request<Body>) -> Result<Self, Failure> {
        let query = request.uri().query().filter(|query| !query.is_empty()).map(str::to_owned);
        // MLflow's rule: a GET with a query string has no body.
        if let (true, Some(query)) = (request.method() == http::Method::GET, query) {
            return Ok(Self { query: Some(query), body: Bytes::new() });
        }
        let is_json = says_json(&request);
        let body = body(app, request, app.options.body_limit).await?;
        is_json?;
        Ok(Self { query: None, body })
    }

    /// As a message of the protocol.
    pub fn read<Q: Request>(&self) -> Result<Q, ApiError> {
        match &self.query {
            Some(query) => from_query(pairs(query)),
            None => from_json(&self.body),
        }
    }
}

/// MLflow's rule: what is posted says that it is JSON, which a web page of another server cannot say unasked.
fn says_json(request: &http::Request<Body>) -> Result<(), ApiError> {
    if !matches!(*request.method(), http::Method::POST | http::Method::PUT) {
        return Ok(());
    }
    let Some(kind) = request.headers().get(http::header::CONTENT_TYPE) else {
        return Err(ApiError::invalid("Bad Request. Content-Type header is missing."));
    };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::invalid("Bad Request. Content-Type must be one of ['application/json']."))
}

/// The whole body, of at most `limit` bytes.
pub(crate) async fn body(app: &App, request: http::Request<Body>, limit: usize) -> Result<Bytes, Failure> {
    let received = tokio::time::timeout(app.options.patience, Limited::new(request.into_body(), limit).collect()).await;
    match received {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(ApiError::new(
            ErrorCode::BadRequest,
            format!("The body of the request is larger than {limit} bytes, the most that is taken."),
        )
        .into()),
        Ok(Err(error)) => Err(ApiError::new(ErrorCode::BadRequest, format!("The body of the request broke off: {error}")).into()),
        Err(_) => Err(ApiError::new(
            ErrorCode::BadRequest,
            format!("The body of the request did not arrive within {} s.", app.options.patience.as_secs()),
        )
        .into()),
    }
}

/// Takes what is still being sent, up to a limit: a client that writes to a closed connection never sees the answer.
pub(crate) async fn drain(body: Body) {
    const LIMIT: usize = 16 * 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(5);
    // Whether it came whole makes no difference.
    let _ = tokio::time::timeout(PATIENCE, Limited::new(body, LIMIT).collect()).await;
}

/// The decoded pairs of a query string.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(name, value)| (decode(name), decode(value))).collect()
}

/// A parameter of a URI's query string.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = pairs(uri.query().unwrap_or_default()).into_iter();
    pairs.find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The request, if the caller may ask it.
pub(crate) fn permitted<Q: Guarded>(call: &Call, path: &InPath, mut asked: Q) -> Answer<Q> {
    if call.allowed(|check| asked.allowed(check, path))? { Ok(asked) } else { Err(Failure::Forbidden) }
}

/// Who sends a request; the front has put it there.
pub(crate) fn caller(request: &http::Request<Body>) -> Caller {
    request.extensions().get().cloned().unwrap_or(Caller::Anyone)
}

async fn may_pass(app: &Shared, name: &'static str, rule: Rule, request: &mut http::Request<Body>) -> Result<(), Failure> {
    let caller = caller(request);
    if !app.asks(&caller) {
        return Ok(());
    }
    let (uri, path) = (request.uri().clone(), in_path(request).await);
    let work = move |app: &App| Call::new(app, &caller).allowed(|check| rule(check, &Target { uri: &uri, path: &path }));
    if app.blocking(name, work).await? { Ok(()) } else { Err(Failure::Forbidden) }
}

async fn answer<A: Serialize + 'static>(
    app: &Shared,
    name: &'static str,
    request: http::Request<Body>,
    handler: impl FnOnce(&Call, &Asked) -> Answer<A> + Send + 'static,
) -> Response {
    let caller = caller(&request);
    let asked = match Asked::receive(app, request).await {
        Ok(asked) => asked,
        Err(failure) => return failure.into_response(),
    };
    match app.blocking(name, move |app| json(&handler(&Call::new(app, &caller), &asked)?)).await {
        Ok(bytes) => bytes.into_json_response(),
        Err(failure) => failure.into_response(),
    }
}

/// The parameters in a request's path, for handlers that take the whole request.
pub(crate) async fn in_path(request: &mut http::Request<Body>) -> InPath {
    // It fails only where a route has no parameters, or one that is not UTF-8, which then names nothing.
    request.extract_parts::<RawPathParams>().await.map_or(InPath(vec![]), |params| InPath::new(&params))
}
