//! SIGINT and SIGTERM: the first asks to stop in good order, the second ends the program at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What has been asked for.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Set by the first signal.
    pub asked: Arc<AtomicBool>,
    signal: Arc<AtomicI32>,
}

impl Stop {
    /// Listens from now on, in a thread of its own. `answer` tells the user what the first signal does.
    pub fn on_signals(answer: &'static str) -> anyhow::Result<Self> {
        let stop = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let told = stop.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if told.asked.swap(true, Ordering::SeqCst) {
                    std::process::exit(128 + signal);
                }
                told.signal.store(signal, Ordering::SeqCst);
                tracing::warn!("{answer}; the same signal again stops at once");
            }
        })?;
        Ok(stop)
    }

    /// The signal that asked, if one did.
    pub fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }
}
