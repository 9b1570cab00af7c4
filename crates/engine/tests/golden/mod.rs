//! Reads the goldens that `make.py` wrote and judges an engine's tensors by them.
//!
//! A golden holds float64 values and the largest error that PyTorch's own float32 results have against them (oneDNN,
//! channels last, without oneDNN; each also with the images in reverse). An engine passes where its error is at most [`FACTOR`] times PyTorch's. The
//! formulas for weights and images are those of `formula.py`, bit for bit.

#![allow(dead_code, reason = "each of the three test binaries uses its own part")]

use anmok_engine::native::{Level, NativeEngine, NativeOptions};
use anmok_engine::{Engine, EngineError, Rule, TrainOptions};
use anmok_graph::{Graph, NamedTensor, TensorData};
use anmok_random::{bits, key, uniform_at};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// How many times PyTorch's own float32 error is allowed. The rounding of one way of computing says little about that
/// of another: PyTorch's own results, with the images in yet another order, reached 2.0 times the yardstick
/// (MobileNetV3-Small), and this engine has reached 2.9; a wrong formula or a lost tap is hundreds to millions of times it.
pub const FACTOR: f64 = 4.0;

/// Added to PyTorch's error, relative to the tensor's size: one unit in a float32's last place. Where a tensor has few
/// elements, PyTorch's error can be next to nothing by luck, which no other order of operations repeats.
const FLOOR: f64 = 1.0 / 8_388_608.0;

const PROJECTIONS: usize = 4;

/// A tensor in its compact form. Up to 24 elements it is whole; a larger one has some elements, at random positions, and
/// sums of all its elements with random signs.
#[derive(Debug, Deserialize)]
pub struct Digest {
    norm: f64,
    error: f64,
    max_error: f64,
    elements: Vec<f64>,
    #[serde(default)]
    projections: Vec<f64>,
}

/// A digest of a tensor of the state dict.
#[derive(Debug, Deserialize)]
pub struct NamedDigest {
    /// The tensor's name.
    pub name: String,
    /// Its values.
    #[serde(flatten)]
    pub digest: Digest,
}

impl Digest {
    /// The error of `values` as a multiple of PyTorch's. `words` name the tensor for the positions and signs.
    pub fn ratio(&self, words: &[u64], values: &[f32]) -> f64 {
        let n = values.len();
        let root = (n as f64).sqrt();
        let whole = self.projections.is_empty();
        if whole && n != self.elements.len() {
            return f64::INFINITY;
        }
        let with = |word_: &str| key(&[words, &[word(word_)]].concat());
        let positions: Vec<usize> = match whole {
            true => (0..n).collect(),
            false => (0..self.elements.len() as u64).map(|i| (bits(with("samples"), i) % n as u64) as usize).collect(),
        };
        let differences: Vec<f64> = positions.iter().zip(&self.elements).map(|(&at, e)| f64::from(values[at]) - e).collect();
        let largest = differences.iter().fold(0.0, |worst: f64, d| if d.is_nan() { f64::INFINITY } else { worst.max(d.abs()) });
        let by_element = largest / (self.max_error + FLOOR * self.norm / root + f64::MIN_POSITIVE);

        let allowed = self.error + FLOOR * self.norm + f64::MIN_POSITIVE;
        let by_norm = if whole {
            differences.iter().map(|d| d * d).sum::<f64>().sqrt() / allowed
        } else {
            // A sum with random signs of the differences has their norm as its standard deviation.
            let mut sums = [0.0; PROJECTIONS];
            let signs = with("signs");
            for (i, &value) in values.iter().enumerate() {
                let word = bits(signs, i as u64);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum += if word >> p & 1 == 1 { -f64::from(value) } else { f64::from(value) };
                }
            }
            let squares = sums.iter().zip(&self.projections).map(|(sum, p)| (sum - p) * (sum - p)).sum::<f64>();
            let norm = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
            (squares / PROJECTIONS as f64).sqrt().max((norm - self.norm).abs()) / allowed
        };
        if by_norm.is_nan() { f64::INFINITY } else { by_element.max(by_norm) }
    }

    /// The stored elements of a tensor that is stored whole.
    pub fn whole(&self) -> &[f64] {
        assert!(self.projections.is_empty(), "the tensor is not stored whole");
        &self.elements
    }
}

/// Collects what exceeds [`FACTOR`] in one subject, so that a failure shows all of it, worst first.
pub struct Verdict {
    subject: String,
    compared: usize,
    offences: Vec<(f64, String)>,
}

impl Verdict {
    pub fn new(subject: String) -> Self {
        Self { subject, compared: 0, offences: vec![] }
    }

    /// Notes one comparison: `ratio` is the error as a multiple of what PyTorch's float32 has.
    pub fn note(&mut self, ratio: f64, what: impl std::fmt::Display) {
        self.compared += 1;
        if ratio.is_nan() || ratio > FACTOR {
            self.offences.push((ratio, what.to_string()));
        }
    }

    /// Compares `tensors` with `goldens` by position; the names must agree. `kind` is the word of `formula.py`.
    pub fn tensors(&mut self, seed: u64, kind: &str, goldens: &[NamedDigest], tensors: &[NamedTensor]) {
        let names = |names: Vec<&str>| names.join(" ");
        let (expected, got) = (goldens.iter().map(|g| &*g.name).collect(), tensors.iter().map(|t| &*t.name).collect());
        assert_eq!(names(expected), names(got), "{}: {kind}", self.subject);
        for (index, (golden, tensor)) in goldens.iter().zip(tensors).enumerate() {
            let words = [seed, word(kind), index as u64];
            self.note(golden.digest.ratio(&words, tensor.as_f32().expect("floats")), format_args!("{kind} {}", golden.name));
        }
    }

    /// Fails where an error was too large, or nothing was compared.
    pub fn finish(mut self) {
        assert!(self.compared > 0, "{}: nothing was compared", self.subject);
        self.offences.sort_by(|a, b| b.0.total_cmp(&a.0));
        let list: Vec<_> =
            self.offences.iter().take(12).map(|(ratio, what)| format!("  {ratio:.3e} times PyTorch's error: {what}")).collect();
        let (bad, all) = (self.offences.len(), self.compared);
        assert!(bad == 0, "{}: {bad} of {all} comparisons are beyond {FACTOR} times:\n{}", self.subject, list.join("\n"));
    }
}

/// The golden `name`, from the repository or, in `make parity`, from the folder where PyTorch has just made it.
pub fn load<T: DeserializeOwned>(name: &str) -> T {
    #[expect(clippy::disallowed_methods, reason = "how `make parity` points the tests to fresh goldens")]
    let folder = std::env::var("ANMOK_GOLDEN_DIR").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden").to_owned());
    let path = format!("{folder}/{name}.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Up to eight ASCII characters as one word of a key.
pub fn word(text: &str) -> u64 {
    text.bytes().fold(0, |word, byte| word << 8 | u64::from(byte))
}

/// Number `i` of the sequence `key`, in [-1, 1).
pub fn signed(key: u64, i: usize) -> f64 {
    f64::from(uniform_at(key, i as u64)) * 2.0 - 1.0
}

/// The state dict by formula; `given` overrides tensors by name.
pub fn state(graph: &Graph, seed: u64, given: &BTreeMap<String, Vec<f64>>) -> Vec<NamedTensor> {
    let mut state = graph.initial_state(0);
    let mut index = 0;
    for tensor in &mut state {
        let TensorData::F32(values) = &mut tensor.data else { continue };
        let sequence = key(&[seed, word("weights"), index]);
        index += 1;
        let fan_in = tensor.shape.iter().skip(1).product::<usize>() as f64;
        for (i, value) in values.iter_mut().enumerate() {
            let noise = signed(sequence, i);
            *value = if tensor.shape.len() > 1 {
                noise * (6.0 / fan_in).sqrt()
            } else if tensor.name.ends_with("weight") || tensor.name.ends_with("running_var") {
                1.0 + 0.5 * noise
            } else {
                0.25 * noise
            } as f32;
        }
        if let Some(given) = given.get(&tensor.name) {
            *values = given.iter().map(|&v| v as f32).collect();
        }
    }
    state
}

/// Images by formula: `[batch, height, width, channels]`.
pub fn images(graph: &Graph, seed: u64, batch: usize) -> Vec<f32> {
    let (height, width, channels) = (graph.input.height, graph.input.width, graph.input.channels);
    let (blocks, noise) = (key(&[seed, word("blocks")]), key(&[seed, word("noise")]));
    let mut pixels = Vec::with_capacity(batch * graph.input.elements());
    for image in 0..batch {
        for row in 0..height {
            for column in 0..width {
                for channel in 0..channels {
                    let block = ((image * 4 + row * 4 / height) * 4 + column * 4 / width) * channels + channel;
                    pixels.push((2.0 * signed(blocks, block) + 0.5 * signed(noise, pixels.len())) as f32);
                }
            }
        }
    }
    pixels
}

/// One class per image by formula.
pub fn labels(seed: u64, name: &str, batch: usize, classes: usize) -> Vec<u32> {
    (0..batch as u64).map(|i| (bits(key(&[seed, word(name)]), i) % classes as u64) as u32).collect()
}

/// An engine that trains all of `graph`, with `state` loaded.
pub fn engine(
    graph: &Graph,
    state: &[NamedTensor],
    batch: usize,
    (level, threads): (Level, usize),
    (rule, weight_decay): (Rule, f64),
) -> Result<NativeEngine, EngineError> {
    let train =
        TrainOptions { rule, weight_decay, decay_norm_and_bias: true, trainable: vec![true; graph.parameters.len()], ema_decay: None };
    let options = NativeOptions { threads, max_batch: batch, level: Some(level), train: Some(train) };
    let mut engine = NativeEngine::new(graph.clone(), options)?;
    engine.load_model_state(state)?;
    Ok(engine)
}

/// The float tensors of a state dict that are not parameters.
pub fn buffers(graph: &Graph, state: Vec<NamedTensor>) -> Vec<NamedTensor> {
    state.into_iter().filter(|t| t.as_f32().is_some() && graph.buffers.iter().any(|b| b.name == t.name)).collect()
}

/// The bits of all floats, for comparisons that allow no error.
pub fn bits_of(tensors: &[NamedTensor]) -> Vec<(String, Vec<u32>)> {
    tensors.iter().filter_map(|t| Some((t.name.clone(), t.as_f32()?.iter().map(|v| v.to_bits()).collect()))).collect()
}
