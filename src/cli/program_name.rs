//! The name under which podskew was called: its own, or one for kubectl.

use super::arguments::{Arguments, Command, VERSION};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsStr;
use std::path::Path;

/// The name under which this process was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Invocation {
    /// `podskew`.
    Podskew,
    /// `kubectl-podskew`, which kubectl runs for `kubectl podskew`.
    Plugin,
    /// `kubectl_complete-podskew`, which kubectl runs to complete the plugin's command line.
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
    /// The command. A plugin does not start an exporter by default; `kubectl podskew serve` does.
    #[command(subcommand)]
    command: Command,
}

impl Invocation {
    /// From the first argument of this process.
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

    /// The command to type for this name.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Podskew => "podskew",
            Self::Plugin | Self::Completer => "kubectl podskew",
        }
    }

    /// The clap command for this name.
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

    /// The command that was typed.
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
