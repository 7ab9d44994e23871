//! Parses this process' arguments and environment, and reports usage errors.

use super::arguments::Command;
use super::program_name::Invocation;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

/// A command line that clap accepted.
pub(super) struct ParsedCommand {
    pub(super) command: Command,
    /// Creates usage errors for it.
    pub(super) usage_error: UsageError,
}

/// Creates errors with the usage of the command that was typed.
pub(super) struct UsageError {
    invocation: Invocation,
    /// The name of the command, if one was typed.
    name: Option<String>,
    /// Options set by environment variables: `--namespace`, `PODSKEW_NAMESPACE`.
    variables: Vec<(String, String)>,
}

/// Parses the arguments and the environment of this process.
///
/// # Errors
///
/// clap rejects them.
pub(super) fn parse(invocation: Invocation) -> Result<ParsedCommand, clap::Error> {
    let command = with_environment(invocation.command());
    let matches = command.clone().try_get_matches().map_err(|error| named_by_variable(invocation, &command, error))?;
    let usage_error = UsageError::new(invocation, &command, &matches);
    Ok(ParsedCommand { command: invocation.read(&matches)?, usage_error })
}

/// Treats empty environment variables as unset: deployment tools set variables without a value to the empty string.
fn with_environment(command: clap::Command) -> clap::Command {
    mut_every_argument(command, &|argument| {
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        let argument = argument.hide_env_values(true);
        if is_empty { argument.env(None::<&str>) } else { argument }
    })
}

fn mut_every_argument(command: clap::Command, change: &impl Fn(Arg) -> Arg) -> clap::Command {
    command.mut_args(change).mut_subcommands(|subcommand| mut_every_argument(subcommand, change))
}

/// Names the environment variable in an error about its value. clap would name the option.
fn named_by_variable(invocation: Invocation, command: &clap::Command, mut error: clap::Error) -> clap::Error {
    let about = |error: &clap::Error| {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            _ => None,
        };
        (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue))
    };
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return error;
    }
    let without_variables = mut_every_argument(invocation.command(), &|argument| argument.env(None::<&str>));
    let typed = without_variables.try_get_matches().err();
    if typed.is_some_and(|typed| about(&typed) == about(&error)) {
        return error;
    }
    let (Some(argument), _) = about(&error) else { return error };
    let long = argument.split(' ').next().unwrap_or_default();
    if let Some(variable) = variable_of(command, long) {
        let name = format!("{variable} (the environment variable of {long})");
        error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    }
    error
}

/// The environment variable of an option of any command.
fn variable_of(command: &clap::Command, long: &str) -> Option<String> {
    let of_this = command.get_arguments().find(|argument| is_long(argument, long)).and_then(Arg::get_env);
    of_this
        .map(|variable| variable.to_string_lossy().into_owned())
        .or_else(|| command.get_subcommands().find_map(|subcommand| variable_of(subcommand, long)))
}

fn is_long(argument: &Arg, long: &str) -> bool {
    argument.get_long() == long.strip_prefix("--")
}

impl UsageError {
    fn new(invocation: Invocation, command: &clap::Command, matches: &ArgMatches) -> Self {
        let (mut command, mut matches, mut name) = (command, matches, None);
        while let Some((typed, below)) = matches.subcommand()
            && let Some(found) = command.find_subcommand(typed)
        {
            (command, matches, name) = (found, below, Some(typed.to_owned()));
        }
        let is_set = |argument: &&Arg| {
            argument.get_env().is_some()
                && matches.value_source(argument.get_id().as_str()) == Some(ValueSource::EnvVariable)
        };
        let names = |argument: &Arg| {
            let (long, variable) = argument.get_long().zip(argument.get_env())?;
            Some((format!("--{long}"), variable.to_string_lossy().into_owned()))
        };
        let variables = command.get_arguments().filter(is_set).filter_map(names).collect();
        Self { invocation, name, variables }
    }

    /// Returns a usage error with this message.
    pub(super) fn error(&self, message: &str) -> clap::Error {
        let words = message.split_inclusive([' ', '\n', ';', ',']).map(|word| {
            let bare = word.trim_end_matches([' ', '\n', ';', ',']);
            let variable = self.variables.iter().find(|(long, _)| long == bare);
            variable.map_or_else(|| word.to_owned(), |(_, variable)| word.replace(bare, variable))
        });
        let message: String = words.collect();
        let mut command = self.invocation.command();
        command.build();
        match &self.name {
            Some(name) => match command.find_subcommand_mut(name) {
                Some(typed) => typed.error(ErrorKind::ValueValidation, message),
                None => command.error(ErrorKind::ValueValidation, message),
            },
            None => command.error(ErrorKind::ValueValidation, message),
        }
    }
}
