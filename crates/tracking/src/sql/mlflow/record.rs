//! A row of a table that both databases have, read from bytes that nobody promised anything about.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::connection::{Row, Value};
use super::super::failure::Failure;
use super::tables::{Kind, Table};
use crate::artifact::file_uri;
use crate::maintenance::CopyProblem;
use crate::uri::is_scheme;

/// Bytes of a name at most: what a page of PostgreSQL's indexes takes. MLflow's own limit is 500 characters.
const LONGEST_NAME: usize = 2000;

/// Examples of one problem that are named.
const EXAMPLES: usize = 5;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

pub(super) type Record = Vec<Cell>;

impl Cell {
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub fn optional_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(value) => *value,
            _ => 0,
        }
    }

    pub fn real(&self) -> f64 {
        match self {
            Self::Real(value) => *value,
            _ => 0.0,
        }
    }

    /// As it is shown, and as an owner is known by.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Integer(value) => value.to_string(),
            Self::Real(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// What was odd, counted by kind.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: BTreeMap<(String, bool), (u64, Vec<String>)>,
}

impl Problems {
    pub fn add(&mut self, what: String, lost: bool, example: impl FnOnce() -> String) {
        let (count, examples) = self.found.entry((what, lost)).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example());
        }
    }

    pub fn list(self) -> Vec<CopyProblem> {
        let problem = |((what, lost), (count, examples))| CopyProblem { what, lost, count, examples };
        self.found.into_iter().map(problem).collect()
    }
}

/// What is needed to make sense of a source's values.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// The target cannot store NUL characters.
    pub no_nul: bool,
    /// Where relative locations start.
    pub folder: PathBuf,
    /// Leave locations as they are.
    pub as_they_are: bool,
}

impl Reading {
    /// A row; `None` if it cannot be kept, which is told.
    pub fn record(&self, row: &dyn Row, table: &Table, problems: &mut Problems) -> Result<Option<Record>, Failure> {
        let mut record: Record = Vec::with_capacity(table.columns.len());
        let mut told: Vec<(&str, String, bool)> = vec![];
        for (place, column) in table.columns.iter().enumerate() {
            match self.cell(row, place, column.kind)? {
                Ok((cell, odd)) => {
                    told.extend(odd.into_iter().map(|odd| (column.name, odd, false)));
                    record.push(cell);
                }
                Err(why) => {
                    told.push((column.name, why, true));
                    record.push(Cell::Null);
                }
            }
        }
        without_nan(table, &mut record);
        let lost = told.iter().any(|(_, _, lost)| *lost);
        for (column, what, is_lost) in told {
            problems.add(format!("{}.{column} {what}", table.name), is_lost, || shown(table, &record));
        }
        Ok((!lost).then_some(record))
    }

    /// A value with what was odd about it, or why it cannot be kept.
    fn cell(&self, row: &dyn Row, place: usize, kind: Kind) -> Result<Result<(Cell, Option<String>), String>, Failure> {
        Ok(match kind {
            Kind::Name | Kind::Text | Kind::OptionalText | Kind::OneOf(_) | Kind::Location => {
                let (text, odd) = match row.lossy_text(place)? {
                    Some((text, true)) => (Some(text), Some("is not UTF-8: bytes were replaced by \u{fffd}")),
                    Some((text, false)) => (Some(text), None),
                    None => (None, None),
                };
                let (text, odd) = match text {
                    Some(text) if self.no_nul && text.contains('\0') => {
                        (Some(text.replace('\0', "\u{fffd}")), Some("has a NUL character: it was replaced by \u{fffd}"))
                    }
                    text => (text, odd),
                };
                self.text(text, kind).map(|(cell, odder)| (cell, odd.map(String::from).or(odder)))
            }
            Kind::Integer | Kind::OptionalInteger => match number(row, place) {
                Some(Cell::Real(value)) if value.fract() == 0.0 && value.abs() < 9e15 => Ok((Cell::Integer(value as i64), None)),
                Some(Cell::Null) if kind == Kind::Integer => Ok((Cell::Integer(0), Some("is NULL: taken as 0".into()))),
                Some(cell @ (Cell::Integer(_) | Cell::Null)) => Ok((cell, None)),
                _ => Err("is no whole number: the row was left out".into()),
            },
            Kind::Real => match number(row, place) {
                Some(Cell::Integer(value)) => Ok((Cell::Real(value as f64), None)),
                Some(Cell::Real(value)) if value.is_infinite() => {
                    Ok((Cell::Real(value.clamp(f64::MIN, f64::MAX)), Some("is infinite: taken as the largest double".into())))
                }
                // -0 is 0: they compare equal, so they are the same point.
                Some(Cell::Real(value)) => Ok((Cell::Real(if value == 0.0 { 0.0 } else { value }), None)),
                Some(Cell::Null) => Ok((Cell::Real(f64::NAN), Some("is NULL: taken as NaN".into()))),
                _ => Err("is no number: the row was left out".into()),
            },
        })
    }

    fn text(&self, text: Option<String>, kind: Kind) -> Result<(Cell, Option<String>), String> {
        match (kind, text) {
            (Kind::Name, None) => Err("is NULL: the row was left out".into()),
            (Kind::Name, Some(text)) if text.len() > LONGEST_NAME => {
                Err(format!("has more than {LONGEST_NAME} bytes, too many for a name: the row was left out"))
            }
            (Kind::OptionalText, None) => Ok((Cell::Null, None)),
            (Kind::OneOf(known), Some(text)) if known.contains(&text.as_str()) => Ok((Cell::Text(text), None)),
            (Kind::OneOf(known), text) => {
                let what = text.map_or_else(|| "is NULL".into(), |text| format!("is {text:?}, which is not known"));
                Ok((Cell::Text(known[0].into()), Some(format!("{what}: taken as {}", known[0]))))
            }
            (Kind::Location, Some(text)) => Ok(self.location(text)),
            (_, Some(text)) => Ok((Cell::Text(text), None)),
            (_, None) => Ok((Cell::Text(String::new()), None)),
        }
    }

    /// A location as it was, but never a relative one: ours start with the database's folder, MLflow's with that in which it
    /// was started.
    fn location(&self, text: String) -> (Cell, Option<String>) {
        let is_whole = text.is_empty() || text.starts_with('/') || text.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme));
        if is_whole || self.as_they_are {
            return (Cell::Text(text), None);
        }
        let whole = file_uri(&self.folder.join(text.trim_start_matches("./")));
        (Cell::Text(whole), Some(format!("is a relative path: taken as below {}", self.folder.display())))
    }
}

fn number(row: &dyn Row, place: usize) -> Option<Cell> {
    match row.value(place).ok()? {
        Value::Null => Some(Cell::Null),
        Value::Integer(value) => Some(Cell::Integer(value)),
        Value::Real(value) => Some(Cell::Real(value)),
        _ => None,
    }
}

/// NaN as both databases write it: 0, and marked where there is a column for that.
fn without_nan(table: &Table, record: &mut Record) {
    for (place, column) in table.columns.iter().enumerate() {
        if column.kind == Kind::Real && matches!(record[place], Cell::Real(value) if value.is_nan()) {
            record[place] = Cell::Real(0.0);
            if let Some(mark) = table.columns.iter().position(|column| column.name == "is_nan") {
                record[mark] = Cell::Integer(1);
            }
        }
    }
}

/// A row's first columns, which say which one it is.
pub(super) fn shown(table: &Table, record: &[Cell]) -> String {
    let named = table.columns.iter().zip(record).take(3);
    named.map(|(column, cell)| format!("{} {}", column.name, cut(&cell.shown()))).collect::<Vec<_>>().join(", ")
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
