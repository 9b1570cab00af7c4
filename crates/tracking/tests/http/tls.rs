//! Certificates: believed, expired, of others, asked for.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anmok_tracking::{ServerOptions, StoreOptions, open};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::scripted::{Scripted, ok, status};
use crate::{EXPERIMENT, impatient, store_with, trouble};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/http/certificates").join(name)
}

/// An `https` server that shows a certificate, and asks for one if it is to.
fn server(name: &str, asks: bool) -> Scripted {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("authority.pem")).unwrap()).unwrap();
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let certificate = CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
    let wrap = move |stream: TcpStream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
    let mut server = Scripted::with([ok(EXPERIMENT), ok(EXPERIMENT)], wrap);
    server.url = server.url.replace("http://", "https://");
    server
}

fn believing() -> ServerOptions {
    ServerOptions { server_cert_path: Some(file("authority.pem")), ..impatient() }
}

#[test]
fn a_server_of_a_named_authority_is_believed() {
    let server = server("server", false);
    let store = store_with(&server.url, believing());
    for _ in 0..2 {
        assert!(store.experiment("7").unwrap().is_some());
    }
    assert!(server.asked().iter().all(|asked| asked.connection == 0), "the connection is used again");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_what_to_do() {
    let check = |name: &str, options: ServerOptions, words: &[&str]| {
        let server = server(name, false);
        let (message, can_pass) = trouble(store_with(&server.url, options).experiment("7"));
        for words in words {
            assert!(message.contains(words), "{message}");
        }
        assert!(!can_pass && server.asked().is_empty(), "{message}");
    };
    check("server", impatient(), &["cannot be believed", "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS"]);
    check("expired", believing(), &["has expired", "renewed", "clock"]);
    check("elsewhere", believing(), &["for another name", "elsewhere.example", "MLFLOW_TRACKING_URI"]);
}

#[test]
fn every_certificate_is_believed_where_that_is_wanted() {
    let server = server("expired", false);
    let options = ServerOptions { insecure_tls: true, ..impatient() };
    assert!(store_with(&server.url, options).experiment("7").unwrap().is_some());
}

#[test]
fn a_client_shows_its_certificate_where_it_is_asked_for() {
    let asking = server("server", true);
    let options = ServerOptions { client_cert_path: Some(file("client.pem")), ..believing() };
    assert!(store_with(&asking.url, options).experiment("7").unwrap().is_some());
    let asking = server("server", true);
    let (message, _) = trouble(store_with(&asking.url, believing()).experiment("7"));
    assert!(message.contains("MLFLOW_TRACKING_CLIENT_CERT_PATH"), "{message}");
}

#[test]
fn a_server_without_tls_is_told_from_one_with_it() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let (message, _) = trouble(store_with(&url, impatient()).experiment("7"));
    assert!(message.contains("does not speak TLS") && message.contains("http:// instead of https://"), "{message}");
    // As nginx answers.
    let plain = Scripted::start([status("400 Bad Request", "", "<title>400 The plain HTTP request was sent to HTTPS port</title>")]);
    let (message, _) = trouble(store_with(&plain.url, impatient()).experiment("7"));
    assert!(message.contains("plain HTTP request was sent to HTTPS port"), "{message}");
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, "no certificate").unwrap();
    let mixed = folder.path().join("mixed.pem");
    let text = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    std::fs::write(&mixed, text("server.pem") + &text("elsewhere.key")).unwrap();
    let check = |options: ServerOptions, words: &[&str]| {
        let options = StoreOptions { server: options, ..StoreOptions::default() };
        let error = open("https://host", &options).err().expect("it is refused").to_string();
        for words in words {
            assert!(error.contains(words), "{error}");
        }
    };
    let server_cert = |path: PathBuf| ServerOptions { server_cert_path: Some(path), timeout: Some(Duration::from_secs(1)), ..impatient() };
    let client_cert = |path: PathBuf| ServerOptions { client_cert_path: Some(path), ..impatient() };
    check(server_cert(folder.path().join("none.pem")), &["MLFLOW_TRACKING_SERVER_CERT_PATH=", "none.pem", "cannot be read"]);
    check(server_cert(other.clone()), &["other.pem", "there is none in PEM form"]);
    check(client_cert(other), &["MLFLOW_TRACKING_CLIENT_CERT_PATH="]);
    check(client_cert(file("server.pem")), &["must also hold the certificate's key"]);
    check(client_cert(mixed), &["do not belong together"]);
    check(ServerOptions { insecure_tls: true, ..believing() }, &["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_INSECURE_TLS"]);
}
