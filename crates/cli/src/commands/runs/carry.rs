//! `anmok runs export` and `anmok runs import`: runs from one store to another.

use super::OfRuns;
use crate::commands::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::terminal::{print, units};
use crate::tracking;
use anmok_tracking::archive;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Write runs into folders, with metrics and artifacts.
#[derive(Debug, Args)]
pub struct Export {
    /// The runs: ids, the first digits of them, names, or latest
    #[arg(required = true)]
    runs: Vec<String>,
    /// Folder to write into; each run becomes a folder in it, named by its id
    #[arg(long, value_name = "FOLDER", default_value = "exported-runs")]
    out: PathBuf,
    #[command(flatten)]
    flags: Flags<OfRuns>,
}

impl Export {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = surroundings.resolve(OfRuns::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?.settings;
        let store = tracking::open(&settings)?;
        for text in &self.runs {
            let run_id = tracking::find_run(store.as_ref(), text, "")?.info.run_id;
            let folder = self.out.join(&run_id);
            let carried = archive::export_run(store.as_ref(), &run_id, &folder).with_context(|| format!("run {run_id} is not exported"))?;
            print(&format!("{}: {}\n", folder.display(), counted(carried)));
        }
        Ok(())
    }
}

/// Make runs of folders that `anmok runs export` has written.
#[derive(Debug, Args)]
pub struct Import {
    /// The folders
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Experiment that the runs come to; made if it does not exist [default: the one that each was in]
    #[arg(long, value_name = "NAME")]
    into: Option<String>,
    #[command(flatten)]
    flags: Flags<OfRuns>,
}

impl Import {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let settings = surroundings.resolve(OfRuns::SECTIONS, Given { flags: &self.flags.given, ..Given::default() })?.settings;
        let store = tracking::open(&settings)?;
        for folder in &self.folders {
            let imported = archive::import_run(store.as_ref(), folder, self.into.as_deref());
            let (run, carried) = imported.with_context(|| format!("{} is not imported; the same command goes on", folder.display()))?;
            print(&format!("{} ({}): {}\n", run.info.run_id, run.info.run_name, counted(carried)));
        }
        Ok(())
    }
}

fn counted(carried: archive::Carried) -> String {
    format!("{} points of metrics, {} files", units::grouped(carried.points as u64), units::grouped(carried.files as u64))
}
