//! Numbers that may be infinite, or none, in JSON, which has no words for them: what a model that an
//! edit has broken says comes to such numbers, and must be read again as it was written.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Number(f64),
    Text(String),
}

impl From<f64> for Word {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Text(number.to_string()) }
    }
}

impl Word {
    fn number<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text.parse().map_err(|_| E::custom(format!("no number: {text}"))),
        }
    }
}

pub(crate) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    Word::from(*number).serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Word::deserialize(from)?.number()
}

/// The same of a pair.
pub(super) mod pair {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Word};

    pub(crate) fn serialize<S: Serializer>(pair: &[f64; 2], to: S) -> Result<S::Ok, S::Error> {
        pair.map(Word::from).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[f64; 2], D::Error> {
        let [one, other] = <[Word; 2]>::deserialize(from)?;
        Ok([one.number()?, other.number()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super::pair")]
        two: [f64; 2],
    }

    #[test]
    fn what_is_written_is_read() {
        for (one, two, text) in [
            (0.1, [1.0, -2.5], r#"{"one":0.1,"two":[1.0,-2.5]}"#),
            (f64::INFINITY, [f64::NEG_INFINITY, 3.0], r#"{"one":"inf","two":["-inf",3.0]}"#),
        ] {
            let both = Both { one, two };
            assert_eq!(serde_json::to_string(&both).unwrap(), text);
            assert_eq!(serde_json::from_str::<Both>(text).unwrap(), both);
        }
        let none: Both = serde_json::from_str(r#"{"one":"NaN","two":[1,2]}"#).unwrap();
        assert!(none.one.is_nan());
        let error = serde_json::from_str::<Both>(r#"{"one":"many","two":[1,2]}"#).unwrap_err();
        assert!(error.to_string().starts_with("no number: many"), "{error}");
    }
}
