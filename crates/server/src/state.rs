//! What every request sees.

use std::sync::Arc;
use std::time::Instant;

use anmok_tracking::Store;

use crate::answer::Failure;
use crate::figures::Figures;
use crate::options::Options;

/// One server's store, options and figures.
pub(crate) struct App {
    pub store: Arc<dyn Store>,
    pub options: Options,
    pub figures: Figures,
}

impl App {
    pub fn new(store: Arc<dyn Store>, options: Options) -> Self {
        Self { store, options, figures: Figures::default() }
    }

    /// Does blocking work on the pool of waiting threads, timed under the name of `operation`.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let app = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            let result = work(&app);
            app.figures.operation(operation, start.elapsed());
            result
        });
        done.await.unwrap_or_else(|panic| Err(Failure::panicked(operation, &panic)))
    }
}
