//! What the statements need of a database, and no more: run a statement with numbered parameters, read rows, insert many rows.
//!
//! Statements are written in SQLite's words: tables are called `anmok_*`, parameters `?1`, and a list is asked with
//! `IN (SELECT value FROM json_each(?1))`. PostgreSQL translates each text once, when it prepares it. What cannot be said
//! in words that both read is in [`Dialect`].

use std::borrow::Cow;

use super::failure::Failure;

/// What the two databases can only say differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// What must follow a LIKE, so that a backslash in a pattern is a backslash: SQLite's LIKE has no escape unless told,
    /// PostgreSQL's has one unless told.
    pub fn no_escape(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " ESCAPE ''",
        }
    }

    /// What must follow a SELECT whose rows may not change until the commit. SQLite has one writer at a time.
    pub fn for_share(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR SHARE",
        }
    }
}

/// A parameter or a column's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    /// A list, for `json_each` and for [`Connection::insert_rows`].
    Integers(Cow<'a, [i64]>),
    Reals(Cow<'a, [f64]>),
    Texts(Vec<Cow<'a, str>>),
    OptionalTexts(Vec<Option<Cow<'a, str>>>),
    OptionalIntegers(Vec<Option<i64>>),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value<'_> {
    /// Truth is stored as 0 and 1: a number can be ordered, compared and put into a page token in both databases.
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a> From<&'a [i64]> for Value<'a> {
    fn from(values: &'a [i64]) -> Self {
        Self::Integers(Cow::Borrowed(values))
    }
}

impl From<Vec<i64>> for Value<'_> {
    fn from(values: Vec<i64>) -> Self {
        Self::Integers(Cow::Owned(values))
    }
}

impl From<Vec<f64>> for Value<'_> {
    fn from(values: Vec<f64>) -> Self {
        Self::Reals(Cow::Owned(values))
    }
}

impl<'a> From<Vec<&'a str>> for Value<'a> {
    fn from(values: Vec<&'a str>) -> Self {
        Self::Texts(values.into_iter().map(Cow::Borrowed).collect())
    }
}

impl From<Vec<String>> for Value<'_> {
    fn from(values: Vec<String>) -> Self {
        Self::Texts(values.into_iter().map(Cow::Owned).collect())
    }
}

impl<'a> From<Vec<Option<&'a str>>> for Value<'a> {
    fn from(values: Vec<Option<&'a str>>) -> Self {
        Self::OptionalTexts(values.into_iter().map(|value| value.map(Cow::Borrowed)).collect())
    }
}

impl From<Vec<Option<i64>>> for Value<'_> {
    fn from(values: Vec<Option<i64>>) -> Self {
        Self::OptionalIntegers(values)
    }
}

impl Value<'_> {
    /// A copy that lives as long as it is needed.
    pub fn to_static(&self) -> Value<'static> {
        let owned = |text: &Cow<str>| Cow::Owned(text.to_string());
        match self {
            Self::Null => Value::Null,
            Self::Integer(value) => Value::Integer(*value),
            Self::Real(value) => Value::Real(*value),
            Self::Text(text) => Value::Text(owned(text)),
            Self::Integers(list) => Value::Integers(list.to_vec().into()),
            Self::Reals(list) => Value::Reals(list.to_vec().into()),
            Self::Texts(list) => Value::Texts(list.iter().map(owned).collect()),
            Self::OptionalTexts(list) => Value::OptionalTexts(list.iter().map(|text| text.as_ref().map(owned)).collect()),
            Self::OptionalIntegers(list) => Value::OptionalIntegers(list.clone()),
        }
    }

    /// How many rows a list stands for; a single value stands in every row.
    pub fn rows(&self) -> Option<usize> {
        match self {
            Self::Integers(list) => Some(list.len()),
            Self::Reals(list) => Some(list.len()),
            Self::Texts(list) => Some(list.len()),
            Self::OptionalTexts(list) => Some(list.len()),
            Self::OptionalIntegers(list) => Some(list.len()),
            Self::Null | Self::Integer(_) | Self::Real(_) | Self::Text(_) => None,
        }
    }
}

/// One row of a result. Columns count from 0.
pub(crate) trait Row {
    fn value(&self, column: usize) -> Result<Value<'_>, Failure>;
    fn integer(&self, column: usize) -> Result<i64, Failure>;
    fn real(&self, column: usize) -> Result<f64, Failure>;
    fn text(&self, column: usize) -> Result<&str, Failure>;

    /// A text in bytes that nobody promised anything about, and whether some of them had to be replaced; numbers are written out.
    fn lossy_text(&self, column: usize) -> Result<Option<(String, bool)>, Failure> {
        Ok(match self.value(column)? {
            Value::Null => None,
            Value::Integer(value) => Some((value.to_string(), false)),
            Value::Real(value) => Some((value.to_string(), false)),
            Value::Text(text) => Some((text.into_owned(), false)),
            _ => return Err(Failure::other(format!("column {column} is a list"))),
        })
    }

    fn string(&self, column: usize) -> Result<String, Failure> {
        Ok(self.text(column)?.to_string())
    }

    fn truth(&self, column: usize) -> Result<bool, Failure> {
        Ok(self.integer(column)? != 0)
    }

    fn is_null(&self, column: usize) -> Result<bool, Failure> {
        Ok(self.value(column)? == Value::Null)
    }

    fn optional_integer(&self, column: usize) -> Result<Option<i64>, Failure> {
        if self.is_null(column)? { Ok(None) } else { self.integer(column).map(Some) }
    }

    fn optional_string(&self, column: usize) -> Result<Option<String>, Failure> {
        if self.is_null(column)? { Ok(None) } else { self.string(column).map(Some) }
    }
}

/// What is said of rows that are inserted where they may be already.
pub(crate) const DO_NOTHING: &str = "ON CONFLICT DO NOTHING";

/// When a database that plans its queries does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planning {
    /// Once for all parameters: of queries whose one good plan is plain, planning takes longer than running.
    Once,
    /// With the parameters of each time, as the database sees fit.
    Anew,
}

/// A query with its parameters.
pub(crate) type Query<'a> = (&'a str, &'a [Value<'a>]);

/// A connection, inside a transaction.
pub(crate) trait Connection {
    fn dialect(&self) -> Dialect;

    /// Runs a statement and gives the number of rows changed.
    fn execute(&mut self, sql: &str, parameters: &[Value]) -> Result<u64, Failure>;

    /// Runs a query and hands over its rows as they come.
    fn query(&mut self, sql: &str, parameters: &[Value], each: &mut dyn FnMut(&dyn Row) -> Result<(), Failure>) -> Result<(), Failure>;

    /// Runs queries none of which needs another's answer, and hands over their rows in order, each with its query's place; all rows
    /// may be in memory at once.
    fn queries(
        &mut self,
        _planning: Planning,
        queries: &[Query],
        each: &mut dyn FnMut(usize, &dyn Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for (place, (sql, parameters)) in queries.iter().enumerate() {
            self.query(sql, parameters, &mut |row| each(place, row))?;
        }
        Ok(())
    }

    /// Inserts as many rows as the lists among the columns are long, and gives how many were new. `conflict` is the
    /// statement's ON CONFLICT clause; in it the table is called `there`.
    fn insert_rows(&mut self, table: &str, columns: &[(&str, Value)], conflict: &str) -> Result<u64, Failure>;

    /// Inserts rows before any later statement sees the table, and before the commit. It may be only then that a failure is told.
    fn insert_rows_later(&mut self, table: &str, columns: &[(&str, Value)], conflict: &str) -> Result<(), Failure> {
        self.insert_rows(table, columns, conflict).map(drop)
    }

    /// The numbers of metrics', params' and tags' keys, new ones included. Only where something is written.
    fn keys(&mut self, names: &[&str]) -> Result<Vec<i64>, Failure>;
}

impl dyn Connection + '_ {
    /// The first row, if there is one.
    pub fn first<T>(
        &mut self,
        sql: &str,
        parameters: &[Value],
        mut read: impl FnMut(&dyn Row) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let mut first = None;
        self.query(sql, parameters, &mut |row| {
            if first.is_none() {
                first = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(first)
    }

    /// All rows.
    pub fn all<T>(
        &mut self,
        sql: &str,
        parameters: &[Value],
        mut read: impl FnMut(&dyn Row) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let mut all = vec![];
        self.query(sql, parameters, &mut |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }
}
