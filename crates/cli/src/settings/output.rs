//! What a command says, and where.

use super::value::{OneOf, Text};
use super::{Section, setting};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

/// The least important lines that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

pub const SECTION: Section = Section {
    title: "Output",
    of_recipe: false,
    settings: &[
        setting(
            "log_format",
            "Log lines for people, or JSON lines for machines",
            &OneOf { field: |s| &mut s.log_format, names: &[("human", LogFormat::Human), ("json", LogFormat::Json)] },
        ),
        setting(
            "log_level",
            "The least important log lines to show",
            &OneOf {
                field: |s| &mut s.log_level,
                names: &[
                    ("error", LogLevel::Error),
                    ("warn", LogLevel::Warn),
                    ("info", LogLevel::Info),
                    ("debug", LogLevel::Debug),
                    // Python's words for two of them.
                    ("warning", LogLevel::Warn),
                    ("critical", LogLevel::Error),
                ],
            },
        ),
        setting("log_dir", "Folder of training.log", &Text { field: |s| &mut s.log_dir, noun: "FOLDER", what: "a folder" }),
        setting(
            "color",
            "Colours; auto is on a terminal where NO_COLOR is not set",
            &OneOf { field: |s| &mut s.color, names: &[("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)] },
        )
        .with_variables(&["ANMOK_COLOR"]),
    ],
};
