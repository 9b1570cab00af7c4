//! What model versions can be searched and ordered by.

use super::field::{Field, Name, Ordered, Quotes, Searched, Test, TextValue, is_tag, keyed_text, only_lists_of};
use super::registered_models::{EXPECTED_TEXT, NO_NULLS, take_prompt_clauses};
use super::{Comparison, Filter, Order, SearchError, TextTest};

/// Conditions on model versions.
pub type ModelVersionFilter = Filter<ModelVersionClause>;

/// One term of an order of model versions.
pub type ModelVersionOrder = Order<ModelVersionOrderField>;

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
    /// Takes out what the filter says about the tag [`crate::IS_PROMPT_TAG`], and gives whether it asks for versions of prompts
    /// (versions with that tag at `true`); a search that does not ask for them must not see them.
    pub fn take_prompt_clauses(&mut self) -> bool {
        take_prompt_clauses(&mut self.clauses, |clause| match clause {
            ModelVersionClause::Tag { key, test } => Some((key, test)),
            _ => None,
        })
    }
}

const ORDER_KEYS: &str = "name, version_number, creation_timestamp, last_updated_timestamp";

impl Searched for ModelVersionClause {
    fn field(name: &Name) -> Result<Field<Self>, SearchError> {
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

impl Ordered for ModelVersionOrderField {
    fn order_field(name: &Name) -> Result<Self, SearchError> {
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
