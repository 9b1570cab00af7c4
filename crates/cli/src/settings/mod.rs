//! Settings: one table, read from five places, checked once.
//!
//! A setting is one entry of a section below: its name (the key in a recipe file; in upper case the environment variable;
//! with dashes the flag), its help and the place in [`Settings`] where its value lives. Defaults are what
//! [`Settings::default`] holds. Precedence: flag, environment variable, named recipe, `.env`, default.
//!
//! - [`model`], [`dataset`], [`augmentation`], [`optimization`], [`run`]: the sections that make up a recipe
//! - [`machine`], [`storage`], [`tracking`], [`connection`], [`server`], [`monitoring`], [`output`]: the rest
//! - [`value`]: the kinds of values
//! - [`flags`]: the flags of a subcommand, made from its sections
//! - [`env_file`], [`recipe_file`]: the two files that hold settings
//! - [`resolve`]: the precedence, and all problems at once

pub mod augmentation;
pub mod connection;
pub mod dataset;
pub mod env_file;
pub mod flags;
pub mod machine;
pub mod model;
pub mod monitoring;
pub mod optimization;
pub mod output;
pub mod recipe_file;
pub mod resolve;
pub mod run;
pub mod server;
pub mod storage;
pub mod tracking;
pub mod value;

pub use resolve::{Problem, Problems, Resolved, Source};

use anmok_train::Recipe;
use std::net::SocketAddr;
use std::path::PathBuf;
use value::Value;

/// Everything that decides what a command does, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What a training run computes.
    pub recipe: Recipe,
    pub device: machine::Device,
    /// Worker threads; 0 is one per core.
    pub threads: usize,
    pub simd: machine::SimdChoice,
    pub data_dir: PathBuf,
    /// Where data files are fetched from instead of the official host: a URL or a folder.
    pub data_mirror: Option<String>,
    pub checkpoint_dir: PathBuf,
    /// Where the journals of runs lie until they are delivered.
    pub journal_dir: PathBuf,
    pub tracking_uri: String,
    pub default_artifact_root: String,
    pub buckets: anmok_tracking::BucketOptions,
    pub durability: anmok_tracking::Durability,
    /// How a tracking server is reached, with the credentials, which are no settings.
    pub connection: anmok_tracking::ServerOptions,
    pub experiment_name: String,
    pub experiment_id: Option<String>,
    pub run_name: Option<String>,
    /// The run that a new one is nested in.
    pub parent_run_id: Option<String>,
    /// Whether a run is only journalled.
    pub offline: bool,
    pub param_drift: tracking::ParamDrift,
    pub system_metrics: bool,
    /// Seconds.
    pub system_metrics_interval: u64,
    /// A run that somebody else has made, to be trained in.
    pub run_id: Option<String>,
    /// Where the live figures of a training run are served to Prometheus.
    pub metrics_addr: Option<SocketAddr>,
    pub log_format: output::LogFormat,
    pub log_level: output::LogLevel,
    pub log_dir: PathBuf,
    pub color: output::Color,
    pub server: server::ServerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            recipe: Recipe::default(),
            device: machine::Device::Auto,
            threads: 0,
            simd: machine::SimdChoice::Auto,
            data_dir: "data".into(),
            data_mirror: None,
            checkpoint_dir: "checkpoints".into(),
            journal_dir: ".anmok/journal".into(),
            tracking_uri: "sqlite:///anmok.db".into(),
            default_artifact_root: "artifacts".into(),
            buckets: anmok_tracking::BucketOptions::default(),
            durability: anmok_tracking::Durability::Normal,
            connection: anmok_tracking::ServerOptions::default(),
            experiment_name: "Default".into(),
            experiment_id: None,
            run_name: None,
            parent_run_id: None,
            offline: false,
            param_drift: tracking::ParamDrift::Record,
            system_metrics: false,
            system_metrics_interval: 10,
            run_id: None,
            metrics_addr: None,
            log_format: output::LogFormat::Human,
            log_level: output::LogLevel::Info,
            log_dir: "logs".into(),
            color: output::Color::Auto,
            server: server::ServerSettings::default(),
        }
    }
}

/// One setting.
pub struct Setting {
    /// The recipe's key. The flag is this with dashes.
    pub name: &'static str,
    /// The environment variables, the first that is set being taken; empty for the name in upper case.
    pub variables: &'static [&'static str],
    /// One line.
    pub help: &'static str,
    /// Its kind and its place.
    pub value: &'static dyn Value,
}

/// An entry of a section.
const fn setting(name: &'static str, help: &'static str, value: &'static dyn Value) -> Setting {
    Setting { name, variables: &[], help, value }
}

impl Setting {
    /// With other environment variables than the name in upper case, the strongest first.
    const fn with_variables(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    /// The flag, without the two dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variables, the strongest first.
    pub fn variables(&self) -> Vec<String> {
        match self.variables {
            [] => vec![self.name.to_uppercase()],
            named => named.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// The value as text; empty for one that is not set.
    pub fn shown(&self, settings: &mut Settings) -> String {
        use serde_json::Value as Json;
        match self.value.get(settings) {
            Json::Null => String::new(),
            Json::String(text) => text,
            Json::Array(items) => items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }
    }
}

/// Settings that belong together.
pub struct Section {
    /// The heading in help and in `config show`.
    pub title: &'static str,
    /// Whether a recipe file may hold these settings.
    pub of_recipe: bool,
    /// The settings.
    pub settings: &'static [Setting],
}

/// Every section, in the order of help and of `config show`.
pub const SECTIONS: &[&Section] = &[
    &model::SECTION,
    &dataset::SECTION,
    &augmentation::SECTION,
    &optimization::SECTION,
    &run::SECTION,
    &machine::SECTION,
    &storage::SECTION,
    &tracking::SECTION,
    &tracking::OF_TRAINING,
    &connection::SECTION,
    &server::SECTION,
    &monitoring::SECTION,
    &output::SECTION,
];

/// Those of the sections that no recipe holds: they are needed to find a recipe that was saved.
pub fn outside_recipe(sections: &[&'static Section]) -> Vec<&'static Section> {
    sections.iter().copied().filter(|section| !section.of_recipe).collect()
}

/// The name of `known` that `text` most probably means, if one is near enough to be asked about.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_ascii_lowercase().replace('-', "_");
    let distance = |name: &str| strsim::osa_distance(&text, &name.to_ascii_lowercase().replace('-', "_"));
    let near = known.into_iter().map(|name| (distance(name), name)).filter(|(distance, name)| distance * 3 <= name.chars().count());
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The text of a URI without its password.
pub fn without_password(uri: &str) -> String {
    let masked = (|| {
        let (scheme, rest) = uri.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:***@{host}{path}"))
    })();
    masked.unwrap_or_else(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all() -> impl Iterator<Item = &'static Setting> {
        SECTIONS.iter().flat_map(|section| section.settings)
    }

    #[test]
    fn every_field_of_the_recipe_is_a_setting() {
        let settings: BTreeSet<_> = SECTIONS.iter().filter(|s| s.of_recipe).flat_map(|s| s.settings).map(|s| s.name).collect();
        let keys: BTreeSet<_> = Recipe::keys().iter().copied().collect();
        assert_eq!(settings, keys);
    }

    #[test]
    fn no_two_settings_share_a_flag_or_a_variable() {
        let mut seen = BTreeSet::new();
        for setting in all() {
            assert!(seen.insert(setting.flag()), "{}", setting.flag());
            for variable in setting.variables() {
                assert!(seen.insert(variable.clone()), "{variable}");
            }
        }
    }

    #[test]
    fn every_default_can_be_typed() {
        for setting in all() {
            let (mut default, mut typed) = (Settings::default(), Settings::default());
            let shown = setting.shown(&mut default);
            if !shown.is_empty() {
                setting.value.set(&mut typed, &shown).unwrap_or_else(|e| panic!("{}: {e}", setting.name));
            }
            assert_eq!(default, typed, "{}", setting.name);
        }
    }

    #[test]
    fn only_near_names_are_asked_about() {
        let known = ["adam", "adamw", "sgd", "learning_rate", "BATCH_SIZE"];
        assert_eq!(nearest("admw", known), Some("adamw"));
        assert_eq!(nearest("learnig-rate", known), Some("learning_rate"));
        assert_eq!(nearest("BATCHSIZE", known), Some("BATCH_SIZE"));
        assert_eq!(nearest("POSTGRES_PASSWORD", known), None);
    }

    #[test]
    fn passwords_are_masked() {
        assert_eq!(without_password("postgresql://anna:s3cr@et@db/x"), "postgresql://anna:***@db/x");
        assert_eq!(without_password("sqlite:///anmok.db"), "sqlite:///anmok.db");
        assert_eq!(without_password("http://anna@host"), "http://anna@host");
    }
}
