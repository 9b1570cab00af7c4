//! MLflow 3.17's lengths (in characters, as Python counts them) and counts.

/// Keys of metrics, params and tags.
pub const KEY_LENGTH: usize = 250;
/// A param's value; longer ones are cut.
pub const PARAM_VALUE_LENGTH: usize = 6000;
/// A run tag's value; longer ones are cut.
pub const TAG_VALUE_LENGTH: usize = 8000;
/// An experiment's name.
pub const EXPERIMENT_NAME_LENGTH: usize = 500;
/// The place of an experiment's artifacts.
pub const ARTIFACT_LOCATION_LENGTH: usize = 2048;
/// An experiment tag's key.
pub const EXPERIMENT_TAG_KEY_LENGTH: usize = 250;
/// An experiment tag's value.
pub const EXPERIMENT_TAG_VALUE_LENGTH: usize = 20_000;
/// A data set's name.
pub const DATASET_NAME_LENGTH: usize = 500;
/// A data set's digest.
pub const DATASET_DIGEST_LENGTH: usize = 36;
/// A data set's source.
pub const DATASET_SOURCE_LENGTH: usize = 65_535;
/// A data set's schema.
pub const DATASET_SCHEMA_LENGTH: usize = 1_048_575;
/// A data set's profile.
pub const DATASET_PROFILE_LENGTH: usize = 16_777_215;
/// An input tag's key.
pub const INPUT_TAG_KEY_LENGTH: usize = 255;
/// An input tag's value.
pub const INPUT_TAG_VALUE_LENGTH: usize = 500;

/// A logged model's name.
pub const LOGGED_MODEL_NAME_LENGTH: usize = 500;
/// Keys of a logged model's params and tags.
pub const LOGGED_MODEL_KEY_LENGTH: usize = 255;
/// A registry tag's key.
pub const REGISTRY_TAG_KEY_LENGTH: usize = 250;
/// A registry tag's value.
pub const REGISTRY_TAG_VALUE_LENGTH: usize = 100_000;
/// An alias of a model version.
pub const ALIAS_LENGTH: usize = 255;

/// Bytes in the body of a `log-batch`.
pub const BATCH_BYTES: usize = 1_000_000;
/// Metrics in one batch.
pub const BATCH_METRICS: usize = 1000;
/// Params in one batch.
pub const BATCH_PARAMS: usize = 100;
/// Tags in one batch.
pub const BATCH_TAGS: usize = 100;
/// Metrics, params and tags together in one batch.
pub const BATCH_ENTITIES: usize = 1000;

/// Runs in one page of a search, when the caller does not say.
pub const SEARCH_RESULTS_DEFAULT: usize = 1000;
/// Runs in one page of a search, at most.
pub const SEARCH_RESULTS_MAX: usize = 50_000;

/// Registered models in one page of a search, when the caller does not say.
pub const REGISTERED_MODEL_RESULTS_DEFAULT: usize = 100;
/// Registered models in one page of a search, at most.
pub const REGISTERED_MODEL_RESULTS_MAX: usize = 1000;
/// Model versions in one page of a search, when the caller does not say.
pub const MODEL_VERSION_RESULTS_DEFAULT: usize = 10_000;
/// Model versions in one page of a search, at most.
pub const MODEL_VERSION_RESULTS_MAX: usize = 200_000;
/// Logged models in one page of a search, when the caller does not say.
pub const LOGGED_MODEL_RESULTS_DEFAULT: usize = 100;

/// Points of one run in a sampled history, at most.
pub const SAMPLED_HISTORY_POINTS: usize = 2500;
/// Runs in a sampled history, at most.
pub const SAMPLED_HISTORY_RUNS: usize = 100;
/// Points in one answer of `metrics/get-history-bulk`, at most.
pub const BULK_HISTORY_POINTS: usize = 25_000;
/// Experiments in one search for data sets, at most.
pub const DATASET_SEARCH_EXPERIMENTS: usize = 20;
/// Data set summaries in one answer, at most.
pub const DATASET_SUMMARIES: usize = 1000;

/// The first `limit` characters of `text`.
pub fn cut(text: &str, limit: usize) -> &str {
    // A character has at least one byte, so a short text needs no counting.
    if text.len() <= limit {
        return text;
    }
    match text.char_indices().nth(limit) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
