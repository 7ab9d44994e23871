//! Completion scripts, kubectl plugin and manual pages, tested with the real shells and a reader of manual pages.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use crate::common;
use crate::common::command::{Ended, called_as, podskew};
use crate::common::exporter::{fill, objects, simulator};
use crate::needs::{Test, tests};
use crate::programs::run;
use simulator::{Fault, Simulator};
use std::path::{Path, PathBuf};

const COMMANDS: [&str; 8] = ["serve", "audit", "explain", "diff", "demo", "completions", "man", "version"];

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

fn kubectls_plugin_calls_itself_kubectl_podskew() {
    let help = plugin(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Usage: kubectl podskew <COMMAND>\n"), "{}", help.stdout);
    assert!(!help.stdout.contains("(the default)") && !help.stdout.contains("--listen-address"), "{}", help.stdout);
    for command in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {command}\n")), "{command}: {}", help.stdout);
        let of_command = plugin(&[command, "--help"]).stdout;
        assert!(of_command.contains(&format!("Usage: kubectl podskew {command}")), "{of_command}");
        assert!(!of_command.contains("\n  podskew "), "an example with another name: {of_command}");
    }
    assert_eq!(plugin(&["--version"]).stdout, podskew(&["--version"]).stdout);
    let refused = plugin(&["diff", "pod/a"]);
    assert!(refused.code == 2 && refused.stderr.contains("kubectl podskew explain pod/a"), "{}", refused.stderr);
    let refused = plugin(&["explain"]);
    assert!(refused.code == 2 && refused.stderr.contains("Usage: kubectl podskew explain"), "{}", refused.stderr);
}

/// A plugin must not start an exporter in a terminal because the user forgot the command.
fn without_a_command_the_plugin_serves_nothing() {
    let nothing = plugin(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (2, ""));
    assert!(nothing.stderr.contains("Usage: kubectl podskew <COMMAND>"), "{}", nothing.stderr);
    let options = plugin(&["--listen-address", "127.0.0.1:0"]);
    assert!(options.code == 2 && options.stderr.contains("--listen-address"), "{}", options.stderr);
}

fn the_plugin_behaves_like_podskew() {
    let dump = common::tape::path("stuck.dump.json");
    for arguments in [&["explain", "-f", &dump, "deploy/api"][..], &["diff", "-f", &dump, "deploy/api"]] {
        let (plugin, podskew) = (plugin(arguments), podskew(arguments));
        assert_eq!((plugin.code, plugin.stderr), (podskew.code, podskew.stderr));
        assert_eq!(plugin.stdout, podskew.stdout.replace("podskew diff -f", "kubectl podskew diff -f"));
    }
}

/// A simulated cluster, and a folder with podskew under its names and a kubeconfig for the cluster.
struct Cluster {
    simulator: Simulator,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let (simulator, folder) = (simulator().await, tempfile::tempdir().unwrap());
        fill(simulator.store());
        // The context's own namespace.
        for mut object in objects("stuck") {
            object["metadata"]["namespace"] = "default".into();
            object["metadata"]["uid"] = format!("{}-2", object["metadata"]["uid"].as_str().unwrap()).into();
            simulator.store().put(common::exporter::resource_of(&object), object);
        }
        simulator.write_kubeconfig(&folder.path().join("kubeconfig")).unwrap();
        for name in ["podskew", "kubectl-podskew", "kubectl_complete-podskew"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_podskew"), folder.path().join(name)).unwrap();
        }
        Self { simulator, folder }
    }

    fn kubeconfig(&self) -> String {
        self.folder.path().join("kubeconfig").to_str().unwrap().to_owned()
    }

    /// Runs a script in a shell with podskew and the cluster.
    async fn shell(&self, name: &'static str, arguments: &'static [&'static str], script: String) -> String {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let kubeconfig = self.kubeconfig();
        let script = match name {
            "fish" => format!("set -x PATH (string split : '{path}'); set -x KUBECONFIG '{kubeconfig}'\n{script}"),
            _ => format!("export PATH='{path}' KUBECONFIG='{kubeconfig}'\n{script}"),
        };
        tokio::task::spawn_blocking(move || shell(name, arguments, &script)).await.unwrap()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_completes_the_plugins_line() {
    let cluster = Cluster::start().await;
    let program = cluster.folder.path().join("kubectl_complete-podskew");
    let kubeconfig = cluster.kubeconfig();
    let asked = tokio::task::spawn_blocking(move || {
        let complete = |words: &[&str]| {
            let said = called_as(&program, words, "").stdout;
            let mut lines: Vec<String> = said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
            let directive = lines.pop().unwrap();
            (lines.join(" "), directive)
        };
        assert_eq!(complete(&["di"]), ("diff".to_owned(), ":4".to_owned()));
        let commands = complete(&[""]).0;
        assert!(COMMANDS.iter().all(|command| commands.split(' ').any(|offered| offered == *command)), "{commands}");
        assert_eq!(complete(&["diff", "deploy/a", "--show"]).0, "--show-values");
        assert_eq!(complete(&["explain", "-o", ""]).0, "text json");
        assert_eq!(complete(&["completions", "z"]).0, "zsh");
        assert_eq!(complete(&["explain", "dep"]), ("deployment/".to_owned(), ":6".to_owned()));
        let at = ["--kubeconfig", &kubeconfig];
        assert_eq!(complete(&[&["audit"], &at[..], &["-n", "st"]].concat()).0, "statefulset-partition stuck");
        assert_eq!(complete(&[&["explain"], &at[..], &["-n", "daemonset", "ds/"]].concat()).0, "ds/agent ds/cni");
        assert_eq!(complete(&[&["diff"], &at[..], &["--context", ""]].concat()).0, "simulator");
    });
    asked.await.unwrap();
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

/// Completions in every shell: the line, and its candidates.
const LINES: [(&str, &[&str]); 8] = [
    ("podskew exp", &["explain"]),
    ("podskew diff --show", &["--show-values"]),
    ("podskew audit -n stu", &["stuck"]),
    ("podskew --namespace pau", &["paused"]),
    ("podskew audit --context sim", &["simulator"]),
    ("podskew explain -n paused deployment/a", &["deployment/api"]),
    ("podskew explain -n daemonset ds/", &["ds/agent", "ds/cni"]),
    // Without an option, the namespace is the context's.
    ("podskew explain deploy/", &["deploy/api"]),
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn bash_completes() {
    let cluster = Cluster::start().await;
    for (line, expected) in LINES {
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "{}\nCOMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9\n\
             _clap_complete_podskew podskew \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$((COMP_CWORD - 1))]}}\" 2>&1\n\
             echo \"${{COMPREPLY[@]}}\"\ncomplete -p podskew\n",
            script("bash"),
            words.join(" ")
        );
        let said = cluster.shell("bash", &["--norc", "-s"], ask).await;
        assert_eq!(said.lines().next().unwrap(), expected.join(" "), "{line}: {said}");
        assert!(said.contains("-F _clap_complete_podskew podskew"), "{said}");
    }
    // Without the right to list, no error appears in the middle of a line.
    cluster.simulator.inject(None, Fault::Status(403));
    let ask = format!(
        "{}\nCOMP_WORDS=(podskew audit -n ''); COMP_CWORD=3\n_clap_complete_podskew podskew '' -n\necho \"<${{COMPREPLY[@]}}>\"\n",
        script("bash")
    );
    assert_eq!(cluster.shell("bash", &["--norc", "-s"], ask).await.trim(), "<>");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn fish_completes() {
    let cluster = Cluster::start().await;
    for (line, expected) in LINES {
        let ask = format!("{}\ncomplete -C '{line}'\n", script("fish"));
        let said = cluster.shell("fish", &["--no-config"], ask).await;
        let offered: Vec<&str> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(offered, expected, "{line}: {said}");
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn zsh_completes() {
    let cluster = Cluster::start().await;
    let functions = tempfile::tempdir().unwrap();
    std::fs::write(functions.path().join("_podskew"), script("zsh")).unwrap();
    // With a single candidate, it is inserted into the line.
    let lines: Vec<_> = LINES.iter().filter(|(_, expected)| expected.len() == 1).collect();
    let asks = lines.iter().fold(String::new(), |asks, (line, expected)| {
        let before = line.rsplit_once(' ').unwrap().0;
        asks + &format!("complete '{line}' '{before} {}'\n", expected[0])
    });
    // Completion needs a terminal, which zsh's zpty provides.
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
         }}\n{asks}",
        functions.path().display()
    );
    let said = cluster.shell("zsh", &["-f", "-s"], ask).await;
    for (line, expected) in lines {
        assert!(said.contains(expected[0]), "{line}: {said:?}");
    }
}

/// `podskew` in `PATH`, or the one that printed the script if it was called by its path.
fn a_completion_script_runs_the_podskew_that_printed_it() {
    let by_path = podskew(&["completions", "bash"]).stdout;
    assert!(
        by_path.contains(&format!("{} -- ", env!("CARGO_BIN_EXE_podskew")))
            || by_path.contains(concat!("\"", env!("CARGO_BIN_EXE_podskew"), "\" -- ")),
        "{by_path}"
    );
    let folder = linked("podskew").0;
    let line = format!("PATH={}:$PATH; podskew completions bash", folder.path().display());
    let by_name = shell("bash", &["--norc", "-s"], &line);
    assert!(by_name.contains("\"podskew\" -- \"${words[@]}\""), "{by_name}");
}

/// On a terminal (from script(1)) unless they are switched off; never in a pipe.
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

fn every_page_of_the_manual_is_one() {
    for name in
        [&[][..], &["serve"], &["audit"], &["explain"], &["diff"], &["demo"], &["completions"], &["man"], &["version"]]
    {
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

/// The tests and their requirements.
pub fn tests() -> Vec<Test> {
    tests![
        kubectls_plugin_calls_itself_kubectl_podskew: [],
        without_a_command_the_plugin_serves_nothing: [],
        the_plugin_behaves_like_podskew: [],
        kubectl_completes_the_plugins_line: [],
        bash_completes: [BASH],
        fish_completes: [FISH],
        zsh_completes: [ZSH],
        a_completion_script_runs_the_podskew_that_printed_it: [BASH],
        colours_are_for_terminals: [SCRIPT],
        every_page_of_the_manual_is_one: [MAN],
    ]
}
