//! Reads YAML: converts each object of a document to JSON, one at a time.

use super::format_hint::REMEDY;
use super::{InputFile, ReadError, Reader};
use crate::objects::{LONGEST_OBJECT, text_member};
use anyhow::anyhow;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::{BufRead, BufReader, Read};

/// Maximum nesting; no Kubernetes object comes near it.
const DEEPEST: usize = 128;

const PIECE: usize = 256 << 10;

/// Begins a container's logs in the output of `kubectl cluster-info dump`.
const LOGS: &[u8] = b"==== START logs for container ";

impl Reader<'_, '_> {
    /// Reads documents, separated by lines of dashes.
    pub(super) fn yaml(&mut self, input: &mut dyn Read, entry: &mut InputFile) -> Result<(), ReadError> {
        let mut input = BufReader::with_capacity(PIECE, input);
        let most = self.meter.limits.yaml_document;
        let mut document = Vec::new();
        let mut first_line = 1;
        let mut line = 1;
        loop {
            let start = document.len();
            let room = (most + 1).saturating_sub(start) as u64;
            let read = (&mut input).take(room).read_until(b'\n', &mut document)?;
            let text = &document[start..];
            if read == 0 && room > 0 {
                return self.document(&document, first_line, entry);
            }
            if text.starts_with(LOGS) {
                let marker = [b"==== END logs for container ", text[LOGS.len()..].trim_ascii_end()].concat();
                document.truncate(start);
                self.document(&document, first_line, entry)?;
                document.clear();
                line += pass_logs(&mut input, &marker)?;
                self.contents.logs += 1;
                first_line = line;
                continue;
            }
            if document.len() > most {
                return Err(ReadError::Input(anyhow!(
                    "its YAML document at line {first_line} has more than {} MiB, and has to fit into memory; use -o json: \
                     {REMEDY}",
                    most >> 20
                )));
            }
            let begins = begins_document(text);
            if begins || is_end(text) || text.starts_with(b"Cluster info dumped to ") {
                let next = if begins { document.split_off(start) } else { Vec::new() };
                if !begins {
                    document.truncate(start);
                }
                self.document(&document, first_line, entry)?;
                document = next;
                first_line = line;
            }
            line += 1;
        }
    }

    fn document(&mut self, document: &[u8], first_line: u64, entry: &mut InputFile) -> Result<(), ReadError> {
        let text = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
        let says_something =
            |line: &[u8]| !line.trim_ascii().is_empty() && !line.starts_with(b"#") && !line.starts_with(b"%");
        let body = text.strip_prefix(b"---").unwrap_or(text);
        if !body.split(|byte| *byte == b'\n').any(says_something) {
            return Ok(());
        }
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: usize::MAX,
                max_nodes: usize::MAX,
                max_total_scalar_bytes: usize::MAX,
                max_depth: DEEPEST,
                enforce_alias_anchor_ratio: false,
            },
            // Labels are strings; only true and false are booleans.
            strict_booleans: true,
            non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
            with_snippet: false,
        };
        let mut failed = None;
        let read = serde_saphyr::with_deserializer_from_slice_with_options(text, options, |yaml| {
            yaml.deserialize_any(DocumentVisitor { reader: self, entry, failed: &mut failed })
        });
        match (failed, read) {
            (Some(broken), _) => Err(broken),
            (None, Ok(())) => Ok(()),
            // The parser's message may quote a value.
            (None, Err(error)) => {
                let line = error.location().map_or(0, |location| location.line()) + first_line;
                Err(ReadError::Form(format!(
                    "broken YAML, or more than an object may have, at line {}; {REMEDY}",
                    line.saturating_sub(1).max(1)
                )))
            }
        }
    }

    /// Reads an object that was converted to JSON.
    fn converted(&mut self, json: &[u8], entry: &mut InputFile) -> Result<(), ReadError> {
        self.json(&mut &*json, entry, 0)
    }
}

/// `---`, alone or before content.
fn begins_document(line: &[u8]) -> bool {
    line.strip_prefix(b"---").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

fn is_end(line: &[u8]) -> bool {
    line.trim_ascii_end() == b"..."
}

/// Skips a container's logs, up to the line that ends them; returns the number of lines.
fn pass_logs(input: &mut impl BufRead, marker: &[u8]) -> Result<u64, ReadError> {
    let mut lines = 0;
    let mut line = Vec::new();
    loop {
        // A long line is not kept, except for what may be part of the marker.
        let read = input.take(PIECE as u64).read_until(b'\n', &mut line)?;
        if memchr::memmem::find(&line, marker).is_some() {
            return Ok(lines + 2);
        }
        if read == 0 {
            return Err(ReadError::Form("the logs of a container have no end: it was cut short".to_owned()));
        }
        if line.ends_with(b"\n") {
            lines += 1;
            line.clear();
        } else {
            line.drain(..line.len().saturating_sub(marker.len()));
        }
    }
}

/// Visits a document: a list, whose items are passed on one by one, or anything else.
struct DocumentVisitor<'d, 'r, 'e> {
    reader: &'d mut Reader<'r, 'e>,
    entry: &'d mut InputFile,
    /// An error that is not about YAML.
    failed: &'d mut Option<ReadError>,
}

impl DocumentVisitor<'_, '_, '_> {
    fn object<E: Error>(&mut self, json: &[u8]) -> Result<(), E> {
        self.reader.converted(json, self.entry).map_err(|broken| {
            *self.failed = Some(broken);
            E::custom("")
        })
    }
}

impl<'de> Visitor<'de> for DocumentVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut json = Vec::new();
        while seq.next_element_seed(ToJson { out: &mut json })?.is_some() {
            self.object(&json)?;
            json.clear();
        }
        Ok(())
    }

    /// The fields before a list's items are put before each item, so that errors and hints are the same as for JSON.
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut head = vec![b'{'];
        let mut items = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" && items.is_none() {
                items = Some(map.next_value_seed(Items { head: &head, document: &mut self })?);
                continue;
            }
            if head.len() > 1 {
                head.push(b',');
            }
            string(&key, &mut head);
            head.push(b':');
            map.next_value_seed(ToJson { out: &mut head })?;
        }
        let Some(untyped) = items else {
            head.push(b'}');
            return self.object(&head);
        };
        // A YAML list that is truncated between two lines looks complete.
        if text_member(&closed(&head), &["kind"]).is_none() {
            *self.failed = Some(ReadError::Form(format!(
                "its YAML list has no kind: List at its end: it was cut short, or the program that wrote it left that out; \
                 {REMEDY}"
            )));
            return Err(A::Error::custom(""));
        }
        head.push(b',');
        head.extend_from_slice(b"\"items\":[");
        head.extend_from_slice(&untyped);
        head.extend_from_slice(b"]}");
        self.object(&head)
    }
}

/// The items of a list. Items with a kind are passed on at once; the others are kept until the end of the list.
struct Items<'i, 'd, 'r, 'e> {
    head: &'i [u8],
    document: &'i mut DocumentVisitor<'d, 'r, 'e>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_, '_, '_> {
    type Value = Vec<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_, '_, '_> {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<u8>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        let mut held = Vec::new();
        let mut json = Vec::new();
        let has_kind = text_member(&closed(self.head), &["kind"]).is_some();
        while seq.next_element_seed(ToJson { out: &mut json })?.is_some() {
            let says_kind = text_member(&json, &["kind"]).is_some();
            if says_kind {
                self.document.object(&json)?;
            } else if has_kind {
                // A list of one item: `{"apiVersion":"v1","kind":"PodList","items":[…]}`.
                self.document.object(&[self.head, b",\"items\":[", &json, b"]}"].concat())?;
            } else {
                hold(&mut held, &json);
            }
            json.clear();
        }
        Ok(held)
    }
}

fn closed(head: &[u8]) -> Vec<u8> {
    [head, b"}"].concat()
}

fn hold(held: &mut Vec<u8>, json: &[u8]) {
    if !held.is_empty() {
        held.push(b',');
    }
    held.extend_from_slice(json);
}

/// Writes any value as JSON, up to the maximum length of an object.
struct ToJson<'o> {
    out: &'o mut Vec<u8>,
}

impl ToJson<'_> {
    fn write<E: Error>(self, text: &str) -> Result<(), E> {
        self.out.extend_from_slice(text.as_bytes());
        if self.out.len() > LONGEST_OBJECT { Err(E::custom("an object of more than 16 MiB")) } else { Ok(()) }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Infallible: every string serializes, and writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

impl<'de> DeserializeSeed<'de> for ToJson<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ToJson<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.write(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.write(&number.to_string())
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<(), E> {
        self.write(&number.to_string())
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<(), E> {
        self.write(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        let _ = serde_json::to_writer(&mut *self.out, &number);
        self.write("")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        string(text, self.out);
        self.write("")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write("null")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.write("null")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let empty = self.out.len();
        loop {
            let before = self.out.len();
            if before > empty {
                self.out.push(b',');
            }
            if seq.next_element_seed(ToJson { out: &mut *self.out })?.is_none() {
                self.out.truncate(before);
                break;
            }
        }
        self.write("]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let mut first = true;
        while let Some(key) = map.next_key::<String>()? {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            string(&key, self.out);
            self.out.push(b':');
            map.next_value_seed(ToJson { out: &mut *self.out })?;
        }
        self.write("}")
    }
}
