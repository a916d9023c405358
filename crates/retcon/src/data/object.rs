//! A line of JSON as an object that is asked for its keys, strictly; it knows no fact.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{Error, Fault, Origin, Result};

/// The line that is being read, which every error names.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) origin: &'a Origin,
}

impl Line<'_> {
    /// Places an error that is nowhere in particular.
    pub(super) fn error(&self, error: Error) -> Error {
        Fault::from(error).place(self.text, Some(self.origin), None)
    }

    /// Places a fault in the text that a key has.
    pub(super) fn fault(&self, key: &str, text: &str, fault: Fault) -> Error {
        fault.place(text, Some(self.origin), Some(key))
    }

    /// Places the error of what a key has.
    pub(super) fn at<T>(&self, key: &str, result: Result<T>) -> Result<T> {
        result.map_err(|error| Fault::from(error).place(self.text, Some(self.origin), Some(key)))
    }

    /// Places an error that has no line yet.
    pub(super) fn place(&self, error: Error) -> Error {
        if error.origin().is_some() { error } else { self.error(error) }
    }

    /// A value as a list of strings.
    pub(super) fn strings(&self, key: &str, value: Value) -> Result<Vec<String>> {
        let Value::Array(items) = value else {
            return Err(self.wrong_type(key, "a list", &value));
        };
        let string = |(idx, item)| self.string(&format!("{key}[{idx}]"), item);
        items.into_iter().enumerate().map(string).collect()
    }

    /// A value as a string.
    pub(super) fn string(&self, key: &str, value: Value) -> Result<String> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(self.wrong_type(key, "a string", &other)),
        }
    }

    pub(super) fn wrong_type(&self, key: &str, expected: &'static str, value: &Value) -> Error {
        let (key, found) = (key.to_owned(), kind(value));
        self.error(Error::WrongType { key, expected, found })
    }
}

/// The keys of an object that nobody has taken yet; null is as good as missing.
pub(super) struct Object<'a> {
    line: Line<'a>,
    values: Map<String, Value>,
}

impl<'a> Object<'a> {
    /// Reads a line; `names` are second names of keys, each with the first.
    pub(super) fn parse(line: Line<'a>, known: &[&str], names: &[(&str, &str)]) -> Result<Self> {
        Self::of(line, Pairs::parse(line)?, known, names)
    }

    /// Reads a line of a form that is not ours, whose other keys don't count.
    pub(super) fn open(line: Line<'a>) -> Result<Self> {
        Self::all(line, Pairs::parse(line)?)
    }

    /// Takes a value within a line.
    pub(super) fn inner(line: Line<'a>, map: Map<String, Value>, known: &[&str]) -> Result<Self> {
        Self::of(line, Pairs(map.into_iter().collect()), known, &[])
    }

    /// Takes a value within a line of a form that is not ours.
    pub(super) fn inner_open(line: Line<'a>, map: Map<String, Value>) -> Result<Self> {
        Self::all(line, Pairs(map.into_iter().collect()))
    }

    /// Whether a key has a value that nobody has taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The value of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.values.shift_remove(key)
    }

    /// The string that a key has.
    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>> {
        self.take(key).map(|value| self.line.string(key, value)).transpose()
    }

    /// The string that a key must have.
    pub(super) fn required(&mut self, key: &'static str) -> Result<String> {
        self.string(key)?.ok_or_else(|| self.line.error(Error::MissingKey { key }))
    }

    /// The string or number that a key has, as text.
    pub(super) fn id(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(self.line.wrong_type(key, "a string or a number", &other)),
        }
    }

    /// The string or number that a key must have, as text.
    pub(super) fn required_id(&mut self, key: &'static str) -> Result<String> {
        self.id(key)?.ok_or_else(|| self.line.error(Error::MissingKey { key }))
    }

    /// The object that a key has, of a form that is not ours.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<Self>> {
        self.take(key).map(|value| Self::of_value(self.line, key, value)).transpose()
    }

    /// The object that a key must have, of a form that is not ours.
    pub(super) fn required_object(&mut self, key: &'static str) -> Result<Self> {
        self.object(key)?.ok_or_else(|| self.line.error(Error::MissingKey { key }))
    }

    /// The objects of a list, of a form that is not ours.
    pub(super) fn objects(&mut self, key: &str) -> Result<Vec<Self>> {
        let items = self.list(key)?.into_iter();
        items.map(|(key, value)| Self::of_value(self.line, &key, value)).collect()
    }

    /// The objects of a list, with these keys.
    pub(super) fn inners(&mut self, key: &str, known: &[&str]) -> Result<Vec<Self>> {
        let line = self.line;
        let inner = |(key, value): (String, Value)| match value {
            Value::Object(map) => Self::inner(line, map, known),
            other => Err(line.wrong_type(&key, "an object", &other)),
        };
        self.list(key)?.into_iter().map(inner).collect()
    }

    /// The truth value that a key has.
    pub(super) fn truth(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(self.line.wrong_type(key, "a truth value", &other)),
        }
    }

    /// The whole number that a key has.
    pub(super) fn count(&mut self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| number.try_into().ok());
        let wrong = || self.line.wrong_type(key, "a whole number", &value);
        number.ok_or_else(wrong).map(Some)
    }

    /// A value that must be an object of a form that is not ours.
    pub(super) fn of_value(line: Line<'a>, key: &str, value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Self::inner_open(line, map),
            other => Err(line.wrong_type(key, "an object", &other)),
        }
    }

    /// The keys that nobody has taken yet.
    pub(super) fn keys(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// The string of the first of several keys for one thing.
    pub(super) fn one_of(&mut self, keys: &[&str]) -> Result<Option<String>> {
        let there = keys.iter().find(|key| self.has(key));
        there.map_or(Ok(None), |key| self.string(key))
    }

    /// The string that one of several keys for one thing must have.
    pub(super) fn required_one_of(&mut self, keys: &[&'static str]) -> Result<String> {
        let key = keys.first().copied().unwrap_or_default();
        self.one_of(keys)?.ok_or_else(|| self.line.error(Error::MissingKey { key }))
    }

    /// The items of a list, each with a key of its own.
    pub(super) fn list(&mut self, key: &str) -> Result<Vec<(String, Value)>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let named = |(idx, item)| (format!("{key}[{idx}]"), item);
                Ok(items.into_iter().enumerate().map(named).collect())
            }
            Some(other) => Err(self.line.wrong_type(key, "a list", &other)),
        }
    }

    /// The strings of a list.
    pub(super) fn strings(&mut self, key: &str) -> Result<Vec<String>> {
        let items = self.list(key)?.into_iter();
        items.map(|(key, value)| self.line.string(&key, value)).collect()
    }

    fn all(line: Line<'a>, pairs: Pairs) -> Result<Self> {
        let keys: Vec<_> = pairs.0.iter().map(|(key, _)| key.clone()).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        Self::of(line, pairs, &keys, &[])
    }

    fn of(line: Line<'a>, pairs: Pairs, known: &[&str], names: &[(&str, &str)]) -> Result<Self> {
        let mut values = Map::new();
        for (key, value) in pairs.0 {
            if !known.contains(&key.as_str()) {
                return Err(line.error(Error::UnknownKey { key, known: known.join(", ") }));
            }
            let name = names.iter().find(|(second, _)| *second == key);
            let name = name.map_or(key.clone(), |(_, first)| (*first).to_owned());
            if values.insert(name, value).is_some() {
                return Err(line.error(Error::RepeatedKey { key }));
            }
        }
        values.retain(|_, value| !value.is_null());
        Ok(Object { line, values })
    }
}

/// Says what the JSON reader says, at its byte of the line.
fn syntax(line: Line<'_>, error: &serde_json::Error) -> Error {
    let skipped = line.text.len() - line.text.trim_start().len();
    let at = skipped + error.column().saturating_sub(1);
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or_default().to_owned();
    Fault::at(at, Error::Json { message }).place(line.text, Some(line.origin), None)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The keys and values of an object as they stand, so that a repeated key is seen.
struct Pairs(Vec<(String, Value)>);

impl Pairs {
    fn parse(line: Line<'_>) -> Result<Self> {
        let text = line.text.trim();
        if !text.starts_with('{') {
            let found = text.chars().take(20).collect();
            return Err(line.error(Error::NotAnObject { found }));
        }
        serde_json::from_str(text).map_err(|error| syntax(line, &error))
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
