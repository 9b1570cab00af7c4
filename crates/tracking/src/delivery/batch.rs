//! What of a journal goes to the store in one request.

use anmok_protocol::{Batch, Metric, limits};

use crate::journal::Record;

/// Bytes of names and values in one batch at most: as JSON, with everything around them, they stay below MLflow's limit even
/// where each character takes six bytes.
pub const VALUE_BYTES: usize = limits::BATCH_BYTES / 8;
/// Bytes that a point takes besides its name, as JSON.
const POINT_BYTES: usize = 96;
/// The bytes of metrics, whose names are known to be short and seldom need escapes, count less.
const METRIC_BYTES: usize = limits::BATCH_BYTES / 2;

/// Records on their way into a batch.
#[derive(Debug, Default)]
pub struct Gathering {
    pub records: Vec<Record>,
    metrics: usize,
    params: usize,
    tags: usize,
    value_bytes: usize,
    metric_bytes: usize,
}

impl Gathering {
    /// Takes the record in if it is one for batches and there is room; gives it back otherwise. An empty batch has room for any.
    pub fn take(&mut self, record: Record) -> Option<Record> {
        let mut grown = Self { records: vec![], ..*self };
        let twice = match &record {
            Record::Metrics { points, .. } => {
                grown.metrics += points.len();
                grown.metric_bytes += points.iter().map(|(name, _)| name.len() + POINT_BYTES).sum::<usize>();
                false
            }
            Record::Params(params) => {
                grown.params += params.len();
                grown.value_bytes += params.iter().map(|param| param.key.len() + param.value.len()).sum::<usize>();
                self.records.iter().any(|other| match other {
                    Record::Params(others) => others.iter().any(|other| params.iter().any(|param| param.key == other.key)),
                    _ => false,
                })
            }
            Record::Tags(tags) => {
                grown.tags += tags.len();
                grown.value_bytes += tags.iter().map(|tag| tag.key.len() + tag.value.len()).sum::<usize>();
                // The last value of a tag must be the one that stays, whatever a server makes of two in one batch.
                self.records.iter().any(|other| match other {
                    Record::Tags(others) => others.iter().any(|other| tags.iter().any(|tag| tag.key == other.key)),
                    _ => false,
                })
            }
            _ => return Some(record),
        };
        let fits = grown.metrics <= limits::BATCH_METRICS
            && grown.params <= limits::BATCH_PARAMS
            && grown.tags <= limits::BATCH_TAGS
            && grown.metrics + grown.params + grown.tags <= limits::BATCH_ENTITIES
            && grown.value_bytes <= VALUE_BYTES
            && grown.metric_bytes <= METRIC_BYTES;
        if (fits && !twice) || self.records.is_empty() {
            grown.records = std::mem::take(&mut self.records);
            grown.records.push(record);
            *self = grown;
            None
        } else {
            Some(record)
        }
    }

    /// The batch of all records.
    pub fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        self.records.iter().for_each(|record| add(record, &mut batch));
        batch
    }
}

/// Adds a record's metrics, params or tags.
fn add(record: &Record, batch: &mut Batch) {
    match record {
        Record::Metrics { timestamp, step, points } => {
            batch.metrics.extend(points.iter().map(|(name, value)| Metric::new(name, *value, *timestamp, *step)));
        }
        Record::Params(params) => batch.params.extend_from_slice(params),
        Record::Tags(tags) => batch.tags.extend_from_slice(tags),
        _ => {}
    }
}

/// The batch of one record.
pub fn batch_of(record: &Record) -> Batch {
    let mut batch = Batch::default();
    add(record, &mut batch);
    batch
}

/// A batch of one thing for each thing in a batch.
pub fn each(batch: Batch) -> impl Iterator<Item = Batch> {
    let metrics = batch.metrics.into_iter().map(|metric| Batch { metrics: vec![metric], ..Batch::default() });
    let params = batch.params.into_iter().map(|param| Batch { params: vec![param], ..Batch::default() });
    let tags = batch.tags.into_iter().map(|tag| Batch { tags: vec![tag], ..Batch::default() });
    metrics.chain(params).chain(tags)
}
