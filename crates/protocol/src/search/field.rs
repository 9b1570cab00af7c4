//! What an entity's table says about a field: how it is compared, and what clause comes of it.

use super::{Comparison, IdTest, SearchError, TextTest};

/// A field as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    /// What stands before the first dot.
    pub entity: Option<&'a str>,
    /// The rest, without quotes.
    pub key: &'a str,
    /// The byte at which it starts.
    pub position: usize,
}

impl Name<'_> {
    pub fn error(&self, message: impl Into<String>) -> SearchError {
        SearchError { message: message.into(), position: self.position }
    }

    /// The complaint about a key that is no attribute.
    pub fn unknown_attribute(&self, known: &str) -> SearchError {
        self.error(format!("Invalid attribute key '{}' specified. Valid keys are '{known}'", self.key))
    }
}

/// The conditions on one kind of thing: its table of fields.
pub trait Searched: Sized {
    /// What a filter can be about.
    fn field(name: &Name) -> Result<Field<Self>, SearchError>;

    /// The error of a filter that was not understood, where its words are the kind's own.
    fn complaint(error: SearchError, _filter: &str) -> SearchError {
        error
    }
}

/// What one kind of thing can be ordered by, where a text says it.
pub trait Ordered: Sized + PartialEq {
    /// The field of that name.
    fn order_field(name: &Name) -> Result<Self, SearchError>;
}

/// How a field is compared.
pub struct Field<C> {
    pub test: Test<C>,
    /// Why it cannot be compared with NULL.
    pub no_nulls: Option<String>,
    /// What stands before a comparator that it does not take, and after it.
    pub wrong_comparator: (String, String),
    /// Whether the comparator is looked at before the value.
    pub comparator_first: bool,
}

/// What a field is compared with.
pub enum Test<C> {
    Number {
        /// The complaint, up to what was found.
        complaint: String,
        make: Make<C, (Comparison, f64)>,
    },
    Integer {
        /// Its name.
        name: &'static str,
        quotes: Quotes,
        make: Make<C, (Comparison, i64)>,
    },
    Id {
        /// The complaint, up to what was found.
        complaint: String,
        make: Make<C, IdTest>,
    },
    Text {
        value: TextValue,
        make: Make<C, TextTest>,
    },
}

/// Whether an integer may stand in quotes.
pub enum Quotes {
    /// No, with the complaint, up to what was found.
    Refused(String),
    /// Yes; with the complaint about a list.
    Taken { no_list: String },
}

/// Makes the clause of what was read.
pub type Make<C, T> = Box<dyn FnOnce(T) -> C>;

/// What a text is compared with.
pub struct TextValue {
    /// The complaint, up to what was found.
    pub complaint: String,
    /// The complaint about a number, if it is another one.
    pub no_number: Option<String>,
    /// The complaint about a list; `None` if it takes lists. `Some("")` is `complaint`.
    pub no_list: Option<String>,
    /// Whether words and numbers are text too, without quotes.
    pub bare: bool,
}

pub(super) const NUMBER_COMPARATORS: &str = "=, !=, <, <=, >, >=";
pub(super) const TEXT_COMPARATORS: &str = "=, !=, LIKE, ILIKE";
pub(super) const LIST_COMPARATORS: &str = "=, !=, LIKE, ILIKE, IN, NOT IN";

impl<C> Field<C> {
    /// One that takes no NULL, and lists what it takes instead of another comparator.
    pub fn new(test: Test<C>, no_nulls: impl Into<String>, comparators: &str) -> Self {
        Self {
            test,
            no_nulls: Some(no_nulls.into()),
            wrong_comparator: ("Invalid comparator '".into(), format!("' not one of '{comparators}'")),
            comparator_first: false,
        }
    }

    pub fn with_nulls(mut self) -> Self {
        self.no_nulls = None;
        self
    }

    /// Names what the comparator is wrong for, instead of what is right.
    pub fn wrong_for(mut self, what: &str) -> Self {
        self.wrong_comparator = (format!("Invalid comparator for {what}: "), String::new());
        self
    }
}

/// The complaint about the value of a param or tag that is no quoted text.
pub(super) fn expected_text(kind: &str) -> String {
    format!("Expected a quoted string value for {kind} (e.g. 'my-value'). Got value")
}

/// The complaint about a list where only some attributes take one.
pub(super) fn only_lists_of(names: &str) -> String {
    format!("Only [{names}] attributes support comparison with a list of quoted string values.")
}

/// The text of a tag or param: no lists.
pub(super) fn keyed_text(kind: &str) -> TextValue {
    TextValue { complaint: expected_text(kind), no_number: None, no_list: Some(String::new()), bare: false }
}

/// The kind of a field of an entity that has attributes and tags only.
pub(super) fn is_tag(name: &Name) -> Result<bool, SearchError> {
    match name.entity {
        None | Some("attribute") => Ok(false),
        Some("tag" | "tags") => Ok(true),
        Some(other) => Err(name.error(format!("Invalid entity type '{other}'. Valid entity types are ('attribute', 'tag', 'tags')"))),
    }
}
