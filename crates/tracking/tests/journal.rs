//! The journal's file and its delivery: torn and damaged files, deliveries that are repeated, cut off, refused or doubled.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use anmok_protocol::{ArtifactPath, RunStatus, RunTag, ViewType};
use anmok_tracking::delivery::superseded::ATTEMPT_TAG;
use anmok_tracking::delivery::sync::{Left, NotSynced, SOURCE_RUN_TAG, Synced, sync};
use anmok_tracking::delivery::{Event, Listener};
use anmok_tracking::journal::{Birth, Folder, Header, Journal, Next, Record, first_record};
use anmok_tracking::{LogOptions, NewRun, PageRequest, RunQuery, RunStore, RunWriter, StoreOptions, open};

/// A folder with a database and journals.
struct Place {
    folder: tempfile::TempDir,
    store: Arc<dyn RunStore>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("anmok.db"));
        Self { folder, store, told: Arc::default() }
    }

    fn journals(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn listener(&self) -> Listener {
        let told = self.told.clone();
        Arc::new(move |event: &Event<'_>| told.lock().unwrap().push(format!("{event:?}")))
    }

    fn options(&self) -> LogOptions {
        LogOptions { journals: self.journals(), tracking_uri: "home".into(), listener: self.listener(), heartbeat: false }
    }

    fn run(&self) -> String {
        self.store.create_run(&NewRun::default()).unwrap().info.run_id
    }

    fn offline(&self, run_id: &str) -> RunWriter {
        RunWriter::open_offline(run_id, birth(), &self.options()).unwrap()
    }

    /// A writer whose store is this one, but which never reaches it.
    fn journal_only(&self, run_id: &str, log: impl FnOnce(&mut RunWriter)) -> Folder {
        let mut writer = self.offline(run_id);
        log(&mut writer);
        let folder = writer.close().unwrap().pending.expect("it waits").folder;
        rewrite_header(&folder.join("journal"), Some("home"));
        Folder::list(&self.journals()).unwrap().into_iter().find(|found| found.path() == folder).unwrap()
    }

    fn sync(&self, folder: &Folder) -> Result<Synced, NotSynced> {
        sync(folder, self.store.clone(), "home", self.listener())
    }

    fn steps(&self, run_id: &str, key: &str) -> Vec<i64> {
        steps(&*self.store, run_id, key)
    }

    fn told(&self, what: &str) -> usize {
        self.told.lock().unwrap().iter().filter(|event| event.starts_with(what)).count()
    }
}

fn birth() -> Birth {
    Birth {
        experiment_name: "Vision".into(),
        run_name: "calm-sea-1".into(),
        user_id: "anna".into(),
        start_time: 1000,
        tags: vec![RunTag::new("mlflow.user", "anna")],
        whole: true,
    }
}

fn store(path: &Path) -> Arc<dyn RunStore> {
    let options = StoreOptions { busy_timeout: Duration::from_millis(50), ..StoreOptions::default() };
    Arc::from(open(&format!("sqlite:///{}", path.display()), &options).unwrap())
}

fn steps(store: &dyn RunStore, run_id: &str, key: &str) -> Vec<i64> {
    let mut steps: Vec<i64> =
        store.metric_history(run_id, key, &PageRequest::default()).unwrap().items.iter().map(|point| point.step).collect();
    steps.sort_unstable();
    steps
}

/// The same records behind another header.
fn rewrite_header(path: &Path, tracking_uri: Option<&str>) {
    let folder = Folder::list(path.parent().unwrap().parent().unwrap()).unwrap();
    let folder = folder.into_iter().find(|found| found.journal() == path).unwrap();
    let (header, _) = anmok_tracking::journal::read(&folder).unwrap();
    let start = first_record(&folder).unwrap() as usize;
    let records = fs::read(path).unwrap().split_off(start);
    let mut bytes = anmok_tracking::journal::frame::header_bytes(&Header { tracking_uri: tracking_uri.map(Into::into), ..header });
    bytes.extend(records);
    fs::write(path, bytes).unwrap();
}

/// Where each frame of a journal ends.
fn ends(path: &Path, start: u64) -> Vec<u64> {
    let file = fs::File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut reader = anmok_tracking::journal::Reader::new(file, start);
    let mut ends = vec![start];
    while let Next::Whole(_) = reader.record(size).unwrap() {
        ends.push(reader.offset());
    }
    ends
}

fn some_records(writer: &mut RunWriter) {
    writer.params(&[("lr".into(), "0.1".into())]);
    for step in 1..=5 {
        writer.metrics(step, &[("loss", 1.0 / step as f64), ("정확도", 0.5)]);
    }
    writer.tags(&[("host".into(), "a".into())]);
    writer.status(RunStatus::Killed, Some(9));
}

#[test]
fn a_journal_is_read_up_to_its_last_whole_record_wherever_it_is_torn() {
    let place = Place::new();
    let folder = place.journal_only("abc", some_records);
    let bytes = fs::read(folder.journal()).unwrap();
    let start = first_record(&folder).unwrap();
    let ends = ends(&folder.journal(), start);
    assert_eq!((ends.len(), *ends.last().unwrap()), (10, bytes.len() as u64));
    for length in start..=bytes.len() as u64 {
        fs::write(folder.journal(), &bytes[..length as usize]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= length).count() as u64 - 1;
        let lock = folder.claim().unwrap().unwrap();
        let (mut journal, contents) = Journal::open(lock, Header { run_id: "abc".into(), tracking_uri: None, created: 0 }).unwrap();
        assert_eq!((contents.records, contents.end), (whole, ends[whole as usize]), "{length} bytes");
        assert_eq!(contents.torn, length - contents.end);
        // What is appended lies where the torn piece was, and can be read.
        let mut frame = vec![];
        anmok_tracking::journal::frame::frame(&mut frame, |bytes| {
            Record::Status { status: RunStatus::Failed, end_time: None }.encode(bytes)
        });
        journal.append(&frame).unwrap();
        drop(journal);
        assert_eq!(anmok_tracking::journal::read(&folder).unwrap().1.records, whole + 1);
    }
    // A header that is torn is no journal to anybody, and says so.
    for length in 0..start as usize {
        fs::write(folder.journal(), &bytes[..length]).unwrap();
        let error = anmok_tracking::journal::read(&folder).unwrap_err().to_string();
        assert!(error.contains("abc/journal") && (error.contains("no journal") || error.contains("damaged")), "{error}");
    }
}

#[test]
fn a_flipped_bit_is_never_taken_for_a_record() {
    let place = Place::new();
    let folder = place.journal_only("abc", some_records);
    let bytes = fs::read(folder.journal()).unwrap();
    let start = first_record(&folder).unwrap();
    let ends = ends(&folder.journal(), start);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(folder.journal(), &damaged).unwrap();
        match anmok_tracking::journal::read(&folder) {
            Err(_) => assert!((bit / 8) < start as usize, "bit {bit}"),
            Ok((_, contents)) => {
                assert!((bit / 8) >= start as usize, "bit {bit}");
                let before = ends.iter().filter(|&&end| end <= (bit / 8) as u64).count() as u64 - 1;
                assert_eq!((contents.records, contents.torn), (before, bytes.len() as u64 - ends[before as usize]), "bit {bit}");
            }
        }
    }
}

/// Damage in what is delivered already costs nothing; a journal that a power cut has shortened does not hide what comes next.
#[test]
fn damage_before_the_delivered_position_is_passed_over_and_a_shortened_journal_goes_on() {
    let place = Place::new();
    let run_id = place.run();
    let folder = place.journal_only(&run_id, some_records);
    let bytes = fs::read(folder.journal()).unwrap();
    let ends = ends(&folder.journal(), first_record(&folder).unwrap());
    let position = |offset: u64| {
        let text = format!(r#"{{"targets":[{{"tracking_uri":"home","run_id":"{run_id}","offset":{offset}}}]}}"#);
        fs::write(folder.delivered(), text).unwrap();
    };
    let mut damaged = bytes.clone();
    damaged[ends[2] as usize + 10] ^= 1;
    fs::write(folder.journal(), &damaged).unwrap();
    position(ends[6]);
    let contents = anmok_tracking::journal::read(&folder).unwrap().1;
    assert_eq!((contents.torn, contents.records), (0, 5));

    // Delivered to the end, then cut off by a power cut, then logged to again.
    position(ends[9]);
    fs::write(folder.journal(), &bytes[..ends[3] as usize]).unwrap();
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    writer.metrics(10, &[("loss", 1.0)]);
    assert!(writer.close().unwrap().pending.is_none());
    assert_eq!(place.steps(&run_id, "loss"), [10]);
}

#[test]
fn delivering_twice_changes_nothing() {
    let place = Place::new();
    let run_id = place.run();
    let file = place.folder.path().join("report.json");
    fs::write(&file, "{}").unwrap();
    let folder = place.journal_only(&run_id, |writer| {
        some_records(writer);
        writer.artifact("report.json", &file);
        writer.tags(&[("host".into(), "b".into())]);
    });
    let copy = place.folder.path().join("copy");
    let all = |from: &Path, to: &Path| {
        fs::create_dir_all(to.join("files")).unwrap();
        fs::copy(from.join("journal"), to.join("journal")).unwrap();
        for file in fs::read_dir(from.join("files")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join("files").join(file.file_name())).unwrap();
        }
    };
    all(folder.path(), &copy);
    assert!(place.sync(&folder).unwrap().removed);
    let first = place.store.run(&run_id).unwrap().unwrap();
    assert_eq!((first.data.tag("host"), first.info.status, first.info.end_time), (Some("b"), RunStatus::Killed, Some(9)));
    let points = place.store.metric_history(&run_id, "loss", &PageRequest::default()).unwrap();
    // As if the process had died before it could note that anything was delivered.
    all(&copy, folder.path());
    let again = place.sync(&folder).unwrap();
    assert!(again.removed && again.refused.is_empty(), "{again:?}");
    assert_eq!(place.store.run(&run_id).unwrap().unwrap(), first);
    assert_eq!(place.store.metric_history(&run_id, "loss", &PageRequest::default()).unwrap(), points);
}

#[test]
fn two_syncs_at_once_deliver_once() {
    let place = Place::new();
    let run_id = place.run();
    let folder = place.journal_only(&run_id, |writer| (1..=20_000).for_each(|step| writer.metrics(step, &[("loss", 1.0)])));
    let barrier = Barrier::new(4);
    let delivered = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                barrier.wait();
                match place.sync(&folder) {
                    Ok(synced) => {
                        assert!(synced.removed, "{synced:?}");
                        delivered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(NotSynced::Busy | NotSynced::Gone) => {}
                    Err(NotSynced::Failed(error)) => panic!("{error}"),
                }
            });
        }
    });
    assert_eq!(delivered.into_inner(), 1);
    assert_eq!(place.steps(&run_id, "loss"), (1..=20_000).collect::<Vec<_>>());
    assert!(!folder.path().exists());
}

/// The journal of a live run is its own process's to deliver.
#[test]
fn a_live_runs_journal_is_left_to_it() {
    let place = Place::new();
    let run_id = place.run();
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    writer.metrics(1, &[("loss", 1.0)]);
    writer.flush().unwrap();
    let folder = Folder::list(&place.journals()).unwrap().remove(0);
    assert!(Left::read(folder.clone()).unwrap().busy);
    assert!(matches!(place.sync(&folder), Err(NotSynced::Busy)));
    // An evaluation of the same run gets a journal of its own.
    let mut other = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    other.metrics(1, &[("eval", 1.0)]);
    assert!(other.close().unwrap().pending.is_none());
    assert!(writer.close().unwrap().pending.is_none());
    assert_eq!(fs::read_dir(place.journals()).unwrap().count(), 0);
    assert_eq!((place.steps(&run_id, "loss"), place.steps(&run_id, "eval")), (vec![1], vec![1]));
}

/// An outage is told once, and its end once; what was logged meanwhile is there afterwards, with the times of the calls.
#[test]
fn an_outage_is_told_once_and_loses_nothing() {
    let place = Place::new();
    let run_id = place.run();
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    let other = rusqlite::Connection::open(place.folder.path().join("anmok.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = anmok_tracking::now_ms();
    let start = Instant::now();
    let mut step = 0;
    while start.elapsed() < Duration::from_secs(4) {
        step += 1;
        writer.metrics(step, &[("loss", 1.0)]);
        std::thread::sleep(Duration::from_millis(5));
    }
    let after = anmok_tracking::now_ms();
    other.execute_batch("COMMIT").unwrap();
    assert!(writer.finish(RunStatus::Finished).unwrap().pending.is_none());
    assert_eq!(place.steps(&run_id, "loss"), (1..=step).collect::<Vec<_>>());
    let points = place.store.metric_history(&run_id, "loss", &PageRequest::default()).unwrap().items;
    assert!(points.iter().all(|point| (before..=after).contains(&point.timestamp)));
    assert_eq!((place.told("Away"), place.told("Back")), (1, 1), "{:?}", place.told);
}

#[test]
fn a_deleted_run_waits_until_it_is_restored() {
    let place = Place::new();
    let run_id = place.run();
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    place.store.delete_run(&run_id).unwrap();
    writer.metrics(1, &[("loss", 1.0)]);
    let start = Instant::now();
    let pending = writer.finish(RunStatus::Finished).unwrap().pending.expect("it waits");
    assert!(start.elapsed() < Duration::from_secs(5), "nobody waits for a run that is deleted: {:?}", start.elapsed());
    assert!(pending.obstacle.unwrap().to_string().contains("is deleted"));
    assert_eq!((place.told("RunGone"), place.told("Refused")), (1, 0), "{:?}", place.told);

    let folder = Folder::list(&place.journals()).unwrap().remove(0);
    assert!(place.sync(&folder).unwrap().obstacle.unwrap().to_string().contains("is deleted"));
    place.store.restore_run(&run_id).unwrap();
    assert!(place.sync(&folder).unwrap().removed);
    assert_eq!(place.store.run(&run_id).unwrap().unwrap().info.status, RunStatus::Finished);
}

#[test]
fn a_run_that_was_logged_offline_becomes_one_run_in_a_store() {
    let place = Place::new();
    let file = place.folder.path().join("model.bin");
    fs::write(&file, "weights").unwrap();
    let mut writer = place.offline("offline0");
    some_records(&mut writer);
    writer.artifact("model/model.bin", &file);
    drop(writer);
    fs::remove_file(&file).unwrap();
    // Another sitting of the same run repeats what it did since its checkpoint.
    let mut writer = place.offline("offline0");
    for step in 4..=7 {
        writer.metrics(step, &[("loss", 2.0)]);
    }
    let pending = writer.finish(RunStatus::Finished).unwrap().pending.unwrap();
    assert!(pending.obstacle.is_none());

    let folder = Folder::list(&place.journals()).unwrap().remove(0);
    let synced = place.sync(&folder).unwrap();
    assert!(synced.created && synced.removed && synced.obstacle.is_none(), "{synced:?}");
    let run = place.store.run(&synced.run_id).unwrap().unwrap();
    assert_eq!((run.info.run_name.as_str(), run.info.start_time, run.info.status), ("calm-sea-1", 1000, RunStatus::Finished));
    assert_eq!(
        (run.data.param("lr"), run.data.tag(SOURCE_RUN_TAG), run.data.tag("mlflow.user")),
        (Some("0.1"), Some("offline0"), Some("anna"))
    );
    assert_eq!(place.store.experiment(&run.info.experiment_id).unwrap().unwrap().name, "Vision");
    assert_eq!(place.steps(&synced.run_id, "loss"), (1..=7).collect::<Vec<_>>());
    let artifacts = place.store.artifacts(&run.info.artifact_uri).unwrap();
    assert!(artifacts.open_file(&ArtifactPath::parse("model/model.bin").unwrap()).unwrap().is_some());
}

/// A run that went on elsewhere from its last checkpoint, before the first machine's journal was delivered.
#[test]
fn a_journal_that_comes_after_a_later_sitting_brings_only_what_is_missing() {
    let place = Place::new();
    let run_id = place.run();
    let attempt = |number: &str| [(ATTEMPT_TAG.to_string(), number.to_string())];
    let file = place.folder.path().join("last");
    fs::write(&file, "first").unwrap();
    let folder = place.journal_only(&run_id, |writer| {
        writer.tags(&attempt("1"));
        writer.params(&[("lr".into(), "0.1".into())]);
        (1..=6).for_each(|step| writer.metrics(step, &[("loss", 1.0)]));
        writer.artifact("last", &file);
        writer.metrics(1, &[("only_here", 1.0)]);
        writer.status(RunStatus::Failed, Some(9));
    });
    let elsewhere = LogOptions { journals: place.folder.path().join("elsewhere"), ..place.options() };
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &elsewhere).unwrap();
    writer.tags(&attempt("2"));
    (4..=8).for_each(|step| writer.metrics(step, &[("loss", 2.0)]));
    fs::remove_file(&file).unwrap();
    fs::write(&file, "second").unwrap();
    writer.artifact("last", &file);
    writer.finish(RunStatus::Finished).unwrap();

    let synced = place.sync(&folder).unwrap();
    assert!(synced.removed && synced.refused.is_empty(), "{synced:?}");
    let run = place.store.run(&run_id).unwrap().unwrap();
    assert_eq!(place.steps(&run_id, "loss"), (1..=8).collect::<Vec<_>>());
    assert_eq!((run.data.param("lr"), run.data.metric("only_here"), run.data.tag(ATTEMPT_TAG)), (Some("0.1"), Some(1.0), Some("2")));
    assert_eq!(run.info.status, RunStatus::Finished);
    let root = place.store.artifacts(&run.info.artifact_uri).unwrap().local_root().unwrap().to_path_buf();
    assert_eq!(fs::read_to_string(root.join("last")).unwrap(), "second");
}

/// To another store than the run's own: it gets one run, however often; the journal is kept for the run's own.
#[test]
fn another_store_gets_one_run_and_the_journal_stays_for_its_own() {
    let place = Place::new();
    let run_id = place.run();
    let file = place.folder.path().join("model");
    fs::write(&file, "weights").unwrap();
    let folder = place.journal_only(&run_id, |writer| {
        some_records(writer);
        writer.artifact("model", &file);
    });
    let other = store(&place.folder.path().join("other.db"));
    let to_other = || sync(&folder, other.clone(), "other", place.listener()).unwrap();
    let first = to_other();
    assert!(first.created && !first.removed && first.obstacle.is_none(), "{first:?}");
    // Even where nothing was noted of the first time.
    fs::remove_file(folder.delivered()).unwrap();
    let second = to_other();
    assert!(!second.created && second.run_id == first.run_id, "{second:?}");
    let vision = other.experiment_by_name("Vision").unwrap().unwrap().experiment_id;
    let query = RunQuery { experiment_ids: vec![vision], view: ViewType::All, ..RunQuery::default() };
    assert_eq!(other.search_runs(&query).unwrap().items.len(), 1);
    assert_eq!(steps(&*other, &first.run_id, "loss"), [1, 2, 3, 4, 5]);
    assert!(place.sync(&folder).unwrap().removed);
    assert_eq!(place.steps(&run_id, "loss"), [1, 2, 3, 4, 5]);
    for (store, run_id) in [(&other, &first.run_id), (&place.store, &run_id)] {
        let run = store.run(run_id).unwrap().unwrap();
        let root = store.artifacts(&run.info.artifact_uri).unwrap().local_root().unwrap().to_path_buf();
        assert_eq!(fs::read_to_string(root.join("model")).unwrap(), "weights");
    }
}

/// A file's number is never another's, though the file is gone: a record that is delivered once more must not find it.
#[test]
fn numbers_of_artifacts_are_given_once() {
    let place = Place::new();
    let file = place.folder.path().join("model");
    fs::write(&file, "weights").unwrap();
    let folder = place.journal_only("abc", |writer| writer.artifact("model", &file));
    fs::remove_file(folder.kept(0)).unwrap();
    let lock = folder.claim().unwrap().unwrap();
    let (mut journal, _) = Journal::open(lock, Header { run_id: "abc".into(), tracking_uri: None, created: 0 }).unwrap();
    assert_eq!(journal.keep(&file, true).unwrap(), 1);
}

/// Artifacts that cannot be uploaded wait and hold up nothing; the newest of a path is what arrives.
#[test]
fn artifacts_that_cannot_be_uploaded_are_overtaken_and_arrive_later() {
    let place = Place::new();
    let run = place.store.create_run(&NewRun::default()).unwrap();
    let run_id = run.info.run_id.clone();
    let artifacts = place.store.artifacts(&run.info.artifact_uri).unwrap();
    // A file where the run's folder should be.
    let root = artifacts.local_root().unwrap().to_path_buf();
    fs::create_dir_all(root.parent().unwrap().parent().unwrap()).unwrap();
    fs::write(root.parent().unwrap(), "in the way").unwrap();
    let file = place.folder.path().join("last");
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    for epoch in 1..=3 {
        fs::remove_file(&file).ok();
        fs::write(&file, format!("epoch {epoch}")).unwrap();
        writer.artifact("checkpoints/last", &file);
        writer.metrics(epoch, &[("loss", 1.0)]);
        writer.flush().unwrap();
    }
    let pending = writer.finish(RunStatus::Finished).unwrap().pending.expect("the artifact waits");
    assert_eq!(pending.artifacts, 1, "an older file of the same path is not needed any more");
    assert_eq!(place.told("ArtifactWaits"), 1, "{:?}", place.told);
    assert_eq!(
        (place.steps(&run_id, "loss"), place.store.run(&run_id).unwrap().unwrap().info.status),
        (vec![1, 2, 3], RunStatus::Finished)
    );

    fs::remove_file(root.parent().unwrap()).unwrap();
    let folder = Folder::list(&place.journals()).unwrap().remove(0);
    assert_eq!(Left::read(folder.clone()).unwrap().pending().1, 1);
    assert!(place.sync(&folder).unwrap().removed);
    assert_eq!(fs::read_to_string(root.join("checkpoints/last")).unwrap(), "epoch 3");
}

#[test]
fn a_million_points_arrive_once_and_in_bounded_memory() {
    let place = Place::new();
    let run_id = place.run();
    let mut writer = RunWriter::open(place.store.clone(), &run_id, &place.options()).unwrap();
    for step in 1..=250_000 {
        writer.metrics(step, &[("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", step as f64)]);
    }
    assert!(writer.finish(RunStatus::Finished).unwrap().pending.is_none());
    for key in ["a", "b", "c", "d"] {
        let found: BTreeSet<i64> = place.steps(&run_id, key).into_iter().collect();
        assert_eq!((found.len(), found.first(), found.last()), (250_000, Some(&1), Some(&250_000)), "{key}");
    }
}
