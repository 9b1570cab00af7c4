//! A password from a person, who does not see it, or from a pipe.

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Write};

/// The first line of standard input, after a question where a person sits.
pub fn read(question: &str) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let mut line = String::new();
    let length = if stdin.is_terminal() {
        let mut err = std::io::stderr();
        write!(err, "{question}: ")?;
        err.flush()?;
        let silence = Silence::new()?;
        let length = stdin.lock().read_line(&mut line);
        drop(silence);
        writeln!(err)?;
        length
    } else {
        stdin.lock().read_line(&mut line)
    };
    let length = length.context("the password cannot be read from standard input")?;
    anyhow::ensure!(length > 0, "no password came on standard input");
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// What is typed is not shown, until this goes.
struct Silence(Termios);

impl Silence {
    fn new() -> anyhow::Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("the terminal cannot be asked to hide a password")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &silent).context("the terminal cannot hide a password")?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that cannot be set back is gone.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
