//! The values of clauses: numbers, quoted texts and lists of them.

use super::field::{Quotes, TextValue};
use super::parse::{Operator, Parser};
use super::token::{Kind, Token};
use super::{Comparison, IdTest, SearchError};

impl Parser<'_> {
    pub fn number(&mut self, complaint: &str) -> Result<f64, SearchError> {
        let token = self.expect("a number")?;
        if token.kind == Kind::Number
            && let Ok(number) = token.text.parse::<f64>()
        {
            return Ok(number);
        }
        Err(error(&token, format!("{complaint} {}", token.text)))
    }

    pub fn integer(&mut self, name: &str, quotes: &Quotes) -> Result<i64, SearchError> {
        let token = self.expect("an integer")?;
        let shown = match (token.kind, quotes) {
            (Kind::Number, Quotes::Taken { .. }) => token.text.to_string(),
            // MLflow shows a fraction as text where it takes no text.
            (Kind::Number, Quotes::Refused(_)) | (Kind::SingleQuoted | Kind::DoubleQuoted, Quotes::Taken { .. }) => {
                crate::validate::python_string(token.content())
            }
            (_, Quotes::Refused(complaint)) => return Err(error(&token, format!("{complaint} {}", token.text))),
            (Kind::BackQuoted | Kind::Word, _) => return Err(not_quoted(&token)),
            (_, Quotes::Taken { no_list }) => return Err(error(&token, no_list)),
        };
        let number = token.content().trim().parse();
        number.map_err(|_| error(&token, format!("Invalid value for numeric attribute '{name}': {shown}")))
    }

    pub fn string(&mut self, expected: &TextValue) -> Result<String, SearchError> {
        let token = self.expect("a quoted string")?;
        let special = match token.kind {
            Kind::SingleQuoted | Kind::DoubleQuoted => return Ok(token.content().to_string()),
            Kind::Word | Kind::Number if expected.bare => return Ok(token.text.to_string()),
            Kind::BackQuoted | Kind::Word => return Err(not_quoted(&token)),
            Kind::Number => expected.no_number.as_deref(),
            Kind::Open => expected.no_list.as_deref(),
            _ => None,
        };
        match special {
            None | Some("") => Err(error(&token, format!("{} {}", expected.complaint, token.text))),
            Some(message) => Err(error(&token, message)),
        }
    }

    /// `('a', 'b')`, for the fields that take lists.
    pub fn list(&mut self, expected: &TextValue) -> Result<Vec<String>, SearchError> {
        let open = self.expect("a list in brackets")?;
        if open.kind != Kind::Open {
            return Err(error(&open, format!("Invalid clause(s) in filter string: '{}'; expected a list such as ('a', 'b')", open.text)));
        }
        match expected.no_list.as_deref() {
            None => {}
            Some("") => return Err(error(&open, format!("{} (", expected.complaint))),
            Some(message) => return Err(error(&open, message)),
        }
        self.items()
    }

    /// The rest of a list whose bracket is open.
    fn items(&mut self) -> Result<Vec<String>, SearchError> {
        let mut list = vec![];
        loop {
            let token = self.expect("a quoted string")?;
            match token.kind {
                Kind::SingleQuoted | Kind::DoubleQuoted => list.push(token.content().to_string()),
                Kind::Close if list.is_empty() => {
                    return Err(error(
                        &token,
                        "While parsing a list in the query, expected a non-empty list of string values, but got empty list",
                    ));
                }
                // A comma before the bracket is Python's way to write a list of one.
                Kind::Close => return Ok(list),
                Kind::Number => {
                    return Err(error(
                        &token,
                        format!(
                            "While parsing a list in the query, expected string value, punctuation, or whitespace, but got different type in \
                             list: {}",
                            token.text
                        ),
                    ));
                }
                _ => return Err(ill_formed(&token)),
            }
            let token = self.expect("',' or ')'")?;
            match token.kind {
                Kind::Comma => {}
                Kind::Close => return Ok(list),
                _ => return Err(ill_formed(&token)),
            }
        }
    }

    /// Ids are numbers in quotes.
    pub fn id_test(&mut self, operator: Operator, complaint: &str, wrong: SearchError) -> Result<IdTest, SearchError> {
        let value = TextValue { complaint: complaint.into(), no_number: None, no_list: None, bare: false };
        let position = self.peek().map_or(wrong.position, |token| token.position);
        let texts = if matches!(operator, Operator::In | Operator::NotIn) { self.list(&value)? } else { vec![self.string(&value)?] };
        let id = |text: &String| crate::validate::experiment_id(text).map_err(|error| SearchError { message: error.message, position });
        Ok(match operator {
            Operator::In => IdTest::In(texts.iter().map(id).collect::<Result<_, _>>()?),
            Operator::NotIn => IdTest::NotIn(texts.iter().map(id).collect::<Result<_, _>>()?),
            Operator::Number(Comparison::Equal) => IdTest::Equal(id(&texts[0])?),
            Operator::Number(Comparison::NotEqual) => IdTest::NotEqual(id(&texts[0])?),
            _ => return Err(wrong),
        })
    }
}

fn not_quoted(token: &Token) -> SearchError {
    error(
        token,
        format!(
            "Parameter value is either not quoted or unidentified quote types used for string value {}. Use either single or double quotes.",
            token.text
        ),
    )
}

fn ill_formed(token: &Token) -> SearchError {
    error(token, "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list.")
}

pub(super) fn error(token: &Token, message: impl Into<String>) -> SearchError {
    SearchError { message: message.into(), position: token.position }
}
