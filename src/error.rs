//! What can go wrong, as one enum whose variants carry the facts.
//!
//! A caller never has to search a message: what decides the next step (an offset, a path, a
//! process id, a limit) is a field. Internal code uses the same type; wrong input and wrong files
//! are errors, broken invariants of our own are panics.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::{ArrowError, DataType};

use crate::atom::AtomKind;

/// Shorthand for results of this crate.
pub type Result<T, E = SynaError> = std::result::Result<T, E>;

/// Everything that a call of this crate may report.
///
/// The `Display` text is a sentence that names the thing and, where there is one, the way out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SynaError {
    /// The file's magic is not SynaDB's. The file was not touched.
    #[error("{} is not a SynaDB database ({what}); it was left untouched", path.display())]
    NotADatabase {
        /// The file that was opened.
        path: PathBuf,
        /// What was found instead.
        what: &'static str,
    },
    /// The path names a folder.
    #[error("{} is a folder; name a file", path.display())]
    IsDirectory {
        /// The path as given.
        path: PathBuf,
    },
    /// The path names something that is neither a file nor a folder (a FIFO, a device, a socket).
    #[error("{} is not a regular file", path.display())]
    NotARegularFile {
        /// The path as given.
        path: PathBuf,
    },
    /// The database does not exist and the call was not allowed to create it.
    #[error("there is no database at {}", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The database exists and the call asked for a new one.
    #[error("{} exists already", path.display())]
    AlreadyExists {
        /// The path as given.
        path: PathBuf,
    },
    /// The file was written by a newer major version of the format.
    #[error(
        "{} has format version {major}.{minor}; this build reads up to {supported}: \
         use a newer SynaDB", path.display()
    )]
    UnsupportedVersion {
        /// The file that was opened.
        path: PathBuf,
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
        /// Newest major version this build reads.
        supported: u16,
    },
    /// The file uses a feature that this build does not know.
    #[error("the file uses an unknown {what} ({value:#x}) at offset {offset}: use a newer SynaDB")]
    UnsupportedFeature {
        /// Which feature: a flag, an entry kind, an encoding, a feature bit of the header.
        what: &'static str,
        /// The value found.
        value: u64,
        /// Where it stands in the file.
        offset: u64,
    },
    /// Stored bytes are damaged. Nothing was changed on disk.
    #[error(
        "damage at offset {offset}: {what}; the last good commit ends at {last_good}{}; \
         nothing was changed, `salvage` copies what is intact to a new file",
        NextGood(*next_good)
    )]
    Corrupt {
        /// Where the damage was noticed.
        offset: u64,
        /// End of the last commit before it that is intact.
        last_good: u64,
        /// The next intact entry after it, if one was looked for and found.
        next_good: Option<u64>,
        /// What contradicts what.
        what: &'static str,
    },
    /// Another process writes to this database.
    #[error("{} is open for writing in another process{}; open it read-only",
        path.display(), Pid(*pid))]
    Locked {
        /// The database.
        path: PathBuf,
        /// The process that holds the lock, where the system tells.
        pid: Option<u32>,
    },
    /// The database is open in this process with other options.
    #[error("{} is already open in this process with another {option}", path.display())]
    OptionsConflict {
        /// The database.
        path: PathBuf,
        /// The first option that differs.
        option: &'static str,
    },
    /// No append has returned this offset.
    #[error("there is no entry at offset {offset}; the log ends at {end}")]
    NoSuchOffset {
        /// The offset asked for.
        offset: u64,
        /// End of the log.
        end: u64,
    },
    /// An option has a value that is not allowed.
    #[error("option {option}: {what}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is allowed.
        what: &'static str,
    },
    /// The file at the path is no longer the one that was opened.
    #[error("the file at {} was replaced or removed by somebody else; open it again", path.display())]
    Detached {
        /// The path as opened.
        path: PathBuf,
    },
    /// The handle was inherited by a forked child.
    #[error("this handle belongs to the parent process; open the database again in the child")]
    ForkedHandle,
    /// No open database is bound to the path.
    #[error("{} is not open", path.display())]
    NotOpen {
        /// The path as given.
        path: PathBuf,
    },
    /// The database was closed.
    #[error("the database was closed")]
    Closed,
    /// A sync failed, so the state of the newest bytes on the medium is unknown.
    ///
    /// Reads go on; writes are refused until the database is opened again.
    #[error("writes are refused since {operation} failed ({source}): close and open again")]
    Poisoned {
        /// The operation that failed.
        operation: &'static str,
        /// The error the operating system gave then.
        source: SharedIo,
    },
    /// The handle was opened for reading only.
    #[error("this handle is read-only")]
    ReadOnly,
    /// A rewrite of the file is already running.
    #[error("a rewrite of this database is running already; wait for it to end")]
    Busy,
    /// The caller's progress callback ended a rewrite. Nothing was changed.
    #[error("the rewrite was cancelled; the file is as it was")]
    Cancelled,
    /// What came behind a follower's cursor cannot be told any more.
    #[error("cursor {cursor} is lost: {what}; follow from the beginning or from now")]
    CursorLost {
        /// The cursor.
        cursor: String,
        /// Why.
        what: &'static str,
    },
    /// The key is empty.
    #[error("a key must not be empty")]
    EmptyKey,
    /// The key has more than 65,535 bytes.
    #[error("a key has at most 65535 bytes, this one has {len}")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The value is larger than the file's limit.
    #[error("a value has at most {max} bytes in this file, this one has {len}")]
    ValueTooLarge {
        /// Its encoded length in bytes.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A batch is larger than one chunk or one group may be.
    #[error("{what} has {len} bytes, more than {max}: split it")]
    BatchTooLarge {
        /// What is too large.
        what: &'static str,
        /// Its length in bytes.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A column of texts or bytes is larger than one Arrow array may be.
    #[error(
        "the values of key {key:?} have {bytes} bytes together, more than {max}, which one array \
         holds: read them as a stream"
    )]
    ColumnTooLarge {
        /// The key asked for.
        key: String,
        /// Bytes of all values, or those up to where it was noticed.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A record batch has no column of the name that was asked for.
    #[error("there is no column {column:?} among {found:?}: rename it, or name it by `{option}`")]
    ColumnNotFound {
        /// The name looked for.
        column: String,
        /// The option that names another one.
        option: &'static str,
        /// The columns there are.
        found: Vec<String>,
    },
    /// A record batch has several columns of one name, and which one is meant cannot be told.
    #[error("there are several columns {column:?}: rename all but one")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A column of a record batch has a type that cannot be stored in its place.
    #[error("column {column:?} has the type {found}; {what}")]
    UnsupportedColumn {
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// Which types can be stored there.
        what: &'static str,
    },
    /// A cell of a record batch cannot be stored.
    #[error("column {column:?}, row {row}: {fault}")]
    InvalidCell {
        /// The column.
        column: String,
        /// The row, counted from 0 at the first one that the call was given.
        row: u64,
        /// What is wrong with it.
        fault: CellFault,
    },
    /// A write of many record batches stopped after some of them were committed. These stay.
    #[error("{rows} rows were written in {commits} commits, and stay; then: {source}")]
    WriteStopped {
        /// Rows that were committed: those at the beginning of what the call was given.
        rows: u64,
        /// Commits they were written in.
        commits: u64,
        /// Why it went no further.
        source: Box<SynaError>,
    },
    /// Arrow reported an error: the reader whose record batches were to be written failed.
    #[error("reading record batches failed: {source}")]
    Arrow {
        /// What it said.
        source: Arc<ArrowError>,
    },
    /// Two columns that belong together have different lengths.
    #[error("{timestamps} timestamps came with {values} values")]
    LengthMismatch {
        /// Number of timestamps.
        timestamps: usize,
        /// Number of values.
        values: usize,
    },
    /// A frame, or a table of buckets with the empty ones, would have more cells than one may have.
    #[error(
        "a table of {rows} rows and {columns} columns has more than {max} cells: take a longer step, \
         a shorter range or fewer columns"
    )]
    FrameTooLarge {
        /// Rows asked for.
        rows: u64,
        /// Columns asked for beside the timestamps: keys of a frame, aggregates of buckets.
        columns: u64,
        /// Cells at most.
        max: u64,
    },
    /// A key is named twice where each may be named once.
    #[error("key {key:?} is named twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The key has no point (it never had one, or it was deleted).
    #[error("there is no key {key:?}")]
    KeyNotFound {
        /// The key asked for.
        key: String,
    },
    /// The value is of another kind than the caller asked for.
    #[error("key {key:?} holds {found}, not {expected}")]
    TypeMismatch {
        /// The key asked for.
        key: String,
        /// The kind the caller wanted.
        expected: AtomKind,
        /// The kind that is stored.
        found: AtomKind,
    },
    /// The glob pattern cannot be read.
    #[error("pattern {pattern:?}: {what}")]
    InvalidPattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The folder is on a network file system, where locks and mapped reads cannot be trusted.
    #[error(
        "{} is on {file_system}, where locks and mapped reads are not reliable: \
         put it on a local disk or set `allow_network_fs`", path.display()
    )]
    NetworkFileSystem {
        /// The database.
        path: PathBuf,
        /// The kind of file system found.
        file_system: &'static str,
    },
    /// The file has other hard links, which a rewrite would tear apart.
    #[error("{} has {links} hard links; a rewrite would leave the others behind", path.display())]
    HardLinked {
        /// The database.
        path: PathBuf,
        /// Number of links.
        links: u64,
    },
    /// A torn tail is so long that cutting it might throw away too much.
    #[error(
        "{len} bytes of whole commits lie after damage at offset {offset} and are not known to be \
         durable; that is more than is cut by itself: use `salvage`"
    )]
    TornTailTooLong {
        /// Where the tail begins.
        offset: u64,
        /// How many bytes would go.
        len: u64,
    },
    /// An allocation whose size the data decides was refused by the system.
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// What was asked for.
        bytes: u64,
    },
    /// Bytes could not be encoded or decoded as an `Atom`.
    #[error("an atom could not be {operation}: {what}")]
    Serialization {
        /// `encoded` or `decoded`.
        operation: &'static str,
        /// What was wrong.
        what: String,
    },
    /// The operating system refused an operation.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was being done: `open`, `read`, `write`, `sync`, ...
        operation: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// The system's own error.
        source: SharedIo,
    },
}

impl SynaError {
    /// Wraps what the operating system said, with the operation and the file it concerns.
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        SynaError::Io { operation, path: path.into(), source: SharedIo::new(source) }
    }

    /// What Arrow said. An error of this crate that it only carried comes out as it was.
    pub(crate) fn arrow(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<SynaError>() {
                Ok(own) => *own,
                Err(inner) => {
                    SynaError::Arrow { source: Arc::new(ArrowError::ExternalError(inner)) }
                }
            },
            error => SynaError::Arrow { source: Arc::new(error) },
        }
    }

    /// The operating system's error kind, if this error carries one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            SynaError::Io { source, .. } | SynaError::Poisoned { source, .. } => {
                Some(source.kind())
            }
            _ => None,
        }
    }
}

/// What is wrong with a cell of a record batch. The texts name the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellFault {
    /// A key is null.
    #[error("a key must not be null: drop the row or name a key")]
    NullKey,
    /// A key is empty.
    #[error("a key must not be empty: drop the row or name a key")]
    EmptyKey,
    /// A key has more than 65,535 bytes.
    #[error("a key has at most 65535 bytes, this one has {len}: shorten it")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A timestamp is null.
    #[error("a timestamp must not be null: drop the row or fill it in")]
    NullTimestamp,
    /// A timestamp is no whole number of microseconds.
    #[error("the timestamp is finer than a microsecond: set `floor` to round it down")]
    FineTimestamp,
    /// A timestamp is beyond the years that microseconds in 64 bits reach.
    #[error(
        "the timestamp is out of range: microseconds reach 292,000 years before and after 1970"
    )]
    TimestampOutOfRange,
    /// An unsigned integer is above 2^63 - 1.
    #[error("the integer {value} is above 9223372036854775807: cast the column to float or text")]
    IntTooLarge {
        /// The integer.
        value: u64,
    },
    /// A text or bytes are larger than the file's limit.
    #[error("a value has at most {max} bytes in this file, this one has {len}: split it")]
    ValueTooLarge {
        /// Its encoded length in bytes.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// The field `kind` of a struct names no kind.
    #[error("{kind:?} is no kind of value: it is one of null, float, int, text, bytes")]
    UnknownKind {
        /// What it says.
        kind: String,
    },
    /// The field of a struct that its field `kind` names is null or missing.
    #[error("the kind is {kind}, but the field {kind:?} holds no such value: fill it in")]
    KindWithoutValue {
        /// The kind.
        kind: AtomKind,
    },
}

impl SynaError {
    /// The name of the variant. Other interfaces find their own error by it.
    #[doc(hidden)]
    pub fn variant(&self) -> &'static str {
        // A new variant belongs into `one_of_each`, too, which a test compares with this list.
        match self {
            SynaError::NotADatabase { .. } => "NotADatabase",
            SynaError::IsDirectory { .. } => "IsDirectory",
            SynaError::NotARegularFile { .. } => "NotARegularFile",
            SynaError::NotFound { .. } => "NotFound",
            SynaError::AlreadyExists { .. } => "AlreadyExists",
            SynaError::UnsupportedVersion { .. } => "UnsupportedVersion",
            SynaError::UnsupportedFeature { .. } => "UnsupportedFeature",
            SynaError::Corrupt { .. } => "Corrupt",
            SynaError::Locked { .. } => "Locked",
            SynaError::OptionsConflict { .. } => "OptionsConflict",
            SynaError::NoSuchOffset { .. } => "NoSuchOffset",
            SynaError::InvalidOption { .. } => "InvalidOption",
            SynaError::Detached { .. } => "Detached",
            SynaError::ForkedHandle => "ForkedHandle",
            SynaError::NotOpen { .. } => "NotOpen",
            SynaError::Closed => "Closed",
            SynaError::Poisoned { .. } => "Poisoned",
            SynaError::ReadOnly => "ReadOnly",
            SynaError::Busy => "Busy",
            SynaError::Cancelled => "Cancelled",
            SynaError::CursorLost { .. } => "CursorLost",
            SynaError::EmptyKey => "EmptyKey",
            SynaError::KeyTooLong { .. } => "KeyTooLong",
            SynaError::ValueTooLarge { .. } => "ValueTooLarge",
            SynaError::BatchTooLarge { .. } => "BatchTooLarge",
            SynaError::ColumnTooLarge { .. } => "ColumnTooLarge",
            SynaError::FrameTooLarge { .. } => "FrameTooLarge",
            SynaError::DuplicateKey { .. } => "DuplicateKey",
            SynaError::ColumnNotFound { .. } => "ColumnNotFound",
            SynaError::DuplicateColumn { .. } => "DuplicateColumn",
            SynaError::UnsupportedColumn { .. } => "UnsupportedColumn",
            SynaError::InvalidCell { .. } => "InvalidCell",
            SynaError::WriteStopped { .. } => "WriteStopped",
            SynaError::Arrow { .. } => "Arrow",
            SynaError::LengthMismatch { .. } => "LengthMismatch",
            SynaError::KeyNotFound { .. } => "KeyNotFound",
            SynaError::TypeMismatch { .. } => "TypeMismatch",
            SynaError::InvalidPattern { .. } => "InvalidPattern",
            SynaError::NetworkFileSystem { .. } => "NetworkFileSystem",
            SynaError::HardLinked { .. } => "HardLinked",
            SynaError::TornTailTooLong { .. } => "TornTailTooLong",
            SynaError::OutOfMemory { .. } => "OutOfMemory",
            SynaError::Serialization { .. } => "Serialization",
            SynaError::Io { .. } => "Io",
        }
    }
}

/// One error of every variant, by which other interfaces test that each has its counterpart.
#[doc(hidden)]
pub fn one_of_each() -> Vec<SynaError> {
    let path = || PathBuf::from("/data/house.syna");
    let key = || "kitchen/temp".to_owned();
    let refused = || SharedIo::new(io::Error::from(io::ErrorKind::PermissionDenied));
    vec![
        SynaError::NotADatabase { path: path(), what: "its magic is another" },
        SynaError::IsDirectory { path: path() },
        SynaError::NotARegularFile { path: path() },
        SynaError::NotFound { path: path() },
        SynaError::AlreadyExists { path: path() },
        SynaError::UnsupportedVersion { path: path(), major: 9, minor: 1, supported: 1 },
        SynaError::UnsupportedFeature { what: "encoding", value: 99, offset: 12_288 },
        SynaError::Corrupt {
            offset: 12_288,
            last_good: 12_288,
            next_good: Some(16_384),
            what: "a checksum",
        },
        SynaError::Locked { path: path(), pid: Some(42) },
        SynaError::OptionsConflict { path: path(), option: "durability" },
        SynaError::NoSuchOffset { offset: 9, end: 8 },
        SynaError::InvalidOption { option: "every", what: "it must be positive" },
        SynaError::Detached { path: path() },
        SynaError::ForkedHandle,
        SynaError::NotOpen { path: path() },
        SynaError::Closed,
        SynaError::Poisoned { operation: "sync", source: refused() },
        SynaError::ReadOnly,
        SynaError::Busy,
        SynaError::Cancelled,
        SynaError::CursorLost {
            cursor: "0-0-0-0".to_owned(),
            what: "the file was rewritten since",
        },
        SynaError::EmptyKey,
        SynaError::KeyTooLong { len: 65_536 },
        SynaError::ValueTooLarge { len: 2, max: 1 },
        SynaError::BatchTooLarge { what: "a chunk", len: 2, max: 1 },
        SynaError::ColumnTooLarge { key: key(), bytes: 2, max: 1 },
        SynaError::FrameTooLarge { rows: 2, columns: 2, max: 1 },
        SynaError::DuplicateKey { key: key() },
        SynaError::ColumnNotFound { column: "key".to_owned(), option: "key_column", found: vec![] },
        SynaError::DuplicateColumn { column: "key".to_owned() },
        SynaError::UnsupportedColumn {
            column: "key".to_owned(),
            found: DataType::Int8,
            what: "keys are texts",
        },
        SynaError::InvalidCell { column: "key".to_owned(), row: 3, fault: CellFault::NullKey },
        SynaError::WriteStopped { rows: 1, commits: 1, source: Box::new(SynaError::Closed) },
        SynaError::Arrow { source: Arc::new(ArrowError::CastError("no".to_owned())) },
        SynaError::LengthMismatch { timestamps: 1, values: 2 },
        SynaError::KeyNotFound { key: key() },
        SynaError::TypeMismatch { key: key(), expected: AtomKind::Float, found: AtomKind::Text },
        SynaError::InvalidPattern { pattern: "[".to_owned(), what: "a bracket is not closed" },
        SynaError::NetworkFileSystem { path: path(), file_system: "NFS" },
        SynaError::HardLinked { path: path(), links: 2 },
        SynaError::TornTailTooLong { offset: 1, len: 2 },
        SynaError::OutOfMemory { bytes: 1 << 40 },
        SynaError::Serialization { operation: "decoded", what: "it is cut off".to_owned() },
        SynaError::Io { operation: "write", path: path(), source: refused() },
    ]
}

/// An [`io::Error`] that can be cloned, because one failed sync answers many waiting appends.
#[derive(Clone)]
pub struct SharedIo(std::sync::Arc<io::Error>);

impl SharedIo {
    pub(crate) fn new(error: io::Error) -> Self {
        SharedIo(std::sync::Arc::new(error))
    }

    /// The kind of the error.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }

    /// The operating system's error number, if there is one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.raw_os_error()
    }
}

impl fmt::Debug for SharedIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for SharedIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for SharedIo {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

struct NextGood(Option<u64>);

impl fmt::Display for NextGood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(f, ", the next good entry stands at {offset}"),
            None => Ok(()),
        }
    }
}

struct Pid(Option<u32>);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, " (process {pid})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_of_each_has_every_variant_once() {
        let source = include_str!("error.rs");
        let listed = source.lines().filter(|line| line.starts_with("            SynaError::"));
        let listed: BTreeSet<&str> = listed.filter_map(|line| line.split('"').nth(1)).collect();
        let given: Vec<&str> = one_of_each().iter().map(SynaError::variant).collect();
        assert_eq!(given.iter().copied().collect::<BTreeSet<_>>(), listed);
        assert_eq!(given.len(), listed.len());
        for error in one_of_each() {
            assert!(!error.to_string().is_empty());
        }
    }
}
