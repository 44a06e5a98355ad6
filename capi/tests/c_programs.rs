//! The C and C++ programs in `tests/c/`: as they are, and under sanitizers and valgrind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use std::process::Command;

use support::Language::{C, Cpp};
use support::{Language, compile, has_tool, program, run};

fn runs(source: &str, language: Language) {
    runs_with(source, language, &[], &[]);
}

fn runs_with(source: &str, language: Language, flags: &[&str], env: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let Some(compiled) = compile(source, language, flags, folder.path()) else { return };
    let output = run(program(&compiled, &files).envs(env.iter().copied()));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.trim_end().ends_with("ok"), "{source} said {said:?}");
}

#[test]
fn classic_calls_do_what_the_header_says() {
    runs("tests/c/classic.c", C);
}

#[test]
fn histories_leave_by_the_arrow_interfaces() {
    runs("tests/c/arrow.c", C);
}

#[test]
fn arrow_comes_in_and_is_released_once() {
    runs("tests/c/arrow_in.c", C);
}

#[test]
fn sixty_four_threads_may_call_everything_at_once() {
    runs("tests/c/threads.c", C);
}

#[test]
fn the_cpp_wrapper_does_what_it_says() {
    runs("tests/c/wrapper.cpp", Cpp);
}

/// Memory errors and undefined behaviour of the programs, misuse of what the library handed out, and
/// leaks: the library itself is not instrumented, but its allocations are watched.
#[test]
fn nothing_is_found_by_the_sanitizers() {
    let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let env = [
        ("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0"),
        ("UBSAN_OPTIONS", "print_stacktrace=1"),
    ];
    for source in ["tests/c/classic.c", "tests/c/arrow.c", "tests/c/arrow_in.c"] {
        runs_with(source, C, &flags, &env);
    }
    runs_with("tests/c/threads.c", C, &flags, &[env[0], env[1], ("SYNADB_THREAD_SECONDS", "1")]);
    runs_with("tests/c/wrapper.cpp", Cpp, &flags, &env);
}

/// Invalid reads and writes also within the library, and leaks.
#[test]
fn nothing_is_found_by_valgrind() {
    if !has_tool("valgrind", "apt-get install valgrind") {
        return;
    }
    for (source, language) in
        [("tests/c/classic.c", C), ("tests/c/arrow.c", C), ("tests/c/wrapper.cpp", Cpp)]
    {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let Some(compiled) = compile(source, language, &[], folder.path()) else { return };
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
            .args(["--errors-for-leak-kinds=definite", "--fair-sched=yes"])
            .arg(&compiled)
            .current_dir(&files)
            .env("RUST_BACKTRACE", "0");
        run(&mut command);
    }
}
