//! The binary `anmok`: reads settings, joins the crates that compute with those that record, and talks to the user.
//!
//! - [`commands`]: the subcommands, one file each
//! - [`settings`]: every setting, and how flags, variables and files are laid over each other
//! - [`terminal`], [`logging`]: what is printed and logged
//! - [`training`]: a run from settings to its end
//! - [`trained_model`]: a model that was trained before
//! - [`tracking`], [`recorder`]: the store, and the training loop's record in it
//! - [`database`]: a server's database, for what cares for it
//! - [`journal_events`]: what a run's log tells the user
//! - [`process`], [`liveness`]: whose a run is, and whether it is still alive
//! - [`system_metrics`]: how busy this machine is
//! - [`machine`]: what this computer is
//! - [`signals`], [`metrics_endpoint`], [`failure`]: how a run is stopped, watched, and how it fails; [`waiting`]: a word for those
//!   who wait

// This is the one crate that may look at the environment and print.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

mod commands;
mod database;
mod failure;
mod journal_events;
mod liveness;
mod logging;
mod machine;
mod metrics_endpoint;
mod process;
mod recorder;
mod settings;
mod signals;
mod system_metrics;
mod terminal;
mod tracking;
mod trained_model;
mod training;
mod waiting;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failure::tell(&error);
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
