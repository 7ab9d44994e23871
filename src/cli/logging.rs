//! The log, on stderr. Logging never waits for its reader.

use crate::commands::options::{LogConfig, LogFormat};
use crate::stderr::{self, Stderr};
use anyhow::Context;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends all log output to stderr from now on.
pub(super) fn start(config: LogConfig) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Stderr).with_ansi(is_coloured());
    let layer = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter(config.level)))
        .try_init()
        .context("cannot start the log")
}

/// Installs a panic hook that logs the location, and lets the process end even if nobody reads stderr. The standard
/// library's hook would block on a full pipe.
pub(super) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let mut text = format!("thread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            let _ = writeln!(text, "{backtrace}");
        }
        // Infallible: [`Stderr`] only appends to a queue.
        let _ = Stderr.write_all(text.as_bytes());
        stderr::flush();
    }));
}

/// <https://no-color.org>: set to any non-empty value.
fn is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Silences kube's crates at every level. `kube_client` logs the whole body of a list that it cannot decode, at WARN,
/// and such a body holds the environment of every pod. At ERROR it logs each failed attempt without the cause. podskew
/// logs these events itself, once and without bodies. The crates below them log little about podskew.
fn filter(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("podskew", level)
        .with_target("kube", LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use super::filter;
    use tracing::Level;
    use tracing::level_filters::LevelFilter;

    #[test]
    fn no_level_lets_a_body_into_the_log() {
        let everything = filter(LevelFilter::TRACE);
        assert!(everything.would_enable("podskew::watch", &Level::TRACE));
        for target in ["kube", "kube_client", "kube_client::client", "kube_runtime::watcher", "kube_core"] {
            assert!(!everything.would_enable(target, &Level::ERROR), "{target}");
        }
        assert!(!everything.would_enable("hyper::proto", &Level::INFO));
    }

    #[test]
    fn the_level_is_podskews_own() {
        let errors = filter(LevelFilter::ERROR);
        assert!(!errors.would_enable("podskew", &Level::WARN));
        assert!(!errors.would_enable("hyper", &Level::WARN));
        assert!(filter(LevelFilter::INFO).would_enable("podskew", &Level::INFO));
    }
}
