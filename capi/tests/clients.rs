//! Clients in other languages, with the libraries that they use for it: Node.js by koffi and
//! apache-arrow, Python by ctypes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use std::process::Command;

use support::{has_tool, library, root, run};

#[test]
fn node_reads_and_writes() {
    if !has_tool("node", "apt-get install nodejs") || !has_tool("npm", "apt-get install npm") {
        return;
    }
    // A copy, so that nothing is left in the repository.
    let folder = tempfile::tempdir().unwrap();
    for name in ["package.json", "package-lock.json", "synadb.js", "synadb.test.js"] {
        let from = root().join("examples/node").join(name);
        std::fs::copy(from, folder.path().join(name)).unwrap();
    }
    let installed = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    if !installed.status.success() {
        let required = std::env::var("SYNADB_REQUIRE_ALL").is_ok_and(|value| value == "1");
        println!("skipped: npm ci ({})", String::from_utf8_lossy(&installed.stderr));
        assert!(!required, "npm ci failed and nothing may be skipped");
        return;
    }
    let tested = run(Command::new("node")
        .arg("--test")
        .current_dir(folder.path())
        .env("SYNADB_LIBRARY", library().join("libsynadb.so")));
    let said = String::from_utf8_lossy(&tested.stdout);
    assert!(said.contains("pass 1") && said.contains("fail 0"), "{said}");
}

#[test]
fn python_reads_and_writes_by_ctypes() {
    if !has_tool("python3", "apt-get install python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new("python3")
        .arg(root().join("examples/python/ctypes_client.py"))
        .current_dir(folder.path())
        .env("SYNADB_LIBRARY", library().join("libsynadb.so")));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("ok\n"), "{said}");
}
