//! MLflow's own databases, copied in and back out: of both versions, in both databases, with whatever they hold.

#[path = "mlflow/database.rs"]
mod database;
#[path = "mlflow/odd.rs"]
mod odd;
mod postgres;

use std::path::Path;

use anmok_protocol::{LifecycleStage, LoggedModelStatus, Metric, ModelStage, RunStatus};
use anmok_tracking::{Copied, NewExperiment, NewModelVersion, NewRun, PageRequest, Store, StoreOptions, TrackingError, open_store};
use database::{MlflowDatabase, V2, V3};

fn ours(folder: &Path, name: &str) -> Box<dyn Store> {
    open_store(&format!("sqlite:///{}", folder.join(name).display()), &StoreOptions::default()).unwrap()
}

fn ours_in(uri: &str, folder: &Path) -> Box<dyn Store> {
    let options = StoreOptions { artifact_root: Some(folder.display().to_string()), ..StoreOptions::default() };
    open_store(uri, &options).unwrap()
}

fn import(store: &dyn Store, source: &MlflowDatabase) -> Copied {
    store.import_mlflow(&source.uri, &mut |_| {}).unwrap()
}

#[track_caller]
fn assert_whole(copied: &Copied) {
    assert_eq!((&copied.differences, &copied.problems), (&vec![], &vec![]));
}

#[test]
fn a_database_of_mlflow_3_is_imported_whole() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(30);
    let store = ours(folder.path(), "anmok.db");
    let copied = import(&*store, &source);
    assert_whole(&copied);
    assert_eq!(copied.revision, "dc11669786a5");
    assert_eq!(copied.not_copied, [("traces".to_string(), 1)]);
    for (table, rows) in
        [("experiments", 3), ("runs", 32), ("metrics", 30 * 10 + 6), ("latest_metrics", 33), ("model_versions", 2), ("inputs", 1)]
    {
        assert_eq!(copied.rows[table], rows, "{table}");
    }
    // Again: nothing changes.
    let again = import(&*store, &source);
    assert_eq!((again.rows, again.differences), (copied.rows, vec![]));
    as_it_was(&*store);
    logged_models_as_they_were(&*store);
    // What is made from now on does not collide.
    let id = store.create_experiment(&NewExperiment { name: "new".into(), ..NewExperiment::default() }).unwrap();
    assert_eq!(id, "8");
    store.create_run(&NewRun { experiment_id: id, ..NewRun::default() }).unwrap();
    assert_eq!(store.check().unwrap().iter().map(|check| check.problems).sum::<u64>(), 0);
}

#[test]
fn a_database_of_mlflow_2_is_imported_whole() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V2);
    source.fill(3);
    let store = ours(folder.path(), "anmok.db");
    let copied = import(&*store, &source);
    assert_whole(&copied);
    assert_eq!((copied.revision.as_str(), copied.rows["runs"]), ("0584bdc529eb", 5));
    as_it_was(&*store);
}

/// What [`MlflowDatabase::fill`] made, asked as clients ask it.
fn as_it_was(store: &dyn Store) {
    let vision = store.experiment("3").unwrap().unwrap();
    assert_eq!(
        (vision.name.as_str(), vision.creation_time, vision.last_update_time),
        ("비전 vision", 1_700_000_000_001, 1_700_000_000_002)
    );
    assert_eq!(vision.artifact_location, "s3://bucket/3");
    assert_eq!((vision.tags[0].key.as_str(), vision.tags[0].value.as_str()), ("mlflow.note.content", "a note"));
    assert_eq!(store.experiment("7").unwrap().unwrap().lifecycle_stage, LifecycleStage::Deleted);
    assert_eq!(store.experiment("0").unwrap().unwrap().creation_time, 1_700_000_000_000, "the default experiment is the source's");

    let run = store.run(database::RUN).unwrap().unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.user_id.as_str(), run.info.status), ("first run", "jiwoo", RunStatus::Failed));
    assert_eq!((run.info.start_time, run.info.end_time), (1_700_000_000_100, Some(1_700_000_000_200)));
    assert_eq!(run.info.artifact_uri, format!("s3://bucket/3/{}/artifacts", database::RUN));
    assert_eq!((run.data.param("lr"), run.data.tag("mlflow.runName"), run.data.tag("empty")), (Some("0.1"), Some("first run"), Some("")));
    assert_eq!(run.data.param("long").map(str::len), Some(6500), "longer than our limit for new ones, and not cut");
    assert!(run.data.metric("nan").unwrap().is_nan());
    assert_eq!((run.data.metric("loss"), run.data.metric("huge")), (Some(0.25), Some(f64::MAX)));
    let history = store.metric_history(database::RUN, "loss", &PageRequest::default()).unwrap().items;
    assert_eq!(history, [Metric::new("loss", 0.5, 1, 1), Metric::new("loss", 0.25, 2, 2), Metric::new("loss", -0.125, 3, -1)]);
    let input = &run.inputs.dataset_inputs[0];
    assert_eq!((input.dataset.name.as_str(), input.dataset.digest.as_str(), input.dataset.schema.as_deref()), ("cifar", "d1", Some("{}")));
    assert_eq!((input.dataset.profile.as_deref(), input.tags[0].value.as_str()), (None, "training"));
    assert_eq!(store.run(database::DELETED_RUN).unwrap().unwrap().info.lifecycle_stage, LifecycleStage::Deleted);

    let model = store.registered_model("iris").unwrap().unwrap();
    assert_eq!((model.description.as_deref(), model.creation_timestamp), (Some("flowers"), 1_700_000_001_000));
    assert_eq!((model.tags[0].key.as_str(), model.aliases[0].alias.as_str(), model.aliases[0].version), ("task", "champion", 2));
    let version = store.model_version("iris", 2).unwrap().unwrap();
    assert_eq!((version.current_stage, version.source.as_str()), (ModelStage::Production, "s3://bucket/model"));
    assert_eq!((version.run_id.as_deref(), version.tags[0].value.as_str()), (Some(database::RUN), "yes"));
    assert!(store.model_version("iris", 3).unwrap().is_none(), "it was deleted");
    let new = NewModelVersion { name: "iris".into(), source: "s3://bucket/next".into(), ..NewModelVersion::default() };
    assert_eq!(store.create_model_version(&new).unwrap().version, 4, "and its number is not given again");
    store.delete_model_version("iris", 4).unwrap();
}

fn logged_models_as_they_were(store: &dyn Store) {
    let model = store.logged_model("m-1", false).unwrap().unwrap();
    assert_eq!((model.info.name.as_str(), model.info.status), ("net", LoggedModelStatus::Ready));
    assert_eq!((model.info.source_run_id.as_deref(), model.info.model_type.as_deref()), (Some(database::RUN), None));
    assert_eq!((model.data.params[0].value.as_str(), model.info.tags[0].value.as_str()), ("8", "a"));
    let metric = &model.data.metrics[0];
    assert_eq!((metric.key.as_str(), metric.value, metric.step), ("accuracy", 0.75, 5));
    assert_eq!((metric.dataset_name.as_deref(), metric.run_id.as_deref()), (Some("cifar"), Some(database::RUN)));
    let run = store.run(database::RUN).unwrap().unwrap();
    assert_eq!((run.inputs.model_inputs[0].model_id.as_str(), run.outputs.model_outputs[0].model_id.as_str()), ("m-2", "m-1"));
    assert_eq!(run.outputs.model_outputs[0].step, 4);
}

/// Every way from one kind of database to another.
#[test]
fn postgresql_on_either_side() {
    let Some(server) = postgres::shared("mlflow::postgresql_on_either_side") else { return };
    let folder = tempfile::tempdir().unwrap();
    for version in [V2, V3] {
        let there = MlflowDatabase::postgresql(&server, version);
        there.fill(450);
        let here = MlflowDatabase::sqlite(&folder.path().join(version.name), version);
        here.fill(450);
        for source in [&there, &here] {
            let uri = server.database();
            let in_postgres = ours_in(&uri, folder.path());
            assert_whole(&import(&*in_postgres, source));
            as_it_was(&*in_postgres);
            let id = in_postgres.create_experiment(&NewExperiment { name: "new".into(), ..NewExperiment::default() }).unwrap();
            assert_eq!(id, "8");
            let back = MlflowDatabase::postgresql(&server, version);
            let exported = in_postgres.export_mlflow(&back.uri, &mut |_| {}).unwrap();
            assert_whole(&exported);
            assert_eq!(exported.rows["metrics"], 4506);
        }
        let in_sqlite = ours(folder.path(), &format!("from-postgres-{}.db", version.name));
        assert_whole(&import(&*in_sqlite, &there));
        as_it_was(&*in_sqlite);
    }
}

/// Out again, and the same rows are in MLflow's tables.
#[test]
fn what_was_imported_is_exported_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for version in [V2, V3] {
        let folder = folder.path().join(version.name);
        let source = MlflowDatabase::sqlite(&folder, version);
        source.fill(250);
        let store = ours(&folder, "anmok.db");
        import(&*store, &source);
        let target = MlflowDatabase::sqlite(&folder.join("back"), version);
        let exported = store.export_mlflow(&target.uri, &mut |_| {}).unwrap();
        assert_whole(&exported);
        assert!(exported.rows["runs"] == 252 && exported.not_copied.is_empty(), "{exported:?}");
        assert_eq!(target.dump(), source.dump());
        // And in again.
        let second = ours(&folder, "second.db");
        assert_whole(&import(&*second, &target));
        as_it_was(&*second);

        let error = store.export_mlflow(&target.uri, &mut |_| {}).unwrap_err();
        assert!(matches!(error, TrackingError::CopyConflict { .. }) && error.to_string().contains("252 runs"), "{error}");
    }
}

/// An older MLflow has no place for logged models.
#[test]
fn what_the_target_has_no_place_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(1);
    let store = ours(folder.path(), "anmok.db");
    import(&*store, &source);
    let target = MlflowDatabase::sqlite(&folder.path().join("old"), V2);
    let exported = store.export_mlflow(&target.uri, &mut |_| {}).unwrap();
    assert_eq!(exported.not_copied, [("logged models".to_string(), 2), ("logged models that runs made".to_string(), 1)]);
    assert_eq!(exported.differences, Vec::<String>::new());
}

#[test]
fn values_that_do_not_fit_stop_an_export_and_leave_the_target_as_it_was() {
    let Some(server) = postgres::shared("mlflow::values_that_do_not_fit_stop_an_export_and_leave_the_target_as_it_was") else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = ours(folder.path(), "anmok.db");
    store.create_registered_model(&anmok_tracking::NewRegisteredModel { name: "m".into(), ..Default::default() }).unwrap();
    let source = format!("s3://{}", "x".repeat(600));
    store.create_model_version(&NewModelVersion { name: "m".into(), source, ..NewModelVersion::default() }).unwrap();
    let target = MlflowDatabase::postgresql(&server, V3);
    let error = store.export_mlflow(&target.uri, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("source of model_versions (name \"m\", version \"1\"") && error.contains("at most 500 characters"), "{error}");
    assert_eq!(server.sql(&target.uri, "SELECT count(*) FROM registered_models"), "0");
}

#[test]
fn what_is_no_database_of_mlflows_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = ours(folder.path(), "anmok.db");
    let refused = |uri: &str| store.import_mlflow(uri, &mut |_| {}).unwrap_err().to_string();
    let at = |name: &str| format!("sqlite:///{}", folder.path().join(name).display());
    std::fs::write(folder.path().join("text.db"), "no database at all, but a text that is long enough to be looked at").unwrap();
    drop(ours(folder.path(), "other.db"));
    let unknown = MlflowDatabase::sqlite(&folder.path().join("unknown"), V3);
    unknown.sql("UPDATE alembic_version SET version_num = 'ffffffffffff'");
    let two = MlflowDatabase::sqlite(&folder.path().join("two"), V3);
    two.sql("INSERT INTO alembic_version VALUES ('0584bdc529eb')");
    let half = MlflowDatabase::sqlite(&folder.path().join("half"), V3);
    half.sql("DROP TABLE params");
    rusqlite::Connection::open(folder.path().join("shop.db")).unwrap().execute_batch("CREATE TABLE customers (x)").unwrap();
    for (uri, words) in [
        (at("none.db"), "there is no such file"),
        (at("text.db"), "is not an SQLite database"),
        (at("other.db"), "it is Anmok's own"),
        (at("shop.db"), "it lacks the tables alembic_version"),
        (unknown.uri.clone(), "the revision \"ffffffffffff\", which is none of those of MLflow 2.22 to 3.17"),
        (two.uri.clone(), "holds 2 revisions"),
        (half.uri.clone(), "it lacks the table params"),
        ("http://127.0.0.1:5000".into(), "a server's database itself is needed"),
        ("./mlruns".into(), "bare path"),
    ] {
        let error = refused(&uri);
        assert!(error.contains(words), "{uri}: {error}");
    }
    assert_eq!(store.search_experiments(&Default::default()).unwrap().items.len(), 1, "nothing was imported");
}

#[test]
fn what_is_here_under_the_same_name_or_id_is_never_mixed_up() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(1);
    let refused = |store: &dyn Store, words: &[&str]| {
        let error = store.import_mlflow(&source.uri, &mut |_| {}).unwrap_err();
        assert!(matches!(error, TrackingError::CopyConflict { .. }), "{error:?}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "{error}"));
        assert!(store.run(database::RUN).unwrap().is_none(), "nothing was imported");
    };
    let store = ours(folder.path(), "name.db");
    store.create_experiment(&NewExperiment { name: "비전 vision".into(), ..NewExperiment::default() }).unwrap();
    refused(&*store, &["experiment 1 \"비전 vision\" (there: experiment 3", "choose a new database"]);
    let store = ours(folder.path(), "id.db");
    for number in 1..=3 {
        store.create_experiment(&NewExperiment { name: format!("e{number}"), ..NewExperiment::default() }).unwrap();
    }
    refused(&*store, &["experiment 3 \"e3\""]);
    let store = ours(folder.path(), "default.db");
    store.create_run(&NewRun::default()).unwrap();
    refused(&*store, &["experiment 0 \"Default\""]);
    let store = ours(folder.path(), "model.db");
    store.create_registered_model(&anmok_tracking::NewRegisteredModel { name: "iris".into(), ..Default::default() }).unwrap();
    refused(&*store, &["registered model \"iris\""]);
    // Others are in nobody's way.
    let store = ours(folder.path(), "beside.db");
    for number in 1..=10 {
        store.create_experiment(&NewExperiment { name: format!("e{number}"), ..NewExperiment::default() }).unwrap();
    }
    let mine = store.create_run(&NewRun { experiment_id: "10".into(), ..NewRun::default() }).unwrap().info.run_id;
    for id in ["3", "7"] {
        store.delete_experiment(id).unwrap();
        let only = anmok_tracking::CollectIds { experiment_ids: vec![id.into()], ..Default::default() };
        store.collect(&anmok_tracking::CollectRequest { only: Some(only), ..Default::default() }, &mut |_| {}).unwrap();
    }
    assert_whole(&import(&*store, &source));
    assert!(store.run(&mine).unwrap().is_some());
}

/// As it stands after kill -9 at some moment: some rows are there, and some are not.
#[test]
fn an_interrupted_import_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(300);
    let whole = ours(folder.path(), "whole.db");
    let expected = import(&*whole, &source);
    let cut = |sql: &str| {
        let name = format!("cut-{}.db", sql.len());
        let path = folder.path().join(&name);
        let store = ours(folder.path(), &name);
        import(&*store, &source);
        drop(store);
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let store = ours(folder.path(), &name);
        let again = import(&*store, &source);
        assert_whole(&again);
        assert_eq!(again.rows, expected.rows, "{sql}");
        assert_eq!(dump(&path), dump(&folder.path().join("whole.db")), "{sql}");
    };
    cut("DELETE FROM anmok_metrics WHERE run > 7 AND step > 3; DELETE FROM anmok_latest_metrics WHERE run > 7");
    cut("DELETE FROM anmok_model_versions; DELETE FROM anmok_logged_model_metrics");
    cut("DELETE FROM anmok_runs WHERE run > 200; DELETE FROM anmok_params WHERE run > 200; DELETE FROM anmok_tags WHERE run > 200;
         DELETE FROM anmok_metrics WHERE run > 200; DELETE FROM anmok_latest_metrics WHERE run > 200; DELETE FROM anmok_inputs WHERE run > 200;
         DELETE FROM anmok_input_tags; DELETE FROM anmok_model_outputs WHERE run > 200; DELETE FROM anmok_model_inputs WHERE run > 200;
         DELETE FROM anmok_logged_models; DELETE FROM anmok_logged_model_tags; DELETE FROM anmok_logged_model_params;
         DELETE FROM anmok_logged_model_metrics; DELETE FROM anmok_registered_models; DELETE FROM anmok_registered_model_tags;
         DELETE FROM anmok_registered_model_aliases; DELETE FROM anmok_model_versions; DELETE FROM anmok_model_version_tags");
}

/// Our rows under names that do not depend on the order in which they came.
fn dump(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut lines = vec![];
    for sql in [
        "SELECT r.run_id || k.name || m.timestamp || m.step || m.value || m.is_nan FROM anmok_metrics m JOIN anmok_runs r USING (run) JOIN anmok_keys k USING (key)",
        "SELECT r.run_id || k.name || p.value FROM anmok_params p JOIN anmok_runs r USING (run) JOIN anmok_keys k USING (key)",
        "SELECT m.name || v.version || v.source FROM anmok_model_versions v JOIN anmok_registered_models m USING (registered_model)",
        "SELECT l.model_id || k.name || m.value FROM anmok_logged_model_metrics m JOIN anmok_logged_models l USING (model) JOIN anmok_keys k USING (key)",
    ] {
        let mut statement = connection.prepare(sql).unwrap();
        lines.extend(statement.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
    }
    lines.sort();
    lines
}

/// What was changed here after an import is told, not overwritten.
#[test]
fn a_difference_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = MlflowDatabase::sqlite(folder.path(), V3);
    source.fill(1);
    let store = ours(folder.path(), "anmok.db");
    import(&*store, &source);
    store.delete_tag(&format!("{:032x}", 0), "team").unwrap();
    let again = import(&*store, &source);
    // The tag came back, as after an interruption.
    assert_eq!(again.differences, Vec::<String>::new());
    store.set_tag(&format!("{:032x}", 0), &anmok_protocol::RunTag::new("team", "mine")).unwrap();
    let again = import(&*store, &source);
    assert_eq!(
        again.differences,
        ["tags: the same number of rows (5), but not the same rows", &format!("run {:032x} is not the same on both sides", 0)]
    );
    assert_eq!(store.run(&format!("{:032x}", 0)).unwrap().unwrap().data.tag("team"), Some("mine"));
    // A run that went on there goes on here.
    source.sql(&format!(
        "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES ('{RUN}', 'loss', 0.1, 4, 20, false);
         UPDATE latest_metrics SET value = 0.1, timestamp = 4, step = 20 WHERE run_uuid = '{RUN}' AND key = 'loss'",
        RUN = database::RUN
    ));
    assert_eq!(import(&*store, &source).differences, again.differences);
    assert_eq!(store.run(database::RUN).unwrap().unwrap().data.metric("loss"), Some(0.1));
    assert_eq!(store.check().unwrap().iter().map(|check| check.problems).sum::<u64>(), 0);
}
