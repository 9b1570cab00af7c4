//! A folder for one test, and the program in it without the user's environment.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that goes away with the test.
pub struct Sandbox {
    folder: PathBuf,
}

/// What a command left.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Exit code 0, or the test ends with what was said.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// This exit code, and every one of these texts on standard error.
    #[track_caller]
    pub fn fails(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not in\n{}", self.err);
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

impl Sandbox {
    pub fn new() -> Self {
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder above")).expect("folders");
        std::fs::write(path, contents).expect("a file of the test");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The program, ready to be given arguments: of the environment only PATH is left, and where coverage is measured.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs(["PATH", "LLVM_PROFILE_FILE"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    }

    /// Runs the program with space-separated arguments.
    pub fn run(&self, arguments: &str) -> Said {
        self.run_with(arguments, &[])
    }

    /// The same with environment variables.
    pub fn run_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = self.command(env!("CARGO_BIN_EXE_anmok"));
        command.args(arguments.split_whitespace()).envs(variables.iter().copied());
        Said::from(command.output().expect("the program starts"))
    }

    /// The same with arguments as they are.
    pub fn run_args(&self, arguments: &[&str]) -> Said {
        Said::from(self.command(env!("CARGO_BIN_EXE_anmok")).args(arguments).output().expect("the program starts"))
    }

    /// Starts the program and does not wait.
    pub fn start(&self, arguments: &str) -> Child {
        self.command(env!("CARGO_BIN_EXE_anmok")).args(arguments.split_whitespace()).spawn().expect("the program starts")
    }

    /// A run of the sample that takes a few seconds.
    pub fn train_tiny(&self, more: &str) -> Said {
        self.run(&format!("{TINY} {more}"))
    }

    /// The id of the only run.
    pub fn only_run(&self) -> String {
        let runs = self.run("runs list --json").ok().json();
        assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs:#}");
        runs[0]["info"]["run_id"].as_str().expect("an id").to_owned()
    }
}

/// The arguments of a run that takes a few seconds: 256 images, two epochs.
pub const TINY: &str =
    "train --dataset FashionMNIST-sample --limit-train 256 --batch-size 32 --epochs 2 --log-every 4 --validation-split 0.05";

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What cannot be removed lies in target/tmp, where nobody minds.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Waits for a program that was started.
pub fn wait(child: Child) -> Said {
    Said::from(child.wait_with_output().expect("the program ends"))
}

/// The real server on a free port; it is killed with its value.
pub struct Server {
    pub child: Child,
    pub url: String,
}

impl Server {
    pub fn start(sandbox: &Sandbox, arguments: &str) -> Self {
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_anmok"));
        command.args("server --port 0".split(' ')).args(arguments.split_whitespace());
        Self::of(command)
    }

    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the server starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        let url = loop {
            let begin = said.len();
            assert_ne!(log.read_line(&mut said).expect("its log"), 0, "it ended early: {said}");
            if let Some((_, rest)) = said[begin..].split_once("listening at ") {
                break rest.split(',').next().unwrap().to_owned();
            }
        };
        // A pipe that nobody reads would stop the server once it is full.
        std::thread::spawn(move || log.read_to_end(&mut vec![]));
        Self { child, url }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
