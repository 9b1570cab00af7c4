//! What a server asks of a store beyond recording runs, told once for any database: the care of experiments, samples of
//! histories, logged models and the registry.

mod postgres;

use anmok_protocol::search::{
    Comparison, ExperimentClause, ExperimentOrderField, ExperimentTime, IdTest, LoggedModelClause, LoggedModelOrderField, LoggedModelText,
    ModelVersionClause, ModelVersionOrderField, ModelVersionText, Order, RegisteredModelClause, RegisteredModelOrderField, TextTest,
};
use anmok_protocol::{
    Batch, DATASET_CONTEXT_TAG, Dataset, DatasetInput, ErrorCode, ExperimentFilter, ExperimentTag, IS_PROMPT_TAG, InputTag, LifecycleStage,
    LoggedModelFilter, LoggedModelParameter, LoggedModelStatus, LoggedModelTag, Metric, ModelInput, ModelOutput, ModelStage, ModelVersion,
    ModelVersionFilter, ModelVersionTag, Param, RegisteredModelFilter, RegisteredModelTag, RunInputs, ViewType,
};
use anmok_tracking::{
    ExperimentQuery, LoggedModelDataset, LoggedModelQuery, ModelVersionQuery, NewExperiment, NewLoggedModel, NewModelVersion,
    NewRegisteredModel, NewRun, PageRequest, RegisteredModelQuery, SampledHistoryQuery, Store, StoreOptions, TrackingError, open_store,
};

fn options() -> StoreOptions {
    StoreOptions { artifact_root: Some("mlflow-artifacts:/".into()), ..StoreOptions::default() }
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("sqlite:///{}", folder.path().join("anmok.db").display());
    let store = open_store(&uri, &options()).unwrap();
    story(&*store);
}

#[test]
fn postgresql() {
    let Some(server) = postgres::shared("server_story::postgresql") else { return };
    let store = open_store(&server.database(), &options()).unwrap();
    story(&*store);
}

fn story(store: &dyn Store) {
    care_of_experiments(store);
    search_for_experiments(store);
    samples(store);
    one_by_one(store);
    datasets_and_models_of_runs(store);
    logged_models(store);
    search_for_logged_models(store);
    registered_models(store);
    model_versions(store);
    registry_searches(store);
}

fn refused<T: std::fmt::Debug>(result: Result<T, TrackingError>, code: ErrorCode, words: &str) {
    match result {
        Err(TrackingError::Refused(error)) => {
            assert_eq!(error.code, code, "{error}");
            assert!(error.message.contains(words), "{error} lacks {words:?}");
        }
        other => panic!("expected a refusal with {words:?}, got {other:?}"),
    }
}

fn new_experiment(store: &dyn Store, name: &str) -> String {
    store.create_experiment(&NewExperiment { name: name.into(), ..NewExperiment::default() }).unwrap()
}

fn new_run(store: &dyn Store, experiment_id: &str) -> String {
    store.create_run(&NewRun { experiment_id: experiment_id.into(), ..NewRun::default() }).unwrap().info.run_id
}

fn care_of_experiments(store: &dyn Store) {
    let (id, other) = (new_experiment(store, "old name"), new_experiment(store, "other name"));
    store.rename_experiment(&id, "new name").unwrap();
    let renamed = store.experiment(&id).unwrap().unwrap();
    assert_eq!(renamed.name, "new name");
    assert!(renamed.last_update_time >= renamed.creation_time);
    refused(store.rename_experiment(&id, "other name"), ErrorCode::ResourceAlreadyExists, "Experiment(name=other name) already exists.");
    assert_eq!(store.experiment(&id).unwrap().unwrap().name, "new name", "the refusal left no trace");
    refused(store.rename_experiment("999", "x"), ErrorCode::ResourceDoesNotExist, "No Experiment with id=999 exists");

    store.set_experiment_tag(&id, "team", "A").unwrap();
    store.set_experiment_tag(&id, "team", "B").unwrap();
    store.set_experiment_tag(&id, "note", "").unwrap();
    let tag = |key: &str, value: &str| ExperimentTag { key: key.into(), value: value.into() };
    assert_eq!(store.experiment(&id).unwrap().unwrap().tags, [tag("note", ""), tag("team", "B")]);
    store.delete_experiment_tag(&id, "note").unwrap();
    assert_eq!(store.experiment(&id).unwrap().unwrap().tags, [tag("team", "B")]);
    let words = format!("No tag with name: note in experiment with id {id}");
    refused(store.delete_experiment_tag(&id, "note"), ErrorCode::ResourceDoesNotExist, &words);

    store.delete_experiment(&other).unwrap();
    refused(store.rename_experiment(&other, "x"), ErrorCode::InvalidState, "Cannot rename a non-active experiment.");
    let words = format!("The experiment {other} must be in the 'active' state. Current state is deleted.");
    refused(store.set_experiment_tag(&other, "a", "b"), ErrorCode::InvalidParameterValue, &words);
    refused(store.create_logged_model(&model(&other, "m")), ErrorCode::InvalidParameterValue, &words);
}

fn search_for_experiments(store: &dyn Store) {
    let ids: Vec<String> = ["Vision A", "vision b", "Text"].iter().map(|name| new_experiment(store, name)).collect();
    for (id, team) in ids.iter().zip(["red", "blue", "red"]) {
        store.set_experiment_tag(id, "squad", team).unwrap();
    }
    let numbers: Vec<i64> = ids.iter().map(|id| id.parse().unwrap()).collect();
    let found = |clauses: Vec<ExperimentClause>, order_by: Vec<Order<ExperimentOrderField>>| -> Vec<String> {
        let filter = ExperimentFilter { clauses };
        let all = ExperimentQuery { filter, order_by, ..ExperimentQuery::default() };
        let page = store.search_experiments(&all).unwrap();
        assert_eq!(page.next_page_token, None);
        // The same one by one.
        let mut query = ExperimentQuery { max_results: 1, ..all };
        let mut walked = vec![];
        loop {
            let page = store.search_experiments(&query).unwrap();
            walked.extend(page.items);
            let Some(token) = page.next_page_token else { break };
            query.page_token = Some(token);
        }
        assert_eq!(walked, page.items);
        page.items.into_iter().map(|experiment| experiment.name).collect()
    };
    let name = |test| ExperimentClause::Name(test);
    let tag = |test| ExperimentClause::Tag { key: "squad".into(), test };
    let by = |field, ascending| Order { field, ascending };
    let by_name = || vec![by(ExperimentOrderField::Name, true)];
    assert_eq!(found(vec![name(TextTest::Like("vision%".into()))], by_name()), ["vision b"]);
    assert_eq!(found(vec![name(TextTest::ILike("VISION%".into()))], by_name()), ["Vision A", "vision b"]);
    assert_eq!(found(vec![tag(TextTest::Equal("red".into()))], vec![by(ExperimentOrderField::Name, false)]), ["Vision A", "Text"]);
    assert_eq!(found(vec![tag(TextTest::Present), name(TextTest::NotEqual("Text".into()))], by_name()), ["Vision A", "vision b"]);
    assert!(found(vec![tag(TextTest::Missing)], by_name()).contains(&"Default".to_string()));
    let id = |test| ExperimentClause::Id(test);
    assert_eq!(found(vec![id(IdTest::In(numbers[..2].to_vec()))], vec![by(ExperimentOrderField::Id, false)]), ["vision b", "Vision A"]);
    assert_eq!(found(vec![id(IdTest::NotIn(numbers[1..].to_vec())), tag(TextTest::Present)], vec![]), ["Vision A"]);
    assert_eq!(found(vec![id(IdTest::Equal(numbers[2]))], vec![]), ["Text"]);
    let time = |comparison, value| ExperimentClause::Time { field: ExperimentTime::Creation, comparison, value };
    assert_eq!(found(vec![tag(TextTest::Present), time(Comparison::Less, 1)], vec![]), Vec::<String>::new());
    let by_update = vec![by(ExperimentOrderField::Time(ExperimentTime::LastUpdate), true)];
    assert_eq!(found(vec![tag(TextTest::Present), time(Comparison::Greater, 1)], by_update).len(), 3);
}

/// The places that MLflow takes, said once more: NTILE deals `points` into `most` buckets and the first of each is taken,
/// but of the last the last.
fn taken(points: usize, most: usize) -> Vec<usize> {
    if points <= most {
        return (0..points).collect();
    }
    let mut starts = vec![];
    let mut start = 0;
    for bucket in 0..most {
        starts.push(start);
        start += points / most + usize::from(bucket < points % most);
    }
    assert_eq!(start, points);
    *starts.last_mut().unwrap() = points - 1;
    starts
}

fn samples(store: &dyn Store) {
    let experiment_id = new_experiment(store, "samples");
    let runs: Vec<String> = (0..4).map(|_| new_run(store, &experiment_id)).collect();
    let lengths = [0_usize, 7, 1003, 1003];
    // Some steps come twice. Steps and times run against each other, but for the last run, where they agree.
    let time = |run: usize, at: usize| if run == 3 { at as i64 } else { 10_000 - at as i64 };
    for (run, (run_id, length)) in runs.iter().zip(lengths).enumerate() {
        let metrics: Vec<Metric> =
            (0..length).map(|at| Metric::new("loss", at as f64, time(run, at), if at == 5 { 4 } else { at as i64 })).collect();
        for metrics in metrics.chunks(1000) {
            store.log_batch(run_id, &Batch { metrics: metrics.to_vec(), ..Batch::default() }).unwrap();
        }
    }
    let whole = |run: usize, steps: Option<(i64, i64)>| -> Vec<f64> {
        let step = |at: usize| if at == 5 { 4 } else { at as i64 };
        let mut points: Vec<usize> =
            (0..lengths[run]).filter(|at| steps.is_none_or(|(first, last)| (first..=last).contains(&step(*at)))).collect();
        points.sort_by_key(|at| (step(*at), time(run, *at)));
        points.into_iter().map(|at| at as f64).collect()
    };
    for steps in [None, Some((3, 50)), Some((2000, 3000)), Some((4, 4))] {
        for most in [1, 2, 3, 6, 7, 8, 10, 500, 1002, 1003, 2500] {
            let run_ids = [2, 0, 3, 1].map(|run: usize| runs[run].clone()).to_vec();
            let query = SampledHistoryQuery { run_ids, metric_key: "loss".into(), steps, max_results: most };
            let found: Vec<(String, f64)> =
                store.sampled_metric_history(&query).unwrap().into_iter().map(|point| (point.run_id, point.value)).collect();
            let mut expected = vec![];
            for run in [2, 0, 3, 1] {
                let all = whole(run, steps);
                expected.extend(taken(all.len(), most).into_iter().map(|at| (runs[run].clone(), all[at])));
            }
            assert_eq!(found, expected, "{most} of {steps:?}");
        }
    }
    let query = SampledHistoryQuery { run_ids: vec!["none".into()], metric_key: "loss".into(), steps: None, max_results: 5 };
    refused(store.sampled_metric_history(&query), ErrorCode::ResourceDoesNotExist, "Run with id=none not found");
    let query = SampledHistoryQuery { run_ids: runs, metric_key: "unknown".into(), steps: None, max_results: 5 };
    assert_eq!(store.sampled_metric_history(&query).unwrap(), []);
    // The whole history of an unknown run is empty, where a sample of it is refused: both as in MLflow.
    assert_eq!(store.metric_history("none", "loss", &PageRequest::default()).unwrap().items, []);
}

/// A point and a param by themselves are refused in other words than those of a batch.
fn one_by_one(store: &dyn Store) {
    let run_id = new_run(store, "0");
    store.log_metric(&run_id, &Metric::new("loss", 0.5, 1, 2)).unwrap();
    store.log_param(&run_id, &Param::new("lr", "it's 1")).unwrap();
    store.log_param(&run_id, &Param::new("lr", "it's 1")).unwrap();
    let invalid = ErrorCode::InvalidParameterValue;
    let changed = format!(
        "Changing param values is not allowed. Param with key='lr' was already logged with value='it's 1' for run ID='{run_id}'. \
         Attempted logging new value '2'."
    );
    refused(store.log_param(&run_id, &Param::new("lr", "2")), invalid, &changed);
    refused(store.log_param(&run_id, &Param::new("a//b", "2")), invalid, "Invalid value \"a//b\" for parameter 'key' supplied");
    refused(store.log_metric(&run_id, &Metric::new("a//b", 1.0, 1, 1)), invalid, "Invalid value \"a//b\" for parameter 'name' supplied");
    let data = store.run(&run_id).unwrap().unwrap().data;
    assert_eq!((data.metric("loss"), data.param("lr")), (Some(0.5), Some("it's 1")));
    for result in [store.log_metric("no/run", &Metric::new("a", 1.0, 1, 1)), store.log_param("no/run", &Param::new("a", "b"))] {
        refused(result, ErrorCode::ResourceDoesNotExist, "Run with id=no/run not found");
    }
}

fn dataset(name: &str, digest: &str, context: Option<&str>) -> DatasetInput {
    let tags = context.map(|context| InputTag { key: DATASET_CONTEXT_TAG.into(), value: context.into() }).into_iter().collect();
    let (name, digest) = (name.to_string(), digest.to_string());
    DatasetInput { tags, dataset: Dataset { name, digest, source_type: "local".into(), source: "x".into(), schema: None, profile: None } }
}

fn datasets_and_models_of_runs(store: &dyn Store) {
    let (one, two) = (new_experiment(store, "data one"), new_experiment(store, "data two"));
    let (run, second) = (new_run(store, &one), new_run(store, &one));
    let models = |ids: &[&str]| ids.iter().map(|id| ModelInput { model_id: (*id).into() }).collect::<Vec<_>>();
    let inputs = |datasets, ids: &[&str]| RunInputs::new(datasets, models(ids));
    store.log_inputs(&run, &inputs(vec![dataset("CIFAR10", "1", Some("train")), dataset("CIFAR10", "2", None)], &["m-2", "m-1"])).unwrap();
    store.log_inputs(&run, &inputs(vec![], &["m-1", "m-3"])).unwrap();
    store.log_inputs(&second, &inputs(vec![dataset("CIFAR10", "1", Some("train"))], &[])).unwrap();
    store.log_inputs(&new_run(store, &two), &inputs(vec![dataset("CIFAR10", "1", Some("test"))], &[])).unwrap();
    let output = |id: &str, step| ModelOutput { model_id: id.into(), step };
    store.log_outputs(&run, &[output("m-9", 3), output("m-8", 5)]).unwrap();
    store.log_outputs(&run, &[output("m-7", 0)]).unwrap();
    store.log_outputs(&run, &[]).unwrap();
    let found = store.run(&run).unwrap().unwrap();
    assert_eq!(found.inputs.model_inputs, models(&["m-2", "m-1", "m-3"]));
    assert_eq!(found.outputs.model_outputs, [output("m-9", 3), output("m-8", 5), output("m-7", 0)]);
    refused(store.log_outputs("none", &[output("m-1", 0)]), ErrorCode::ResourceDoesNotExist, "Run with id=none not found");

    let summaries = |ids: &[&String]| -> Vec<(String, String, Option<String>)> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        store.dataset_summaries(&ids).unwrap().into_iter().map(|summary| (summary.experiment_id, summary.digest, summary.context)).collect()
    };
    let summary = |id: &String, digest: &str, context: Option<&str>| (id.clone(), digest.to_string(), context.map(Into::into));
    assert_eq!(summaries(&[&one]), [summary(&one, "1", Some("train")), summary(&one, "2", None)]);
    assert_eq!(summaries(&[&two, &one]).len(), 3);
    assert_eq!(summaries(&[]), []);
    store.delete_experiment(&two).unwrap();
    assert_eq!(summaries(&[&two, &one]).len(), 2, "deleted experiments have none");
}

fn model(experiment_id: &str, name: &str) -> NewLoggedModel {
    NewLoggedModel { experiment_id: experiment_id.into(), name: Some(name.into()), ..NewLoggedModel::default() }
}

fn model_tag(key: &str, value: &str) -> LoggedModelTag {
    LoggedModelTag { key: key.into(), value: value.into() }
}

fn model_param(key: &str, value: &str) -> LoggedModelParameter {
    LoggedModelParameter { key: key.into(), value: value.into() }
}

fn logged_models(store: &dyn Store) {
    let experiment_id = new_experiment(store, "models");
    let run_id = new_run(store, &experiment_id);
    let new = NewLoggedModel {
        model_type: Some("Agent".into()),
        source_run_id: Some(run_id.clone()),
        params: vec![model_param("lr", "0.1")],
        tags: vec![model_tag("a", "1"), model_tag("a", "2")],
        ..model(&experiment_id, "net")
    };
    let made = store.create_logged_model(&new).unwrap();
    let id = made.info.model_id.clone();
    assert_eq!((id.len(), &id[..2], made.info.status), (34, "m-", LoggedModelStatus::Pending));
    assert_eq!(
        (made.info.name.as_str(), made.info.model_type.as_deref(), &made.info.source_run_id),
        ("net", Some("Agent"), &new.source_run_id)
    );
    assert_eq!(made.info.artifact_uri, format!("mlflow-artifacts:/{experiment_id}/models/{id}/artifacts"));
    assert_eq!((made.info.tags.clone(), made.data.params.clone()), (vec![model_tag("a", "2")], new.params.clone()));
    assert_eq!(store.logged_model(&id, false).unwrap(), Some(made.clone()));
    assert_eq!(store.logged_model("m-none", true).unwrap(), None);
    let unnamed = store.create_logged_model(&NewLoggedModel { name: None, ..model(&experiment_id, "") }).unwrap();
    assert_eq!(unnamed.info.name.split('-').count(), 3);
    refused(
        store.create_logged_model(&model(&experiment_id, "a/b")),
        ErrorCode::InvalidParameterValue,
        "Invalid model name ('a/b') provided.",
    );
    refused(store.create_logged_model(&model("999", "a")), ErrorCode::ResourceDoesNotExist, "No Experiment with id=999 exists");

    let ready = store.finalize_logged_model(&id, LoggedModelStatus::Ready).unwrap();
    assert_eq!(ready.info.status, LoggedModelStatus::Ready);
    let absent = "Logged model with ID 'm-none' not found.";
    refused(store.finalize_logged_model("m-none", LoggedModelStatus::Ready), ErrorCode::ResourceDoesNotExist, absent);

    store.set_logged_model_tags(&id, &[model_tag("b", "x"), model_tag("a", "3")]).unwrap();
    store.delete_logged_model_tag(&id, "b").unwrap();
    let words = format!("No tag with key 'b' found for model with ID '{id}'.");
    refused(store.delete_logged_model_tag(&id, "b"), ErrorCode::ResourceDoesNotExist, &words);
    store.log_logged_model_params(&id, &[model_param("lr", "0.1"), model_param("depth", "18")]).unwrap();
    let changed = [model_param("width", "1"), model_param("lr", "0.2")];
    refused(store.log_logged_model_params(&id, &changed), ErrorCode::InvalidParameterValue, "already logged with value='0.1'");
    refused(store.set_logged_model_tags("m-none", &[]), ErrorCode::ResourceDoesNotExist, absent);

    // A point of a model is the run's too; logging it again changes nothing.
    let mut point = Metric::new("acc", 0.5, 10, 1);
    point.model_id = Some(id.clone());
    point.dataset_name = Some("CIFAR10".into());
    point.dataset_digest = Some("1".into());
    let mut nan = Metric::new("loss", f64::NAN, 11, 2);
    nan.model_id = Some(id.clone());
    let batch = Batch { metrics: vec![point.clone(), nan, Metric::new("other", 1.0, 1, 1)], ..Batch::default() };
    store.log_batch(&run_id, &batch).unwrap();
    store.log_batch(&run_id, &batch).unwrap();
    let found = store.logged_model(&id, false).unwrap().unwrap();
    assert_eq!(
        (found.info.tags, found.data.params),
        (vec![model_tag("a", "3")], vec![model_param("depth", "18"), model_param("lr", "0.1")])
    );
    point.run_id = Some(run_id.clone());
    assert_eq!(found.data.metrics[0], point);
    assert_eq!((found.data.metrics.len(), found.data.metrics[1].value.is_nan()), (2, true));
    assert_eq!(store.metric_history(&run_id, "acc", &PageRequest::default()).unwrap().items.len(), 1);
    let mut lost = Metric::new("acc", 0.5, 10, 1);
    lost.model_id = Some("m-none".into());
    refused(store.log_batch(&run_id, &Batch { metrics: vec![lost], ..Batch::default() }), ErrorCode::ResourceDoesNotExist, absent);

    store.delete_logged_model(&id).unwrap();
    assert_eq!(store.logged_model(&id, false).unwrap(), None);
    assert_eq!(store.logged_model(&id, true).unwrap().unwrap().info.model_id, id);
    refused(store.delete_logged_model("m-none"), ErrorCode::ResourceDoesNotExist, absent);
}

fn search_for_logged_models(store: &dyn Store) {
    let (experiment_id, elsewhere) = (new_experiment(store, "many models"), new_experiment(store, "elsewhere"));
    let run_id = new_run(store, &experiment_id);
    // name, type, param, tag, points of (metric, value, timestamp, step, data set)
    type Point = (&'static str, f64, i64, i64, Option<(&'static str, &'static str)>);
    type Made = (&'static str, Option<&'static str>, &'static str, &'static str, &'static [Point]);
    let models: [Made; 4] = [
        ("a", Some("Agent"), "18", "x", &[("acc", 0.9, 1, 1, Some(("CIFAR10", "1"))), ("acc", 0.2, 2, 2, Some(("SVHN", "7")))]),
        ("b", None, "34", "y", &[("acc", 0.5, 1, 1, Some(("CIFAR10", "2")))]),
        ("c", Some("Classifier"), "50", "x", &[("acc", f64::NAN, 1, 1, None), ("loss", 3.0, 1, 1, None)]),
        ("d", None, "18", "z", &[]),
    ];
    for (name, model_type, depth, tag, points) in models {
        let new = NewLoggedModel {
            model_type: model_type.map(Into::into),
            params: vec![model_param("depth", depth)],
            tags: vec![model_tag("t", tag)],
            ..model(&experiment_id, name)
        };
        let id = store.create_logged_model(&new).unwrap().info.model_id;
        let metrics = points.iter().map(|(key, value, timestamp, step, dataset)| {
            let mut metric = Metric::new(*key, *value, *timestamp, *step);
            metric.model_id = Some(id.clone());
            metric.dataset_name = dataset.map(|(name, _)| name.into());
            metric.dataset_digest = dataset.map(|(_, digest)| digest.into());
            metric
        });
        store.log_batch(&run_id, &Batch { metrics: metrics.collect(), ..Batch::default() }).unwrap();
    }
    store.create_logged_model(&model(&elsewhere, "e")).unwrap();
    let gone = store.create_logged_model(&model(&experiment_id, "gone")).unwrap().info.model_id;
    store.delete_logged_model(&gone).unwrap();

    let by_name = Order { field: LoggedModelOrderField::Text(LoggedModelText::Name), ascending: true };
    let found = |clauses: Vec<LoggedModelClause>, datasets: &[(&str, Option<&str>)], order_by: &[Order<LoggedModelOrderField>]| -> String {
        let datasets: Vec<LoggedModelDataset> =
            datasets.iter().map(|(name, digest)| LoggedModelDataset { name: (*name).into(), digest: digest.map(Into::into) }).collect();
        let order_by = if order_by.is_empty() { vec![by_name.clone()] } else { order_by.to_vec() };
        let filter = LoggedModelFilter { clauses };
        let all =
            LoggedModelQuery { experiment_ids: vec![experiment_id.clone()], filter, datasets, order_by, ..LoggedModelQuery::default() };
        let names = |query: &LoggedModelQuery| {
            let page = store.search_logged_models(query).unwrap();
            (page.items.into_iter().map(|model| model.info.name).collect::<String>(), page.next_page_token)
        };
        let (together, token) = names(&all);
        assert_eq!(token, None);
        let mut query = LoggedModelQuery { max_results: 1, ..all };
        let mut walked = String::new();
        loop {
            let (name, token) = names(&query);
            walked += &name;
            let Some(token) = token else { break };
            query.page_token = Some(token);
        }
        assert_eq!(walked, together);
        together
    };
    assert_eq!(found(vec![], &[], &[]), "abcd");
    let acc = |comparison, value| LoggedModelClause::Metric { key: "acc".into(), comparison, value };
    assert_eq!(found(vec![acc(Comparison::Greater, 0.1)], &[], &[]), "ab");
    assert_eq!(found(vec![acc(Comparison::Greater, 0.8)], &[], &[]), "a", "any point counts");
    assert_eq!(found(vec![acc(Comparison::Greater, 0.3)], &[("SVHN", None)], &[]), "");
    assert_eq!(found(vec![acc(Comparison::Greater, 0.3)], &[("SVHN", None), ("CIFAR10", Some("2"))], &[]), "b");
    assert_eq!(found(vec![], &[("CIFAR10", None)], &[]), "ab");
    assert_eq!(found(vec![], &[("CIFAR10", Some("1"))], &[]), "a");
    let param = LoggedModelClause::Param { key: "depth".into(), test: TextTest::Equal("18".into()) };
    let tag = LoggedModelClause::Tag { key: "t".into(), test: TextTest::ILike("X".into()) };
    assert_eq!(found(vec![param.clone()], &[], &[]), "ad");
    assert_eq!(found(vec![param, tag.clone()], &[], &[]), "a");
    assert_eq!(found(vec![tag], &[], &[]), "ac");
    let text = |field, test| LoggedModelClause::Text { field, test };
    assert_eq!(found(vec![text(LoggedModelText::ModelType, TextTest::NotEqual("Agent".into()))], &[], &[]), "c", "none has no type");
    assert_eq!(found(vec![text(LoggedModelText::Status, TextTest::Equal("LOGGED_MODEL_PENDING".into()))], &[], &[]), "abcd");
    assert_eq!(found(vec![text(LoggedModelText::Name, TextTest::In(vec!["b".into(), "d".into()]))], &[], &[]), "bd");
    let by_acc = |dataset: Option<&str>, ascending| Order {
        field: LoggedModelOrderField::Metric { key: "acc".into(), dataset_name: dataset.map(Into::into), dataset_digest: None },
        ascending,
    };
    assert_eq!(found(vec![], &[], &[by_acc(None, true)]), "abcd", "the latest, then NaN, then none");
    assert_eq!(found(vec![], &[], &[by_acc(None, false)]), "bacd");
    assert_eq!(found(vec![], &[], &[by_acc(Some("CIFAR10"), false), by_name.clone()]), "abcd");
    let by_type = Order { field: LoggedModelOrderField::Text(LoggedModelText::ModelType), ascending: false };
    assert_eq!(found(vec![], &[], &[by_type, by_name.clone()]), "cabd");
    let none = LoggedModelQuery::default();
    assert_eq!(store.search_logged_models(&none).unwrap().items, []);
}

fn registered(store: &dyn Store, name: &str, tags: &[(&str, &str)]) {
    let tags = tags.iter().map(|(key, value)| RegisteredModelTag { key: (*key).into(), value: (*value).into() }).collect();
    store.create_registered_model(&NewRegisteredModel { name: name.into(), tags, ..NewRegisteredModel::default() }).unwrap();
}

fn version(name: &str, source: &str) -> NewModelVersion {
    NewModelVersion { name: name.into(), source: source.into(), ..NewModelVersion::default() }
}

fn registered_models(store: &dyn Store) {
    let tag = |key: &str, value: &str| RegisteredModelTag { key: key.into(), value: value.into() };
    let new = NewRegisteredModel {
        name: "net".into(),
        description: Some("vision".into()),
        tags: vec![tag("a", "1"), tag("a", "2")],
        creator: None,
    };
    let made = store.create_registered_model(&new).unwrap();
    assert_eq!((made.name.as_str(), made.description.as_deref(), made.tags.clone()), ("net", Some("vision"), vec![tag("a", "2")]));
    assert_eq!(store.registered_model("net").unwrap(), Some(made));
    assert_eq!(store.registered_model("none").unwrap(), None);
    let exists = ErrorCode::ResourceAlreadyExists;
    refused(store.create_registered_model(&new), exists, "Registered Model (name=net) already exists.");
    let prompt = NewRegisteredModel { tags: vec![tag(IS_PROMPT_TAG, "true")], ..new };
    refused(
        store.create_registered_model(&prompt),
        exists,
        "Tried to create a prompt with name 'net', but the name is already taken by a registered",
    );

    store.create_model_version(&version("net", "s3://b/1")).unwrap();
    store.set_registered_model_alias("net", "champion", 1).unwrap();
    registered(store, "taken", &[]);
    refused(store.rename_registered_model("net", "taken"), exists, "Registered Model (name=taken) already exists.");
    let renamed = store.rename_registered_model("net", "netz").unwrap();
    assert_eq!((renamed.name.as_str(), renamed.latest_versions[0].name.as_str(), renamed.aliases[0].version), ("netz", "netz", 1));
    assert_eq!(store.registered_model("net").unwrap(), None);
    assert_eq!(store.update_registered_model("netz", "new words").unwrap().description.as_deref(), Some("new words"));
    assert_eq!(store.update_registered_model("netz", "").unwrap().description, None);
    store.set_registered_model_tag("netz", &tag("b", "3")).unwrap();
    store.delete_registered_model_tag("netz", "a").unwrap();
    store.delete_registered_model_tag("netz", "a").unwrap();
    assert_eq!(store.registered_model("netz").unwrap().unwrap().tags, [tag("b", "3")]);
    let absent = "Registered Model with name=none not found";
    for result in [
        store.update_registered_model("none", "x").map(drop),
        store.rename_registered_model("none", "x").map(drop),
        store.delete_registered_model("none"),
        store.set_registered_model_tag("none", &tag("a", "b")),
        store.delete_registered_model_alias("none", "a"),
        store.create_model_version(&version("none", "x")).map(drop),
        store.latest_versions("none", &[]).map(drop),
    ] {
        refused(result, ErrorCode::ResourceDoesNotExist, absent);
    }
    store.delete_registered_model("netz").unwrap();
    assert_eq!(store.registered_model("netz").unwrap(), None);
    assert_eq!(store.model_version("netz", 1).unwrap(), None);
    // Nothing of the old one comes back with a new one of the same name.
    registered(store, "netz", &[]);
    let again = store.registered_model("netz").unwrap().unwrap();
    assert!(again.tags.is_empty() && again.aliases.is_empty() && again.latest_versions.is_empty());
    store.delete_registered_model("netz").unwrap();
    store.delete_registered_model("taken").unwrap();
}

fn model_versions(store: &dyn Store) {
    registered(store, "m", &[]);
    let new = NewModelVersion {
        storage_location: Some("s3://bucket/files".into()),
        run_id: Some("r1".into()),
        run_link: Some("http://run".into()),
        description: Some("first".into()),
        model_id: Some("m-1".into()),
        tags: vec![ModelVersionTag { key: "k".into(), value: "v".into() }],
        ..version("m", "models:/m-1")
    };
    let first = store.create_model_version(&new).unwrap();
    assert_eq!((first.version, first.current_stage, first.source.as_str()), (1, ModelStage::None, "models:/m-1"));
    assert_eq!(
        (&first.run_id, &first.run_link, &first.description, &first.model_id),
        (&new.run_id, &new.run_link, &new.description, &new.model_id)
    );
    assert_eq!(first.tags, new.tags);
    assert_eq!(store.model_version("m", 1).unwrap(), Some(first));
    assert_eq!(store.model_version_download_uri("m", 1).unwrap().as_deref(), Some("s3://bucket/files"));
    for number in 2..=4 {
        assert_eq!(store.create_model_version(&version("m", &format!("s3://b/{number}"))).unwrap().version, number);
    }
    assert_eq!(store.model_version_download_uri("m", 2).unwrap().as_deref(), Some("s3://b/2"));
    assert_eq!(store.model_version_download_uri("m", 9).unwrap(), None);

    let stage = |version, stage, archive| store.transition_model_version_stage("m", version, stage, archive);
    assert_eq!(stage(1, ModelStage::Production, false).unwrap().current_stage, ModelStage::Production);
    stage(2, ModelStage::Production, false).unwrap();
    stage(3, ModelStage::Production, true).unwrap();
    stage(4, ModelStage::Staging, false).unwrap();
    refused(stage(4, ModelStage::Archived, true), ErrorCode::InvalidParameterValue, "because 'Archived' is not an Active stage");
    let latest = |stages: &[ModelStage]| -> Vec<(i64, ModelStage)> {
        store.latest_versions("m", stages).unwrap().into_iter().map(|version| (version.version, version.current_stage)).collect()
    };
    assert_eq!(latest(&[]), [(4, ModelStage::Staging), (3, ModelStage::Production), (2, ModelStage::Archived)]);
    assert_eq!(latest(&[ModelStage::Production, ModelStage::None]), [(3, ModelStage::Production)]);

    store.set_registered_model_alias("m", "champion", 1).unwrap();
    store.set_registered_model_alias("m", "champion", 3).unwrap();
    store.set_registered_model_alias("m", "candidate", 3).unwrap();
    let by_alias = |alias: &str| store.model_version_by_alias("m", alias).unwrap();
    assert_eq!(
        by_alias("champion").map(|version| (version.version, version.aliases)),
        Some((3, vec!["candidate".into(), "champion".into()]))
    );
    let latest = |versions: Vec<ModelVersion>| versions.into_iter().map(|version| (version.version, version.aliases.len())).max();
    assert_eq!(latest(store.latest_versions("m", &[ModelStage::Production]).unwrap()), Some((3, 2)));
    // As in MLflow, lists leave them out.
    assert_eq!(latest(store.search_model_versions(&ModelVersionQuery::default()).unwrap().items), Some((4, 0)));
    assert_eq!(latest(store.registered_model("m").unwrap().unwrap().latest_versions), Some((4, 0)));
    assert_eq!(by_alias("Latest").map(|version| version.version), Some(4));
    assert_eq!(by_alias("none"), None);
    assert_eq!(store.model_version_by_alias("none", "latest").unwrap(), None);
    store.delete_registered_model_alias("m", "candidate").unwrap();
    store.delete_registered_model_alias("m", "candidate").unwrap();
    let absent = "Model Version (name=m, version=9) not found";
    for result in [
        store.set_registered_model_alias("m", "a", 9),
        store.update_model_version("m", 9, None).map(drop),
        store.delete_model_version("m", 9),
        stage(9, ModelStage::None, false).map(drop),
        store.set_model_version_tag("m", 9, &ModelVersionTag { key: "a".into(), value: "b".into() }),
        store.delete_model_version_tag("m", 9, "a"),
    ] {
        refused(result, ErrorCode::ResourceDoesNotExist, absent);
    }
    assert_eq!(store.update_model_version("m", 3, Some("third")).unwrap().description.as_deref(), Some("third"));
    assert_eq!(store.update_model_version("m", 3, None).unwrap().description, None);
    store.set_model_version_tag("m", 3, &ModelVersionTag { key: "a".into(), value: "b".into() }).unwrap();
    store.set_model_version_tag("m", 3, &ModelVersionTag { key: "a".into(), value: "c".into() }).unwrap();
    store.set_model_version_tag("m", 3, &ModelVersionTag { key: "gone".into(), value: "c".into() }).unwrap();
    store.delete_model_version_tag("m", 3, "gone").unwrap();
    assert_eq!(store.model_version("m", 3).unwrap().unwrap().tags, [ModelVersionTag { key: "a".into(), value: "c".into() }]);

    store.delete_model_version("m", 3).unwrap();
    store.delete_model_version("m", 4).unwrap();
    assert_eq!((by_alias("champion"), store.model_version("m", 4).unwrap()), (None, None));
    assert_eq!(store.create_model_version(&version("m", "x")).unwrap().version, 5, "numbers are not given again");
    store.delete_registered_model("m").unwrap();
}

fn registry_searches(store: &dyn Store) {
    registered(store, "alpha", &[("task", "vision")]);
    registered(store, "Beta", &[("task", "text")]);
    registered(store, "gamma", &[("task", "vision"), ("owner", "jiwoo")]);
    registered(store, "ask", &[(IS_PROMPT_TAG, "true")]);
    let tag = |key: &str, test| RegisteredModelClause::Tag { key: key.into(), test };
    let models = |clauses: Vec<RegisteredModelClause>, order_by: Vec<Order<RegisteredModelOrderField>>| -> Vec<String> {
        let all = RegisteredModelQuery { filter: RegisteredModelFilter { clauses }, order_by, ..RegisteredModelQuery::default() };
        let together = store.search_registered_models(&all).unwrap();
        let mut query = RegisteredModelQuery { max_results: 1, ..all };
        let mut walked = vec![];
        loop {
            let page = store.search_registered_models(&query).unwrap();
            walked.extend(page.items);
            let Some(token) = page.next_page_token else { break };
            query.page_token = Some(token);
        }
        assert_eq!(walked, together.items);
        walked.into_iter().map(|model| model.name).collect()
    };
    assert_eq!(models(vec![], vec![]), ["Beta", "alpha", "gamma"], "prompts are left out");
    assert_eq!(models(vec![tag(IS_PROMPT_TAG, TextTest::Equal("true".into()))], vec![]), ["ask"]);
    assert_eq!(models(vec![RegisteredModelClause::Name(TextTest::ILike("%A".into()))], vec![]), ["Beta", "alpha", "gamma"]);
    assert_eq!(models(vec![RegisteredModelClause::Name(TextTest::Like("%et%".into()))], vec![]), ["Beta"]);
    let vision = || tag("task", TextTest::Equal("vision".into()));
    let by_name = vec![Order { field: RegisteredModelOrderField::Name, ascending: false }];
    assert_eq!(models(vec![vision()], by_name), ["gamma", "alpha"]);
    assert_eq!(models(vec![vision(), tag("owner", TextTest::Like("ji%".into()))], vec![]), ["gamma"]);
    let by_time = vec![Order { field: RegisteredModelOrderField::LastUpdatedTimestamp, ascending: false }];
    std::thread::sleep(std::time::Duration::from_millis(3));
    store.update_registered_model("alpha", "moved").unwrap();
    assert_eq!(models(vec![], by_time)[0], "alpha");
    let too_many = RegisteredModelQuery { max_results: 1001, ..RegisteredModelQuery::default() };
    refused(store.search_registered_models(&too_many), ErrorCode::InvalidParameterValue, "It must be at most 1000, but got value 1001");

    for (name, run_id, source, tags) in [
        ("alpha", "r1", "s3://a/1", vec![("q", "1")]),
        ("alpha", "r2", "s3://a/2", vec![]),
        ("gamma", "r1", "s3://g/1", vec![("q", "2")]),
        ("ask", "", "prompt", vec![(IS_PROMPT_TAG, "true")]),
    ] {
        let tags = tags.iter().map(|(key, value)| ModelVersionTag { key: (*key).into(), value: (*value).into() }).collect();
        store.create_model_version(&NewModelVersion { run_id: Some(run_id.into()), tags, ..version(name, source) }).unwrap();
    }
    let versions = |clauses: Vec<ModelVersionClause>, order_by: Vec<Order<ModelVersionOrderField>>| -> Vec<String> {
        let all = ModelVersionQuery { filter: ModelVersionFilter { clauses }, order_by, ..ModelVersionQuery::default() };
        let together = store.search_model_versions(&all).unwrap();
        let mut query = ModelVersionQuery { max_results: 1, ..all };
        let mut walked: Vec<ModelVersion> = vec![];
        loop {
            let page = store.search_model_versions(&query).unwrap();
            walked.extend(page.items);
            let Some(token) = page.next_page_token else { break };
            query.page_token = Some(token);
        }
        assert_eq!(walked, together.items);
        walked.into_iter().map(|version| format!("{}/{}", version.name, version.version)).collect()
    };
    let by_name = || vec![Order { field: ModelVersionOrderField::Name, ascending: true }];
    let text = |field, test| ModelVersionClause::Text { field, test };
    assert_eq!(versions(vec![], by_name()), ["alpha/2", "alpha/1", "gamma/1"]);
    assert_eq!(versions(vec![], vec![]).len(), 3);
    assert_eq!(versions(vec![text(ModelVersionText::RunId, TextTest::Equal("r1".into()))], by_name()), ["alpha/1", "gamma/1"]);
    assert_eq!(versions(vec![text(ModelVersionText::Name, TextTest::In(vec!["gamma".into(), "x".into()]))], by_name()), ["gamma/1"]);
    assert_eq!(versions(vec![text(ModelVersionText::Source, TextTest::Like("s3://a%".into()))], by_name()), ["alpha/2", "alpha/1"]);
    let above = ModelVersionClause::Version { comparison: Comparison::Greater, value: 1 };
    assert_eq!(versions(vec![above], by_name()), ["alpha/2"]);
    let q = ModelVersionClause::Tag { key: "q".into(), test: TextTest::NotEqual("1".into()) };
    assert_eq!(versions(vec![q], by_name()), ["gamma/1"]);
    let prompts = ModelVersionClause::Tag { key: IS_PROMPT_TAG.into(), test: TextTest::Equal("true".into()) };
    assert_eq!(versions(vec![prompts], by_name()), ["ask/1"]);
    let by_version = vec![Order { field: ModelVersionOrderField::Version, ascending: false }];
    assert_eq!(versions(vec![], by_version), ["alpha/2", "alpha/1", "gamma/1"]);
    assert_eq!(
        store.search_experiments(&ExperimentQuery { view: ViewType::DeletedOnly, ..ExperimentQuery::default() }).unwrap().items.len(),
        2
    );
    assert_eq!(store.experiment("0").unwrap().unwrap().lifecycle_stage, LifecycleStage::Active);
}

/// Versions made by two servers at once get different numbers, without a gap.
#[test]
fn versions_are_numbered_between_servers() {
    let Some(server) = postgres::shared("server_story::versions_are_numbered_between_servers") else { return };
    let uri = server.database();
    let stores = [open_store(&uri, &options()).unwrap(), open_store(&uri, &options()).unwrap()];
    registered(&*stores[0], "m", &[]);
    let mut numbers: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let store = &stores[thread % 2];
                scope.spawn(move || {
                    (0..10)
                        .map(|number| store.create_model_version(&version("m", &format!("s3://{thread}/{number}"))).unwrap().version)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
}
