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

use support::{PROGRAMS, Program, has_tool, program, root, run, set_up, tail, text};

/// Runs a compiled program in a new folder by `command`; what is wrong, if it is.
fn fault_of(program: &Program, command: &mut Command, env: &[(&str, &str)]) -> Option<String> {
    let files = tempfile::tempdir().unwrap();
    let output = set_up(command, files.path()).envs(env.iter().copied()).output().unwrap();
    let said = text(output.stdout);
    let is_example = program.source.starts_with("examples/");
    let says_it = if is_example { said == program.says } else { said.ends_with(program.says) };
    (!says_it || !output.status.success()).then(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!(
            "{} ended with {}\n{}\n{}",
            program.source,
            output.status,
            tail(&said),
            tail(&errors)
        )
    })
}

#[track_caller]
fn runs(source: &str) {
    let (program, folder) = (program(source), tempfile::tempdir().unwrap());
    let Some(compiled) = program.compile(&[], folder.path()) else { return };
    let fault = fault_of(program, &mut Command::new(compiled), &[]);
    assert!(fault.is_none(), "{}", fault.unwrap());
}

/// The programs that a tool looks at: all of them, or the one that is asked for.
fn looked_at() -> impl Iterator<Item = &'static Program> {
    let asked = std::env::var("SYNADB_PROGRAM").ok();
    // A name that is none would find nothing.
    asked.iter().for_each(|asked| _ = program(asked));
    PROGRAMS
        .iter()
        .filter(move |program| asked.as_ref().is_none_or(|asked| asked == program.source))
}

/// What the programs are told under a tool. A sanitizer's shadow takes more address space than a limit of it
/// leaves; threads take turns in valgrind.
fn told() -> Vec<(&'static str, &'static str)> {
    let mut told = vec![("SYNADB_NO_LIMITS", "1")];
    if std::env::var_os("SYNADB_THREAD_SECONDS").is_none() {
        told.push(("SYNADB_THREAD_SECONDS", "10"));
    }
    told
}

/// Fails if anything was found. The number of programs with findings is a bar.
#[track_caller]
fn report(findings: &[String]) {
    println!("findings {}", findings.len());
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
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

/// What a producer gets wrong is found before it makes anything panic, which would be printed.
#[test]
fn arrow_data_that_lie_are_refused_by_name() {
    let (program, folder) = (program("tests/c/liars.c"), tempfile::tempdir().unwrap());
    let Some(compiled) = program.compile(&[], folder.path()) else { return };
    let output = run(set_up(&mut Command::new(compiled), folder.path()));
    assert!(text(output.stdout).ends_with(program.says));
    assert_eq!(text(output.stderr), "");
}

#[test]
fn names_are_taken_as_the_header_says() {
    runs("tests/c/names.c");
}

/// `dlclose` took the functions away that releasing an array calls: the program crashed.
#[test]
fn what_was_handed_out_outlives_unloading() {
    runs("tests/c/unload.c");
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
fn the_cpp_wrapper_takes_every_integer_and_no_path_with_nul() {
    runs("tests/c/wrapper_input.cpp");
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
    let mut env = told();
    env.push(("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0"));
    env.push(("UBSAN_OPTIONS", "print_stacktrace=1"));
    let mut findings = Vec::new();
    for program in looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let Some(compiled) = program.compile(&flags, folder.path()) else { continue };
        findings.extend(fault_of(program, &mut Command::new(compiled), &env));
    }
    report(&findings);
}

/// Invalid reads and writes also within the library, and leaks. Without suppressions.
#[test]
fn nothing_is_found_by_valgrind() {
    if !has_tool("valgrind", "apt-get install valgrind") {
        return;
    }
    let mut findings = Vec::new();
    for program in looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let Some(compiled) = program.compile(&[], folder.path()) else { continue };
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--fair-sched=yes"])
            .args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"])
            .arg(format!("--log-file={}/%p", logs.display()))
            .arg(compiled);
        findings.extend(fault_of(program, &mut command, &told()));
        // A log for each process: what is found in a child is seen there only.
        for log in std::fs::read_dir(&logs).unwrap() {
            let log = std::fs::read_to_string(log.unwrap().path()).unwrap();
            if !log.is_empty() {
                findings.push(format!("{}\n{}", program.source, tail(&log)));
            }
        }
    }
    report(&findings);
}
