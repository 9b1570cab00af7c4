//! The tracking server: MLflow's REST API, its artifact proxy and its web UI, over any [`Store`].
//!
//! The official Python client and the official web UI are the measure: names, answers and error texts are theirs.
//!
//! - [`options`], [`shutdown`]: what is chosen about a server, and how it is asked to stop
//! - `connection`: sockets, their time limits
//! - `front`: what happens around every request: its id, who may ask, the access log, the figures
//! - [`auth`]: who asks, and what they may do
//! - `security`: the rules for `Host` and `Origin`
//! - `router`: which path is whose; `endpoint` makes a handler of a function over the store
//! - `handlers`: those functions, one file per group of MLflow's endpoints
//! - `graphql`: MLflow's GraphQL endpoint, over the same handlers
//! - `answer`, `file`: answers and errors as JSON, files in pieces
//! - [`webhooks`]: others are told of what happens in the registry
//! - `ui`, `page`: MLflow's web UI, or a plain page in its place
//! - `figures`: what Prometheus reads at `/metrics`
//!
//! Handlers are plain blocking functions: extract, one call to the store, answer. They run on a pool of threads made for
//! waiting, as the store's trait wants it; only streams of bytes are asynchronous. A second, asynchronous store trait was
//! refused: SQLite blocks whatever its interface says.

mod answer;
pub mod auth;
mod connection;
mod content_type;
mod endpoint;
mod figures;
mod file;
mod front;
mod graphql;
mod handlers;
pub mod options;
mod page;
mod router;
mod security;
pub mod shutdown;
mod state;
mod ui;
pub mod webhooks;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use anmok_tracking::Store;

pub use auth::{Auth, password};
use front::Front;
pub use options::{Options, Security};
pub use shutdown::Shutdown;
use state::App;
pub use webhooks::{Webhooks, webhook_key};

/// Threads that carry bytes. The work is done in the pool below; two of these saturate a network card.
const CARRIERS: usize = 2;

/// Threads at most that wait for the store. Writes are committed in groups, so that more waiting makes larger groups.
const WAITING: usize = 64;

/// Serves on `listener` until `shutdown`; the call returns when the last answer is sent.
///
/// # Errors
/// No threads, or a listener that cannot be used.
pub fn run(listener: TcpListener, store: Arc<dyn Store>, options: Options, shutdown: &Shutdown) -> io::Result<()> {
    let carriers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(CARRIERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(carriers)
        .max_blocking_threads(WAITING)
        .thread_name("server")
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let app = Arc::new(App::new(store, options)?);
        let front = Front { router: router::router(Arc::clone(&app)), app };
        connection::serve(listener, front, shutdown).await
    })
}
