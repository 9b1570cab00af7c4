//! The arrows of ARCHITECTURE.md are all the arrows there are: which crate of the workspace may use which.
//!
//! Only normal and build dependencies count; what a crate's tests use is free.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Crate, and the crates of the workspace it uses.
const ARROWS: &[(&str, &[&str])] = &[
    ("random", &[]),
    ("graph", &["random"]),
    ("data", &["random"]),
    ("engine", &["graph", "random"]),
    ("formats", &["graph"]),
    ("train", &["graph", "engine", "data", "formats"]),
    ("protocol", &[]),
    ("tracking", &["protocol"]),
    ("server", &["protocol", "tracking"]),
    ("cli", &["random", "graph", "engine", "data", "formats", "train", "protocol", "tracking", "server"]),
];

/// Crates whose dependencies outside the workspace are few on purpose, with all that they may have.
const NEARLY_ALONE: &[(&str, &[&str])] =
    &[("random", &[]), ("graph", &["thiserror"]), ("engine", &["thiserror"]), ("protocol", &["serde", "serde_json", "thiserror"])];

fn short(package: &str) -> Option<String> {
    package.strip_prefix("anmok-").map(str::to_owned)
}

/// Each crate of the workspace with the names of what it uses.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().expect("dependencies").iter().filter(|d| d["kind"] != "dev");
            let names = used.map(|d| d["name"].as_str().expect("a name").to_owned()).collect();
            (short(package["name"].as_str().expect("a name")).expect("crates are called anmok-*"), names)
        })
        .collect()
}

#[test]
fn the_crates_use_each_other_only_along_the_arrows() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let found = dependencies();
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), allowed.keys().copied().collect(), "the crates of the workspace");
    for (name, used) in &found {
        let inside: BTreeSet<String> = used.iter().filter_map(|d| short(d)).collect();
        let beyond: Vec<_> = inside.iter().filter(|d| !allowed[name.as_str()].contains(d.as_str())).collect();
        assert!(beyond.is_empty(), "{name} must not use {beyond:?}: see the map in ARCHITECTURE.md");
        let unused: Vec<_> = allowed[name.as_str()].iter().filter(|d| !inside.contains(**d)).collect();
        assert!(
            name == "cli" || unused.is_empty(),
            "{name} no longer uses {unused:?}: take the arrow out of ARCHITECTURE.md and of this test"
        );
    }
}

#[test]
fn the_innermost_crates_use_next_to_nothing() {
    let found = dependencies();
    for (name, allowed) in NEARLY_ALONE {
        let beyond: Vec<_> = found[*name].iter().filter(|d| short(d).is_none() && !allowed.contains(&d.as_str())).collect();
        assert!(beyond.is_empty(), "{name} must not use {beyond:?}: it is kept small on purpose");
    }
}
