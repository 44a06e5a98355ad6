//! `include/synadb.h` is what the sources say, and what the library exports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::{has_tool, library, root, run};

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(root().join("include/synadb.h")).unwrap();
    let code: String = header.lines().filter(|line| !line.trim_start().starts_with('*')).collect();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("syna_") {
        let name: String = code
            .get(at..)
            .unwrap()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if code.get(at + name.len()..).unwrap().starts_with('(') {
            names.insert(name);
        }
    }
    names
}

#[test]
fn the_header_is_not_stale() {
    let root = root();
    let tool = root.join(".tools/bin/cbindgen");
    let tool = if tool.is_file() { tool.display().to_string() } else { "cbindgen".to_owned() };
    if !has_tool(&tool, "make tools") {
        return;
    }
    let capi = root.join("capi");
    let made = run(Command::new(tool)
        .args(["--quiet", "--config", "cbindgen.toml", "--crate", "synadb-capi"])
        .current_dir(capi));
    let checked_in = std::fs::read_to_string(root.join("include/synadb.h")).unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    assert!(made == checked_in, "include/synadb.h is stale: `make header`");
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    if !has_tool("nm", "apt-get install binutils") {
        return;
    }
    let library = library().join("libsynadb.so");
    let symbols =
        run(Command::new("nm").args(["-D", "--defined-only", "-f", "posix"]).arg(library));
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    let exported: BTreeSet<String> =
        symbols.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(exported, declared());
    assert!(exported.len() > 100);
}

#[test]
fn the_header_compiles_by_itself_in_c_and_cpp_of_every_age() {
    let folder = tempfile::tempdir().unwrap();
    let source =
        "#include \"synadb.h\"\n#include \"synadb.h\"\nint main(void) { return ERR_GENERIC; }\n";
    let without = "#define ERR_IO 77\n#define SYNA_NO_SHORT_NAMES\n#include \"synadb.h\"\n\
        int main(void) {\n#ifdef ERR_GENERIC\n#error a short name\n#endif\nreturn ERR_IO - 77; }\n";
    for (compiler, standards, name) in [
        ("gcc", &["c99", "c11", "c17", "c2x", "gnu2x"][..], "header.c"),
        ("g++", &["c++11", "c++14", "c++17", "c++20", "c++2b"][..], "header.cpp"),
    ] {
        if !has_tool(compiler, &format!("apt-get install {compiler}")) {
            continue;
        }
        for text in [source, without] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            for standard in standards {
                run(Command::new(compiler)
                    .arg(format!("-std={standard}"))
                    .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
                    .arg(root().join("include"))
                    .arg(&file));
            }
        }
    }
}

/// In two files of one program, which may both use all of it.
#[test]
fn the_wrapper_compiles_in_cpp_of_every_age_since_17() {
    if !has_tool("g++", "apt-get install g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = "#include \"synadb.hpp\"\n#include \"synadb.hpp\"\nvoid other(syna::database& db);\n\
        int main() { syna::database db(\"x\"); db.put(\"k\", 1); other(db);\n\
        return db.floats(\"k\").empty() ? 0 : 1; }\n";
    let second = "#include \"synadb.hpp\"\nvoid other(syna::database& db);\n\
        void other(syna::database& db) { db.put(\"k\", 1), db.floats(\"k\"), db.keys(); }\n";
    for (name, text) in [("first.cpp", first), ("second.cpp", second)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for standard in ["c++17", "c++20", "c++2b"] {
        run(Command::new("g++")
            .arg(format!("-std={standard}"))
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-I"])
            .arg(root().join("include"))
            .args(["first.cpp", "second.cpp", "-o", "program", "-L"])
            .arg(library())
            .arg("-lsynadb")
            .current_dir(folder.path()));
    }
}
