//! Connections to buckets: what tells the providers apart. What is done with the objects in them is the same for all
//! (`objects`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::options::BucketOptions;
use super::uri::{BucketUri, Provider};
use crate::error::TrackingError;

/// The region that is signed for where none is named; other servers than Amazon's do not mind.
const DEFAULT_REGION: &str = "us-east-1";

/// Where an account's blobs are unless another cloud is named.
const AZURE_DOMAIN: &str = "blob.core.windows.net";

/// Makes URLs that need no credentials, for files and for their parts.
pub(super) trait Signing: Signer + MultipartStore {}

impl<T: Signer + MultipartStore> Signing for T {}

/// A connection to a bucket. Clones are the same connection.
#[derive(Clone)]
pub(super) struct Bucket {
    /// For messages.
    pub name: Arc<str>,
    pub provider: Provider,
    pub store: Arc<dyn ObjectStore>,
    /// `None` where URLs cannot be signed. Azure's take no parts as S3's and Google's do, and no name for what is downloaded.
    pub signing: Option<Arc<dyn Signing>>,
}

impl fmt::Debug for Bucket {
    /// The name alone: the connection holds secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl Provider {
    /// Where its credentials come from, for messages.
    pub fn credentials(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Self::Google => "the account that GOOGLE_APPLICATION_CREDENTIALS names",
            Self::Azure => "AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCESS_KEY",
        }
    }

    /// What names the address of a server other than the provider's own.
    pub fn address(self) -> &'static str {
        match self {
            Self::S3 => "MLFLOW_S3_ENDPOINT_URL",
            Self::Google => "GOOGLE_BASE_URL",
            Self::Azure => "AZURE_STORAGE_CONNECTION_STRING",
        }
    }
}

impl Bucket {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Variables that make no sense, files of credentials that cannot be read.
    pub fn open(uri: &BucketUri, options: &BucketOptions) -> Result<Self, TrackingError> {
        // Several providers of cryptography can be compiled in, and rustls does not choose; it may have been done already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let opened = match uri.provider {
            Provider::S3 => s3(uri, options),
            Provider::Google => google(uri, options),
            Provider::Azure => azure(uri, options),
        };
        let name = uri.name();
        match opened {
            Ok((store, signing)) => Ok(Self { name: name.into(), provider: uri.provider, store, signing }),
            Err(error) => Err(TrackingError::ArtifactLocation { uri: name, why: error.to_string() }),
        }
    }
}

/// A store, and the same as one that signs.
type Opened = Result<(Arc<dyn ObjectStore>, Option<Arc<dyn Signing>>), object_store::Error>;

/// S3, or what speaks its protocol.
fn s3(uri: &BucketUri, options: &BucketOptions) -> Opened {
    let mut builder = AmazonS3Builder::new().with_region(DEFAULT_REGION);
    for (key, value) in known::<AmazonS3ConfigKey>(options, "AWS_") {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(uri.bucket);
    let mut client = client();
    if let Some(endpoint) = &options.s3_endpoint_url {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_virtual_hosted_style_request(false);
        client = client.with_allow_http(is_plain(endpoint));
    }
    if options.s3_ignore_tls {
        client = client.with_allow_invalid_certificates(true);
    }
    let store = Arc::new(builder.with_client_options(client).with_retry(retries()).build()?);
    Ok((Arc::clone(&store) as _, Some(store)))
}

/// Google Cloud Storage.
fn google(uri: &BucketUri, options: &BucketOptions) -> Opened {
    let mut builder = GoogleCloudStorageBuilder::new();
    let mut client = client();
    // Without a key of its own an account signs by asking another service, which it often may not.
    let mut signs = false;
    for (key, value) in known::<GoogleConfigKey>(options, "GOOGLE_") {
        match key {
            GoogleConfigKey::BaseUrl => client = client.with_allow_http(is_plain(value)),
            GoogleConfigKey::ServiceAccount | GoogleConfigKey::ServiceAccountKey => signs = true,
            GoogleConfigKey::ApplicationCredentials => signs |= is_service_account(value),
            _ => {}
        }
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(uri.bucket);
    let store = Arc::new(builder.with_client_options(client).with_retry(retries()).build()?);
    Ok((Arc::clone(&store) as _, signs.then_some(store as _)))
}

/// Whether a file of Google's credentials holds a key, and not the session of a person.
fn is_service_account(path: &str) -> bool {
    let credentials = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    credentials.is_some_and(|credentials| credentials["type"] == "service_account")
}

/// Azure's blobs.
fn azure(uri: &BucketUri, options: &BucketOptions) -> Opened {
    let mut builder = MicrosoftAzureBuilder::new();
    for (key, value) in known::<AzureConfigKey>(options, "AZURE_") {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_container_name(uri.bucket);
    let mut endpoint = options.variables.get("AZURE_STORAGE_ENDPOINT").cloned();
    if let Some(text) = options.variables.get("AZURE_STORAGE_CONNECTION_STRING") {
        let parts = connection_string(text);
        let known = [("AccountKey", AzureConfigKey::AccessKey), ("SharedAccessSignature", AzureConfigKey::SasKey)];
        for (value, key) in known.into_iter().filter_map(|(name, key)| Some((*parts.get(name)?, key))) {
            builder = builder.with_config(key, value);
        }
        endpoint = parts.get("BlobEndpoint").map(|&address| address.to_owned()).or(endpoint);
    }
    if let Some((account, domain)) = uri.account {
        builder = builder.with_account(account);
        endpoint = endpoint.or_else(|| (domain != AZURE_DOMAIN).then(|| format!("https://{account}.{domain}")));
    }
    let mut client = client();
    if let Some(endpoint) = endpoint {
        client = client.with_allow_http(is_plain(&endpoint));
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    let store = builder.with_client_options(client).with_retry(retries()).build()?;
    Ok((Arc::new(store), None))
}

/// The variables of a provider that its store knows. Some name a bucket: the location's own is set after them.
fn known<'a, K: std::str::FromStr + 'a>(options: &'a BucketOptions, prefix: &'a str) -> impl Iterator<Item = (K, &'a String)> {
    let of_provider = options.variables.iter().filter(move |(name, _)| name.starts_with(prefix));
    of_provider.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

/// The parts of one of Azure's connection strings: `AccountName=acme;AccountKey=...;BlobEndpoint=...`. Keys end with `=`.
fn connection_string(text: &str) -> BTreeMap<&str, &str> {
    text.split(';').filter_map(|part| part.trim().split_once('=')).collect()
}

fn is_plain(address: &str) -> bool {
    address.starts_with("http://")
}

/// No limit on the whole of a request: it may carry a file of any size. The time for an answer also runs while a request is sent:
/// it lets the parts of a large file through at 1.2 Mbit/s.
fn client() -> ClientOptions {
    let client = ClientOptions::new().with_connect_timeout(Duration::from_secs(5));
    client.with_read_timeout(Duration::from_secs(120)).with_timeout_disabled()
}

/// A minute or two of retries inside would outlast the patience of whoever waits; callers have retries of their own.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 },
        max_retries: 4,
        retry_timeout: Duration::from_secs(15),
    }
}
