//! How long is timed, and what the times were.

use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::units;
use clap::Args;
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, Instant};

/// How long is timed.
#[derive(Debug, Clone, Args)]
pub struct Timing {
    /// Steps to time [default: as many as --seconds allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Stop timing after so many seconds [default: 3; with --steps no limit]
    #[arg(long, value_name = "X", value_parser = positive, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Steps before the timed ones
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub warmup: u64,
}

/// Timed for so long where nothing else is said.
const SECONDS: f64 = 3.0;

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= 86_400.0);
    number.ok_or_else(|| "must be a number of seconds above 0 and at most 86400".to_owned())
}

impl Timing {
    /// Does the steps before the timed ones. Gives the end of the very first, where there is one.
    pub fn warm_up(&self, mut step: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Option<Instant>> {
        let mut first = None;
        for _ in 0..self.warmup {
            step()?;
            first.get_or_insert_with(Instant::now);
        }
        Ok(first)
    }

    /// Times steps, at least one.
    pub fn measure(&self, mut step: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Times> {
        let seconds = match (self.seconds, self.steps) {
            (Some(seconds), _) => seconds,
            (None, Some(_)) => f64::INFINITY,
            (None, None) => SECONDS,
        };
        let (begin, mut times) = (Instant::now(), vec![]);
        let mut first = None;
        loop {
            let before = Instant::now();
            step()?;
            let after = Instant::now();
            first.get_or_insert(after);
            times.push(after - before);
            if self.steps.is_some_and(|steps| times.len() as u64 >= steps) || (after - begin).as_secs_f64() >= seconds {
                break;
            }
        }
        Ok(Times::new(first.unwrap_or(begin), &times))
    }
}

/// The times of some steps.
#[derive(Debug, Clone)]
pub struct Times {
    /// The end of the first one.
    pub first: Instant,
    /// In milliseconds, the shortest first.
    sorted: Vec<f64>,
}

impl Times {
    fn new(first: Instant, times: &[Duration]) -> Self {
        let mut sorted: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        Self { first, sorted }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// All of them together, in milliseconds.
    pub fn sum(&self) -> f64 {
        self.sorted.iter().sum()
    }

    /// Milliseconds on average.
    pub fn mean(&self) -> f64 {
        self.sum() / self.sorted.len() as f64
    }

    /// The milliseconds below which `share` of the times lie, between two of them in proportion.
    pub fn quantile(&self, share: f64) -> f64 {
        let place = share * (self.sorted.len() - 1) as f64;
        let (below, above) = (self.sorted[place.floor() as usize], self.sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// Half of the times are shorter.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Milliseconds by name.
    fn values(&self) -> [(&'static str, f64); 6] {
        [
            ("median", self.median()),
            ("min", self.quantile(0.0)),
            ("p10", self.quantile(0.1)),
            ("p90", self.quantile(0.9)),
            ("mean", self.mean()),
            ("max", self.quantile(1.0)),
        ]
    }

    /// One JSON object.
    pub fn as_json(&self) -> Json {
        self.values().into_iter().map(|(name, milliseconds)| (name.to_owned(), json!(milliseconds))).collect::<Map<_, _>>().into()
    }
}

/// One line of [`table`].
pub struct Row<'a> {
    pub batch: usize,
    pub times: &'a Times,
    pub images_per_second: f64,
}

/// Times as people read them, one row for each batch size.
pub fn table(rows: &[Row<'_>], style: Style) -> String {
    let mut table = Table::new(&[Align::Right; 9]);
    table.row(["batch", "median ms", "min", "p10", "p90", "mean", "max", "images/s", "timed"].map(|head| style.bold(head)));
    for Row { batch, times, images_per_second } in rows {
        let mut cells = vec![batch.to_string()];
        cells.extend(times.values().map(|(_, milliseconds)| format!("{milliseconds:.3}")));
        cells[1] = style.bold(&cells[1]);
        cells.extend([*images_per_second as u64, times.count() as u64].map(units::grouped));
        table.row(cells);
    }
    table.render("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: &[u64]) -> Times {
        Times::new(Instant::now(), &milliseconds.iter().copied().map(Duration::from_millis).collect::<Vec<_>>())
    }

    #[test]
    fn quantiles_lie_between_the_times() {
        let values = |milliseconds: &[u64]| times(milliseconds).values().map(|(_, value)| (value * 1e6).round() / 1e6);
        assert_eq!(values(&[11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), [6.0, 1.0, 2.0, 10.0, 6.0, 11.0]);
        assert_eq!(values(&[1, 2]), [1.5, 1.0, 1.1, 1.9, 1.5, 2.0]);
        assert_eq!(values(&[3]), [3.0; 6]);
    }

    #[test]
    fn as_many_steps_as_asked_for() {
        let timing = |steps, seconds| Timing { steps, seconds, warmup: 2 };
        let mut done = 0;
        let mut step = || {
            done += 1;
            Ok(())
        };
        assert!(timing(Some(5), None).warm_up(&mut step).unwrap().is_some());
        assert_eq!(timing(Some(5), None).measure(&mut step).unwrap().count(), 5);
        assert_eq!(timing(None, Some(1e-9)).measure(&mut step).unwrap().count(), 1);
        assert_eq!(done, 8);
        assert!(timing(Some(5), None).measure(|| anyhow::bail!("no")).is_err());
    }
}
