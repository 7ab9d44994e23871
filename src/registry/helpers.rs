//! Credential helpers: programs `docker-credential-NAME` that print user name and password for a host.
//!
//! They run in a minimal environment for ten seconds at most, and their output is never logged.

use super::credential::{Credential, Secret};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpgid};
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Timeout of a helper.
const PATIENCE: Duration = Duration::from_secs(10);

/// Interval between checks whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// Maximum size of its output.
const LONGEST_OUTPUT: u64 = 64 << 10;

/// Prefixes of variables that helpers need to find the pod's identity.
const KEPT: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const PROXY: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperOutput {
    username: String,
    secret: String,
}

/// Runs the helper `name` in `folder` for the credentials of `host`; [`Credential::Anonymous`] if it has none.
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
        Ok(_) => return Err(fail(format!("is not a regular file at {}", path.display()))),
        Err(error) => return Err(fail(format!("is not at {}: {error}; put it there", path.display()))),
    }
    let home = TemporaryFolder::new().map_err(|error| {
        fail(format!(
            "needs a writable directory, and none can be created in {}: {error}",
            std::env::temp_dir().display()
        ))
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
    // Kills the group before its leader is reaped: until then no other process can have its number.
    let left = group.take().map(ProcessGroup::kill);
    let status = process.wait().await.map_err(|error| fail(format!("cannot be waited for: {error}")))?;
    if let Some(left) = left {
        left.reap().await;
    }
    let output = output.map_err(fail)?;
    if !status.success() {
        // The protocol's message for an unknown host.
        let has_none = String::from_utf8_lossy(&output).contains("credentials not found");
        return if has_none { Ok(Credential::Anonymous) } else { Err(fail(format!("failed with {status}"))) };
    }
    // The parser's message would quote the output.
    let printed: HelperOutput = serde_json::from_slice(&output)
        .map_err(|_| fail("printed something other than Username and Secret in JSON".to_owned()))?;
    Ok(match (printed.username.as_str(), printed.secret) {
        ("", secret) if secret.is_empty() => Credential::Anonymous,
        ("<token>", token) => Credential::Identity(Secret::of_helper(token)),
        (user, secret) => Credential::Basic(user.to_owned(), Secret::of_helper(secret)),
    })
}

/// Writes the host to the helper, and reads its output to the end. The process is not reaped yet.
async fn output(process: &mut Child, host: &str, group: Option<&ProcessGroup>) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    if let Some(mut stdin) = process.stdin.take() {
        // A helper that does not read its input reports that in its output.
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

/// The process group of a helper, whose leader is not reaped yet. Dropping it kills the group.
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

/// The killed processes of a group.
struct LeftoverProcesses(Pid);

impl LeftoverProcesses {
    /// Reaps processes that became children of podskew, as process 1.
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

/// An empty folder, deleted on drop.
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
