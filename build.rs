//! Finds the revision of the source that is built: `PODSKEW_REVISION`, where a packager sets it, or that of the Git checkout,
//! or `unknown`.

use std::path::Path;
use std::process::Command;

const VARIABLE: &str = "PODSKEW_REVISION";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let given = std::env::var(VARIABLE).ok().filter(|given| !given.is_empty());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if let Some(given) = &given
        && (given.len() > 64 || !given.bytes().all(is_plain))
    {
        println!("cargo::error={VARIABLE} is no revision: write at most 64 letters, digits and ._+-");
        return;
    }
    let revision = given.or_else(of_checkout).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env={VARIABLE}={revision}");
}

/// The commit that is checked out, if the source is a Git checkout and not a folder in another one.
fn of_checkout() -> Option<String> {
    if !git(&["rev-parse", "--show-cdup"])?.is_empty() {
        return None;
    }
    // HEAD changes with the branch, and its log with each commit. A file that does not exist would rebuild every time.
    for file in ["HEAD", "logs/HEAD", "packed-refs"] {
        let root = std::env::var_os("CARGO_MANIFEST_DIR")?;
        let path = git(&["rev-parse", "--git-path", file]).map(|path| Path::new(&root).join(path));
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).filter(|revision| !revision.is_empty())
}

fn git(arguments: &[&str]) -> Option<String> {
    let root = std::env::var_os("CARGO_MANIFEST_DIR")?;
    // Git runs hooks with these, and then they name the repository of the hook.
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
