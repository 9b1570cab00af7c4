//! What registered models can be searched and ordered by.

use super::field::{Field, Name, Ordered, Searched, Test, TextValue, is_tag, keyed_text};
use super::{Filter, Order, SearchError, TextTest};
use crate::IS_PROMPT_TAG;

/// Conditions on registered models.
pub type RegisteredModelFilter = Filter<RegisteredModelClause>;

/// One term of an order of registered models.
pub type RegisteredModelOrder = Order<RegisteredModelOrderField>;

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
        take_prompt_clauses(&mut self.clauses, |clause| match clause {
            RegisteredModelClause::Tag { key, test } => Some((key, test)),
            _ => None,
        })
    }
}

/// Takes the conditions on the tag [`IS_PROMPT_TAG`] out of some clauses, and gives whether the first of them asks for
/// prompts. `tag` gives the key and test of a clause on a tag.
pub(super) fn take_prompt_clauses<C>(clauses: &mut Vec<C>, tag: impl Fn(&C) -> Option<(&String, &TextTest)>) -> bool {
    let about_prompts = |clause: &C| tag(clause).filter(|(key, _)| *key == IS_PROMPT_TAG).map(|(_, test)| asks_for_prompts(test));
    let asks = clauses.iter().find_map(about_prompts).unwrap_or(false);
    clauses.retain(|clause| about_prompts(clause).is_none());
    asks
}

/// Whether a condition on the tag [`IS_PROMPT_TAG`] asks for prompts.
fn asks_for_prompts(test: &TextTest) -> bool {
    match test {
        TextTest::Equal(text) => text.eq_ignore_ascii_case("true"),
        TextTest::NotEqual(text) => text.eq_ignore_ascii_case("false"),
        _ => false,
    }
}

pub(super) const NO_NULLS: &str = "Invalid comparison clause. IS NULL / IS NOT NULL is not supported in the model registry";
pub(super) const EXPECTED_TEXT: &str = "Expected a quoted string value or a list of quoted string values for attributes. Got value";

impl Searched for RegisteredModelClause {
    fn field(name: &Name) -> Result<Field<Self>, SearchError> {
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

impl Ordered for RegisteredModelOrderField {
    fn order_field(name: &Name) -> Result<Self, SearchError> {
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
