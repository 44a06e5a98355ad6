//! Builds the library as a C program finds it, and compiles and runs C programs against it.

#![allow(dead_code, reason = "each test uses a part of this module")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Whether an optional tool is there. Where it is not the test says so and is skipped, or fails if
/// nothing may be skipped.
pub fn has_tool(tool: &str, install: &str) -> bool {
    if Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    println!("skipped: {tool} ({install})");
    let required = std::env::var("SYNADB_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{tool} is missing and nothing may be skipped");
    false
}

/// Where `libsynadb.so` and `libsynadb.a` are, built now by the profile of this test. Cargo builds no
/// shared library for tests, so they do it.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let profile = if cfg!(debug_assertions) { "test" } else { "release" };
        run(Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "synadb-capi", "--profile", profile])
            .current_dir(root()));
        // This test lies in target/PROFILE/deps.
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().unwrap().parent().unwrap().to_owned();
        assert!(folder.join("libsynadb.so").is_file(), "no library in {}", folder.display());
        folder
    })
}

/// Runs a command that must succeed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        tail(&String::from_utf8_lossy(&output.stderr)),
    );
    output
}

/// The end of a long text, where the reason is.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(6000);
    text.get((from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from)..)
        .unwrap_or(text)
}

/// What a program is compiled as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// C99, by gcc.
    C,
    /// C++17, by g++.
    Cpp,
}

/// Warnings are errors everywhere.
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Compiles a program of the repository against the library; `None` without a compiler.
#[track_caller]
pub fn compile(source: &str, language: Language, flags: &[&str], into: &Path) -> Option<PathBuf> {
    let (compiler, standard) = match language {
        Language::C => ("gcc", "-std=c99"),
        Language::Cpp => ("g++", "-std=c++17"),
    };
    if !has_tool(compiler, &format!("apt-get install {compiler}")) {
        return None;
    }
    let root = root();
    let library = library();
    let program = into.join(Path::new(source).file_stem().unwrap());
    run(Command::new(compiler)
        .arg(standard)
        .args(STRICT)
        .args(["-g", "-O1"])
        .args(flags)
        .arg("-I")
        .arg(root.join("include"))
        .arg(root.join(source))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(library)
        .arg("-lsynadb")
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-lm", "-lpthread", "-ldl"]));
    Some(program)
}

/// A command that runs a compiled program in a folder of its own, with what the tests tell it.
pub fn program(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env("SYNADB_FUTURE_FIXTURE", root().join("tests/fixtures/v2.0/future.syna"))
        .env("RUST_BACKTRACE", "0");
    command
}
