//! The command line, through the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// Runs podskew with these arguments, without the environment variables that it reads.
fn podskew(arguments: &[&str]) -> Output {
    with_environment(arguments, &[])
}

fn with_environment(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PODSKEW_") || name.starts_with("KUBE") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(variables.iter().copied()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Refused at the start, with all of these words.
#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    refused_with(arguments, &[], words);
}

#[track_caller]
fn refused_with(arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let output = with_environment(arguments, variables);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(message.starts_with("error: "), "{message}");
    for word in words {
        assert!(message.contains(word), "{arguments:?}: {word:?} is missing in: {message}");
    }
    assert_eq!(stdout(&output), "");
}

const SERVE: [(&str, &str); 21] = [
    ("--kubeconfig <FILE>", "PODSKEW_KUBECONFIG"),
    ("--context <NAME>", "PODSKEW_CONTEXT"),
    ("--namespace <NAMESPACE>", "PODSKEW_NAMESPACE"),
    ("--exclude-namespace <NAMESPACE>", "PODSKEW_EXCLUDE_NAMESPACE"),
    ("--ignore-container <CONTAINER>", "PODSKEW_IGNORE_CONTAINER"),
    ("--jobs", "PODSKEW_JOBS"),
    ("--nodes", "PODSKEW_NODES"),
    ("--workload-kind <KIND.GROUP>", "PODSKEW_WORKLOAD_KIND"),
    ("--stalled-after <DURATION>", "PODSKEW_STALLED_AFTER"),
    ("--listen-address <ADDRESS>", "PODSKEW_LISTEN_ADDRESS"),
    ("--pod-label <KEY>", "PODSKEW_POD_LABEL"),
    ("--metric-allowlist <REGEX>", "PODSKEW_METRIC_ALLOWLIST"),
    ("--metric-denylist <REGEX>", "PODSKEW_METRIC_DENYLIST"),
    ("--page <on|off|ADDRESS>", "PODSKEW_PAGE"),
    ("--page-host <NAME>", "PODSKEW_PAGE_HOST"),
    ("--page-messages", "PODSKEW_PAGE_MESSAGES"),
    ("--page-url <URL>", "PODSKEW_PAGE_URL"),
    ("--link <NAME=URL>", "PODSKEW_LINK"),
    ("--log-format <FORMAT>", "PODSKEW_LOG_FORMAT"),
    ("--log-level <LEVEL>", "PODSKEW_LOG_LEVEL"),
    ("--version", ""),
];

#[test]
fn help_names_every_option_with_its_variable() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["-h"]] {
        let output = podskew(arguments);
        assert_eq!(output.status.code(), Some(0));
        // Lines wrap at the width of the terminal.
        let help = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        for (option, variable) in SERVE {
            assert!(help.contains(option), "{option} is missing in {help}");
            assert!(variable.is_empty() || help.contains(&format!("[env: {variable}]")), "{variable}: {help}");
        }
        for default in ["[default: [::]:8080]", "[default: 10m]", "[default: text]", "[default: info]"] {
            assert!(help.contains(default), "{default} is missing in {help}");
        }
    }
    let help = stdout(&podskew(&["--help"]));
    assert!(help.contains("\n  serve") && help.contains("\n  demo"), "{help}");
    let demo = stdout(&podskew(&["demo", "--help"]));
    for option in ["--workloads <N>", "--pods <N>", "--listen-address <ADDRESS>", "--log-level <LEVEL>"] {
        assert!(demo.contains(option), "{option} is missing in {demo}");
    }
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let help = with_environment(&["--help"], &[("PODSKEW_CONTEXT", "the-secret-cluster")]);
    assert!(!stdout(&help).contains("the-secret-cluster"));
}

#[test]
fn the_version_is_the_packages() {
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let head = head.ok().filter(|output| output.status.success()).map(|output| stdout(&output));
    for arguments in [&["--version"][..], &["-V"], &["version"], &["serve", "--version"], &["demo", "--version"]] {
        let output = podskew(arguments);
        let version = stdout(&output);
        let revision = version
            .strip_prefix(&format!("podskew {} (revision ", env!("CARGO_PKG_VERSION")))
            .and_then(|rest| rest.strip_suffix(")\n"));
        let revision = revision.unwrap_or_else(|| panic!("{arguments:?}: {version}"));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        // The revision set by a packager, or that of the checkout, if it is one.
        match (std::env::var("PODSKEW_REVISION"), &head) {
            (Ok(given), _) if !given.is_empty() => assert_eq!(revision, given),
            (_, Some(head)) => assert!(revision.len() >= 7 && head.starts_with(revision), "{revision} {head}"),
            (_, None) => assert_eq!(revision, "unknown"),
        }
    }
}

#[test]
fn help_is_had_in_every_way_and_has_examples() {
    let help = |arguments: &[&str]| {
        let output = podskew(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(help(&["help"]), help(&["--help"]));
    for command in ["serve", "audit", "explain", "diff", "demo", "completions", "man"] {
        let text = help(&["help", command]);
        assert_eq!(text, help(&[command, "--help"]), "{command}");
        assert_eq!(text, help(&[command, "-h"]), "{command}: the same help for each way to request it");
        assert!(text.contains("\nExamples:\n  "), "{text}");
        assert!(text.contains(&format!("Usage: podskew {command}")), "{text}");
    }
    assert!(help(&["--help"]).contains("\nExamples:\n  podskew audit -A"));
    refused(&["help", "wheel"], &["'wheel'"]);
}

/// Each example line in a help is accepted by podskew.
#[test]
fn examples_can_be_typed() {
    let mut examples = 0;
    for command in ["", "serve", "audit", "explain", "diff", "demo", "completions", "man"] {
        let arguments: Vec<&str> = ["help", command].into_iter().filter(|word| !word.is_empty()).collect();
        let text = stdout(&podskew(&arguments));
        let (_, lines) = text.split_once("Examples:\n").unwrap();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let line = line.trim().trim_start_matches("source <(").split("  ").next().unwrap();
            let line = line.split([')', '>', '|']).next().unwrap();
            let mut words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            assert_eq!(words.remove(0), "podskew", "{line}");
            // If the line is right, `--help` exits with success. Errors in it are found before.
            let output = podskew(&[words.as_slice(), &["--surprise"]].concat());
            let error = stderr(&output);
            assert!(error.starts_with("error: unexpected argument '--surprise' found"), "{line}: {error}");
            examples += 1;
        }
    }
    assert!(examples > 15, "{examples}");
}

/// The usage is that of the given command.
#[test]
fn an_error_prints_the_usage_of_its_command() {
    refused(&["audit", "service/a"], &["Usage: podskew audit [OPTIONS] [TYPE/NAME]..."]);
    refused(&["explain", "web"], &["'web' is not TYPE/NAME", "Usage: podskew explain [OPTIONS] <TYPE/NAME>..."]);
    refused(&["diff", "pod/a"], &["Usage: podskew diff [OPTIONS] <TYPE/NAME> [HASH]..."]);
    refused(&["demo", "--workloads", "9", "--pods", "8"], &["Usage: podskew demo [OPTIONS]"]);
    refused(&["serve", "-n", "a", "--exclude-namespace", "a"], &["Usage: podskew serve [OPTIONS]"]);
    refused(&["-n", "a", "--exclude-namespace", "a"], &["Usage: podskew [OPTIONS]\n       podskew <COMMAND>"]);
    refused(&["man", "wheel"], &["the commands are serve,", "Usage: podskew man [COMMAND]"]);
}

/// A full disk, or a reader that is gone.
#[test]
fn unwritable_output_is_an_error_and_a_closed_pipe_is_not() {
    let dump = format!("{}/tests/data/recordings/stuck.dump.json", env!("CARGO_MANIFEST_DIR"));
    for arguments in [
        &["--help"][..],
        &["help", "audit"],
        &["--version"],
        &["version"],
        &["completions", "bash"],
        &["man"],
        &["explain", "-f", &dump, "deploy/api"],
        &["explain", "-f", &dump, "deploy/api", "-o", "json"],
        &["diff", "-f", &dump, "deploy/api"],
        &["diff", "-f", &dump, "deploy/api", "-o", "json"],
        &["audit", "-f", &dump],
    ] {
        let run = |out: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
            command.args(arguments).stdout(out).stderr(Stdio::piped()).output().unwrap()
        };
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = run(full.into());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = stderr(&output);
        assert!(error.starts_with("error: cannot write the output") && error.contains("No space left"), "{error}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(writer.into());
        assert_eq!(stderr(&output), "", "{arguments:?}");
        assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}");
    }
}

#[test]
fn a_wrong_value_is_refused_with_option_value_and_remedy() {
    refused(&["--namespace", "Shop"], &["--namespace", "'Shop'", "lower-case"]);
    refused(&["--namespace", ""], &["--namespace", "lower-case"]);
    refused(&["serve", "--exclude-namespace", "a,B"], &["--exclude-namespace", "'B'", "lower-case"]);
    refused(&["--ignore-container", "side_car"], &["--ignore-container", "'side_car'", "lower-case"]);
    refused(&["--pod-label", "version=1"], &["--pod-label", "'version=1'", "without a value"]);
    refused(&["--workload-kind", "argoproj.io/Workflow"], &["--workload-kind", "Workflow.argoproj.io"]);
    refused(&["--stalled-after", "600"], &["--stalled-after", "'600'", "10m"]);
    refused(&["--stalled-after", "0s"], &["--stalled-after", "'0s'", "shorter than a second"]);
    refused(&["--listen-address", ":65536"], &["--listen-address", "':65536'", "65535", "[::]:8080"]);
    refused(&["--listen-address", "8080"], &["--listen-address", "'8080'", "a port is missing"]);
    refused(
        &["--metric-allowlist", "podskew_("],
        &["--metric-allowlist", "'podskew_('", "unclosed", "podskew_pods_.*"],
    );
    refused(&["--metric-denylist", "*"], &["--metric-denylist", "'*'", "podskew_pods_.*"]);
    refused(&["--log-level", "loud"], &["--log-level", "'loud'", "warn"]);
    refused(&["--log-format", "xml"], &["--log-format", "'xml'", "json"]);
    refused(&["--context", ""], &["--context", "empty"]);
    refused(&["--surprise"], &["--surprise"]);
    refused(&["server"], &["server", "'serve'"]);
    refused(&["demo", "--workloads", "0"], &["--workloads", "'0'"]);
    refused(&["demo", "--workloads", "9", "--pods", "8"], &["--pods 8", "--workloads 9"]);
}

#[test]
fn conflicting_values_are_refused() {
    refused(
        &["--namespace", "shop", "--namespace", "blog", "--exclude-namespace", "shop"],
        &["'shop'", "--namespace", "--exclude-namespace", "remove it from one"],
    );
    refused(
        &["--pod-label", "git-commit", "--pod-label", "git.commit"],
        &["'git-commit'", "'git.commit'", "label_git_commit", "remove one"],
    );
    let many: Vec<String> = (0..51).map(|number| format!("--namespace=n{number}")).collect();
    refused(&many.iter().map(String::as_str).collect::<Vec<_>>(), &["--namespace", "51", "at most 50"]);
}

#[test]
fn environment_variables_are_checked_like_options() {
    refused_with(&[], &[("PODSKEW_NAMESPACE", "shop,Blog")], &["PODSKEW_NAMESPACE", "--namespace", "'Blog'"]);
    refused_with(&["serve"], &[("PODSKEW_JOBS", "maybe")], &["PODSKEW_JOBS", "--jobs", "'maybe'", "true"]);
    refused_with(&["audit"], &[("PODSKEW_LOG_LEVEL", "loud")], &["PODSKEW_LOG_LEVEL", "'loud'", "warn"]);
    refused_with(&["demo"], &[("PODSKEW_LISTEN_ADDRESS", "8080")], &["PODSKEW_LISTEN_ADDRESS", "a port is missing"]);
    refused_with(&[], &[("PODSKEW_METRIC_DENYLIST", "a.{1,2},b(")], &["--metric-denylist", "unclosed"]);
    refused_with(
        &["--exclude-namespace", "shop"],
        &[("PODSKEW_NAMESPACE", "blog,shop")],
        &["'shop'", "in PODSKEW_NAMESPACE and in --exclude-namespace"],
    );
    // A value on the command line is named as it was typed, even if the environment has another.
    let output = with_environment(&["--namespace", "Blog"], &[("PODSKEW_NAMESPACE", "Shop")]);
    let message = stderr(&output);
    assert!(message.contains("'Blog' for '--namespace") && !message.contains("PODSKEW_NAMESPACE"), "{message}");
}

/// A port in use is detected before anything else: earlier errors would be reported first.
#[track_caller]
fn accepted(arguments: &[&str], variables: &[(&str, &str)]) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut arguments = arguments.to_vec();
    arguments.extend(["--listen-address", &address]);
    let output = with_environment(&arguments, variables);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!(message.contains(&format!("error: cannot listen on {address}")), "{message}");
    assert!(message.contains("choose another port with --listen-address"), "{message}");
    assert!(message.contains("caused by: "), "{message}");
}

#[test]
fn serving_needs_no_command_and_no_option() {
    accepted(&[], &[]);
    accepted(&["serve"], &[]);
    accepted(&["--namespace", "shop"], &[]);
    accepted(&["-n", "shop"], &[]);
    accepted(&["serve", "-n", "shop,blog"], &[]);
    accepted(&["demo"], &[]);
}

#[test]
fn every_option_is_accepted_typed_and_by_its_variable() {
    accepted(
        &[
            "serve",
            "--kubeconfig=/nowhere",
            "--context=prod",
            "--namespace=shop,blog",
            "--namespace=shop",
            "--exclude-namespace=kube-system",
            "--ignore-container=istio-proxy",
            "--pod-label=version",
            "--pod-label=app.kubernetes.io/version",
            "--metric-allowlist=podskew_.*",
            "--metric-denylist=.*_info",
            "--jobs",
            "--nodes",
            "--workload-kind=Workflow.argoproj.io",
            "--stalled-after=1h30m",
            "--log-format=json",
            "--log-level=debug",
        ],
        &[],
    );
    accepted(
        &[],
        &[
            ("PODSKEW_KUBECONFIG", "/nowhere"),
            ("PODSKEW_CONTEXT", "prod"),
            ("PODSKEW_NAMESPACE", "shop,blog"),
            ("PODSKEW_EXCLUDE_NAMESPACE", "kube-system,kube-public"),
            ("PODSKEW_IGNORE_CONTAINER", "istio-proxy,linkerd-proxy"),
            ("PODSKEW_POD_LABEL", "version,git-commit"),
            ("PODSKEW_METRIC_ALLOWLIST", "podskew_.*,process_.{1,30}"),
            ("PODSKEW_METRIC_DENYLIST", ".*_info"),
            ("PODSKEW_JOBS", "true"),
            ("PODSKEW_NODES", "true"),
            ("PODSKEW_WORKLOAD_KIND", "Workflow.argoproj.io,TaskRun.tekton.dev"),
            ("PODSKEW_STALLED_AFTER", "90s"),
            ("PODSKEW_LOG_FORMAT", "json"),
            ("PODSKEW_LOG_LEVEL", "warn"),
        ],
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let empty: Vec<(&str, &str)> =
        SERVE.iter().filter(|(_, variable)| !variable.is_empty()).map(|(_, variable)| (*variable, "")).collect();
    accepted(&[], &empty);
    accepted(&["serve"], &empty);
}
