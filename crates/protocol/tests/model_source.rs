//! No source leads out of what its owner has, however it is written.

use anmok_protocol::model_source::{ModelUri, SourceOwner, check};
use proptest::prelude::*;

#[test]
fn models_are_named_in_five_ways() {
    let parse = |source: &str| ModelUri::parse(source).map_err(|error| error.message);
    assert_eq!(parse("models:/m-1"), Ok(Some(ModelUri::Id("m-1".into()))));
    assert_eq!(parse("models:/net/12"), Ok(Some(ModelUri::Version("net".into(), 12))));
    assert_eq!(parse("models:/net/Staging"), Ok(Some(ModelUri::Stage("net".into(), "Staging".into()))));
    assert_eq!(parse("models:/net/LATEST"), Ok(Some(ModelUri::Latest("net".into()))));
    assert_eq!(parse("models:/a@b@champion"), Ok(Some(ModelUri::Alias("a@b".into(), "champion".into()))));
    assert_eq!(parse("models:/a#b/1"), Ok(Some(ModelUri::Version("a#b".into(), 1))));
    assert_eq!(parse("runs:/r/model"), Ok(None));
    assert_eq!(parse("/models/1"), Ok(None));
    for bad in ["models:", "models:/", "models:net", "models:/a/b/c", "models:/a/", "models:/ /1", "models://host/a/1", "models:/a@"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_path_that_is_encoded_without_end_is_refused() {
    let mut source = String::from("..");
    for _ in 0..100 {
        source = source.replace('%', "%25").replace('.', "%2e");
    }
    let owner = SourceOwner::Run { run_id: "", artifact_uri: None };
    assert!(check(&format!("s3://bucket/a/{source}/b"), owner).is_err());
}

/// Pieces of paths and URIs in any order.
fn shreds() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "..",
        ".",
        "%2e",
        "%2E%2e",
        "%2f",
        "%252e",
        "%",
        "a",
        "root",
        "r1",
        "file:",
        "//",
        "s3:",
        "mlflow-artifacts:",
        "runs:",
        "models:",
        "localhost",
        "?",
        "#",
        "@",
        ":",
        "%00",
        "\\",
        " ",
        "+",
        "한",
        "http:",
        "api/2.0/mlflow-artifacts/artifacts",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_source_is_answered(source in any::<String>(), root in any::<String>()) {
        drop(check(&source, SourceOwner::Run { run_id: "r1", artifact_uri: Some(&root) }));
        drop(check(&source, SourceOwner::Model { model_id: "m-1", artifact_uri: Some(&root) }));
        drop(ModelUri::parse(&source));
    }

    #[test]
    fn a_local_source_stays_below_its_root(tail in shreds(), prefix in prop::sample::select(vec!["", "/root/r1/", "file:///root/r1", "file:/root/r1/"])) {
        let source = format!("{prefix}{tail}");
        let local = source.starts_with('/') || source.starts_with("file:");
        if local && check(&source, SourceOwner::Run { run_id: "r1", artifact_uri: Some("/root/r1") }).is_ok() {
            prop_assert!(source.contains("root") && !source.split('/').any(|part| part == ".."), "{}", source);
        }
    }

    #[test]
    fn no_remote_source_goes_up(tail in shreds()) {
        let source = format!("s3://bucket/{tail}");
        if check(&source, SourceOwner::Run { run_id: "", artifact_uri: None }).is_ok() {
            prop_assert!(!source.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").split('/').any(|part| part == ".."), "{}", source);
        }
    }
}
