//! A run's life, told once for any store.

mod postgres;

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anmok_protocol::{
    ArtifactPath, Batch, DATASET_CONTEXT_TAG, Dataset, DatasetInput, ErrorCode, ExperimentTag, FileInfo, InputTag, LifecycleStage, Metric,
    Param, RUN_NAME_TAG, RunFilter, RunInputs, RunOrder, RunStatus, RunTag, ViewType,
};
use anmok_server::{Options, Shutdown};
use anmok_tracking::{
    ArtifactOptions, ExperimentQuery, LogOptions, NewExperiment, NewRun, PageRequest, RunQuery, RunStore, RunUpdate, RunWriter,
    StoreOptions, TrackingError, now_ms, open, open_store,
};

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    // A path that needs encoding in a URI, and is not ASCII.
    let place = folder.path().join("실험 50% #1");
    fs::create_dir(&place).unwrap();
    let uri = format!("sqlite:///{}", place.join("anmok.db").display());
    let store: Arc<dyn RunStore> = Arc::from(open(&uri, &StoreOptions::default()).unwrap());
    story(&store);
}

#[test]
fn postgresql() {
    let Some(server) = postgres::shared("story::postgresql") else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { artifact_root: Some(folder.path().join("artifacts").display().to_string()), ..StoreOptions::default() };
    let store: Arc<dyn RunStore> = Arc::from(open(&server.database(), &options).unwrap());
    story(&store);
}

/// Our own server. MLflow's is asked by hand, for it comes with Python: see `official`.
#[test]
fn http() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        artifact_root: Some("mlflow-artifacts:/".into()),
        artifacts: ArtifactOptions {
            destination: Some(folder.path().join("artifacts").display().to_string()),
            ..ArtifactOptions::default()
        },
        ..StoreOptions::default()
    };
    let behind = open_store(&format!("sqlite:///{}", folder.path().join("anmok.db").display()), &options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = Shutdown::default();
    let asked = shutdown.clone();
    let server = std::thread::spawn(move || anmok_server::run(listener, Arc::from(behind), Options::default(), &asked));
    let store: Arc<dyn RunStore> = Arc::from(open(&url, &StoreOptions::default()).unwrap());
    story(&store);
    drop(store);
    shutdown.ask();
    server.join().unwrap().unwrap();
}

/// Whether refusals are compared by their code alone: MLflow's own words end with its database's.
static CODES_ALONE: AtomicBool = AtomicBool::new(false);

/// MLflow's server on a new database.
#[test]
#[ignore = "asks the server that ANMOK_TEST_TRACKING_URI names"]
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn official() {
    CODES_ALONE.store(true, Ordering::Relaxed);
    let store: Arc<dyn RunStore> = Arc::from(open(&std::env::var("ANMOK_TEST_TRACKING_URI").unwrap(), &StoreOptions::default()).unwrap());
    story(&store);
}

/// Whatever the store, the same happens.
fn story(store: &Arc<dyn RunStore>) {
    let experiment_id = experiments(&**store);
    let run_id = first_day(&**store, &experiment_id);
    refusals(&**store, &run_id);
    second_day(store, &run_id);
    files(&**store, &run_id);
    end(&**store, &experiment_id, &run_id);
}

fn experiments(store: &dyn RunStore) -> String {
    let default = store.experiment("0").unwrap().expect("the default experiment");
    assert_eq!((default.name.as_str(), default.lifecycle_stage), ("Default", LifecycleStage::Active));

    let new = NewExperiment {
        name: "비전 vision".into(),
        artifact_location: None,
        tags: vec![ExperimentTag { key: "team".into(), value: "A".into() }],
        creator: None,
    };
    let id = store.create_experiment(&new).unwrap();
    // A new tag's key has the work done twice on PostgreSQL; the number is the next one all the same.
    assert_eq!(id, "1");
    let made = store.experiment_by_name("비전 vision").unwrap().expect("the experiment just made");
    assert_eq!(store.experiment(&id).unwrap().as_ref(), Some(&made));
    assert_eq!((made.experiment_id.as_str(), made.tags.clone()), (id.as_str(), new.tags.clone()));
    assert!(made.creation_time > 0 && made.creation_time == made.last_update_time);

    assert_refused(store.create_experiment(&new), ErrorCode::ResourceAlreadyExists, "Experiment(name=비전 vision) already exists.");
    assert_refused(store.create_experiment(&NewExperiment::default()), ErrorCode::InvalidParameterValue, "Invalid experiment name: ''");
    assert_eq!(store.experiment("999").unwrap(), None);
    assert_eq!(store.experiment_by_name("nobody").unwrap(), None);

    let names = |query: &ExperimentQuery| {
        let page = store.search_experiments(query).unwrap();
        (page.items.into_iter().map(|experiment| experiment.name).collect::<Vec<_>>(), page.next_page_token)
    };
    let (first, token) = names(&ExperimentQuery { max_results: 1, ..ExperimentQuery::default() });
    assert_eq!(first, ["비전 vision"]);
    let (second, token) = names(&ExperimentQuery { max_results: 1, page_token: token, ..ExperimentQuery::default() });
    assert_eq!((second, token), (vec!["Default".to_string()], None));
    id
}

fn first_day(store: &dyn RunStore, experiment_id: &str) -> String {
    let start = now_ms();
    let new = NewRun {
        experiment_id: experiment_id.into(),
        user_id: "jiwoo".into(),
        start_time: start,
        tags: vec![RunTag::new("host", "laptop")],
        ..NewRun::default()
    };
    let run = store.create_run(&new).unwrap();
    assert_eq!((run.info.status, run.info.start_time, run.info.end_time), (RunStatus::Running, start, None));
    assert_eq!((run.info.user_id.as_str(), run.info.experiment_id.as_str()), ("jiwoo", experiment_id));
    assert_eq!(run.info.run_name.split('-').count(), 3, "adjective-noun-NNN, got {}", run.info.run_name);
    assert_eq!(run.data.tag(RUN_NAME_TAG), Some(run.info.run_name.as_str()));
    assert_eq!(run.data.tag("host"), Some("laptop"));
    assert!(run.info.artifact_uri.ends_with(&format!("/{experiment_id}/{}/artifacts", run.info.run_id)), "{}", run.info.artifact_uri);
    let run_id = run.info.run_id.clone();
    assert_eq!(store.run(&run_id).unwrap().as_ref(), Some(&run));

    // Two keys; a point twice; NaN and the infinities; the latest is the largest step, whatever was logged last.
    let batch = Batch {
        metrics: vec![
            Metric::new("val/accuracy", 0.5, 1000, 1),
            Metric::new("val/accuracy", 0.7, 1002, 3),
            Metric::new("val/accuracy", 0.6, 1001, 2),
            Metric::new("val/accuracy", 0.7, 1002, 3),
            Metric::new("loss", f64::NAN, 1000, 1),
            Metric::new("up", f64::INFINITY, 1000, 1),
            Metric::new("down", f64::NEG_INFINITY, 1000, 1),
        ],
        params: vec![Param::new("model_name", "resnet18"), Param::new("note", "ㄱ".repeat(7000))],
        tags: vec![RunTag::new("git", "abc"), RunTag::new("git", "def")],
    };
    store.log_batch(&run_id, &batch).unwrap();
    store.log_batch(&run_id, &batch).unwrap();
    let data = store.run(&run_id).unwrap().unwrap().data;
    assert_eq!((data.metric("val/accuracy"), data.metric("up"), data.metric("down")), (Some(0.7), Some(f64::MAX), Some(f64::MIN)));
    assert!(data.metric("loss").unwrap().is_nan());
    assert_eq!(data.param("model_name"), Some("resnet18"));
    assert_eq!(data.param("note").unwrap().chars().count(), 6000, "long values are cut");
    assert_eq!(data.tag("git"), Some("def"), "the last value of a key stays");

    let all = store.metric_history(&run_id, "val/accuracy", &PageRequest::default()).unwrap();
    assert_eq!(all.items.iter().map(|point| (point.step, point.value)).collect::<Vec<_>>(), [(1, 0.5), (2, 0.6), (3, 0.7)]);
    assert_eq!(all.next_page_token, None);
    let first = store.metric_history(&run_id, "val/accuracy", &PageRequest { max_results: Some(2), page_token: None }).unwrap();
    let rest =
        store.metric_history(&run_id, "val/accuracy", &PageRequest { max_results: Some(2), page_token: first.next_page_token.clone() });
    let rest = rest.unwrap();
    assert_eq!([first.items, rest.items].concat(), all.items);
    assert!(first.next_page_token.is_some() && rest.next_page_token.is_none());
    assert_eq!(store.metric_history(&run_id, "unknown", &PageRequest::default()).unwrap().items, []);
    assert!(store.metric_history(&run_id, "loss", &PageRequest::default()).unwrap().items[0].value.is_nan());

    // The largest value wins between points of the same step and time.
    store.log_batch(&run_id, &metrics(&[Metric::new("tie", 3.0, 5, 5), Metric::new("tie", 2.0, 5, 5)])).unwrap();
    store.log_batch(&run_id, &metrics(&[Metric::new("tie", 1.0, 5, 5)])).unwrap();
    assert_eq!(store.run(&run_id).unwrap().unwrap().data.metric("tie"), Some(3.0));

    let train = dataset("CIFAR10", "5f4d", "train");
    store.log_inputs(&run_id, &RunInputs::datasets(vec![train.clone(), dataset("CIFAR10", "77aa", "test")])).unwrap();
    store.log_inputs(&run_id, &RunInputs::datasets(vec![dataset("CIFAR10", "5f4d", "validation")])).unwrap();
    let inputs = store.run(&run_id).unwrap().unwrap().inputs.dataset_inputs;
    assert_eq!(inputs, [train, dataset("CIFAR10", "77aa", "test")], "one input for each name and digest, the first one's");
    run_id
}

/// What is not allowed, in MLflow's words, and that it leaves no trace.
fn refusals(store: &dyn RunStore, run_id: &str) {
    use ErrorCode::{InvalidParameterValue, ResourceDoesNotExist};
    let before = store.run(run_id).unwrap().unwrap();
    let mut batch = metrics(&[Metric::new("new", 1.0, 1, 1)]);
    batch.tags.push(RunTag::new("new", "x"));
    batch.params.push(Param::new("model_name", "vgg"));
    assert_refused(
        store.log_batch(run_id, &batch),
        InvalidParameterValue,
        &format!(
            "Changing param values is not allowed. Params were already logged='[{{'key': 'model_name', 'old_value': 'resnet18', \
             'new_value': 'vgg'}}]' for run ID='{run_id}'."
        ),
    );
    let double = Batch { params: vec![Param::new("a", "1"), Param::new("a", "1")], ..Batch::default() };
    assert_refused(
        store.log_batch(run_id, &double),
        InvalidParameterValue,
        "Duplicate parameter keys have been submitted: ['a']. Please ensure the request contains only one param value per param key.",
    );
    let many = metrics(&vec![Metric::new("m", 1.0, 1, 1); 1001]);
    assert_refused(
        store.log_batch(run_id, &many),
        InvalidParameterValue,
        "A batch logging request can contain at most 1000 metrics. Got 1001 metrics. Please split up metrics across multiple requests and try \
         again.",
    );
    assert_refused(
        store.set_tag(run_id, &RunTag::new("a//b", "x")),
        InvalidParameterValue,
        "Invalid value \"a//b\" for parameter 'key' supplied: Names may be treated as files in certain cases, and must not resolve to other \
         names when treated as such. This name would resolve to 'a/b'",
    );
    assert_refused(store.delete_tag(run_id, "none"), ResourceDoesNotExist, &format!("No tag with name: none in run with id {run_id}"));
    assert_refused(store.log_batch("ab", &Batch::default()), ResourceDoesNotExist, "Run with id=ab not found");
    assert_refused(store.update_run("ab", &RunUpdate::default()), ResourceDoesNotExist, "Run with id=ab not found");
    // Not so its history, which MLflow tells as empty.
    assert_eq!(store.metric_history("ab", "m", &PageRequest::default()).unwrap().items, []);
    assert_refused(
        store.create_run(&NewRun { experiment_id: "999".into(), ..NewRun::default() }),
        ResourceDoesNotExist,
        "No Experiment with id=999 exists",
    );
    let two_names = NewRun { run_name: Some("a".into()), tags: vec![RunTag::new(RUN_NAME_TAG, "b")], ..NewRun::default() };
    assert_refused(
        store.create_run(&two_names),
        InvalidParameterValue,
        "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='a', mlflow.runName='b').",
    );
    assert!(store.run("ab").unwrap().is_none());
    // NaN is not equal to itself, so the texts are compared.
    assert_eq!(format!("{:?}", store.run(run_id).unwrap().unwrap()), format!("{before:?}"));
}

/// The run goes on in another process: through the writer, repeating some steps.
fn second_day(store: &Arc<dyn RunStore>, run_id: &str) {
    let latest = store.latest_metrics(run_id).unwrap();
    assert_eq!(latest.iter().find(|point| point.key == "val/accuracy").map(|point| point.step), Some(3));
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { journals: folder.path().into(), tracking_uri: "story".into(), listener: Arc::new(|_| ()), heartbeat: false };
    let mut writer = RunWriter::open(Arc::clone(store), run_id, &options).unwrap();
    writer.params(&[("model_name".into(), "resnet18".into()), ("epochs".into(), "20".into())]);
    for step in 2..=2500 {
        writer.metrics(step, &[("val/accuracy", step as f64), ("images_per_second", 1.0)]);
    }
    writer.tags(&[("host".into(), "server".into())]);
    writer.dataset(dataset("CIFAR10", "0bad", "validation"));
    writer.flush().unwrap();
    assert!(writer.cpu_seconds() > 0.0);
    let closed = writer.finish(RunStatus::Finished).unwrap();
    assert!(closed.pending.is_none() && closed.refused.is_empty(), "{closed:?}");
    let run = store.run(run_id).unwrap().unwrap();
    assert_eq!(
        (run.data.param("epochs"), run.data.tag("host"), run.data.metric("val/accuracy")),
        (Some("20"), Some("server"), Some(2500.0))
    );
    assert_eq!(run.inputs.dataset_inputs.len(), 3);
    let steps = |key: &str| -> Vec<i64> {
        let mut steps: Vec<i64> =
            store.metric_history(run_id, key, &PageRequest::default()).unwrap().items.iter().map(|point| point.step).collect();
        steps.sort_unstable();
        steps
    };
    assert_eq!(steps("val/accuracy"), (1..=2500).collect::<Vec<_>>(), "each step once");
    assert_eq!(steps("images_per_second"), (2..=2500).collect::<Vec<_>>());
    let info = store.run(run_id).unwrap().unwrap().info;
    assert_eq!(info.status, RunStatus::Finished);
    assert!(info.end_time.is_some_and(|end| end >= info.start_time));
}

fn files(store: &dyn RunStore, run_id: &str) {
    let path = |text: &str| ArtifactPath::parse(text).unwrap();
    let artifacts = store.artifacts(&store.run(run_id).unwrap().unwrap().info.artifact_uri).unwrap();
    assert_eq!(artifacts.list(None).unwrap(), []);
    artifacts.put_bytes(&path("report.json"), b"{}").unwrap();
    artifacts.put_bytes(&path("그림/혼동 행렬 50%.png"), b"png").unwrap();
    artifacts.put_bytes(&path("report.json"), b"{\"a\":1}").unwrap();
    let file = |path: &str, size| FileInfo { path: path.into(), is_dir: false, file_size: Some(size) };
    let folder = FileInfo { path: "그림".into(), is_dir: true, file_size: None };
    assert_eq!(artifacts.list(None).unwrap(), [file("report.json", 7), folder]);
    assert_eq!(artifacts.list(Some(&path("그림"))).unwrap(), [file("그림/혼동 행렬 50%.png", 3)]);
    assert_eq!(artifacts.list(Some(&path("none"))).unwrap(), []);
    let mut text = String::new();
    artifacts.open_file(&path("report.json")).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "{\"a\":1}");
    assert!(artifacts.open_file(&path("none")).unwrap().is_none());
    let here = tempfile::tempdir().unwrap();
    artifacts.get_file(&path("report.json"), &here.path().join("copy.json")).unwrap();
    assert_eq!(fs::read(here.path().join("copy.json")).unwrap(), b"{\"a\":1}");
}

fn end(store: &dyn RunStore, experiment_id: &str, run_id: &str) {
    let found = |view: ViewType| -> Vec<String> {
        let query = RunQuery {
            experiment_ids: vec![experiment_id.into(), "0".into()],
            filter: RunFilter::parse("metrics.`val/accuracy` >= 2500 and status = 'FINISHED'").unwrap(),
            order_by: vec![RunOrder::parse("metrics.loss").unwrap()],
            view,
            ..RunQuery::default()
        };
        store.search_runs(&query).unwrap().items.into_iter().map(|run| run.info.run_id).collect()
    };
    assert_eq!(found(ViewType::ActiveOnly), [run_id]);

    let info = store.update_run(run_id, &RunUpdate { run_name: Some("best".into()), ..RunUpdate::default() }).unwrap();
    assert_eq!((info.run_name.as_str(), info.status), ("best", RunStatus::Finished));
    assert_eq!(store.run(run_id).unwrap().unwrap().data.tag(RUN_NAME_TAG), Some("best"));
    store.set_tag(run_id, &RunTag::new(RUN_NAME_TAG, "bester")).unwrap();
    assert_eq!(store.run(run_id).unwrap().unwrap().info.run_name, "bester");
    store.delete_tag(run_id, "host").unwrap();
    assert_eq!(store.run(run_id).unwrap().unwrap().data.tag("host"), None);

    store.delete_run(run_id).unwrap();
    assert_eq!(store.run(run_id).unwrap().unwrap().info.lifecycle_stage, LifecycleStage::Deleted);
    assert_eq!((found(ViewType::ActiveOnly).len(), found(ViewType::DeletedOnly).len(), found(ViewType::All).len()), (0, 1, 1));
    assert_refused(
        store.log_batch(run_id, &Batch::default()),
        ErrorCode::InvalidParameterValue,
        &format!("The run {run_id} must be in the 'active' state. Current state is deleted."),
    );
    store.restore_run(run_id).unwrap();
    assert_eq!(found(ViewType::ActiveOnly), [run_id]);

    store.delete_experiment(experiment_id).unwrap();
    assert_eq!(found(ViewType::DeletedOnly), [run_id]);
    assert_refused(
        store.create_run(&NewRun { experiment_id: experiment_id.into(), ..NewRun::default() }),
        ErrorCode::InvalidParameterValue,
        &format!("The experiment {experiment_id} must be in the 'active' state. Current state is deleted."),
    );
    assert_refused(
        store.delete_experiment(experiment_id),
        ErrorCode::ResourceDoesNotExist,
        &format!("No Experiment with id={experiment_id} exists"),
    );
    store.restore_experiment(experiment_id).unwrap();
    assert_eq!(found(ViewType::ActiveOnly), [run_id]);
}

fn dataset(name: &str, digest: &str, context: &str) -> DatasetInput {
    DatasetInput {
        tags: vec![InputTag { key: DATASET_CONTEXT_TAG.into(), value: context.into() }],
        dataset: Dataset {
            name: name.into(),
            digest: digest.into(),
            source_type: "local".into(),
            source: "data/cifar".into(),
            schema: None,
            profile: Some("{\"images\":45000}".into()),
        },
    }
}

fn metrics(points: &[Metric]) -> Batch {
    Batch { metrics: points.to_vec(), ..Batch::default() }
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T, TrackingError>, code: ErrorCode, message: &str) {
    match result {
        Err(TrackingError::Refused(error)) if CODES_ALONE.load(Ordering::Relaxed) => assert_eq!(error.code, code, "{message}"),
        Err(TrackingError::Refused(error)) => assert_eq!((error.code, error.message.as_str()), (code, message)),
        other => panic!("expected a refusal with {message:?}, got {other:?}"),
    }
}
