//! What model versions can be searched and ordered by.

use super::registered_models::asks_for_prompts;
use super::{Comparison, Filter, Order, TextTest};
use crate::IS_PROMPT_TAG;

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
