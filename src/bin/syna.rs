//! The `syna` command; all of it is library code in `synadb::cli`.

fn main() {
    std::process::exit(synadb::cli::run(std::env::args_os()));
}
