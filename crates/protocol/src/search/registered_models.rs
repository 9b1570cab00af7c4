//! What registered models can be searched and ordered by.

use super::{Filter, Order, TextTest};
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
