//! podskew's cost in figures that are the same on every machine: allocations, bytes and instructions.
//!
//! `make costs` compares them with `benches/baseline.json`, and fails if one grew by more than a tenth or exceeds its
//! limit. `make baseline` writes the baseline. `benches/scale` measures times, which never fail a check.
//!
//! Instructions depend on the compiler, and slightly on the processor's features (`zlib-rs`, `crc32fast` and `memchr`
//! detect them). The baseline is for `x86_64` with AVX2, and names its compiler.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it measures")]
#![allow(clippy::cast_possible_wrap, reason = "nothing here is as large as half of all numbers")]

mod allocator;
mod baseline;
mod callgrind;
mod cluster;
mod figures;
mod meter;
mod podskew;
mod scenarios;

use std::process::ExitCode;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// The argument with which this program runs itself under callgrind.
const COUNTED: &str = "counted";

fn main() -> Outcome<ExitCode> {
    if std::env::args().any(|argument| argument == COUNTED) {
        let mut meter = meter::Meter::default();
        scenarios::stages(&mut meter)?;
        print!("{meter}");
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let (counted, memory) = if callgrind::SUPPORTED {
        // Both at the same time: no times are measured.
        let run = callgrind::begin(COUNTED, folder.path())?;
        let memory = scenarios::memory()?;
        let (printed, instructions) = run.end()?;
        (meter::Meter::read(&printed, &instructions)?, memory)
    } else {
        eprintln!("costs: instructions are counted on x86_64 Linux only");
        let mut meter = meter::Meter::default();
        scenarios::stages(&mut meter)?;
        (meter, scenarios::memory()?)
    };
    let figures = figures::all(&counted, memory);
    println!("{}", figures::table(&figures));
    baseline::compare(&figures)
}
