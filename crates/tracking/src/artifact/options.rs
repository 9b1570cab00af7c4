//! How artifacts other than local folders are reached. Read from the environment in `cli`, never here.

use std::collections::BTreeMap;
use std::fmt;

/// Where `mlflow-artifacts:` URIs lead, and what buckets need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactOptions {
    /// The folder or URI that a server keeps its proxied artifacts in; `None` where no server is.
    pub destination: Option<String>,
    /// What reaches buckets.
    pub buckets: BucketOptions,
}

/// What S3, Google's and Azure's stores need.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BucketOptions {
    /// `MLFLOW_S3_ENDPOINT_URL`: an S3 server other than Amazon's, asked with the bucket in the path.
    pub s3_endpoint_url: Option<String>,
    /// `MLFLOW_S3_IGNORE_TLS`: whether a certificate of it that cannot be checked is accepted.
    pub s3_ignore_tls: bool,
    /// The variables of [`Self::PREFIXES`] by name, which are the providers' own: `AWS_ACCESS_KEY_ID`,
    /// `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_CONNECTION_STRING` and so on. Unknown ones are ignored, as the
    /// providers' own tools do.
    pub variables: BTreeMap<String, String>,
}

impl BucketOptions {
    /// How the names of the providers' variables begin.
    pub const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
}

impl fmt::Debug for BucketOptions {
    /// Names without values: some are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("BucketOptions")
            .field("s3_endpoint_url", &self.s3_endpoint_url)
            .field("s3_ignore_tls", &self.s3_ignore_tls)
            .field("variables", &self.variables.keys())
            .finish()
    }
}
