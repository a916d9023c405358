//! Metadata of a GGUF file: typed values under names. Long lists stay in the mapped file.

use std::collections::BTreeMap;

use retcon_kernels::stored::Bytes;

use super::cursor::{Cursor, Parsed};

/// Lists of lists deeper than this are hostile.
const MAX_DEPTH: usize = 4;

/// All metadata of a file, by name.
#[derive(Clone, Debug, Default)]
pub struct Metadata(BTreeMap<String, Value>);

/// One value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number that counts.
    Unsigned(u64),
    /// A number with a sign.
    Signed(i64),
    /// A real number; those of 32 bits are read as the shortest decimal that rounds to them.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text. Bytes that are no UTF-8 were replaced.
    Text(String),
    /// A list of values of one type.
    List(List),
}

/// A list of values, still as it lies in the file, of which every length was checked.
#[derive(Clone, Debug)]
pub struct List {
    kind: Kind,
    len: usize,
    bytes: Bytes,
}

/// The types of the format, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    List,
    U64,
    I64,
    F64,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::List,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    fn read(from: &mut Cursor<'_>) -> Parsed<Self> {
        let at = from.at();
        let number = from.u32()?;
        let kind = Self::ALL.get(number as usize).copied();
        kind.ok_or_else(|| format!("unknown type of value {number} at byte {at}"))
    }

    /// The bytes of a value, or the fewest that one can take.
    fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text => 8,
            Self::List => 4 + 8,
        }
    }
}

impl Metadata {
    /// Reads `n` names with their values from `from`, which stands in `file`.
    pub(super) fn read(from: &mut Cursor<'_>, n: usize, file: &Bytes) -> Parsed<Self> {
        let mut values = BTreeMap::new();
        for _ in 0..n {
            let name = from.name()?;
            let kind = Kind::read(from)?;
            let value = read_value(from, kind, file).map_err(|what| format!("`{name}`: {what}"))?;
            if values.insert(name.to_owned(), value).is_some() {
                return Err(format!("`{name}` is there twice"));
            }
        }
        Ok(Self(values))
    }

    /// The value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The text under `name`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The count under `name`.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        match *self.get(name)? {
            Value::Unsigned(n) => Some(n),
            Value::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// The answer under `name`.
    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        match *self.get(name)? {
            Value::Bool(answer) => Some(answer),
            _ => None,
        }
    }

    /// The list under `name`.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&List> {
        match self.get(name)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

impl List {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values, one after the other.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        let mut from = Cursor::new(&self.bytes);
        // Everything was read once already, so that nothing can go wrong and end this early.
        (0..self.len).map_while(move |_| read_value(&mut from, self.kind, &self.bytes).ok())
    }

    /// The texts of a list of texts; none of another.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.values().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The numbers of a list of numbers; none of another.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        self.values().filter_map(|value| match value {
            Value::Unsigned(n) => Some(n as f64),
            Value::Signed(n) => Some(n as f64),
            Value::Float(x) => Some(x),
            _ => None,
        })
    }
}

fn read_value(from: &mut Cursor<'_>, kind: Kind, file: &Bytes) -> Parsed<Value> {
    Ok(match kind {
        Kind::U8 => Value::Unsigned(u8::from_le_bytes(from.array()?).into()),
        Kind::U16 => Value::Unsigned(u16::from_le_bytes(from.array()?).into()),
        Kind::U32 => Value::Unsigned(from.u32()?.into()),
        Kind::U64 => Value::Unsigned(from.u64()?),
        Kind::I8 => Value::Signed(i8::from_le_bytes(from.array()?).into()),
        Kind::I16 => Value::Signed(i16::from_le_bytes(from.array()?).into()),
        Kind::I32 => Value::Signed(i32::from_le_bytes(from.array()?).into()),
        Kind::I64 => Value::Signed(i64::from_le_bytes(from.array()?)),
        Kind::F32 => Value::Float(shortest(f32::from_le_bytes(from.array()?))),
        Kind::F64 => Value::Float(f64::from_le_bytes(from.array()?)),
        Kind::Bool => Value::Bool(u8::from_le_bytes(from.array()?) != 0),
        Kind::Text => Value::Text(String::from_utf8_lossy(from.text()?).into_owned()),
        Kind::List => Value::List(read_list(from, file)?),
    })
}

/// What a person would have written: the 1e-5 of a model's settings, not 9.9999997e-6.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| x.into())
}

fn read_list(from: &mut Cursor<'_>, file: &Bytes) -> Parsed<List> {
    let (kind, len) = list_head(from)?;
    let span = from.span(|from| skip(from, kind, len, 1))?;
    let bytes = file.slice(span).ok_or("a list outside of the file")?;
    Ok(List { kind, len, bytes })
}

fn list_head(from: &mut Cursor<'_>) -> Parsed<(Kind, usize)> {
    let kind = Kind::read(from)?;
    Ok((kind, from.count("values", kind.size())?))
}

/// Reads past `n` values, checking every length among them.
fn skip(from: &mut Cursor<'_>, kind: Kind, n: usize, depth: usize) -> Parsed<()> {
    if depth > MAX_DEPTH {
        return Err(format!("lists within lists, more than {MAX_DEPTH} deep"));
    }
    match kind {
        Kind::Text => (0..n).try_for_each(|_| from.text().map(drop)),
        Kind::List => (0..n).try_for_each(|_| {
            let (kind, n) = list_head(from)?;
            skip(from, kind, n, depth + 1)
        }),
        // The count was checked against the bytes that are left, so the product can't overflow.
        _ => from.take(n * kind.size()).map(drop),
    }
}
