//! The `podskew` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    podskew::cli::run()
}
