//! What a command says, and where.

use super::value::{OneOf, Place};
use super::{Section, Setting};

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
        Setting {
            name: "log_format",
            variables: &[],
            help: "Log lines for people, or JSON lines for machines",
            value: &OneOf { field: |s| &mut s.log_format, names: &[("human", LogFormat::Human), ("json", LogFormat::Json)] },
        },
        Setting {
            name: "log_level",
            variables: &[],
            help: "The least important log lines to show",
            value: &OneOf {
                field: |s| &mut s.log_level,
                names: &[("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)],
            },
        },
        Setting {
            name: "log_dir",
            variables: &[],
            help: "Folder of training.log",
            value: &Place { field: |s| &mut s.log_dir, what: "a folder" },
        },
        Setting {
            name: "color",
            variables: &["ANMOK_COLOR"],
            help: "Colours; auto is on a terminal where NO_COLOR is not set",
            value: &OneOf { field: |s| &mut s.color, names: &[("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)] },
        },
    ],
};
