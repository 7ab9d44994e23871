//! What differs between two pod templates, as a unified diff of YAML.
//!
//! Pure: it is given two templates as JSON, and hands out text. Unless it is asked to, it shows no value that may be
//! somebody's secret, only that it is there and which of them are alike.

mod hide;
mod template;
mod yaml;

pub use hide::Values;
pub use template::pod_template;

use crate::words::visible;
use hide::Hidden;
use serde_json::Value;
use similar::TextDiff;

/// One of the two templates, and what it goes by.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The line above it.
    pub title: &'a str,
    /// The template, as [`pod_template`] gives it.
    pub template: &'a Value,
}

/// What differs, with so many lines of context around it; `None` if nothing does.
#[must_use]
pub fn unified(old: Side<'_>, new: Side<'_>, values: Values, context: usize) -> Option<String> {
    let mut hidden = Hidden::new(values);
    let text = |hidden: &mut Hidden, side: Side<'_>| yaml::write(&hidden.template(side.template));
    let (before, after) = (text(&mut hidden, old), text(&mut hidden, new));
    if before == after {
        return None;
    }
    let diff = TextDiff::from_lines(&before, &after);
    let text = diff.unified_diff().context_radius(context).header(old.title, new.title).to_string();
    Some(text.chars().map(visible).collect())
}
