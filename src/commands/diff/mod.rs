//! `podskew diff`: compares two pod templates of a workload, as a unified diff of YAML.
//!
//! [`unified`] is pure: it takes two templates as JSON and returns text. By default it hides every value that may be a
//! secret, and shows only that the value exists and which values are equal.

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

/// One of the two templates, with its title.
#[derive(Clone, Copy, Debug)]
pub struct DiffSide<'a> {
    /// The header line of the diff.
    pub title: &'a str,
    /// The template, as returned by [`pod_template`].
    pub template: &'a Value,
}

/// Returns the unified diff with `context` lines around each difference; `None` if the templates are equal.
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
