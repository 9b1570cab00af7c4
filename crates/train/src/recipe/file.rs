//! A recipe as a TOML file, and its keys as data.

use serde::Deserialize;
use serde::de::value::Error as FieldsError;
use serde::de::{Deserializer, Visitor};

use super::spelling::nearest;
use super::{Recipe, RecipeError};

impl Recipe {
    /// The recipe's keys, in the order of its fields.
    pub fn keys() -> &'static [&'static str] {
        let mut fields = Fields(&[]);
        // Always an error: nothing is read, only the names are taken.
        let _ = Recipe::deserialize(&mut fields);
        fields.0
    }

    /// Reads a recipe; keys that are not there have their default. Unknown keys are errors, all named at once with the
    /// nearest known one; other errors have line and column. `origin` says in messages where the text is from.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, RecipeError> {
        let syntax = |error: toml::de::Error| RecipeError::Syntax { origin: origin.to_owned(), message: error.to_string() };
        let table: toml::Table = text.parse().map_err(syntax)?;
        let unknown: Vec<String> = table
            .keys()
            .filter(|key| !Self::keys().contains(&key.as_str()))
            .map(|key| match nearest(key, Self::keys().iter().copied(), 1).first() {
                Some(known) => format!("`{key}` (did you mean `{known}`?)"),
                None => format!("`{key}`"),
            })
            .collect();
        if !unknown.is_empty() {
            return Err(RecipeError::UnknownKeys { origin: origin.to_owned(), keys: unknown.join(", ") });
        }
        toml::from_str(text).map_err(syntax)
    }

    /// The recipe with every key that has a value (an absent one means `None`).
    pub fn to_toml(&self) -> String {
        // Fails only for integers beyond TOML's, which `problems` refuses.
        toml::to_string(self).unwrap_or_else(|error| format!("# this recipe has no TOML form: {error}\n"))
    }

    /// Every setting with its value as text, as it is logged: keys of the recipe, `default` for what is `None`, patterns
    /// joined by commas.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let value = toml::Table::try_from(self).unwrap_or_default();
        let text = |key: &str| match value.get(key) {
            None => "default".to_owned(),
            Some(toml::Value::String(text)) => text.clone(),
            Some(toml::Value::Array(items)) => items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(","),
            Some(other) => other.to_string(),
        };
        Self::keys().iter().map(|&key| (key.to_owned(), text(key))).collect()
    }
}

/// A deserializer that has nothing to give and remembers what it was asked for.
struct Fields(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Fields {
    type Error = FieldsError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, FieldsError> {
        self.0 = fields;
        Err(serde::de::Error::custom("only the names are wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, FieldsError> {
        Err(serde::de::Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Optimizer, Schedule, Stem};

    #[test]
    fn the_keys_are_the_fields() {
        let keys = Recipe::keys();
        assert_eq!((keys[0], keys[keys.len() - 1]), ("model_name", "checkpoint_every"));
        let full =
            Recipe { batch_norm_momentum: Some(0.1), initial_weights: Some("w.pth".into()), image_size: Some(48), ..Recipe::default() };
        let written: toml::Table = full.to_toml().parse().unwrap();
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        assert_eq!(written.keys().map(String::as_str).collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn a_recipe_comes_back_from_toml_as_it_was() {
        let recipe = Recipe {
            stem: Stem::Cifar,
            optimizer: Optimizer::Sgd,
            schedule: Schedule::OneCycle,
            freeze: vec!["features.*".into()],
            learning_rate: 0.1 + 0.2,
            batch_norm_momentum: Some(0.1),
            ..Recipe::default()
        };
        assert_eq!(Recipe::from_toml(&recipe.to_toml(), "test").unwrap(), recipe);
        assert_eq!(Recipe::from_toml("", "test").unwrap(), Recipe::default());
        assert_eq!(Recipe::from_toml("epochs = 3", "test").unwrap(), Recipe { epochs: 3, ..Recipe::default() });
    }

    #[test]
    fn a_typo_is_named_with_what_was_meant() {
        let error = Recipe::from_toml("learnig_rate = 0.1\nepoch = 3", "my.toml").unwrap_err().to_string();
        assert_eq!(error, "my.toml: unknown settings `epoch` (did you mean `epochs`?), `learnig_rate` (did you mean `learning_rate`?)");
        let error = Recipe::from_toml("epochs = \"many\"", "my.toml").unwrap_err().to_string();
        assert!(error.contains("my.toml") && error.contains("line 1, column 10"), "{error}");
        let error = Recipe::from_toml("schedule = \"cosin\"", "my.toml").unwrap_err().to_string();
        assert!(error.contains("one_cycle"), "{error}");
    }

    #[test]
    fn parameters_are_every_key_as_text() {
        let recipe = Recipe { freeze: vec!["a.*".into(), "b".into()], ..Recipe::default() };
        let parameters = recipe.parameters();
        let get = |key: &str| parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        assert_eq!(parameters.len(), Recipe::keys().len());
        assert_eq!(get("freeze"), Some("a.*,b"));
        assert_eq!(get("image_size"), Some("default"));
        assert_eq!(get("learning_rate"), Some("0.001"));
        assert_eq!(get("schedule"), Some("cosine"));
        assert_eq!(get("use_augmentation"), Some("true"));
    }
}
