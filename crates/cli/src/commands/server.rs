//! `anmok server`: the tracking server.

use super::{Given, Surroundings};
use crate::failure::Usage;
use crate::settings::flags::{Flags, Sections};
use crate::settings::server::{AppName, ServerSettings};
use crate::settings::{Resolved, Section, Source, output, server, tracking, without_password};
use crate::signals::Stop;
use crate::{liveness, logging};
use anmok_protocol::host_policy::HostPolicy;
use anmok_server::{Auth, Options, Security, Shutdown, Webhooks, password, webhook_key};
use anmok_tracking::{ArtifactOptions, NewUser, Store, StoreOptions};
use anyhow::Context;
use clap::Args;
use indicatif::MultiProgress;
use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub const EXAMPLES: &str = "\
Examples:
  anmok server                                   http://127.0.0.1:5000 over ./anmok.db, as `anmok train` writes it
  anmok server --ui-bundle auto                  with MLflow's own web UI (pip install mlflow)
  anmok server --host 0.0.0.0 --allowed-hosts mlflow.example --backend-store-uri postgresql://user@db/anmok \\
      --artifacts-destination s3://bucket/artifacts
  MLFLOW_AUTH_ADMIN_PASSWORD=... anmok server --app-name basic-auth
                                                 users and permissions (docs/permissions.md)
  MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py";

/// MLflow's variable. No setting: settings are shown.
const ADMIN_PASSWORD: &str = "MLFLOW_AUTH_ADMIN_PASSWORD";

/// MLflow's variable, and no setting either.
const SECRET_KEY: &str = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY";

/// What stands for the artifacts that a server keeps itself.
pub const PROXIED_ROOT: &str = "mlflow-artifacts:/";

/// The tracking server: MLflow's API and web UI.
#[derive(Debug, Args)]
pub struct Server {
    /// The same as --serve-artifacts false
    #[arg(long, conflicts_with = "serve_artifacts", help_heading = "Server")]
    no_serve_artifacts: bool,
    #[command(flatten)]
    flags: Flags<OfServer>,
}

#[derive(Debug)]
struct OfServer;

impl Sections for OfServer {
    const SECTIONS: &'static [&'static Section] = &[&server::SECTION, &tracking::OF_SERVER, &output::SECTION];
}

impl Server {
    pub fn run(mut self, surroundings: &Surroundings) -> anyhow::Result<()> {
        if self.no_serve_artifacts {
            self.flags.given.push(("serve_artifacts", "false".to_owned()));
        }
        let resolved = surroundings.resolve(OfServer::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?;
        logging::start(&resolved.settings, &MultiProgress::new(), None);
        resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let settings = &resolved.settings.server;
        keep_memory_small();
        // The port first: of two servers by mistake, the second must not touch the database.
        let listener = listen(settings)?;
        let address = listener.local_addr()?;
        let ui_bundle = settings.ui_bundle.as_deref().map(find_bundle).transpose()?;
        let store = open(&resolved)?;
        let auth = settings.app_name.map(|AppName::BasicAuth| first_administrator(settings, surroundings, &*store)).transpose()?;
        liveness::watch(store.clone())?;
        let shutdown = Shutdown::default();
        let asked = shutdown.clone();
        Stop::on_signals_then("finishing what is under way", move || asked.ask())?;
        tracing::info!(
            "listening at http://{address}, database {}, artifacts {}; stop with Ctrl-C",
            without_password(&settings.backend_store_uri),
            if settings.serve_artifacts { settings.artifacts_destination.as_str() } else { "not served" },
        );
        let options = Options { auth, webhooks: webhooks(settings, surroundings)?, ..options(&resolved, ui_bundle) };
        anmok_server::run(listener, store, options, &shutdown)?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// How often free memory is handed back. It takes some milliseconds, in which nobody else can have memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HANDED_BACK_EVERY: Duration = Duration::from_secs(5);

/// Lets glibc have two heaps, and hand back what is free in them. By itself it gives each of eight times as many threads as there
/// are cores a heap of its own, and keeps in each what its largest answer took: 151 MB after a load whose traces take 18.
fn keep_memory_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        for (parameter, value) in [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, 1 << 20), (libc::M_TRIM_THRESHOLD, 1 << 20)] {
            // SAFETY: it only sets a parameter of malloc; one that is unknown is refused and changes nothing.
            unsafe { libc::mallopt(parameter, value) };
        }
        let hand_back = || loop {
            std::thread::sleep(HANDED_BACK_EVERY);
            // SAFETY: it gives back pages that hold nothing, and may be called from any thread at any time.
            unsafe { libc::malloc_trim(0) };
        };
        // Without the thread the server is larger, and nothing else.
        std::thread::Builder::new().name("memory".to_owned()).spawn(hand_back).ok();
    }
}

/// The address as it was asked for, or what to do about it.
fn listen(settings: &ServerSettings) -> anyhow::Result<TcpListener> {
    let (host, port) = (settings.host.as_str(), settings.port);
    TcpListener::bind((host, port)).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => format!(
                "port {port} of {host} is taken by another program: stop it, or choose another port with --port (0 takes any free one){}",
                if cfg!(target_os = "macos") && port == 5000 {
                    "; on a Mac, AirPlay Receiver takes port 5000 (System Settings, General, AirDrop & Handoff)"
                } else {
                    ""
                }
            ),
            ErrorKind::PermissionDenied => format!("port {port} may not be used by this account: choose one from 1024 on with --port"),
            _ => format!("cannot listen at {host}:{port} ({error}): choose an address of this machine with --host"),
        };
        Usage(remedy).into()
    })
}

fn open(resolved: &Resolved) -> anyhow::Result<Arc<dyn Store>> {
    let settings = &resolved.settings;
    let options = StoreOptions {
        durability: settings.durability,
        artifact_root: Some(default_root(resolved)),
        artifacts: ArtifactOptions {
            destination: settings.server.serve_artifacts.then(|| settings.server.artifacts_destination.clone()),
            buckets: settings.buckets.clone(),
        },
        ..StoreOptions::default()
    };
    Ok(Arc::from(anmok_tracking::open_store(&settings.server.backend_store_uri, &options)?))
}

/// Where the artifacts of new experiments go.
fn default_root(resolved: &Resolved) -> String {
    let settings = &resolved.settings;
    match resolved.source("default_artifact_root") {
        Source::Default if settings.server.serve_artifacts => PROXIED_ROOT.to_owned(),
        Source::Default => settings.server.artifacts_destination.clone(),
        _ => settings.default_artifact_root.clone(),
    }
}

/// Sees to it that somebody can make the other users. There is no password that everybody knows, and none is made up: it
/// would have to be printed, where logs keep it.
fn first_administrator(settings: &ServerSettings, surroundings: &Surroundings, store: &dyn Store) -> anyhow::Result<Auth> {
    let username = &settings.admin_username;
    if !store.users()?.iter().any(|user| user.is_admin) {
        let Some(given) = surroundings.secret(ADMIN_PASSWORD) else {
            let words = format!(
                "there is no administrator yet: set {ADMIN_PASSWORD} to a password of at least 12 characters, or make \
                 one with `anmok users create {username} --admin --backend-store-uri {}`, and start again",
                without_password(&settings.backend_store_uri)
            );
            return Err(Usage(words).into());
        };
        let password_hash = password::hash(given).map_err(|error| Usage(format!("{ADMIN_PASSWORD}: {error}")))?;
        match store.create_user(&NewUser { username: username.clone(), password_hash, is_admin: true }) {
            Ok(_) => tracing::info!("made the administrator {username:?}; {ADMIN_PASSWORD} is not needed any more"),
            // Of several servers that start at once, one was faster.
            Err(_) if store.user(username)?.is_some_and(|user| user.is_admin) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Auth { default_permission: settings.default_permission })
}

fn webhooks(settings: &ServerSettings, surroundings: &Surroundings) -> anyhow::Result<Webhooks> {
    let secret_key = surroundings.secret(SECRET_KEY).map(|text| webhook_key(text)).transpose()?;
    Ok(Webhooks {
        allowed_schemes: settings.webhook_allowed_schemes.clone(),
        allow_private_addresses: settings.webhook_allow_private_ips,
        secret_key,
        timeout: Duration::from_secs(settings.webhook_request_timeout.max(1).into()),
        retries: settings.webhook_request_max_retries,
        ..Webhooks::default()
    })
}

fn options(resolved: &Resolved, ui_bundle: Option<PathBuf>) -> Options {
    let settings = &resolved.settings.server;
    let frame_options = Some(settings.x_frame_options.to_ascii_uppercase()).filter(|options| options != "NONE");
    if !settings.disable_security_middleware && settings.allowed_hosts.is_empty() && listens_to_everyone(&settings.host) {
        tracing::info!("only requests for localhost and private addresses are answered; name other hosts with --allowed-hosts");
    }
    Options {
        serve_artifacts: settings.serve_artifacts,
        security: Security {
            enabled: !settings.disable_security_middleware,
            allowed_hosts: settings.allowed_hosts.clone(),
            cors_allowed_origins: settings.cors_allowed_origins.clone(),
            frame_options,
        },
        hosts: HostPolicy::new(
            &settings.allowed_host_addressed_artifact_schemes,
            [default_root(resolved).as_str(), settings.artifacts_destination.as_str()],
        ),
        ui_bundle,
        ..Options::default()
    }
}

fn listens_to_everyone(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

/// The folder of MLflow's web UI: as it was named, or that of the mlflow which Python would import.
fn find_bundle(choice: &str) -> anyhow::Result<PathBuf> {
    let folder = if choice == "auto" { installed_bundle()? } else { PathBuf::from(choice) };
    if folder.join("index.html").is_file() {
        return Ok(folder);
    }
    let remedy = "name the folder mlflow/server/js/build of an installed mlflow (pip install mlflow), or auto";
    Err(Usage(format!("there is no web UI in {}: it has no index.html; {remedy}", folder.display())).into())
}

fn installed_bundle() -> anyhow::Result<PathBuf> {
    // Asked where mlflow lies, Python need not load it, which would take seconds.
    let question = "import importlib.util as u; s = u.find_spec('mlflow'); print(s.origin if s and s.origin else '')";
    let answers = ["python3", "python"].iter().filter_map(|python| {
        let output = Command::new(python).args(["-c", question]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let origin = String::from_utf8(output.stdout).ok()?;
        Path::new(origin.trim()).parent().map(|package| package.join("server/js/build")).filter(|_| !origin.trim().is_empty())
    });
    answers.into_iter().next().context(
        "no installed mlflow was found with python3 or python: install it (pip install mlflow) in the environment that is active, or name \
         its folder mlflow/server/js/build with --ui-bundle",
    )
}
