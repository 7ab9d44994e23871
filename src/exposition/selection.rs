//! Selection of families.

use regex::Regex;

/// The families to serve, by `--metric-allowlist` and `--metric-denylist`. Each expression must match a whole name. An
/// empty allowlist allows everything; a denied family is never served.
#[derive(Clone, Default, Debug)]
pub struct Selection {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
}

impl Selection {
    /// # Errors
    ///
    /// An expression cannot be anchored (`(?x)` with a comment at its end).
    pub fn new(allow: &[Regex], deny: &[Regex]) -> Result<Self, regex::Error> {
        // Alternatives are tried from left to right: an unanchored `a|ab` matches `a` in `ab`, which is not the whole name.
        let anchored = |expressions: &[Regex]| {
            expressions.iter().map(|expression| Regex::new(&format!("^(?:{expression})$"))).collect::<Result<_, _>>()
        };
        Ok(Self { allow: anchored(allow)?, deny: anchored(deny)? })
    }

    /// Whether a family is served.
    #[must_use]
    pub fn contains(&self, family: &str) -> bool {
        let matches = |expressions: &[Regex]| expressions.iter().any(|expression| expression.is_match(family));
        (self.allow.is_empty() || matches(&self.allow)) && !matches(&self.deny)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Selection;
    use regex::Regex;

    fn selection(allow: &[&str], deny: &[&str]) -> Selection {
        let compile = |texts: &[&str]| texts.iter().map(|text| Regex::new(text).unwrap()).collect::<Vec<_>>();
        Selection::new(&compile(allow), &compile(deny)).unwrap()
    }

    #[test]
    fn everything_is_served_by_default() {
        assert!(Selection::default().contains("podskew_pod_info"));
    }

    #[test]
    fn an_expression_matches_whole_names_only() {
        let some = selection(&["podskew_pod", "podskew_(distinct|distinct_digests_.*)"], &[]);
        assert!(!some.contains("podskew_pod_info"));
        assert!(some.contains("podskew_distinct_digests_per_workload"), "the second alternative too");
    }

    #[test]
    fn denied_families_are_not_served_even_if_allowed() {
        let some = selection(&["podskew_.*"], &[".*_info"]);
        assert!(some.contains("podskew_outdated_pods"));
        assert!(!some.contains("podskew_pod_info"));
        assert!(!some.contains("process_open_fds"));
    }
}
