//! Recognizes text that holds no objects, by its beginning, and names the command that prints objects.

/// The command whose output podskew reads.
pub(super) const REMEDY: &str =
    "print one with kubectl get pods,rs,deploy,sts,ds,controllerrevisions -o json --show-managed-fields";

/// The apparent format of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FormatHint {
    Json,
    Yaml,
    /// Neither; a description of the format.
    Other(&'static str),
}

/// Recognizes the format of a text by its beginning.
pub(super) fn form(beginning: &[u8]) -> FormatHint {
    let text = beginning.trim_ascii_start();
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text).trim_ascii_start();
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
    // White space alone may be followed by JSON.
    let Some(first) = text.first() else { return FormatHint::Json };
    FormatHint::Other(match first {
        b'{' | b'[' => return FormatHint::Json,
        _ if begins(&["k8s\0"]) => "it is Kubernetes' protobuf, as etcd keeps it, not JSON",
        0xFF | 0xFE => "it is UTF-32 or no text at all",
        _ if beginning.contains(&0) => "it is binary, not JSON",
        _ if begins(&["No resources found"]) => "it says that kubectl found nothing",
        _ if begins(&["error:", "Error from server", "Unable to connect", "The connection to the server"]) => {
            "it is an error message of kubectl"
        }
        _ if begins(&["Warning:"]) || is_log_line(line) => {
            "it begins with a warning of kubectl, which belongs to stderr: remove 2>&1"
        }
        _ if begins(&["NAME ", "NAMESPACE ", "NAME\t"]) => "it is a table of kubectl, not JSON",
        _ if is_description(line) => "it is the output of kubectl describe, not JSON",
        _ if begins(&["<!", "<html", "<?xml"]) => "it is a web page, not JSON",
        _ if begins(&["---", "- ", "%YAML", "#"]) || is_yaml_field(line) => return FormatHint::Yaml,
        _ if is_name(line) => "it is the output of kubectl get -o name, not JSON",
        _ => "it is neither JSON nor YAML",
    })
}

/// Recognizes unsupported compressions and archives by their first bytes; returns their name and the command to unpack
/// them.
pub(super) fn packed(beginning: &[u8]) -> Option<(&'static str, &'static str)> {
    const FORMS: [(&[u8], &str, &str); 5] = [
        (b"\xFD7zXZ\0", "it is compressed with xz", "xz -dc FILE"),
        (b"\x28\xB5\x2F\xFD", "it is compressed with zstd", "zstd -dc FILE"),
        (b"BZh", "it is compressed with bzip2", "bzip2 -dc FILE"),
        (b"7z\xBC\xAF\x27\x1C", "it is a 7z archive", "7z x -so FILE"),
        (b"Rar!", "it is a RAR archive", "unrar p -inul FILE"),
    ];
    FORMS.into_iter().find(|(magic, ..)| beginning.starts_with(magic)).map(|(_, what, command)| (what, command))
}

/// Whether a text contains Kubernetes objects in JSON or YAML.
pub(super) fn looks_like_kubernetes(beginning: &[u8]) -> bool {
    let holds = |word: &str| memchr::memmem::find(beginning, word.as_bytes()).is_some();
    (holds("\"kind\"") && holds("\"apiVersion\"")) || (holds("kind:") && holds("apiVersion:"))
}

/// `apiVersion: v1`, `items:`.
fn is_yaml_field(line: &[u8]) -> bool {
    let key = line.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    key > 0 && line.get(key) == Some(&b':') && line.get(key + 1).is_none_or(u8::is_ascii_whitespace)
}

/// `Name:             web-0`.
fn is_description(line: &[u8]) -> bool {
    line.strip_prefix(b"Name:").is_some_and(|rest| rest.starts_with(b"  "))
}

/// `W1130 08:00:00.000000   12345 warnings.go:70] …`.
fn is_log_line(line: &[u8]) -> bool {
    matches!(line, [b'W' | b'E' | b'I', date @ ..] if date.len() > 5 && date[..4].iter().all(u8::is_ascii_digit) && date[4] == b' ')
}

/// `pod/web-0`, `deployment.apps/web`.
fn is_name(line: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'/');
    line.iter().all(is_part) && memchr::memchr_iter(b'/', line).count() == 1
}
