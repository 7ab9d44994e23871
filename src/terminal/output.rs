//! Prints to stdout and stderr, for everything that is not the log.

use crate::stderr::{self, Stderr};
use crate::terminal::humanize::visible;
use anyhow::Context as _;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

/// Prints help to stdout, or a usage error to stderr, and returns the exit code for it.
pub(crate) fn usage(error: &clap::Error) -> anyhow::Result<ExitCode> {
    if error.use_stderr() {
        // A failure of stderr cannot be reported anywhere else.
        let _ = error.print();
    } else {
        let text = error.render();
        print(&if takes_colours() { text.ansi().to_string() } else { text.to_string() })?;
    }
    Ok(u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Prints a command's output to stdout. A closed pipe is not an error: its reader needs no more output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// Prints bytes, which need not be text, as [`print`] does.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    page(|out| out.write_all(bytes))
}

/// Prints output that is written in pieces, as [`print`] does.
pub(crate) fn page(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    // stdout and stderr may be the same terminal.
    stderr::flush();
    // `Stdout` buffers the last line itself and reports its write error only in `flush`.
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the output; is the disk full?"),
    }
}

/// Prints the progress of a command to stderr, because it is not the command's output.
pub(crate) fn progress(text: &str) {
    write_to_stderr(text);
}

/// Number of columns of stdout; `None` where lines may have any length. `COLUMNS` sets it if stdout is not a terminal.
pub(crate) fn width() -> Option<usize> {
    let said = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
    columns_of(io::stdout()).or_else(said)
}

/// Number of columns of stderr; `None` unless it is a terminal on which a line can be overwritten.
pub(crate) fn progress_width() -> Option<usize> {
    columns_of(io::stderr()).filter(|_| !is_dumb())
}

fn columns_of(stream: impl AsFd) -> Option<usize> {
    terminal_size::terminal_size_of(stream).map(|(terminal_size::Width(columns), _)| usize::from(columns))
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// Whether to print colours: on a terminal, unless `NO_COLOR` is set.
pub(crate) fn takes_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && !is_dumb() && std::io::stdout().is_terminal()
}

/// Prints a problem of the output that was asked for.
pub(crate) fn print_error(message: &str) {
    write_to_stderr(&format!("error: {message}\n"));
}

/// Prints an error: each cause on a line of its own, with the remedy that the error brings.
pub(crate) fn failure(error: &anyhow::Error) {
    // Names from a file may hold anything.
    write_to_stderr(&chain(error).chars().map(visible).collect::<String>());
}

/// Appends to the queue of stderr: the text keeps its order with log lines, and nothing waits.
fn write_to_stderr(text: &str) {
    // Infallible: [`Stderr`] only appends to a queue.
    let _ = Stderr.write_all(text.as_bytes());
}

fn chain(error: &anyhow::Error) -> String {
    let mut shown = error.to_string();
    let mut text = format!("error: {shown}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some crates repeat the causes of an error in its own message.
        if !shown.contains(&cause) {
            text.push_str("  caused by: ");
            text.push_str(&cause.replace('\n', "\n  "));
            text.push('\n');
            shown = cause;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_cause_has_its_line() {
        let error = anyhow::anyhow!("connection refused").context("cannot reach the API server; is it up?");
        assert_eq!(
            super::chain(&error),
            "error: cannot reach the API server; is it up?\n  caused by: connection refused\n"
        );
        let error = anyhow::anyhow!("no such file").context("cannot load it: no such file").context("cannot start");
        assert_eq!(super::chain(&error), "error: cannot start\n  caused by: cannot load it: no such file\n");
    }
}
