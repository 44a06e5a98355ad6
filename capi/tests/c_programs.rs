//! The C and C++ programs in `tests/c/` and `examples/c/`: as they are, and under sanitizers and valgrind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::{PROGRAMS, Program, has_tool, program, root, run, set_up, text};

/// Compiles a program, and runs it in a new folder by `command_of` its path.
#[track_caller]
fn runs_by(
    program: &Program,
    flags: &[&str],
    env: &[(&str, &str)],
    command_of: impl Fn(&std::path::Path) -> Command,
) {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let Some(compiled) = program.compile(flags, folder.path()) else { return };
    let mut command = command_of(&compiled);
    let output = run(set_up(&mut command, &files).envs(env.iter().copied()));
    let said = text(output.stdout);
    if program.source.starts_with("examples/") {
        assert_eq!(said, program.says, "{}", program.source);
    } else {
        assert!(said.ends_with(program.says), "{} said {said:?}", program.source);
    }
}

#[track_caller]
fn runs(source: &str) {
    runs_by(program(source), &[], &[], |compiled| Command::new(compiled));
}

#[test]
fn classic_calls_do_what_the_header_says() {
    runs("tests/c/classic.c");
}

#[test]
fn histories_leave_by_the_arrow_interfaces() {
    runs("tests/c/arrow.c");
}

#[test]
fn arrow_comes_in_and_is_released_once() {
    runs("tests/c/arrow_in.c");
}

#[test]
fn sixty_four_threads_may_call_everything_at_once() {
    runs("tests/c/threads.c");
}

#[test]
fn the_cpp_wrapper_does_what_it_says() {
    runs("tests/c/wrapper.cpp");
}

#[test]
fn nanoarrow_reads_what_leaves_and_builds_what_comes_in() {
    runs("tests/c/nanoarrow.c");
}

#[test]
fn arrow_cpp_reads_computes_and_writes() {
    runs("tests/c/arrow_cpp.cpp");
}

#[test]
fn the_examples_print_what_they_should() {
    for program in PROGRAMS.iter().filter(|program| program.source.starts_with("examples/")) {
        runs(program.source);
    }
}

/// Otherwise neither these tests nor the tools below would see it.
#[test]
fn every_program_is_in_the_list() {
    let mut there = BTreeSet::new();
    for folder in ["tests/c", "examples/c"] {
        for file in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".c") || name.ends_with(".cpp") {
                there.insert(format!("{folder}/{name}"));
            }
        }
    }
    let listed: BTreeSet<_> = PROGRAMS.iter().map(|program| program.source.to_owned()).collect();
    assert_eq!(listed, there);
}

/// Memory errors and undefined behaviour of the programs, misuse of what the library handed out, and
/// leaks: the library itself is not instrumented, but its allocations are watched.
#[test]
fn nothing_is_found_by_the_sanitizers() {
    let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let env = [
        ("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0"),
        ("UBSAN_OPTIONS", "print_stacktrace=1"),
        // The sanitizer's shadow takes more address space than a limit of it leaves.
        ("SYNADB_NO_LIMITS", "1"),
        ("SYNADB_THREAD_SECONDS", "5"),
    ];
    for program in &PROGRAMS {
        println!("{}", program.source);
        runs_by(program, &flags, &env, |compiled| Command::new(compiled));
    }
}

/// Invalid reads and writes also within the library, and leaks.
#[test]
fn nothing_is_found_by_valgrind() {
    if !has_tool("valgrind", "apt-get install valgrind") {
        return;
    }
    let env = [("SYNADB_NO_LIMITS", "1"), ("SYNADB_THREAD_SECONDS", "5")];
    for program in &PROGRAMS {
        println!("{}", program.source);
        runs_by(program, &[], &env, |compiled| {
            let mut command = Command::new("valgrind");
            command
                .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
                .args(["--errors-for-leak-kinds=definite", "--fair-sched=yes"])
                .arg(compiled);
            command
        });
    }
}
