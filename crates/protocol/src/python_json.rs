//! JSON as Python reads and writes it, for texts that MLflow's server keeps as JSON: the order of an object's fields stays,
//! `", "` and `": "` separate, and everything outside ASCII is escaped.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::validate::json_string;

/// A JSON value whose objects keep the order of their fields, unlike `serde_json`'s.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Truth(bool),
    /// An integer or a double.
    Number(Number),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object; each name once.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text; `None` if it is no JSON.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The value as Python's `json.dumps` writes it.
    pub fn dumps(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Truth(truth) => text.push_str(if *truth { "true" } else { "false" }),
            Self::Number(number) => text.push_str(&python_number(number)),
            Self::Text(string) => text.push_str(&json_string(string)),
            Self::List(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { ", " });
                    item.write(text);
                }
                text.push(']');
            }
            Self::Object(fields) => {
                text.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { ", " });
                    text.push_str(&json_string(name));
                    text.push_str(": ");
                    value.write(text);
                }
                text.push('}');
            }
        }
    }
}

/// An integer as it is; a double as Python's `repr`, whose exponent has a sign and two digits.
fn python_number(number: &Number) -> String {
    let Some(double) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let shortest = format!("{double:?}");
    match shortest.split_once('e') {
        None => shortest,
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Truth(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    /// As in Python, the last value of a name counts, at the place of the first.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = vec![];
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some((name, value)) = fields.next_entry::<String, Json>()? {
            match places.get(&name) {
                Some(place) => object[*place].1 = value,
                None => {
                    places.insert(name.clone(), object.len());
                    object.push((name, value));
                }
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, dumped: &str) {
        assert_eq!(Json::parse(text).map(|json| json.dumps()).as_deref(), Some(dumped));
    }

    /// Each second text is what Python's `json.dumps(json.loads(first))` gave.
    #[test]
    fn texts_are_pythons() {
        check(r#"{"b":1,"a":[true,null,"x"]}"#, r#"{"b": 1, "a": [true, null, "x"]}"#);
        check(r#"{"a":1,"b":2,"a":3}"#, r#"{"a": 3, "b": 2}"#);
        check(r#"["안목","😀","\"\\\/","\u007f"]"#, r#"["\uc548\ubaa9", "\ud83d\ude00", "\"\\/", "\u007f"]"#);
        check(
            "[1.0,1e16,123456789012345680.0,0.00001,1e-7,1.5e300,-0.0,0.1]",
            "[1.0, 1e+16, 1.2345678901234568e+17, 1e-05, 1e-07, 1.5e+300, -0.0, 0.1]",
        );
        check("[9223372036854775807,18446744073709551615,[],{}]", "[9223372036854775807, 18446744073709551615, [], {}]");
    }

    #[test]
    fn what_is_no_json_is_none() {
        for text in ["", "{", "[1,]", "nan", &"[".repeat(100_000)] {
            assert_eq!(Json::parse(text), None, "{}", text.get(..10).unwrap_or(text));
        }
    }
}
