//! Shell completion and manual pages.
//!
//! The script that a shell loads calls podskew for every line: `PODSKEW_COMPLETE=bash podskew -- podskew audit -n `.

use super::program_name::Invocation;
use super::shell::Shell;
use crate::terminal::output;
use clap::builder::StyledStr;
use clap_complete::engine;
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

/// Environment variable with which a script asks for completions; its value is the shell.
const COMPLETE: &str = "PODSKEW_COMPLETE";

const SHELLS: Shells<'static> = Shells(&[&Bash, &Fish, &Zsh]);

/// Returns the completion script for a shell.
pub(super) fn completions(invocation: Invocation, shell: Shell) -> Vec<u8> {
    let name = if invocation == Invocation::Plugin { "kubectl-podskew" } else { "podskew" };
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    // Infallible: writing to a vector.
    let _: io::Result<()> = shell.write_registration(COMPLETE, name, name, &asked_as(name), &mut script);
    if shell.name() == "zsh" {
        // zsh runs a file of fpath at the first completion, and expects it to answer that completion.
        let function = name.replace('-', "_");
        let first = format!("[ \"$funcstack[1]\" != _{name} ] || _clap_dynamic_completer_{function} \"$@\"\n");
        script.extend_from_slice(first.as_bytes());
    }
    script
}

/// The program that the script calls: `name`, or the path of this process if it was called by path.
fn asked_as(name: &str) -> String {
    let typed = std::env::args_os().next().map(std::path::PathBuf::from).filter(|typed| typed.components().count() > 1);
    let absolute = typed.and_then(|typed| std::path::absolute(typed).ok());
    absolute.map_or_else(|| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Answers a shell or kubectl that asks for completions; `None` if none does.
pub(super) fn complete(invocation: Invocation) -> Option<anyhow::Result<ExitCode>> {
    let words = std::env::args_os().skip(1);
    let answer = if invocation == Invocation::Completer {
        for_kubectl(words.collect()).into_bytes()
    } else {
        let shell = std::env::var(COMPLETE).ok().filter(|shell| !shell.is_empty())?;
        let line: Vec<OsString> = words.skip_while(|word| word != "--").skip(1).collect();
        let mut answer = Vec::new();
        if let Some(shell) = SHELLS.completer(&shell).filter(|_| !line.is_empty()) {
            let folder = std::env::current_dir().ok();
            // Without candidates the shell offers nothing.
            let _: io::Result<()> =
                shell.write_complete(&mut invocation.command(), line, folder.as_deref(), &mut answer);
        }
        answer
    };
    Some(output::print_bytes(&answer).map(|()| ExitCode::SUCCESS))
}

/// Answers kubectl's `kubectl_complete-podskew`: one candidate for the last word per line, and cobra's directive: no
/// space after it (2) and no file names (4).
fn for_kubectl(words: Vec<OsString>) -> String {
    let mut line = vec![OsString::from("kubectl-podskew")];
    line.extend(words);
    if line.len() == 1 {
        line.push(OsString::new());
    }
    let last = line.len() - 1;
    let folder = std::env::current_dir().ok();
    let found =
        engine::complete(&mut Invocation::Completer.command(), line, last, folder.as_deref()).unwrap_or_default();
    let mut text = String::new();
    let mut goes_on = false;
    for candidate in &found {
        let value = candidate.get_value().to_string_lossy();
        goes_on |= value.ends_with(['/', '=']);
        let about = candidate.get_help().map(StyledStr::to_string).unwrap_or_default();
        // Infallible: writing to a string.
        let _ = writeln!(text, "{value}\t{}", about.lines().next().unwrap_or_default());
    }
    text + if goes_on { ":6\n" } else { ":4\n" }
}

/// Returns the man(1) page of a command, or of podskew.
pub(super) fn manual(invocation: Invocation, name: Option<&str>) -> Result<Vec<u8>, String> {
    let mut whole = invocation.command().disable_help_flag(true).bin_name("podskew");
    whole.build();
    let command = match name {
        None => whole,
        Some(name) => {
            let found = whole.get_subcommands().find(|command| command.get_name() == name).cloned();
            let names: Vec<_> = whole.get_subcommands().map(clap::Command::get_name).collect();
            found
                .ok_or_else(|| format!("there is no command '{name}'; the commands are {}", names.join(", ")))?
                .display_name(format!("podskew-{name}"))
        }
    };
    let mut page = Vec::new();
    // Infallible: writing to a vector.
    let _: io::Result<()> = clap_mangen::Man::new(command).render(&mut page);
    Ok(page)
}
