//! What reaches the user's eyes: text, colours, tables, bars.
//!
//! Results go to standard output, everything about how they come about (progress, log lines) to standard error, so that
//! a script can read one and a person the other.

pub mod password_input;
pub mod progress;
pub mod sparkline;
pub mod style;
pub mod table;
pub mod units;

use std::io::Write;

/// Writes a result to standard output. A reader that has gone away (`anmok runs list | head`) ends the program quietly.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush());
    if let Err(e) = written {
        std::process::exit(if e.kind() == std::io::ErrorKind::BrokenPipe { 0 } else { 1 });
    }
}

/// Writes a value as indented JSON to standard output.
pub fn print_json(value: &serde_json::Value) {
    print(&format!("{value:#}\n"));
}
