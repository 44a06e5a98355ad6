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
#[track_caller]
pub fn has_tool(tool: &str, install: &str) -> bool {
    if Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    missing(tool, install)
}

/// Says what is missing, and fails where nothing may be skipped. Always `false`.
#[track_caller]
fn missing(what: &str, install: &str) -> bool {
    println!("skipped: {what} ({install})");
    let required = std::env::var("SYNADB_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "{what} is missing and nothing may be skipped");
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
pub fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(6000);
    text.get((from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(from)..)
        .unwrap_or(text)
}

/// A C or C++ program of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its file in the repository; `.c` is C99, `.cpp` C++17, and C++20 where Arrow C++ asks for it.
    pub source: &'static str,
    /// What it uses besides the library.
    pub uses: Uses,
    /// The end of what it prints: of the examples everything.
    pub says: &'static str,
}

/// What a program uses besides the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    /// Nothing.
    Nothing,
    /// The C sources of nanoarrow, compiled with it: `make nanoarrow`.
    Nanoarrow,
    /// Arrow C++ as it comes with pyarrow: `make pyarrow`.
    ArrowCpp,
}

const fn program_of(source: &'static str, uses: Uses, says: &'static str) -> Program {
    Program { source, uses, says }
}

/// Every program in `tests/c` and `examples/c`; `c_programs.rs` fails where one is not among them.
pub const PROGRAMS: [Program; 17] = [
    program_of("tests/c/classic.c", Uses::Nothing, "classic: ok\n"),
    program_of("tests/c/arrow.c", Uses::Nothing, "arrow: ok\n"),
    program_of("tests/c/arrow_in.c", Uses::Nothing, "arrow in: ok\n"),
    program_of("tests/c/liars.c", Uses::Nothing, "liars: ok\n"),
    program_of("tests/c/names.c", Uses::Nothing, "names: ok\n"),
    program_of("tests/c/unload.c", Uses::Nothing, "unload: ok\n"),
    program_of("tests/c/nanoarrow.c", Uses::Nanoarrow, "nanoarrow: ok\n"),
    program_of("tests/c/threads.c", Uses::Nothing, "threads: ok\n"),
    program_of("tests/c/statuses.c", Uses::Nothing, "statuses: ok\n"),
    program_of("tests/c/wrapper.cpp", Uses::Nothing, "wrapper: ok\n"),
    program_of("tests/c/wrapper_input.cpp", Uses::Nothing, "wrapper input: ok\n"),
    program_of("tests/c/arrow_cpp.cpp", Uses::ArrowCpp, "arrow c++: ok\n"),
    program_of(
        "examples/c/quickstart.c",
        Uses::Nothing,
        "latest 19.0\nin May 2014 19.0\nhistory 21.5\nhistory 19.0\n\
         SYNA_ERR_TYPE_MISMATCH: key \"kitchen/lamp\" holds text, not float\n",
    ),
    program_of(
        "examples/c/arrow.c",
        Uses::Nothing,
        "closed: the database was closed\n8760 points, mean 15.75\n",
    ),
    program_of("examples/c/nanoarrow.c", Uses::Nanoarrow, NANOARROW_SAYS),
    program_of("examples/c/wrapper.cpp", Uses::Nothing, "sum 40.5\nrows 2\n"),
    program_of("examples/c/arrow_cpp.cpp", Uses::ArrowCpp, ARROW_CPP_SAYS),
];

const NANOARROW_SAYS: &str = "\
written: 6 points of 3 rows
history
 0h 39.92
 1h 39.00
 2h null
scan
 JFK/temp 0h 39.02
 JFK/temp 1h 39.02
 JFK/temp 2h 38.84
 LGA/temp 0h 39.92
 LGA/temp 1h 39.00
 LGA/temp 2h null
frame
 0h 39.02 39.92
 1h 39.02 39.00
 2h 38.84 null
mean 38.96
";

const ARROW_CPP_SAYS: &str = "\
mean 21.5, above 30: 6 of 48 hours
JFK/temp 21.5 33
LGA/temp 23.5 35
LGA is warmer by 2
";

/// One of the programs, by its file.
#[track_caller]
pub fn program(source: &str) -> &'static Program {
    PROGRAMS.iter().find(|program| program.source == source).unwrap()
}

impl Program {
    /// Compiler, its package, and the language it is asked for.
    pub fn compiler(&self) -> (&'static str, &'static str, &'static str) {
        match (self.source.ends_with(".cpp"), self.uses) {
            (false, _) => ("gcc", "gcc", "-std=c99"),
            (true, Uses::ArrowCpp) => ("g++", "g++", "-std=c++20"),
            (true, _) => ("g++", "g++", "-std=c++17"),
        }
    }

    /// Compiles it against the library; `None` where a tool is missing. Warnings are errors, in headers of
    /// others, too.
    #[track_caller]
    pub fn compile(&self, flags: &[&str], into: &Path) -> Option<PathBuf> {
        let (compiler, package, standard) = self.compiler();
        let others = self.uses.flags()?;
        if !has_tool(compiler, &format!("apt-get install {package}")) {
            return None;
        }
        let (root, library) = (root(), library());
        let compiled = into.join(Path::new(self.source).file_stem().unwrap());
        run(Command::new(compiler)
            .arg(standard)
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1"])
            .args(flags)
            .arg("-I")
            .arg(root.join("include"))
            .arg(root.join(self.source))
            .arg("-o")
            .arg(&compiled)
            // A program that loads the library itself is not linked with it.
            .args(["-Wl,--as-needed", "-L"])
            .arg(library)
            .arg("-lsynadb")
            .arg(format!("-Wl,-rpath,{}", library.display()))
            .args(others)
            .args(["-lm", "-lpthread", "-ldl"]));
        Some(compiled)
    }
}

impl Uses {
    /// What the compiler has to be told; `None` where it is not there.
    #[track_caller]
    pub fn flags(self) -> Option<Vec<String>> {
        match self {
            Uses::Nothing => Some(Vec::new()),
            Uses::Nanoarrow => nanoarrow().map(|folder| {
                let sources = ["array.c", "array_stream.c", "schema.c", "utils.c"];
                let path = |name: &str| folder.join(name).display().to_string();
                std::iter::once("-I".to_owned())
                    .chain([folder.display().to_string()])
                    .chain(sources.map(|name| path(&format!("nanoarrow/common/{name}"))))
                    .collect()
            }),
            Uses::ArrowCpp => pyarrow().map(|python| {
                let found = run(Command::new(python).arg(root().join("capi/tests/arrow_cpp.py")));
                text(found.stdout).lines().map(str::to_owned).collect()
            }),
        }
    }
}

/// The folder of nanoarrow's sources, if `make nanoarrow` has put them there.
#[track_caller]
pub fn nanoarrow() -> Option<PathBuf> {
    let folder = root().join(".tools/nanoarrow");
    let is_there = folder.join("nanoarrow/nanoarrow_config.h").is_file();
    (is_there || missing("the sources of nanoarrow", "make nanoarrow")).then_some(folder)
}

/// The Python that has pyarrow, if `make pyarrow` has made it.
#[track_caller]
pub fn pyarrow() -> Option<PathBuf> {
    let python = root().join(".venv/bin/python");
    let is_there = Command::new(&python)
        .args(["-c", "import pyarrow"])
        .output()
        .is_ok_and(|output| output.status.success());
    (is_there || missing("pyarrow in .venv", "make pyarrow")).then_some(python)
}

/// What a program printed.
pub fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).unwrap()
}

/// Tells a command that runs a compiled program what the tests tell it, and where to run it.
pub fn set_up<'command>(command: &'command mut Command, folder: &Path) -> &'command mut Command {
    command
        .current_dir(folder)
        .env("SYNADB_LIBRARY", library().join("libsynadb.so"))
        .env("SYNADB_FUTURE_FIXTURE", root().join("tests/fixtures/v2.0/future.syna"))
        .env("RUST_BACKTRACE", "0")
        // Arrow C++ allocates where the tools see it.
        .env("ARROW_DEFAULT_MEMORY_POOL", "system")
}
