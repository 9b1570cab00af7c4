//! Named recipes: TOML files with some of a recipe's keys. Those of `recipes/` are compiled in.

use super::value::Kind;
use super::{Problem, SECTIONS, Setting, Source, nearest};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The recipes that `--recipe NAME` knows, with their text.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("seed", include_str!("../../../../recipes/seed.toml")),
    ("quickstart", include_str!("../../../../recipes/quickstart.toml")),
    ("cifar10-strong", include_str!("../../../../recipes/cifar10-strong.toml")),
    ("cifar100", include_str!("../../../../recipes/cifar100.toml")),
    ("fashion-mnist", include_str!("../../../../recipes/fashion-mnist.toml")),
    ("resnet18", include_str!("../../../../recipes/resnet18.toml")),
];

/// A value that a recipe sets.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The setting's name.
    pub name: &'static str,
    /// The value as a flag would give it.
    pub text: String,
    /// Where it stands.
    pub source: Source,
}

/// The settings of a named recipe.
#[derive(Debug, Clone, Default)]
pub struct RecipeFile {
    /// What it sets.
    pub entries: Vec<Entry>,
}

impl RecipeFile {
    /// Reads the built-in recipe or the file that `name` stands for. Every unknown key and every value of a wrong type is
    /// reported, beside the values that can be taken: what is wrong with those is to be told in the same breath.
    pub fn find(name: &str) -> (Self, Vec<Problem>) {
        let flag = Source::Flag { flag: "recipe".to_owned() };
        let problem = |message| (Self::default(), vec![Problem { subject: name.to_owned(), source: flag, message }]);
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        if name.ends_with(".toml") || name.contains('/') || Path::new(name).is_file() {
            return match std::fs::read_to_string(name) {
                Ok(text) => Self::parse(name, &text),
                Err(e) => problem(format!("the recipe file cannot be read: {e}")),
            };
        }
        let names: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
        let near = nearest(name, names.iter().copied()).map_or(String::new(), |near| format!(": did you mean {near}?"));
        problem(format!("no such recipe{near} (built in are {}; a file is named by its path, for example ./{name}.toml)", names.join(", ")))
    }

    fn parse(name: &str, text: &str) -> (Self, Vec<Problem>) {
        let line_of = |offset: usize| text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let source = |offset: usize| Source::Recipe { name: name.to_owned(), line: line_of(offset) };
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(e) => {
                let offset = e.span().map_or(0, |span| span.start);
                let syntax = Problem { subject: "syntax".to_owned(), source: source(offset), message: e.message().to_owned() };
                return (Self::default(), vec![syntax]);
            }
        };
        let (mut entries, mut problems) = (vec![], vec![]);
        for (key, value) in table.into_inner() {
            let source = source(key.span().start);
            let key = key.into_inner();
            let taken = setting(&key).and_then(|setting| {
                text_of(setting.value.kind(), value.get_ref()).map(|text| (setting.name, text)).ok_or_else(|| wrong_type(setting))
            });
            match taken {
                Ok((name, text)) => entries.push(Entry { name, text, source }),
                Err(message) => problems.push(Problem { subject: key.into_owned(), source, message }),
            }
        }
        (Self { entries }, problems)
    }
}

/// The recipe's setting of this name, or why there is none.
fn setting(key: &str) -> Result<&'static Setting, String> {
    let of_recipe = || SECTIONS.iter().filter(|section| section.of_recipe).flat_map(|section| section.settings);
    if let Some(setting) = of_recipe().find(|setting| setting.name == key) {
        return Ok(setting);
    }
    if let Some(other) = SECTIONS.iter().flat_map(|section| section.settings).find(|setting| setting.name == key) {
        return Err(format!("not part of a recipe: use --{} or {}", other.flag(), other.variables().join(" or ")));
    }
    match nearest(key, of_recipe().map(|setting| setting.name)) {
        Some(near) => Err(format!("no such setting: did you mean {near}?")),
        None => Err("no such setting: `anmok config show` lists them".to_owned()),
    }
}

fn wrong_type(setting: &Setting) -> String {
    let (kind, allowed) = (setting.value.kind().to_string(), setting.value.allowed());
    if kind == allowed { format!("must be {kind}") } else { format!("must be {kind}: {allowed}") }
}

/// A TOML value as the text that a flag would give, if it has the right type.
fn text_of(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    match (kind, value) {
        (Kind::Text, DeValue::String(text)) => Some(text.to_string()),
        (Kind::Whole | Kind::Real, DeValue::Integer(number)) if number.radix() == 10 => Some(number.as_str().to_owned()),
        (Kind::Real, DeValue::Float(number)) => Some(number.as_str().to_owned()),
        (Kind::Switch, DeValue::Boolean(on)) => Some(on.to_string()),
        (Kind::List, DeValue::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.filter(|texts| texts.iter().all(|text| !text.contains(','))).map(|texts| texts.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        RecipeFile::parse("mine.toml", text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_kind_of_value_is_taken() {
        let text = "freeze = [\"features.*\", \"classifier.0.bias\"]\nlearning_rate = 1e-3\nmomentum = 1\nnesterov = true\nbatch_size = 1_28\nstem = \"cifar\"";
        let (recipe, problems) = RecipeFile::parse("mine.toml", text);
        assert_eq!(problems, []);
        let find = |name: &str| recipe.entries.iter().find(|entry| entry.name == name).map(|entry| entry.text.replace('_', ""));
        let found = ["freeze", "learning_rate", "momentum", "nesterov", "batch_size", "stem"].map(|name| find(name).unwrap());
        assert_eq!(found, ["features.*,classifier.0.bias", "1e-3", "1", "true", "128", "cifar"]);
    }

    #[test]
    fn types_keys_and_syntax_are_told_with_their_lines() {
        assert_eq!(problems("epochs = \"3\""), ["epochs (recipe mine.toml, line 1): must be a whole number"]);
        assert_eq!(problems("\n[model]\nname = 1"), ["model (recipe mine.toml, line 2): no such setting: `anmok config show` lists them"]);
        assert_eq!(problems("epochs = 0x10").len(), 1);
        let syntax = problems("epochs = 3\nseed = = 1");
        assert!(syntax[0].starts_with("syntax (recipe mine.toml, line 2): "), "{syntax:?}");
        assert_eq!(problems("seed = 1\nseed = 2").len(), 1);
    }

    #[test]
    fn what_is_right_is_taken_beside_what_is_wrong() {
        let (recipe, problems) = RecipeFile::parse("mine.toml", "epochz = 3\nbatch_size = 0");
        assert_eq!((recipe.entries.len(), recipe.entries[0].name, problems.len()), (1, "batch_size", 1));
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let text = "epochs = 3\nlearning_rate = 0.1 # \u{e9}\nfreeze = ['a', \"b\"]\nstem = 'x'";
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            for inserted in ["", "=", "\"", "[", "\u{0}", "\n", "9999999999999999999999"] {
                let _ = RecipeFile::parse("mine.toml", &format!("{}{inserted}{}", &text[..cut], &text[cut..]));
            }
        }
    }
}
