//! `/graphql`: MLflow's web UI asks for runs, experiments and metrics by documents in GraphQL.
//!
//! - `schema.graphql`, `schema`: what can be asked for, and the executable schema that is made of it
//! - `calls`: the fields that ask the store, each by the handler of its REST endpoint
//! - `fields`: all other fields, which are read from the JSON of those handlers' answers
//! - `limits`: documents that would cost too much
//!
//! Answers are MLflow's: status 200, and the errors as plain texts in `errors`. A schema derived from Rust types was refused: it
//! would need a second struct for each entity, to copy the first into.

mod calls;
mod fields;
mod limits;
mod schema;

use std::sync::Arc;

use anmok_protocol::messages::graphql::GraphQl;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use crate::answer::{Failure, IntoJsonResponse, json};
use crate::auth::Caller;
use crate::endpoint::{Asked, Shared, caller};

/// What is answered to a document.
#[derive(Serialize)]
struct Answered {
    /// Null if the document was refused as a whole.
    data: async_graphql::Value,
    /// Null if there are none.
    errors: Option<Vec<String>>,
}

/// `/graphql`
pub(crate) async fn answer(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let caller = caller(&request);
    let asked: GraphQl = Asked::receive(&app, request).await?.read()?;
    let shared = Arc::clone(&app);
    let answered = app.blocking("GraphQl", move |_| json(&execute(shared, caller, asked)?)).await?;
    Ok(answered.into_json_response())
}

fn execute(app: Shared, caller: Caller, asked: GraphQl) -> Result<Answered, Failure> {
    let document = match limits::parse(&asked.query) {
        Ok(document) => document,
        Err(refusal) => return Ok(Answered { data: async_graphql::Value::Null, errors: Some(vec![refusal]) }),
    };
    let variables = async_graphql::Variables::from_json(Value::Object(asked.variables));
    let mut request = async_graphql::Request::new("").variables(variables).data(app).data(caller);
    request.operation_name = asked.operation_name;
    request.set_parsed_query(document);
    // Nothing here waits for anything but the store, and this thread is made for that. Not by tokio's own `block_on`: stores
    // run a runtime of theirs, which panics within another.
    let response = futures_lite::future::block_on(schema::schema()?.execute(request));
    let errors: Vec<String> = response.errors.into_iter().map(|error| error.message).collect();
    Ok(Answered { data: response.data, errors: Some(errors).filter(|errors| !errors.is_empty()) })
}
