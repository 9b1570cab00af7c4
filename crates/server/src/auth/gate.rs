//! From credentials to an account, and what is remembered in between.
//!
//! Looking at a password costs milliseconds and memory on purpose, so that it is done once: afterwards the credentials are
//! known by a keyed hash, and the account behind them is read again every second at most. A changed password, a revoked token
//! or grant, and a deleted user count at once where they were changed, and within that second on any other server.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anmok_protocol::messages::accounts::User;
use anmok_protocol::{Grants, Permission};
use anmok_tracking::{Account, AccountKey, AccountStore, AccountToken, TrackingError, now_ms};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::credentials::Credentials;
use super::throttle::Throttle;
use super::{Auth, password};
use crate::answer::{Failure, text};
use crate::endpoint::Shared;

/// MLflow's words.
const NOT_AUTHENTICATED: &str = "You are not authenticated. Please see \
                                 https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow on how to authenticate.";

/// How long an account is taken for what it was.
const FRESH: Duration = Duration::from_secs(1);
/// How long a password that was right is not looked at again.
const PROVEN: Duration = Duration::from_secs(600);
/// What is remembered at most of each kind; then it starts afresh.
const REMEMBERED: usize = 50_000;
/// Requests at most that wait for their password to be looked at.
const QUEUE: usize = 128;

/// A user, and what decides about requests.
#[derive(Debug)]
pub(crate) struct Known {
    pub user: User,
    pub grants: Grants,
    password_hash: String,
    tokens: Vec<AccountToken>,
    pub revision: i64,
}

impl Known {
    fn new(account: Account) -> Self {
        let Account { user, password_hash, grants, tokens, revision } = account;
        Self { user, grants: Grants::new(grants), password_hash, tokens, revision }
    }

    /// Whether what was proven once still is.
    fn stands(&self, proof: &Proof) -> bool {
        match proof {
            Proof::PasswordHash(hash) => *hash == self.password_hash,
            Proof::TokenHash(hash) => self.tokens.iter().any(|token| token.token_hash == *hash && !expired(token)),
        }
    }
}

fn expired(token: &AccountToken) -> bool {
    token.expiration_time.is_some_and(|time| time <= now_ms())
}

/// By what somebody was known.
#[derive(Debug, Clone)]
enum Proof {
    PasswordHash(String),
    TokenHash(String),
}

#[derive(Clone)]
struct Proven {
    user_id: i64,
    proof: Proof,
    until: Instant,
}

/// Why somebody does not come in.
pub(crate) enum Refusal {
    /// No credentials, or wrong ones.
    Unauthenticated,
    /// Too many wrong ones, or too many at once.
    Wait(Duration),
    /// It could not be found out.
    Failed(Failure),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthenticated => {
                let mut response = text(StatusCode::UNAUTHORIZED, NOT_AUTHENTICATED);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"mlflow\""));
                response
            }
            Self::Wait(wait) => {
                let seconds = wait.as_secs() + 1;
                let mut response = text(StatusCode::TOO_MANY_REQUESTS, format!("Too many wrong passwords: try again in {seconds} s."));
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            Self::Failed(failure) => failure.into_response(),
        }
    }
}

pub(crate) struct Gate {
    pub default_permission: Permission,
    /// Of this process alone: what is remembered of passwords is worth nothing elsewhere.
    key: Hmac<Sha256>,
    proven: Mutex<HashMap<[u8; 32], Proven>>,
    accounts: Mutex<HashMap<i64, (Instant, Arc<Known>)>>,
    /// Counts changes made here: what was read before one is not remembered after it.
    changes: AtomicU64,
    experiments_of_runs: Mutex<HashMap<String, String>>,
    experiments_of_models: Mutex<HashMap<String, String>>,
    throttle: Throttle,
    looking: Semaphore,
    waiting: AtomicUsize,
}

impl Gate {
    /// # Errors
    /// The system has no random bytes.
    pub fn new(auth: &Auth) -> std::io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
        let key = Hmac::new_from_slice(&key).map_err(|error| std::io::Error::other(error.to_string()))?;
        // A hash fills a core and 19 MiB; half the cores go on serving who is known.
        let at_once = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 4));
        Ok(Self {
            default_permission: auth.default_permission,
            key,
            proven: Mutex::default(),
            accounts: Mutex::default(),
            changes: AtomicU64::new(0),
            experiments_of_runs: Mutex::default(),
            experiments_of_models: Mutex::default(),
            throttle: Throttle::default(),
            looking: Semaphore::new(at_once),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Who sends these headers.
    pub async fn admit(&self, app: &Shared, headers: &HeaderMap, peer: IpAddr) -> Result<Arc<Known>, Refusal> {
        let header = headers.get(header::AUTHORIZATION).ok_or(Refusal::Unauthenticated)?;
        let digest: [u8; 32] = self.key.clone().chain_update(header.as_bytes()).finalize().into_bytes().into();
        let proven = lock(&self.proven).get(&digest).filter(|proven| proven.until > Instant::now()).cloned();
        if let Some(proven) = proven {
            let account = match self.fresh(proven.user_id) {
                Some(account) => Some(account),
                None => app.gated("Authenticate", move |gate, store| gate.reread(store, proven.user_id)).await.map_err(Refusal::Failed)?,
            };
            if let Some(account) = account.filter(|account| account.stands(&proven.proof)) {
                return Ok(account);
            }
            lock(&self.proven).remove(&digest);
        }
        let credentials = Credentials::of(headers).ok_or(Refusal::Unauthenticated)?;
        let (account, proof) = self.prove(app, credentials, peer).await?;
        remember(&self.proven, digest, Proven { user_id: account.user.id, proof, until: Instant::now() + PROVEN });
        Ok(account)
    }

    async fn prove(&self, app: &Shared, credentials: Credentials, peer: IpAddr) -> Result<(Arc<Known>, Proof), Refusal> {
        // Tokens are too long to be guessed, but what asks with a wrong one over and over is not served for nothing either.
        let name = match &credentials {
            Credentials::Password { username, .. } => username.clone(),
            Credentials::Token(_) => String::new(),
        };
        if let Some(wait) = self.throttle.wait(peer, &name, Instant::now()) {
            return Err(Refusal::Wait(wait));
        }
        let known = match credentials {
            Credentials::Token(secret) => app.gated("Authenticate", move |gate, store| gate.by_token(store, &secret)).await,
            Credentials::Password { username, password } => {
                let _turn = self.turn().await?;
                app.gated("Authenticate", move |gate, store| gate.by_password(store, &username, &password)).await
            }
        };
        match known.map_err(Refusal::Failed)? {
            Some(known) => {
                self.throttle.right(peer, &name);
                Ok(known)
            }
            None => {
                self.throttle.wrong(peer, &name, Instant::now());
                tracing::warn!(target: "access", %peer, username = name.as_str(), "refused wrong credentials");
                Err(Refusal::Unauthenticated)
            }
        }
    }

    /// A turn at looking at a password.
    pub async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
        let busy = || Refusal::Wait(Duration::from_secs(1));
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(busy());
        }
        let turn = self.looking.acquire().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        turn.map_err(|_| busy())
    }

    /// A wrong password was given by somebody who is known, or the right one.
    pub fn note_password(&self, username: &str, right: bool) {
        // Not by address: whoever asks is this user already.
        let nowhere = IpAddr::from([0, 0, 0, 0]);
        match right {
            true => self.throttle.right(nowhere, username),
            false => self.throttle.wrong(nowhere, username, Instant::now()),
        }
    }

    /// How long somebody who is known must wait before the next password is looked at.
    pub fn must_wait(&self, username: &str) -> Option<Duration> {
        self.throttle.wait(IpAddr::from([0, 0, 0, 0]), username, Instant::now())
    }

    fn by_password(&self, store: &dyn AccountStore, username: &str, given: &str) -> Result<Option<(Arc<Known>, Proof)>, TrackingError> {
        let before = self.changes.load(Ordering::SeqCst);
        let Some(account) = store.account(&AccountKey::Username(username.into()))? else {
            password::verify_nothing(given);
            return Ok(None);
        };
        if !password::verify(given, &account.password_hash) {
            return Ok(None);
        }
        let proof = Proof::PasswordHash(account.password_hash.clone());
        Ok(Some((self.keep(account, before), proof)))
    }

    fn by_token(&self, store: &dyn AccountStore, secret: &str) -> Result<Option<(Arc<Known>, Proof)>, TrackingError> {
        let before = self.changes.load(Ordering::SeqCst);
        let hash = password::token_hash(secret);
        let Some(account) = store.account(&AccountKey::TokenHash(hash.clone()))? else { return Ok(None) };
        let (known, proof) = (self.keep(account, before), Proof::TokenHash(hash));
        Ok(known.stands(&proof).then_some((known, proof)))
    }

    fn fresh(&self, user_id: i64) -> Option<Arc<Known>> {
        lock(&self.accounts).get(&user_id).filter(|(read, _)| read.elapsed() < FRESH).map(|(_, account)| Arc::clone(account))
    }

    /// An account as it is now.
    pub fn reread(&self, store: &dyn AccountStore, user_id: i64) -> Result<Option<Arc<Known>>, TrackingError> {
        let before = self.changes.load(Ordering::SeqCst);
        let old = lock(&self.accounts).get(&user_id).map(|(_, account)| Arc::clone(account));
        if let Some(old) = old
            && store.account_revision(user_id)? == Some(old.revision)
        {
            self.put(&old, before);
            return Ok(Some(old));
        }
        Ok(store.account(&AccountKey::Id(user_id))?.map(|account| self.keep(account, before)))
    }

    fn keep(&self, account: Account, before: u64) -> Arc<Known> {
        let known = Arc::new(Known::new(account));
        self.put(&known, before);
        known
    }

    fn put(&self, known: &Arc<Known>, before: u64) {
        if self.changes.load(Ordering::SeqCst) == before {
            remember(&self.accounts, known.user.id, (Instant::now(), Arc::clone(known)));
        }
    }

    /// Accounts were changed here.
    pub fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        lock(&self.accounts).clear();
    }

    /// One account was changed here.
    pub fn forget_one(&self, user_id: i64) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        lock(&self.accounts).remove(&user_id);
    }

    /// The experiment of a run.
    pub fn experiment_of_run(&self, store: &dyn AccountStore, run_id: &str) -> Result<Option<String>, TrackingError> {
        looked_up(&self.experiments_of_runs, run_id, || store.experiment_of_run(run_id))
    }

    /// The experiment of a logged model.
    pub fn experiment_of_model(&self, store: &dyn AccountStore, model_id: &str) -> Result<Option<String>, TrackingError> {
        looked_up(&self.experiments_of_models, model_id, || store.experiment_of_logged_model(model_id))
    }
}

fn looked_up(
    known: &Mutex<HashMap<String, String>>,
    id: &str,
    look: impl FnOnce() -> Result<Option<String>, TrackingError>,
) -> Result<Option<String>, TrackingError> {
    if let Some(experiment) = lock(known).get(id) {
        return Ok(Some(experiment.clone()));
    }
    let found = look()?;
    if let Some(experiment) = &found {
        remember(known, id.to_owned(), experiment.clone());
    }
    Ok(found)
}

fn remember<K: Eq + Hash, V>(map: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut map = lock(map);
    if map.len() >= REMEMBERED && !map.contains_key(&key) {
        map.clear();
    }
    map.insert(key, value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
