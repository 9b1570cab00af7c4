//! proto3-JSON's lenient scalars: an int64 may come as a number or a string, a double as a number or `"NaN"`.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// `#[serde(with = "json::int64")]`: reads numbers and strings, writes numbers.
pub(crate) mod int64 {
    use super::*;

    pub fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(*value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_any(Int64)
    }
}

/// `#[serde(deserialize_with = "json::optional_int64")]`: the same for an `Option`; null is absent.
pub(crate) fn optional_int64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Optional;
    impl<'de> Visitor<'de> for Optional {
        type Value = Option<i64>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a 64-bit integer, as a number or a string, or null")
        }

        fn visit_none<E: Error>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<i64>, D::Error> {
            deserializer.deserialize_any(Int64).map(Some)
        }
    }
    deserializer.deserialize_option(Optional)
}

/// `#[serde(deserialize_with = "json::text")]`: null is empty text.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(<Option<String> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}

/// `#[serde(deserialize_with = "json::list")]`: null is an empty list.
pub(crate) fn list<'de, T: serde::Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(<Option<Vec<T>> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}

/// `#[serde(deserialize_with = "json::optional_text")]`: null and empty text are absent, as unset proto fields are.
pub(crate) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(<Option<String> as serde::Deserialize>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// `#[serde(with = "json::version")]`: a version is a number here and text on the wire.
pub(crate) mod version {
    use super::*;

    pub fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_any(Int64)
    }
}

struct Int64;

impl Visitor<'_> for Int64 {
    type Value = i64;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a 64-bit integer, as a number or a string")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| E::custom(format!("{value} does not fit a 64-bit integer")))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<i64, E> {
        // 2^63 itself does not fit, and every double below it does.
        let fits = value.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
        if fits { Ok(value as i64) } else { Err(E::custom(format!("{value} is not a 64-bit integer"))) }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<i64, E> {
        value.trim().parse().map_err(|_| E::custom(format!("{value:?} is not a 64-bit integer")))
    }
}

/// `#[serde(with = "json::double")]`: reads numbers, strings and `"NaN"`; writes NaN and the infinities as strings.
pub(crate) mod double {
    use super::*;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else if value.is_nan() {
            serializer.serialize_str("NaN")
        } else {
            serializer.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        struct Double;
        impl Visitor<'_> for Double {
            type Value = f64;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a double, as a number or a string")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<f64, E> {
                value.trim().parse().map_err(|_| E::custom(format!("{value:?} is not a double")))
            }
        }
        deserializer.deserialize_any(Double)
    }
}

/// Serialises a protocol enum by its name, and reads it by name or number.
macro_rules! wire_enum {
    ($type:ident { $($variant:ident = $number:literal $name:literal),+ $(,)? }) => {
        impl $type {
            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::ApiError;

            fn from_str(text: &str) -> Result<Self, $crate::ApiError> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::ApiError::invalid(format!(
                        "Invalid value {} for {}; expected one of {}",
                        $crate::validate::json_string(text), stringify!($type), [$($name),+].join(", ")
                    ))),
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ByNameOrNumber;
                impl serde::de::Visitor<'_> for ByNameOrNumber {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                        write!(formatter, "one of {}", [$($name),+].join(", "))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        // A query string holds numbers as text.
                        match text.parse::<u64>() {
                            Ok(number) => self.visit_u64(number),
                            Err(_) => text.parse().map_err(E::custom),
                        }
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_u64(number as u64)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        match number {
                            $($number => Ok($type::$variant),)+
                            _ => Err(E::custom(format!("{number} is no {}", stringify!($type)))),
                        }
                    }
                }
                deserializer.deserialize_any(ByNameOrNumber)
            }
        }
    };
}
pub(crate) use wire_enum;
