//! Colours, where they are wanted.

use crate::settings::output::Color;
use std::io::IsTerminal;

/// Whether text is coloured. Without colours every method gives its text back as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    on: bool,
}

impl Style {
    /// By the setting; `auto` looks whether `stream` is a terminal and NO_COLOR (no-color.org) is not set.
    pub fn new(color: Color, stream: &impl IsTerminal) -> Self {
        let forbidden = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { on: color == Color::Always || (color == Color::Auto && stream.is_terminal() && !forbidden() && !dumb()) }
    }

    /// Never coloured.
    pub const PLAIN: Self = Self { on: false };

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// Columns that `text` takes on a terminal, its colour codes not counted.
pub fn width(text: &str) -> usize {
    let (mut width, mut in_code) = (0, false);
    for c in text.chars() {
        match (in_code, c) {
            (false, '\x1b') => in_code = true,
            (true, 'm') => in_code = false,
            (true, _) => {}
            (false, _) => width += 1,
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_codes_take_no_room() {
        let style = Style { on: true };
        assert_eq!(width(&style.red("four")), 4);
        assert_eq!(Style::PLAIN.red("four"), "four");
    }
}
