//! The subcommands: what can be typed, and where it is done.

mod bench;
mod completions;
mod config;
mod data;
mod db;
mod doctor;
mod evaluate;
mod gc;
mod model;
mod predict;
mod quickstart;
mod runs;
mod server;
mod sync;
mod tokens;
mod train;
mod users;

use crate::settings::env_file::EnvFile;
use crate::settings::recipe_file::RecipeFile;
use crate::settings::resolve::{Inputs, resolve};
use crate::settings::{Problems, Resolved, Section};
use anmok_tracking::{BucketOptions, ProxyOptions, ServerOptions};
use anmok_train::Recipe;
use clap::{Parser, Subcommand};
use std::collections::BTreeMap;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Examples:
  anmok quickstart                               a first model in about a minute, without a network
  anmok train --recipe seed                      MobileNetV3-Small on CIFAR-10
  anmok train --recipe cifar10-strong --seed 1   made to learn well, with one setting changed
  anmok train --resume latest                    go on after an interruption
  anmok evaluate --run-id latest                 test the last model, with pictures
  anmok runs list --filter 'metrics.val_accuracy > 0.6'

Settings are taken from flags, then environment variables, then the recipe named by --recipe, then
.env, then defaults: `anmok config show` prints each with its value and where it came from.

Exit codes: 0 success; 1 failure; 2 wrong usage or settings; 130 and 143 stopped in good order by
SIGINT and SIGTERM.";

/// Trains, evaluates and tracks vision models.
#[derive(Debug, Parser)]
#[command(name = "anmok", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    /// Read environment variables from this file instead of .env; `none` reads no file [env: ANMOK_ENV_FILE]
    #[arg(long, global = true, value_name = "FILE", display_order = 1000)]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, evaluate and track a model on the built-in images, in about a minute and without a network
    Quickstart(quickstart::Quickstart),
    /// Train a network, tracked as a run
    #[command(after_help = train::EXAMPLES)]
    Train(Box<train::Train>),
    /// Test a model: accuracy, F1, calibration, confusion matrix, pictures
    #[command(after_help = evaluate::EXAMPLES)]
    Evaluate(evaluate::Evaluate),
    /// What a model sees in pictures
    #[command(after_help = predict::EXAMPLES)]
    Predict(predict::Predict),
    /// The images: fetch, verify, show
    Data(data::Data),
    /// What can be said about the networks: list, summary
    Model(model::Model),
    /// What has been recorded: list, show, compare, export, import
    Runs(runs::Runs),
    /// Deliver to the tracking store what killed or offline runs have left on this machine
    #[command(after_help = sync::EXAMPLES)]
    Sync(sync::Sync),
    /// The tracking server: MLflow's API and web UI
    #[command(after_help = server::EXAMPLES)]
    Server(Box<server::Server>),
    /// The care of a tracking database: upgrade, check, import from MLflow, export to MLflow
    #[command(after_help = db::EXAMPLES)]
    Db(db::Db),
    /// Delete for good what is marked deleted: runs, experiments, logged models, and their files
    #[command(after_help = gc::EXAMPLES)]
    Gc(gc::Gc),
    /// A server's users: list, create, password, admin, delete
    Users(users::Users),
    /// The tokens of a server's users: list, create, revoke
    Tokens(tokens::Tokens),
    /// How fast this machine is: training steps, inference, layer by layer, the data pipeline
    Bench(bench::Bench),
    /// Settings: values and where they came from
    Config(config::Config),
    /// Look at this machine: cores, SIMD, memory, disk, data, tracking store
    Doctor(doctor::Doctor),
    /// Print the completion script of a shell
    Completions(completions::Completions),
}

impl Cli {
    /// Does what was typed.
    pub fn run(self) -> anyhow::Result<()> {
        let surroundings = Surroundings::read(self.env_file)?;
        match self.command {
            Command::Quickstart(command) => command.run(&surroundings),
            Command::Train(command) => command.run(&surroundings),
            Command::Evaluate(command) => command.run(&surroundings),
            Command::Predict(command) => command.run(&surroundings),
            Command::Data(command) => command.run(&surroundings),
            Command::Model(command) => command.run(&surroundings),
            Command::Runs(command) => command.run(&surroundings),
            Command::Sync(command) => command.run(&surroundings),
            Command::Server(command) => command.run(&surroundings),
            Command::Db(command) => command.run(&surroundings),
            Command::Gc(command) => command.run(&surroundings),
            Command::Users(command) => command.run(&surroundings),
            Command::Tokens(command) => command.run(&surroundings),
            Command::Bench(command) => command.run(&surroundings),
            Command::Config(command) => command.run(&surroundings),
            Command::Doctor(command) => command.run(&surroundings),
            Command::Completions(command) => command.run(),
        }
    }
}

/// Where settings come from besides flags.
pub struct Surroundings {
    environment: BTreeMap<String, String>,
    env_file: Option<EnvFile>,
}

impl Surroundings {
    fn read(env_file: Option<PathBuf>) -> Result<Self, Problems> {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        let named = env_file.or_else(|| environment.get("ANMOK_ENV_FILE").filter(|path| !path.is_empty()).map(PathBuf::from));
        let env_file = EnvFile::find(named.as_deref()).map_err(|problem| Problems(vec![problem]))?;
        Ok(Self { environment, env_file })
    }

    /// A variable that is no setting, because settings are shown.
    fn secret(&self, name: &str) -> Option<&String> {
        // As with settings, the environment is stronger, and an empty variable is one that is not set.
        let file = self.env_file.as_ref().and_then(|file| file.variables.get(name));
        [self.environment.get(name), file].into_iter().flatten().find(|value| !value.is_empty())
    }

    /// The variables of those who keep buckets, which are their tools' and no settings of ours.
    fn provider_variables(&self) -> BTreeMap<String, String> {
        let file = self.env_file.iter().flat_map(|file| &file.variables);
        // The environment is stronger, and an empty variable is one that is not set.
        let of_provider = |name: &str| BucketOptions::PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let all = file.chain(&self.environment).filter(|(name, value)| of_provider(name) && !value.is_empty());
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The first of these variables that is set, in the environment or else in `.env`.
    fn variable(&self, names: &[&str]) -> Option<String> {
        let file = self.env_file.as_ref().map(|file| &file.variables);
        let places = [Some(&self.environment), file];
        let found = |name: &str, place: &BTreeMap<String, String>| place.get(name).filter(|value| !value.is_empty()).cloned();
        places.into_iter().flatten().find_map(|place| names.iter().find_map(|name| found(name, place)))
    }

    /// What is needed to reach a tracking server and is no setting: see [`crate::settings::connection`].
    fn add_credentials(&self, connection: &mut ServerOptions) {
        connection.username = self.variable(&["MLFLOW_TRACKING_USERNAME"]);
        connection.password = self.variable(&["MLFLOW_TRACKING_PASSWORD"]);
        connection.token = self.variable(&["MLFLOW_TRACKING_TOKEN"]);
        connection.proxies = ProxyOptions {
            https: self.variable(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            http: self.variable(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: self.variable(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
        };
    }

    /// The settings of `sections`.
    pub fn resolve(&self, sections: &[&'static Section], given: Given<'_>) -> Result<Resolved, Problems> {
        // A recipe that cannot be read does not hide what is wrong with the other places.
        let (recipe, problems) = given.recipe.map(RecipeFile::find).unzip();
        let mut problems = problems.unwrap_or_default();
        let inputs = Inputs {
            sections,
            flags: given.flags,
            environment: &self.environment,
            recipe: recipe.as_ref(),
            saved: given.saved,
            env_file: self.env_file.as_ref(),
        };
        match resolve(&inputs) {
            Ok(mut resolved) if problems.is_empty() => {
                resolved.settings.buckets.variables = self.provider_variables();
                self.add_credentials(&mut resolved.settings.connection);
                resolved.warnings.extend(self.env_file.iter().flat_map(EnvFile::suspects));
                Ok(resolved)
            }
            Ok(_) => Err(Problems(problems)),
            Err(more) => {
                problems.extend(more.0);
                Err(Problems(problems))
            }
        }
    }
}

/// What the command line says about settings.
#[derive(Default, Clone, Copy)]
pub struct Given<'a> {
    /// Settings given as flags.
    pub flags: &'a [(&'static str, String)],
    /// `--recipe`.
    pub recipe: Option<&'a str>,
    /// A recipe that was saved, and with what.
    pub saved: Option<(&'a str, &'a Recipe)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
