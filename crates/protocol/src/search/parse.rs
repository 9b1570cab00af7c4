//! From tokens to clauses.

use super::field::Field;
use super::token::{Kind, Token, tokens};
use super::{Clause, Comparison, OrderField, RunFilter, RunOrder, SearchError, TextField, TextTest};

pub(super) fn filter(text: &str) -> Result<RunFilter, SearchError> {
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0 };
    let mut clauses = vec![];
    // MLflow minds neither a missing AND nor one too many.
    while let Some(token) = parser.peek() {
        if token.is_keyword("AND") {
            parser.next += 1;
        } else if token.is_keyword("OR") || token.is_keyword("NOT") {
            let message = format!("Invalid clause(s) in filter string: '{}'; clauses can only be joined by AND", token.text);
            return Err(error(token, message));
        } else {
            clauses.push(parser.clause()?);
        }
    }
    Ok(RunFilter { clauses })
}

pub(super) fn order(text: &str) -> Result<RunOrder, SearchError> {
    let unclear = |position: usize| SearchError { message: format!("Invalid order_by clause '{text}'. Could not be parsed."), position };
    let as_order = |error: SearchError| {
        if error.message.starts_with("Invalid clause(s) in filter string") { unclear(error.position) } else { error }
    };
    let mut parser = Parser { text, tokens: tokens(text).map_err(as_order)?, next: 0 };
    let start = parser.peek().map_or(0, |token| token.position);
    if parser.peek().is_some_and(|token| token.is_keyword("ASC") || token.is_keyword("DESC")) {
        return Err(unclear(start));
    }
    let field = match parser.field().map_err(as_order)? {
        Field::Metric(key) => OrderField::Metric(key),
        Field::Param(key) => OrderField::Param(key),
        Field::Tag(key) => OrderField::Tag(key),
        Field::Text(field) => OrderField::Text(field),
        Field::Number(field) => OrderField::Number(field),
        Field::Dataset(_) => return Err(SearchError { message: "Invalid identifier type 'dataset'".into(), position: start }),
    };
    let ascending = match parser.take() {
        None => true,
        Some(token) if token.is_keyword("ASC") => true,
        Some(token) if token.is_keyword("DESC") => false,
        Some(token) if token.kind == Kind::Word => {
            return Err(error(&token, format!("Invalid ordering key in order_by clause '{text}'.")));
        }
        Some(token) => return Err(unclear(token.position)),
    };
    match parser.take() {
        None => Ok(RunOrder { field, ascending }),
        Some(token) => Err(unclear(token.position)),
    }
}

/// What stands between a field and its value.
enum Operator {
    Number(Comparison),
    Like,
    ILike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
    /// One that MLflow knows in no clause on runs.
    Other,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    fn expect(&mut self, what: &str) -> Result<Token<'a>, SearchError> {
        let position = self.text.len();
        self.take().ok_or_else(|| SearchError {
            message: format!("Invalid clause(s) in filter string: it ends where {what} is expected"),
            position,
        })
    }

    fn clause(&mut self) -> Result<Clause, SearchError> {
        let position = self.peek().map_or(self.text.len(), |token| token.position);
        let field = self.field()?;
        let first = self.next;
        let operator = self.operator()?;
        let written = self.tokens.get(first).map_or(position, |token| token.position)
            ..self.tokens[first..self.next].last().map_or(position, Token::end);
        let comparator = &self.text[written.clone()];
        if matches!(operator, Operator::IsNull | Operator::IsNotNull) {
            return match field {
                Field::Param(key) => Ok(Clause::Param { key, test: null_test(&operator) }),
                Field::Tag(key) => Ok(Clause::Tag { key, test: null_test(&operator) }),
                other => Err(SearchError {
                    message: format!(
                        "IS NULL / IS NOT NULL is only supported for tags and params, not for '{}' '{}'",
                        other.kind(),
                        other.key()
                    ),
                    position,
                }),
            };
        }
        let wrong_operator = |allowed: &str| {
            let message = format!("Invalid comparator '{}' not one of '{allowed}'", comparator.to_uppercase());
            Err(SearchError { message, position: written.start })
        };
        match field {
            Field::Metric(key) => {
                let value = self.number("Expected numeric value type for metric. Found")?;
                match operator {
                    Operator::Number(comparison) => Ok(Clause::Metric { key, comparison, value }),
                    _ => wrong_operator("=, !=, <, <=, >, >="),
                }
            }
            Field::Number(field) => {
                let name = Field::Number(field).key().to_string();
                let value = self.number(&format!("Expected numeric value type for numeric attribute: {name}. Found"))?;
                match operator {
                    Operator::Number(comparison) => Ok(Clause::Number { field, comparison, value }),
                    _ => wrong_operator("=, !=, <, <=, >, >="),
                }
            }
            field => {
                let test = match operator {
                    Operator::In | Operator::NotIn => {
                        let list = self.list(&field)?;
                        if matches!(operator, Operator::In) { TextTest::In(list) } else { TextTest::NotIn(list) }
                    }
                    operator => {
                        let value = self.string(&field)?;
                        match operator {
                            Operator::Number(Comparison::Equal) => TextTest::Equal(value),
                            Operator::Number(Comparison::NotEqual) => TextTest::NotEqual(value),
                            Operator::Like => TextTest::Like(value),
                            Operator::ILike => TextTest::ILike(value),
                            _ => {
                                return match field {
                                    Field::Param(_) | Field::Tag(_) => wrong_operator("=, !=, LIKE, ILIKE, IS NULL, IS NOT NULL"),
                                    _ => wrong_operator("=, !=, LIKE, ILIKE, IN, NOT IN"),
                                };
                            }
                        }
                    }
                };
                match field {
                    Field::Param(key) => Ok(Clause::Param { key, test }),
                    Field::Tag(key) => Ok(Clause::Tag { key, test }),
                    Field::Text(field) => Ok(Clause::Text { field, test }),
                    Field::Dataset(field) => Ok(Clause::Dataset { field, test }),
                    // Handled above; said again because the compiler cannot see it.
                    Field::Metric(_) | Field::Number(_) => wrong_operator("=, !=, <, <=, >, >="),
                }
            }
        }
    }

    /// `key`, `entity.key`, with either part quoted; an unquoted key may contain dots (`tags.mlflow.source.name`).
    fn field(&mut self) -> Result<Field, SearchError> {
        let first = self.expect("a field such as metrics.accuracy")?;
        if !matches!(first.kind, Kind::Word | Kind::BackQuoted | Kind::DoubleQuoted) {
            return Err(error(
                &first,
                format!("Invalid clause(s) in filter string: '{}'; expected a field such as metrics.accuracy", first.text),
            ));
        }
        if !self.dot_follows(first.end()) {
            return Field::new(None, first.content(), first.position);
        }
        self.next += 1;
        let key = self.expect("a key")?;
        match key.kind {
            Kind::BackQuoted | Kind::DoubleQuoted => Field::new(Some(first.content()), key.content(), first.position),
            Kind::Word | Kind::Number => {
                let mut end = key.end();
                while self.dot_follows(end) || self.word_follows(end) {
                    end = self.tokens[self.next].end();
                    self.next += 1;
                }
                Field::new(Some(first.content()), &self.text[key.position..end], first.position)
            }
            _ => Err(error(&key, format!("Invalid clause(s) in filter string: '{}'; expected a key after '{}.'", key.text, first.text))),
        }
    }

    fn dot_follows(&self, end: usize) -> bool {
        self.peek().is_some_and(|token| token.kind == Kind::Dot && token.position == end)
    }

    fn word_follows(&self, end: usize) -> bool {
        self.peek().is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Number) && token.position == end)
    }

    fn operator(&mut self) -> Result<Operator, SearchError> {
        let token = self.expect("a comparator")?;
        if token.kind == Kind::Sign {
            return Ok(Operator::Number(match token.text {
                "=" => Comparison::Equal,
                "!=" => Comparison::NotEqual,
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::Greater,
                ">=" => Comparison::GreaterOrEqual,
                _ => return Ok(Operator::Other),
            }));
        }
        if token.is_keyword("LIKE") {
            return Ok(Operator::Like);
        }
        if token.is_keyword("ILIKE") {
            return Ok(Operator::ILike);
        }
        if token.is_keyword("RLIKE") {
            return Ok(Operator::Other);
        }
        if token.is_keyword("IN") {
            return Ok(Operator::In);
        }
        if token.is_keyword("NOT") {
            let next = self.expect("IN")?;
            return if next.is_keyword("IN") {
                Ok(Operator::NotIn)
            } else if ["LIKE", "ILIKE", "RLIKE"].iter().any(|keyword| next.is_keyword(keyword)) {
                Ok(Operator::Other)
            } else {
                Err(error(&next, format!("Invalid clause(s) in filter string: '{}'; expected IN after NOT", next.text)))
            };
        }
        if token.is_keyword("IS") {
            let mut next = self.expect("NULL")?;
            let not = next.is_keyword("NOT");
            if not {
                next = self.expect("NULL")?;
            }
            return match (next.is_keyword("NULL"), not) {
                (true, false) => Ok(Operator::IsNull),
                (true, true) => Ok(Operator::IsNotNull),
                (false, _) => Err(error(&next, format!("Invalid clause(s) in filter string: '{}'; expected NULL", next.text))),
            };
        }
        Err(error(
            &token,
            format!(
                "Invalid clause(s) in filter string: '{}'; expected =, !=, <, <=, >, >=, LIKE, ILIKE, IN or IS (a key with other characters \
                 than letters, digits, '_' and '.' stands in back-ticks)",
                token.text
            ),
        ))
    }

    fn number(&mut self, message: &str) -> Result<f64, SearchError> {
        let token = self.expect("a number")?;
        if token.kind == Kind::Number
            && let Ok(number) = token.text.parse::<f64>()
        {
            return Ok(number);
        }
        Err(error(&token, format!("{message} {}", token.text)))
    }

    fn string(&mut self, field: &Field) -> Result<String, SearchError> {
        let token = self.expect("a quoted string")?;
        let expected = match field {
            Field::Param(_) | Field::Tag(_) => format!("Expected a quoted string value for {} (e.g. 'my-value'). Got value", field.kind()),
            Field::Dataset(_) => "Expected a quoted string value for dataset attributes. Got value".to_string(),
            _ => "Expected a quoted string value for attributes. Got value".to_string(),
        };
        match token.kind {
            Kind::SingleQuoted | Kind::DoubleQuoted => Ok(token.content().to_string()),
            Kind::BackQuoted | Kind::Word => Err(error(
                &token,
                format!(
                    "Parameter value is either not quoted or unidentified quote types used for string value {}. Use either single or double \
                     quotes.",
                    token.text
                ),
            )),
            _ => Err(error(&token, format!("{expected} {}", token.text))),
        }
    }

    /// `('a', 'b')`, for the fields that allow it.
    fn list(&mut self, field: &Field) -> Result<Vec<String>, SearchError> {
        let open = self.expect("a list in brackets")?;
        if open.kind != Kind::Open {
            return Err(error(&open, format!("Invalid clause(s) in filter string: '{}'; expected a list such as ('a', 'b')", open.text)));
        }
        match field {
            Field::Text(TextField::RunId) | Field::Dataset(_) => {}
            Field::Text(_) => {
                return Err(error(&open, "Only ['run_id'] attributes support comparison with a list of quoted string values."));
            }
            _ => return Err(error(&open, format!("Expected a quoted string value for {} (e.g. 'my-value'). Got value (", field.kind()))),
        }
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
}

fn null_test(operator: &Operator) -> TextTest {
    if matches!(operator, Operator::IsNull) { TextTest::Missing } else { TextTest::Present }
}

fn ill_formed(token: &Token) -> SearchError {
    error(token, "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list.")
}

fn error(token: &Token, message: impl Into<String>) -> SearchError {
    SearchError { message: message.into(), position: token.position }
}
