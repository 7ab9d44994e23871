//! A process, measured from outside: memory and CPU time.

use crate::Outcome;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Ticks in `/proc/PID/stat`: 100 per second on every Linux.
const TICKS_A_SECOND: f64 = 100.0;
/// Memory is settled if two reads differ by less than this.
const STILL_MIB: f64 = 0.5;

/// A child process that ends with its handle.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.spawn().map(Self).map_err(|error| format!("cannot start {program}: {error}").into())
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Its resident memory, in MiB.
    pub(crate) fn resident_mib(&self) -> Outcome<f64> {
        self.memory("VmRSS:")
    }

    /// Peak memory since its start or [`Process::forget_peak`], in MiB.
    pub(crate) fn peak_mib(&self) -> Outcome<f64> {
        self.memory("VmHWM:")
    }

    /// Starts a new peak.
    pub(crate) fn forget_peak(&self) -> Outcome<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5")?)
    }

    /// Waits until its memory has settled for some seconds, so that freed pages are returned.
    pub(crate) fn settled_mib(&self) -> Outcome<f64> {
        let begun = Instant::now();
        let (mut last, mut since) = (self.resident_mib()?, Instant::now());
        while since.elapsed() < Duration::from_secs(4) && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(250));
            let now = self.resident_mib()?;
            if (now - last).abs() > STILL_MIB {
                (last, since) = (now, Instant::now());
            }
        }
        self.resident_mib()
    }

    /// CPU seconds of all threads so far.
    pub(crate) fn cpu_seconds(&self) -> Outcome<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The name in parentheses may contain spaces; utime and stime are the 12th and 13th field after it.
        let fields = stat.rsplit_once(')').ok_or("no name in stat")?.1;
        let ticks = |index| -> Outcome<f64> { Ok(fields.split_whitespace().nth(index).ok_or("too few")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) / TICKS_A_SECOND)
    }

    /// Number of context switches, voluntary and involuntary, of its current threads.
    pub(crate) fn context_switches(&self) -> Outcome<f64> {
        let mut switches = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            // A thread may end between the two reads.
            let Ok(status) = std::fs::read_to_string(thread?.path().join("status")) else { continue };
            let counted = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            switches += counted.filter_map(|(_, count)| count.trim().parse::<f64>().ok()).sum::<f64>();
        }
        Ok(switches)
    }

    fn memory(&self, field: &str) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
        let kibibytes: f64 = line.split_whitespace().nth(1).ok_or("no value")?.parse()?;
        Ok(kibibytes / 1024.0)
    }
}
