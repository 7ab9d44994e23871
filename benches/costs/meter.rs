//! Cost of each stage: runs, allocations, and instructions under callgrind.

use super::{Outcome, allocator, callgrind};
use std::collections::BTreeMap;
use std::fmt;

/// The sums of one stage.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Number of events, pods or scrapes.
    pub units: u64,
    /// Number of runs; 0 for a plain count.
    pub runs: u64,
    pub allocations: u64,
    pub bytes: u64,
    /// Increase of bytes in use.
    pub kept: i64,
    /// 0 if they were not counted.
    pub instructions: u64,
}

/// Tallies by stage.
#[derive(Default)]
pub struct Meter {
    pub tallies: BTreeMap<String, Tally>,
    /// Maximum bytes in use by all stages together.
    pub peak: i64,
}

impl Meter {
    /// Measures one run of a stage that processes `units` units.
    pub fn run<T>(&mut self, stage: &str, units: u64, work: impl FnOnce() -> T) -> T {
        let (held, live) = (self.kept(), allocator::begin_peak());
        let (result, allocations, bytes, kept) = callgrind::count(stage, || {
            let before = allocator::allocated();
            let result = work();
            let after = allocator::allocated();
            (result, after.0 - before.0, after.1 - before.1, allocator::live() as i64 - live as i64)
        });
        self.peak = self.peak.max(held + allocator::most_since(live));
        let tally = self.tallies.entry(stage.to_owned()).or_default();
        tally.units += units;
        tally.runs += 1;
        tally.allocations += allocations as u64;
        tally.bytes += bytes as u64;
        tally.kept += kept;
        result
    }

    /// Reads the printed meter of another process, with the instructions that were counted from outside.
    pub fn read(printed: &str, instructions: &BTreeMap<String, u64>) -> Outcome<Self> {
        let mut tallies = BTreeMap::new();
        for line in printed.lines() {
            let (stage, numbers) = line.split_once('\t').ok_or("not a tally")?;
            let numbers = numbers.split('\t').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
            let [units, runs, allocations, bytes] = numbers[..] else { return Err("not a tally".into()) };
            let instructions = instructions.get(stage).copied().unwrap_or_default();
            tallies.insert(stage.to_owned(), Tally { units, runs, allocations, bytes, instructions, kept: 0 });
        }
        Ok(Self { tallies, peak: 0 })
    }

    /// Bytes in use by all stages together.
    pub fn kept(&self) -> i64 {
        self.tallies.values().map(|tally| tally.kept).sum()
    }

    /// Adds units to a stage, if they are known only afterwards.
    pub fn add(&mut self, stage: &str, units: u64) {
        self.tallies.entry(stage.to_owned()).or_default().units += units;
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (stage, Tally { units, runs, allocations, bytes, .. }) in &self.tallies {
            writeln!(f, "{stage}\t{units}\t{runs}\t{allocations}\t{bytes}")?;
        }
        Ok(())
    }
}

impl Tally {
    /// Allocations, bytes and instructions per unit.
    pub fn each(&self) -> [f64; 3] {
        let units = self.units.max(1) as f64;
        [self.allocations, self.bytes, self.instructions].map(|sum| sum as f64 / units)
    }
}
