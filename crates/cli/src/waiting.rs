//! A word for those who wait.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Nobody wonders before.
const AFTER: Duration = Duration::from_secs(5);

/// Does something, and says `what` if it is not done after a few seconds.
pub fn told<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(AFTER) == Err(RecvTimeoutError::Timeout) {
                tracing::info!("{what}");
            }
        });
        let result = work();
        drop(done);
        result
    })
}
