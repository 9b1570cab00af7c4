//! Floats through JSON without loss: NaN and the infinities, which JSON has no numbers for, as the strings that Rust
//! prints and reads. For `#[serde(with = "exact")]`. (`serde_json` itself would write `null` and fail to read it back;
//! its `float_roundtrip` feature, which this crate switches on, takes care of the last bit of ordinary numbers.)

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Name(String),
}

/// Writes a number, or `"NaN"`, `"inf"`, `"-inf"`.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let written = if value.is_finite() { Written::Number(*value) } else { Written::Name(value.to_string()) };
    written.serialize(serializer)
}

/// Reads what [`serialize`] wrote.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(value) => Ok(value),
        Written::Name(name) => match name.as_str() {
            "NaN" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(de::Error::custom(format!("{name:?} is neither a number nor NaN, inf or -inf"))),
        },
    }
}

/// The same for a value that may be absent (`null`).
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Exact(#[serde(with = "super")] f64);

    /// Writes `null` for `None`.
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Exact).serialize(serializer)
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Exact>::deserialize(deserializer)?.map(|exact| exact.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Two {
        #[serde(with = "super")]
        a: f64,
        #[serde(with = "super::option")]
        b: Option<f64>,
    }

    #[test]
    fn every_kind_of_float_comes_back_with_its_bits() {
        // 5e-324 and 0.1 + 0.2 are numbers that a sloppy decimal parser gets wrong by one bit.
        let values = [0.0, -0.0, 0.1 + 0.2, 5e-324, f64::MAX, f64::MIN_POSITIVE, 1.0 / 3.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        for a in values {
            for b in [None, Some(a)] {
                let text = serde_json::to_string(&Two { a, b }).unwrap();
                let back: Two = serde_json::from_str(&text).unwrap();
                assert_eq!((back.a.to_bits(), back.b.map(f64::to_bits)), (a.to_bits(), b.map(f64::to_bits)), "{text}");
            }
        }
        assert!(serde_json::from_str::<Two>(r#"{"a": "nan", "b": null}"#).is_err());
    }
}
