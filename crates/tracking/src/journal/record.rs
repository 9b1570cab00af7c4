//! What a journal holds, and its bytes: metrics, of which there are many, in a compact form; the rest as JSON.

use anmok_protocol::{DatasetInput, Param, Run, RunStatus, RunTag};
use serde::{Deserialize, Serialize};

/// One thing that was logged. It is delivered as a whole, and by itself fits into a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// How the run came to be; the first record of a journal.
    Birth(Birth),
    /// Points of one step.
    Metrics {
        /// Milliseconds since 1970, of the call.
        timestamp: i64,
        /// The x axis.
        step: i64,
        /// Names and values.
        points: Vec<(String, f64)>,
    },
    /// Params.
    Params(Vec<Param>),
    /// Tags.
    Tags(Vec<RunTag>),
    /// A data set that the run reads.
    Dataset(DatasetInput),
    /// A file for the run's artifacts, kept in the journal's folder under this number.
    Artifact {
        /// Among the run's artifacts.
        path: String,
        /// The kept file.
        file: u64,
    },
    /// Where the run stands.
    Status {
        /// From now on.
        status: RunStatus,
        /// Milliseconds since 1970; `None` leaves it.
        end_time: Option<i64>,
    },
}

/// What is needed to make the run once more in another store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// The experiment's name.
    pub experiment_name: String,
    /// The run's name.
    pub run_name: String,
    /// Who started it.
    pub user_id: String,
    /// Milliseconds since 1970.
    pub start_time: i64,
    /// Tags from the start.
    pub tags: Vec<RunTag>,
    /// Whether nothing had been logged to the run before: what follows is all of it.
    pub whole: bool,
}

impl Birth {
    /// Of a run as it is now.
    pub fn of(run: &Run, experiment_name: String) -> Self {
        let data = &run.data;
        Self {
            experiment_name,
            run_name: run.info.run_name.clone(),
            user_id: run.info.user_id.clone(),
            start_time: run.info.start_time,
            tags: data.tags.clone(),
            whole: data.metrics.is_empty() && data.params.is_empty() && run.inputs.dataset_inputs.is_empty(),
        }
    }
}

const METRICS: u8 = 1;
const BIRTH: u8 = 2;
const PARAMS: u8 = 3;
const TAGS: u8 = 4;
const DATASET: u8 = 5;
const ARTIFACT: u8 = 6;
const STATUS: u8 = 7;

#[derive(Serialize, Deserialize)]
struct ArtifactFields<'a> {
    path: std::borrow::Cow<'a, str>,
    file: u64,
}

#[derive(Serialize, Deserialize)]
struct StatusFields {
    status: RunStatus,
    end_time: Option<i64>,
}

impl Record {
    /// Appends the record's bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Birth(birth) => encode_json(BIRTH, birth, bytes),
            Self::Metrics { timestamp, step, points } => {
                encode_metrics(*timestamp, *step, points.iter().map(|(name, value)| (name.as_str(), *value)), bytes);
            }
            Self::Params(params) => encode_json(PARAMS, params, bytes),
            Self::Tags(tags) => encode_json(TAGS, tags, bytes),
            Self::Dataset(input) => encode_json(DATASET, input, bytes),
            Self::Artifact { path, file } => encode_json(ARTIFACT, &ArtifactFields { path: path.into(), file: *file }, bytes),
            Self::Status { status, end_time } => encode_json(STATUS, &StatusFields { status: *status, end_time: *end_time }, bytes),
        }
    }

    /// Reads a record back; `None` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        match kind {
            METRICS => decode_metrics(rest),
            BIRTH => serde_json::from_slice(rest).ok().map(Self::Birth),
            PARAMS => serde_json::from_slice(rest).ok().map(Self::Params),
            TAGS => serde_json::from_slice(rest).ok().map(Self::Tags),
            DATASET => serde_json::from_slice(rest).ok().map(Self::Dataset),
            ARTIFACT => {
                let ArtifactFields { path, file } = serde_json::from_slice(rest).ok()?;
                Some(Self::Artifact { path: path.into_owned(), file })
            }
            STATUS => {
                let StatusFields { status, end_time } = serde_json::from_slice(rest).ok()?;
                Some(Self::Status { status, end_time })
            }
            _ => None,
        }
    }
}

fn encode_json(kind: u8, value: &impl Serialize, bytes: &mut Vec<u8>) {
    bytes.push(kind);
    // Strings, numbers and lists of them, written to memory: nothing in it can fail.
    serde_json::to_writer(bytes, value).expect("a record is plain data");
}

/// Appends the bytes of [`Record::Metrics`] without making one.
pub fn encode_metrics<'a>(timestamp: i64, step: i64, points: impl Iterator<Item = (&'a str, f64)>, bytes: &mut Vec<u8>) {
    bytes.push(METRICS);
    bytes.extend_from_slice(&timestamp.to_le_bytes());
    bytes.extend_from_slice(&step.to_le_bytes());
    for (name, value) in points {
        // A name that MLflow takes has at most 250 characters: what is cut here is refused there all the same.
        let name = &name.as_bytes()[..name.floor_char_boundary(usize::from(u16::MAX))];
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

fn decode_metrics(mut bytes: &[u8]) -> Option<Record> {
    let timestamp = i64::from_le_bytes(take(&mut bytes)?);
    let step = i64::from_le_bytes(take(&mut bytes)?);
    let mut points = vec![];
    while !bytes.is_empty() {
        let length = usize::from(u16::from_le_bytes(take(&mut bytes)?));
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        points.push((std::str::from_utf8(name).ok()?.to_owned(), f64::from_le_bytes(take(&mut bytes)?)));
    }
    Some(Record::Metrics { timestamp, step, points })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let tags = vec![RunTag::new("mlflow.note", "한글 \"quoted\"\n")];
        vec![
            Record::Birth(Birth {
                experiment_name: "Default".into(),
                run_name: "calm-sea-1".into(),
                user_id: "anna".into(),
                start_time: 1,
                tags: tags.clone(),
                whole: true,
            }),
            Record::Metrics { timestamp: 5, step: -3, points: vec![("loss".into(), 0.1), ("정확도".into(), f64::INFINITY)] },
            Record::Metrics { timestamp: 0, step: i64::MAX, points: vec![] },
            Record::Params(vec![Param::new("lr", "0.1")]),
            Record::Tags(tags),
            Record::Artifact { path: "model/model.pth".into(), file: 7 },
            Record::Status { status: RunStatus::Killed, end_time: Some(9) },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for record in all() {
            let mut bytes = vec![];
            record.encode(&mut bytes);
            assert_eq!(Record::decode(&bytes), Some(record));
        }
        let mut bytes = vec![];
        encode_metrics(1, 2, [("nan", f64::NAN)].into_iter(), &mut bytes);
        let Some(Record::Metrics { points, .. }) = Record::decode(&bytes) else { panic!("metrics") };
        assert!(points[0].1.is_nan());
    }

    #[test]
    fn any_other_bytes_are_none() {
        for record in all() {
            let mut bytes = vec![];
            record.encode(&mut bytes);
            for end in 0..bytes.len() {
                // Metrics cut between two points are fewer metrics; the frame around them has the length.
                let shorter = Record::decode(&bytes[..end]);
                assert!(shorter.is_none() || matches!(shorter, Some(Record::Metrics { .. })), "{shorter:?}");
            }
        }
        assert_eq!(Record::decode(&[99, 1, 2]), None);
        assert_eq!(Record::decode(&[METRICS, 1]), None);
    }
}
