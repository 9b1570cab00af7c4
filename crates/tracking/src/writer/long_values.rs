//! MLflow's limits, kept before a store sees them: a run does not end because a value is long.
//!
//! A param or tag that is too long is cut and says so, and its whole text goes to the run's artifacts. A name that is too long
//! keeps its beginning and gets a checksum, so that two of them stay two.

use anmok_protocol::{DatasetInput, limits};

/// The folder among the artifacts that holds the whole texts.
const FOLDER: &str = "long_values";

/// A value as it is logged, and the whole of it where that is longer.
pub struct Fitted<'a> {
    pub key: String,
    pub value: String,
    /// A path among the artifacts, and the text for it.
    pub whole: Option<(String, &'a str)>,
}

/// Fits a param or tag into MLflow's limits; `kind` names the folder, `limit` is the value's.
pub fn fit<'a>(kind: &str, key: &str, value: &'a str, limit: usize) -> Fitted<'a> {
    let key = fit_name(key);
    if limits::cut(value, limit).len() == value.len() {
        return Fitted { key, value: value.to_owned(), whole: None };
    }
    let file: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect();
    // The checksum keeps apart what the characters that are no file names have made the same.
    let path = format!("{FOLDER}/{kind}/{}-{:08x}.txt", limits::cut(&file, 100), crc32fast::hash(key.as_bytes()));
    let note = format!(" ... ({} characters, cut; the whole is in {path})", value.chars().count());
    let value_cut = format!("{}{note}", limits::cut(value, limit - note.chars().count()));
    Fitted { key, value: value_cut, whole: Some((path, value)) }
}

/// A name that is not too long.
pub fn fit_name(name: &str) -> String {
    if limits::cut(name, limits::KEY_LENGTH).len() == name.len() {
        return name.to_owned();
    }
    format!("{}-{:08x}", limits::cut(name, limits::KEY_LENGTH - 9), crc32fast::hash(name.as_bytes()))
}

/// A data set within the limits. A schema or profile that is too long is JSON, of which a part would be of no use: it is left out.
pub fn fit_dataset(mut input: DatasetInput) -> DatasetInput {
    let cut = |text: &mut String, limit| text.truncate(limits::cut(text, limit).len());
    let fits = |text: &String, limit| limits::cut(text, limit).len() == text.len();
    let dataset = &mut input.dataset;
    cut(&mut dataset.name, limits::DATASET_NAME_LENGTH);
    cut(&mut dataset.digest, limits::DATASET_DIGEST_LENGTH);
    cut(&mut dataset.source, limits::DATASET_SOURCE_LENGTH);
    dataset.schema.take_if(|schema| !fits(schema, limits::DATASET_SCHEMA_LENGTH));
    dataset.profile.take_if(|profile| !fits(profile, limits::DATASET_PROFILE_LENGTH));
    for tag in &mut input.tags {
        cut(&mut tag.key, limits::INPUT_TAG_KEY_LENGTH);
        cut(&mut tag.value, limits::INPUT_TAG_VALUE_LENGTH);
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use anmok_protocol::{ArtifactPath, Param, validate};

    #[test]
    fn what_fits_is_left_alone_and_what_does_not_is_cut_with_a_note() {
        let fitted = fit("params", "lr", "0.1", limits::PARAM_VALUE_LENGTH);
        assert_eq!((fitted.key.as_str(), fitted.value.as_str(), fitted.whole), ("lr", "0.1", None));
        let exactly = "값".repeat(limits::PARAM_VALUE_LENGTH);
        assert!(fit("params", "lr", &exactly, limits::PARAM_VALUE_LENGTH).whole.is_none());

        let long = "값".repeat(limits::PARAM_VALUE_LENGTH + 1);
        let fitted = fit("params", "a/b", &long, limits::PARAM_VALUE_LENGTH);
        assert_eq!(fitted.value.chars().count(), limits::PARAM_VALUE_LENGTH);
        let (path, whole) = fitted.whole.unwrap();
        assert!(fitted.value.ends_with(&format!("(6001 characters, cut; the whole is in {path})")), "{}", fitted.value);
        assert!(path.starts_with("long_values/params/a_b-") && whole == long, "{path}");
        assert_ne!(path, fit("params", "a_b", &long, limits::PARAM_VALUE_LENGTH).whole.unwrap().0);
    }

    #[test]
    fn long_names_stay_apart() {
        let names = ["x".repeat(300), "x".repeat(301), format!("{}/../#\n", "x".repeat(400))];
        let fitted: std::collections::HashSet<String> = names.iter().map(|name| fit_name(name)).collect();
        assert_eq!(fitted.len(), 3);
        for name in &fitted {
            validate::param(&Param::new(name.clone(), ""), "").unwrap();
            let path = fit("tags", name, &"v".repeat(9000), limits::TAG_VALUE_LENGTH).whole.unwrap().0;
            ArtifactPath::parse(&path).unwrap();
        }
    }
}
