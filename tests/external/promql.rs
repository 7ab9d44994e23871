//! Checks queries against podskew's declarations: whether they parse, whether each metric exists, and whether each label
//! can exist at its place.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use podskew::exposition::FAMILIES;
use podskew::telemetry::families::{HEALTH_FAMILIES, REGISTRY_FAMILIES};
use promql_parser::label::Labels;
use promql_parser::parser::{Expr, LabelModifier, VectorMatchCardinality, VectorSelector, parse};
use std::collections::BTreeSet;

/// Labels that Prometheus adds to every series; `cluster` if there are several.
const OF_TARGETS: [&str; 3] = ["cluster", "job", "instance"];

/// A metric that is not podskew's: its name and its required labels.
pub type Foreign<'a> = (&'a str, &'a [&'a str]);

/// The error in a query; `None` if there is none.
pub fn fault(query: &str, foreign: &[Foreign<'_>]) -> Option<String> {
    let expression = match parse(query) {
        Ok(expression) => expression,
        Err(error) => return Some(error),
    };
    labels(&expression, foreign).err()
}

type Known = BTreeSet<String>;

fn set<'a>(labels: impl IntoIterator<Item = &'a str>) -> Known {
    labels.into_iter().map(str::to_owned).collect()
}

/// The labels that a metric's series may have.
fn of_metric(name: &str, foreign: &[Foreign<'_>]) -> Option<Known> {
    let mut known = if let Some(family) = FAMILIES.iter().find(|family| family.name == name) {
        set(family.subject_labels().iter().chain(family.labels).copied())
    } else if let Some(family) = HEALTH_FAMILIES.iter().chain(REGISTRY_FAMILIES).find(|family| {
        let suffix = name.strip_prefix(family.name);
        let parts: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        suffix.is_some_and(|suffix| parts.contains(&suffix))
    }) {
        set(family.labels.iter().copied().chain(name.ends_with("_bucket").then_some("le")))
    } else {
        set(foreign.iter().find(|(foreign, _)| *foreign == name)?.1.iter().copied())
    };
    known.extend(set(OF_TARGETS));
    Some(known)
}

fn of_selector(selector: &VectorSelector, foreign: &[Foreign<'_>]) -> Result<Known, String> {
    let name = selector.name.as_deref().ok_or_else(|| format!("{selector} names no metric"))?;
    let known = of_metric(name, foreign).ok_or_else(|| format!("there is no metric {name}"))?;
    for matcher in selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten()) {
        if !known.contains(&matcher.name) {
            return Err(format!("{name} has no label {}", matcher.name));
        }
    }
    Ok(known)
}

fn all_in(labels: &Labels, known: &Known, place: &Expr) -> Result<Known, String> {
    match labels.labels.iter().find(|label| !known.contains(*label)) {
        Some(label) => Err(format!("{place} has no label {label}")),
        None => Ok(labels.labels.iter().cloned().collect()),
    }
}

/// The labels that the result of an expression may have.
fn labels(expression: &Expr, foreign: &[Foreign<'_>]) -> Result<Known, String> {
    match expression {
        Expr::VectorSelector(selector) => of_selector(selector, foreign),
        Expr::MatrixSelector(selector) => of_selector(&selector.vs, foreign),
        Expr::Paren(inner) => labels(&inner.expr, foreign),
        Expr::Unary(inner) => labels(&inner.expr, foreign),
        Expr::Subquery(inner) => labels(&inner.expr, foreign),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Known::new()),
        Expr::Extension(_) => Err("an extension".to_owned()),
        Expr::Aggregate(aggregate) => {
            let inner = labels(&aggregate.expr, foreign)?;
            let kept = match &aggregate.modifier {
                Some(LabelModifier::Include(by)) => all_in(by, &inner, &aggregate.expr)?,
                Some(LabelModifier::Exclude(without)) => &inner - &all_in(without, &inner, &aggregate.expr)?,
                None => Known::new(),
            };
            // These select series without changing labels.
            let chooses = matches!(aggregate.op.to_string().as_str(), "topk" | "bottomk");
            Ok(if chooses { inner } else { kept })
        }
        Expr::Call(call) => {
            let mut known = Known::new();
            for argument in &call.args.args {
                known.extend(labels(argument, foreign)?);
            }
            if call.func.name == "label_replace" {
                let texts: Vec<&str> = call
                    .args
                    .args
                    .iter()
                    .filter_map(
                        |argument| if let Expr::StringLiteral(text) = &**argument { Some(&*text.val) } else { None },
                    )
                    .collect();
                let [target, _, source, _] = texts[..] else { return Err(format!("{call}")) };
                if !source.is_empty() && !known.contains(source) {
                    return Err(format!("{call} reads {source}, which is not there"));
                }
                known.insert(target.to_owned());
            }
            if call.func.name == "histogram_quantile" && !known.remove("le") {
                return Err(format!("{call} has no le"));
            }
            Ok(known)
        }
        Expr::Binary(binary) => {
            let (left, right) = (labels(&binary.lhs, foreign)?, labels(&binary.rhs, foreign)?);
            let is_number = |side: &Expr| matches!(side, Expr::NumberLiteral(_)) || side.to_string() == "time()";
            if is_number(&binary.lhs) || is_number(&binary.rhs) {
                return Ok(&left | &right);
            }
            let modifier = binary.modifier.as_ref();
            let on = match modifier.and_then(|modifier| modifier.matching.as_ref()) {
                Some(LabelModifier::Include(on)) => {
                    all_in(on, &left, &binary.lhs)?;
                    Some(all_in(on, &right, &binary.rhs)?)
                }
                Some(LabelModifier::Exclude(_)) => return Err(format!("{binary} uses ignoring: say on")),
                None if left != right => {
                    return Err(format!("{binary} matches on all labels, and its sides have different ones"));
                }
                None => None,
            };
            match modifier.map(|modifier| &modifier.card) {
                Some(VectorMatchCardinality::ManyToOne(more)) => Ok(&left | &all_in(more, &right, &binary.rhs)?),
                Some(VectorMatchCardinality::OneToMany(more)) => Ok(&right | &all_in(more, &left, &binary.lhs)?),
                Some(VectorMatchCardinality::ManyToMany) if binary.op.to_string() == "or" => Ok(&left | &right),
                Some(VectorMatchCardinality::ManyToMany) => Ok(left),
                _ => Ok(on.unwrap_or(left)),
            }
        }
    }
}
