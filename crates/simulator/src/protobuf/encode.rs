//! Encodes JSON as protobuf in the way of Kubernetes' types: fields in the order of their numbers, and zero values of
//! fields that are not pointers.
//!
//! Rejects what a real API server could not have sent: an unknown field, a value of another type.

use super::pieces::{LENGTH, Pieces, VARINT, tag, timestamp, varint};
use super::schema::{Count, Field, Kind, Message, Schema};
use crate::time::Time;
use serde_json::{Map, Value};
use std::fmt;

/// Error of an object that cannot be encoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EncodeError {
    /// Path of the field, innermost first.
    path: Vec<String>,
    problem: String,
}

impl EncodeError {
    fn new(problem: impl Into<String>) -> Self {
        Self { path: Vec::new(), problem: problem.into() }
    }

    fn of_type(value: &Value, kind: Kind) -> Self {
        match kind {
            Kind::Message(_) => Self::new(format!("{value} is not an object")),
            kind => Self::new(format!("{value} is not of type {kind:?}")),
        }
    }

    fn inside(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
        self
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        write!(f, "{}: {}", path.join("."), self.problem)
    }
}

/// Encodes an object as the message with this name.
pub(crate) fn message(name: &str, object: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut pieces = Pieces::default();
    let message = named(name)?;
    Encoder { blanks: &[] }.whole(message, as_object(object)?, &mut pieces)?;
    Ok(std::mem::take(pieces.bytes()))
}

/// The message with this name.
pub(super) fn named(name: &str) -> Result<&'static Message, EncodeError> {
    Schema::named(name).ok_or_else(|| EncodeError::new(format!("there is no message {name}")))
}

/// Encodes JSON by the schema.
pub(super) struct Encoder<'a> {
    /// Texts to be replaced later. A time is either one of them or contains none.
    pub(super) blanks: &'a [&'a str],
}

impl Encoder<'_> {
    /// Encodes all fields of a message, and rejects others.
    pub(super) fn whole(
        &self,
        message: &Message,
        object: &Map<String, Value>,
        out: &mut Pieces,
    ) -> Result<(), EncodeError> {
        self.fields(&message.fields, object, out)?;
        all_known(message, object)
    }

    /// Encodes some fields of a message.
    pub(super) fn fields(
        &self,
        fields: &[Field],
        object: &Map<String, Value>,
        out: &mut Pieces,
    ) -> Result<(), EncodeError> {
        for field in fields {
            if let (true, Kind::Message(inlined)) = (field.name.is_empty(), field.kind) {
                let mut inner = Pieces::default();
                self.fields(&Schema::at(inlined).fields, object, &mut inner)?;
                tag(field.number, LENGTH, out.bytes());
                out.nested(inner);
                continue;
            }
            let value = object.get(field.name).filter(|value| !value.is_null());
            self.field(field, value, out).map_err(|problem| problem.inside(field.name))?;
        }
        Ok(())
    }

    fn field(&self, field: &Field, value: Option<&Value>, out: &mut Pieces) -> Result<(), EncodeError> {
        match (field.count, value) {
            (Count::One, None) if !field.always => Ok(()),
            (Count::One, _) if field.number == 0 => match value {
                None | Some(Value::String(_)) => Ok(()),
                Some(other) => Err(EncodeError::of_type(other, field.kind)),
            },
            (Count::One, value) => self.value(field.kind, field.number, value, out),
            (Count::Many | Count::Map, None) => Ok(()),
            (Count::Many, Some(Value::Array(items))) => {
                items.iter().try_for_each(|item| self.value(field.kind, field.number, Some(item), out))
            }
            (Count::Map, Some(Value::Object(entries))) => {
                // In the order of the keys, as in serde_json and in Kubernetes.
                entries.iter().try_for_each(|(key, value)| self.entry(field, key, value, out))
            }
            (_, Some(other)) => Err(EncodeError::new(format!("{other} is not {:?}", field.count))),
        }
    }

    fn entry(&self, field: &Field, key: &str, value: &Value, out: &mut Pieces) -> Result<(), EncodeError> {
        if self.blanks.iter().any(|blank| key.contains(blank)) {
            return Err(EncodeError::new(format!("the order of keys such as {key} depends on values of blanks")));
        }
        let mut entry = Pieces::default();
        self.value(Kind::Text, 1, Some(&Value::from(key)), &mut entry)?;
        self.value(field.kind, 2, Some(value), &mut entry)?;
        tag(field.number, LENGTH, out.bytes());
        out.nested(entry);
        Ok(())
    }

    /// One value with its tag. `None` is encoded as zero where a field is always written.
    fn value(&self, kind: Kind, number: u32, value: Option<&Value>, out: &mut Pieces) -> Result<(), EncodeError> {
        let mistaken = || Err(EncodeError::of_type(value.unwrap_or(&Value::Null), kind));
        let mut inner = Pieces::default();
        match (kind, value) {
            (Kind::Bool | Kind::Int32 | Kind::Int64, value) => {
                let number_of = |value: Option<&Value>| match (kind, value) {
                    (_, None) => Some(0),
                    (Kind::Bool, Some(value)) => value.as_bool().map(i64::from),
                    (_, Some(value)) => value.as_i64(),
                };
                return match number_of(value) {
                    Some(integer) if kind != Kind::Int32 || i32::try_from(integer).is_ok() => {
                        tag(number, VARINT, out.bytes());
                        varint(integer.cast_unsigned(), out.bytes());
                        Ok(())
                    }
                    _ => mistaken(),
                };
            }
            (Kind::Text | Kind::Time | Kind::Json, None) => {}
            (Kind::Text, Some(Value::String(text))) => self.text(text, &mut inner),
            (Kind::Time, Some(Value::String(text))) => {
                tag(number, LENGTH, out.bytes());
                return self.time(text, out);
            }
            (Kind::Json, Some(value)) => {
                let mut text = Pieces::default();
                self.text(&value.to_string(), &mut text);
                tag(1, LENGTH, inner.bytes());
                inner.nested(text);
            }
            (Kind::Quantity, None) => quantity("0", &mut inner)?,
            (Kind::Quantity, Some(Value::String(text))) => quantity(text, &mut inner)?,
            (Kind::IntOrString, None) => int_or_string(0, "", inner.bytes()),
            (Kind::IntOrString, Some(Value::String(text))) => int_or_string(1, text, inner.bytes()),
            (Kind::IntOrString, Some(value)) => match value.as_i64().map(i32::try_from) {
                Some(Ok(integer)) => {
                    let bytes = inner.bytes();
                    bytes.extend_from_slice(&[0x08, 0, 0x10]);
                    varint(i64::from(integer).cast_unsigned(), bytes);
                    bytes.extend_from_slice(&[0x1a, 0]);
                }
                _ => return mistaken(),
            },
            (Kind::Message(index), None) => self.fields(&Schema::at(index).fields, &Map::new(), &mut inner)?,
            (Kind::Message(index), Some(Value::Object(object))) => {
                self.whole(Schema::at(index), object, &mut inner)?;
            }
            _ => return mistaken(),
        }
        tag(number, LENGTH, out.bytes());
        out.nested(inner);
        Ok(())
    }

    fn text(&self, text: &str, out: &mut Pieces) {
        let mut rest = text;
        let first = |rest: &str| {
            let found = self.blanks.iter().enumerate().filter_map(|(index, blank)| Some((rest.find(blank)?, index)));
            found.min()
        };
        while let Some((at, index)) = first(rest) {
            if at > 0 {
                out.bytes().extend_from_slice(&rest.as_bytes()[..at]);
            }
            out.value(index);
            rest = &rest[at + self.blanks[index].len()..];
        }
        if !rest.is_empty() {
            out.bytes().extend_from_slice(rest.as_bytes());
        }
    }

    fn time(&self, text: &str, out: &mut Pieces) -> Result<(), EncodeError> {
        if let Some(index) = self.blanks.iter().position(|blank| *blank == text) {
            out.timestamp(index);
            return Ok(());
        }
        let time = Time::parse(text).ok_or_else(|| EncodeError::new(format!("{text} is not a timestamp")))?;
        let mut content = Pieces::default();
        timestamp(time, content.bytes());
        out.nested(content);
        Ok(())
    }
}

/// Whether a message has all these fields.
pub(super) fn all_known(message: &Message, object: &Map<String, Value>) -> Result<(), EncodeError> {
    let unknown = object.keys().find(|key| !knows(message, key));
    unknown.map_or(Ok(()), |key| Err(EncodeError::new("unknown field").inside(key)))
}

fn knows(message: &Message, key: &str) -> bool {
    message.fields.iter().any(|field| match field.kind {
        Kind::Message(inlined) if field.name.is_empty() => knows(Schema::at(inlined), key),
        _ => field.name == key,
    })
}

/// The fields of an object.
pub(super) fn as_object(value: &Value) -> Result<&Map<String, Value>, EncodeError> {
    value.as_object().ok_or_else(|| EncodeError::new(format!("{value} is not an object")))
}

/// `type`, `intVal` and `strVal`, all of which are always written.
fn int_or_string(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x08, kind, 0x10, 0, 0x1a]);
    varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// Integers with a suffix, converted to the largest suffix that keeps them integers. Fractions and exponents, which no
/// object here has, are rejected.
fn quantity(text: &str, out: &mut Pieces) -> Result<(), EncodeError> {
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let refused = || EncodeError::new(format!("{text} is not a supported quantity"));
    let mut number: u64 = number.parse().map_err(|_| refused())?;
    let of_suffix = |suffixes: &'static [&'static str]| suffixes.iter().position(|known| *known == suffix);
    let (suffixes, step, at) = match (of_suffix(&DECIMAL), of_suffix(&BINARY)) {
        (Some(at), _) => (&DECIMAL[..], 1000, at),
        (_, Some(at)) => (&BINARY[..], 1024, at),
        _ => return Err(refused()),
    };
    let mut at = if number == 0 { suffixes.iter().position(|suffix| suffix.is_empty()).unwrap_or(at) } else { at };
    while number > 0 && number.is_multiple_of(step) && at + 1 < suffixes.len() {
        number /= step;
        at += 1;
    }
    let mut content = Pieces::default();
    content.bytes().extend_from_slice(format!("{number}{}", suffixes[at]).as_bytes());
    tag(1, LENGTH, out.bytes());
    out.nested(content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::message;
    use serde_json::{Value, json};

    #[track_caller]
    fn refuses(object: &Value, why: &str) {
        assert_eq!(message("Pod", object).unwrap_err().to_string(), why);
    }

    #[test]
    fn objects_that_no_api_server_sends_are_refused() {
        refuses(&json!({"spec": {"contaners": []}}), "spec.contaners: unknown field");
        refuses(&json!({"spec": {"containers": [{"name": 5}]}}), "spec.containers.name: 5 is not of type Text");
        refuses(&json!({"spec": {"containers": {"name": "a"}}}), "spec.containers: {\"name\":\"a\"} is not Many");
        refuses(&json!({"spec": {"priority": 1.5}}), "spec.priority: 1.5 is not of type Int32");
        refuses(&json!({"spec": {"priority": 1_u64 << 31}}), "spec.priority: 2147483648 is not of type Int32");
        refuses(&json!({"metadata": {"labels": {"a": null}}}), "metadata.labels: null is not of type Text");
        refuses(&json!({"status": 5}), "status: 5 is not an object");
        refuses(
            &json!({"metadata": {"creationTimestamp": "soon"}}),
            "metadata.creationTimestamp: soon is not a timestamp",
        );
        refuses(&json!("pod"), ": \"pod\" is not an object");
    }

    #[test]
    fn null_is_nothing() {
        let null = json!({"metadata": {"creationTimestamp": null}, "spec": {"containers": null}, "status": null});
        assert_eq!(message("Pod", &null), message("Pod", &json!({})));
    }

    #[test]
    fn quantities_have_one_form() {
        let written = |text: &str| {
            let bytes = message("ResourceRequirements", &json!({"limits": {"cpu": text}})).ok()?;
            // Skips tags and lengths, and the key between them.
            Some(String::from_utf8(bytes[11..].to_vec()).unwrap())
        };
        for (text, expected) in
            [("100m", "100m"), ("1000m", "1"), ("2000", "2k"), ("1024Mi", "1Gi"), ("1000Mi", "1000Mi"), ("0Mi", "0")]
        {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!((written("1.5"), written("1e3"), written("many")), (None, None, None));
    }
}
