//! What podskew tells shells, kubectl and man about itself, asked of the shells and of a reader of manual pages.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod common;
mod programs;

use common::command::{Ended, called_as, podskew};
use programs::run;
use std::path::{Path, PathBuf};

const COMMANDS: [&str; 7] = ["serve", "audit", "explain", "diff", "demo", "completions", "man"];

/// A folder with podskew under another name.
fn linked(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_podskew"), &link).unwrap();
    (folder, link)
}

fn plugin(arguments: &[&str]) -> Ended {
    let (_folder, program) = linked("kubectl-podskew");
    called_as(&program, arguments, "")
}

#[test]
fn kubectls_plugin_speaks_of_itself_as_kubectl_podskew() {
    let help = plugin(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Usage: kubectl podskew <COMMAND>\n"), "{}", help.stdout);
    assert!(!help.stdout.contains("(the default)") && !help.stdout.contains("--listen-address"), "{}", help.stdout);
    for command in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {command}\n")), "{command}: {}", help.stdout);
        let of_command = plugin(&[command, "--help"]).stdout;
        assert!(of_command.contains(&format!("Usage: kubectl podskew {command} ")), "{of_command}");
    }
    assert_eq!(plugin(&["--version"]).stdout, podskew(&["--version"]).stdout);
    let refused = plugin(&["diff", "pod/a"]);
    assert!(refused.code == 2 && refused.stderr.contains("kubectl podskew explain pod/a"), "{}", refused.stderr);
    let refused = plugin(&["explain"]);
    assert!(refused.code == 2 && refused.stderr.contains("Usage: kubectl podskew explain"), "{}", refused.stderr);
}

/// An exporter that starts in somebody's terminal because a command was forgotten surprises.
#[test]
fn without_a_command_the_plugin_serves_nothing() {
    let nothing = plugin(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (2, ""));
    assert!(nothing.stderr.contains("Usage: kubectl podskew <COMMAND>"), "{}", nothing.stderr);
    let options = plugin(&["--listen-address", "127.0.0.1:0"]);
    assert!(options.code == 2 && options.stderr.contains("--listen-address"), "{}", options.stderr);
}

#[test]
fn the_plugin_does_what_podskew_does() {
    let dump = common::tape::path("stuck.dump.json");
    for arguments in [&["explain", "-f", &dump, "deploy/api"][..], &["diff", "-f", &dump, "deploy/api"]] {
        let (plugin, podskew) = (plugin(arguments), podskew(arguments));
        assert_eq!((plugin.code, plugin.stderr), (podskew.code, podskew.stderr));
        assert_eq!(plugin.stdout, podskew.stdout.replace("podskew diff -f", "kubectl podskew diff -f"));
    }
}

#[test]
fn kubectl_completes_the_plugins_line() {
    let (_folder, program) = linked("kubectl_complete-podskew");
    let complete = |words: &[&str]| {
        let said = called_as(&program, words, "").stdout;
        let mut lines: Vec<String> = said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        let directive = lines.pop().unwrap();
        (lines.join(" "), directive)
    };
    assert_eq!(complete(&["di"]), ("diff".to_owned(), ":4".to_owned()));
    assert_eq!(complete(&[""]).0.split(' ').count(), COMMANDS.len());
    assert_eq!(complete(&["diff", "deploy/a", "--show"]).0, "--show-values");
    assert_eq!(complete(&["explain", "-o", ""]).0, "text json");
    assert_eq!(complete(&["completions", "z"]).0, "zsh");
    assert_eq!(complete(&["explain", "-f", ""]), (String::new(), ":0".to_owned()));
    assert_eq!(complete(&["explain", "dep"]), (String::new(), ":4".to_owned()));
}

fn script(shell: &str) -> String {
    let printed = podskew(&["completions", shell]);
    assert_eq!((printed.code, printed.stderr.as_str()), (0, ""));
    printed.stdout
}

/// Runs a script in a shell.
#[track_caller]
fn shell(name: &str, arguments: &[&str], script: &str) -> String {
    let output = run(Path::new(name), arguments, script.as_bytes(), &format!("apt-get install {name}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes() {
    let complete = |words: &str| {
        let ask = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _podskew podskew \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$((COMP_CWORD - 1))]}}\"\necho \"${{COMPREPLY[@]}}\"\n",
            script("bash")
        );
        shell("bash", &["--norc", "-s"], &ask).trim().to_owned()
    };
    assert_eq!(complete("podskew exp"), "explain");
    assert_eq!(complete("podskew diff --show"), "--show-values");
    assert_eq!(complete("podskew explain -o ''"), "text json");
    assert!(complete("podskew completions ''").ends_with("bash zsh fish"));
}

#[test]
fn fish_completes() {
    let complete = |line: &str| {
        let ask = format!("{}\ncomplete -C '{line}'\n", script("fish"));
        let said = shell("fish", &["--no-config"], &ask);
        said.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(complete("podskew exp"), "explain");
    assert_eq!(complete("podskew diff --show"), "--show-values");
    assert_eq!(complete("podskew explain -o "), "json text");
}

#[test]
fn zsh_completes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("_podskew"), script("zsh")).unwrap();
    // Completion needs a terminal of its own, which zsh's zpty gives it.
    let ask = format!(
        "fpath=({} $fpath); zmodload zsh/zpty\n\
         complete() {{\n\
           zpty shell zsh -f -i\n\
           zpty -w shell \"PS1=; fpath=($fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; \
             zstyle ':completion:*' menu no; bindkey '^I' complete-word; setopt no_beep; print READY\"\n\
           zpty -r shell line '*READY*READY*'\n\
           zpty -n -w shell \"$1\"$'\\t'\n\
           zpty -r shell line \"*$2*\"\n\
           print -r -- \"$line\"\n\
           zpty -d shell\n\
         }}\n\
         complete 'podskew exp' 'podskew explain'\n\
         complete 'podskew diff --show' 'podskew diff --show-values'\n",
        folder.path().display()
    );
    let said = shell("zsh", &["-f", "-s"], &ask);
    assert!(said.contains("podskew explain") && said.contains("--show-values"), "{said:?}");
}

/// On a terminal, which script(1) makes, unless somebody does not want them; in a pipe never.
#[test]
fn colours_are_for_terminals() {
    let dump = common::tape::path("paused.dump.json");
    for command in ["explain", "diff"] {
        let line = format!("{} {command} -f {dump} deployment/api", env!("CARGO_BIN_EXE_podskew"));
        let on_terminal = |variable: &str| {
            let line = format!("env -i {variable} {line}");
            let output = run(Path::new("script"), &["-qec", &line, "/dev/null"], b"", "apt-get install bsdutils");
            String::from_utf8(output.stdout).unwrap().contains("\u{1b}[")
        };
        assert!(on_terminal("TERM=xterm"), "{command}");
        assert!(!on_terminal("NO_COLOR=1") && !on_terminal("TERM=dumb"), "{command}");
        assert!(!podskew(&[command, "-f", &dump, "deployment/api"]).stdout.contains('\u{1b}'), "{command}");
    }
}

#[test]
fn every_page_of_the_manual_is_one() {
    for name in [&[][..], &["serve"], &["audit"], &["explain"], &["diff"], &["demo"], &["completions"], &["man"]] {
        let page = podskew(&[&["man"], name].concat());
        assert_eq!(page.code, 0, "{}", page.stderr);
        let title = [&["podskew"], name].concat().join("-");
        assert!(page.stdout.contains(&format!(".TH {title} 1 ")), "{}", page.stdout);
        let output = run(
            Path::new("man"),
            &["--warnings", "-E", "UTF-8", "-l", "-"],
            page.stdout.as_bytes(),
            "apt-get install man-db",
        );
        let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{title}: {said}");
        assert!(text.contains("SYNOPSIS") && text.contains("OPTIONS"), "{text}");
    }
    let unknown = podskew(&["man", "wheel"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("the commands are serve, "), "{}", unknown.stderr);
}
