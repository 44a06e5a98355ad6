//! `make install`, and programs that find what it installed; the README's C program and its line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code may panic, and says what it skips"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Program, has_tool, library, nanoarrow, program, pyarrow, root, run, text};

/// Installs what this test built into `prefix`.
fn install(prefix: &Path) -> bool {
    install_to(prefix, Path::new(""), Path::new("/"))
}

/// Installs what this test built as it would be in `prefix`, into `stage`, from `folder`.
fn install_to(prefix: &Path, stage: &Path, folder: &Path) -> bool {
    if !has_tool("cc", "apt-get install gcc") {
        return false;
    }
    run(Command::new("sh")
        .arg(root().join("capi/install/install.sh"))
        .current_dir(folder)
        .env("PREFIX", prefix)
        .env("DESTDIR", stage)
        .env("BUILT", library()));
    true
}

/// Compiles the README's program as a shell does it with the flags that pkg-config gives.
fn compile_by_pkg_config(prefix: &Path, compiled: &Path, linked: &str, asked: &str) {
    let line = format!(
        "eval cc {linked} '\"$SOURCE\"' -o '\"$PROGRAM\"' \"$(pkg-config --cflags --libs {asked} synadb)\""
    );
    run(Command::new("sh")
        .args(["-euc", &line])
        .env("SOURCE", root().join(QUICKSTART))
        .env("PROGRAM", compiled)
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
}

const QUICKSTART: &str = "examples/c/quickstart.c";

/// Runs a program where nothing is yet.
fn run_in_new_folder(program: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    text(run(Command::new(program).current_dir(folder.path())).stdout)
}

/// The examples whose other libraries are here.
fn examples() -> impl Iterator<Item = &'static Program> {
    support::PROGRAMS
        .iter()
        .filter(|program| program.source.starts_with("examples/") && program.uses.flags().is_some())
}

#[test]
fn programs_find_what_was_installed_by_pkg_config() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    if !has_tool("pkg-config", "apt-get install pkg-config") || !install(&prefix) {
        return;
    }
    let flags = |more: &[&str]| {
        let output = run(Command::new("pkg-config")
            .args(["--cflags", "--libs"])
            .args(more)
            .arg("synadb")
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
        text(output.stdout).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let compiled = folder.path().join("example");
    for example in examples() {
        let (compiler, _, standard) = example.compiler();
        run(Command::new(compiler)
            .arg(standard)
            .arg(root().join(example.source))
            .arg("-o")
            .arg(&compiled)
            .args(flags(&[]))
            .arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()))
            .args(example.uses.flags().unwrap()));
        assert_eq!(run_in_new_folder(&compiled), example.says, "{}", example.source);
    }
    if has_tool("readelf", "apt-get install binutils") {
        let needed = text(run(Command::new("readelf").arg("-d").arg(&compiled)).stdout);
        assert!(needed.contains("libsynadb.so.1"), "it remembers the interface: {needed}");
        let exported = run(Command::new("nm")
            .args(["-D", "--defined-only", "-f", "posix"])
            .arg(prefix.join("lib/libsynadb.so")));
        let exported = text(exported.stdout);
        assert!(exported.lines().count() > 100);
        assert!(exported.lines().all(|symbol| symbol.starts_with("syna_")), "{exported}");
    }
    // Without the shared one, with the system libraries that the file names.
    let alone = folder.path().join("alone");
    std::fs::rename(prefix.join("lib/libsynadb.so"), prefix.join("lib/away.so")).unwrap();
    run(Command::new("cc")
        .arg(root().join(QUICKSTART))
        .arg("-o")
        .arg(&alone)
        .args(flags(&["--static"])));
    std::fs::remove_dir_all(&prefix).unwrap();
    assert_eq!(run_in_new_folder(&alone), program(QUICKSTART).says);
}

/// A space ended the option that names the folder, and sed took an ampersand for something else.
#[test]
fn a_prefix_may_be_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("a b & c");
    if !has_tool("pkg-config", "apt-get install pkg-config") || !install(&prefix) {
        return;
    }
    // No shared one, so that it need not be found when the program runs.
    std::fs::remove_file(prefix.join("lib/libsynadb.so")).unwrap();
    let compiled = folder.path().join("quick start");
    compile_by_pkg_config(&prefix, &compiled, "", "--static");
    assert_eq!(run_in_new_folder(&compiled), program(QUICKSTART).says);
    if has_tool("cmake", "apt-get install cmake") && has_tool("g++", "apt-get install g++") {
        let build = folder.path().join("build");
        let found = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
        run(Command::new("cmake")
            .arg("-S")
            .arg(root().join("examples/c"))
            .arg("-B")
            .arg(&build)
            .arg(found));
        run(Command::new("cmake")
            .arg("--build")
            .arg(&build)
            .args(["--target", "quickstart_static"]));
        assert_eq!(run_in_new_folder(&build.join("quickstart_static")), program(QUICKSTART).says);
    }
}

/// What is installed says where it will be: not where it is put together, and not in relation to the
/// folder in which `make install` was called.
#[test]
fn an_installation_names_its_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let prefix_in = |stage: &Path| {
        let file = stage.join("lib/pkgconfig/synadb.pc");
        let file = std::fs::read_to_string(file).unwrap();
        file.lines().next().unwrap().to_owned()
    };
    let stage = folder.path().join("st age");
    if !install_to(Path::new("/opt/syna db"), &stage, folder.path()) {
        return;
    }
    assert_eq!(prefix_in(&stage.join("opt/syna db")), "prefix=/opt/syna db");
    install_to(Path::new("relative"), Path::new(""), folder.path());
    let relative = folder.path().canonicalize().unwrap().join("relative");
    assert_eq!(prefix_in(&relative), format!("prefix={}", relative.display()));
}

/// `-lgcc_s`, which Rust names among the system's libraries, is not there for programs without any
/// shared library.
#[test]
fn a_program_may_be_linked_wholly_static() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    if !has_tool("pkg-config", "apt-get install pkg-config") || !install(&prefix) {
        return;
    }
    let compiled = folder.path().join("static");
    compile_by_pkg_config(&prefix, &compiled, "-static", "--static");
    assert_eq!(run_in_new_folder(&compiled), program(QUICKSTART).says);
}

#[test]
fn programs_find_what_was_installed_by_cmake() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    if !has_tool("cmake", "apt-get install cmake")
        || !has_tool("g++", "apt-get install g++")
        || !install(&prefix)
    {
        return;
    }
    let build = folder.path().join("build");
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(root().join("examples/c"))
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    if let Some(folder) = nanoarrow() {
        configure.arg(format!("-DNANOARROW={}", folder.display()));
    }
    if let Some(python) = pyarrow() {
        configure.arg(format!("-DPYARROW_PYTHON={}", python.display()));
    }
    run(&mut configure);
    run(Command::new("cmake").arg("--build").arg(&build));
    for example in examples() {
        let name = Path::new(example.source).file_stem().unwrap();
        assert_eq!(run_in_new_folder(&build.join(name)), example.says, "{}", example.source);
    }
    assert_eq!(run_in_new_folder(&build.join("quickstart_static")), program(QUICKSTART).says);
}

#[test]
fn the_readmes_c_program_prints_what_the_readme_says() {
    if !has_tool("gcc", "apt-get install gcc") {
        return;
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let example = std::fs::read_to_string(root().join(QUICKSTART)).unwrap();
    let block = readme.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(example.ends_with(block), "the README's program is examples/c/quickstart.c");
    let console = readme
        .split("```console\n")
        .find_map(|rest| rest.strip_prefix("$ gcc "))
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let (line, rest) = console.split_once('\n').unwrap();
    let said = rest.strip_prefix("$ ./quickstart\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("quickstart");
    // The line as it stands, with the library of this test and the program elsewhere.
    let line = line
        .replace("$PWD/target/release", &library().display().to_string())
        .replace("target/release", &library().display().to_string())
        .replace("-o quickstart", &format!("-o {}", program.display()));
    run(Command::new("sh").arg("-c").arg(format!("gcc {line}")).current_dir(root()));
    assert_eq!(run_in_new_folder(&program), said);
}
