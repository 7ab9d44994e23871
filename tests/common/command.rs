//! Runs the real binary to its end.

use super::tape::path;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Its exit code and output.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// Runs podskew with these arguments, an empty environment, and the recordings' folder as working directory, so that the
/// output does not depend on the path of this checkout.
pub fn podskew<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    called_as(Path::new(env!("CARGO_BIN_EXE_podskew")), arguments, "")
}

/// Like [`podskew`], with this number of terminal columns.
pub fn podskew_on<S: AsRef<OsStr>>(columns: u16, arguments: &[S]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podskew"));
    command.args(arguments).current_dir(path("")).env_clear().env("COLUMNS", columns.to_string());
    Ended::new(&command.output().unwrap())
}

/// Like [`podskew`], with this text on standard input.
pub fn fed<S: AsRef<OsStr>>(arguments: &[S], input: &str) -> Ended {
    called_as(Path::new(env!("CARGO_BIN_EXE_podskew")), arguments, input)
}

/// Like [`fed`], with another program name.
pub fn called_as<S: AsRef<OsStr>>(program: &Path, arguments: &[S], input: &str) -> Ended {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(path(""))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The process may have ended without reading.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Ended::new(&child.wait_with_output().unwrap())
}
