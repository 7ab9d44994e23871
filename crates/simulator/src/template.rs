//! Objects with blanks: encoded once for many objects, then filled in at the cost of a copy.

use super::encoded::{Encoded, key, names};
use super::protobuf;
use crate::resource::Resource;
use serde_json::Value;

/// An encoded object with blanks.
#[derive(Debug)]
pub(super) struct Template {
    /// The text before each blank, and the index of the blank.
    pieces: Vec<(String, usize)>,
    tail: String,
    version_at: Option<usize>,
    finished: bool,
    /// `None` if the object cannot be encoded in protobuf.
    protobuf: Option<protobuf::Pattern>,
}

impl Template {
    /// Encodes an object. Each text of `blanks` will be replaced by a value.
    pub(super) fn new(resource: Resource, object: Value, blanks: &[&str]) -> Self {
        let protobuf = protobuf::Pattern::new(names(resource).kind, &object, blanks).ok();
        let encoded = Encoded::new(object);
        let finished = encoded.finished;
        let (text, version_at) = encoded.text();
        let text = String::from_utf8_lossy(text);
        let mut rest: &str = &text;
        let mut pieces = Vec::new();
        let first = |rest: &str| {
            let found = blanks.iter().enumerate().filter_map(|(index, blank)| Some((rest.find(blank)?, index)));
            found.min()
        };
        while let Some((at, index)) = first(rest) {
            pieces.push((rest[..at].to_owned(), index));
            rest = &rest[at + blanks[index].len()..];
        }
        let tail = rest.to_owned();
        Self { pieces, tail, version_at, finished, protobuf }
    }

    /// The object with the blanks replaced by values in the same order, optionally with its protobuf.
    pub(super) fn fill(&self, namespace: &str, name: &str, values: &[&str], in_protobuf: bool) -> Encoded {
        let value = |index: usize| values.get(index).copied().unwrap_or_default();
        let length: usize = self.pieces.iter().map(|(text, index)| text.len() + value(*index).len()).sum();
        let mut text = String::with_capacity(length + self.tail.len());
        for (piece, index) in &self.pieces {
            text.push_str(piece);
            text.push_str(value(*index));
        }
        text.push_str(&self.tail);
        // The version is at the very beginning, before any blank.
        let encoded = Encoded::from_parts(key(namespace, name), text, self.version_at, self.finished);
        match self.protobuf.as_ref().filter(|_| in_protobuf).and_then(|pattern| pattern.fill(values)) {
            Some(object) => encoded.with_protobuf(object),
            None => encoded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Template;
    use crate::resource::Resource;
    use crate::store::Store;
    use serde_json::json;

    #[test]
    fn a_filled_template_is_the_object_with_its_values() {
        let object = json!({"metadata": {"namespace": "shop", "name": "@NAME@"}, "spec": {"twice": "@NAME@-@UID@"}});
        let template = Template::new(Resource::Pods, object, &["@UID@", "@NAME@"]);
        let store = Store::new(10);
        store.fill(Resource::Pods, [template.fill("shop", "web", &["7", "web"], false)]);
        let filled = store.get(Resource::Pods, "shop", "web").unwrap();
        assert_eq!(filled["metadata"]["name"], "web");
        assert_eq!(filled["spec"]["twice"], "web-7");
        assert_eq!(filled["metadata"]["resourceVersion"], store.version().to_string());
    }
}
