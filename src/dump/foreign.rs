//! What a text is that is no JSON, as far as its beginning tells.

/// What to do instead.
pub(super) const REMEDY: &str =
    "print one with kubectl get pods,rs,deploy,sts,ds,controllerrevisions -o json --show-managed-fields";

/// Says what the text is and what to do, unless it begins like JSON.
pub(super) fn recognise(beginning: &[u8]) -> Option<String> {
    let text = beginning.trim_ascii_start();
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text).trim_ascii_start();
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
    let what = match text.first()? {
        b'{' | b'[' => return None,
        0x1F if text.get(1) == Some(&0x8B) => "it is compressed and no JSON: gunzip -c FILE | podskew … -f -; or",
        0xFF | 0xFE => "it is UTF-16, as older PowerShells write it, and not UTF-8; in such a shell",
        _ if beginning.contains(&0) => "it is binary and no JSON;",
        _ if begins(&["No resources found"]) => "it says that kubectl found nothing;",
        _ if begins(&["error:", "Error from server", "Unable to connect"]) => "it holds an error of kubectl's;",
        _ if begins(&["Warning:"]) => "it begins with a warning of kubectl's, which belongs to stderr;",
        _ if begins(&["NAME ", "NAMESPACE ", "NAME\t"]) => "it is kubectl's table and no JSON;",
        _ if begins(&["---", "- ", "%YAML", "#"]) || is_yaml_field(line) => "it is YAML and no JSON;",
        _ => "it is no JSON;",
    };
    Some(format!("{what} {REMEDY}"))
}

/// `apiVersion: v1`, `items:`.
fn is_yaml_field(line: &[u8]) -> bool {
    let key = line.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    key > 0 && line.get(key) == Some(&b':') && line.get(key + 1).is_none_or(u8::is_ascii_whitespace)
}
