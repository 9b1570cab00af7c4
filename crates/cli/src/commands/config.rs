//! `anmok config show`: every setting, its value and where it came from.

use super::{Given, Surroundings};
use crate::settings::flags::{Flags, Sections};
use crate::settings::recipe_file::BUILT_IN;
use crate::settings::{SECTIONS, Section, Source, without_password};
use crate::terminal::style::Style;
use crate::terminal::table::{Align, Table};
use crate::terminal::{print, print_json};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

/// Settings: values and where they came from.
#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its value and where it came from
    #[command(after_help = "Examples:\n  anmok config show --recipe cifar10-strong --epochs 30\n  BATCH_SIZE=32 anmok config show --json")]
    Show(Show),
    /// Print the built-in recipes, or one of them
    #[command(after_help = "Examples:\n  anmok config recipes\n  anmok config recipes cifar10-strong > mine.toml")]
    Recipes(Recipes),
}

/// Every setting there is.
#[derive(Debug)]
pub struct Everything;

impl Sections for Everything {
    const SECTIONS: &'static [&'static Section] = SECTIONS;
}

#[derive(Debug, Args)]
struct Show {
    /// A built-in recipe or a TOML file to take settings from
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<Everything>,
}

#[derive(Debug, Args)]
struct Recipes {
    /// Print this recipe's file
    name: Option<String>,
}

impl Config {
    pub fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        match self.command {
            ConfigCommand::Show(show) => show.run(surroundings),
            ConfigCommand::Recipes(recipes) => recipes.run(),
        }
    }
}

impl Show {
    fn run(self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let given = Given { flags: &self.flags.given, recipe: self.recipe.as_deref(), saved: None };
        let mut resolved = surroundings.resolve(SECTIONS, given)?;
        let style = Style::new(resolved.settings.color, &std::io::stdout());
        let warn = Style::new(resolved.settings.color, &std::io::stderr());
        for warning in &resolved.warnings {
            eprintln!("{} {warning}", warn.yellow("warning:"));
        }
        if self.json {
            let mut all = serde_json::Map::new();
            for setting in SECTIONS.iter().flat_map(|section| section.settings) {
                let value = match setting.value.get(&mut resolved.settings) {
                    Json::String(text) => json!(without_password(&text)),
                    other => other,
                };
                let source = resolved.source(setting.name).to_string();
                all.insert(setting.name.to_owned(), json!({ "value": value, "source": source, "variables": setting.variables() }));
            }
            print_json(&Json::Object(all));
            return Ok(());
        }
        let mut text = String::new();
        let mut table = Table::new(&[Align::Left, Align::Left, Align::Left]);
        for section in SECTIONS {
            table.row([style.bold(section.title)]);
            for setting in section.settings {
                let shown = without_password(&setting.shown(&mut resolved.settings));
                let source = resolved.source(setting.name);
                let (value, source) = match (shown.as_str(), source) {
                    ("", source) => (style.dim("none"), style.dim(&source.to_string())),
                    (shown, Source::Default) => (shown.to_owned(), style.dim("default")),
                    (shown, source) => (style.bold(shown), style.cyan(&source.to_string())),
                };
                table.row([format!("  {}", setting.name), value, source]);
            }
        }
        text += &table.render("");
        print(&text);
        Ok(())
    }
}

impl Recipes {
    fn run(self) -> anyhow::Result<()> {
        match self.name {
            Some(name) => {
                let known = BUILT_IN.iter().find(|(known, _)| *known == name);
                let names = || BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                let (_, text) =
                    known.ok_or_else(|| crate::failure::Usage(format!("no recipe {name} is built in; there are {}", names())))?;
                print(text);
            }
            None => {
                let mut table = Table::new(&[Align::Left, Align::Left]);
                for (name, text) in BUILT_IN {
                    table.row([(*name).to_owned(), description(text)]);
                }
                print(&table.render(""));
            }
        }
        Ok(())
    }
}

/// The first sentence of the comment at a recipe's head.
fn description(recipe: &str) -> String {
    let comment: Vec<&str> = recipe.lines().map_while(|line| line.strip_prefix("# ")).collect();
    let comment = comment.join(" ");
    comment.split_once(". ").map_or(comment.clone(), |(first, _)| first.to_owned()).trim_end_matches('.').to_owned()
}
