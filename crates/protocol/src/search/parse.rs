//! From tokens to clauses, for any entity that has a table of fields.

use super::field::{Field, Name, Ordered, Searched, Test};
use super::token::{Kind, Token, tokens};
use super::value::error;
use super::{Comparison, Filter, Order, SearchError, TextTest};

pub(super) fn filter<C: Searched>(text: &str) -> Result<Filter<C>, SearchError> {
    let mut parser = Parser::new(text)?;
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
    Ok(Filter { clauses })
}

pub(super) fn order<F: Ordered>(text: &str) -> Result<Order<F>, SearchError> {
    let unclear = |position: usize| SearchError { message: format!("Invalid order_by clause '{text}'. Could not be parsed."), position };
    let as_order = |error: SearchError| {
        if error.message.starts_with("Invalid clause(s) in filter string") { unclear(error.position) } else { error }
    };
    let mut parser = Parser::new(text).map_err(as_order)?;
    let start = parser.peek().map_or(0, |token| token.position);
    if parser.peek().is_some_and(|token| token.is_keyword("ASC") || token.is_keyword("DESC")) {
        return Err(unclear(start));
    }
    let field = F::order_field(&parser.name().map_err(as_order)?)?;
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
        None => Ok(Order { field, ascending }),
        Some(token) => Err(unclear(token.position)),
    }
}

/// What stands between a field and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Number(Comparison),
    Like,
    ILike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
    /// One that MLflow knows in no clause.
    Other,
}

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, SearchError> {
        Ok(Self { text, tokens: tokens(text)?, next: 0 })
    }

    pub fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.next)
    }

    pub fn take(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    pub fn expect(&mut self, what: &str) -> Result<Token<'a>, SearchError> {
        let position = self.text.len();
        self.take().ok_or_else(|| SearchError {
            message: format!("Invalid clause(s) in filter string: it ends where {what} is expected"),
            position,
        })
    }

    fn clause<C: Searched>(&mut self) -> Result<C, SearchError> {
        let name = self.name()?;
        let field = C::field(&name)?;
        let first = self.next;
        let operator = self.operator()?;
        let written = self.tokens.get(first).map_or(name.position, |token| token.position)
            ..self.tokens[first..self.next].last().map_or(name.position, Token::end);
        let Field { test, no_nulls, wrong_comparator: (before, after), comparator_first } = field;
        if matches!(operator, Operator::IsNull | Operator::IsNotNull)
            && let Some(message) = no_nulls
        {
            return Err(name.error(message));
        }
        let wrong =
            SearchError { message: format!("{before}{}{after}", self.text[written.clone()].to_uppercase()), position: written.start };
        if comparator_first && !takes(&test, operator) {
            return Err(wrong);
        }
        match test {
            Test::Number { complaint, make } => {
                let value = self.number(&complaint)?;
                Ok(make((comparison(operator).ok_or(wrong)?, value)))
            }
            Test::Integer { name, quotes, make } => {
                let value = self.integer(name, &quotes)?;
                Ok(make((comparison(operator).ok_or(wrong)?, value)))
            }
            Test::Id { complaint, make } => Ok(make(self.id_test(operator, &complaint, wrong)?)),
            Test::Text { value, make } => match operator {
                Operator::IsNull => Ok(make(TextTest::Missing)),
                Operator::IsNotNull => Ok(make(TextTest::Present)),
                Operator::In => Ok(make(TextTest::In(self.list(&value)?))),
                Operator::NotIn => Ok(make(TextTest::NotIn(self.list(&value)?))),
                operator => {
                    let text = self.string(&value)?;
                    Ok(make(match operator {
                        Operator::Number(Comparison::Equal) => TextTest::Equal(text),
                        Operator::Number(Comparison::NotEqual) => TextTest::NotEqual(text),
                        Operator::Like => TextTest::Like(text),
                        Operator::ILike => TextTest::ILike(text),
                        _ => return Err(wrong),
                    }))
                }
            },
        }
    }

    /// `key`, `entity.key`, with either part quoted; an unquoted key may contain dots (`tags.mlflow.source.name`).
    fn name(&mut self) -> Result<Name<'a>, SearchError> {
        let first = self.expect("a field such as metrics.accuracy")?;
        if !matches!(first.kind, Kind::Word | Kind::BackQuoted | Kind::DoubleQuoted) {
            return Err(error(
                &first,
                format!("Invalid clause(s) in filter string: '{}'; expected a field such as metrics.accuracy", first.text),
            ));
        }
        let position = first.position;
        if !self.dot_follows(first.end()) {
            return Ok(Name { entity: None, key: first.content(), position });
        }
        self.next += 1;
        let key = self.expect("a key")?;
        match key.kind {
            Kind::BackQuoted | Kind::DoubleQuoted => Ok(Name { entity: Some(first.content()), key: key.content(), position }),
            Kind::Word | Kind::Number => {
                let mut end = key.end();
                while self.dot_follows(end) || self.word_follows(end) {
                    end = self.tokens[self.next].end();
                    self.next += 1;
                }
                Ok(Name { entity: Some(first.content()), key: &self.text[key.position..end], position })
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
            return Ok(match token.text {
                "=" => Operator::Number(Comparison::Equal),
                "!=" => Operator::Number(Comparison::NotEqual),
                "<" => Operator::Number(Comparison::Less),
                "<=" => Operator::Number(Comparison::LessOrEqual),
                ">" => Operator::Number(Comparison::Greater),
                ">=" => Operator::Number(Comparison::GreaterOrEqual),
                _ => Operator::Other,
            });
        }
        for (keyword, operator) in [("LIKE", Operator::Like), ("ILIKE", Operator::ILike), ("RLIKE", Operator::Other), ("IN", Operator::In)]
        {
            if token.is_keyword(keyword) {
                return Ok(operator);
            }
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
}

fn comparison(operator: Operator) -> Option<Comparison> {
    match operator {
        Operator::Number(comparison) => Some(comparison),
        _ => None,
    }
}

/// Whether a test has a use for an operator.
fn takes<C>(test: &Test<C>, operator: Operator) -> bool {
    match test {
        Test::Number { .. } | Test::Integer { .. } => comparison(operator).is_some(),
        Test::Id { .. } | Test::Text { .. } => match operator {
            Operator::Number(comparison) => matches!(comparison, Comparison::Equal | Comparison::NotEqual),
            Operator::Other => false,
            _ => true,
        },
    }
}
