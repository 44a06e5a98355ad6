//! Why a command failed, and which exit code says so.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::SynaError;

/// The command did what it was asked to.
pub const EXIT_OK: i32 = 0;
/// The command failed: no such key, no such file, damage, a locked database, a bad cell.
pub const EXIT_FAILED: i32 = 1;
/// The command line itself is wrong; nothing was tried.
pub const EXIT_USAGE: i32 = 2;

#[derive(Debug)]
pub(crate) enum CliError {
    /// The store refused.
    Store(SynaError),
    /// A file beside the database could not be read or written.
    File { operation: &'static str, path: PathBuf, source: io::Error },
    /// Results could not be written to standard output.
    Output(io::Error),
    /// The arguments do not fit each other or the input.
    Usage(String),
    /// Anything else, as a sentence.
    Failed(String),
}

impl CliError {
    pub(crate) fn file(operation: &'static str, path: &Path, source: io::Error) -> Self {
        CliError::File { operation, path: path.to_owned(), source }
    }

    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            // Whoever read our output has seen enough (`syna history .. | head`).
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_OK,
            CliError::Usage(_) => EXIT_USAGE,
            _ => EXIT_FAILED,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Store(error) => write!(f, "{error}"),
            CliError::File { operation, path, source } => {
                write!(f, "{operation} {}: {source}", path.display())
            }
            CliError::Output(source) => write!(f, "write to standard output: {source}"),
            CliError::Usage(what) | CliError::Failed(what) => f.write_str(what),
        }
    }
}

impl From<SynaError> for CliError {
    fn from(error: SynaError) -> Self {
        CliError::Store(error)
    }
}

/// Input and output files are named with [`CliError::file`]; a bare I/O error is standard output's.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        CliError::Output(error)
    }
}
