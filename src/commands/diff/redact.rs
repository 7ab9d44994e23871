//! Hides values of a template.
//!
//! A hidden value is replaced by a number, which only equal values of the same diff share. A hash or the length of the
//! value could help to guess it.

use serde_json::{Map, Value};
use std::collections::HashMap;

/// Whether to show values that may be secrets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueDisplay {
    /// Show them.
    Shown,
    /// Show only that they exist and which are equal.
    Hidden,
}

/// The hidden values of one diff, by number.
pub(super) struct RedactedValues {
    values: ValueDisplay,
    numbers: HashMap<String, usize>,
}

impl RedactedValues {
    pub(super) fn new(values: ValueDisplay) -> Self {
        Self { values, numbers: HashMap::new() }
    }

    /// Returns the template with its hidden values replaced.
    pub(super) fn template(&mut self, template: &Value) -> Value {
        match self.values {
            ValueDisplay::Shown => template.clone(),
            ValueDisplay::Hidden => self.below("", template),
        }
    }

    /// Redacts the value under `key`.
    fn below(&mut self, key: &str, value: &Value) -> Value {
        match (key, value) {
            ("annotations" | "command" | "args" | "volumeAttributes" | "gmsaCredentialSpec", value) => {
                self.leaves(value)
            }
            // References are names. Any other field of a variable may be its value.
            ("env", value) => self.entries(value, &["name", "valueFrom"]),
            ("httpHeaders", value) => self.entries(value, &["name"]),
            ("flexVolume", Value::Object(volume)) => self.each(volume, |hidden, key, value| match key {
                "options" => hidden.leaves(value),
                _ => hidden.below(key, value),
            }),
            ("httpGet", Value::Object(action)) => self.each(action, |hidden, key, value| match (key, value) {
                // The part after a question mark may hold a token.
                ("path", Value::String(path)) if !path.contains('?') => value.clone(),
                ("path", value) => hidden.leaves(value),
                _ => hidden.below(key, value),
            }),
            (_, Value::Object(map)) => self.each(map, Self::below),
            (key, Value::Array(items)) => items.iter().map(|item| self.below(key, item)).collect(),
            (_, value) => value.clone(),
        }
    }

    /// Redacts a list of entries, showing only these keys.
    fn entries(&mut self, entries: &Value, shown: &[&str]) -> Value {
        let Value::Array(entries) = entries else {
            return self.leaves(entries);
        };
        let entry = |entry: &Value| match entry {
            Value::Object(entry) => {
                self.each(
                    entry,
                    |hidden, key, value| {
                        if shown.contains(&key) { value.clone() } else { hidden.leaves(value) }
                    },
                )
            }
            other => self.leaves(other),
        };
        entries.iter().map(entry).collect()
    }

    fn each(&mut self, map: &Map<String, Value>, mut change: impl FnMut(&mut Self, &str, &Value) -> Value) -> Value {
        map.iter().map(|(key, value)| (key.clone(), change(self, key, value))).collect()
    }

    /// Redacts everything except the keys.
    fn leaves(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(map) => self.each(map, |hidden, _, value| hidden.leaves(value)),
            Value::Array(items) => items.iter().map(|item| self.leaves(item)).collect(),
            Value::Null => Value::Null,
            leaf => {
                let next = self.numbers.len() + 1;
                let number = *self.numbers.entry(leaf.to_string()).or_insert(next);
                Value::String(format!("(hidden {number})"))
            }
        }
    }
}
