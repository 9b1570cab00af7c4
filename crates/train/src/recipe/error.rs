//! What goes wrong between a recipe and a run.

use super::Problem;

/// A recipe that cannot be read or does not fit the network.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Not TOML, or a value of the wrong type; the message has line and column.
    #[error("{origin}: {message}")]
    Syntax {
        /// Where the text is from.
        origin: String,
        /// The parser's message.
        message: String,
    },
    /// Keys that no setting has.
    #[error("{origin}: unknown settings {keys}")]
    UnknownKeys {
        /// Where the text is from.
        origin: String,
        /// The keys, each with the nearest known one.
        keys: String,
    },
    /// Values that no run can use.
    #[error("the recipe cannot be used: {}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
    Problems(Vec<Problem>),
    /// The network cannot be built.
    #[error(transparent)]
    Network(#[from] anmok_graph::zoo::ZooError),
    /// The file of initial weights cannot be read.
    #[error("initial_weights: {0}")]
    InitialWeights(anmok_formats::FormatError),
    /// The file holds another network.
    #[error("{file} does not fit {model}: {problem}")]
    WeightsDoNotFit {
        /// The file of initial weights.
        file: String,
        /// The network.
        model: String,
        /// The first tensor that does not fit.
        problem: String,
    },
    /// A freeze pattern without effect.
    #[error("freeze = `{pattern}` matches no parameter of {model}{}", did_you_mean(nearest))]
    FreezeMatchesNothing {
        /// The pattern.
        pattern: String,
        /// The network.
        model: String,
        /// Patterns or names that would match.
        nearest: Vec<String>,
    },
    /// Freeze patterns that cover the whole network.
    #[error("freeze = {patterns:?} freezes every parameter: nothing is left to train")]
    EverythingFrozen {
        /// All patterns.
        patterns: Vec<String>,
    },
}

fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!(": did you mean {}?", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "))
}
