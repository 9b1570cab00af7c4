//! `anmok bench layers`.

use super::measurement::heading;
use super::timing::Timing;
use super::workload::{Task, Workload};
use super::{Step, Surroundings};
use crate::failure::Usage;
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json, units};
use anmok_engine::Engine;
use anmok_engine::native::machine::{self, Machine};
use anmok_engine::native::profile::{LayerProfile, PARTS, Part, Phase, Profile};
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use std::time::Duration;

pub const AFTER_HELP: &str = "\
For each layer and direction: time per step; GFLOP/s and GB/s, of the operations and bytes that it needs at least
(products with padding left out, each map once per pass over it); and `of limit`: the share of what this machine could do,
whichever is nearer of its arithmetic (flops) and its memory (bytes). Both are measured first, on the same threads:
multiply-adds in registers, and copying in caches and memory, of which that counts which would hold the layer's maps.
Forward is with the BatchNorm and activation behind an operation, backward with theirs. What takes no time of its own
because it is fused into a layer is not shown. A backward pass works out the gradients of inputs and of weights, each as
much work as forward; the first layer needs none of its inputs.

--json prints one object:
  bench, task (train or infer), model, stem, batch, passes, threads, level, steps, step_us (mean);
  machine: gflops, copying: [working_set_bytes (of each thread), gb_per_second];
  layers, in the order asked for: name, kind, output, share (of the step), forward and backward (null in inference), each
  with us, norm_us (of that, normalising and activation), gflops, gb_per_second, of_peak_flops, of_copying, of_limit (the
  greater of the two), limit (flops or bytes);
  parts (what belongs to no layer; rest is what nothing claims): name, us, share;
  kinds: kind, layers, share, forward, backward as above, the costliest first.
All layers (unless --top) and parts have shares that add up to 1.

Examples:
  anmok bench layers
  anmok bench layers --model resnet18 --infer --batch 1
  anmok bench layers --top 10 --sort time --threads 1 --json";

/// Where the time of a step goes, layer by layer, beside what this machine can do.
#[derive(Debug, Args)]
pub struct Layers {
    #[command(flatten)]
    step: Step,
    /// Inference instead of a training step
    #[arg(long)]
    infer: bool,
    /// Show the costliest N layers only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    top: Option<u64>,
    /// The order of layers: as they run, or by the time they take
    #[arg(long, value_name = "ORDER", default_value = "run")]
    sort: Order,
    #[command(flatten)]
    timing: Timing,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Run,
    Time,
}

impl Layers {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = self.step.settings(surroundings)?;
        let task = if self.infer { Task::Infer } else { Task::Train };
        let mut workload = Workload::new(task, &settings, &self.step.network, settings.recipe.batch_size)?;
        let level = settings.simd_level().map_err(Usage)?;
        let machine = machine::measure(level, workload.engine.info().threads).context("this machine does not have the SIMD level")?;
        self.timing.warm_up(|| workload.step())?;
        workload.engine.set_profiling(true);
        let times = self.timing.measure(|| workload.step())?;
        let profile = workload.engine.profile().context("the engine kept no profile")?;
        let mut breakdown = Breakdown::of(profile, &workload, &machine, times.mean() * 1e3, times.count());
        breakdown.arrange(self.sort, self.top);
        if self.json {
            print_json(&breakdown.as_json(&workload));
        } else {
            let style = Style::new(settings.color, &std::io::stdout());
            print(&format!("{}\n\n{}", heading(&workload, style), breakdown.as_text(task, style)));
        }
        Ok(())
    }
}

/// Time per step in one direction, and the work that is done in it at least.
#[derive(Debug, Clone, Copy, Default)]
struct Pass {
    us: f64,
    norm_us: f64,
    flops: f64,
    bytes: f64,
    /// The time that the machine needs for the operations alone.
    flops_us: f64,
    /// The time that it needs to read and write the bytes alone.
    bytes_us: f64,
    /// The longer of the two; of several layers, the sum of theirs.
    least_us: f64,
}

impl Pass {
    fn new(us: [f64; 2], flops: f64, bytes: f64, machine: &Machine) -> Self {
        let (flops_us, bytes_us) = (flops / machine.flops_per_second * 1e6, bytes / machine.bytes_per_second(bytes) * 1e6);
        let [own, norm_us] = us;
        Self { us: own + norm_us, norm_us, flops, bytes, flops_us, bytes_us, least_us: flops_us.max(bytes_us) }
    }

    fn add(&mut self, other: &Self) {
        self.us += other.us;
        self.norm_us += other.norm_us;
        self.flops += other.flops;
        self.bytes += other.bytes;
        self.flops_us += other.flops_us;
        self.bytes_us += other.bytes_us;
        self.least_us += other.least_us;
    }

    /// `amount` per microsecond; 0 where no time was spent.
    fn per_us(&self, amount: f64) -> f64 {
        if self.us > 0.0 { amount / self.us } else { 0.0 }
    }

    fn gflops(&self) -> f64 {
        self.per_us(self.flops) / 1e3
    }

    fn gb_per_second(&self) -> f64 {
        self.per_us(self.bytes) / 1e3
    }

    fn limit(&self) -> &'static str {
        if self.flops_us >= self.bytes_us { "flops" } else { "bytes" }
    }

    fn as_json(&self) -> Json {
        json!({
            "us": self.us, "norm_us": self.norm_us, "gflops": self.gflops(), "gb_per_second": self.gb_per_second(),
            "of_peak_flops": self.per_us(self.flops_us), "of_copying": self.per_us(self.bytes_us),
            "of_limit": self.per_us(self.least_us), "limit": self.limit(),
        })
    }

    const COLUMNS: [&'static str; 4] = ["GFLOP/s", "GB/s", "of limit", ""];

    /// The time, and what stands below [`Self::COLUMNS`].
    fn cells(&self, style: Style) -> [String; 5] {
        if self.us == 0.0 {
            return ["-", "", "", "", ""].map(|text| style.dim(text));
        }
        [
            format!("{:.1}", self.us),
            format!("{:.1}", self.gflops()),
            format!("{:.1}", self.gb_per_second()),
            format!("{:.0} %", self.per_us(self.least_us) * 100.0),
            style.dim(self.limit()),
        ]
    }
}

/// One layer, or all layers of a kind.
#[derive(Debug, Clone)]
struct Line {
    name: String,
    kind: String,
    output: String,
    layers: usize,
    forward: Pass,
    /// `None` in inference.
    backward: Option<Pass>,
}

impl Line {
    fn us(&self) -> f64 {
        self.forward.us + self.backward.map_or(0.0, |pass| pass.us)
    }

    fn cells(&self, task: Task, step_us: f64, style: Style) -> Vec<String> {
        let mut cells = self.forward.cells(style).to_vec();
        if task == Task::Train {
            cells.extend(self.backward.unwrap_or_default().cells(style));
        }
        cells.push(units::percent(self.us() / step_us));
        cells
    }
}

/// Where the time of a step goes.
struct Breakdown {
    step_us: f64,
    steps: usize,
    machine: Machine,
    layers: Vec<Line>,
    kinds: Vec<Line>,
    parts: Vec<(&'static str, f64)>,
    /// The layers that are not shown, and their time.
    left_out: (usize, f64),
}

impl Breakdown {
    fn of(profile: &Profile, workload: &Workload, machine: &Machine, step_us: f64, steps: usize) -> Self {
        let us = |time: Duration| time.as_secs_f64() * 1e6 / steps as f64;
        let mut learned_before = false;
        let layers: Vec<Line> = profile
            .layers
            .iter()
            .map(|layer| {
                let learns = layer.has_weights && workload.learns(&layer.name);
                let line = line(layer, [learned_before, learns], workload, machine, us);
                learned_before |= learns;
                line
            })
            .collect();
        let mut parts: Vec<(&'static str, f64)> = PARTS.into_iter().map(|part| (part_name(part), us(profile.part(part)))).collect();
        let claimed = layers.iter().map(Line::us).chain(parts.iter().map(|(_, us)| *us)).sum::<f64>();
        parts.push(("rest", step_us - claimed));
        Self { step_us, steps, machine: machine.clone(), kinds: kinds(&layers), layers, parts, left_out: (0, 0.0) }
    }

    fn arrange(&mut self, order: Order, top: Option<u64>) {
        let mut by_time: Vec<usize> = (0..self.layers.len()).collect();
        by_time.sort_by(|&a, &b| self.layers[b].us().total_cmp(&self.layers[a].us()));
        let shown = top.map_or(by_time.len(), |top| by_time.len().min(usize::try_from(top).unwrap_or(usize::MAX)));
        let hidden = by_time.split_off(shown);
        self.left_out = (hidden.len(), hidden.iter().map(|&index| self.layers[index].us()).sum());
        if order == Order::Run {
            by_time.sort_unstable();
        }
        self.layers = by_time.iter().map(|&index| self.layers[index].clone()).collect();
    }

    fn as_json(&self, workload: &Workload) -> Json {
        let (info, graph) = (workload.engine.info(), workload.engine.graph());
        let share = |us: f64| us / self.step_us;
        let copying = self
            .machine
            .copying
            .iter()
            .map(|copying| json!({ "working_set_bytes": copying.working_set, "gb_per_second": copying.bytes_per_second / 1e9 }));
        let layers = self.layers.iter().map(|line| {
            json!({
                "name": line.name, "kind": line.kind, "output": line.output, "share": share(line.us()),
                "forward": line.forward.as_json(), "backward": line.backward.map(|pass| pass.as_json()),
            })
        });
        let kinds = self.kinds.iter().map(|line| {
            json!({
                "kind": line.kind, "layers": line.layers, "share": share(line.us()),
                "forward": line.forward.as_json(), "backward": line.backward.map(|pass| pass.as_json()),
            })
        });
        let parts = self.parts.iter().map(|&(name, us)| json!({ "name": name, "us": us, "share": share(us) }));
        json!({
            "bench": "layers", "task": workload.task.name(), "model": graph.name, "stem": workload.recipe.stem, "batch": workload.batch,
            "passes": workload.passes_per_step(), "threads": info.threads, "level": info.level, "steps": self.steps,
            "step_us": self.step_us,
            "machine": { "gflops": self.machine.flops_per_second / 1e9, "copying": copying.collect::<Vec<_>>() },
            "layers": layers.collect::<Vec<_>>(), "parts": parts.collect::<Vec<_>>(), "kinds": kinds.collect::<Vec<_>>(),
        })
    }

    fn as_text(&self, task: Task, style: Style) -> String {
        let mut layers = table(&["layer", "kind", "output"], &[Align::Left; 3], task, style);
        for line in &self.layers {
            let head = [line.name.clone(), line.kind.clone(), line.output.clone()];
            layers.row(head.into_iter().chain(line.cells(task, self.step_us, style)));
        }
        let (hidden, hidden_us) = self.left_out;
        let left_out = match hidden {
            0 => String::new(),
            _ => format!("{hidden} further layers: {hidden_us:.1} µs, {}\n", units::percent(hidden_us / self.step_us)),
        };
        let mut kinds = table(&["kind", "layers"], &[Align::Left, Align::Right], task, style);
        for line in &self.kinds {
            kinds.row([line.kind.clone(), line.layers.to_string()].into_iter().chain(line.cells(task, self.step_us, style)));
        }
        let mut parts = Table::new(&[Align::Left, Align::Right, Align::Right]);
        parts.row(["beside the layers", "µs", "share"].map(|head| style.bold(head)));
        for &(name, us) in self.parts.iter().filter(|(_, us)| *us != 0.0) {
            parts.row([name.to_owned(), format!("{us:.1}"), units::percent(us / self.step_us)]);
        }
        let [flops, least_us] = self
            .kinds
            .iter()
            .flat_map(|line| [Some(line.forward), line.backward])
            .flatten()
            .fold([0.0; 2], |[flops, least_us], pass| [flops + pass.flops, least_us + pass.least_us]);
        let copying = self
            .machine
            .copying
            .iter()
            .map(|copying| format!("{} {:.0} GB/s", units::bytes(copying.working_set as u64), copying.bytes_per_second / 1e9));
        format!(
            "{}{left_out}\n{}\n{}\n{} µs per step on average of {} ({:.1} GFLOP/s); at this machine's limits the layers would take {:.1} µs, \
             {}\nthis machine: {:.0} GFLOP/s; copying, by working set of a thread: {}\n",
            layers.render(""),
            kinds.render(""),
            parts.render(""),
            style.bold(&format!("{:.1}", self.step_us)),
            self.steps,
            flops / self.step_us / 1e3,
            least_us,
            units::percent(least_us / self.step_us),
            self.machine.flops_per_second / 1e9,
            copying.collect::<Vec<_>>().join(", ")
        )
    }
}

/// A table of lines, with its heads.
fn table(heads: &[&str], columns: &[Align], task: Task, style: Style) -> Table {
    let directions: &[&str] = if task == Task::Train { &["forward µs", "backward µs"] } else { &["µs"] };
    let mut aligned = columns.to_vec();
    let mut row: Vec<&str> = heads.to_vec();
    for direction in directions {
        aligned.extend([Align::Right, Align::Right, Align::Right, Align::Right, Align::Left]);
        row.push(direction);
        row.extend(Pass::COLUMNS);
    }
    aligned.push(Align::Right);
    row.push("share");
    let mut table = Table::new(&aligned);
    table.row(row.into_iter().map(|head| style.bold(head)));
    table
}

/// `gradients`: whether those of the inputs are worked out, and those of the weights.
fn line(layer: &LayerProfile, gradients: [bool; 2], workload: &Workload, machine: &Machine, us: impl Fn(Duration) -> f64) -> Line {
    let (images, passes) = (workload.images_per_step() as f64, workload.passes_per_step() as f64);
    let (flops, bytes) = (layer.forward.flops * images, layer.forward.map_bytes * images + layer.forward.weight_bytes * passes);
    let times = |own, norm| [us(layer.time(own)), us(layer.time(norm))];
    // Each takes the work of the forward pass.
    let gradients: f64 = gradients.map(|wanted| f64::from(u8::from(wanted))).iter().sum();
    let backward = || Pass::new(times(Phase::Backward, Phase::BackwardNorm), gradients * flops, gradients * bytes, machine);
    Line {
        name: layer.name.clone(),
        kind: layer.kind.clone(),
        output: layer.output.clone(),
        layers: 1,
        forward: Pass::new(times(Phase::Forward, Phase::ForwardNorm), flops, bytes, machine),
        backward: (workload.task == Task::Train).then(backward),
    }
}

/// The sums of layers of one kind, the costliest first.
fn kinds(layers: &[Line]) -> Vec<Line> {
    let mut kinds: Vec<Line> = vec![];
    for layer in layers {
        match kinds.iter_mut().find(|sum| sum.kind == layer.kind) {
            None => kinds.push(layer.clone()),
            Some(sum) => {
                sum.layers += 1;
                sum.forward.add(&layer.forward);
                if let (Some(sum), Some(pass)) = (&mut sum.backward, &layer.backward) {
                    sum.add(pass);
                }
            }
        }
    }
    kinds.sort_by(|a, b| b.us().total_cmp(&a.us()));
    kinds
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Input => "input",
        Part::Weights => "weights",
        Part::Loss => "loss",
        Part::Update => "update",
    }
}
