//! The kinds of values a setting can take: how each is read, shown and described.
//!
//! A kind holds the place in [`Settings`] where the value is kept, so that a setting is one entry of a table and nothing
//! else. `get` takes `&mut` because a second accessor per setting, only for reading, would be the same fact twice.

use super::{Settings, nearest};
use serde_json::{Value as Json, json};
use std::str::FromStr;
use std::time::Duration;

/// The type that a recipe file must use for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Whole,
    Real,
    Switch,
    List,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Text => "a text in quotes",
            Kind::Whole => "a whole number",
            Kind::Real => "a number",
            Kind::Switch => "true or false",
            Kind::List => "an array of texts",
        })
    }
}

/// Reads text into its place in the settings, and shows what is there.
pub trait Value: Sync {
    /// The TOML type.
    fn kind(&self) -> Kind;
    /// What is accepted, in words: "one of adam, adamw, sgd".
    fn allowed(&self) -> String;
    /// What stands for the value in help.
    fn noun(&self) -> &'static str {
        "NAME"
    }
    /// Names to offer for completion and near misses; empty where there are none.
    fn choices(&self) -> Vec<&'static str> {
        vec![]
    }
    /// Stores the value that `text` stands for, or says what would have been right.
    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String>;
    /// The value as it is now.
    fn get(&self, settings: &mut Settings) -> Json;
}

/// `text` names one of `choices`, or the message with the nearest and all of them.
fn one_of<'a>(text: &str, choices: &[&'a str]) -> Result<&'a str, String> {
    let found = choices.iter().find(|choice| choice.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| match nearest(text, choices.iter().copied()) {
        Some(near) => format!("not known: did you mean {near}? (allowed: {})", choices.join(", ")),
        None => format!("not known (allowed: {})", choices.join(", ")),
    })
}

/// A whole number. Bounds are not here: [`anmok_train::Recipe::problems`] and [`Settings::problems`] know them.
pub struct Whole<T: 'static> {
    pub field: fn(&mut Settings) -> &mut T,
}

impl<T: Copy + TryFrom<u64>> Value for Whole<T>
where
    u64: TryFrom<T>,
{
    fn kind(&self) -> Kind {
        Kind::Whole
    }

    fn allowed(&self) -> String {
        "a whole number".to_owned()
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        let number = text.replace('_', "").parse::<u64>().ok().and_then(|number| T::try_from(number).ok());
        *(self.field)(settings) = number.ok_or_else(|| format!("must be {}", self.allowed()))?;
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        u64::try_from(*(self.field)(settings)).map_or(Json::Null, Json::from)
    }
}

/// A number.
pub struct Real {
    pub field: fn(&mut Settings) -> &mut f64,
}

impl Value for Real {
    fn kind(&self) -> Kind {
        Kind::Real
    }

    fn allowed(&self) -> String {
        "a number".to_owned()
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        *(self.field)(settings) = text.parse().map_err(|_| format!("must be {}", self.allowed()))?;
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        json!(*(self.field)(settings))
    }
}

/// A length of time, in seconds.
pub struct Seconds {
    pub field: fn(&mut Settings) -> &mut Duration,
}

impl Value for Seconds {
    fn kind(&self) -> Kind {
        Kind::Real
    }

    fn allowed(&self) -> String {
        "a number of seconds".to_owned()
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        *(self.field)(settings) = seconds(text).ok_or_else(|| format!("must be {}", self.allowed()))?;
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        in_seconds(*(self.field)(settings))
    }
}

/// A time, or `none` for what `absent` says.
pub struct OptionalSeconds {
    pub field: fn(&mut Settings) -> &mut Option<Duration>,
    pub absent: &'static str,
}

impl Value for OptionalSeconds {
    fn kind(&self) -> Kind {
        Kind::Real
    }

    fn allowed(&self) -> String {
        format!("a number of seconds, or none ({})", self.absent)
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        *(self.field)(settings) = match text {
            "none" | "" => None,
            text => Some(seconds(text).ok_or_else(|| format!("must be {}", self.allowed()))?),
        };
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        (self.field)(settings).map_or(Json::Null, in_seconds)
    }
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

fn in_seconds(time: Duration) -> Json {
    if time.subsec_nanos() == 0 { json!(time.as_secs()) } else { json!(time.as_secs_f64()) }
}

/// A value of type `T`, or `none` for what `absent` says.
pub struct Optional<T: 'static> {
    pub field: fn(&mut Settings) -> &mut Option<T>,
    pub kind: Kind,
    pub noun: &'static str,
    pub what: &'static str,
    pub absent: &'static str,
}

impl<T: FromStr + serde::Serialize> Value for Optional<T> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn noun(&self) -> &'static str {
        self.noun
    }

    fn allowed(&self) -> String {
        format!("{}, or none ({})", self.what, self.absent)
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        *(self.field)(settings) = match text {
            "none" | "" => None,
            text => Some(text.parse().map_err(|_| format!("must be {}", self.allowed()))?),
        };
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        json!(*(self.field)(settings))
    }
}

/// On or off.
pub struct Switch {
    pub field: fn(&mut Settings) -> &mut bool,
}

impl Value for Switch {
    fn kind(&self) -> Kind {
        Kind::Switch
    }

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }

    fn choices(&self) -> Vec<&'static str> {
        vec!["true", "false"]
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        *(self.field)(settings) = match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => return Err(format!("must be {}", self.allowed())),
        };
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        json!(*(self.field)(settings))
    }
}

/// One of a few names, each standing for a value.
pub struct OneOf<T: 'static> {
    pub field: fn(&mut Settings) -> &mut T,
    pub names: &'static [(&'static str, T)],
}

impl<T: Copy + PartialEq + Sync> Value for OneOf<T> {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn allowed(&self) -> String {
        format!("one of {}", self.choices().join(", "))
    }

    fn choices(&self) -> Vec<&'static str> {
        self.names.iter().map(|(name, _)| *name).collect()
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        let chosen = one_of(text, &self.choices())?;
        if let Some((_, value)) = self.names.iter().find(|(name, _)| *name == chosen) {
            *(self.field)(settings) = *value;
        }
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        let value = *(self.field)(settings);
        self.names.iter().find(|(_, known)| *known == value).map_or(Json::Null, |(name, _)| json!(name))
    }
}

/// A name out of those that another crate knows; that crate also says what is wrong with others.
pub struct Name {
    pub field: fn(&mut Settings) -> &mut String,
    pub names: &'static [&'static str],
    pub or: &'static str,
}

impl Value for Name {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn allowed(&self) -> String {
        format!("one of {}{}", self.names.join(", "), self.or)
    }

    fn choices(&self) -> Vec<&'static str> {
        self.names.to_vec()
    }

    /// Names are known in any case, and kept in their own.
    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        let known = self.names.iter().find(|name| name.eq_ignore_ascii_case(text));
        *(self.field)(settings) = (*known.unwrap_or(&text)).to_owned();
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        json!(*(self.field)(settings))
    }
}

/// Text that is not empty, or a path.
pub struct Text<T: 'static> {
    pub field: fn(&mut Settings) -> &mut T,
    pub noun: &'static str,
    pub what: &'static str,
}

impl<T: FromStr + serde::Serialize> Value for Text<T> {
    fn kind(&self) -> Kind {
        Kind::Text
    }

    fn noun(&self) -> &'static str {
        self.noun
    }

    fn allowed(&self) -> String {
        self.what.to_owned()
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        let value = (!text.is_empty()).then(|| text.parse().ok()).flatten();
        *(self.field)(settings) = value.ok_or_else(|| format!("must be {}, not {text:?}", self.what))?;
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        json!(*(self.field)(settings))
    }
}

/// Several texts, separated by commas (in a recipe file: an array).
pub struct List {
    pub field: fn(&mut Settings) -> &mut Vec<String>,
    pub what: &'static str,
}

impl Value for List {
    fn kind(&self) -> Kind {
        Kind::List
    }

    fn allowed(&self) -> String {
        format!("{}, separated by commas", self.what)
    }

    fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        *(self.field)(settings) = text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Ok(())
    }

    fn get(&self, settings: &mut Settings) -> Json {
        json!(*(self.field)(settings))
    }
}
