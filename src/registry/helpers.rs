//! Credential helpers: programs named `docker-credential-NAME` that print a user and a password for a host.
//!
//! They are run in an environment of their own, for ten seconds at most, and nothing that they print is logged.

use super::credential::Credential;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpgid};
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long a helper may run.
const PATIENCE: Duration = Duration::from_secs(10);

/// From one look whether it has ended to the next.
const POLL: Duration = Duration::from_millis(10);

/// Size limit of what it prints.
const LONGEST_OUTPUT: u64 = 64 << 10;

/// Variables by which helpers find the identity of the pod, and the way out.
const KEPT: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const PROXY: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    username: String,
    secret: String,
}

/// Asks the helper `name` in `folder` for the credentials of `host`; [`Credential::Anonymous`] where it has none.
pub(super) async fn get(folder: &Path, name: &str, host: &str) -> Result<Credential, String> {
    let fail = |what: String| format!("the credential helper {name} {what}");
    let is_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_name {
        return Err("the file of --registry-auth names a credential helper with other characters than a-z, 0-9 and -"
            .to_owned());
    }
    let path = folder.join(format!("docker-credential-{name}"));
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(fail(format!("is no regular file at {}", path.display()))),
        Err(error) => return Err(fail(format!("is not at {}: {error}; put it there", path.display()))),
    }
    let home = TemporaryFolder::new().map_err(|error| {
        fail(format!("needs a writable folder, and none can be made in {}: {error}", std::env::temp_dir().display()))
    })?;
    let mut command = Command::new(&path);
    command.arg("get").env_clear().env("PATH", folder).env("HOME", &home.0).current_dir(&home.0).process_group(0);
    command.envs(std::env::vars_os().filter(|(key, _)| {
        let key = key.to_string_lossy();
        KEPT.iter().any(|prefix| key.starts_with(prefix)) || PROXY.contains(&&*key)
    }));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut process = command.spawn().map_err(|error| fail(format!("cannot be run: {error}")))?;
    let mut group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).map(ProcessGroup);
    let output = match timeout(PATIENCE, output(&mut process, host, group.as_ref())).await {
        Ok(output) => output,
        Err(_) => Err(format!("did not end within {} s", PATIENCE.as_secs())),
    };
    // Before its leader is reaped: until then no other process has its number.
    let left = group.take().map(ProcessGroup::kill);
    let status = process.wait().await.map_err(|error| fail(format!("cannot be waited for: {error}")))?;
    if let Some(left) = left {
        left.reap().await;
    }
    let output = output.map_err(fail)?;
    if !status.success() {
        // The protocol's own words for a host that the helper does not know.
        let has_none = String::from_utf8_lossy(&output).contains("credentials not found");
        return if has_none { Ok(Credential::Anonymous) } else { Err(fail(format!("failed with {status}"))) };
    }
    // The parser's message would quote what was printed.
    let printed: HelperOutput = serde_json::from_slice(&output)
        .map_err(|_| fail("printed something else than Username and Secret in JSON".to_owned()))?;
    Ok(match (printed.username.as_str(), printed.secret) {
        ("", secret) if secret.is_empty() => Credential::Anonymous,
        ("<token>", token) => Credential::Identity(token),
        (user, secret) => Credential::Basic(user.to_owned(), secret),
    })
}

/// Hands the helper the host, and takes what it prints until it has ended. It is not reaped yet.
async fn output(process: &mut Child, host: &str, group: Option<&ProcessGroup>) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    if let Some(mut stdin) = process.stdin.take() {
        // A helper that does not read its input says so by its output.
        let _ = stdin.write_all(host.as_bytes()).await;
    }
    if let Some(stdout) = process.stdout.take() {
        let read = stdout.take(LONGEST_OUTPUT + 1).read_to_end(&mut output).await;
        read.map_err(|error| format!("cannot be read: {error}"))?;
    }
    if output.len() as u64 > LONGEST_OUTPUT {
        return Err(format!("prints more than {} KiB", LONGEST_OUTPUT >> 10));
    }
    while group.is_some_and(ProcessGroup::leader_runs) {
        sleep(POLL).await;
    }
    Ok(output)
}

/// The processes of a helper, the first of which is not reaped yet. They end when this is dropped.
struct ProcessGroup(Pid);

impl ProcessGroup {
    fn leader_runs(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        matches!(waitid(WaitId::Pid(self.0), options), Ok(None))
    }

    fn kill(self) -> LeftoverProcesses {
        LeftoverProcesses(self.0)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// What a helper left behind, killed.
struct LeftoverProcesses(Pid);

impl LeftoverProcesses {
    /// Where podskew is process 1, these have become its children.
    async fn reap(self) {
        for _ in 0..20 {
            match waitpgid(self.0, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => sleep(POLL).await,
                Err(_) => return,
            }
        }
    }
}

/// An empty folder that exists for as long as this does.
struct TemporaryFolder(std::path::PathBuf);

impl TemporaryFolder {
    fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("podskew-helper-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
