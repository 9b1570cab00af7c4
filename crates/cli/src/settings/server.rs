//! The tracking server, under the names of `mlflow server`.

use super::value::{Kind, List, OneOf, Optional, Switch, Text, Whole};
use super::{Section, Setting, setting};
use anmok_protocol::Permission;
use serde::Serialize;
use std::str::FromStr;

/// How `anmok server` behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    pub backend_store_uri: String,
    pub artifacts_destination: String,
    pub serve_artifacts: bool,
    pub host: String,
    pub port: u16,
    pub workers: usize,
    pub allowed_hosts: Vec<String>,
    pub cors_allowed_origins: Vec<String>,
    pub disable_security_middleware: bool,
    pub x_frame_options: String,
    pub allowed_host_addressed_artifact_schemes: Vec<String>,
    /// A folder, or `auto`.
    pub ui_bundle: Option<String>,
    pub app_name: Option<AppName>,
    pub default_permission: Permission,
    pub admin_username: String,
    pub webhook_allowed_schemes: Vec<String>,
    pub webhook_allow_private_ips: bool,
    pub webhook_request_timeout: u32,
    pub webhook_request_max_retries: u32,
}

/// What MLflow calls an app: a server with something around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AppName {
    /// Callers say who they are.
    #[serde(rename = "basic-auth")]
    BasicAuth,
}

impl FromStr for AppName {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        if name == "basic-auth" { Ok(Self::BasicAuth) } else { Err(()) }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            backend_store_uri: "sqlite:///anmok.db".into(),
            artifacts_destination: "artifacts".into(),
            serve_artifacts: true,
            host: "127.0.0.1".into(),
            port: 5000,
            workers: 1,
            allowed_hosts: vec![],
            cors_allowed_origins: vec![],
            disable_security_middleware: false,
            x_frame_options: "SAMEORIGIN".into(),
            allowed_host_addressed_artifact_schemes: vec![],
            ui_bundle: None,
            app_name: None,
            default_permission: Permission::Read,
            admin_username: "admin".into(),
            webhook_allowed_schemes: vec!["https".into()],
            webhook_allow_private_ips: false,
            webhook_request_timeout: 30,
            webhook_request_max_retries: 3,
        }
    }
}

const BACKEND_STORE_URI: Setting = setting(
    "backend_store_uri",
    "The server's database: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
    &Text { field: |s| &mut s.server.backend_store_uri, noun: "URI", what: "a URI such as sqlite:///anmok.db" },
)
.with_variables(&["MLFLOW_BACKEND_STORE_URI"]);

const ARTIFACTS_DESTINATION: Setting = setting(
    "artifacts_destination",
    "Where the server keeps its clients' artifacts: a folder, or a bucket: s3://, gs://, wasbs://",
    &Text { field: |s| &mut s.server.artifacts_destination, noun: "URI", what: "a folder or URI" },
)
.with_variables(&["MLFLOW_ARTIFACTS_DESTINATION"]);

/// What a command on a server's database needs of a server's settings.
pub const DATABASE: Section = Section { title: "Server", of_recipe: false, settings: &[BACKEND_STORE_URI, ARTIFACTS_DESTINATION] };

/// Where a server keeps its users.
pub const OF_ACCOUNTS: Section = Section { title: "Server", of_recipe: false, settings: &[BACKEND_STORE_URI] };

pub const SECTION: Section = Section {
    title: "Server",
    of_recipe: false,
    settings: &[
        BACKEND_STORE_URI,
        ARTIFACTS_DESTINATION,
        setting(
            "serve_artifacts",
            "Whether clients reach artifacts through the server; without it they need access to the place itself",
            &Switch { field: |s| &mut s.server.serve_artifacts },
        )
        .with_variables(&["MLFLOW_SERVE_ARTIFACTS"]),
        setting(
            "host",
            "Address to listen at; 0.0.0.0 is every address of this machine",
            &Text { field: |s| &mut s.server.host, noun: "HOST", what: "an address or name of this machine" },
        )
        .with_variables(&["MLFLOW_HOST"]),
        setting("port", "Port to listen at; 0 is any free one", &Whole { field: |s| &mut s.server.port }).with_variables(&["MLFLOW_PORT"]),
        setting(
            "workers",
            "Accepted as `mlflow server` takes it; one process does the work of all",
            &Whole { field: |s| &mut s.server.workers },
        )
        .with_variables(&["MLFLOW_WORKERS"]),
        setting(
            "allowed_hosts",
            "Host headers that are answered, * for any text; without it localhost and private addresses",
            &List { field: |s| &mut s.server.allowed_hosts, what: "host names" },
        )
        .with_variables(&["MLFLOW_SERVER_ALLOWED_HOSTS"]),
        setting(
            "cors_allowed_origins",
            "Origins of web pages that may change things, besides localhost; * for any text",
            &List { field: |s| &mut s.server.cors_allowed_origins, what: "origins such as https://ui.example" },
        )
        .with_variables(&["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]),
        setting(
            "disable_security_middleware",
            "Answer whatever host or origin asks",
            &Switch { field: |s| &mut s.server.disable_security_middleware },
        )
        .with_variables(&["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"]),
        setting(
            "x_frame_options",
            "The header X-Frame-Options: SAMEORIGIN, DENY, or NONE to leave it out",
            &Text { field: |s| &mut s.server.x_frame_options, noun: "OPTION", what: "SAMEORIGIN, DENY or NONE" },
        )
        .with_variables(&["MLFLOW_SERVER_X_FRAME_OPTIONS"]),
        setting(
            "allowed_host_addressed_artifact_schemes",
            "Schemes of artifact locations that clients may give although they name a host, such as http or hdfs",
            &List { field: |s| &mut s.server.allowed_host_addressed_artifact_schemes, what: "schemes such as http" },
        )
        .with_variables(&["MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES"]),
        setting(
            "ui_bundle",
            "Serve MLflow's own web UI: its folder mlflow/server/js/build, or auto to find that of an installed mlflow",
            &Optional {
                field: |s| &mut s.server.ui_bundle,
                kind: Kind::Text,
                noun: "FOLDER|auto",
                what: "a folder or auto",
                absent: "a plain page is shown",
            },
        )
        .with_variables(&["ANMOK_UI_BUNDLE"]),
        setting(
            "app_name",
            "basic-auth: callers say who they are, and users may do what is granted to them",
            &Optional {
                field: |s| &mut s.server.app_name,
                kind: Kind::Text,
                noun: "APP",
                what: "basic-auth",
                absent: "everybody may do everything",
            },
        )
        .with_variables(&["ANMOK_APP_NAME"]),
        setting(
            "default_permission",
            "With basic-auth: what users may do with what nobody granted them",
            &OneOf {
                field: |s| &mut s.server.default_permission,
                names: &[
                    ("READ", Permission::Read),
                    ("EDIT", Permission::Edit),
                    ("MANAGE", Permission::Manage),
                    ("NO_PERMISSIONS", Permission::NoPermissions),
                ],
            },
        )
        .with_variables(&["MLFLOW_AUTH_DEFAULT_PERMISSION"]),
        setting(
            "admin_username",
            "With basic-auth: the first administrator, made with the password in MLFLOW_AUTH_ADMIN_PASSWORD",
            &Text { field: |s| &mut s.server.admin_username, noun: "NAME", what: "a name" },
        )
        .with_variables(&["MLFLOW_AUTH_ADMIN_USERNAME"]),
        setting(
            "webhook_allowed_schemes",
            "Schemes of URLs that webhooks may have",
            &List { field: |s| &mut s.server.webhook_allowed_schemes, what: "schemes such as https" },
        )
        .with_variables(&["MLFLOW_WEBHOOK_ALLOWED_SCHEMES"]),
        setting(
            "webhook_allow_private_ips",
            "Whether webhooks may lead to this machine and its private networks",
            &Switch { field: |s| &mut s.server.webhook_allow_private_ips },
        )
        .with_variables(&["MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"]),
        setting(
            "webhook_request_timeout",
            "Seconds that a webhook may take to answer",
            &Whole { field: |s| &mut s.server.webhook_request_timeout },
        )
        .with_variables(&["MLFLOW_WEBHOOK_REQUEST_TIMEOUT"]),
        setting(
            "webhook_request_max_retries",
            "How often a webhook that does not answer is told again",
            &Whole { field: |s| &mut s.server.webhook_request_max_retries },
        )
        .with_variables(&["MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES"]),
    ],
};
