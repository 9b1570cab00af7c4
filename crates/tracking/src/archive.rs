//! A run as a folder, to carry it from one store to another: `run.json`, `metrics.jsonl` and `artifacts/`.
//!
//! The folder is foreign when it is read: nothing in it leads out of it, and no line is read without a bound.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anmok_protocol::{
    ApiError, ArtifactPath, Batch, Experiment, ExperimentTag, Metric, PARENT_RUN_TAG, RUN_NAME_TAG, Run, RunInputs, RunTag, limits,
};
use serde::{Deserialize, Serialize};

use crate::artifact::ArtifactStore;
use crate::error::TrackingError;
use crate::store::{NewExperiment, NewRun, PageRequest, RunStore, RunUpdate, run_tagged};

/// The tag of an imported run that names the run it was made from.
pub const IMPORTED_FROM_TAG: &str = "anmok.importedFrom";

const RUN: &str = "run.json";
const METRICS: &str = "metrics.jsonl";
const ARTIFACTS: &str = "artifacts";

/// Points that are read from a store at once.
const PAGE: usize = 25_000;
/// Folders within folders. Real ones have a handful.
const DEEPEST: usize = 64;
/// Bytes of `run.json`, and of one line of `metrics.jsonl`.
const LARGEST_RUN: u64 = 64 << 20;
const LONGEST_LINE: u64 = 64 << 10;

/// What `run.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Archived {
    experiment: Experiment,
    run: Run,
}

/// What was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Points of metrics.
    pub points: usize,
    /// Files among the artifacts.
    pub files: usize,
}

/// Writes a run into a folder that does not exist yet. The folder appears whole or not at all.
///
/// # Errors
/// An unknown run, a store that does not answer, a folder that is there or cannot be written.
pub fn export_run(store: &dyn RunStore, run_id: &str, folder: &Path) -> Result<Carried, TrackingError> {
    let run = store.run(run_id)?.ok_or_else(|| ApiError::run_not_found(run_id))?;
    let experiment_id = &run.info.experiment_id;
    let experiment = store.experiment(experiment_id)?.ok_or_else(|| ApiError::experiment_not_found(experiment_id))?;
    if folder.exists() {
        return Err(TrackingError::io("exporting to", folder, std::io::ErrorKind::AlreadyExists.into()));
    }
    let part = beside(folder);
    let written = write(store, &Archived { experiment, run }, &part);
    let finished = written.and_then(|carried| {
        fs::rename(&part, folder).map_err(|error| TrackingError::io("exporting to", folder, error))?;
        Ok(carried)
    });
    if finished.is_err() {
        // What cannot be removed only takes room.
        let _ = fs::remove_dir_all(&part);
    }
    finished
}

/// `NAME.part`, as the folder is called until it is whole.
fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    folder.with_file_name(name)
}

fn write(store: &dyn RunStore, archived: &Archived, folder: &Path) -> Result<Carried, TrackingError> {
    fs::create_dir_all(folder).map_err(|error| TrackingError::io("making the folder", folder, error))?;
    let path = folder.join(RUN);
    let failed = |error| TrackingError::io("writing", &path, error);
    let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
    serde_json::to_writer_pretty(&mut file, archived).map_err(|error| failed(error.into()))?;
    file.flush().map_err(failed)?;
    let points = write_metrics(store, &archived.run, &folder.join(METRICS))?;
    let mut files = 0;
    fetch(&store.artifacts(&archived.run.info.artifact_uri)?, None, &folder.join(ARTIFACTS), &mut files, 0)?;
    Ok(Carried { points, files })
}

fn write_metrics(store: &dyn RunStore, run: &Run, path: &Path) -> Result<usize, TrackingError> {
    let failed = |error| TrackingError::io("writing", path, error);
    let mut file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut points = 0;
    for latest in &run.data.metrics {
        let mut page = PageRequest { max_results: Some(PAGE), page_token: None };
        loop {
            let part = store.metric_history(&run.info.run_id, &latest.key, &page)?;
            for point in &part.items {
                serde_json::to_writer(&mut file, point).map_err(|error| failed(error.into()))?;
                file.write_all(b"\n").map_err(failed)?;
            }
            points += part.items.len();
            page.page_token = part.next_page_token;
            if page.page_token.is_none() {
                break;
            }
        }
    }
    file.flush().map_err(failed)?;
    Ok(points)
}

fn fetch(
    artifacts: &ArtifactStore,
    folder: Option<&ArtifactPath>,
    to: &Path,
    files: &mut usize,
    depth: usize,
) -> Result<(), TrackingError> {
    for entry in artifacts.list(folder)? {
        let path = ArtifactPath::parse(&entry.path)?;
        if entry.is_dir && depth < DEEPEST {
            fetch(artifacts, Some(&path), to, files, depth + 1)?;
        } else if !entry.is_dir {
            let target = to.join(path.as_str());
            let parent = target.parent().unwrap_or(to);
            fs::create_dir_all(parent).map_err(|error| TrackingError::io("making the folder", parent, error))?;
            artifacts.get_file(&path, &target)?;
            *files += 1;
        }
    }
    Ok(())
}

/// Makes a run of a folder that [`export_run`] has written, in the experiment of that name or of its own, which is made if it
/// does not exist. Done again after an interruption it goes on with the run that it has begun; a run has another id in another
/// store, and the tag [`IMPORTED_FROM_TAG`] says which one it was. A nested run finds its parent if that one was imported
/// before. Logged models do not come along.
///
/// # Errors
/// A folder that is none of [`export_run`]'s, with what is wrong in which file; a store that does not answer.
pub fn import_run(store: &dyn RunStore, folder: &Path, experiment: Option<&str>) -> Result<(Run, Carried), TrackingError> {
    let Archived { experiment: original, run } = read(&folder.join(RUN))?;
    let experiment_id = experiment_id(store, experiment.unwrap_or(&original.name), &original.tags)?;
    let imported = match imported_from(store, &experiment_id, &run.info.run_id)? {
        Some(begun) => begun,
        None => begin(store, &experiment_id, &run)?,
    };
    let run_id = &imported.info.run_id;
    for params in run.data.params.chunks(limits::BATCH_PARAMS) {
        store.log_batch(run_id, &Batch { params: params.to_vec(), ..Batch::default() })?;
    }
    let points = read_metrics(store, run_id, &folder.join(METRICS))?;
    if !run.inputs.dataset_inputs.is_empty() {
        store.log_inputs(run_id, &RunInputs::datasets(run.inputs.dataset_inputs.clone()))?;
    }
    let mut files = 0;
    put(&store.artifacts(&imported.info.artifact_uri)?, &folder.join(ARTIFACTS), "", &mut files, 0)?;
    store.update_run(run_id, &RunUpdate { status: Some(run.info.status), end_time: run.info.end_time, run_name: None })?;
    Ok((imported, Carried { points, files }))
}

fn read(path: &Path) -> Result<Archived, TrackingError> {
    let file = File::open(path).map_err(|error| TrackingError::io("reading", path, error))?;
    serde_json::from_reader(BufReader::new(file.take(LARGEST_RUN))).map_err(|error| damaged(path, error))
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> TrackingError {
    let why = format!("{error}; a folder made by `anmok runs export` is expected");
    TrackingError::io("reading", path, std::io::Error::new(std::io::ErrorKind::InvalidData, why))
}

fn experiment_id(store: &dyn RunStore, name: &str, tags: &[ExperimentTag]) -> Result<String, TrackingError> {
    match store.experiment_by_name(name)? {
        Some(found) => Ok(found.experiment_id),
        None => store.create_experiment(&NewExperiment { name: name.into(), artifact_location: None, tags: tags.to_vec(), creator: None }),
    }
}

fn imported_from(store: &dyn RunStore, experiment_id: &str, run_id: &str) -> Result<Option<Run>, TrackingError> {
    run_tagged(store, vec![experiment_id.into()], IMPORTED_FROM_TAG, run_id)
}

fn begin(store: &dyn RunStore, experiment_id: &str, run: &Run) -> Result<Run, TrackingError> {
    let mut tags: Vec<RunTag> =
        run.data.tags.iter().filter(|tag| tag.key != RUN_NAME_TAG && tag.key != IMPORTED_FROM_TAG).cloned().collect();
    for tag in tags.iter_mut().filter(|tag| tag.key == PARENT_RUN_TAG) {
        if let Some(parent) = imported_from(store, experiment_id, &tag.value)? {
            tag.value = parent.info.run_id;
        }
    }
    tags.push(RunTag::new(IMPORTED_FROM_TAG, &run.info.run_id));
    let new = NewRun {
        experiment_id: experiment_id.into(),
        run_name: Some(run.info.run_name.clone()).filter(|name| !name.is_empty()),
        user_id: run.info.user_id.clone(),
        start_time: run.info.start_time,
        tags,
    };
    store.create_run(&new)
}

fn read_metrics(store: &dyn RunStore, run_id: &str, path: &Path) -> Result<usize, TrackingError> {
    let mut file = BufReader::new(File::open(path).map_err(|error| TrackingError::io("reading", path, error))?);
    let mut batch = Batch::default();
    let mut points = 0;
    loop {
        let mut line = String::new();
        let read = file.by_ref().take(LONGEST_LINE).read_line(&mut line).map_err(|error| TrackingError::io("reading", path, error))?;
        if read > 0 {
            let point: Metric = serde_json::from_str(&line).map_err(|error| damaged(path, format!("line {}: {error}", points + 1)))?;
            // A logged model of another store is none of this one's.
            batch.metrics.push(Metric::new(point.key, point.value, point.timestamp, point.step));
            points += 1;
        }
        if batch.metrics.len() == limits::BATCH_METRICS || (read == 0 && !batch.metrics.is_empty()) {
            store.log_batch(run_id, &batch)?;
            batch.metrics.clear();
        }
        if read == 0 {
            return Ok(points);
        }
    }
}

fn put(artifacts: &ArtifactStore, folder: &Path, below: &str, files: &mut usize, depth: usize) -> Result<(), TrackingError> {
    let failed = |error| TrackingError::io("reading the folder", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // A run without artifacts.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && depth == 0 => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        // A link could lead anywhere: it is passed over.
        if kind.is_dir() && depth < DEEPEST {
            put(artifacts, &entry.path(), &path, files, depth + 1)?;
        } else if kind.is_file() {
            artifacts.put_file(&ArtifactPath::parse(&path)?, &entry.path())?;
            *files += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StoreOptions, open};
    use anmok_protocol::{Dataset, DatasetInput, Param, RunStatus};

    fn store(folder: &Path, name: &str) -> Box<dyn RunStore> {
        open(&format!("sqlite:///{}", folder.join(name).display()), &StoreOptions::default()).unwrap()
    }

    /// What is the same of a run in any store.
    fn content(store: &dyn RunStore, run_id: &str) -> String {
        let run = store.run(run_id).unwrap().unwrap();
        let tags: Vec<_> = run.data.tags.iter().filter(|tag| tag.key != IMPORTED_FROM_TAG).collect();
        let history: Vec<_> =
            run.data.metrics.iter().map(|metric| store.metric_history(run_id, &metric.key, &PageRequest::default()).unwrap()).collect();
        let info = &run.info;
        let told = (&info.run_name, &info.user_id, info.status, info.start_time, info.end_time);
        format!("{told:?} {:?} {tags:?} {:?} {history:?}", run.data.params, run.inputs)
    }

    #[test]
    fn a_run_is_the_same_in_another_store_and_comes_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (store(folder.path(), "one.db"), store(folder.path(), "other.db"));
        let experiment_id = one.create_experiment(&NewExperiment { name: "비전".into(), ..NewExperiment::default() }).unwrap();
        let new =
            NewRun { experiment_id, user_id: "jiwoo".into(), start_time: 5, tags: vec![RunTag::new("host", "a")], ..NewRun::default() };
        let run = one.create_run(&new).unwrap();
        let run_id = &run.info.run_id;
        let mut metrics: Vec<Metric> = (0..1000).map(|step| Metric::new("loss", step as f64 / 3.0, 9, step)).collect();
        one.log_batch(run_id, &Batch { metrics: metrics.clone(), ..Batch::default() }).unwrap();
        metrics = vec![Metric::new("loss", f64::NAN, 9, 1000), Metric::new("up", f64::MAX, 9, 0)];
        let params = (0..99).map(|index| Param::new(format!("p{index:02}"), "x\"\n한")).collect();
        one.log_batch(run_id, &Batch { metrics, params, tags: vec![] }).unwrap();
        let text = |text: &str| text.to_owned();
        let dataset =
            Dataset { name: text("C"), digest: text("d"), source_type: text("local"), source: text("s"), schema: None, profile: None };
        one.log_inputs(run_id, &RunInputs::datasets(vec![DatasetInput { tags: vec![], dataset }])).unwrap();
        let artifacts = one.artifacts(&run.info.artifact_uri).unwrap();
        artifacts.put_bytes(&ArtifactPath::parse("a/b/c.bin").unwrap(), &[7; 100_000]).unwrap();
        artifacts.put_bytes(&ArtifactPath::parse("top.txt").unwrap(), b"").unwrap();
        one.update_run(run_id, &RunUpdate { status: Some(RunStatus::Killed), end_time: Some(99), run_name: None }).unwrap();

        let archive = folder.path().join("archive");
        assert_eq!(export_run(&*one, run_id, &archive).unwrap(), Carried { points: 1002, files: 2 });
        assert!(export_run(&*one, run_id, &archive).unwrap_err().to_string().contains("archive"), "nothing is overwritten");
        let (first, carried) = import_run(&*other, &archive, None).unwrap();
        assert_eq!(carried, Carried { points: 1002, files: 2 });
        let (again, _) = import_run(&*other, &archive, None).unwrap();
        assert_eq!(first.info.run_id, again.info.run_id);
        assert_eq!(content(&*other, &first.info.run_id), content(&*one, run_id));
        let file = other.artifacts(&first.info.artifact_uri).unwrap().open_file(&ArtifactPath::parse("a/b/c.bin").unwrap()).unwrap();
        let mut bytes = vec![];
        file.unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 100_000]);
        let (elsewhere, _) = import_run(&*other, &archive, Some("another")).unwrap();
        assert_ne!(elsewhere.info.experiment_id, first.info.experiment_id);
    }

    #[test]
    fn a_folder_that_is_no_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "a.db");
        let archive = folder.path().join("archive");
        let check = |words: &str| {
            let error = import_run(&*store, &archive, None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        check("run.json");
        fs::create_dir(&archive).unwrap();
        fs::write(archive.join(RUN), "{}").unwrap();
        check("`anmok runs export` is expected");
        let run = store.create_run(&NewRun::default()).unwrap();
        let good = folder.path().join("good");
        export_run(&*store, &run.info.run_id, &good).unwrap();
        fs::copy(good.join(RUN), archive.join(RUN)).unwrap();
        fs::write(archive.join(METRICS), "{\"key\":\"a\",\"value\":1}\nnothing\n").unwrap();
        check("line 2");
    }
}
