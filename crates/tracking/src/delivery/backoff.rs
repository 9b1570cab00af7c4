//! How long to wait before the next try.

use std::time::Duration;

use crate::run_name::random_bytes;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double up to half a minute, each by chance between half and all of it, so that many runs that lost the same
/// server do not come back at the same moment.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Without random bytes the whole wait will do.
        let chance = random_bytes::<2>().map_or(u16::MAX, u16::from_le_bytes);
        whole.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u16::MAX))
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How often it has failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_half_a_minute_and_differ() {
        let mut backoff = Backoff::default();
        let waits: Vec<f64> = (0..40).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((0.25..=0.5).contains(&waits[0]) && (2.0..=4.0).contains(&waits[3]), "{waits:?}");
        assert!(waits[6..].iter().all(|wait| (15.0..=30.0).contains(wait)), "{waits:?}");
        assert!(waits[6..].iter().any(|wait| *wait != waits[6]), "{waits:?}");
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
