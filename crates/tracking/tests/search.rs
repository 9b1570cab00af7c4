//! Searches, data in and runs out: against MLflow's own answers (`mlflow_answers.py` made them), and paging.

mod postgres;

use std::collections::BTreeMap;

use anmok_protocol::{
    Batch, DATASET_CONTEXT_TAG, Dataset, DatasetInput, InputTag, Metric, Param, RunFilter, RunInputs, RunOrder, RunStatus, RunTag, ViewType,
};
use anmok_tracking::{NewExperiment, NewRun, PageRequest, RunQuery, RunStore, RunUpdate, SearchEffort, StoreOptions, TrackingError, open};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Answers {
    runs: Vec<RunToMake>,
    queries: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    filter: String,
    order: Vec<String>,
    view: ViewType,
    experiment_ids: Vec<String>,
    /// The names of the runs that MLflow finds, in its order.
    found: Vec<String>,
}

#[derive(Deserialize)]
struct RunToMake {
    name: String,
    start: i64,
    end: Option<i64>,
    status: RunStatus,
    user: String,
    metrics: Vec<(String, Value, i64, i64)>,
    params: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    datasets: Vec<(String, String, String)>,
    #[serde(default)]
    deleted: bool,
    experiment: Option<String>,
}

#[test]
fn searches_find_what_mlflow_finds() {
    // As among few runs, and as among many: by every kind of help that an index can give.
    let many = |rare, heads| effort([0, 0], rare, heads);
    for options in [StoreOptions::default(), many(2, [2, 4]), many(100, [3, 100]), many(0, [2, 3]), many(0, [100, 100])] {
        let folder = tempfile::tempdir().unwrap();
        find_what_mlflow_finds(open(&sqlite(folder.path()), &options).unwrap());
        if let Some(server) = postgres::shared("search::searches_find_what_mlflow_finds") {
            find_what_mlflow_finds(open(&server.database(), &options).unwrap());
        }
    }
}

fn find_what_mlflow_finds(store: Box<dyn RunStore>) {
    let answers: Answers = serde_json::from_str(include_str!("mlflow_answers.json")).unwrap();
    for name in ["one", "two"] {
        store.create_experiment(&NewExperiment { name: name.into(), ..NewExperiment::default() }).unwrap();
    }
    answers.runs.iter().for_each(|run| make(&*store, run));
    for Query { filter, order, view, experiment_ids, found: expected } in answers.queries {
        let question = format!("{filter:?} by {order:?}, {view}, of {experiment_ids:?}");
        let query = RunQuery {
            experiment_ids,
            filter: RunFilter::parse(&filter).unwrap(),
            order_by: RunOrder::parse_all(&order).unwrap(),
            view,
            ..RunQuery::default()
        };
        let names = |runs: Vec<anmok_protocol::Run>| runs.into_iter().map(|run| run.info.run_name).collect::<Vec<_>>();
        let page = store.search_runs(&query).unwrap();
        assert_eq!(page.next_page_token, None);
        assert_eq!(names(page.items), expected, "{question}");
        // The same one by one: pages neither lose nor repeat anything.
        for max_results in [1, 2] {
            assert_eq!(names(walk(&*store, &RunQuery { max_results, ..query.clone() })), expected, "{question}, {max_results} at a time");
        }
    }
}

fn make(store: &dyn RunStore, run: &RunToMake) {
    let new = NewRun {
        experiment_id: run.experiment.clone().unwrap_or("1".into()),
        run_name: Some(run.name.clone()),
        user_id: run.user.clone(),
        start_time: run.start,
        tags: vec![],
    };
    let run_id = store.create_run(&new).unwrap().info.run_id;
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap());
    let batch = Batch {
        metrics: run.metrics.iter().map(|(key, value, timestamp, step)| Metric::new(key, number(value), *timestamp, *step)).collect(),
        params: run.params.iter().map(|(key, value)| Param::new(key, value)).collect(),
        tags: run.tags.iter().map(|(key, value)| RunTag::new(key, value)).collect(),
    };
    store.log_batch(&run_id, &batch).unwrap();
    let input = |(name, digest, context): &(String, String, String)| DatasetInput {
        tags: vec![InputTag { key: DATASET_CONTEXT_TAG.into(), value: context.clone() }],
        dataset: Dataset {
            name: name.clone(),
            digest: digest.clone(),
            source_type: "local".into(),
            source: "x".into(),
            schema: None,
            profile: None,
        },
    };
    store.log_inputs(&run_id, &RunInputs::datasets(run.datasets.iter().map(input).collect())).unwrap();
    store.update_run(&run_id, &RunUpdate { status: Some(run.status), end_time: run.end, run_name: None }).unwrap();
    if run.deleted {
        store.delete_run(&run_id).unwrap();
    }
}

/// All pages of a search.
fn walk(store: &dyn RunStore, query: &RunQuery) -> Vec<anmok_protocol::Run> {
    let mut query = query.clone();
    let mut runs = vec![];
    loop {
        let page = store.search_runs(&query).unwrap();
        assert!(page.items.len() <= query.max_results);
        runs.extend(page.items);
        match page.next_page_token {
            Some(token) => query.page_token = Some(token),
            None => return runs,
        }
    }
}

/// A walk over pages while others write: what was there all the time comes exactly once. (MLflow's own tokens count rows,
/// so that a new run repeats an old one.)
#[test]
fn new_runs_between_pages_move_nothing() {
    let folder = tempfile::tempdir().unwrap();
    walk_while_others_write(new_store(folder.path()));
    if let Some(server) = postgres::shared("search::new_runs_between_pages_move_nothing") {
        walk_while_others_write(open(&server.database(), &StoreOptions::default()).unwrap());
    }
}

fn walk_while_others_write(store: Box<dyn RunStore>) {
    let make = |start_time| store.create_run(&NewRun { start_time, ..NewRun::default() }).unwrap().info.run_id;
    // Three start times only, so that the run id decides too.
    let mut there: Vec<String> = (0..30).map(|number| make(number % 3)).collect();
    let mut query = RunQuery { max_results: 4, ..RunQuery::default() };
    let mut seen = vec![];
    loop {
        let page = store.search_runs(&query).unwrap();
        seen.extend(page.items.into_iter().map(|run| run.info.run_id));
        make(5);
        let Some(token) = page.next_page_token else { break };
        query.page_token = Some(token);
    }
    there.sort();
    seen.sort();
    assert_eq!(seen, there);
}

#[test]
fn tokens_and_sizes_that_mean_nothing_are_refused() {
    for options in [StoreOptions::default(), effort([0, 0], 0, [100, 100])] {
        let folder = tempfile::tempdir().unwrap();
        refuse_tokens_and_sizes(open(&sqlite(folder.path()), &options).unwrap());
        if let Some(server) = postgres::shared("search::tokens_and_sizes_that_mean_nothing_are_refused") {
            refuse_tokens_and_sizes(open(&server.database(), &options).unwrap());
        }
    }
}

fn refuse_tokens_and_sizes(store: Box<dyn RunStore>) {
    let run_id =
        (0..3).map(|start_time| store.create_run(&NewRun { start_time, ..NewRun::default() }).unwrap().info.run_id).last().unwrap();
    let refused = |query: RunQuery, words: &str| match store.search_runs(&query) {
        Err(TrackingError::Refused(error)) => assert!(error.message.contains(words), "{error}"),
        other => panic!("expected a refusal with {words:?}, got {other:?}"),
    };
    let first = store.search_runs(&RunQuery { max_results: 1, ..RunQuery::default() }).unwrap();
    let by_name = vec![RunOrder::parse("run_name").unwrap()];
    let by_metric = || vec![RunOrder::parse("metrics.acc DESC").unwrap()];
    refused(RunQuery { page_token: first.next_page_token.clone(), order_by: by_name, ..RunQuery::default() }, "Invalid page token");
    refused(RunQuery { page_token: first.next_page_token.clone(), order_by: by_metric(), ..RunQuery::default() }, "Invalid page token");
    for token in ["x", "", "zz", "ff", "5b5d", "한글", &"5b".repeat(50_000)] {
        refused(RunQuery { page_token: Some(token.into()), ..RunQuery::default() }, "Invalid page token");
        refused(RunQuery { page_token: Some(token.into()), order_by: by_metric(), ..RunQuery::default() }, "Invalid page token");
        let page = PageRequest { max_results: Some(1), page_token: Some(token.into()) };
        let error = store.metric_history(&run_id, "m", &page).unwrap_err();
        assert!(error.to_string().starts_with("Invalid page token"), "{error}");
    }
    refused(RunQuery { max_results: 0, ..RunQuery::default() }, "It must be a positive integer");
    refused(
        RunQuery { max_results: 50_001, ..RunQuery::default() },
        "Invalid value 50001 for parameter 'max_results' supplied. It must be at most 50000",
    );
    refused(
        RunQuery { experiment_ids: vec!["x".into()], ..RunQuery::default() },
        "Invalid experiment ID 'x'. Experiment ID must be a valid integer.",
    );
    assert!(store.metric_history(&run_id, "m", &PageRequest { max_results: Some(0), page_token: None }).is_err());
    let long = RunFilter::parse(&format!("tags.a LIKE '{}'", "%".repeat(50_001))).unwrap();
    refused(RunQuery { filter: long, ..RunQuery::default() }, "at most 50000 bytes");
    let none = RunQuery { experiment_ids: vec![], ..RunQuery::default() };
    assert_eq!(store.search_runs(&none).unwrap().items, []);
}

fn new_store(folder: &std::path::Path) -> Box<dyn RunStore> {
    open(&sqlite(folder), &StoreOptions::default()).unwrap()
}

fn effort([without_condition, without_order]: [usize; 2], rare: usize, heads: [usize; 2]) -> StoreOptions {
    let search = SearchEffort { without_condition, without_order, rare, heads };
    StoreOptions { search, ..StoreOptions::default() }
}

fn sqlite(folder: &std::path::Path) -> String {
    format!("sqlite:///{}", folder.join("anmok.db").display())
}

/// A search among many runs, whose pages an index helps to find, finds what a search finds that looks at all of them. Values are
/// few, so that runs are equal; some are NaN or missing; others' runs have the same keys.
#[test]
fn an_index_changes_nothing_but_the_time() {
    let folder = tempfile::tempdir().unwrap();
    agree_among_many(&sqlite(folder.path()));
    if let Some(server) = postgres::shared("search::an_index_changes_nothing_but_the_time") {
        agree_among_many(&server.database());
    }
}

fn agree_among_many(uri: &str) {
    let all = open(uri, &effort([usize::MAX >> 2; 2], 0, [0, 0])).unwrap();
    let other = all.create_experiment(&NewExperiment { name: "other".into(), ..NewExperiment::default() }).unwrap();
    for number in 0..240_i64 {
        let experiment_id = if number % 4 == 0 { other.clone() } else { "0".into() };
        let run_name = Some(format!("{} run", ["red", "green", "blue"][number as usize % 3]));
        let new = NewRun { experiment_id, run_name, start_time: number % 7, ..NewRun::default() };
        let run_id = all.create_run(&new).unwrap().info.run_id;
        let value = match number % 11 {
            0 => f64::NAN,
            rest => rest as f64 / 4.0,
        };
        // The start of the long ones is the same: the index cannot tell them apart.
        let long = format!("{}{}", "긴".repeat(100), number % 3);
        let batch = Batch {
            metrics: if number % 5 == 0 { vec![] } else { vec![Metric::new("acc", value, 1, 1), Metric::new("rank", number as f64, 1, 1)] },
            params: vec![Param::new("long", &long), Param::new("lr", (number % 9).to_string())],
            tags: vec![RunTag::new("long", &long), RunTag::new("kind", (number % 2).to_string())],
        };
        all.log_batch(&run_id, &batch).unwrap();
        if number % 13 == 0 {
            all.delete_run(&run_id).unwrap();
        }
    }
    let long = format!("'{}1'", "긴".repeat(100));
    let filters = [
        String::new(),
        "metrics.acc > 1.5".into(),
        "metrics.acc <= 0.25 and params.lr = '3'".into(),
        "metrics.rank = 101".into(),
        "metrics.rank != 101 and tags.kind = '1'".into(),
        "metrics.nobody > 1".into(),
        format!("params.long = {long}"),
        format!("tags.long = {long} and metrics.rank < 200"),
        "attributes.run_name LIKE 'blue%'".into(),
        "attributes.run_name = 'red run' and params.lr != '0'".into(),
    ];
    let orders: [&[&str]; 6] = [
        &[],
        &["metrics.acc DESC"],
        &["metrics.acc ASC", "params.lr DESC"],
        &["metrics.rank DESC"],
        &["params.lr", "metrics.acc DESC"],
        &["metrics.acc DESC", "artifact_uri"],
    ];
    let mut questions = vec![];
    for (filter, order) in filters.iter().flat_map(|filter| orders.map(|order| (filter, order))) {
        for experiment_ids in [vec!["0".into()], vec![other.clone()], vec!["0".into(), other.clone()]] {
            for (view, max_results) in [(ViewType::ActiveOnly, 7), (ViewType::All, 50), (ViewType::DeletedOnly, 5)] {
                questions.push(RunQuery {
                    experiment_ids: experiment_ids.clone(),
                    filter: RunFilter::parse(filter).unwrap(),
                    order_by: RunOrder::parse_all(order).unwrap(),
                    view,
                    max_results,
                    page_token: None,
                });
            }
        }
    }
    let ids = |store: &dyn RunStore, query| walk(store, query).into_iter().map(|run| run.info.run_id).collect::<Vec<_>>();
    let expected: Vec<_> = questions.iter().map(|query| ids(&*all, query)).collect();
    for options in [
        effort([0, 0], 1000, [1000, 1000]),
        effort([0, 0], 10, [12, 40]),
        effort([0, 0], 0, [8, 16]),
        effort([60, 60], 30, [8, 64]),
        effort([20, 100], 100, [8, 64]),
    ] {
        let helped = open(uri, &options).unwrap();
        for (query, expected) in questions.iter().zip(&expected) {
            assert_eq!(ids(&*helped, query), *expected, "{query:?}, {:?}", options.search);
        }
    }
}
