//! The SQLite file itself: whose it is, who else uses it, and what happens when it cannot be used.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anmok_protocol::{ArtifactPath, Batch, Dataset, DatasetInput, Metric, Param, RunStatus, RunTag};
use anmok_tracking::{Durability, LogOptions, NewExperiment, NewRun, PageRequest, RunStore, RunWriter, StoreOptions, TrackingError, open};
use rusqlite::Connection;

#[test]
fn other_programs_databases_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.db");
    let check = |make: &dyn Fn(&Path), words: &[&str]| {
        fs::remove_file(&path).ok();
        make(&path);
        let before = fs::read(&path).unwrap();
        let error = try_open(&path, &StoreOptions::default()).err().expect("it is refused").to_string();
        for words in words {
            assert!(error.contains(words), "{error:?} lacks {words:?}");
        }
        assert!(error.contains("foreign.db"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before, "the file was changed");
    };
    let with = |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    check(
        &with(
            "CREATE TABLE alembic_version (version_num TEXT); CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY); CREATE TABLE runs (run_uuid TEXT);",
        ),
        &["MLflow", "anmok db import"],
    );
    check(&with("CREATE TABLE customers (id INTEGER)"), &["another program's database", "customers"]);
    check(&with("CREATE TABLE alembic_version (x); CREATE TABLE blogs (x)"), &["another program's database", "alembic_version, blogs"]);
    check(&with("PRAGMA application_id = 77"), &["another program's database"]);
    check(&with("PRAGMA application_id = 0x416e6d6b; PRAGMA user_version = 999"), &["newer anmok", "999"]);
    check(&|path| fs::write(path, "not a database, but long enough to be one").unwrap(), &["is not an SQLite database"]);
    check(&|path| fs::write(path, [0; 5000]).unwrap(), &["is not an SQLite database"]);
}

#[test]
fn a_damaged_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anmok.db");
    let store = new_store(&path);
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let points = (0..1000).map(|step| Metric::new("loss", 1.0, step, step)).collect();
    store.log_batch(&run_id, &Batch { metrics: points, ..Batch::default() }).unwrap();
    drop(store);
    // The last connection has merged the log into the file; now its middle is lost.
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4096..length - 4096].fill(0xaa);
    fs::write(&path, &bytes).unwrap();
    let error = try_open(&path, &StoreOptions::default())
        .and_then(|store| store.metric_history(&run_id, "loss", &PageRequest::default()))
        .expect_err("it is damaged");
    assert!(matches!(error, TrackingError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("anmok.db is damaged"), "{error}");

    // An empty file is a new database.
    fs::write(&path, "").unwrap();
    assert!(new_store(&path).experiment("0").unwrap().is_some());
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| try_open(path, &StoreOptions::default()).err().expect("it is refused").to_string();
    assert!(refused(&folder.path().join("none/anmok.db")).contains("none does not exist; make it with `mkdir -p`"));
    assert!(refused(folder.path()).contains("it is a folder; name a file in it"));
    // Places where nobody can make a file, not even root.
    let place = if cfg!(target_os = "macos") { "/System/anmok.db" } else { "/proc/anmok.db" };
    let error = refused(Path::new(place));
    assert!(error.contains(place) && error.contains("cannot be opened for writing; give write permission"), "{error}");
}

#[test]
fn a_lock_is_waited_for_and_then_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anmok.db");
    let options = StoreOptions { busy_timeout: Duration::from_millis(300), ..StoreOptions::default() };
    let store = try_open(&path, &options).unwrap();
    let run = store.create_run(&NewRun::default()).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let start = Instant::now();
    let error = store.set_tag(&run.info.run_id, &RunTag::new("a", "b")).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(290));
    assert!(matches!(error, TrackingError::Locked { .. }), "{error:?}");
    assert!(error.to_string().starts_with("setting a tag: "), "{error}");
    assert!(
        error.to_string().ends_with("is locked by another program, for longer than 0.3 s; end that program or wait for it, then try again")
    );
    // Readers never wait.
    assert_eq!(store.run(&run.info.run_id).unwrap().as_ref(), Some(&run));

    other.execute_batch("COMMIT").unwrap();
    store.set_tag(&run.info.run_id, &RunTag::new("a", "b")).unwrap();
}

/// Guards against judging a half-seen database too: one process saw no application id, then the tables of another.
#[test]
fn a_new_database_can_be_opened_by_many_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anmok.db");
        std::thread::scope(|scope| {
            for number in 0..6 {
                let path = &path;
                scope.spawn(move || {
                    let store = new_store(path);
                    store.create_experiment(&NewExperiment { name: format!("e{number}"), ..NewExperiment::default() }).unwrap();
                });
            }
        });
        assert_eq!(new_store(&path).search_experiments(&Default::default()).unwrap().items.len(), 7);
    }
}

#[test]
fn many_threads_commit_together_and_each_hears_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn RunStore> = Arc::from(new_store(&folder.path().join("anmok.db")));
    let run_ids: Vec<String> = (0..4).map(|_| store.create_run(&NewRun::default()).unwrap().info.run_id).collect();
    std::thread::scope(|scope| {
        for thread in 0..16_i64 {
            let (store, run_ids) = (&store, &run_ids);
            scope.spawn(move || {
                for number in 0..50_i64 {
                    let run_id = &run_ids[(thread % 4) as usize];
                    // The first to set the shared param wins; everyone else is refused, wholly.
                    let mut batch = Batch { metrics: vec![Metric::new("m", 0.0, thread, number)], ..Batch::default() };
                    store.log_batch(run_id, &batch).unwrap();
                    batch.metrics[0] = Metric::new("refused", 0.0, 1, 1);
                    batch.params = vec![Param::new("owner", thread.to_string()), Param::new(format!("new key {thread} {number}"), "x")];
                    if number > 0 {
                        batch.params[0].value = "nobody".into();
                        store.log_batch(run_id, &batch).unwrap_err();
                    } else {
                        batch.metrics.clear();
                        batch.params.pop();
                        store.log_batch(run_id, &batch).ok();
                    }
                }
            });
        }
    });
    for run_id in &run_ids {
        let data = store.run(run_id).unwrap().unwrap().data;
        assert_eq!(store.metric_history(run_id, "m", &PageRequest::default()).unwrap().items.len(), 4 * 50);
        assert_eq!((data.metrics.len(), data.params.len()), (1, 1), "{data:?}");
    }
}

/// A project can be moved or copied: the artifacts are found beside the database.
#[test]
fn a_moved_project_finds_its_artifacts() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old place"), folder.path().join("새 곳"));
    fs::create_dir(&old).unwrap();
    let path = ArtifactPath::parse("model.pth").unwrap();
    let store = new_store(&old.join("anmok.db"));
    let info = store.create_run(&NewRun::default()).unwrap().info;
    assert!(
        info.artifact_uri.starts_with("file:///") && info.artifact_uri.contains("/old%20place/anmok-artifacts/0/"),
        "{}",
        info.artifact_uri
    );
    store.artifacts(&info.artifact_uri).unwrap().put_bytes(&path, b"weights").unwrap();
    drop(store);
    assert!(old.join("anmok-artifacts/0").join(&info.run_id).join("artifacts/model.pth").is_file());

    fs::rename(&old, &new).unwrap();
    let store = new_store(&new.join("anmok.db"));
    let moved = store.run(&info.run_id).unwrap().unwrap().info.artifact_uri;
    let artifacts = store.artifacts(&moved).unwrap();
    assert!(artifacts.open_file(&path).unwrap().is_some());
    assert_eq!(artifacts.local_path(&path).unwrap(), new.join("anmok-artifacts/0").join(&info.run_id).join("artifacts/model.pth"));
}

#[test]
fn artifacts_go_where_they_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(folder.path().join("db")).unwrap();
    let options = StoreOptions { artifact_root: Some(elsewhere.display().to_string()), ..StoreOptions::default() };
    let store = try_open(&folder.path().join("db/anmok.db"), &options).unwrap();
    let location = |name: &str, artifact_location: Option<&str>| {
        let new = NewExperiment { name: name.into(), artifact_location: artifact_location.map(Into::into), tags: vec![], creator: None };
        let id = store.create_experiment(&new).unwrap();
        store.experiment(&id).unwrap().unwrap().artifact_location
    };
    assert_eq!(location("a", None), format!("file://{}/1", elsewhere.display()));
    assert_eq!(location("b", Some("dbfs:/models/")), "dbfs:/models");
    assert_eq!(location("c", Some("/tmp/a b")), "file:///tmp/a%20b");
    assert_eq!(location("d", Some("file:///tmp/a%20b")), "file:///tmp/a%20b");
    let run = store.create_run(&NewRun { experiment_id: "2".into(), ..NewRun::default() }).unwrap();
    let error = store.artifacts(&run.info.artifact_uri).unwrap_err().to_string();
    assert!(error.contains("dbfs:/models") && error.contains("what can be reached are folders"), "{error}");
    let refused = NewExperiment { name: "e".into(), artifact_location: Some("file:relative".into()), tags: vec![], creator: None };
    assert!(store.create_experiment(&refused).is_err());
}

#[test]
fn full_durability_waits_for_the_disk_and_stores_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anmok.db");
    let store = try_open(&path, &StoreOptions { durability: Durability::Full, ..StoreOptions::default() }).unwrap();
    let run = store.create_run(&NewRun::default()).unwrap();
    drop(store);
    assert_eq!(new_store(&path).run(&run.info.run_id).unwrap(), Some(run));
}

/// While another program holds the database, logging goes on at once; what was logged arrives when it lets go.
#[test]
fn the_writer_never_waits_for_a_held_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anmok.db");
    let store: Arc<dyn RunStore> = Arc::from(new_store(&path));
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let mut writer = RunWriter::open(Arc::clone(&store), &run_id, &logging(folder.path())).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    for step in 1..=3000 {
        writer.metrics(step, &[("loss", 1.0 / step as f64), ("accuracy", 0.5)]);
    }
    writer.tags(&[("a".into(), "b".into())]);
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(store.latest_metrics(&run_id).unwrap(), []);
    other.execute_batch("COMMIT").unwrap();
    writer.finish(RunStatus::Finished).unwrap();
    let points = store.metric_history(&run_id, "loss", &PageRequest::default()).unwrap().items;
    assert_eq!(points.len(), 3000);
    // The moment of the call, not of the write.
    assert!(points.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    assert!(points[2999].timestamp - points[0].timestamp < 2000);
}

/// A lock that is held for longer than a delivery waits holds up nothing: a flush needs the journal alone.
#[test]
fn what_a_locked_database_kept_out_is_written_when_the_lock_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anmok.db");
    let options = StoreOptions { busy_timeout: Duration::from_millis(50), ..StoreOptions::default() };
    let store: Arc<dyn RunStore> = Arc::from(try_open(&path, &options).unwrap());
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let file = folder.path().join("log.txt");
    let mut writer = RunWriter::open(Arc::clone(&store), &run_id, &logging(folder.path())).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.dataset(DatasetInput {
        tags: vec![],
        dataset: Dataset {
            name: "CIFAR10".into(),
            digest: "5f4d".into(),
            source_type: "local".into(),
            source: "data".into(),
            schema: None,
            profile: None,
        },
    });
    writer.params(&[("lr".into(), "1".into())]);
    for sitting in 0..3 {
        // More than a batch holds, in calls that do not end where a batch does.
        for step in 1 + 500 * sitting..=500 * (sitting + 1) {
            writer.metrics(step, &[("a", step as f64), ("b", 0.5), ("nan", f64::NAN)]);
        }
        fs::write(&file, format!("sitting {sitting}")).unwrap();
        writer.artifact("log.txt", &file);
        writer.tags(&[("sitting".into(), sitting.to_string())]);
        writer.flush().unwrap();
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(store.latest_metrics(&run_id).unwrap(), []);
    other.execute_batch("COMMIT").unwrap();
    assert!(writer.finish(RunStatus::Finished).unwrap().pending.is_none());
    let run = store.run(&run_id).unwrap().unwrap();
    assert_eq!((run.data.param("lr"), run.data.tag("sitting"), run.inputs.dataset_inputs.len()), (Some("1"), Some("2"), 1));
    for key in ["a", "b", "nan"] {
        let points = store.metric_history(&run_id, key, &PageRequest::default()).unwrap().items;
        let mut steps: Vec<i64> = points.iter().map(|point| point.step).collect();
        steps.sort_unstable();
        assert_eq!(steps, (1..=1500).collect::<Vec<_>>(), "{key}");
    }
    let artifacts = store.artifacts(&run.info.artifact_uri).unwrap();
    let mut text = String::new();
    artifacts.open_file(&ArtifactPath::parse("log.txt").unwrap()).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "sitting 2");
    assert_eq!(run.info.status, RunStatus::Finished);
    assert_eq!(fs::read_dir(folder.path().join("journal")).unwrap().count(), 0, "a journal that is delivered is removed");
}

/// What can never be stored is told and recorded, and holds up nothing that comes after it.
#[test]
fn what_is_refused_does_not_hold_up_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn RunStore> = Arc::from(new_store(&folder.path().join("anmok.db")));
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let open = || RunWriter::open(Arc::clone(&store), &run_id, &logging(folder.path()));
    let mut writer = open().unwrap();
    writer.params(&[("lr".into(), "1".into())]);
    assert!(writer.close().unwrap().refused.is_empty());

    let mut writer = open().unwrap();
    writer.metrics(1, &[("loss", 1.0), ("a#b", 2.0), ("accuracy", 0.5)]);
    writer.artifact("report.json", &folder.path().join("none.json"));
    writer.params(&[("epochs".into(), "3".into()), ("lr".into(), "2".into())]);
    writer.metrics(2, &[("loss", 0.5)]);
    writer.flush().unwrap();
    let closed = writer.finish(RunStatus::Finished).unwrap();
    assert!(closed.pending.is_none());
    let mut refused: Vec<String> = closed.refused.iter().map(|refusal| format!("{}: {}", refusal.what, refusal.why)).collect();
    refused.sort();
    let told = [
        ("artifact report.json", "none.json"),
        ("metric a#b at step 1 = 2", "Names may only"),
        ("param lr = \"2\"", "Changing param values"),
    ];
    assert_eq!(refused.len(), told.len(), "{refused:?}");
    for ((what, why), refused) in told.iter().zip(&refused) {
        assert!(refused.starts_with(what) && refused.contains(why), "{refused}");
    }
    let run = store.run(&run_id).unwrap().unwrap();
    assert_eq!((run.data.metric("loss"), run.data.metric("accuracy"), run.data.metrics.len()), (Some(0.5), Some(0.5), 2));
    assert_eq!((run.data.param("lr"), run.data.param("epochs"), run.info.status), (Some("1"), Some("3"), RunStatus::Finished));
    let list = store.artifacts(&run.info.artifact_uri).unwrap().open_file(&ArtifactPath::parse("logs/refused.jsonl").unwrap()).unwrap();
    let mut text = String::new();
    list.expect("the list is among the artifacts").read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");

    store.delete_run(&run_id).unwrap();
    assert!(open().is_err());
    assert!(RunWriter::open(Arc::clone(&store), "none", &logging(folder.path())).is_err());
}

#[test]
fn a_dropped_writer_has_written_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn RunStore> = Arc::from(new_store(&folder.path().join("anmok.db")));
    let run_id = store.create_run(&NewRun::default()).unwrap().info.run_id;
    let file = folder.path().join("log.txt");
    fs::write(&file, "text").unwrap();
    let mut writer = RunWriter::open(Arc::clone(&store), &run_id, &logging(folder.path())).unwrap();
    let params: Vec<(String, String)> = (0..250).map(|number| (format!("p{number}"), "x".into())).collect();
    writer.params(&params);
    writer.params(&params);
    writer.tags(&params);
    let long = [("note".to_string(), "값".repeat(9000))];
    writer.params(&long);
    writer.tags(&long);
    writer.artifact("logs/log.txt", &file);
    writer.metrics(1, &[("loss", f64::NAN)]);
    drop(writer);
    let run = store.run(&run_id).unwrap().unwrap();
    assert_eq!((run.data.params.len(), run.data.tags.len(), run.data.metrics.len()), (251, 252, 1));
    assert_eq!(run.data.param("note").unwrap().chars().count(), 6000);
    let artifacts = store.artifacts(&run.info.artifact_uri).unwrap();
    assert!(artifacts.open_file(&ArtifactPath::parse("logs/log.txt").unwrap()).unwrap().is_some());
    for kind in ["params", "tags"] {
        let found = artifacts.list(Some(&ArtifactPath::parse(&format!("long_values/{kind}")).unwrap())).unwrap();
        assert_eq!(found.iter().map(|file| file.file_size).collect::<Vec<_>>(), [Some(27_000)], "{kind}");
    }
}

fn logging(folder: &Path) -> LogOptions {
    LogOptions { journals: folder.join("journal"), tracking_uri: "sqlite".into(), listener: Arc::new(|_| ()), heartbeat: false }
}

fn try_open(path: &Path, options: &StoreOptions) -> Result<Box<dyn RunStore>, TrackingError> {
    open(&format!("sqlite:///{}", path.display()), options)
}

fn new_store(path: &Path) -> Box<dyn RunStore> {
    try_open(path, &StoreOptions::default()).unwrap()
}
