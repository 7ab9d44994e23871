//! A strict parser of the text formats: it panics at anything that a scraper might reject.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// The labels of a series, sorted by name.
pub type Labels = BTreeMap<String, String>;

/// A parsed exposition.
#[derive(Default, Debug)]
pub struct Parsed {
    /// Families in their order: name, type.
    pub families: Vec<(String, String)>,
    /// The unit of each family that has one.
    pub units: BTreeMap<String, String>,
    /// Each sample by name and labels.
    pub samples: BTreeMap<(String, Labels), f64>,
}

impl Parsed {
    /// Parses an exposition. Panics if two series have the same labels, a family's lines are not together, a sample has no
    /// family, a family's name does not end in its unit, or the syntax is wrong.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let mut parsed = Self::default();
        let mut seen = BTreeSet::new();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is not ended");
        let mut ended = false;
        for line in text.lines() {
            assert!(!ended, "{line:?} follows # EOF");
            if line == "# EOF" {
                ended = true;
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split_once(' ').unwrap().0;
                assert!(seen.insert(name.to_owned()), "{name} occurs twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(seen.contains(name), "{name} has no HELP");
                parsed.families.push((name.to_owned(), kind.to_owned()));
            } else if let Some(unit) = line.strip_prefix("# UNIT ") {
                let (name, unit) = unit.split_once(' ').unwrap();
                let (family, _) = parsed.families.last().unwrap();
                assert_eq!(name, family, "{line:?} is among lines of {family}");
                assert!(name.ends_with(&format!("_{unit}")), "{name} does not end in its unit {unit}");
                assert!(parsed.units.insert(name.to_owned(), unit.to_owned()).is_none(), "{name} has two units");
            } else {
                let (name, labels, value) = sample(line);
                let (family, _) = parsed.families.last().unwrap();
                let suffix = name.strip_prefix(family.as_str());
                let known = suffix.is_some_and(|s| matches!(s, "" | "_total" | "_bucket" | "_sum" | "_count"));
                assert!(known, "{line:?} is among lines of {family}");
                let before = parsed.samples.insert((name, labels), value);
                assert!(before.is_none(), "two series with the same labels: {line:?}");
            }
        }
        parsed
    }

    /// The value of the series that has exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// Every series of a name that has at least these labels.
    pub fn series(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(&Labels, f64)> {
        let matches = |of: &Labels| labels.iter().all(|(label, value)| of.get(*label).is_some_and(|is| is == value));
        let of_name = self.samples.iter().filter(|((of, _), _)| of == name);
        of_name.filter(|((_, of), _)| matches(of)).map(|((_, of), value)| (of, *value)).collect()
    }
}

/// Inflates a single gzip member. Panics at anything else.
#[track_caller]
pub fn gunzip(bytes: &[u8]) -> String {
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    assert!(decoder.into_inner().is_empty(), "data after the gzip member");
    text
}

fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (value, after) = label_value(after, line);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} occurs twice in {line:?}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => break rest = after.strip_prefix('}').unwrap(),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("no number in {line:?}")))
}

/// A label value up to its closing quote, and the rest of the text.
fn label_value<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next().unwrap_or_else(|| panic!("no closing quote in {line:?}")) {
            '"' => return (value, characters.as_str()),
            '\\' => value.push(match characters.next() {
                Some('n') => '\n',
                Some(plain @ ('\\' | '"')) => plain,
                other => panic!("invalid escape {other:?} in {line:?}"),
            }),
            other => value.push(other),
        }
    }
}
