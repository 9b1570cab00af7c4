//! What `train` and `infer` tell of a workload that was timed.

use super::process;
use super::timing::{self, Row, Times, Timing};
use super::workload::{CHANNELS, Task, Workload};
use crate::terminal::style::Style;
use crate::terminal::units;
use anmok_engine::Engine;
use serde_json::{Value as Json, json};
use std::time::Instant;

/// A workload's times and memory.
pub struct Measurement {
    workload: Workload,
    warmup: u64,
    times: Times,
    peak_resident_bytes: Option<u64>,
    first_step_ms: Option<f64>,
}

impl Measurement {
    /// Times `workload`. `began` is the start of the process, if this is the first thing it does.
    pub fn take(mut workload: Workload, timing: &Timing, began: Option<Instant>) -> anyhow::Result<Self> {
        let warmed = timing.warm_up(|| workload.step())?;
        let times = timing.measure(|| workload.step())?;
        let first = warmed.unwrap_or(times.first);
        Ok(Self {
            workload,
            warmup: timing.warmup,
            times,
            peak_resident_bytes: process::peak_resident_bytes(),
            first_step_ms: began.map(|began| (first - began).as_secs_f64() * 1e3),
        })
    }

    fn images_per_second(&self) -> f64 {
        self.workload.images_per_step() as f64 / self.times.median() * 1e3
    }

    /// One JSON object.
    pub fn as_json(&self) -> Json {
        let (info, graph, recipe) = (self.workload.engine.info(), self.workload.engine.graph(), &self.workload.recipe);
        let task = self.workload.task;
        json!({
            "bench": task.name(),
            "model": graph.name,
            "stem": recipe.stem,
            "classes": graph.classes(),
            "image_size": graph.input.height,
            "batch": self.workload.batch,
            "passes": self.workload.passes_per_step(),
            "threads": info.threads,
            "level": info.level,
            "optimizer": (task == Task::Train).then_some(recipe.optimizer),
            "warmup": self.warmup,
            "steps": self.times.count(),
            "ms": self.times.as_json(),
            "images_per_second": self.images_per_second(),
            "peak_resident_bytes": self.peak_resident_bytes,
            "first_step_ms": self.first_step_ms,
        })
    }
}

/// What was timed, in one line.
pub fn heading(workload: &Workload, style: Style) -> String {
    let (info, graph, recipe) = (workload.engine.info(), workload.engine.graph(), &workload.recipe);
    let passes = match workload.passes_per_step() {
        1 => String::new(),
        passes => format!(", {passes} passes"),
    };
    let optimizer = match workload.task {
        Task::Train => format!(", {}{passes}", json!(recipe.optimizer).as_str().unwrap_or_default()),
        Task::Infer => String::new(),
    };
    let (model, stem) = (style.bold(&graph.name), json!(recipe.stem));
    let (side, classes, step) = (graph.input.height, graph.classes(), workload.task.step());
    format!(
        "{step} of {model} (stem {}), {CHANNELS}x{side}x{side} images, {classes} classes{optimizer}, {} threads, {}",
        stem.as_str().unwrap_or_default(),
        info.threads,
        info.level,
    )
}

/// Measurements of one network as a table.
pub fn as_text(measurements: &[Measurement], style: Style) -> String {
    let Some(last) = measurements.last() else { return String::new() };
    let rows = measurements.iter().map(|measurement| Row {
        batch: measurement.workload.batch,
        times: &measurement.times,
        images_per_second: measurement.images_per_second(),
    });
    let table = timing::table(&rows.collect::<Vec<_>>(), style);
    let memory = last.peak_resident_bytes.map(|peak| format!("peak resident memory {}", units::bytes(peak)));
    let first = measurements.iter().find_map(|measurement| measurement.first_step_ms);
    let first = first.map(|milliseconds| format!("first step done {milliseconds:.0} ms after the process began"));
    let notes: Vec<String> = memory.into_iter().chain(first).collect();
    format!("{}\n\n{table}\n{}\n", heading(&last.workload, style), notes.join("; "))
}
