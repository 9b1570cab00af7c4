//! Fields that ask the store, by the handlers of the REST endpoints: what those refuse and find is the same here.

use anmok_protocol::messages::{Request, from_json};
use async_graphql::Error;
use async_graphql::dynamic::{FieldFuture, ResolverContext};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::fields::{Shape, snake_case};
use crate::answer::{self, Failure};
use crate::auth::{Call, Caller, Guarded};
use crate::endpoint::{InPath, Shared, permitted};
use crate::handlers::{Answer, experiments, metrics, model_versions, run_files, runs};

/// From the field's arguments, or from the message that it belongs to, to its JSON.
pub(super) type Resolve = fn(&Call, &Value) -> Answer<Value>;

/// What a field of a type calls; `None` for the fields of messages.
pub(super) fn call(parent: &str, field: &str) -> Option<Resolve> {
    Some(match (parent, field) {
        ("Query", "mlflowGetExperiment") => |app, asked| ask(app, &asked["input"], experiments::get),
        ("Query", "mlflowGetMetricHistoryBulkInterval") => |app, asked| ask(app, &asked["input"], metrics::history_bulk_interval),
        ("Query", "mlflowGetRun") => |app, asked| ask(app, &asked["input"], runs::get),
        ("Query", "mlflowListArtifacts") => |app, asked| ask(app, &asked["input"], run_files::list),
        ("Query", "mlflowSearchModelVersions") => |app, asked| ask(app, &asked["input"], model_versions::search),
        ("Query" | "Mutation", "mlflowSearchRuns") => |app, asked| ask(app, &asked["input"], runs::search),
        ("Mutation", "mlflowSearchDatasets") => |app, asked| ask(app, &asked["input"], experiments::search_datasets),
        ("Query", "test") | ("Mutation", "testMutation") => |_, asked| Ok(json!({ "output": asked["input_string"] })),
        ("MlflowRunExtension", "experiment") => |app, run| {
            let asked = json!({ "experiment_id": run["info"]["experiment_id"] });
            Ok(ask(app, &asked, experiments::get)?["experiment"].take())
        },
        ("MlflowRunExtension", "modelVersions") => |app, run| {
            let run_id = run["info"]["run_id"].as_str().unwrap_or_default();
            let asked = json!({ "filter": format!("run_id='{run_id}'") });
            Ok(ask(app, &asked, model_versions::search)?["model_versions"].take())
        },
        // The one workspace that there is.
        ("MlflowExperiment", "workspace") => |_, _| Ok(json!("default")),
        _ => return None,
    })
}

/// Reads the request as the REST endpoint reads it, and calls its handler. What may not be asked is null, as MLflow has it.
fn ask<Q: Request + Guarded, A: Serialize>(app: &Call, asked: &Value, handler: fn(&Call, Q) -> Answer<A>) -> Answer<Value> {
    let asked = match permitted(app, &InPath::none(), from_json(&answer::json(asked)?)?) {
        Err(Failure::Forbidden) => return Ok(Value::Null),
        asked => asked?,
    };
    let answer = handler(app, asked)?;
    serde_json::to_value(answer).map_err(|error| answer::unwritable(&error))
}

/// The field's value.
pub(super) fn resolve<'a>(context: ResolverContext<'a>, call: Resolve, shape: Shape) -> FieldFuture<'a> {
    FieldFuture::new(async move {
        let (app, caller) = (context.data::<Shared>()?, context.data::<Caller>()?);
        let arguments = arguments(&context)?;
        let asked = context.parent_value.downcast_ref::<Value>().unwrap_or(&arguments);
        match call(&Call::new(app, caller), asked) {
            // What the caller may not see.
            Ok(Value::Null) => Ok(None),
            Ok(json) => Ok(shape.owned(json)),
            Err(failure) => {
                // The library would leave the field out; MLflow and the specification have null there.
                context.add_error(Error::new(failure.told().message).into_server_error(context.item.pos));
                Ok(None)
            }
        }
    })
}

/// The arguments under the names of the REST messages.
fn arguments(context: &ResolverContext) -> Result<Value, Error> {
    let mut arguments = Map::new();
    for (name, value) in context.args.iter() {
        arguments.insert(snake_case(name), in_snake_case(value.as_value().clone().into_json()?));
    }
    Ok(Value::Object(arguments))
}

fn in_snake_case(json: Value) -> Value {
    match json {
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(name, value)| (snake_case(&name), value)).collect()),
        other => other,
    }
}
