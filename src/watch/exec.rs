//! Credential plugins: programs in a kubeconfig that print a token or a certificate.

use super::credential_error::CredentialError;
use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use std::process::Stdio;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Maximum output; a credential takes a few KiB.
const LONGEST_OUTPUT: u64 = 1 << 20;

/// The credentials that a plugin printed. They must not be shown.
pub(super) struct PluginOutput {
    pub(super) token: Option<String>,
    /// PEM.
    pub(super) certificate: Option<String>,
    /// PEM.
    pub(super) key: Option<String>,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<ExecCredentialStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredentialStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Runs the plugin by the protocol of `client.authentication.k8s.io`. Dropping the future ends the plugin.
///
/// kube's own implementation reads without a limit, and panics if the output is not a valid header.
pub(super) async fn run(plugin: &ExecConfig) -> Result<PluginOutput, CredentialError> {
    let name = plugin.command.as_deref().unwrap_or_default();
    let fail = |what: String| CredentialError::new(format!("the credential plugin {name} of the kubeconfig {what}"));
    if name.is_empty() {
        return Err(CredentialError::new("the user's exec in the kubeconfig has no command".to_owned()));
    }
    let interactive = plugin.interactive_mode != Some(ExecInteractiveMode::Never);
    let mut spec = serde_json::json!({ "interactive": interactive });
    if plugin.provide_cluster_info {
        let cluster = serde_json::to_value(&plugin.cluster);
        spec["cluster"] = cluster.map_err(|error| fail(format!("cannot get the data of the cluster: {error}")))?;
    }
    let asked = serde_json::json!({ "kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec });
    let mut command = Command::new(name);
    command.args(plugin.args.iter().flatten());
    let pairs = plugin.env.iter().flatten().filter_map(|pair| Some((pair.get("name")?, pair.get("value")?)));
    command.envs(pairs).env("KUBERNETES_EXEC_INFO", asked.to_string());
    if interactive {
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.stdin(Stdio::null()).stderr(Stdio::null());
    }
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut process =
        command.spawn().map_err(|error| fail(format!("cannot be run: {error}{}", install(plugin, &error))))?;
    let mut output = Vec::new();
    if let Some(stdout) = process.stdout.take() {
        let read = stdout.take(LONGEST_OUTPUT + 1).read_to_end(&mut output).await;
        read.map_err(|error| fail(format!("cannot be read: {error}")))?;
    }
    if output.len() as u64 > LONGEST_OUTPUT {
        return Err(fail(format!("prints more than {} KiB, which is not an ExecCredential", LONGEST_OUTPUT >> 10)));
    }
    let status = process.wait().await.map_err(|error| fail(format!("cannot be waited for: {error}")))?;
    if !status.success() {
        return Err(fail(format!("failed with {status}")));
    }
    read(&output).map_err(|what| fail(what.to_owned()))
}

/// Parses JSON, or YAML like client-go. The parser's message would quote the output.
fn read(output: &[u8]) -> Result<PluginOutput, &'static str> {
    let credential: ExecCredential =
        serde_saphyr::from_slice(output).map_err(|_| "printed something that is not an ExecCredential")?;
    let status = credential.status.ok_or("printed an ExecCredential without a status")?;
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let expires = given(status.expiration_timestamp).map(|text| text.trim().parse()).transpose();
    let printed = PluginOutput {
        token: given(status.token),
        certificate: given(status.client_certificate_data),
        key: given(status.client_key_data),
        expires: expires.map_err(|_| "printed an expirationTimestamp that is not a time")?,
    };
    match (&printed.token, &printed.certificate, &printed.key) {
        (_, Some(_), None) => Err("printed a client certificate without its key"),
        (_, None, Some(_)) => Err("printed a client key without its certificate"),
        (None, None, None) => Err("printed neither a token nor a client certificate"),
        _ => Ok(printed),
    }
}

/// How to install a missing plugin.
fn install(plugin: &ExecConfig, error: &std::io::Error) -> String {
    match plugin.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty()) {
        Some(hint) => format!("; the kubeconfig says how to install it: {hint}"),
        None if error.kind() == std::io::ErrorKind::NotFound => {
            "; install it, or add the directory that contains it to PATH".to_owned()
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn json_and_yaml_are_read_and_errors_do_not_quote_the_output() {
        let token = |text: &str| read(text.as_bytes()).map(|printed| printed.token);
        assert_eq!(token(r#"{"kind":"ExecCredential","status":{"token":"t"}}"#), Ok(Some("t".to_owned())));
        assert_eq!(token("status:\n  token: |\n    t\n"), Ok(Some("t\n".to_owned())));
        for text in [
            "",
            "s3cr3t",
            "[]",
            "{}",
            "status: 5",
            "status: {token: ''}",
            "status: {token: [s3cr3t]}",
            "status: {clientKeyData: s3cr3t}",
            "status: {clientCertificateData: s3cr3t}",
            "status: {token: t, expirationTimestamp: s3cr3t}",
            "\u{0}",
            "&a [*a, *a]",
        ] {
            let error = token(text).expect_err(text);
            assert!(error.starts_with("printed") && !error.contains("s3cr3t"), "{text:?}: {error}");
        }
    }
}
