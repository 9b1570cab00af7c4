//! Log lines: for people on the terminal, as JSON on request, and in `logs/training.log`.
//!
//! Libraries below do not log; commands do, through `tracing`. A terminal line is the message alone, because the reader
//! sees when it comes; the file has time and level; JSON has the fields too.

use crate::settings::Settings;
use crate::settings::output::{LogFormat, LogLevel};
use crate::terminal::style::Style;
use anyhow::Context;
use indicatif::MultiProgress;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// Starts logging to standard error, around the bars of `bars`, and to `file`.
pub fn start(settings: &Settings, bars: &MultiProgress, file: Option<TrainingLog>) {
    let level = match settings.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let screen = AroundBars(bars.clone());
    // Of a write that fails nothing is said: standard error may be what failed.
    let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = match settings.log_format {
        LogFormat::Json => {
            let json = || {
                let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).log_internal_errors(false);
                layer.with_current_span(false).with_span_list(false).with_target(false)
            };
            std::iter::once(json().with_writer(screen).boxed()).chain(file.map(|file| json().with_writer(file).boxed())).collect()
        }
        LogFormat::Human => {
            let people = |style| tracing_subscriber::fmt::layer().event_format(ForPeople { style }).log_internal_errors(false);
            let screen = people(Some(Style::new(settings.color, &io::stderr()))).with_writer(screen).boxed();
            std::iter::once(screen).chain(file.map(|file| people(None).with_writer(file).boxed())).collect()
        }
    };
    // A second start (only tests do that) keeps the first subscriber.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layers).with(level));
}

/// A line for people: on the terminal (`style`) the message with its level as a word; in a file time, level, message.
struct ForPeople {
    style: Option<Style>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for ForPeople {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = *event.metadata().level();
        match self.style {
            Some(style) => {
                let word = match level {
                    Level::ERROR => style.red("error: "),
                    Level::WARN => style.yellow("warning: "),
                    Level::INFO => String::new(),
                    _ => style.dim("debug: "),
                };
                writeln!(writer, "{word}{}", message.0)
            }
            None => {
                SystemTime.format_time(&mut writer)?;
                writeln!(writer, " {level:>5} {}", message.0)
            }
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Standard error, with the progress bars out of the way while a line is written.
#[derive(Clone)]
struct AroundBars(MultiProgress);

impl Write for AroundBars {
    /// A reader that has gone away (`anmok train 2>&1 | head`) must not end the run: there is the file.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.suspend(|| io::stderr().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for AroundBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// `training.log`, and from the moment a run exists a copy of the run's own lines for its artifacts.
#[derive(Clone)]
pub struct TrainingLog(Arc<Mutex<Files>>);

struct Files {
    all_runs: File,
    this_run: Copy,
}

enum Copy {
    /// Lines from before the run existed.
    Waiting(Vec<u8>),
    Open(File),
}

impl TrainingLog {
    /// Opens `training.log` in `folder` for appending.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("training.log");
        let remedy = || format!("cannot write the log file {}: make the folder writable, or name another with --log-dir", path.display());
        std::fs::create_dir_all(folder).with_context(remedy)?;
        let all_runs = File::options().create(true).append(true).open(&path).with_context(remedy)?;
        Ok(Self(Arc::new(Mutex::new(Files { all_runs, this_run: Copy::Waiting(vec![]) }))))
    }

    /// Copies everything said so far and from now on to the end of `file`.
    pub fn copy_to(&self, file: &Path) -> anyhow::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut copy = File::options().create(true).append(true).open(file).with_context(|| format!("cannot write {}", file.display()))?;
        if let Copy::Waiting(lines) = &files.this_run {
            copy.write_all(lines).with_context(|| format!("cannot write {}", file.display()))?;
        }
        files.this_run = Copy::Open(copy);
        Ok(())
    }
}

impl Write for TrainingLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut files = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &mut files.this_run {
            Copy::Waiting(lines) => lines.extend_from_slice(line),
            Copy::Open(copy) => copy.write_all(line)?,
        }
        files.all_runs.write_all(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for TrainingLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
