//! What registered models can be searched and ordered by.

use super::field::{Field, Name, Ordered, Searched, Test, TextValue, is_tag, keyed_text};
use super::{Filter, Order, SearchError, TextTest, parse};
use crate::IS_PROMPT_TAG;
use crate::error::ApiError;

/// Conditions on registered models.
pub type RegisteredModelFilter = Filter<RegisteredModelClause>;

/// One term of an order of registered models.
pub type RegisteredModelOrder = Order<RegisteredModelOrderField>;

impl RegisteredModelFilter {
    /// Parses a filter for registered models; blank text lets everything through.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        parse::filter::<RegisteredModels>(text)
    }
}

impl RegisteredModelOrder {
    /// Parses one term, for example `name DESC`; the direction is ascending if absent.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        parse::order::<RegisteredModels>(text)
    }

    /// Parses a list of terms.
    ///
    /// # Errors
    /// As [`Self::parse`]; a field that comes twice.
    pub fn parse_all(texts: &[impl AsRef<str>]) -> Result<Vec<Self>, ApiError> {
        super::all_orders(texts, Self::parse)
    }
}

/// One condition on a registered model. One that lacks the tag never matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisteredModelClause {
    /// `name`; never [`TextTest::Missing`] or [`TextTest::Present`].
    Name(TextTest),
    /// On a tag's text; never a list, [`TextTest::Missing`] or [`TextTest::Present`].
    Tag {
        /// The tag.
        key: String,
        /// The condition.
        test: TextTest,
    },
}

/// What registered models can be ordered by; then they come by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegisteredModelOrderField {
    /// `name`
    Name,
    /// `timestamp`, `last_updated_timestamp`
    LastUpdatedTimestamp,
}

impl RegisteredModelFilter {
    /// Takes out what the filter says about the tag [`IS_PROMPT_TAG`], and gives whether it asks for prompts. Prompts are
    /// registered models with that tag at `true`; a search that does not ask for them must not see them.
    pub fn take_prompt_clauses(&mut self) -> bool {
        let is_prompt = |clause: &RegisteredModelClause| match clause {
            RegisteredModelClause::Tag { key, test } if key == IS_PROMPT_TAG => Some(asks_for_prompts(test)),
            _ => None,
        };
        let asks = self.clauses.iter().find_map(is_prompt).unwrap_or(false);
        self.clauses.retain(|clause| is_prompt(clause).is_none());
        asks
    }
}

/// Whether a condition on the tag [`IS_PROMPT_TAG`] asks for prompts.
pub(super) fn asks_for_prompts(test: &TextTest) -> bool {
    match test {
        TextTest::Equal(text) => text.eq_ignore_ascii_case("true"),
        TextTest::NotEqual(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

pub(super) const NO_NULLS: &str = "Invalid comparison clause. IS NULL / IS NOT NULL is not supported in the model registry";
pub(super) const EXPECTED_TEXT: &str = "Expected a quoted string value or a list of quoted string values for attributes. Got value";

struct RegisteredModels;

impl Searched for RegisteredModels {
    type Clause = RegisteredModelClause;

    fn field(name: &Name) -> Result<Field<RegisteredModelClause>, SearchError> {
        if is_tag(name)? {
            let key = name.key.to_string();
            let make = Box::new(|test| RegisteredModelClause::Tag { key, test });
            return Ok(Field::new(Test::Text { value: keyed_text("tag"), make }, NO_NULLS, "").wrong_for("tag"));
        }
        if name.key != "name" {
            return Err(name.unknown_attribute("name"));
        }
        let value = TextValue { complaint: EXPECTED_TEXT.into(), no_number: None, no_list: None, bare: false };
        Ok(Field::new(Test::Text { value, make: Box::new(RegisteredModelClause::Name) }, NO_NULLS, "").wrong_for("attribute"))
    }
}

impl Ordered for RegisteredModels {
    type Field = RegisteredModelOrderField;

    fn order_field(name: &Name) -> Result<RegisteredModelOrderField, SearchError> {
        match (name.entity, name.key) {
            (None, "name") => Ok(RegisteredModelOrderField::Name),
            (None, "timestamp" | "last_updated_timestamp") => Ok(RegisteredModelOrderField::LastUpdatedTimestamp),
            (entity, key) => {
                let dotted = entity.map_or(String::new(), |entity| format!("{entity}."));
                Err(name.error(format!("Invalid order by key '{dotted}{key}' specified. Valid keys are 'name, timestamp'")))
            }
        }
    }
}
