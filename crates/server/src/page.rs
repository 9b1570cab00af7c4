//! What `/` shows without a web UI: what is recorded here, and how to get the UI.

use std::fmt::Write;

use anmok_protocol::{Experiment, ResourceType, Run, RunOrder};
use anmok_tracking::{ExperimentQuery, RunQuery, now_ms};
use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;

use crate::answer::Failure;
use crate::auth::Call;
use crate::endpoint::{Shared, caller};
use crate::handlers::Answer;

/// Experiments and runs that are shown.
const SHOWN: usize = 30;

/// Metrics of a run that are shown.
const METRICS: usize = 4;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd;vertical-align:top}\
code,pre{background:#f4f4f4;border-radius:4px;padding:.1rem .3rem}pre{padding:.7rem;overflow-x:auto}.dim{color:#777}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#333}code,pre{background:#262626}}";

/// `/`
pub(crate) async fn page(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost:5000").to_owned();
    let caller = caller(&request);
    let html = app.blocking("Page", move |app| render(&Call::new(app, &caller), &host)).await?;
    let mut response = Response::new(Body::from(html));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

fn render(app: &Call, host: &str) -> Answer<String> {
    let visible = app.visible(ResourceType::Experiment);
    let experiments = app.store.search_experiments(&ExperimentQuery { max_results: SHOWN, visible, ..ExperimentQuery::default() })?;
    let query = RunQuery {
        experiment_ids: experiments.items.iter().map(|experiment| experiment.experiment_id.clone()).collect(),
        order_by: RunOrder::parse_all(&["attributes.start_time DESC"])?,
        max_results: SHOWN,
        ..RunQuery::default()
    };
    let runs = app.store.search_runs(&query)?.items;
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Anmok</title><style>{STYLE}</style><h1>Anmok tracking server</h1>"
    );
    let _ = write!(
        html,
        "<p>This server speaks MLflow's API. Log to it from Python:<pre>MLFLOW_TRACKING_URI=http://{host} python train.py</pre>\
         <p>For MLflow's web UI on this page, install it where this server runs and start the server again:\
         <pre>pip install mlflow\nanmok server --ui-bundle auto</pre>",
        host = escaped(host)
    );
    html += "<h2>Latest runs</h2>";
    if runs.is_empty() {
        html += "<p class=dim>No run is recorded yet: <code>anmok quickstart</code> makes the first.";
    } else {
        html += "<table><tr><th>Run<th>Experiment<th>Status<th>Started<th>Metrics";
        runs.iter().for_each(|run| row(&mut html, run, &experiments.items));
        html += "</table>";
    }
    html += "<h2>Experiments</h2><table><tr><th>Id<th>Name<th>Artifacts";
    for experiment in &experiments.items {
        let (id, name, location) = (&experiment.experiment_id, escaped(&experiment.name), escaped(&experiment.artifact_location));
        let _ = write!(html, "<tr><td>{id}<td>{name}<td class=dim>{location}");
    }
    html += "</table>";
    if experiments.next_page_token.is_some() {
        let _ = write!(html, "<p class=dim>The {SHOWN} newest; <code>anmok runs list</code> and the API have all.");
    }
    Ok(html)
}

fn row(html: &mut String, run: &Run, experiments: &[Experiment]) {
    let info = &run.info;
    let experiment = experiments.iter().find(|experiment| experiment.experiment_id == info.experiment_id);
    let metrics: Vec<String> =
        run.data.metrics.iter().take(METRICS).map(|metric| format!("{} {:.4}", escaped(&metric.key), metric.value)).collect();
    let _ = write!(
        html,
        "<tr><td>{}<br><code>{}</code><td>{}<td>{}<td>{}<td>{}",
        escaped(&info.run_name),
        escaped(info.run_id.get(..8).unwrap_or(&info.run_id)),
        escaped(experiment.map_or("", |experiment| &experiment.name)),
        info.status,
        age(info.start_time),
        metrics.join("<br>")
    );
}

/// How long ago a time was.
fn age(time_ms: i64) -> String {
    match now_ms().saturating_sub(time_ms).max(0) / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..2880 => format!("{} h ago", minutes / 60),
        minutes => format!("{} days ago", minutes / 1440),
    }
}

/// Text as HTML: names are chosen by whoever logs.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
