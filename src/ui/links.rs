//! Links from a workload's page to other sites (`--link`), and links to the page (`--page-url`).

use crate::report::Workload;
use crate::terminal::humanize::encoded;
use std::fmt::Write as _;

/// A configured link: `Grafana=https://grafana.example/d/x?var-namespace={namespace}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Text of the link.
    pub name: String,
    parts: Vec<LinkPart>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum LinkPart {
    Text(String),
    Namespace,
    WorkloadType,
    Workload,
}

const FORM: &str = "write NAME=URL, as in Grafana=https://grafana.example/d/x?var-namespace={namespace}";

const PLACEHOLDERS: &str = "{namespace}, {workload_type} and {workload}";

impl Link {
    /// Parses `NAME=URL`.
    ///
    /// # Errors
    ///
    /// The text has another form, a scheme other than http and https, or an unknown placeholder.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, url) = text.split_once('=').ok_or_else(|| format!("the name is missing; {FORM}"))?;
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(format!("the name is empty or not readable; {FORM}"));
        }
        check_url(url).map_err(|problem| format!("{problem}; {FORM}"))?;
        let mut parts = Vec::new();
        let mut rest = url;
        while let Some(at) = rest.find(['{', '}']) {
            let (text, behind) = rest.split_at(at);
            let (name, next) = behind
                .strip_prefix('{')
                .and_then(|behind| behind.split_once('}'))
                .ok_or_else(|| format!("a brace is unmatched; placeholders are {PLACEHOLDERS}"))?;
            parts.push(LinkPart::Text(text.to_owned()));
            parts.push(match name {
                "namespace" => LinkPart::Namespace,
                "workload_type" => LinkPart::WorkloadType,
                "workload" => LinkPart::Workload,
                _ => return Err(format!("{{{name}}} is not a placeholder; the placeholders are {PLACEHOLDERS}")),
            });
            rest = next;
        }
        parts.push(LinkPart::Text(rest.to_owned()));
        Ok(Self { name: name.trim().to_owned(), parts })
    }

    /// The URL for a workload.
    #[must_use]
    pub fn url(&self, workload: &Workload) -> String {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                LinkPart::Text(text) => url.push_str(text),
                LinkPart::Namespace => push_encoded(&mut url, &workload.namespace),
                LinkPart::WorkloadType => push_encoded(&mut url, &workload.workload_type),
                LinkPart::Workload => push_encoded(&mut url, &workload.name),
            }
        }
        url
    }
}

/// Parses the URL of the page.
///
/// # Errors
///
/// The text is not an http or https URL, or has a query.
pub fn page_url(text: &str) -> Result<String, String> {
    const FORM: &str = "write one like https://podskew.example or https://tools.example/podskew";
    check_url(text).map_err(|problem| format!("{problem}; {FORM}"))?;
    if text.contains(['?', '#', '{', '}']) {
        return Err(format!("it has a query, a fragment or a brace, and podskew appends a path; {FORM}"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.ok_or("the URL begins neither with https:// nor with http://")?;
    if host.is_empty() || host.starts_with(['/', '?', '#', ':']) {
        return Err("the URL names no host");
    }
    if url.chars().any(|it| it.is_control() || it.is_whitespace() || matches!(it, '"' | '<' | '>' | '\\' | '`')) {
        return Err("the URL contains a character that no URL may contain");
    }
    Ok(())
}

pub(super) fn push_encoded(url: &mut String, text: &str) {
    // Infallible: writing to a `String`.
    let _ = write!(url, "{}", encoded(text));
}

/// Path of a workload's page, relative to the overview.
#[must_use]
pub fn workload_path(workload: &Workload) -> String {
    let mut path = "workload".to_owned();
    for segment in [&workload.namespace, &workload.workload_type, &workload.name] {
        path.push('/');
        push_encoded(&mut path, segment);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{Link, page_url, workload_path};
    use crate::report::Workload;

    fn workload(name: &str) -> Workload {
        Workload { namespace: "shop".into(), workload_type: "deployment".into(), name: name.into() }
    }

    #[test]
    fn values_stay_within_their_place() {
        let link = Link::parse("Grafana=https://g.example/{workload_type}/{workload}?ns={namespace}&x=1").unwrap();
        assert_eq!(link.name, "Grafana");
        assert_eq!(link.url(&workload("web")), "https://g.example/deployment/web?ns=shop&x=1");
        assert_eq!(
            link.url(&workload("a/../b?c=d&<\"é")),
            "https://g.example/deployment/a%2F..%2Fb%3Fc%3Dd%26%3C%22%C3%A9?ns=shop&x=1"
        );
        assert_eq!(workload_path(&workload("a/b")), "workload/shop/deployment/a%2Fb");
    }

    #[test]
    fn invalid_links_are_refused_with_the_reason() {
        for (text, reason) in [
            ("https://g.example/{namespace}", "{namespace}"),
            ("Grafana", "the name is missing"),
            ("=https://g.example", "the name is empty"),
            ("Grafana=javascript:alert(1)", "neither with https:// nor with http://"),
            ("Grafana=//g.example", "neither with https:// nor with http://"),
            ("Grafana=https:///x", "names no host"),
            ("Grafana=https://g.example/{pod}", "{pod} is not a placeholder"),
            ("Grafana=https://g.example/{namespace", "a brace is unmatched"),
            ("Grafana=https://g.example/}", "a brace is unmatched"),
            ("Grafana=https://g.example/a b", "a character that no URL may contain"),
        ] {
            match Link::parse(text) {
                Err(message) => assert!(message.contains(reason), "{text}: {message}"),
                // In a URL without a name, the first `=` is part of the query.
                Ok(link) => panic!("{text}: {link:?}"),
            }
        }
    }

    #[test]
    fn the_pages_url_has_a_path_at_most() {
        assert_eq!(page_url("https://tools.example/podskew/").unwrap(), "https://tools.example/podskew");
        for bad in ["podskew.example", "https://x.example/?a=b", "https://x.example/#a", "ftp://x.example", "https://"]
        {
            assert!(page_url(bad).is_err(), "{bad}");
        }
    }
}
