//! SIGINT and SIGTERM: the first asks to stop in good order, the second ends the program at once, after its last words.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is still done before the second signal ends the program.
type LastWords = Box<dyn FnOnce() + Send>;

/// How long the last words may take: the user wants to be gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What has been asked for.
#[derive(Clone, Default)]
pub struct Stop {
    /// Set by the first signal.
    pub asked: Arc<AtomicBool>,
    signal: Arc<AtomicI32>,
    last_words: Arc<Mutex<Option<LastWords>>>,
}

impl Stop {
    /// Listens from now on, in a thread of its own. `answer` tells the user what the first signal does.
    pub fn on_signals(answer: &'static str) -> anyhow::Result<Self> {
        Self::on_signals_then(answer, || ())
    }

    /// As [`Self::on_signals`], and the first signal calls `then`: for work that cannot look at a flag while it waits.
    pub fn on_signals_then(answer: &'static str, then: impl Fn() + Send + 'static) -> anyhow::Result<Self> {
        let stop = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let told = stop.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if told.asked.load(Ordering::SeqCst) {
                    told.say_last_words();
                    std::process::exit(128 + signal);
                }
                // The number first: whoever sees the flag asks for it.
                told.signal.store(signal, Ordering::SeqCst);
                told.asked.store(true, Ordering::SeqCst);
                tracing::warn!("{answer}; the same signal again stops at once");
                then();
            }
        })?;
        Ok(stop)
    }

    /// What the second signal still does, best effort, before the program ends; `None` for nothing any more.
    pub fn set_last_words(&self, words: Option<LastWords>) {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    fn say_last_words(&self) {
        let Some(words) = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let (said, wait) = channel();
        let thread = std::thread::Builder::new().spawn(move || {
            words();
            // Nobody listens after the time is up.
            let _ = said.send(());
        });
        if thread.is_ok() {
            let _ = wait.recv_timeout(LAST_WORDS);
        }
    }

    /// The signal that asked, if one did.
    pub fn signal(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0)
    }
}
