//! What model versions can be searched and ordered by.

use super::field::{Field, Name, Ordered, Quotes, Searched, Test, TextValue, is_tag, keyed_text, only_lists_of};
use super::registered_models::{EXPECTED_TEXT, NO_NULLS, asks_for_prompts};
use super::{Comparison, Filter, Order, SearchError, TextTest, parse};
use crate::IS_PROMPT_TAG;
use crate::error::ApiError;

/// Conditions on model versions.
pub type ModelVersionFilter = Filter<ModelVersionClause>;

/// One term of an order of model versions.
pub type ModelVersionOrder = Order<ModelVersionOrderField>;

impl ModelVersionFilter {
    /// Parses a filter for model versions; blank text lets everything through.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        parse::filter::<ModelVersions>(text)
    }
}

impl ModelVersionOrder {
    /// Parses one term, for example `version_number DESC`; the direction is ascending if absent.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        parse::order::<ModelVersions>(text)
    }

    /// Parses a list of terms.
    ///
    /// # Errors
    /// As [`Self::parse`]; a field that comes twice.
    pub fn parse_all(texts: &[impl AsRef<str>]) -> Result<Vec<Self>, ApiError> {
        super::all_orders(texts, Self::parse)
    }
}

/// One condition on a model version. One that lacks the value never matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelVersionClause {
    /// On text; never [`TextTest::Missing`] or [`TextTest::Present`].
    Text {
        /// Which.
        field: ModelVersionText,
        /// The condition.
        test: TextTest,
    },
    /// `version_number`
    Version {
        /// How to compare.
        comparison: Comparison,
        /// With what.
        value: i64,
    },
    /// On a tag's text; never a list, [`TextTest::Missing`] or [`TextTest::Present`].
    Tag {
        /// The tag.
        key: String,
        /// The condition.
        test: TextTest,
    },
}

/// A text of a model version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelVersionText {
    /// `name`: the registered model's.
    Name,
    /// `run_id`
    RunId,
    /// `source_path`: the source.
    Source,
}

/// What model versions can be ordered by; then they come by name, and by version, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelVersionOrderField {
    /// `name`: the registered model's.
    Name,
    /// `version_number`
    Version,
    /// `creation_timestamp`
    CreationTimestamp,
    /// `last_updated_timestamp`
    LastUpdatedTimestamp,
}

impl ModelVersionFilter {
    /// Takes out what the filter says about the tag [`IS_PROMPT_TAG`], and gives whether it asks for versions of prompts
    /// (versions with that tag at `true`); a search that does not ask for them must not see them.
    pub fn take_prompt_clauses(&mut self) -> bool {
        let is_prompt = |clause: &ModelVersionClause| match clause {
            ModelVersionClause::Tag { key, test } if key == IS_PROMPT_TAG => Some(asks_for_prompts(test)),
            _ => None,
        };
        let asks = self.clauses.iter().find_map(is_prompt).unwrap_or(false);
        self.clauses.retain(|clause| is_prompt(clause).is_none());
        asks
    }
}

const ORDER_KEYS: &str = "name, version_number, creation_timestamp, last_updated_timestamp";

struct ModelVersions;

impl Searched for ModelVersions {
    type Clause = ModelVersionClause;

    fn field(name: &Name) -> Result<Field<ModelVersionClause>, SearchError> {
        if is_tag(name)? {
            let key = name.key.to_string();
            let make = Box::new(|test| ModelVersionClause::Tag { key, test });
            return Ok(Field::new(Test::Text { value: keyed_text("tag"), make }, NO_NULLS, "").wrong_for("tag"));
        }
        let field = match name.key {
            "name" => ModelVersionText::Name,
            "run_id" => ModelVersionText::RunId,
            "source_path" => ModelVersionText::Source,
            "version_number" => {
                let make = Box::new(|(comparison, value)| ModelVersionClause::Version { comparison, value });
                let quotes = Quotes::Taken { no_list: only_lists_of("'name', 'run_id'") };
                let test = Test::Integer { name: "version_number", quotes, make };
                return Ok(Field::new(test, NO_NULLS, "").wrong_for("attribute version_number"));
            }
            _ => return Err(name.unknown_attribute("name, run_id, source_path, version_number")),
        };
        let no_number =
            "Only the 'version_number, creation_timestamp, last_updated_timestamp' attributes support comparison with numeric values.";
        let value = TextValue {
            complaint: EXPECTED_TEXT.into(),
            no_number: Some(no_number.into()),
            no_list: (field == ModelVersionText::Source).then(|| only_lists_of("'name', 'run_id'")),
            bare: false,
        };
        let make = Box::new(move |test| ModelVersionClause::Text { field, test });
        Ok(Field::new(Test::Text { value, make }, NO_NULLS, "").wrong_for("attribute"))
    }
}

impl Ordered for ModelVersions {
    type Field = ModelVersionOrderField;

    fn order_field(name: &Name) -> Result<ModelVersionOrderField, SearchError> {
        if is_tag(name)? {
            return Err(name.error(format!("Invalid order by key '{}' specified. Valid keys are {ORDER_KEYS}", name.key)));
        }
        match name.key {
            "name" => Ok(ModelVersionOrderField::Name),
            "version_number" => Ok(ModelVersionOrderField::Version),
            "creation_timestamp" => Ok(ModelVersionOrderField::CreationTimestamp),
            "last_updated_timestamp" => Ok(ModelVersionOrderField::LastUpdatedTimestamp),
            _ => Err(name.unknown_attribute(ORDER_KEYS)),
        }
    }
}
