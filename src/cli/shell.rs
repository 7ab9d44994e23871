//! What podskew tells shells and manuals about itself.

use super::arguments::{Called, Shell};
use clap::error::ErrorKind;
use clap_complete::generate;
use std::fmt::Write as _;
use std::io;

/// The script that completes podskew's arguments in a shell.
pub(super) fn completions(called: Called, shell: Shell) -> Vec<u8> {
    let name = if called == Called::Plugin { "kubectl-podskew" } else { "podskew" };
    // A script speaks of one program, whose name is one word.
    let mut command = called.command().bin_name(name);
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(clap_complete::Shell::Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(clap_complete::Shell::Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(clap_complete::Shell::Fish, &mut command, name, &mut script),
    }
    script
}

/// The page of a command for man(1), or podskew's own.
pub(super) fn manual(called: Called, name: Option<&str>) -> Result<Vec<u8>, clap::Error> {
    let mut whole = called.command().disable_help_flag(true).bin_name("podskew");
    whole.build();
    let command = match name {
        None => whole,
        Some(name) => {
            let found = whole.get_subcommands().find(|command| command.get_name() == name).cloned();
            let names: Vec<_> = whole.get_subcommands().map(clap::Command::get_name).collect();
            let refused = || format!("there is no command '{name}'; the commands are {}", names.join(", "));
            found
                .ok_or_else(|| called.command().error(ErrorKind::InvalidValue, refused()))?
                .display_name(format!("podskew-{name}"))
        }
    };
    let mut page = Vec::new();
    // A vector takes everything.
    let _: io::Result<()> = clap_mangen::Man::new(command).render(&mut page);
    Ok(page)
}

/// What kubectl asks `kubectl_complete-podskew`: what the last of these words may become. A line for each, and how to go on:
/// by the names of files, or not (cobra's directives 0 and 4).
pub(super) fn complete(words: &[String]) -> String {
    const FILES: &str = ":0\n";
    const NO_FILES: &str = ":4\n";
    let mut command = Called::Completer.command();
    command.build();
    let (typed, before) = words.split_last().map_or(("", words), |(typed, before)| (typed.as_str(), before));
    let mut current = &command;
    for word in before {
        current = current.find_subcommand(word).unwrap_or(current);
    }
    let mut text = String::new();
    let mut offer = |word: &str, about: Option<String>| {
        if word.starts_with(typed) {
            // A string takes everything.
            let _ = writeln!(text, "{word}\t{}", about.unwrap_or_default());
        }
    };
    let is_option = |argument: &&clap::Arg| {
        let names = |name: &&String| {
            argument.get_long().is_some_and(|long| **name == format!("--{long}"))
                || argument.get_short().is_some_and(|short| **name == format!("-{short}"))
        };
        argument.get_action().takes_values() && before.last().as_ref().is_some_and(names)
    };
    let positional = || current.get_positionals().filter(|_| !typed.starts_with('-'));
    if let Some(argument) = current.get_arguments().find(is_option).or_else(|| positional().next()) {
        for value in argument.get_possible_values() {
            offer(value.get_name(), value.get_help().map(ToString::to_string));
        }
        let named_file = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "FILE"));
        return text + if named_file { FILES } else { NO_FILES };
    }
    if typed.starts_with('-') {
        for argument in current.get_arguments() {
            if let Some(long) = argument.get_long() {
                offer(&format!("--{long}"), argument.get_help().map(ToString::to_string));
            }
        }
    } else {
        for command in current.get_subcommands() {
            offer(command.get_name(), command.get_about().map(ToString::to_string));
        }
    }
    text + NO_FILES
}
