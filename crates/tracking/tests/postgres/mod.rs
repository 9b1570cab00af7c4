//! A real PostgreSQL for tests: made in a temporary folder, on a free port, gone with the tests.
//!
//! Other crates' tests use this file too (`#[path = ".../tracking/tests/postgres/mod.rs"] mod postgres;`).
#![allow(dead_code, reason = "not every test needs every part")]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "CI and PATH are variables, and a skipped test says so")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Everybody's user and password; the password must never be seen in a message.
pub const USER: &str = "anmok";
pub const PASSWORD: &str = "s3cret-word";

/// A server of its own.
pub struct Server {
    binaries: PathBuf,
    folder: TempDir,
    port: u16,
    running: Mutex<Option<Running>>,
    databases: AtomicUsize,
    /// Of its settings, those that not every server here has: `name=value`.
    settings: Vec<String>,
}

/// The server's process, below a shell that ends it when this process is gone, however it went.
struct Running {
    shell: Child,
    leash: Option<ChildStdin>,
}

/// The server that the tests of one program share; `None`, with a word, where PostgreSQL is not installed. In CI it must be.
pub fn shared(test: &str) -> Option<Arc<Server>> {
    // It ends with the last test that uses it: what is static is never dropped.
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Some(server);
    }
    let server = Arc::new(start(test)?);
    *shared = Arc::downgrade(&server);
    Some(server)
}

/// A server for one test alone, which may stop it.
pub fn start(test: &str) -> Option<Server> {
    let server = made(test)?;
    server.run();
    Some(server)
}

/// A server that also speaks TLS, with this certificate and its key (PEM).
pub fn start_with_tls(test: &str, certificate: &[u8], key: &[u8]) -> Option<Server> {
    use std::os::unix::fs::{PermissionsExt, chown};
    let mut server = made(test)?;
    for (setting, file, bytes) in [("ssl_cert_file", "server.pem", certificate), ("ssl_key_file", "server.key", key)] {
        let path = server.folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        // It wants a key that nobody else can read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = other_user() {
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
        server.settings.push(format!("{setting}={}", path.display()));
    }
    server.settings.push("ssl=on".into());
    server.run();
    Some(server)
}

/// A server's folder; it does not run yet.
fn made(test: &str) -> Option<Server> {
    let Some(binaries) = binaries() else {
        let words = "PostgreSQL is not installed (no initdb in PATH or /usr/lib/postgresql; `apt-get install postgresql`)";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} cannot run: {words}");
        // Past the capture of the test harness: a skipped test must be seen.
        writeln!(std::io::stderr(), "SKIPPED {test}: {words}").ok();
        return None;
    };
    let folder = tempfile::Builder::new().prefix("anmok-postgres-").tempdir().unwrap();
    if let Some((uid, gid)) = other_user() {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
    }
    let password = folder.path().join("password");
    fs::write(&password, PASSWORD).unwrap();
    let data = folder.path().join("data");
    let output = as_server(Command::new(binaries.join("initdb")).arg("-D").arg(&data).arg("--pwfile").arg(&password).args([
        "-U",
        USER,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
    ]))
    .output()
    .unwrap();
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Some(Server { binaries, folder, port, running: Mutex::new(None), databases: AtomicUsize::new(0), settings: vec![] })
}

impl Server {
    /// A new, empty database: its address as MLflow's users write it.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.uri(&name)
    }

    pub fn uri(&self, database: &str) -> String {
        format!("postgresql+psycopg2://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements with psql and gives its plain output.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let database = database.rsplit('/').next().unwrap_or(database);
        let output = Command::new(self.binaries.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER, "-d", database, "-c", sql])
            .args(["-p", &self.port.to_string()])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Starts the server again.
    pub fn run(&self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let data = self.folder.path().join("data");
        // The server's own death notice is a closed pipe: the shell reads until then.
        let script = r#""$0" "$@" & server=$!; read -r signal; kill -"${signal:-QUIT}" $server; wait $server"#;
        let mut shell = as_server(
            Command::new("sh")
                .args(["-c", script])
                .arg(self.binaries.join("postgres"))
                .arg("-D")
                .arg(&data)
                .args([
                    "-p",
                    &self.port.to_string(),
                    "-k",
                    self.folder.path().to_str().unwrap(),
                    "-c",
                    "listen_addresses=127.0.0.1",
                    // The tests kill processes, not the machine.
                    "-c",
                    "fsync=off",
                    "-c",
                    "max_connections=80",
                    "-c",
                    "shared_buffers=32MB",
                ])
                .args(self.settings.iter().flat_map(|setting| ["-c", setting])),
        )
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
        let leash = shell.stdin.take();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running { shell, leash });
        let deadline = Instant::now() + Duration::from_secs(60);
        // The last line of this file tells when it takes connections.
        while !fs::read_to_string(data.join("postmaster.pid"))
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
        {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server as an operator does (`INT`: connections are ended) or as a crash does (`QUIT`).
    pub fn stop(&self, signal: &str) {
        if let Some(mut running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            if let Some(mut leash) = running.leash.take() {
                writeln!(leash, "{signal}").ok();
            }
            running.shell.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("QUIT");
    }
}

/// The newest PostgreSQL of this machine.
fn binaries() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    for root in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let Ok(entries) = fs::read_dir(root) else { continue };
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join("bin")).collect();
        found.sort();
        folders.extend(found.into_iter().rev());
    }
    folders.into_iter().find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file()))
}

/// PostgreSQL does not run as root: root's tests run it as another user.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").is_ok_and(|this| this.uid() != 0) || !Path::new("/proc/self").exists() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|wanted| {
        let fields: Vec<&str> = users.lines().find(|line| line.split(':').next() == Some(wanted))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    })
}

fn as_server(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/")
}
