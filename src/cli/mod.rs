//! The command line: what was typed becomes what is meant, in one place, before anything runs.
//!
//! ```text
//!  argv, PODSKEW_* ──clap──▶ arguments (as typed) ──▶ config (checked) ──▶ serve, demo
//! ```
//!
//! Exit codes: 0 after a graceful shutdown, 1 when something failed while it ran, 2 for a command line that makes no
//! sense.

mod arguments;
mod config;
mod logging;
pub(crate) mod terminal;
mod values;

pub use arguments::{Arguments, Command};
pub use config::{Config, DemoOptions, LogConfig, LogFormat};

use crate::{demo, serve};
use anyhow::Context;
use std::process::ExitCode;
use std::time::Duration;

/// Runs what the command line of this process asks for.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match arguments::parse() {
        Ok(Command::Serve(arguments)) => match Config::new(arguments) {
            Ok(config) => in_runtime(config.log, serve::serve(config)),
            Err(error) => return terminal::usage(&error),
        },
        Ok(Command::Demo(arguments)) => match DemoOptions::new(arguments) {
            Ok(options) => in_runtime(options.log, demo::demo(options)),
            Err(error) => return terminal::usage(&error),
        },
        Err(error) => return terminal::usage(&error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => terminal::failure(&error),
    }
}

fn in_runtime(log: LogConfig, command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    logging::start(log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(command);
    // A rendering that is still under way serves nobody any more.
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}
