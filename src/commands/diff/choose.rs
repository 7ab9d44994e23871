//! Chooses the two templates to compare.

use crate::report::Workload;
use crate::report::history::{History, Revision};
use crate::terminal::humanize::age_since;
use crate::time::ObservationTime;
use std::fmt::Write as _;

/// The templates that the user named.
#[derive(Clone, Copy, Debug)]
pub(super) enum TemplateChoice<'a> {
    /// The previous template and the current one.
    Previous,
    /// This template and the current one.
    With(&'a str),
    /// These two templates.
    Both(&'a str, &'a str),
}

/// A workload's templates by hash.
#[derive(Clone, Copy)]
pub(super) struct TemplateChooser<'a> {
    pub(super) workload: &'a Workload,
    pub(super) history: &'a History,
    pub(super) taken: ObservationTime,
}

impl<'a> TemplateChooser<'a> {
    /// Returns the candidates for the older template, best first, and the newer template.
    pub(super) fn choose(self, asked: TemplateChoice<'_>) -> Result<(Vec<&'a Revision>, &'a Revision), String> {
        match asked {
            TemplateChoice::Both(old, new) => Ok((vec![self.named(old)?], self.named(new)?)),
            TemplateChoice::With(old) => Ok((vec![self.named(old)?], self.current()?)),
            TemplateChoice::Previous => {
                let current = self.current()?;
                let older = self.history.revisions.iter().filter(|older| older.revision < current.revision);
                let older: Vec<&Revision> = older.collect();
                if older.is_empty() {
                    return Err(format!(
                        "{} has no template before the current one; {}",
                        self.name(),
                        self.there_are()
                    ));
                }
                Ok((older, current))
            }
        }
    }

    fn current(self) -> Result<&'a Revision, String> {
        let current = self.history.revisions.iter().find(|revision| revision.current == Some(true));
        current.ok_or_else(|| {
            format!(
                "{} has no template that is known to be the current one; name two; {}",
                self.name(),
                self.there_are()
            )
        })
    }

    /// Returns the template whose hash begins with `typed`. A StatefulSet's hash is a ControllerRevision's full name,
    /// and any hash may be typed with the workload's name before it.
    fn named(self, typed: &str) -> Result<&'a Revision, String> {
        let prefix = format!("{}-", self.workload.name);
        let bare = |hash: &'a str| hash.strip_prefix(&prefix).unwrap_or(hash);
        let typed = typed.strip_prefix(&prefix).unwrap_or(typed);
        let all = || self.history.revisions.iter();
        if let Some(exact) = all().find(|revision| bare(&revision.hash) == typed) {
            return Ok(exact);
        }
        let mut found = all().filter(|revision| !typed.is_empty() && bare(&revision.hash).starts_with(typed));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(format!("{} has no template with the hash '{typed}'; {}", self.name(), self.there_are())),
            (Some(_), Some(_)) => {
                Err(format!("several hashes of {} begin with '{typed}'; {}", self.name(), self.there_are()))
            }
        }
    }

    fn name(self) -> String {
        format!("{}/{}", self.workload.workload_type, self.workload.name)
    }

    fn there_are(self) -> String {
        if self.history.revisions.is_empty() {
            return "none of its templates can be seen".to_owned();
        }
        let mut text = "there are:".to_owned();
        for Revision { hash, revision, created, current, .. } in &self.history.revisions {
            // Infallible: writing to a string.
            let _ = write!(text, "\n  {hash}");
            if let Some(revision) = revision {
                let _ = write!(text, ", revision {revision}");
            }
            if let Some(created) = created {
                let _ = write!(text, ", {} old", age_since(*created, self.taken));
            }
            if *current == Some(true) {
                text.push_str(", current");
            }
        }
        text
    }
}
