//! What every request sees.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use anmok_tracking::{AccountStore, Store, TrackingError};

use crate::answer::Failure;
use crate::auth::Caller;
use crate::auth::gate::Gate;
use crate::figures::Figures;
use crate::options::Options;
use crate::webhooks::delivery::Courier;

/// One server's store, options and figures.
pub(crate) struct App {
    pub store: Arc<dyn Store>,
    pub options: Options,
    pub figures: Figures,
    /// Where callers are asked who they are; `None` where nobody is.
    pub gate: Option<Gate>,
    /// Who tells webhooks.
    pub courier: Courier,
}

impl App {
    pub fn new(store: Arc<dyn Store>, options: Options) -> io::Result<Self> {
        let gate = options.auth.as_ref().map(Gate::new).transpose()?;
        let courier = Courier::new(options.webhooks.clone());
        Ok(Self { store, options, figures: Figures::default(), gate, courier })
    }

    /// Whether it must be asked what this caller may do.
    pub fn asks(&self, caller: &Caller) -> bool {
        self.gate.is_some() && !caller.account().is_some_and(|account| account.user.is_admin)
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

    /// The gate's blocking work; without a gate there is none.
    pub async fn gated<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        work: impl FnOnce(&Gate, &dyn AccountStore) -> Result<Option<T>, TrackingError> + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        self.blocking(operation, move |app| match &app.gate {
            Some(gate) => Ok(work(gate, &*app.store)?),
            None => Ok(None),
        })
        .await
    }
}
