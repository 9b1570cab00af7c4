//! Batches as a server takes them: values cut to MLflow's lengths, and no body above its limit.

use anmok_protocol::messages::runs::LogBatch;
use anmok_protocol::{Batch, Metric, Param, RunTag, limits};

/// The requests that carry a batch: one, unless its JSON is larger than a server takes. Then params come first, for they are
/// what can be refused, then tags.
pub(super) fn requests(run_id: &str, batch: &Batch) -> Vec<LogBatch> {
    let whole = LogBatch {
        run_id: run_id.into(),
        params: batch.params.iter().map(|param| Param::new(&param.key, limits::cut(&param.value, limits::PARAM_VALUE_LENGTH))).collect(),
        tags: cut_tags(&batch.tags),
        metrics: batch.metrics.iter().map(finite).collect(),
    };
    let mut requests = vec![];
    split(whole, &mut requests);
    requests
}

/// Tags with values that a server takes.
pub(super) fn cut_tags(tags: &[RunTag]) -> Vec<RunTag> {
    tags.iter().map(|tag| RunTag::new(&tag.key, limits::cut(&tag.value, limits::TAG_VALUE_LENGTH))).collect()
}

/// Infinities as the stores keep them: not every server has a word for them.
fn finite(metric: &Metric) -> Metric {
    let mut metric = metric.clone();
    metric.value = metric.value.clamp(f64::MIN, f64::MAX);
    metric
}

fn split(request: LogBatch, into: &mut Vec<LogBatch>) {
    let LogBatch { params, tags, metrics, .. } = &request;
    let half = (params.len() + tags.len() + metrics.len()) / 2;
    if half == 0 || fits(&request) {
        into.push(request);
        return;
    }
    let LogBatch { run_id, mut params, mut tags, mut metrics } = request;
    let later_params = params.split_off(half.min(params.len()));
    let later_tags = tags.split_off((half - params.len()).min(tags.len()));
    let later_metrics = metrics.split_off((half - params.len() - tags.len()).min(metrics.len()));
    split(LogBatch { run_id: run_id.clone(), params, tags, metrics }, into);
    split(LogBatch { run_id, params: later_params, tags: later_tags, metrics: later_metrics }, into);
}

/// Whether the body is no larger than a server takes.
fn fits(request: &LogBatch) -> bool {
    // In JSON a byte becomes six at most, and no entity has more than this besides its texts. Most batches need no closer look.
    const OTHERWISE: usize = 128;
    let texts = |key: &str, value: &str| OTHERWISE + 6 * (key.len() + value.len());
    let params = request.params.iter().map(|param| texts(&param.key, &param.value));
    let tags = request.tags.iter().map(|tag| texts(&tag.key, &tag.value));
    let metrics = request.metrics.iter().map(|metric| {
        let rest = [&metric.dataset_name, &metric.dataset_digest, &metric.model_id];
        texts(&metric.key, "") + rest.into_iter().flatten().map(|text| 6 * text.len()).sum::<usize>()
    });
    let most: usize = OTHERWISE + 6 * request.run_id.len() + params.chain(tags).chain(metrics).sum::<usize>();
    most <= limits::BATCH_BYTES || serde_json::to_vec(request).is_ok_and(|body| body.len() <= limits::BATCH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_fits_is_one_request_with_its_values_cut() {
        let batch = Batch {
            metrics: vec![Metric::new("up", f64::INFINITY, 1, 1), Metric::new("nan", f64::NAN, 1, 1)],
            params: vec![Param::new("p", "가".repeat(7000))],
            tags: vec![RunTag::new("t", "x".repeat(9000))],
        };
        let requests = requests("r", &batch);
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!((request.metrics[0].value, request.metrics[1].value.is_nan()), (f64::MAX, true));
        assert_eq!((request.params[0].value.chars().count(), request.tags[0].value.len()), (6000, 8000));
    }

    #[test]
    fn a_batch_that_is_too_large_is_split_without_a_loss_in_order() {
        let text = "\u{1}".repeat(6000); // six bytes each in JSON
        let batch = Batch {
            metrics: (0..800).map(|step| Metric::new("한".repeat(250), 0.1, step, step)).collect(),
            params: (0..100).map(|index| Param::new(format!("p{index}"), &text)).collect(),
            tags: (0..100).map(|index| RunTag::new(format!("t{index}"), &text)).collect(),
        };
        let requests = requests("r", &batch);
        assert!(requests.len() > 8, "{}", requests.len());
        assert!(requests.iter().all(|request| serde_json::to_vec(request).unwrap().len() <= limits::BATCH_BYTES));
        let kinds: Vec<_> = requests.iter().map(|request| (!request.params.is_empty(), !request.metrics.is_empty())).collect();
        assert!(kinds.is_sorted_by(|a, b| a.0 >= b.0 && a.1 <= b.1), "{kinds:?}");
        let joined = requests.into_iter().fold(Batch::default(), |mut all, mut request| {
            all.params.append(&mut request.params);
            all.tags.append(&mut request.tags);
            all.metrics.append(&mut request.metrics);
            all
        });
        assert_eq!(joined, batch);
    }
}
