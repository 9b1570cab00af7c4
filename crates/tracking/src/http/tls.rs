//! Which servers are believed, and who this client says it is.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::options::ServerOptions;
use crate::error::TrackingError;

const SERVER_CERT: &str = "MLFLOW_TRACKING_SERVER_CERT_PATH";
const CLIENT_CERT: &str = "MLFLOW_TRACKING_CLIENT_CERT_PATH";

/// # Errors
/// A file that cannot be read or does not hold what it should; settings that contradict each other.
pub(super) fn config(options: &ServerOptions) -> Result<TlsConfig, TrackingError> {
    let provider = Arc::new(ring::default_provider());
    let mut config = TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::clone(&provider));
    if let Some(path) = &options.server_cert_path {
        if options.insecure_tls {
            let why = "it has no use while MLFLOW_TRACKING_INSECURE_TLS accepts every certificate; unset one of the two";
            return Err(refused(SERVER_CERT, path, why));
        }
        config = config.root_certs(RootCerts::new_with_certs(&owned(&authorities(path)?)));
    }
    if let Some(path) = &options.client_cert_path {
        config = config.client_cert(Some(client_cert(path, provider)?));
    }
    Ok(config.disable_verification(options.insecure_tls).build())
}

fn refused(name: &str, path: &Path, why: impl std::fmt::Display) -> TrackingError {
    TrackingError::Setting { name: format!("{name}={}", path.display()), why: why.to_string() }
}

fn owned(certificates: &[CertificateDer]) -> Vec<Certificate<'static>> {
    certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TrackingError> {
    let refuse = |error: &dyn std::fmt::Display| refused(name, path, format!("its certificates cannot be read: {error}"));
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(|error| refuse(&error))?.collect::<Result<_, _>>().map_err(|error| refuse(&error))?;
    if found.is_empty() { Err(refuse(&"there is none in PEM form (-----BEGIN CERTIFICATE-----)")) } else { Ok(found) }
}

/// The certificates of a file, each of which can stand for an authority.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrackingError> {
    let found = certificates(SERVER_CERT, path)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        // ureq would pass over it, and then refuse every server.
        roots.add(certificate.clone()).map_err(|error| refused(SERVER_CERT, path, format!("a certificate cannot be read: {error}")))?;
    }
    Ok(found)
}

fn client_cert(path: &Path, provider: Arc<rustls::crypto::CryptoProvider>) -> Result<ClientCert, TrackingError> {
    let refuse = |why: String| refused(CLIENT_CERT, path, why);
    let chain = certificates(CLIENT_CERT, path)?;
    let key = |error: &dyn std::fmt::Display| refuse(format!("the file must also hold the certificate's key in PEM form: {error}"));
    let rustls_key = PrivateKeyDer::from_pem_file(path).map_err(|error| key(&error))?;
    // ureq would panic where the two do not belong together.
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain.clone(), rustls_key)
        .map_err(|error| refuse(format!("certificate and key do not belong together or cannot be used: {error}")))?;
    let pem = std::fs::read(path).map_err(|error| TrackingError::io("reading the client certificate", path, error))?;
    let key = PrivateKey::from_pem(&pem).map_err(|error| key(&error))?;
    Ok(ClientCert::new_with_certs(&owned(&chain), key))
}
