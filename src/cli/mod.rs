//! The command line: what was typed becomes what is meant, in one place, before anything runs.
//!
//! ```text
//!  argv, PODSKEW_* ──clap──▶ arguments (as typed) ──▶ options (checked) ──▶ commands: serve, audit, explain, …
//! ```
//!
//! Exit codes: 0 after a graceful shutdown, 1 when something failed while it ran, 2 for a command line, a kubeconfig,
//! credentials or a web configuration that make no sense. A command that looks once and says what it saw has codes of its own for that, and 2 wherever it could not look.

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

/// Runs what the command line of this process asks for.
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

/// Runs a command to its end; an error says why its arguments make no sense.
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

/// The exit code of what failed while it ran.
const FAILED: u8 = 1;

/// The exit code of everything that nothing but another configuration mends.
const MISCONFIGURED: u8 = 2;

/// The exit code of a command that looks, where it could not.
const COULD_NOT_LOOK: u8 = 2;

/// Runs a command, and says which exit code follows from its end: the command's own, or `failed`.
fn in_runtime(log: LogConfig, failed: u8, command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let run = || {
        logging::start(log)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
        let outcome = runtime.block_on(command);
        // A rendering that is still under way serves nobody any more.
        runtime.shutdown_timeout(Duration::ZERO);
        outcome
    };
    ended(run(), failed)
}

/// The exit code of a command that has ended: its own, or `failed` after the error was printed.
fn ended(outcome: anyhow::Result<ExitCode>, failed: u8) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        output::failure(&error);
        let is_misconfigured = error.is::<watch::Misconfigured>()
            || error.is::<access::ConfigError>()
            || error.is::<registry::UnusableFile>();
        ExitCode::from(if is_misconfigured { MISCONFIGURED } else { failed })
    })
}
