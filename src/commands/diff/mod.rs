//! `podskew diff`: what differs between two pod templates of a workload, as a unified diff of YAML.
//!
//! [`unified`] is pure: it takes two templates as JSON and returns text. Unless asked to, it shows no value that may be a secret,
//! only that the value is there and which values are equal.

mod choose;
mod command;
mod json;
mod options;
mod redact;
mod template;
mod templates;
mod yaml;

pub use command::diff;
pub use options::{DiffArguments, DiffFormat, DiffOptions};
pub use redact::ValueDisplay;
pub use template::pod_template;

use crate::terminal::humanize::visible;
use redact::RedactedValues;
use serde_json::Value;
use similar::TextDiff;

/// One of the two templates, and what it goes by.
#[derive(Clone, Copy, Debug)]
pub struct DiffSide<'a> {
    /// The line above it.
    pub title: &'a str,
    /// The template, as [`pod_template`] gives it.
    pub template: &'a Value,
}

/// What differs, with so many lines of context around it; `None` if nothing does.
#[must_use]
pub fn unified(old: DiffSide<'_>, new: DiffSide<'_>, values: ValueDisplay, context: usize) -> Option<String> {
    let mut hidden = RedactedValues::new(values);
    let text = |hidden: &mut RedactedValues, side: DiffSide<'_>| yaml::write(&hidden.template(side.template));
    let (before, after) = (text(&mut hidden, old), text(&mut hidden, new));
    if before == after {
        return None;
    }
    let diff = TextDiff::from_lines(&before, &after);
    let text = diff.unified_diff().context_radius(context).header(old.title, new.title).to_string();
    Some(text.chars().map(visible).collect())
}
