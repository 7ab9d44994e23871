//! Label selectors in kubectl's syntax: `app=web,tier!=cache,env in (prod,test),!canary`.
//!
//! Grammar and meaning are those of `k8s.io/apimachinery/pkg/labels/selector.go`: `!=` and `notin` also match objects
//! without the label.

use crate::objects::Labels;
use std::str::FromStr;

/// A list of requirements that must all match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Whether these labels match.
    #[must_use]
    pub fn matches(&self, labels: &Labels<'_>) -> bool {
        self.0.iter().all(|Requirement { key, test }| {
            let value = labels.get(key);
            let value = value.as_deref();
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|unwanted| unwanted != value)),
                Test::Above(than) => number().is_some_and(|number| number > *than),
                Test::Below(than) => number().is_some_and(|number| number < *than),
            }
        })
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = SelectorParser { tokens: tokens(text), at: 0 };
        let mut requirements = Vec::new();
        if reader.peek().is_none() {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(reader.requirement()?);
            match reader.next() {
                None => return Ok(Self(requirements)),
                Some(",") => {}
                Some(found) => return Err(format!("'{found}' is where a comma should be; {FORM}")),
            }
        }
    }
}

const FORM: &str = "write it like app=web,tier!=cache,env in (prod,test),!canary";

const SYMBOLS: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];

/// Splits a text into words and symbols of one or two characters.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if ["==", "!="].iter().any(|symbol| rest.starts_with(symbol)) {
            2
        } else if SYMBOLS.contains(&first) {
            1
        } else {
            rest.find(|c: char| SYMBOLS.contains(&c) || c.is_whitespace()).unwrap_or(rest.len())
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

fn is_word(token: &str) -> bool {
    !token.starts_with(SYMBOLS)
}

struct SelectorParser<'t> {
    tokens: Vec<&'t str>,
    at: usize,
}

impl<'t> SelectorParser<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'t str> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == Some("!");
        if absent {
            self.at += 1;
        }
        let key = match self.next() {
            Some(word) if is_word(word) => word,
            Some(found) => return Err(format!("'{found}' is where a label's key should be; {FORM}")),
            None => return Err(format!("a label's key is missing at its end; {FORM}")),
        };
        if !is_key(key) {
            return Err(format!("'{key}' is not the key of a label; {FORM}"));
        }
        let test = if absent { Test::Absent } else { self.test(key)? };
        Ok(Requirement { key: key.to_owned(), test })
    }

    fn test(&mut self, key: &str) -> Result<Test, String> {
        let Some(operator) = self.peek().filter(|token| *token != ",") else { return Ok(Test::Exists) };
        self.at += 1;
        Ok(match operator {
            "=" | "==" => Test::In(vec![self.value()?]),
            "!=" => Test::NotIn(vec![self.value()?]),
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            ">" => Test::Above(self.number()?),
            "<" => Test::Below(self.number()?),
            found => return Err(format!("'{found}' after the key '{key}' is not an operator; {FORM}")),
        })
    }

    /// Parses a value, which may be empty.
    fn value(&mut self) -> Result<String, String> {
        let Some(word) = self.peek().filter(|token| is_word(token)) else { return Ok(String::new()) };
        self.at += 1;
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let edges = [word.as_bytes().first(), word.as_bytes().last()];
        if word.len() > 63 || !word.bytes().all(inner) || !edges.into_iter().flatten().all(u8::is_ascii_alphanumeric) {
            return Err(format!("'{word}' cannot be a label's value; {FORM}"));
        }
        Ok(word.to_owned())
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Some("(") {
            return Err(format!("in and notin need their values in brackets; {FORM}"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            match self.next() {
                Some(",") => {}
                Some(")") => return Ok(values),
                Some(found) => return Err(format!("'{found}' is not a value or a comma in brackets; {FORM}")),
                None => return Err(format!("a bracket is not closed; {FORM}")),
            }
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let word = self.value()?;
        word.parse().map_err(|_| format!("'{word}' is not a whole number, which < and > need; {FORM}"))
    }
}

/// Whether `key` is a qualified name: `app`, `app.kubernetes.io/name`.
fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edges = |text: &str| {
        [text.as_bytes().first(), text.as_bytes().last()]
            .into_iter()
            .all(|edge| edge.is_some_and(u8::is_ascii_alphanumeric))
    };
    let is_name = |text: &str, longest| edges(text) && text.len() <= longest && text.bytes().all(inner);
    let is_label =
        |part: &str| is_name(part, 63) && !part.bytes().any(|byte| byte == b'_' || byte.is_ascii_uppercase());
    is_name(name, 63) && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::Selector;
    use crate::objects::Labels;

    fn chooses(selector: &str, labels: &[(&'static str, &'static str)]) -> bool {
        let labels = labels.iter().copied().collect::<Labels<'_>>();
        selector.parse::<Selector>().unwrap_or_else(|error| panic!("{selector}: {error}")).matches(&labels)
    }

    /// Cases of `TestSelectorMatches` and `TestSetMatches` in Kubernetes, and of its documentation.
    #[test]
    fn selectors_choose_what_kubernetes_chooses() {
        let xy = [("x", "y")];
        for selector in [
            "",
            " ",
            "x=y",
            "x==y",
            "x = y",
            "x=y,x=y",
            "x",
            "x in (y)",
            "x in (a, y ,z)",
            "x notin (a)",
            "x!=a",
            "z!=a",
            "z notin (a,b)",
            "!z",
            "! z",
            "x,!z",
            "x in(y),x notin(z)",
        ] {
            assert!(chooses(selector, &xy), "{selector}");
        }
        for selector in
            ["x=z", "x=", "!x", "z", "x in (a)", "x in ()", "x notin (y)", "x!=y", "x=y,z=w", "x=Y", "x>1", "z<1"]
        {
            assert!(!chooses(selector, &xy), "{selector}");
        }
        let docs =
            [("environment", "production"), ("tier", "frontend"), ("app.kubernetes.io/name", "web"), ("empty", "")];
        for selector in [
            "environment=production,tier!=backend",
            "environment in (production),tier in (frontend)",
            "environment,environment notin (qa)",
            "app.kubernetes.io/name=web",
            "empty=",
            "empty==,tier",
            "empty in (,x)",
            "empty in ()",
        ] {
            assert!(chooses(selector, &docs), "{selector}");
        }
        assert!(
            chooses("n>1,n<3", &[("n", "2")]) && !chooses("n>2", &[("n", "2")]) && !chooses("n>1", &[("n", "many")])
        );
        // Keys that are operators elsewhere.
        assert!(chooses("in in (in),notin notin (x)", &[("in", "in"), ("notin", "notin")]));
    }

    #[test]
    fn selectors_that_kubernetes_refuses_are_refused() {
        for selector in [
            "x=a||y=b",
            "x==a==b",
            "!x=a",
            "x<a",
            ",",
            "x=y,",
            ",x=y",
            "x in",
            "x in (a",
            "x in a",
            "x (a)",
            "=a",
            "x=-a",
            "x=a b",
            "x y",
            "/x=a",
            "a/b/c",
            "x in (a b)",
            "x=ä",
            "-x",
            "X/y=1",
            "x notin (a))",
            "!",
        ] {
            let error = selector.parse::<Selector>().map(|_| ()).unwrap_err();
            assert!(error.contains("write it like"), "{selector}: {error}");
        }
    }
}
