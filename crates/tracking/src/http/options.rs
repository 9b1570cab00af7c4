//! How a tracking server is reached. Read from the environment in `cli`, never here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a server may say nothing where the settings do not say, and before its first answer.
const TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_CONTACT_TIMEOUT: Duration = Duration::from_secs(15);

/// Credentials, TLS, patience and proxies, under MLflow's names.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// `MLFLOW_TRACKING_USERNAME`, with [`Self::password`].
    pub username: Option<String>,
    /// `MLFLOW_TRACKING_PASSWORD`.
    pub password: Option<String>,
    /// `MLFLOW_TRACKING_TOKEN`; used where there is no username.
    pub token: Option<String>,
    /// `MLFLOW_TRACKING_INSECURE_TLS`: whether any certificate is believed.
    pub insecure_tls: bool,
    /// `MLFLOW_TRACKING_SERVER_CERT_PATH`: a PEM file with the authorities to believe, instead of the public ones.
    pub server_cert_path: Option<PathBuf>,
    /// `MLFLOW_TRACKING_CLIENT_CERT_PATH`: a PEM file with this client's certificate and its key.
    pub client_cert_path: Option<PathBuf>,
    /// `MLFLOW_HTTP_REQUEST_TIMEOUT`: how long the server may say nothing. `None` is MLflow's 120 s, but 15 s after a GET until the
    /// server has answered for the first time.
    pub timeout: Option<Duration>,
    /// `MLFLOW_HTTP_REQUEST_MAX_RETRIES`. `None` is MLflow's 7, but 1 until the server has answered for the first time: what is
    /// wrong with an address should be said at once, not after four minutes.
    pub max_retries: Option<u32>,
    /// `MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR`: this times 2, 4, 8, ... is the pause before the second, third, ... retry.
    pub backoff_factor: Duration,
    /// `MLFLOW_HTTP_REQUEST_BACKOFF_JITTER`: up to this much is added to a pause.
    pub backoff_jitter: Duration,
    /// Proxies.
    pub proxies: ProxyOptions,
    /// Large files.
    pub multipart: MultipartOptions,
}

/// `HTTPS_PROXY` and its kin.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// The way to `https://` addresses.
    pub https: Option<String>,
    /// The way to `http://` addresses.
    pub http: Option<String>,
    /// `NO_PROXY`: hosts, domains, networks, separated by commas.
    pub no_proxy: String,
}

/// When a file goes to the server's bucket in parts (the server signs a URL for each) instead of through the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartOptions {
    /// `MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD`.
    pub enabled: bool,
    /// `MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE`, in bytes.
    pub minimum_file_size: u64,
    /// `MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE`, in bytes.
    pub chunk_size: u64,
}

impl ServerOptions {
    /// How long the server may say nothing; `answered` is whether it ever has said something.
    pub(super) fn patience(&self, answered: bool) -> Duration {
        self.timeout.unwrap_or(if answered { TIMEOUT } else { FIRST_CONTACT_TIMEOUT })
    }
}

impl Default for ServerOptions {
    /// MLflow's defaults.
    fn default() -> Self {
        Self {
            username: None,
            password: None,
            token: None,
            insecure_tls: false,
            server_cert_path: None,
            client_cert_path: None,
            timeout: None,
            max_retries: None,
            backoff_factor: Duration::from_secs(2),
            backoff_jitter: Duration::from_secs(1),
            proxies: ProxyOptions::default(),
            multipart: MultipartOptions::default(),
        }
    }
}

impl Default for MultipartOptions {
    fn default() -> Self {
        Self { enabled: true, minimum_file_size: 500 << 20, chunk_size: 10 << 20 }
    }
}

impl fmt::Debug for ServerOptions {
    /// Whether there are secrets, not which.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("ServerOptions")
            .field("username", &self.username)
            .field("password", &self.password.is_some())
            .field("token", &self.token.is_some())
            .field("insecure_tls", &self.insecure_tls)
            .field("server_cert_path", &self.server_cert_path)
            .field("client_cert_path", &self.client_cert_path)
            .field("timeout", &self.timeout)
            .field("max_retries", &self.max_retries)
            .field("backoff_factor", &self.backoff_factor)
            .field("backoff_jitter", &self.backoff_jitter)
            .field("proxies", &self.proxies)
            .field("multipart", &self.multipart)
            .finish()
    }
}

impl fmt::Debug for ProxyOptions {
    /// A proxy's address may hold a password.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("ProxyOptions")
            .field("https", &self.https.is_some())
            .field("http", &self.http.is_some())
            .field("no_proxy", &self.no_proxy)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minutes_are_for_a_server_that_is_known_to_be_one() {
        let patience = |options: &ServerOptions| (options.patience(true).as_secs(), options.patience(false).as_secs());
        assert_eq!(patience(&ServerOptions::default()), (120, 15));
        assert_eq!(patience(&ServerOptions { timeout: Some(Duration::from_secs(40)), ..ServerOptions::default() }), (40, 40));
    }
}
