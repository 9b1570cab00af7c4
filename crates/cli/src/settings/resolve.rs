//! Precedence: flag, environment variable, named recipe, `.env`, default; and all problems at once.

use super::env_file::EnvFile;
use super::machine::Device;
use super::recipe_file::RecipeFile;
use super::{Section, Setting, Settings};
use anmok_train::Recipe;
use std::collections::BTreeMap;
use std::fmt;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    EnvFile { path: String, variable: String },
    Recipe { name: String, line: usize },
    Saved { with: String },
    Environment { variable: String },
    Flag { flag: String },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::EnvFile { path, variable } => write!(f, "{variable} in {path}"),
            Self::Recipe { name, line } => write!(f, "recipe {name}, line {line}"),
            Self::Saved { with } => write!(f, "saved with {with}"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => write!(f, "flag --{flag}"),
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, with its value where there is one.
    pub subject: String,
    /// Where it was read.
    pub source: Source,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Default => write!(f, "{}: {}", self.subject, self.message),
            source => write!(f, "{} ({source}): {}", self.subject, self.message),
        }
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "{one}"),
            many => {
                write!(f, "{} settings cannot be used", many.len())?;
                many.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// The five places, as they were found.
pub struct Inputs<'a> {
    /// The settings that the command uses; others are not looked at.
    pub sections: &'a [&'static Section],
    /// Settings given as flags.
    pub flags: &'a [(&'static str, String)],
    /// The process's environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The named recipe.
    pub recipe: Option<&'a RecipeFile>,
    /// A recipe that was saved, and with what (a run that is resumed): it takes the place of the environment, `.env` and the defaults.
    pub saved: Option<(&'a str, &'a Recipe)>,
    /// `.env`.
    pub env_file: Option<&'a EnvFile>,
}

/// Settings that can be used.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The values.
    pub settings: Settings,
    /// Where each came from, by name; a default where there is no entry.
    pub sources: BTreeMap<&'static str, Source>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Resolved {
    /// Where the value of a setting came from.
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name).cloned().unwrap_or(Source::Default)
    }
}

/// Lays the five places over each other and checks the outcome.
pub fn resolve(inputs: &Inputs<'_>) -> Result<Resolved, Problems> {
    let mut found = Resolved { settings: Settings::default(), sources: BTreeMap::new(), warnings: vec![] };
    let mut problems = vec![];
    if let Some((with, recipe)) = inputs.saved {
        found.settings.recipe = recipe.clone();
        for setting in inputs.sections.iter().filter(|section| section.of_recipe).flat_map(|section| section.settings) {
            found.sources.insert(setting.name, Source::Saved { with: with.to_owned() });
        }
    }
    for section in inputs.sections {
        for setting in section.settings {
            for (text, source) in layers(inputs, section, setting) {
                let before = setting.value.get(&mut found.settings);
                if let Err(message) = setting.value.set(&mut found.settings, &text) {
                    problems.push(Problem { subject: format!("{} = {text:?}", setting.name), source, message });
                    continue;
                }
                let changed = before != setting.value.get(&mut found.settings);
                if let (true, Source::Environment { variable }, Some(Source::Recipe { name, .. })) =
                    (changed, &source, found.sources.get(setting.name))
                {
                    found
                        .warnings
                        .push(format!("{variable}={text} from the environment overrides {} = {before} of recipe {name}", setting.name));
                }
                found.sources.insert(setting.name, source);
            }
        }
    }
    // The checks of values that do fit their types; a setting that was already refused is not reported twice.
    let of_recipe = inputs.sections.iter().any(|section| section.of_recipe);
    let recipe_problems = if of_recipe { found.settings.recipe.problems() } else { vec![] };
    for (name, value, message) in recipe_problems
        .into_iter()
        .map(|p| (p.setting, p.value, format!("{} (allowed: {})", p.message, p.allowed)))
        .chain(found.settings.problems())
    {
        let used = inputs.sections.iter().flat_map(|section| section.settings).any(|setting| setting.name == name);
        // A model outlives the folder it was trained on, and may be used from elsewhere: who needs the images opens them.
        let saved_dataset = name == "dataset" && matches!(found.source(name), Source::Saved { .. });
        if used && !saved_dataset && !problems.iter().any(|p: &Problem| p.subject.starts_with(&format!("{name} = "))) {
            problems.push(Problem { subject: format!("{name} = {value}"), source: found.source(name), message });
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Problems(problems)) }
}

impl Settings {
    /// What is wrong with values that [`Recipe::problems`] does not know: name, value, and what would be right.
    pub fn problems(&self) -> Vec<(&'static str, String, String)> {
        let mut problems = vec![];
        if !matches!(self.device, Device::Auto | Device::Cpu) {
            let name = format!("{:?}", self.device).to_lowercase();
            let message = "this build runs on the CPU only: use auto, which takes the best that is there, or cpu";
            problems.push(("device", name, message.to_owned()));
        }
        if let Err(message) = self.simd_level() {
            problems.push(("simd", format!("{:?}", self.simd).to_lowercase(), message));
        }
        if self.threads > MAX_THREADS {
            problems.push(("threads", self.threads.to_string(), format!("must be from 1 to {MAX_THREADS}, or 0 for one per core")));
        }
        if self.connection.timeout.is_some_and(|timeout| timeout.is_zero()) {
            problems.push(("http_request_timeout", "0".to_owned(), "must be above 0: no server answers in no time".to_owned()));
        }
        if let Err(e) = anmok_data::DatasetName::parse(&self.recipe.dataset) {
            problems.push(("dataset", self.recipe.dataset.clone(), e.to_string()));
        }
        if self.system_metrics_interval == 0 {
            problems.push(("system_metrics_interval", "0".to_owned(), "must be at least 1 second".to_owned()));
        }
        problems
    }
}

/// More threads than this is a typing error.
const MAX_THREADS: usize = 1024;

/// The values given for one setting, the weakest first.
fn layers(inputs: &Inputs<'_>, section: &Section, setting: &Setting) -> Vec<(String, Source)> {
    let from_surroundings = !(section.of_recipe && inputs.saved.is_some());
    // An empty variable is one that is not set: Compose and CI systems pass them on that way.
    let first = |variables: &BTreeMap<String, String>| {
        setting
            .variables()
            .into_iter()
            .find_map(|name| variables.get(&name).filter(|value| !value.is_empty()).map(|value| (value.clone(), name)))
    };
    let mut layers = vec![];
    if let Some(file) = inputs.env_file.filter(|_| from_surroundings) {
        let path = file.path.display().to_string();
        layers.extend(first(&file.variables).map(|(value, variable)| (value, Source::EnvFile { path, variable })));
    }
    if let Some(recipe) = inputs.recipe.filter(|_| section.of_recipe) {
        layers.extend(
            recipe.entries.iter().filter(|entry| entry.name == setting.name).map(|entry| (entry.text.clone(), entry.source.clone())),
        );
    }
    if from_surroundings {
        layers.extend(first(inputs.environment).map(|(value, variable)| (value, Source::Environment { variable })));
    }
    let given = inputs.flags.iter().filter(|(name, _)| *name == setting.name);
    layers.extend(given.map(|(_, value)| (value.clone(), Source::Flag { flag: setting.flag() })));
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SECTIONS;

    #[test]
    fn a_saved_recipe_takes_the_place_of_all_but_flags() {
        let variables = [("EPOCHS", "3"), ("SEED", "5"), ("DATA_DIR", "elsewhere")];
        let environment = BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let env_file = EnvFile { path: ".env".into(), variables: BTreeMap::from([("BATCH_SIZE".to_owned(), "9".to_owned())]) };
        let saved = Recipe { epochs: 7, batch_size: 8, ..Recipe::default() };
        let flags = [("seed", "6".to_owned())];
        let inputs = Inputs {
            sections: SECTIONS,
            flags: &flags,
            environment: &environment,
            recipe: None,
            saved: Some(("run x", &saved)),
            env_file: Some(&env_file),
        };
        let found = resolve(&inputs).unwrap();
        assert_eq!(found.settings.recipe, Recipe { seed: 6, ..saved });
        assert_eq!(found.settings.data_dir.to_str(), Some("elsewhere"));
        assert_eq!(found.source("epochs").to_string(), "saved with run x");
        assert_eq!(found.source("seed").to_string(), "flag --seed");
    }

    #[test]
    fn a_saved_data_set_may_be_gone_and_a_typed_one_may_not() {
        let saved = Recipe { dataset: "a/folder/that/is/gone".to_owned(), ..Recipe::default() };
        let check = |flags: &[(&'static str, String)]| {
            let inputs = Inputs {
                sections: SECTIONS,
                flags,
                environment: &BTreeMap::new(),
                recipe: None,
                saved: Some(("run x", &saved)),
                env_file: None,
            };
            resolve(&inputs).map(|found| found.settings.recipe.dataset).map_err(|problems| problems.to_string())
        };
        assert_eq!(check(&[]).unwrap(), saved.dataset);
        let refused = check(&[("dataset", "nowhere".to_owned())]).unwrap_err();
        assert!(refused.contains("dataset = nowhere (flag --dataset)"), "{refused}");
    }
}
