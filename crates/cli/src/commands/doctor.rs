//! `anmok doctor`: what this machine has, and what is in the way.

use super::{Given, Surroundings};
use crate::machine;
use crate::settings::flags::{Flags, Sections};
use crate::settings::{Section, Settings, connection, machine as machine_section, output, storage, tracking, without_password};
use crate::terminal::style::Style;
use crate::terminal::units;
use crate::terminal::{print, print_json};
use anmok_data::DataError;
use anmok_engine::native::Level;
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Look at this machine: cores, SIMD, memory, disk, data, tracking store.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 if something is in the way of training here.")]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<OfDoctor>,
}

#[derive(Debug)]
struct OfDoctor;

impl Sections for OfDoctor {
    const SECTIONS: &'static [&'static Section] =
        &[&machine_section::SECTION, &storage::SECTION, &tracking::SECTION, &connection::SECTION, &output::SECTION];
}

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Worth knowing, stops nothing.
    Note,
    Bad,
}

/// One line of the report.
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    text: String,
}

impl Doctor {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let resolved = surroundings.resolve(OfDoctor::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?;
        let settings = &resolved.settings;
        let mut findings = vec![version(), processor(settings), memory()];
        findings.extend([("data", &settings.data_dir), ("checkpoints", &settings.checkpoint_dir), ("logs", &settings.log_dir)].map(folder));
        findings.extend(anmok_data::NAMES.iter().map(|name| dataset(name, settings)));
        findings.push(store(settings));
        let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
        if self.json {
            let all = findings
                .iter()
                .map(|f| json!({ "subject": f.subject, "verdict": format!("{:?}", f.verdict).to_lowercase(), "text": f.text }));
            print_json(&json!(all.collect::<Vec<_>>()));
        } else {
            let style = Style::new(settings.color, &std::io::stdout());
            let mut text = String::new();
            for finding in &findings {
                let mark = match finding.verdict {
                    Verdict::Fine => style.green("ok  "),
                    Verdict::Note => style.yellow("note"),
                    Verdict::Bad => style.red("bad "),
                };
                text += &format!("{mark}  {:<19}  {}\n", finding.subject, finding.text);
            }
            print(&text);
        }
        if bad > 0 {
            bail!("{bad} of {} findings are in the way of training on this machine (marked bad above)", findings.len());
        }
        Ok(())
    }
}

fn version() -> Finding {
    let text = format!("anmok {} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    Finding { verdict: Verdict::Fine, subject: "version", text }
}

fn processor(settings: &Settings) -> Finding {
    let subject = "processor";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let available: Vec<&str> = Level::available().into_iter().map(Level::name).collect();
    let name = machine::processor().map_or(String::new(), |name| format!("{name}, "));
    let text = format!("{name}{cores} cores for this process, SIMD levels {}", available.join(", "));
    match settings.simd_level() {
        Ok(level) => Finding { verdict: Verdict::Fine, subject, text: format!("{text}; {} is used", level.name()) },
        Err(problem) => Finding { verdict: Verdict::Bad, subject, text: format!("{text}; {problem}") },
    }
}

/// Below this much, a run may be ended by the system.
const LITTLE_MEMORY: u64 = 512 << 20;

fn memory() -> Finding {
    let subject = "memory";
    let Some(memory) = machine::Memory::read() else {
        return Finding { verdict: Verdict::Note, subject, text: "cannot be read on this system".to_owned() };
    };
    let limit = memory.limit.map_or(String::new(), |limit| format!(", limited to {}", units::bytes(limit)));
    let verdict = if memory.free < LITTLE_MEMORY { Verdict::Note } else { Verdict::Fine };
    Finding { verdict, subject, text: format!("{} free of {}{limit}", units::bytes(memory.free), units::bytes(memory.total)) }
}

/// Whether the folder, or the one it would be made in, can be written, and how much room there is.
fn folder((subject, path): (&'static str, &PathBuf)) -> Finding {
    let existing = existing_part(path);
    let shown = path.display();
    let made = if existing == *path { "" } else { " (will be made)" };
    let writable = rustix::fs::access(&existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok() && existing.is_dir();
    if !writable {
        return Finding { verdict: Verdict::Bad, subject, text: format!("{shown}: {} cannot be written", existing.display()) };
    }
    match rustix::fs::statvfs(&existing) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let verdict = if free < 1 << 30 { Verdict::Note } else { Verdict::Fine };
            Finding { verdict, subject, text: format!("{shown}{made}: {} free", units::bytes(free)) }
        }
        Err(e) => Finding { verdict: Verdict::Note, subject, text: format!("{shown}{made}: free space unknown: {e}") },
    }
}

fn existing_part(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|part| part.exists());
    found.filter(|part| !part.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn dataset(name: &'static str, settings: &Settings) -> Finding {
    let options = anmok_data::OpenOptions::new(&settings.data_dir);
    match anmok_data::open(name, &options) {
        Ok(splits) => {
            let text = format!(
                "{} + {} images from {}",
                units::grouped(splits.train.len() as u64),
                units::grouped(splits.test.len() as u64),
                splits.train.source()
            );
            match splits.warnings.first() {
                Some(warning) => Finding { verdict: Verdict::Note, subject: name, text: warning.clone() },
                None => Finding { verdict: Verdict::Fine, subject: name, text },
            }
        }
        Err(DataError::Missing { .. }) => {
            let text = format!("not in {}; `anmok data fetch {name}` downloads it", settings.data_dir.display());
            Finding { verdict: Verdict::Note, subject: name, text }
        }
        Err(e) => Finding { verdict: Verdict::Bad, subject: name, text: e.to_string() },
    }
}

fn store(settings: &Settings) -> Finding {
    let subject = "tracking";
    let shown = without_password(&settings.tracking_uri);
    // Opening would make the database: a doctor only looks.
    let path = match settings.tracking_uri.parse() {
        Ok(anmok_tracking::StoreUri::Sqlite(path)) => Some(path),
        Ok(_) => None,
        Err(e) => return Finding { verdict: Verdict::Bad, subject, text: e.to_string() },
    };
    if let Some(path) = path.filter(|path| !path.exists()) {
        let Finding { verdict, text, .. } = folder((subject, &path));
        return Finding { verdict, subject, text };
    }
    let reached =
        crate::tracking::open(settings).and_then(|store| Ok(store.search_experiments(&anmok_tracking::ExperimentQuery::default())?));
    match reached {
        Ok(page) => Finding { verdict: Verdict::Fine, subject, text: format!("{shown}: can be read, experiments: {}", page.items.len()) },
        Err(e) => Finding { verdict: Verdict::Bad, subject, text: format!("{e:#}") },
    }
}
