//! A tracking server as a store: ours, or the official one.
//!
//! What MLflow's own client does is the measure, under the same settings. Three things are different. A request that may have
//! been carried out, and that would do harm if done twice, is looked up before it is sent again: MLflow's client starts a
//! second run. What is wrong with an address is said at once, not after four minutes of retries. Nothing is redirected:
//! a log-in page or a change to https would turn a request into another one.
//!
//! - [`options`]: credentials, TLS, patience, proxies
//! - `address`, `proxy`, `tls`, `retries`: one of them each
//! - `connection`: a request, sent and sent again
//! - `answer`, `failure`: what came back, and what did not
//! - `batches`: bodies as large as a server takes
//! - `store`: the trait
//! - `proxied`, `download`, `parts`: artifacts that the server keeps

mod address;
mod answer;
mod batches;
mod connection;
mod download;
mod failure;
pub mod options;
mod parts;
mod proxied;
mod proxy;
mod retries;
mod store;
mod tls;

pub(crate) use proxied::Proxied;
pub(crate) use store::HttpStore;
