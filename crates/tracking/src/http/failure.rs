//! Why an attempt brought no answer, in words that help, and whether another may.

use std::time::Duration;

use anmok_protocol::ApiError;
use rustls::CertificateError;
use ureq::Timeout;

/// What one attempt ended with instead of an answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub kind: Kind,
    /// Whether the server may have done what it was asked all the same.
    pub perhaps_done: bool,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// MLflow's own refusal.
    Refused(ApiError),
    /// Something that may be over the next time.
    Passing { detail: String, remedy: &'static str },
    /// What no MLflow server answers. Before the first right answer it is most probably another server; later it is a proxy's
    /// page while the server is away.
    Strange { detail: String, remedy: &'static str },
    /// Something that stays until somebody changes it.
    Final { detail: String, remedy: &'static str },
}

pub(super) const RIGHT_ADDRESS: &str = "check MLFLOW_TRACKING_URI, and whether a proxy stands between (HTTPS_PROXY, HTTP_PROXY, NO_PROXY)";
const IS_IT_THERE: &str = "check that the server runs, and its address in MLFLOW_TRACKING_URI";
const LONGER: &str = "try again later, or allow it more time with MLFLOW_HTTP_REQUEST_TIMEOUT";

impl Failure {
    pub fn new(kind: Kind, perhaps_done: bool) -> Self {
        Self { kind, perhaps_done, retry_after: None }
    }

    pub fn passing(detail: impl Into<String>, remedy: &'static str, perhaps_done: bool) -> Self {
        Self::new(Kind::Passing { detail: detail.into(), remedy }, perhaps_done)
    }

    pub fn strange(detail: impl Into<String>) -> Self {
        Self::new(Kind::Strange { detail: detail.into(), remedy: RIGHT_ADDRESS }, true)
    }

    pub fn fixed(detail: impl Into<String>, remedy: &'static str) -> Self {
        Self::new(Kind::Final { detail: detail.into(), remedy }, false)
    }

    /// A request that did not get through, or an answer that did not.
    pub fn of_transport(error: &ureq::Error) -> Self {
        use ureq::Error;
        match error {
            Error::Io(error) => Self::of_io(error),
            Error::Rustls(error) => Self::of_tls(error),
            Error::HostNotFound => Self::passing("cannot be found (its name has no address)", IS_IT_THERE, false),
            Error::ConnectionFailed => Self::passing("cannot be reached", IS_IT_THERE, false),
            Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                Self::passing("did not let itself be connected in time", IS_IT_THERE, false)
            }
            Error::Timeout(_) => Self::passing("did not answer in time", LONGER, true),
            Error::ConnectProxyFailed(why) => {
                Self::new(Kind::Strange { detail: format!("is not reached: the proxy refused ({why})"), remedy: RIGHT_ADDRESS }, false)
            }
            // An answer that is no HTTP.
            Error::Protocol(_) | Error::LargeResponseHeader(..) => Self::strange(format!("answered what is no HTTP ({error})")),
            error => Self::strange(format!("cannot be asked ({error})")),
        }
    }

    /// The same, from a stream of bytes.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let inner = error.get_ref();
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::of_tls(error);
        }
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            return Self::of_transport(error);
        }
        // The system's resolver has no kind of its own.
        if error.to_string().starts_with("failed to lookup address") {
            return Self::passing(format!("cannot be found ({error})"), IS_IT_THERE, false);
        }
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::passing("cannot be reached (connection refused)", IS_IT_THERE, false),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Self::passing(format!("cannot be reached ({error})"), IS_IT_THERE, false)
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::passing("did not answer in time", LONGER, true),
            _ => Self::passing(format!("cut the connection ({error})"), "try again later", true),
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let certificate = |detail: String, remedy| Self::new(Kind::Strange { detail, remedy }, false);
        const OTHER_AUTHORITY: &str = "name a file with the authority that issued it in MLFLOW_TRACKING_SERVER_CERT_PATH (or believe every \
                                       certificate with MLFLOW_TRACKING_INSECURE_TLS=true)";
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => certificate(
                format!("shows a certificate that has expired ({error})"),
                "have it renewed (or believe every certificate with MLFLOW_TRACKING_INSECURE_TLS=true), and check this machine's clock",
            ),
            rustls::Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                certificate(format!("shows a certificate that is not valid yet ({error})"), "check this machine's clock and the server's")
            }
            rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
                certificate(
                    format!("shows a certificate for another name ({error})"),
                    "write the name that the certificate is for in MLFLOW_TRACKING_URI",
                )
            }
            rustls::Error::InvalidCertificate(CertificateError::Other(why)) if why.to_string().contains("CaUsedAsEndEntity") => {
                certificate(
                    "shows an authority's certificate as its own".into(),
                    "make the server's certificate with basicConstraints=CA:FALSE (openssl req ... -addext basicConstraints=critical,CA:FALSE)",
                )
            }
            rustls::Error::InvalidCertificate(_) => {
                certificate(format!("shows a certificate that cannot be believed ({error})"), OTHER_AUTHORITY)
            }
            rustls::Error::InvalidMessage(_) => certificate(
                format!("does not speak TLS ({error})"),
                "write http:// instead of https:// in MLFLOW_TRACKING_URI, if that is meant",
            ),
            rustls::Error::AlertReceived(alert) => certificate(
                format!("refused this client's side of TLS (alert {alert:?})"),
                "if it asks for a client's certificate, name its file in MLFLOW_TRACKING_CLIENT_CERT_PATH",
            ),
            error => certificate(format!("cannot be spoken to over TLS ({error})"), RIGHT_ADDRESS),
        }
    }
}
