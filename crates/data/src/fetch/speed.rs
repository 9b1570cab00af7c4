//! How fast a download is, over the last few seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What one looks back on.
const WINDOW: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(200);

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Bytes here, earlier attempts' included.
    pub bytes: u64,
    /// Bytes in all, if the host said.
    pub total: Option<u64>,
    /// Over the last seconds.
    pub bytes_per_second: f64,
    /// At that speed.
    pub seconds_left: Option<f64>,
}

/// Takes notes of bytes and times.
#[derive(Debug)]
pub(super) struct Meter {
    samples: VecDeque<(Instant, u64)>,
    slow_since: Instant,
}

impl Meter {
    pub fn new(now: Instant, bytes: u64) -> Self {
        Self { samples: VecDeque::from([(now, bytes)]), slow_since: now }
    }

    /// A progress report when one is due.
    pub fn note(&mut self, now: Instant, bytes: u64, total: Option<u64>) -> Option<Progress> {
        let &(newest, _) = self.samples.back()?;
        if now - newest < INTERVAL && Some(bytes) != total {
            return None;
        }
        self.samples.push_back((now, bytes));
        while self.samples.len() > 2 && now - self.samples[1].0 >= WINDOW {
            self.samples.pop_front();
        }
        let &(start, start_bytes) = self.samples.front()?;
        let bytes_per_second = bytes.saturating_sub(start_bytes) as f64 / (now - start).as_secs_f64().max(1e-3);
        let seconds_left = total.filter(|_| bytes_per_second > 0.0).map(|total| total.saturating_sub(bytes) as f64 / bytes_per_second);
        Some(Progress { bytes, total, bytes_per_second, seconds_left })
    }

    /// Whether it has been slow for `after`; starts counting anew when it says so.
    pub fn is_slow(&mut self, now: Instant, progress: &Progress, below: u64, after: Duration) -> bool {
        if progress.bytes_per_second >= below as f64 {
            self.slow_since = now;
        }
        let slow = now - self.slow_since >= after;
        if slow {
            self.slow_since = now;
        }
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_and_time_left_are_of_the_last_seconds() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let mut meter = Meter::new(start, 1_000);
        assert_eq!(meter.note(at(1), 2_000, Some(100_000)), None);
        let first = meter.note(at(10), 11_000, Some(100_000)).unwrap();
        assert_eq!((first.bytes_per_second, first.seconds_left), (10_000.0, Some(8.9)));
        // Ten times as fast from now on: after the window nothing is left of the beginning.
        assert!((2..=20).all(|second| meter.note(at(10 * second), 11_000 + (second - 1) * 100_000, None).is_some()));
        let last = meter.note(at(210), 2_011_000, None).unwrap();
        assert!((last.bytes_per_second - 100_000.0).abs() < 1.0, "{last:?}");
        assert_eq!(last.seconds_left, None);
    }

    #[test]
    fn a_slow_host_is_reported_each_time_it_has_been_slow_for_long() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 0);
        let mut reports = vec![];
        for second in 1..=30 {
            let now = start + Duration::from_secs(second);
            let progress = meter.note(now, second * 10, None).unwrap();
            if meter.is_slow(now, &progress, 100, Duration::from_secs(10)) {
                reports.push(second);
            }
        }
        assert_eq!(reports, [10, 20, 30]);
    }
}
