//! When a failed request is sent again, and after which pause: as MLflow's own client has it (urllib3's `Retry`).

use std::time::Duration;

use super::options::ServerOptions;
use crate::run_name::random_bytes;

/// Retries where the settings name no number, and before the first answer.
const RETRIES: u32 = 7;
const FIRST_CONTACT_RETRIES: u32 = 1;

/// The longest pause, whoever asks for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// How often, and with which pauses.
#[derive(Debug, Clone)]
pub(super) struct Retries {
    most: Option<u32>,
    factor: Duration,
    jitter: Duration,
}

impl Retries {
    pub fn new(options: &ServerOptions) -> Self {
        Self { most: options.max_retries, factor: options.backoff_factor, jitter: options.backoff_jitter }
    }

    /// How many there are; `answered` is whether the server ever has.
    pub fn most(&self, answered: bool) -> u32 {
        self.most.unwrap_or(if answered { RETRIES } else { FIRST_CONTACT_RETRIES })
    }

    /// The pause before a retry, from 1 on. The first one waits only if the server asks for it: most cut connections are old
    /// ones that the server had closed.
    pub fn pause(&self, retry: u32, asked: Option<Duration>) -> Duration {
        let backoff = match retry {
            0 | 1 => Duration::ZERO,
            retry => self.factor.saturating_mul(1 << (retry - 1).min(16)) + self.jitter.mul_f64(random_fraction()),
        };
        asked.unwrap_or(backoff).min(LONGEST_PAUSE)
    }
}

/// From 0 to 1. Without random bytes there is no jitter, and nothing worse.
fn random_fraction() -> f64 {
    random_bytes::<4>().map_or(0.0, |bytes| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_those_of_mlflows_client() {
        let retries = Retries::new(&ServerOptions::default());
        let seconds = |retry| retries.pause(retry, None).as_secs_f64();
        assert_eq!(seconds(1), 0.0);
        for (retry, least) in [(2, 4.0), (3, 8.0), (4, 16.0), (5, 32.0), (6, 64.0)] {
            assert!((least..=least + 1.0).contains(&seconds(retry)), "{retry}: {}", seconds(retry));
        }
        assert_eq!((seconds(7), seconds(u32::MAX)), (120.0, 120.0));
        assert_eq!(retries.pause(1, Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(retries.pause(1, Some(Duration::MAX)), LONGEST_PAUSE);
        assert_eq!((retries.most(true), retries.most(false)), (7, 1));
        let chosen = Retries::new(&ServerOptions { max_retries: Some(3), ..ServerOptions::default() });
        assert_eq!((chosen.most(true), chosen.most(false)), (3, 3));
    }
}
