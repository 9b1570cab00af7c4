//! From a call into the buffer.

use std::sync::Arc;

use anmok_protocol::limits;

use super::inbox::Shared;
use super::journalling;
use crate::delivery::batch::VALUE_BYTES;
use crate::journal::{frame, record};
use crate::store::now_ms;

/// Lets another thread log metrics of its own, under keys that nobody else uses.
#[derive(Debug, Clone)]
pub struct SideEntrance(pub(super) Arc<Shared>);

impl SideEntrance {
    /// As [`RunWriter::metrics`], but nothing is dropped. After the log was closed it does nothing.
    pub fn metrics(&self, step: i64, metrics: &[(&str, f64)]) {
        log_metrics(&self.0, step, metrics);
    }
}

pub(super) fn log_metrics(shared: &Shared, step: i64, metrics: &[(&str, f64)]) {
    let timestamp = now_ms();
    for points in metrics.chunks(limits::BATCH_METRICS) {
        send(shared, |bytes| record::encode_metrics(timestamp, step, points.iter().copied(), bytes));
    }
}

pub(super) fn send(shared: &Shared, encode: impl FnOnce(&mut Vec<u8>)) {
    if let Some(mut state) = shared.room() {
        let before = state.frames.len();
        frame::frame(&mut state.frames, encode);
        let enough = journalling::ENOUGH;
        let wake = before == 0 || (before < enough && state.frames.len() >= enough);
        drop(state);
        if wake {
            shared.notify();
        }
    }
}

/// Splits what has these sizes so that each part fits into a batch.
pub(super) fn chunks<T>(items: Vec<(usize, T)>, most: usize) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = vec![];
    let mut bytes = 0;
    for (size, item) in items {
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < most && bytes + size <= VALUE_BYTES => {
                bytes += size;
                chunk.push(item);
            }
            _ => {
                bytes = size;
                chunks.push(vec![item]);
            }
        }
    }
    chunks
}
