//! How a tracking server is reached, under MLflow's names. User, password and token are no settings, so that none of them
//! is ever a flag that others can see, or a line of `config show`: MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD and
//! MLFLOW_TRACKING_TOKEN are read beside these, and so are HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

use super::value::{Kind, Optional, OptionalSeconds, Seconds, Switch, Whole};
use super::{Section, setting};

pub const SECTION: Section = Section {
    title: "Tracking server",
    of_recipe: false,
    settings: &[
        setting(
            "tracking_insecure_tls",
            "Believe a tracking server whatever certificate it shows",
            &Switch { field: |s| &mut s.connection.insecure_tls },
        )
        .with_variables(&["MLFLOW_TRACKING_INSECURE_TLS"]),
        setting(
            "tracking_server_cert_path",
            "PEM file with the authorities that a tracking server's certificate may come from",
            &Optional {
                field: |s| &mut s.connection.server_cert_path,
                kind: Kind::Text,
                noun: "FILE",
                what: "a file",
                absent: "the public authorities",
            },
        )
        .with_variables(&["MLFLOW_TRACKING_SERVER_CERT_PATH"]),
        setting(
            "tracking_client_cert_path",
            "PEM file with the certificate, and its key, that a tracking server asks clients for",
            &Optional {
                field: |s| &mut s.connection.client_cert_path,
                kind: Kind::Text,
                noun: "FILE",
                what: "a file",
                absent: "no certificate is shown",
            },
        )
        .with_variables(&["MLFLOW_TRACKING_CLIENT_CERT_PATH"]),
        setting(
            "http_request_timeout",
            "Seconds for which a tracking server may say nothing",
            &OptionalSeconds { field: |s| &mut s.connection.timeout, absent: "120, and 15 until the server has answered once" },
        )
        .with_variables(&["MLFLOW_HTTP_REQUEST_TIMEOUT"]),
        setting(
            "http_request_max_retries",
            "How often a request is sent again while a tracking server is away, too busy or failing",
            &Optional {
                field: |s| &mut s.connection.max_retries,
                kind: Kind::Whole,
                noun: "N",
                what: "a whole number",
                absent: "7, and 1 until the server has answered once",
            },
        )
        .with_variables(&["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]),
        setting(
            "http_request_backoff_factor",
            "Seconds that make the pauses between retries: twice this before the second, then four times, ...",
            &Seconds { field: |s| &mut s.connection.backoff_factor },
        )
        .with_variables(&["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"]),
        setting(
            "http_request_backoff_jitter",
            "Seconds up to which such a pause is made longer at random",
            &Seconds { field: |s| &mut s.connection.backoff_jitter },
        )
        .with_variables(&["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"]),
        setting(
            "proxy_multipart_upload",
            "Send large files in parts to the bucket behind a tracking server, where the server signs the way there",
            &Switch { field: |s| &mut s.connection.multipart.enabled },
        )
        .with_variables(&["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"]),
        setting(
            "multipart_upload_minimum_file_size",
            "Bytes from which on a file goes in parts",
            &Whole { field: |s| &mut s.connection.multipart.minimum_file_size },
        )
        .with_variables(&["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"]),
        setting("multipart_upload_chunk_size", "Bytes of a part", &Whole { field: |s| &mut s.connection.multipart.chunk_size })
            .with_variables(&["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"]),
    ],
};
