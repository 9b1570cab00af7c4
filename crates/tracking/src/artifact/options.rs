//! How artifacts other than local folders are reached. Read from the environment in `cli`, never here.

use std::collections::BTreeMap;
use std::fmt;

/// Where `mlflow-artifacts:` URIs lead, and what S3 needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactOptions {
    /// The folder or URI that a server keeps its proxied artifacts in; `None` where no server is.
    pub destination: Option<String>,
    /// S3 and what speaks its protocol.
    pub s3: S3Options,
}

/// What S3 needs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// `MLFLOW_S3_ENDPOINT_URL`: a server other than Amazon's, asked with the bucket in the path.
    pub endpoint_url: Option<String>,
    /// `MLFLOW_S3_IGNORE_TLS`: whether a certificate that cannot be checked is accepted.
    pub ignore_tls: bool,
    /// The `AWS_*` variables by name: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_DEFAULT_REGION`, and those of web identities and containers. Unknown ones are ignored, as AWS's own tools do.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for S3Options {
    /// Names without values: some are secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("S3Options")
            .field("endpoint_url", &self.endpoint_url)
            .field("ignore_tls", &self.ignore_tls)
            .field("variables", &self.variables.keys())
            .finish()
    }
}
