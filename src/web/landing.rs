//! The landing page at `/`.

use super::WatchStatus;
use std::fmt::{self, Write as _};

/// Returns the page, without scripts or external resources.
pub(super) fn page(status: &WatchStatus) -> String {
    let mut page = String::with_capacity(2048);
    // Infallible: writing to a `String`.
    let _ = write_page(&mut page, status);
    page
}

fn write_page(page: &mut String, status: &WatchStatus) -> fmt::Result {
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>podskew</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>podskew <small>{version}</small></h1>\n\
         <p>Tells whether all replicas of each workload in this cluster run the same thing.</p>\n<ul>\n\
         <li><a href=\"metrics\">metrics</a>: for Prometheus</li>\n\
         <li><a href=\"readyz\">readyz</a>: whether the initial sync is complete</li>\n\
         <li><a href=\"livez\">livez</a>: whether the process runs</li>\n</ul>\n<h2>Watched resources</h2>\n",
        version = env!("CARGO_PKG_VERSION"),
    )?;
    if status.namespaces.is_empty() {
        page.push_str("<p>All namespaces");
    } else {
        page.push_str("<p>Only these namespaces: ");
        write_names(page, &status.namespaces)?;
    }
    if !status.excluded_namespaces.is_empty() {
        page.push_str(", except ");
        write_names(page, &status.excluded_namespaces)?;
    }
    page.push_str(".</p>\n<table>\n<tr><th>resource</th><th>watch</th></tr>\n");
    for (resource, synced) in &status.resources {
        let state = if *synced { "synced" } else { "not synced" };
        writeln!(page, "<tr><td>{}</td><td>{state}</td></tr>", Escaped(resource))?;
    }
    page.push_str("</table>\n");
    if !status.ready {
        page.push_str("<h2>Not ready yet</h2>\n<ul>\n");
        for missing in &status.waiting_for {
            writeln!(page, "<li>waiting for {}</li>", Escaped(missing))?;
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</body>\n</html>\n");
    Ok(())
}

fn write_names(page: &mut String, names: &[String]) -> fmt::Result {
    for (position, name) in names.iter().enumerate() {
        let comma = if position == 0 { "" } else { ", " };
        write!(page, "{comma}<code>{}</code>", Escaped(name))?;
    }
    Ok(())
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
                     small{font-weight:normal;color:#666}td,th{text-align:left;padding:.1rem 2rem .1rem 0}\
                     @media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}small{color:#999}}";

/// Text escaped for HTML elements and quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{WatchStatus, page};

    #[test]
    fn names_what_is_watched_and_what_is_missing() {
        let page = page(&WatchStatus {
            ready: false,
            waiting_for: vec!["pods".to_owned()],
            namespaces: vec!["shop".to_owned(), "blog".to_owned()],
            excluded_namespaces: Vec::new(),
            resources: vec![("pods", false), ("replicasets", true)],
        });
        for expected in [
            env!("CARGO_PKG_VERSION"),
            "<code>shop</code>, <code>blog</code>",
            "<td>pods</td><td>not synced</td>",
            "<td>replicasets</td><td>synced</td>",
            "<li>waiting for pods</li>",
            "href=\"metrics\"",
        ] {
            assert!(page.contains(expected), "{expected} is missing in {page}");
        }
    }

    #[test]
    fn every_text_is_escaped() {
        let evil = "<script>alert('\"&')</script>".to_owned();
        let page = page(&WatchStatus {
            waiting_for: vec![evil.clone()],
            namespaces: vec![evil.clone()],
            excluded_namespaces: vec![evil],
            ..WatchStatus::default()
        });
        assert!(!page.contains("<script>"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;").count(), 3);
    }
}
