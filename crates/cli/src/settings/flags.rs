//! The flags of a subcommand, made from its sections.

use super::value::Kind;
use super::{Section, Setting, Settings};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::marker::PhantomData;

/// Names the sections whose settings a subcommand takes as flags.
pub trait Sections {
    /// The sections.
    const SECTIONS: &'static [&'static Section];
}

/// The settings that were given as flags, as text: they are read together with those of the other places.
#[derive(Debug, Clone)]
pub struct Flags<S> {
    /// Setting and text.
    pub given: Vec<(&'static str, String)>,
    sections: PhantomData<S>,
}

impl<S: Sections> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self { given: vec![], sections: PhantomData };
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in S::SECTIONS.iter().flat_map(|section| section.settings) {
            if matches.value_source(setting.name) == Some(ValueSource::CommandLine) {
                self.given.extend(matches.get_one::<String>(setting.name).map(|text| (setting.name, text.clone())));
            }
        }
        Ok(())
    }
}

impl<S: Sections> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        let mut defaults = Settings::default();
        S::SECTIONS.iter().fold(command, |command, section| {
            section.settings.iter().fold(command, |command, setting| command.arg(arg(section, setting, &mut defaults)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn arg(section: &Section, setting: &'static Setting, defaults: &mut Settings) -> Arg {
    let default = match setting.shown(defaults).as_str() {
        "" => String::new(),
        shown => format!(" [default: {shown}]"),
    };
    let short = format!("{}{default}", setting.help);
    let long = format!("{}.\nTakes {}; environment: {}{default}", setting.help, setting.value.allowed(), setting.variables().join(", "));
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .help(short)
        .long_help(long)
        .help_heading(section.title)
        .hide_possible_values(true)
        .value_name(value_name(setting))
        .value_parser(Offered(setting))
        // The last one counts, as elsewhere: aliases and Makefiles put theirs first.
        .overrides_with(setting.name)
        .allow_negative_numbers(true);
    match setting.value.kind() {
        Kind::Switch => arg.num_args(0..=1).default_missing_value("true"),
        _ => arg,
    }
}

/// What stands for the value in help: the choices themselves where they are few and short.
fn value_name(setting: &Setting) -> String {
    let choices = setting.value.choices().join("|");
    match setting.value.kind() {
        Kind::Whole => "N".to_owned(),
        Kind::Real => "X".to_owned(),
        Kind::Switch => "BOOL".to_owned(),
        Kind::List => "A,B".to_owned(),
        Kind::Text if !choices.is_empty() && choices.len() <= 24 => choices,
        Kind::Text => setting.value.noun().to_owned(),
    }
}

/// Takes any text (values are judged together with those of the other places), but offers the choices to the shell.
#[derive(Clone)]
struct Offered(&'static Setting);

impl TypedValueParser for Offered {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &std::ffi::OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let choices = self.0.value.choices();
        (!choices.is_empty()).then(|| Box::new(choices.into_iter().map(PossibleValue::new)) as Box<dyn Iterator<Item = _>>)
    }
}
