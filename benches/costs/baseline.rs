//! Comparison with the baseline.

use super::Outcome;
use super::figures::{Figures, LIMITS, rounded, short};
use serde_json::{Value, json};
use std::process::{Command, ExitCode};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.json");

/// Maximum ratio to the baseline.
const MAX_RATIO: f64 = 1.1;

/// Allowed increase of a cost near zero: a tenth of an allocation.
const TOLERANCE: f64 = 0.1;

/// Prints changed figures; fails if one is worse. Writes the baseline if `UPDATE_COSTS=1`.
pub fn compare(figures: &Figures) -> Outcome<ExitCode> {
    let compiler = compiler()?;
    let mut worse = over_limits(figures);
    if std::env::var_os("UPDATE_COSTS").is_some_and(|value| value == "1") {
        let figures: Figures = figures.iter().map(|(name, value)| (name.clone(), rounded(*value))).collect();
        let baseline = json!({"compiler": compiler, "figures": figures});
        std::fs::write(PATH, serde_json::to_string_pretty(&baseline)? + "\n")?;
        println!("wrote {PATH}");
    } else {
        let baseline: Value = serde_json::from_str(&std::fs::read_to_string(PATH)?)?;
        if baseline["compiler"] != compiler.as_str() {
            println!("The baseline is from {}, this is {compiler}: instructions may differ.", baseline["compiler"]);
        }
        let mut better = Vec::new();
        for (name, now) in figures {
            let Some(before) = baseline["figures"][name].as_f64() else {
                worse.push(format!("{name}: not in the baseline, now {}", short(*now)));
                continue;
            };
            let line =
                || format!("{name}: {} → {} ({:+.1} %)", short(before), short(*now), (now / before - 1.0) * 100.0);
            if *now > before * MAX_RATIO + TOLERANCE {
                worse.push(line());
            } else if *now * MAX_RATIO + TOLERANCE < before {
                better.push(line());
            }
        }
        if !better.is_empty() {
            println!("Better by more than a tenth; update with `make baseline`:\n  {}", better.join("\n  "));
        }
    }
    if worse.is_empty() {
        println!("costs: {} figures are within the baseline and its limits", figures.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "costs: worse than benches/baseline.json by more than a tenth, or above a fixed limit:\n  {}",
        worse.join("\n  ")
    );
    eprintln!("Find out why. If it is justified: `make baseline`, and give the reason in the commit.");
    Ok(ExitCode::FAILURE)
}

fn over_limits(figures: &Figures) -> Vec<String> {
    let over = LIMITS.iter().filter_map(|(name, most, why)| {
        let now = figures.get(*name)?;
        (now > most).then(|| format!("{name}: {}, above the limit {most} ({why})", short(*now)))
    });
    over.collect()
}

fn compiler() -> Outcome<String> {
    let version =
        Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&version.stdout).trim().to_owned())
}
