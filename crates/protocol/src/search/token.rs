//! From text to tokens, each with the byte at which it starts.

use super::SearchError;
use crate::validate::is_word;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    /// As it is written, quotes included.
    pub text: &'a str,
    pub position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, digits and `_`, not starting like a number. Keywords are words too.
    Word,
    /// Digits with an optional sign, fraction and exponent.
    Number,
    /// In single quotes.
    SingleQuoted,
    /// In double quotes: a string where a value stands, a key where a key stands.
    DoubleQuoted,
    /// In back-ticks.
    BackQuoted,
    /// A comparison sign.
    Sign,
    Dot,
    Comma,
    Open,
    Close,
}

impl<'a> Token<'a> {
    /// What stands between the quotes, or the whole text.
    pub fn content(&self) -> &'a str {
        match self.kind {
            Kind::SingleQuoted | Kind::DoubleQuoted | Kind::BackQuoted => &self.text[1..self.text.len() - 1],
            _ => self.text,
        }
    }

    pub fn is_keyword(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    pub fn end(&self) -> usize {
        self.position + self.text.len()
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SearchError> {
    let mut tokens: Vec<Token> = vec![];
    let mut position = 0;
    while let Some(first) = text[position..].chars().next() {
        if first.is_whitespace() {
            position += first.len_utf8();
            continue;
        }
        let rest = &text[position..];
        // After a dot a key follows, and a key may start with a digit.
        let in_key = tokens.last().is_some_and(|last| last.kind == Kind::Dot && last.end() == position);
        let (kind, length) = match first {
            '\'' => (Kind::SingleQuoted, quoted(text, position)?),
            '"' => (Kind::DoubleQuoted, quoted(text, position)?),
            '`' => (Kind::BackQuoted, quoted(text, position)?),
            '.' if number(rest) == 0 || after_name(&tokens, position) => (Kind::Dot, 1),
            ',' => (Kind::Comma, 1),
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '=' | '<' | '>' | '!' => (Kind::Sign, sign(rest)),
            _ if !in_key && number(rest) > 0 => (Kind::Number, number(rest)),
            c if is_word(c) => (Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            _ => (Kind::Sign, 0),
        };
        if length == 0 {
            return Err(SearchError { message: format!("Invalid clause(s) in filter string: unexpected character '{first}'"), position });
        }
        tokens.push(Token { kind, text: &rest[..length], position });
        position += length;
    }
    Ok(tokens)
}

/// Whether a name ends right here, so that a dot continues it (`metrics.5`) instead of starting a number (`.5`).
fn after_name(tokens: &[Token], position: usize) -> bool {
    tokens.last().is_some_and(|last| {
        matches!(last.kind, Kind::Word | Kind::BackQuoted | Kind::DoubleQuoted | Kind::Number) && last.end() == position
    })
}

/// Whether a text, quotes included, is one quoted text and nothing more.
pub(super) fn is_one_text(written: &str) -> bool {
    quoted(written, 0).is_ok_and(|length| length == written.len())
}

/// The length of a quoted text, quotes included.
fn quoted(text: &str, position: usize) -> Result<usize, SearchError> {
    let quote = text.as_bytes()[position] as char;
    let inside = &text[position + 1..];
    // A doubled or escaped quote does not end the text; it is taken as it is written (MLflow does not undo it).
    let mut at = 0;
    while let Some(found) = inside[at..].find(['\\', quote]) {
        at += found;
        let after = &inside[at + 1..];
        if inside[at..].starts_with('\\') {
            at += if quote != '`' && after.starts_with(quote) && after[1..].contains(quote) { 2 } else { 1 };
        } else if quote != '`' && after.starts_with(quote) {
            at += 2;
        } else {
            return Ok(at + 2);
        }
    }
    Err(SearchError { message: format!("Invalid clause(s) in filter string: {quote} opens a text that nothing closes"), position })
}

/// The length of the number at the start, or 0.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(sign);
    let mut end = sign + whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return 0;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return 0;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(end + 1 + sign..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    // `5min` is a word, not a number.
    if text[end..].chars().next().is_some_and(is_word) { 0 } else { end }
}

/// The length of the comparison sign at the start, or 0.
fn sign(text: &str) -> usize {
    // `==` and `<>` are no comparators here, but whoever writes them should read that, not that `=` and a stray `=` were found.
    for sign in ["!=", "<=", ">=", "==", "<>", "=", "<", ">"] {
        if text.starts_with(sign) {
            return sign.len();
        }
    }
    0
}
