//! Which database, and how to reach it: a URI as psycopg2's users write it.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Config, Host, SslMode};

use super::tls::{Tls, Trust};
use crate::error::TrackingError;
use crate::uri::without_password;

/// What a database and its server are called, and the settings of a connection.
pub(super) struct Address {
    pub config: Config,
    pub tls: Tls,
    /// For messages: the place without user and password.
    pub name: String,
}

impl Address {
    /// Reads `postgresql://user:password@host:port/database?options`. Options are those of libpq as far as they make sense
    /// here: `host`, `port`, `user`, `password`, `dbname`, `sslmode`, `sslrootcert`, `connect_timeout`, `application_name`,
    /// `options`, `keepalives...`, `target_session_attrs`, `tcp_user_timeout`, `load_balance_hosts`.
    ///
    /// # Errors
    /// An option or value that cannot be used, by name.
    pub fn parse(uri: &str) -> Result<Self, TrackingError> {
        let refuse = |why: String| TrackingError::Uri { uri: without_password(uri), why };
        let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut ssl_mode = "prefer".to_string();
        let mut root = None;
        let mut rest = vec![];
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let value = || percent_decode_str(value).decode_utf8_lossy().into_owned();
            match key {
                "sslmode" => ssl_mode = value(),
                "sslrootcert" => root = Some(value()),
                // Compression has been gone from OpenSSL's defaults for long; psycopg2's users still write it.
                "sslcompression" | "gssencmode" | "client_encoding" => {}
                _ => rest.push(option),
            }
        }
        let trust = match (ssl_mode.as_str(), root) {
            ("disable" | "allow" | "prefer" | "require", None) => Trust::Anyone,
            // As libpq does: a root certificate that is named is used.
            ("disable" | "allow" | "prefer", Some(_)) => Trust::Anyone,
            ("require" | "verify-ca" | "verify-full", Some(file)) if file != "system" => Trust::File(PathBuf::from(file)),
            ("verify-ca" | "verify-full" | "require", _) => Trust::Public,
            _ => {
                return Err(refuse(format!("sslmode={ssl_mode:?} is none of disable, allow, prefer, require, verify-ca and verify-full")));
            }
        };
        let mut config: Config = format!("{place}?{}", rest.join("&")).parse().map_err(|error: tokio_postgres::Error| {
            refuse(format!("{}; write postgresql://user:password@host:5432/database", super::failure::words(&error)))
        })?;
        config.ssl_mode(match ssl_mode.as_str() {
            "disable" | "allow" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            _ => SslMode::Require,
        });
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if config.get_application_name().is_none() {
            config.application_name("anmok");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        // A server that has gone without a word (a cable, a frozen machine) is noticed within this time.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        config.keepalives_idle(Duration::from_secs(30).min(config.get_keepalives_idle()));
        let tls = Tls::new(&trust).map_err(refuse)?;
        let name = name(&config);
        Ok(Self { config, tls, name })
    }
}

fn name(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        })
        .collect();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgresql://{}:{port}/{database}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_as_psycopg2s_users_write_them() {
        for (uri, name, ssl_mode) in [
            ("postgresql://u:p@host/db", "postgresql://host:5432/db", SslMode::Prefer),
            ("postgresql://u:p@host:6543/db?sslmode=require", "postgresql://host:6543/db", SslMode::Require),
            ("postgresql://u:p@host/db?sslmode=verify-full&connect_timeout=3", "postgresql://host:5432/db", SslMode::Require),
            ("postgresql://u@/db?host=%2Ftmp%2Fx&port=7000", "postgresql:///tmp/x:7000/db", SslMode::Prefer),
            ("postgresql://u@/db?host=/tmp/x&sslmode=disable", "postgresql:///tmp/x:5432/db", SslMode::Disable),
            ("postgresql:///db", "postgresql://localhost:5432/db", SslMode::Prefer),
            ("postgresql://u:p%40ss@host1,host2/db", "postgresql://host1,host2:5432/db", SslMode::Prefer),
        ] {
            let address = Address::parse(uri).unwrap();
            assert_eq!((address.name.as_str(), address.config.get_ssl_mode()), (name, ssl_mode), "{uri}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_without_the_password() {
        for (uri, words) in [
            ("postgresql://u:secret@host/db?sslmode=maybe", "sslmode=\"maybe\" is none of"),
            ("postgresql://u:secret@host:port/db", "port"),
            ("postgresql://u:secret@host/db?password_file=secret", "password_file"),
            ("postgresql://u:secret@host/db?sslmode=verify-full&sslrootcert=/none/root.pem", "/none/root.pem"),
            ("postgresql://host/db?password=secret&sslmode=maybe", "sslmode"),
        ] {
            let error = Address::parse(uri).err().expect("it is refused").to_string();
            assert!(error.contains(words), "{uri}: {error}");
            assert!(!error.contains("u:secret") && !error.contains("password=secret"), "{error}");
        }
    }
}
