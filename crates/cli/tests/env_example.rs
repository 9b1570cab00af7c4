//! `.env.example` names settings that exist, with values they take; its commented lines are the defaults.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

/// Name and value of every assignment in the text, commented or not.
fn assignments(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    lines.filter_map(|line| line.split_once('=')).filter(|(name, _)| is_name(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// What `anmok config show` says with `env_file`: variable to (value, whether it came from the file).
fn settings(env_file: &str) -> BTreeMap<String, (Value, bool)> {
    let output = Command::new(env!("CARGO_BIN_EXE_anmok"))
        .args(["config", "show", "--json", "--env-file", env_file])
        .env_clear()
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let of_file = |setting: &Value| setting["source"] != "default";
    shown
        .values()
        .flat_map(|setting| {
            let variables = setting["variables"].as_array().expect("variables").iter();
            variables.map(move |v| (v.as_str().expect("a name").to_owned(), (setting["value"].clone(), of_file(setting))))
        })
        .collect()
}

#[test]
fn every_line_of_the_example_is_a_setting_at_its_default() {
    let text = include_str!("../../../.env.example");
    let assignments = assignments(text);
    assert!(assignments.len() > 20, "{assignments:?}");
    let all = format!("{}/all.env", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&all, assignments.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>()).expect("a file");
    let (with_file, defaults) = (settings(&all), settings("none"));
    for (name, value) in &assignments {
        let (got, from_file) = with_file.get(name).unwrap_or_else(|| panic!("{name} in .env.example is not a setting"));
        assert!(from_file, "{name}={value} has no effect");
        assert_eq!(*got, defaults[name].0, "{name}={value} is not the default");
    }
}
