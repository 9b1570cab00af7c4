//! `metrics/*`.

use anmok_protocol::messages::metrics::{
    GetMetricHistory, GetMetricHistoryBulk, GetMetricHistoryBulkInterval, GetMetricHistoryBulkIntervalResponse, GetMetricHistoryResponse,
};
use anmok_protocol::{ApiError, ErrorCode, Metric, MetricWithRunId, limits};
use anmok_tracking::{PageRequest, SampledHistoryQuery};
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use bytes::Bytes;

use super::Answer;
use crate::answer::{Failure, IntoJsonResponse, json, json_response};
use crate::auth::Call;
use crate::endpoint::{Asked, InPath, Shared, caller, permitted};
use crate::state::App;

/// One page of a history.
fn history(app: &App, asked: &GetMetricHistory) -> Answer<GetMetricHistoryResponse> {
    let max_results = match asked.max_results {
        Some(max) if max <= 0 => {
            let message = format!("Invalid value {max} for parameter 'max_results' supplied. It must be a positive integer.");
            return Err(ApiError::invalid(message).into());
        }
        max => max.and_then(|max| usize::try_from(max).ok()),
    };
    let request = PageRequest { max_results, page_token: asked.page_token.clone() };
    let page = app.store.metric_history(asked.run_id(), &asked.metric_key, &request)?;
    Ok(GetMetricHistoryResponse { metrics: page.items, next_page_token: page.next_page_token })
}

/// All points of several runs, up to a number.
pub(crate) fn history_bulk(app: &Call, asked: GetMetricHistoryBulk) -> Answer<GetMetricHistoryBulkIntervalResponse> {
    let count = asked.run_id.len();
    if count == 0 {
        return Err(ApiError::invalid("GetMetricHistoryBulk request must specify at least one run_id.").into());
    }
    if count > limits::SAMPLED_HISTORY_RUNS {
        let message = format!(
            "GetMetricHistoryBulk request cannot specify more than {} run_ids. Received {count} run_ids.",
            limits::SAMPLED_HISTORY_RUNS
        );
        return Err(ApiError::invalid(message).into());
    }
    let Some(metric_key) = asked.metric_key else {
        return Err(ApiError::invalid("GetMetricHistoryBulk request must specify a metric_key.").into());
    };
    let most =
        asked.max_results.map_or(limits::BULK_HISTORY_POINTS, |most| usize::try_from(most).unwrap_or(0)).min(limits::BULK_HISTORY_POINTS);
    let mut run_ids = asked.run_id;
    run_ids.sort();
    let mut metrics: Vec<MetricWithRunId> = vec![];
    for run_id in &run_ids {
        let left = most - metrics.len();
        if left == 0 {
            break;
        }
        let page = app.store.metric_history(run_id, &metric_key, &PageRequest { max_results: Some(left), page_token: None })?;
        metrics.extend(page.items.into_iter().map(|point| MetricWithRunId {
            key: point.key,
            value: point.value,
            timestamp: point.timestamp,
            step: point.step,
            run_id: run_id.clone(),
        }));
    }
    Ok(GetMetricHistoryBulkIntervalResponse { metrics })
}

/// Evenly spread points of several runs.
pub(crate) fn history_bulk_interval(app: &Call, asked: GetMetricHistoryBulkInterval) -> Answer<GetMetricHistoryBulkIntervalResponse> {
    Ok(GetMetricHistoryBulkIntervalResponse { metrics: app.store.sampled_metric_history(&sampled(asked)?)? })
}

/// The query that the web UI's request stands for.
pub(crate) fn sampled(asked: GetMetricHistoryBulkInterval) -> Result<SampledHistoryQuery, ApiError> {
    let invalid = |message: String| Err(ApiError::invalid(message));
    let count = asked.run_ids.len();
    if count > limits::SAMPLED_HISTORY_RUNS {
        return invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {} run_ids. Received {count} run_ids.",
            limits::SAMPLED_HISTORY_RUNS
        ));
    }
    let most = asked.max_results.unwrap_or(limits::SAMPLED_HISTORY_POINTS as i64);
    let Some(max_results) = usize::try_from(most).ok().filter(|most| (1..=limits::SAMPLED_HISTORY_POINTS).contains(most)) else {
        return invalid(format!("max_results must be between 1 and {}.", limits::SAMPLED_HISTORY_POINTS));
    };
    let steps = match (asked.start_step, asked.end_step) {
        (None, None) => None,
        (Some(start), Some(end)) if start <= end => Some((start, end)),
        (Some(start), Some(end)) => {
            return invalid(format!("end_step must be greater than start_step. Found start_step={start} and end_step={end}."));
        }
        _ => return invalid("If either start step or end step are specified, both must be specified.".into()),
    };
    Ok(SampledHistoryQuery { run_ids: asked.run_ids, metric_key: asked.metric_key, steps, max_results })
}

/// Points of one piece of a streamed history.
const PIECE: usize = 20_000;

/// A history in pieces: a million points take no more memory than [`PIECE`]. A client that asks for a page gets it whole.
pub(crate) async fn stream_history(app: Shared, request: Request<Body>) -> Result<Response, Failure> {
    let caller = caller(&request);
    let mut asked: GetMetricHistory = Asked::receive(&app, request).await?.read()?;
    if app.asks(&caller) {
        let guarded = move |app: &App| permitted(&Call::new(app, &caller), &InPath::none(), asked);
        asked = app.blocking("GetMetricHistory", guarded).await?;
    }
    let whole = asked.max_results.is_none();
    let first = GetMetricHistory { max_results: asked.max_results.or(Some(PIECE as i64)), ..asked };
    let read = first.clone();
    let (mut bytes, next) = app
        .blocking("GetMetricHistory", move |app| {
            let page = history(app, &read)?;
            let next = page.next_page_token.clone();
            // The end is written when it has come.
            Ok(if whole && next.is_some() { (points(&page.metrics, true)?, next) } else { (json(&page)?, None) })
        })
        .await?;
    if next.is_none() {
        return Ok(bytes.into_json_response());
    }
    let rest = futures_util::stream::try_unfold((app, first, next), async |(app, mut asked, next)| {
        let Some(token) = next else { return Ok::<_, std::io::Error>(None) };
        asked.page_token = Some(token);
        let read = asked.clone();
        let piece = app.blocking("GetMetricHistory", move |app| {
            let page = history(app, &read)?;
            Ok((points(&page.metrics, false)?, page.next_page_token))
        });
        // The status is sent already: the connection breaks off, so that no client takes a part for the whole.
        let (mut bytes, next) = piece.await.map_err(|failure| std::io::Error::other(failure.error()))?;
        if next.is_none() {
            bytes = [&bytes, b"]}".as_slice()].concat().into();
        }
        Ok(Some((bytes, (app, asked, next))))
    });
    let begin = futures_util::stream::once(async move { Ok(std::mem::take(&mut bytes)) });
    Ok(json_response(Body::from_stream(futures_util::StreamExt::chain(begin, rest))))
}

/// Points as a part of the answer's list.
fn points(metrics: &[Metric], first: bool) -> Answer<Bytes> {
    let mut bytes = Vec::with_capacity(metrics.len() * 80);
    bytes.extend_from_slice(if first { b"{\"metrics\":[" } else { b"" });
    for (index, metric) in metrics.iter().enumerate() {
        if index > 0 || !first {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut bytes, metric).map_err(|error| ApiError::new(ErrorCode::InternalError, error.to_string()))?;
    }
    Ok(bytes.into())
}
