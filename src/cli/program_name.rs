//! By which name podskew was called: its own, or one that kubectl knows.

use super::arguments::{Arguments, Command, VERSION};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsStr;
use std::path::Path;

/// As whom podskew answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Invocation {
    /// As itself.
    Podskew,
    /// As `kubectl podskew`: kubectl runs `kubectl-podskew` for it.
    Plugin,
    /// To complete the command line of the plugin: kubectl runs `kubectl_complete-podskew` for that.
    Completer,
}

/// Tells whether all replicas of a Kubernetes workload run the same thing.
#[derive(Parser, Debug)]
#[command(
    name = "podskew",
    bin_name = "kubectl podskew",
    version = VERSION,
    propagate_version = true,
    next_line_help = true,
    max_term_width = 120,
    arg_required_else_help = true
)]
pub(super) struct PluginArguments {
    /// What to do. The exporter does not start by surprise: kubectl podskew serve.
    #[command(subcommand)]
    command: Command,
}

impl Invocation {
    /// As the first argument of this process has it.
    pub(super) fn now() -> Self {
        std::env::args_os().next().map_or(Self::Podskew, |name| Self::by(&name))
    }

    fn by(name: &OsStr) -> Self {
        match Path::new(name).file_stem().and_then(OsStr::to_str) {
            Some("kubectl-podskew") => Self::Plugin,
            Some("kubectl_complete-podskew") => Self::Completer,
            _ => Self::Podskew,
        }
    }

    /// What to type to be answered so.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Podskew => "podskew",
            Self::Plugin | Self::Completer => "kubectl podskew",
        }
    }

    /// What can be typed.
    pub(super) fn command(self) -> clap::Command {
        match self {
            Self::Podskew => Arguments::command(),
            Self::Plugin | Self::Completer => PluginArguments::command()
                .mut_subcommand("serve", |serve| serve.about("Watch a cluster and serve its metrics"))
                .mut_subcommands(|command| match command.get_after_help().map(ToString::to_string) {
                    Some(text) => command.after_help(text.replace("\n  podskew ", "\n  kubectl podskew ")),
                    None => command,
                }),
        }
    }

    /// What was typed.
    pub(super) fn read(self, matches: &clap::ArgMatches) -> Result<Command, clap::Error> {
        match self {
            Self::Podskew => {
                let arguments = Arguments::from_arg_matches(matches)?;
                Ok(arguments.command.unwrap_or(Command::Serve(arguments.serve)))
            }
            Self::Plugin | Self::Completer => Ok(PluginArguments::from_arg_matches(matches)?.command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Invocation;
    use std::ffi::OsStr;

    #[test]
    fn the_name_decides_and_not_the_folder() {
        for (name, invocation) in [
            ("podskew", Invocation::Podskew),
            ("/usr/local/bin/kubectl-podskew", Invocation::Plugin),
            ("kubectl-podskew.exe", Invocation::Plugin),
            ("./kubectl_complete-podskew", Invocation::Completer),
            ("/opt/kubectl-podskew/podskew", Invocation::Podskew),
            ("", Invocation::Podskew),
        ] {
            assert_eq!(Invocation::by(OsStr::new(name)), invocation, "{name}");
        }
    }
}
