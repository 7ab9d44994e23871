//! Query parameters of a list: `?q=&namespace=&type=&state=&sort=&page=`, and `limit` and `continue` in the API.

use super::board::BoardEntry;
use super::links::push_encoded;
use crate::advice::Finding;
use crate::report::Workload;
use crate::time::UnixTime;
use percent_encoding::percent_decode_str;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// Default number of rows on a page.
pub(super) const ROWS: usize = 100;

/// Maximum `limit` in the API.
pub(super) const MOST_ROWS: usize = 500;

/// Maximum bytes of a parameter's value: a Kubernetes name with its namespace fits.
const LONGEST: usize = 512;

/// Age at which a rollout counts as slow: the threshold of the alert `PodskewRolloutSlow`.
const SLOW: u32 = 3600;

/// A parsed query.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Query {
    /// Part of a workload's namespace, type or name, in lower case.
    pub text: String,
    pub namespace: String,
    pub workload_type: String,
    pub state: StateFilter,
    pub sort: Sort,
    pub backwards: bool,
    /// From 1.
    pub page: usize,
    pub limit: usize,
    /// The position after which the API continues.
    pub after: Option<SortKey>,
    /// The image reference of `/image`.
    pub reference: String,
}

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $title:literal;)+) => {
        /// Which workloads to list.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub(super) enum StateFilter {
            $($(#[$doc])* $name,)+
        }

        impl StateFilter {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The value of `state`.
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$name => $value,)+ }
            }

            /// Its title.
            pub(super) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

states! {
    /// With findings of an audit.
    #[default]
    NotUniform = "not_uniform", "all findings";
    DigestSkew = "digest_skew", "digest skew";
    Stalled = "stalled_rollout", "stalled";
    Slow = "slow_rollout", "slow";
    UnderWay = "rollout_in_progress", "in progress";
    Mixed = "mixed_template_hashes", "mixed";
    Held = "deliberate_mix", "held on purpose";
    Injected = "injected_digest_skew", "injected skew";
    Unknown = "unknown_digest_skew", "skew of unknown origin";
    NotCompared = "not_compared", "cannot be compared";
    Latest = "latest_tag", "on latest";
    Moved = "tag_moved", "tag moved";
    Gone = "image_gone", "image gone";
    Uniform = "uniform", "uniform";
    All = "all", "all workloads";
}

impl StateFilter {
    /// Whether it includes uniform workloads.
    pub(super) fn lists_uniform(self) -> bool {
        matches!(self, Self::Uniform | Self::All)
    }

    /// Whether a workload's findings match this state.
    pub(super) fn holds(self, entry: &BoardEntry, now: UnixTime) -> bool {
        let has = |finding| entry.findings.contains(&finding);
        match self {
            Self::NotUniform => entry.worst().is_some(),
            Self::DigestSkew => has(Finding::DigestSkew),
            Self::Stalled => has(Finding::Stalled),
            Self::UnderWay => has(Finding::UnderWay),
            Self::Slow => {
                // A worse finding has its own start.
                entry.worst() == Some(Finding::UnderWay) && entry.since.is_some_and(|since| now.since(since) > SLOW)
            }
            Self::Mixed => has(Finding::HashesMixed) || has(Finding::HashesPersist),
            Self::Held => has(Finding::Held),
            Self::Injected => has(Finding::InjectedSkew),
            Self::Unknown => has(Finding::UnknownSkew),
            Self::NotCompared => has(Finding::NotCompared),
            Self::Latest => has(Finding::LatestTag),
            Self::Moved => has(Finding::TagMoved),
            Self::Gone => has(Finding::ImageGone),
            Self::Uniform => entry.worst().is_none(),
            Self::All => true,
        }
    }
}

/// Sort order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Sort {
    /// The order of an audit.
    #[default]
    Worst,
    Workload,
    Since,
    Pods,
}

impl Sort {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Workload => "workload",
            Self::Since => "since",
            Self::Pods => "pods",
        }
    }
}

/// Position of an entry in a sorted list; ties are broken by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct SortKey {
    rank: (u32, u32),
    namespace: String,
    workload_type: String,
    name: String,
}

impl SortKey {
    pub(super) fn of(entry: &BoardEntry, sort: Sort) -> Self {
        let since = entry.since.unwrap_or(UnixTime::LAST).seconds();
        let rank = match sort {
            Sort::Worst => (u32::from(entry.rank().0), since),
            Sort::Workload => (0, 0),
            Sort::Since => (since, 0),
            Sort::Pods => (u32::MAX - entry.pods(), 0),
        };
        let Workload { namespace, workload_type, name } = &entry.workload;
        Self { rank, namespace: (**namespace).into(), workload_type: (**workload_type).into(), name: (**name).into() }
    }

    /// The token in `continue`.
    pub(super) fn token(&self) -> String {
        let mut token = format!("{}.{}", self.rank.0, self.rank.1);
        for part in [&self.namespace, &self.workload_type, &self.name] {
            token.push('/');
            push_encoded(&mut token, part);
        }
        token
    }

    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('/');
        let (first, second) = parts.next()?.split_once('.')?;
        let mut decoded = || Some(percent_decode_str(parts.next()?).decode_utf8().ok()?.into_owned());
        let key = Self {
            rank: (first.parse().ok()?, second.parse().ok()?),
            namespace: decoded()?,
            workload_type: decoded()?,
            name: decoded()?,
        };
        parts.next().is_none().then_some(key)
    }
}

impl Query {
    /// Parses a query string.
    ///
    /// # Errors
    ///
    /// A parameter has an invalid value.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self { page: 1, limit: ROWS, ..Self::default() };
        let mut has_state = false;
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(value));
            if value.is_empty() {
                continue;
            }
            if value.len() > LONGEST && name != "ref" && name != "continue" {
                return Err(format!("{} is longer than {LONGEST} bytes", shown(&name)));
            }
            match name.as_str() {
                "q" => query.text = value.trim().to_lowercase(),
                "namespace" => query.namespace = value,
                "type" => query.workload_type = value.to_lowercase(),
                "ref" => query.reference = value,
                "state" => {
                    has_state = true;
                    let known = StateFilter::ALL.iter().find(|state| state.as_str() == value);
                    query.state = *known.ok_or_else(|| {
                        let all: Vec<_> = StateFilter::ALL.iter().map(|state| state.as_str()).collect();
                        format!("state takes {}, and not {}", all.join(", "), shown(&value))
                    })?;
                }
                "sort" => {
                    let (backwards, sort) =
                        value.strip_prefix('-').map_or((false, value.as_str()), |sort| (true, sort));
                    let all = [Sort::Worst, Sort::Workload, Sort::Since, Sort::Pods];
                    let known = all.iter().find(|known| known.as_str() == sort);
                    query.sort = *known.ok_or_else(|| {
                        format!(
                            "sort takes worst, workload, since or pods, with - before it for the reverse, and not {}",
                            shown(&value)
                        )
                    })?;
                    query.backwards = backwards;
                }
                "page" => query.page = number("page", &value, usize::MAX / MOST_ROWS)?,
                "limit" => query.limit = number("limit", &value, MOST_ROWS)?,
                "continue" => {
                    let key = SortKey::parse(&value);
                    query.after =
                        Some(key.ok_or("continue takes the value of continue in the previous response, unchanged")?);
                }
                // Unknown parameters are ignored, because proxies and trackers add some.
                _ => {}
            }
        }
        // A search covers all workloads, with any findings.
        if !query.text.is_empty() && !has_state {
            query.state = StateFilter::All;
        }
        Ok(query)
    }

    /// Whether a workload's name matches.
    pub(super) fn names(&self, workload: &Workload) -> bool {
        let is_in = |text: &str| text.to_lowercase().contains(&self.text);
        (self.namespace.is_empty() || *workload.namespace == *self.namespace)
            && (self.workload_type.is_empty() || *workload.workload_type == *self.workload_type)
            && (self.text.is_empty()
                || is_in(&workload.name)
                || is_in(&workload.namespace)
                || is_in(&format!("{}/{}", workload.namespace, workload.name))
                || is_in(&format!("{}/{}", workload.workload_type, workload.name)))
    }

    pub(super) fn compare(&self, a: &BoardEntry, b: &BoardEntry) -> Ordering {
        self.in_order(&SortKey::of(a, self.sort), &SortKey::of(b, self.sort))
    }

    /// Whether an entry comes after the last page.
    pub(super) fn is_after(&self, entry: &BoardEntry) -> bool {
        let is_behind = |after| self.in_order(&SortKey::of(entry, self.sort), after) == Ordering::Greater;
        self.after.as_ref().is_none_or(is_behind)
    }

    fn in_order(&self, a: &SortKey, b: &SortKey) -> Ordering {
        if self.backwards { b.cmp(a) } else { a.cmp(b) }
    }

    /// The query in canonical form: equal queries are equal texts. Empty for the default.
    pub(super) fn normalised(&self) -> String {
        let mut text = String::new();
        let mut push = |name: &str, value: &str| {
            if !value.is_empty() {
                text.push(if text.is_empty() { '?' } else { '&' });
                text.push_str(name);
                text.push('=');
                push_encoded(&mut text, value);
            }
        };
        push("ref", &self.reference);
        push("q", &self.text);
        push("namespace", &self.namespace);
        push("type", &self.workload_type);
        let by_default = if self.text.is_empty() { StateFilter::NotUniform } else { StateFilter::All };
        push("state", if self.state == by_default { "" } else { self.state.as_str() });
        let mut sort = String::new();
        if self.sort != Sort::Worst || self.backwards {
            let _ = write!(sort, "{}{}", if self.backwards { "-" } else { "" }, self.sort.as_str());
        }
        push("sort", &sort);
        push("page", &if self.page == 1 { String::new() } else { self.page.to_string() });
        push("limit", &if self.limit == ROWS { String::new() } else { self.limit.to_string() });
        push("continue", &self.after.as_ref().map(SortKey::token).unwrap_or_default());
        text
    }
}

fn number(name: &str, value: &str, most: usize) -> Result<usize, String> {
    let number = value.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("{name} takes a number from 1 to {most}, and not {}", shown(value)))
}

/// Decodes form encoding.
fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The beginning of a client's text.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use super::{Query, SortKey, StateFilter};
    use proptest::prelude::*;

    #[test]
    fn equal_queries_have_one_form() {
        let form = |text: &str| Query::parse(text).unwrap().normalised();
        assert_eq!(form(""), "");
        assert_eq!(form("page=1&state=not_uniform&sort=worst&q=&utm_source=x"), "");
        assert_eq!(form("state=latest_tag&namespace=shop"), form("namespace=shop&state=latest_tag&page=1"));
        assert_eq!(form("q=Web+Shop"), "?q=web%20shop");
        assert_eq!(Query::parse("q=web").unwrap().state, StateFilter::All, "a search finds uniform workloads too");
    }

    #[test]
    fn invalid_values_are_named_in_the_error() {
        for (text, word) in [
            ("state=bad", "state takes not_uniform, digest_skew"),
            ("sort=age", "sort takes worst"),
            ("page=0", "page takes a number"),
            ("page=-1", "page takes a number"),
            ("limit=501", "limit takes a number from 1 to 500"),
            ("continue=x", "continue takes"),
            (&format!("q={}", "x".repeat(513)), "longer than 512"),
        ] {
            let message = Query::parse(text).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    proptest! {
        /// Any query is parsed or rejected, and a parsed one survives a round trip.
        #[test]
        fn any_text_is_read(text in ".{0,200}", value in "[a-z_/.%0-9-]{0,20}") {
            let parameters = ["q", "namespace", "type", "state", "sort", "page", "limit", "continue", "ref"];
            let named = parameters.map(|name| format!("{name}={value}"));
            for text in named.iter().chain([&text]) {
                if let Ok(query) = Query::parse(text) {
                    let again = Query::parse(query.normalised().trim_start_matches('?'));
                    prop_assert_eq!(again, Ok(query));
                }
            }
        }

        #[test]
        fn a_token_is_read_as_it_was_written(a in any::<u32>(), b in any::<u32>(), names in proptest::array::uniform3(".{0,20}")) {
            let [namespace, workload_type, name] = names;
            let key = SortKey { rank: (a, b), namespace, workload_type, name };
            prop_assert_eq!(SortKey::parse(&key.token()), Some(key));
        }
    }
}
