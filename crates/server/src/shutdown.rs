//! Asking a server to stop, from any thread.

use tokio::sync::watch;

/// Stops the servers that were given a clone of it.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Asks; a server answers what is under way and ends. Asking twice is asking once.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Waits until somebody has asked.
    pub(crate) async fn asked(&self) {
        // It fails only without a sender, and we hold one.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
