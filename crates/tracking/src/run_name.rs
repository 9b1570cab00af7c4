//! Names and ids for new runs.

use crate::error::TrackingError;

/// 32 random hexadecimal digits.
pub(crate) fn random_run_id() -> Result<String, TrackingError> {
    Ok(random_bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `adjective-noun-NNN`, as MLflow names runs.
pub(crate) fn random_run_name() -> Result<String, TrackingError> {
    let bytes = random_bytes::<8>()?;
    let draw = |at: usize, below: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize % below;
    Ok(format!("{}-{}-{}", ADJECTIVES[draw(0, ADJECTIVES.len())], NOUNS[draw(2, NOUNS.len())], draw(4, 1000)))
}

pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], TrackingError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| TrackingError::System { doing: "drawing random bytes", detail: error.to_string() })?;
    Ok(bytes)
}

/// At most ten letters, so that a name stays within MLflow's 20 characters.
const ADJECTIVES: [&str; 64] = [
    "agile", "amber", "ample", "azure", "balmy", "brave", "breezy", "brisk", "candid", "cheery", "civil", "clear", "clever", "coral",
    "cosmic", "cozy", "crisp", "curious", "deft", "eager", "early", "easy", "fair", "fleet", "fresh", "gentle", "golden", "grand", "happy",
    "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "lucid", "lucky", "mellow", "merry", "mild", "misty", "modest", "neat",
    "noble", "patient", "plucky", "proud", "quick", "quiet", "rapid", "ready", "rosy", "silver", "snug", "sober", "steady", "sunny",
    "swift", "tidy", "vivid", "warm", "witty", "zesty",
];

/// At most five letters.
const NOUNS: [&str; 64] = [
    "alder", "aspen", "basil", "bay", "beech", "birch", "bloom", "brook", "cairn", "cedar", "cliff", "cloud", "cove", "creek", "crow",
    "dale", "delta", "dune", "elm", "fern", "field", "finch", "fjord", "flint", "fox", "gale", "glade", "grove", "hare", "heath", "heron",
    "hill", "holly", "isle", "ivy", "lake", "lark", "leaf", "lynx", "maple", "marsh", "mesa", "moss", "oak", "otter", "owl", "peak",
    "pine", "pond", "rain", "reed", "ridge", "river", "robin", "sage", "seal", "shore", "sky", "snow", "stone", "swan", "tide", "trout",
    "wren",
];
