//! Tests that need another program than Rust: Prometheus, Helm, kubectl, a registry, shells, a browser.
//!
//! Which programs are installed is known only at run time, so these tests run without libtest: a test whose program is
//! missing is ignored, with a reason, and all reasons are listed at the end. The variable `EXTERNAL_TESTS` sets how strict
//! that is:
//!
//! | value | what runs | a missing program |
//! |---|---|---|
//! | none | all tests but the engines | is reported |
//! | `hermetic` | tests that need no program (`make check`) | does not matter |
//! | `required` | all tests but the engines (`make test`) | is a failure |
//! | `engines` | the engines (`make engines`) | is a failure |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::assigning_clones,
    clippy::doc_markdown,
    clippy::wildcard_imports,
    missing_docs,
    reason = "tests"
)]

#[path = "../common/mod.rs"]
mod common;

mod needs;

mod access;
mod admission;
mod alerting;
mod alerts;
mod analysis;
mod audit_formats;
mod browser;
mod chart;
mod ci_doc;
mod commands;
mod dashboards;
mod demo;
mod dora;
mod engines;
mod engines_registries;
mod image;
mod install;
mod openapi;
mod packaging;
mod programs;
mod prometheus;
mod promql;
mod protobuf_oracle;
mod proxies;
mod readers;
mod registry_real;
mod release;
mod remedies;
mod revision;
mod rules;
mod scrapes;
mod scraping;
mod secured;
mod shell;
mod simulator_protobuf;
mod terminal;

use libtest_mimic::{Arguments, Completion, Trial};
use needs::{LeftOut, Mode};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let mode = match Mode::from_environment() {
        Ok(mode) => mode,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let left_out = Arc::new(LeftOut::default());
    let all = [
        access::tests(),
        admission::tests(),
        alerting::tests(),
        alerts::tests(),
        analysis::tests(),
        audit_formats::tests(),
        browser::tests(),
        ci_doc::tests(),
        commands::tests(),
        dashboards::tests(),
        demo::tests(),
        dora::tests(),
        engines::tests(),
        engines_registries::tests(),
        image::tests(),
        install::tests(),
        openapi::tests(),
        packaging::tests(),
        prometheus::tests(),
        protobuf_oracle::tests(),
        proxies::tests(),
        readers::tests(),
        registry_real::tests(),
        release::tests(),
        remedies::tests(),
        revision::tests(),
        scrapes::tests(),
        shell::tests(),
        simulator_protobuf::tests(),
        terminal::tests(),
    ];
    let tests = all.into_iter().flatten().filter(|test| mode != Mode::Engines || test.needs_an_engine());
    let trials = tests.map(|test| {
        let left_out = Arc::clone(&left_out);
        Trial::ignorable_test(test.name(), move || {
            if let Some(reason) = left_out.reason(&test, mode) {
                return Ok(Completion::ignored_with(reason));
            }
            (test.run)();
            Ok(Completion::Completed)
        })
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    let complete = left_out.report(mode);
    if complete || conclusion.has_failed() { conclusion.exit_code() } else { ExitCode::FAILURE }
}
