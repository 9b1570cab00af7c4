//! Where a run came from: the tags that MLflow's UI shows, and ours.

use crate::machine;
use anmok_protocol::RunTag;

/// The name of whoever types.
pub fn user() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    named.or_else(|| machine::command("id", &["-un"])).unwrap_or_else(|| "unknown".to_owned())
}

/// User, source, git commit, host, version.
pub fn tags(command: &str) -> Vec<RunTag> {
    let mut tags = vec![
        ("mlflow.user", Some(user())),
        ("mlflow.source.name", Some(format!("anmok {command}"))),
        ("mlflow.source.type", Some("LOCAL".to_owned())),
        ("mlflow.source.git.commit", machine::command("git", &["rev-parse", "HEAD"])),
        ("mlflow.source.git.branch", machine::command("git", &["rev-parse", "--abbrev-ref", "HEAD"]).filter(|branch| branch != "HEAD")),
        ("anmok.host", Some(machine::host())),
        ("anmok.version", Some(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    tags.push(("anmok.processor", machine::processor()));
    tags.into_iter().filter_map(|(key, value)| Some(RunTag::new(key, value?))).collect()
}
