//! What programs do at the edges of the interface: unusual names, the wrapper's arguments, unloading.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use support::{Language, compile, library, program, run};

fn runs(source: &str, language: Language, flags: &[&str], argument: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let Some(compiled) = compile(source, language, flags, folder.path()) else { return };
    let output = run(program(&compiled, &files).args(argument));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.trim_end().ends_with("ok"), "{source} said {said:?}");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.is_empty(), "the library printed {printed:?}");
}

const SANITIZED: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

#[test]
fn names_are_taken_as_the_header_says() {
    runs("tests/c/names.c", Language::C, &SANITIZED, None);
}

#[test]
fn the_wrapper_takes_every_integer_and_no_path_with_nul() {
    runs("tests/c/wrapper_input.cpp", Language::Cpp, &SANITIZED, None);
}

#[test]
fn arrow_data_that_lie_are_refused_by_name() {
    runs("tests/c/liars.c", Language::C, &SANITIZED, None);
}

/// `dlclose` took the functions away that releasing an array calls: the program crashed.
#[test]
fn what_was_handed_out_outlives_unloading() {
    let shared = library().join("libsynadb.so");
    // It is loaded by the program alone.
    let flags = ["-D_DEFAULT_SOURCE", "-Wl,--as-needed"];
    runs("tests/c/unload.c", Language::C, &flags, Some(shared.to_str().unwrap()));
}
