//! Connections, kept open and lent one to a caller.
//!
//! Our own, because the driver's runtime is ours too: a pool such as r2d2 brings a thread pool to make connections in, and
//! asks the server before each loan whether it is still there, which costs a round trip. Here a dead connection shows at its
//! first use, and the work is done again on a new one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::Client;
use crate::sql::{Failure, Fault};

pub(super) struct Pool {
    address: Address,
    most: usize,
    wait: Duration,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Client>,
    /// Idle or lent.
    open: usize,
    /// Counts the losses: a connection from before the last one is not kept.
    losses: u64,
}

impl Pool {
    pub fn new(address: Address, most: usize, wait: Duration) -> Self {
        Self { address, most: most.max(1), wait, state: Mutex::default(), returned: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection: an idle one, a new one, or one that comes back within the waiting time.
    pub fn get(&self) -> Result<Lent<'_>, Failure> {
        let deadline = Instant::now() + self.wait;
        let mut state = self.state();
        loop {
            if let Some(client) = state.idle.pop() {
                if client.is_closed() {
                    state.open -= 1;
                    continue;
                }
                return Ok(Lent { pool: self, client: Some(client), losses: state.losses, is_new: false, keep: true });
            }
            if state.open < self.most {
                state.open += 1;
                let losses = state.losses;
                drop(state);
                // If there is none, the place is given back with the loan.
                let mut lent = Lent { pool: self, client: None, losses, is_new: true, keep: true };
                lent.client = Some(Client::connect(&self.address)?);
                return Ok(lent);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let detail = format!("all {} connections have been busy for {} s", self.most, self.wait.as_secs_f64());
                return Err(Failure::new(Fault::Unavailable, detail));
            }
            state = self.returned.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A connection was lost: the others from before are most likely gone too.
    pub fn lost(&self) {
        let mut state = self.state();
        state.losses += 1;
        state.open -= state.idle.len();
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
        self.returned.notify_all();
    }
}

/// A connection on loan; it goes back when this is dropped.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    /// `None` until it is connected, and when it is given back.
    client: Option<Client>,
    losses: u64,
    /// Made for this loan.
    pub is_new: bool,
    /// Whether it can be lent again: not in an unknown state.
    pub keep: bool,
}

impl Lent<'_> {
    pub fn client(&mut self) -> Result<&mut Client, Failure> {
        self.client.as_mut().ok_or_else(|| Failure::other("the connection was given back"))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let client = self.client.take().filter(|client| self.keep && !client.is_closed());
        let mut state = self.pool.state();
        match client {
            Some(client) if self.losses == state.losses && !std::thread::panicking() => state.idle.push(client),
            _ => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}
