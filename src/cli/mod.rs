//! The command line: parses and checks all arguments in one place, before anything runs.
//!
//! ```text
//!  argv, PODSKEW_* ──clap──▶ arguments (as typed) ──▶ options (checked) ──▶ commands: serve, audit, explain, …
//! ```
//!
//! Exit codes: 0 after a graceful shutdown, 1 for a failure at run time, 2 for an unusable command line, kubeconfig,
//! web configuration or credentials. Commands that take a snapshot have exit codes of their own for their results, and
//! 2 if they could not take it.

mod arguments;
mod complete;
mod examples;
mod logging;
mod parsed;
mod program_name;
mod shell;

pub use arguments::{Arguments, Command, ManArguments};
pub use shell::{CompletionsArguments, Shell};

use crate::commands::audit::{self, AuditOptions};
#[cfg(feature = "demo")]
use crate::commands::demo::{self, DemoOptions};
use crate::commands::diff::{self, DiffOptions};
use crate::commands::explain::{self, ExplainOptions};
use crate::commands::options::LogConfig;
use crate::commands::serve::{self, Config};
use crate::terminal::output;
use crate::{access, registry, stderr, watch};
use anyhow::Context;
use parsed::ParsedCommand;
use program_name::Invocation;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the command of this process' command line.
#[must_use]
pub fn run() -> ExitCode {
    logging::report_panics();
    let code = run_command(Invocation::now());
    stderr::flush();
    code
}

fn run_command(invocation: Invocation) -> ExitCode {
    if let Some(completed) = complete::complete(invocation) {
        return ended(completed, COULD_NOT_LOOK);
    }
    let done = parsed::parse(invocation).and_then(|ParsedCommand { command, usage_error }| {
        execute(invocation, command).map_err(|message| usage_error.error(&message))
    });
    done.unwrap_or_else(|error| ended(output::usage(&error), COULD_NOT_LOOK))
}

/// Runs a command to its end.
///
/// # Errors
///
/// The arguments contradict each other.
fn execute(invocation: Invocation, command: Command) -> Result<ExitCode, String> {
    let printed = |bytes: &[u8]| ended(output::print_bytes(bytes).map(|()| ExitCode::SUCCESS), COULD_NOT_LOOK);
    Ok(match command {
        Command::Serve(arguments) => {
            let config = Config::new(arguments)?;
            in_runtime(config.log, FAILED, async { serve::serve(config).await.map(|()| ExitCode::SUCCESS) })
        }
        Command::Audit(arguments) => {
            let options = AuditOptions::new(arguments)?;
            in_runtime(options.log, COULD_NOT_LOOK, audit::command(options))
        }
        Command::Explain(arguments) => {
            let options = ExplainOptions::new(arguments, invocation.program())?;
            in_runtime(options.log, COULD_NOT_LOOK, explain::explain(options))
        }
        Command::Diff(arguments) => {
            let options = DiffOptions::new(arguments, invocation.program())?;
            in_runtime(options.log, COULD_NOT_LOOK, diff::diff(options))
        }
        Command::Completions(arguments) => printed(&complete::completions(invocation, arguments.shell)),
        Command::Man(arguments) => printed(&complete::manual(invocation, arguments.command.as_deref())?),
        Command::Version => printed(invocation.command().render_version().as_bytes()),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => {
            let options = DemoOptions::new(arguments)?;
            in_runtime(options.log, FAILED, async { demo::demo(options).await.map(|()| ExitCode::SUCCESS) })
        }
    })
}

/// Exit code of a failure at run time.
const FAILED: u8 = 1;

/// Exit code of an unusable configuration.
const MISCONFIGURED: u8 = 2;

/// Exit code of a command that could not take its snapshot.
const COULD_NOT_LOOK: u8 = 2;

/// Runs a command and returns its exit code, or `failed` after an error.
fn in_runtime(log: LogConfig, failed: u8, command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let run = || {
        logging::start(log)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
        let outcome = runtime.block_on(command);
        // Abandons a rendering in progress, because nothing will read it.
        runtime.shutdown_timeout(Duration::ZERO);
        outcome
    };
    ended(run(), failed)
}

/// The exit code of a command that ended: its own, or `failed` after printing the error.
fn ended(outcome: anyhow::Result<ExitCode>, failed: u8) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        output::failure(&error);
        let is_misconfigured = error.is::<watch::Misconfigured>()
            || error.is::<access::ConfigError>()
            || error.is::<registry::UnusableFile>();
        ExitCode::from(if is_misconfigured { MISCONFIGURED } else { failed })
    })
}
