//! Whatever is logged, in whatever portions and order, the same is there.

mod postgres;

use std::collections::BTreeMap;

use anmok_protocol::{Batch, Metric, Param, RunTag};
use anmok_tracking::{NewRun, PageRequest, RunStore, StoreOptions, open};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn points() -> impl Strategy<Value = Vec<Metric>> {
    let value = prop_oneof![
        any::<f64>(),
        prop::sample::select(vec![0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, 5e-324])
    ];
    // Few keys, steps and times, so that points meet.
    let point = (prop::sample::select(vec!["a", "b/c", "손실"]), value, 0..4_i64, prop_oneof![0..3_i64, any::<i64>()]);
    prop::collection::vec(point.prop_map(|(key, value, timestamp, step)| Metric::new(key, value, timestamp, step)), 0..40)
}

/// A point as MLflow keeps it, to sort and compare: (timestamp, step, value, is_nan).
fn kept(metric: &Metric) -> (i64, i64, f64, bool) {
    let value = if metric.value.is_nan() { 0.0 } else { metric.value.clamp(f64::MIN, f64::MAX) };
    (metric.timestamp, metric.step, value + 0.0, metric.value.is_nan())
}

/// Does a property's cases on every database that this machine has.
fn on_all(test: &str, cases: impl Fn(&dyn RunStore, &mut TestRunner)) {
    let runner = || TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() });
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&format!("sqlite:///{}", folder.path().join("anmok.db").display()), &StoreOptions::default()).unwrap();
    cases(&*sqlite, &mut runner());
    if let Some(server) = postgres::shared(test) {
        cases(&*open(&server.database(), &StoreOptions::default()).unwrap(), &mut runner());
    }
}

#[test]
fn metrics_are_there_once_and_in_order() {
    on_all("properties::metrics_are_there_once_and_in_order", |store, runner| {
        runner
            .run(&(points(), 1..7_usize, 1..5_usize), |(points, portion, page)| {
                let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
                for metrics in points.chunks(portion) {
                    store.log_batch(&run_id, &Batch { metrics: metrics.to_vec(), ..Batch::default() }).unwrap();
                }
                let mut expected: BTreeMap<&str, Vec<_>> = BTreeMap::new();
                for point in &points {
                    expected.entry(&point.key).or_default().push(kept(point));
                }
                let data = store.run(&run_id).unwrap().unwrap().data;
                let keys: Vec<&str> = data.metrics.iter().map(|metric| metric.key.as_str()).collect();
                prop_assert_eq!(keys, expected.keys().copied().collect::<Vec<_>>());
                for (latest, (key, mut history)) in data.metrics.iter().zip(expected) {
                    history.sort_by(|a, b| a.partial_cmp(b).unwrap());
                    history.dedup();
                    let last = history.iter().copied().max_by(|a, b| (a.1, a.0, a.2).partial_cmp(&(b.1, b.0, b.2)).unwrap()).unwrap();
                    prop_assert_eq!((latest.timestamp, latest.step, kept(latest).2), (last.0, last.1, last.2));
                    let all = store.metric_history(&run_id, key, &PageRequest::default()).unwrap().items;
                    prop_assert_eq!(all.iter().map(kept).collect::<Vec<_>>(), history);
                    prop_assert_eq!(format!("{:?}", paged(store, &run_id, key, page)), format!("{all:?}"));
                }
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn texts_come_back_as_they_were() {
    // PostgreSQL cannot store a NUL (tests/postgresql.rs: it is refused).
    let name = "[^\\x00\\n]{1,50}";
    let keyed = || prop::collection::btree_map("[a-zA-Z가-힣_][a-z0-9_ .:-]{0,20}[a-z]", any::<String>(), 0..6);
    on_all("properties::texts_come_back_as_they_were", |store, runner| {
        runner
            .run(&(keyed(), keyed(), any::<String>(), name), |(params, tags, user_id, run_name)| {
                let new = NewRun { run_name: Some(run_name.clone()), user_id: user_id.clone(), ..NewRun::default() };
                let run_id = store.create_run(&new).unwrap().info.run_id;
                let batch = Batch {
                    metrics: vec![],
                    params: params.iter().map(|(key, value)| Param::new(key, value)).collect(),
                    tags: tags.iter().map(|(key, value)| RunTag::new(key, value)).collect(),
                };
                store.log_batch(&run_id, &batch).unwrap();
                let run = store.run(&run_id).unwrap().unwrap();
                prop_assert_eq!((run.info.run_name, run.info.user_id), (run_name, user_id));
                prop_assert_eq!(run.data.params, batch.params);
                let tags: Vec<RunTag> = run.data.tags.into_iter().filter(|tag| tag.key != "mlflow.runName").collect();
                prop_assert_eq!(tags, batch.tags);
                Ok(())
            })
            .unwrap();
    });
}

fn paged(store: &dyn RunStore, run_id: &str, key: &str, max_results: usize) -> Vec<Metric> {
    let mut request = PageRequest { max_results: Some(max_results), page_token: None };
    let mut points = vec![];
    loop {
        let page = store.metric_history(run_id, key, &request).unwrap();
        points.extend(page.items);
        match page.next_page_token {
            Some(token) => request.page_token = Some(token),
            None => return points,
        }
    }
}
