//! `.env`: variables for one folder, read without touching the process's environment.

use super::{Problem, SECTIONS, Source, nearest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variables of one file.
#[derive(Debug, Clone, Default)]
pub struct EnvFile {
    /// Where they were read.
    pub path: PathBuf,
    /// Name and value; of a name that appears twice, the first.
    pub variables: BTreeMap<String, String>,
}

impl EnvFile {
    /// Reads the file that `choice` names (`none`: no file at all); without a choice `.env`, if there is one.
    pub fn find(choice: Option<&Path>) -> Result<Option<Self>, Problem> {
        let path = match choice {
            Some(path) if path == Path::new("none") => return Ok(None),
            Some(path) => path,
            None if Path::new(".env").is_file() => Path::new(".env"),
            None => return Ok(None),
        };
        let problem = |message: String| Problem { subject: path.display().to_string(), source: Source::Default, message };
        let file = std::fs::File::open(path).map_err(|e| problem(format!("the file with environment variables cannot be read: {e}")))?;
        let mut variables = BTreeMap::new();
        for item in dotenvy::from_read_iter(file) {
            let (name, value) = item.map_err(|e| match e {
                dotenvy::Error::LineParse(line, _) => problem(format!("{:?} is not of the form NAME=value", line.trim_end())),
                other => problem(format!("the file with environment variables cannot be read: {other}")),
            })?;
            variables.entry(name).or_insert(value);
        }
        Ok(Some(Self { path: path.to_owned(), variables }))
    }

    /// A line for each variable that looks like a setting with a typing error.
    pub fn suspects(&self) -> Vec<String> {
        let known: Vec<String> = SECTIONS.iter().flat_map(|section| section.settings).flat_map(|setting| setting.variables()).collect();
        let mut lines = vec![];
        for name in self.variables.keys().filter(|name| !known.contains(name)) {
            if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
                lines.push(format!("{name} in {} is not a setting and has no effect: did you mean {near}?", self.path.display()));
            }
        }
        lines
    }
}
