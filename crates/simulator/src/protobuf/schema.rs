//! The schema: fields of Kubernetes' messages with their names in JSON and their numbers in protobuf.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Made by `make protobuf-schema`; its first lines say how to read it.
const TEXT: &str = include_str!("schema.txt");

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(TEXT));

/// All messages, by their index.
#[derive(Debug, Default)]
pub(super) struct Schema {
    messages: Vec<Message>,
    names: HashMap<&'static str, usize>,
}

/// The fields of a message, in the order in which they are written.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    /// Name in JSON; empty for a message that is inlined there.
    pub(super) name: &'static str,
    /// 0 if it is not written.
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) count: Count,
    /// Whether it is written even if it has no value.
    pub(super) always: bool,
}

/// How many values a field may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    One,
    /// A JSON array.
    Many,
    /// A JSON object: the keys are the keys of a map.
    Map,
}

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    Bool,
    Int32,
    Int64,
    /// RFC 3339 in JSON, seconds and nanoseconds in protobuf.
    Time,
    /// An integer or a string.
    IntOrString,
    /// A string, converted to the canonical form of the API server.
    Quantity,
    /// Any JSON, kept as text.
    Json,
    /// A message, by its index.
    Message(usize),
    /// A type that cannot be encoded.
    Unknown,
}

impl Schema {
    fn read(text: &'static str) -> Self {
        let lines = || text.lines().filter(|line| !line.starts_with('#')).map(str::split_whitespace);
        let names = lines().filter_map(|mut words| words.next());
        let names: HashMap<&str, usize> = names.enumerate().map(|(index, name)| (name, index)).collect();
        let fields = |words: std::str::SplitWhitespace<'static>| words.skip(1).filter_map(|word| field(word, &names));
        let messages = lines().map(|words| Message { fields: fields(words).collect() }).collect();
        Self { messages, names }
    }

    /// The message with this name.
    pub(super) fn named(name: &str) -> Option<&'static Message> {
        SCHEMA.names.get(name).map(|index| Self::at(*index))
    }

    /// The message with this index.
    pub(super) fn at(index: usize) -> &'static Message {
        static NOTHING: Message = Message { fields: Vec::new() };
        SCHEMA.messages.get(index).unwrap_or(&NOTHING)
    }
}

/// Parses `NAME:KIND=NUMBER`, with an optional `!` at the end.
fn field(word: &'static str, messages: &HashMap<&str, usize>) -> Option<Field> {
    let (name, rest) = word.split_once(':')?;
    let (kind, number) = rest.split_once('=')?;
    let always = number.ends_with('!');
    let number = number.trim_end_matches('!').parse().ok()?;
    let (count, kind) = match (kind.strip_prefix("[]"), kind.strip_prefix("{}")) {
        (Some(kind), _) => (Count::Many, kind),
        (_, Some(kind)) => (Count::Map, kind),
        _ => (Count::One, kind),
    };
    let kind = match kind {
        "string" => Kind::Text,
        "bool" => Kind::Bool,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "Time" => Kind::Time,
        "IntOrString" => Kind::IntOrString,
        "Quantity" => Kind::Quantity,
        "FieldsV1" | "RawExtension" => Kind::Json,
        other => messages.get(other).map_or(Kind::Unknown, |index| Kind::Message(*index)),
    };
    Some(Field { name, number, kind, count, always })
}

#[cfg(test)]
mod tests {
    use super::{Count, Kind, SCHEMA, Schema, TEXT};

    #[test]
    fn everything_in_the_file_is_understood() {
        let fields = || SCHEMA.messages.iter().flat_map(|message| &message.fields);
        let lines = TEXT.lines().filter(|line| !line.starts_with('#'));
        let words: usize = lines.map(|line| line.split_whitespace().count() - 1).sum();
        assert_eq!(fields().count(), words);
        assert!(fields().all(|field| field.kind != Kind::Unknown));
        // A message without a value in an array or a map is not encoded, and a scalar is not inlined.
        assert!(fields().all(|field| !field.name.is_empty() || matches!(field.kind, Kind::Message(_))));
    }

    #[test]
    fn a_pod_is_what_it_is() {
        let labels = Schema::named("ObjectMeta").unwrap().fields.iter().find(|field| field.name == "labels").unwrap();
        assert_eq!((labels.number, labels.kind, labels.count, labels.always), (11, Kind::Text, Count::Map, false));
        let pod = Schema::named("Pod").unwrap();
        assert_eq!(pod.fields.iter().map(|field| field.number).collect::<Vec<_>>(), [0, 0, 1, 2, 3]);
    }
}
