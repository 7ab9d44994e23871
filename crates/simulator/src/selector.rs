//! Label and field selectors in the API's syntax.

use serde_json::Value;

/// One requirement of a label selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LabelRequirement {
    /// The label exists and has one of these values.
    In(String, Vec<String>),
    /// The label is missing or has none of these values.
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// One requirement of a field selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FieldRequirement {
    /// `metadata.name`, `spec.nodeName` and so on.
    path: String,
    value: String,
    equal: bool,
}

/// Parses `app=web,tier in (front, back),!canary`.
pub(crate) fn labels(text: &str) -> Result<Vec<LabelRequirement>, String> {
    split_outside_parentheses(text).into_iter().map(|term| label(term.trim())).collect()
}

fn label(term: &str) -> Result<LabelRequirement, String> {
    let invalid = || format!("unable to parse requirement: {term:?}");
    let key = |key: &str| {
        let key = key.trim();
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_./".contains(character);
        (!key.is_empty() && key.chars().all(plain)).then(|| key.to_owned()).ok_or_else(invalid)
    };
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(LabelRequirement::NotIn(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = term.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Ok(LabelRequirement::In(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((head, values)) = term.split_once('(') {
        let values = values.strip_suffix(')').ok_or_else(invalid)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(LabelRequirement::In(key(name)?, values)),
            (Some(name), Some("notin"), None) => Ok(LabelRequirement::NotIn(key(name)?, values)),
            _ => Err(invalid()),
        };
    }
    match term.strip_prefix('!') {
        Some(name) => Ok(LabelRequirement::Missing(key(name)?)),
        None => Ok(LabelRequirement::Exists(key(term)?)),
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut terms) = (0_u32, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.retain(|term| !term.trim().is_empty());
    terms
}

/// Parses `metadata.name=web,spec.nodeName!=a`.
pub(crate) fn fields(text: &str) -> Result<Vec<FieldRequirement>, String> {
    let terms = text.split(',').filter(|term| !term.is_empty());
    let parse = |term: &str| {
        let unequal = term.split_once("!=").map(|(path, value)| (path, value, false));
        let equal = || term.split_once('=').map(|(path, value)| (path, value.strip_prefix('=').unwrap_or(value), true));
        let invalid = || format!("invalid selector: {term:?}; can't understand {term:?}");
        let (path, value, equal) = unequal.or_else(equal).ok_or_else(invalid)?;
        Ok(FieldRequirement { path: path.trim().to_owned(), value: value.trim().to_owned(), equal })
    };
    terms.map(parse).collect()
}

impl LabelRequirement {
    pub(crate) fn holds(&self, labels: &Value) -> bool {
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        let is_one = |key: &str, values: &[String]| label(key).is_some_and(|at| values.iter().any(|value| value == at));
        match self {
            Self::In(key, values) => is_one(key, values),
            Self::NotIn(key, values) => !is_one(key, values),
            Self::Exists(key) => label(key).is_some(),
            Self::Missing(key) => label(key).is_none(),
        }
    }
}

impl FieldRequirement {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn holds(&self, object: &Value) -> bool {
        let found = self.path.split('.').try_fold(object, |at, field| at.get(field));
        let found = match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        (found == self.value) == self.equal
    }
}

#[cfg(test)]
mod tests {
    use super::{fields, labels};
    use serde_json::json;

    #[test]
    fn labels_are_selected_as_the_api_selects_them() {
        let pod = json!({"app": "web", "tier": "front"});
        for (selector, selects) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (api, web),tier notin (back)", true),
            ("app in (api)", false),
            ("!app", false),
            ("!canary,app", true),
            ("tier notin (front,back)", false),
        ] {
            let requirements = labels(selector).unwrap();
            assert_eq!(requirements.iter().all(|it| it.holds(&pod)), selects, "{selector}");
        }
        for invalid in ["a b", "app in web", "app in (web", "=x"] {
            assert!(labels(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn fields_are_compared_as_texts() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"replicas": 1}});
        for (selector, selects) in [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("spec.nodeName==n,status.replicas=1", true),
            ("status.phase!=Failed", true),
            ("status.phase=", true),
        ] {
            assert_eq!(fields(selector).unwrap().iter().all(|it| it.holds(&pod)), selects, "{selector}");
        }
        assert!(fields("metadata.name").is_err());
    }
}
