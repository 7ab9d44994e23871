//! Tests that need a process of their own, for its allocator, its log or its memory.

use std::process::Command;

const ALONE: &str = "PODSKEW_TEST_ALONE";

/// Returns true in a process that runs only this test. Otherwise starts such a process, and returns false once the test
/// passed in it.
#[track_caller]
pub fn is_alone(module: &str, test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let (_, module) = module.split_once("::").unwrap();
    let name = format!("{module}::{test}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([&name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let passed = output.status.success() && said.contains("test result: ok. 1 passed");
    assert!(passed, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    false
}
