//! The figures, computed from the measurements, with absolute limits.

use super::meter::Meter;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Figures by name; the suffix of the name is the unit.
pub type Figures = BTreeMap<String, f64>;

/// Costs of each stage: suffixes of figure names.
const COSTS: [&str; 3] = ["allocations", "bytes", "instructions"];

/// Stage name for decoded bytes, which are not a cost.
pub const WIRE_BYTES: &str = "decoded";

/// Absolute limits, independent of the baseline, with reasons.
pub const LIMITS: [(&str, f64, &str); 13] = [
    ("2000 pods: event: allocations", 40.0, "limit for one event"),
    ("recorded: event: allocations", 40.0, "limit for one event"),
    ("2000 pods: memory after 10 rolling updates, over that before", 1.15, "strings of dead pods are freed"),
    // From 2 000 to 20 000 pods the cost per pod stays the same.
    ("growth: first list: allocations", 1.05, "flat"),
    ("growth: first list: instructions", 1.05, "flat"),
    ("growth: event: allocations", 1.05, "flat"),
    ("growth: event: instructions", 1.05, "flat"),
    ("growth: inventory, bytes a pod", 1.05, "flat"),
    ("growth: exposition, bytes a pod", 1.05, "flat"),
    // An event and its share of the rendering, at 500 events per second. A workload of 5 000 pods is reported once per
    // second, regardless of how many of its pods changed: 10 pods per event. 200 workloads of 25 pods, all restarted at
    // once, need 4.8 pods per event and share fragments with others; restarted one after another, they need 0.2.
    ("one workload over at once: allocations", 1.0, "an event does not cost a whole workload"),
    ("one workload over at once: instructions", 1.5, "an event does not cost a whole workload"),
    ("one workload over in turn: allocations", 1.5, "an event does not cost a whole workload"),
    ("one workload over in turn: instructions", 2.5, "an event does not cost a whole workload"),
];

/// All figures.
pub fn all(meter: &Meter, memory: Figures) -> Figures {
    let mut figures = memory;
    let counted = meter.tallies.values().any(|tally| tally.instructions > 0);
    let costs = &COSTS[..if counted { 3 } else { 2 }];
    for (stage, tally) in &meter.tallies {
        if stage == WIRE_BYTES {
            continue;
        }
        if tally.runs == 0 {
            figures.insert(stage.clone(), tally.units as f64);
            continue;
        }
        for (cost, each) in costs.iter().zip(tally.each()) {
            figures.insert(format!("{stage}: {cost}"), each);
        }
    }
    let tally = |stage: &str| meter.tallies.get(stage).copied().unwrap_or_default();
    if counted {
        let decode = (tally("2000 pods: decode").instructions + tally("20000 pods: decode").instructions) as f64;
        let bytes = tally(WIRE_BYTES).units as f64;
        figures.insert("decode: instructions a MB of JSON".to_owned(), decode / bytes * 1e6);
    }
    for what in LIMITS.iter().filter_map(|(name, ..)| name.strip_prefix("growth: ")) {
        let of = |pods: &str| figures.get(&format!("{pods} pods: {what}")).copied();
        if let (Some(small), Some(large)) = (of("2000"), of("20000")) {
            figures.insert(format!("growth: {what}"), large / small);
        }
    }
    for other in ["at once", "in turn"] {
        let sums = |order: &str| {
            let stages = ["event", "report", "render"].map(|stage| tally(&format!("{order}: {stage}")).each());
            [0, 1, 2].map(|cost| stages.iter().map(|each| each[cost]).sum::<f64>())
        };
        for ((cost, one), many) in costs.iter().zip(sums("one workload")).zip(sums(other)) {
            figures.insert(format!("one workload over {other}: {cost}"), one / many);
        }
    }
    figures
}

/// A Markdown table of the stages with their costs, then the other figures.
pub fn table(figures: &Figures) -> String {
    let mut table = "| stage | allocations | bytes | instructions |\n|---|---|---|---|\n".to_owned();
    let mut rest = "\n| figure | value |\n|---|---|\n".to_owned();
    for (name, value) in figures {
        match name.rsplit_once(": ") {
            Some((stage, "allocations")) => {
                let cells = COSTS.map(|cost| {
                    figures.get(&format!("{stage}: {cost}")).map_or_else(String::new, |value| short(*value))
                });
                _ = writeln!(table, "| {stage} | {} |", cells.join(" | "));
            }
            Some((_, "bytes" | "instructions")) => {}
            _ => _ = writeln!(rest, "| {name} | {} |", short(*value)),
        }
    }
    table + &rest
}

/// Rounds to four significant digits.
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "there are a few digits")]
    let digits = (3 - value.abs().log10().floor() as i32).max(0);
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Formats a value with four significant digits.
pub fn short(value: f64) -> String {
    rounded(value).to_string()
}
