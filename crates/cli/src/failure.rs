//! How the program ends when something goes wrong: one message, and an exit code that means something.

use crate::settings::Problems;
use crate::settings::output::Color;
use crate::terminal::style::Style;
use std::fmt;

/// What was typed cannot be carried out; exit code 2, as for settings.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A signal ended the work in good order; exit code 128 + signal.
#[derive(Debug)]
pub struct Interrupted {
    /// SIGINT is 2, SIGTERM 15.
    pub signal: i32,
    /// What was saved and how to go on.
    pub message: String,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Interrupted {}

/// A failure that the log already has; only its exit code is left to give.
#[derive(Debug)]
pub struct Told(u8);

impl Told {
    /// Logs the failure now.
    pub fn now(error: &anyhow::Error) -> Self {
        tracing::error!("{}", message(error));
        Self(exit_code(error))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the failure is in the log")
    }
}

impl std::error::Error for Told {}

/// The exit code of an error: 130 or 143 for signals, 2 for usage and settings, 1 for the rest.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return u8::try_from(128 + interrupted.signal).unwrap_or(1);
    }
    if let Some(Told(code)) = error.downcast_ref::<Told>() {
        return *code;
    }
    if error.is::<Problems>() || error.is::<Usage>() { 2 } else { 1 }
}

/// Tells the user: through the log where it has begun (its lines may be JSON), on standard error otherwise.
pub fn tell(error: &anyhow::Error) {
    let logging = tracing::dispatcher::has_been_set();
    match error.downcast_ref::<Interrupted>() {
        Some(interrupted) if logging => tracing::info!("interrupted: {interrupted}"),
        _ if error.is::<Told>() => {}
        _ if logging => tracing::error!("{}", message(error)),
        _ => eprintln!("{} {}", Style::new(Color::Auto, &std::io::stderr()).red("error:"), message(error)),
    }
}

/// The message with its causes. A cause that the line above already says is left out.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut said = text.clone();
    for cause in error.chain().skip(1) {
        let line = cause.to_string();
        if !said.contains(&line) {
            text += &format!("\n  because: {line}");
            said = line;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn codes_tell_the_kinds_apart() {
        assert_eq!(exit_code(&anyhow!("disk full")), 1);
        assert_eq!(exit_code(&Usage("no".into()).into()), 2);
        assert_eq!(exit_code(&anyhow::Error::from(Problems(vec![]))), 2);
        assert_eq!(exit_code(&Interrupted { signal: 15, message: String::new() }.into()), 143);
    }

    #[test]
    fn causes_follow_without_repetition() {
        let inner = anyhow!("permission denied");
        let error = inner.context("cannot write x: permission denied").context("the run failed");
        assert_eq!(message(&error), "the run failed\n  because: cannot write x: permission denied");
    }
}
