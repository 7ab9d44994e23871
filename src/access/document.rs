//! A YAML document whose values carry their line numbers, for error messages. Messages never quote a value: the document holds
//! private keys and password hashes.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// An error in a file: the line, the problem and the remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError {
    /// Line number, from 1; `None` for a problem of the file as a whole.
    pub line: Option<u64>,
    /// The problem and the remedy.
    pub message: String,
}

impl FileError {
    pub(super) fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into() }
    }

    /// An error of the file as a whole, such as a missing file.
    pub(super) fn of_file(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for FileError {}

/// A value and its line number.
#[derive(Debug)]
pub(super) struct YamlNode {
    pub(super) line: u64,
    value: YamlValue,
}

#[derive(Debug)]
enum YamlValue {
    Null,
    Boolean(bool),
    Text(String),
    List(Vec<YamlNode>),
    Map(Vec<(YamlKey, YamlNode)>),
}

#[derive(Clone, Debug)]
pub(super) struct YamlKey {
    pub(super) line: u64,
    pub(super) name: String,
}

impl YamlNode {
    /// Parses one document; an empty one is null.
    pub(super) fn read(text: &str) -> Result<Self, FileError> {
        let says_nothing =
            |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim_end() == "---";
        if text.lines().all(says_nothing) {
            return Ok(Self { line: 1, value: YamlValue::Null });
        }
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let read = serde_saphyr::from_str_with_options::<Spanned<YamlValue>>(text, options);
        read.map(Self::from).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line()).max(1);
            let message = match error.without_snippet() {
                serde_saphyr::Error::DuplicateMappingKey { .. } => "this key appears twice; keep one of them",
                serde_saphyr::Error::MultipleDocuments { .. } => "a second document begins; keep one",
                _ => "this is not YAML; compare the indentation, colons and quotes with docs/security.md",
            };
            FileError::new(line, message)
        })
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, YamlValue::Null)
    }

    /// The entries of a mapping; none for null. Error messages call the value `name`.
    pub(super) fn map(self, name: &str) -> Result<Vec<(YamlKey, YamlNode)>, FileError> {
        match self.value {
            YamlValue::Null => Ok(Vec::new()),
            YamlValue::Map(entries) => Ok(entries),
            _ => Err(FileError::new(self.line, format!("{name} is not a mapping; write `name: value` lines below it"))),
        }
    }

    /// The items of a list; none for null.
    pub(super) fn list(self, name: &str) -> Result<Vec<YamlNode>, FileError> {
        match self.value {
            YamlValue::Null => Ok(Vec::new()),
            YamlValue::List(nodes) => Ok(nodes),
            _ => Err(FileError::new(self.line, format!("{name} is not a list; write each value after a dash"))),
        }
    }

    /// A scalar as text; `None` for null and for an empty text.
    pub(super) fn text(self, name: &str) -> Result<Option<WithLine<String>>, FileError> {
        let line = self.line;
        match self.value {
            YamlValue::Null => Ok(None),
            YamlValue::Text(text) if text.is_empty() => Ok(None),
            YamlValue::Text(value) => Ok(Some(WithLine { line, value })),
            YamlValue::Boolean(value) => Ok(Some(WithLine { line, value: value.to_string() })),
            YamlValue::List(_) | YamlValue::Map(_) => {
                Err(FileError::new(line, format!("{name} is not a single value; write one")))
            }
        }
    }

    /// A boolean; `None` for null.
    pub(super) fn boolean(self, name: &str) -> Result<Option<WithLine<bool>>, FileError> {
        let line = self.line;
        match self.value {
            YamlValue::Null => Ok(None),
            YamlValue::Boolean(value) => Ok(Some(WithLine { line, value })),
            _ => Err(FileError::new(line, format!("{name} is neither true nor false; write one of them"))),
        }
    }
}

/// A value of any type with its line number.
#[derive(Clone, Debug)]
pub(super) struct WithLine<T> {
    pub(super) line: u64,
    pub(super) value: T,
}

impl<T> WithLine<T> {
    pub(super) fn refuse(&self, message: impl Into<String>) -> FileError {
        FileError::new(self.line, message)
    }
}

impl From<Spanned<YamlValue>> for YamlNode {
    fn from(spanned: Spanned<YamlValue>) -> Self {
        Self { line: spanned.referenced.line().max(1), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = YamlValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }

    fn visit_none<E>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<YamlValue, D::Error> {
        YamlValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<YamlValue, E> {
        Ok(YamlValue::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<YamlValue, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = sequence.next_element::<Spanned<YamlValue>>()? {
            nodes.push(node.into());
        }
        Ok(YamlValue::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<YamlValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<Spanned<String>>()? {
            let key = YamlKey { line: name.referenced.line().max(1), name: name.value };
            entries.push((key, map.next_value::<Spanned<YamlValue>>()?.into()));
        }
        Ok(YamlValue::Map(entries))
    }
}
