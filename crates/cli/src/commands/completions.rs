//! `anmok completions SHELL`.

use super::Cli;
use clap::{Args, CommandFactory};

/// Print the completion script of a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  anmok completions bash > ~/.local/share/bash-completion/completions/anmok\n  anmok completions zsh > ~/.zfunc/_anmok"
)]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub fn run(self) -> anyhow::Result<()> {
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut Cli::command(), "anmok", &mut script);
        crate::terminal::print(&String::from_utf8(script)?);
        Ok(())
    }
}
