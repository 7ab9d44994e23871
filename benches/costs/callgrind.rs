//! Counts instructions with valgrind's callgrind, under which this program runs itself.
//!
//! Requests that valgrind recognizes in the instructions (`valgrind.h`) mark the code to count, instead of function names.
//! So the measured build is the one that ships, stripped and inlined.
#![allow(unsafe_code, reason = "a request to valgrind is a sequence of instructions without effect elsewhere")]

use super::Outcome;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `('C' << 24) + ('T' << 16)`, where the requests of `callgrind.h` begin.
const CALLGRIND: usize = 0x4354_0000;
const ZERO_STATS: usize = CALLGRIND + 1;
const DUMP_STATS_AT: usize = CALLGRIND + 3;
const START_INSTRUMENTATION: usize = CALLGRIND + 4;
const STOP_INSTRUMENTATION: usize = CALLGRIND + 5;

/// Whether instructions can be counted here; on other platforms they would differ from the baseline's.
pub const SUPPORTED: bool = cfg!(all(target_arch = "x86_64", target_os = "linux"));

/// Starts or stops counting, which is about fifty times slower.
pub fn watch(on: bool) {
    request(if on { START_INSTRUMENTATION } else { STOP_INSTRUMENTATION }, 0);
}

/// Counts the instructions of `work` under a name, including threads that it starts and joins. A request applies only to
/// its own thread, so everything is counted, and earlier counts are discarded.
pub fn count<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let name = CString::new(name).unwrap_or_default();
    request(ZERO_STATS, 0);
    let result = work();
    request(DUMP_STATS_AT, name.as_ptr() as usize);
    result
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn request(request: usize, argument: usize) {
    let arguments: [usize; 6] = [request, argument, 0, 0, 0, 0];
    // SAFETY: outside valgrind these rotations add up to 128 bits of a 64-bit register, and change nothing.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(), inout("rdx") 0_usize => _, out("rdi") _,
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn request(_: usize, _: usize) {}

/// This program under callgrind.
pub struct Run {
    valgrind: Child,
    output: PathBuf,
}

/// Runs this program with `argument` under callgrind.
pub fn begin(argument: &str, folder: &Path) -> Outcome<Run> {
    let output = folder.join("callgrind.out");
    let valgrind = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--instr-atstart=no", "--combine-dumps=yes"])
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(std::env::current_exe()?)
        .arg(argument)
        // By default jemalloc returns free pages after a while, which depends on the clock.
        .env("_RJEM_MALLOC_CONF", "narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1")
        .stdout(Stdio::piped())
        .spawn();
    let missing = |error| format!("cannot run valgrind, which counts instructions ({error}): apt-get install valgrind");
    Ok(Run { valgrind: valgrind.map_err(missing)?, output })
}

impl Run {
    /// Returns its output, and the instructions by name.
    pub fn end(self) -> Outcome<(String, BTreeMap<String, u64>)> {
        let ended = self.valgrind.wait_with_output()?;
        if !ended.status.success() {
            return Err(format!("valgrind: {}", ended.status).into());
        }
        Ok((String::from_utf8(ended.stdout)?, sums(&std::fs::read_to_string(self.output)?)?))
    }
}

/// Sums the parts of each name: a part begins with its trigger, and ends with its total.
fn sums(output: &str) -> Outcome<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    let mut name = None;
    for line in output.lines() {
        if let Some(trigger) = line.strip_prefix("desc: Trigger: ") {
            name = trigger.strip_prefix("Client Request: ");
        } else if let (Some(total), Some(name)) = (line.strip_prefix("totals: "), name) {
            *sums.entry(name.to_owned()).or_default() += total.trim().parse::<u64>()?;
        }
    }
    if sums.is_empty() {
        return Err("callgrind counted nothing: does its output differ from that of valgrind 3.19?".into());
    }
    Ok(sums)
}
