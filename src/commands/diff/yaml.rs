//! Writes a template as YAML in a stable order: sorted keys with `name` first, and lists unchanged.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// Returns a YAML block that parses to the same value.
pub(super) fn write(value: &Value) -> String {
    // Long lines stay unfolded: a diff compares lines, and folds would move with each word.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let mut text = String::new();
    // Infallible: every JSON value serializes, and writing to a `String` cannot fail.
    let _ = serde_saphyr::to_fmt_writer_with_options(&mut text, &Ordered(value), options);
    text
}

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| (key.as_str() != "name", key.as_str()));
                let mut object = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    object.serialize_entry(key, &Ordered(value))?;
                }
                object.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item))?;
                }
                list.end()
            }
            leaf => leaf.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn it_reads_like_a_manifest() {
        let template = json!({
            "spec": {
                "containers": [{
                    "image": "r/web:1", "name": "web",
                    "args": ["yes", "1", "0x10", "1e3", "null", "", " a", "a: b", "#", "- x", "2026-01-01", "~"],
                    "ports": [{"containerPort": 80}],
                    "script": "set -e\n\nrun\n", "long": "word ".repeat(40), "bell": "\u{7}", "empty": {}, "none": []
                }],
                "hostNetwork": true
            }
        });
        let expected = "\
spec:
  containers:
  - name: web
    args:
    - \"yes\"
";
        let text = write(&template);
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("    script: |\n      set -e\n      \n      run\n"), "{text}");
        assert!(text.lines().all(|line| !line.contains('\u{7}')), "{text}");
        assert!(text.contains(&"word ".repeat(39)), "{text}");
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), template);
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => "[a-z]{1,8}",
            3 => "[-+0-9.eExXoO_:~?!&*|>%@`'\"#,\\[\\]{} \n\t\r\\\\]{0,12}",
            2 => prop_oneof![
                Just("yes"), Just("No"), Just("on"), Just("null"), Just("~"), Just("true"), Just(".inf"), Just("0o7"),
                Just("1:30"), Just("2026-11-21"), Just("<<"), Just("="), Just("---"), Just("...")
            ].prop_map(str::to_owned),
            2 => "\\PC{0,20}",
            1 => ".{0,20}",
            1 => "( {0,3}[a-z]{0,3}\n{0,3}){0,5}",
            1 => any::<Vec<char>>().prop_map(|characters| characters.into_iter().take(12).collect()),
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            6 => any_text().prop_map(Value::from),
            1 => any::<i64>().prop_map(Value::from),
            1 => any::<bool>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(any_text(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_back_as_the_same_value(value in any_value()) {
            let value = json!({ "template": value });
            let text = write(&value);
            let read: Result<Value, _> = serde_saphyr::from_str(&text);
            prop_assert_eq!(read.ok(), Some(value), "{}", text);
            let harmless = |character: char| matches!(character, '\n' | '\t') || !character.is_control();
            prop_assert!(text.chars().all(harmless), "{:?}", text);
        }
    }
}
