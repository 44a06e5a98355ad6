"""SynaDB: an embedded store for numbers over time, in one append-only file.

A database maps keys to histories: every append adds a value with its timestamp. The latest value of a
key is found in constant time, and its whole history is an Arrow object that Polars, pandas, NumPy,
PyTorch, pyarrow and DuckDB read as it is.

    >>> import synadb
    >>> db = synadb.open(":memory:")
    >>> offset = db.append("JFK/temp", 39.02)
    >>> offset = db.append("JFK/temp", 38.84)
    >>> db.get("JFK/temp")
    38.84
    >>> len(db["JFK/temp"])
    2
"""

from __future__ import annotations

from ._errors import (
    AccessError,
    ArrowError,
    BusyError,
    CancelledError,
    ClosedError,
    CorruptError,
    CursorLostError,
    DetachedError,
    ExistingFileError,
    FolderError,
    ForkedError,
    HardLinkedError,
    InvalidDataError,
    InvalidKeyError,
    InvalidOptionError,
    InvalidPatternError,
    IoError,
    KeyNotFoundError,
    LengthMismatchError,
    LockedError,
    MissingFileError,
    NetworkFileSystemError,
    NoSuchOffsetError,
    NotADatabaseError,
    OptionsConflictError,
    OutOfMemoryError,
    PoisonedError,
    ReadOnlyError,
    SerializationError,
    SynaError,
    TooLargeError,
    TypeMismatchError,
    UnsupportedColumnError,
    UnsupportedError,
    WriteStoppedError,
)
from ._records import (
    Appended,
    Commit,
    DatabaseStats,
    Deleted,
    Explain,
    ExplainColumn,
    HistoryStats,
    RecoveryReport,
    RewriteReport,
    SalvageReport,
    VerifyReport,
    Written,
)
from ._synadb import (
    Batch,
    Column,
    Follower,
    Frame,
    History,
    Scan,
    Snapshot,
    SynaDB,
    WriteBatch,
    __version__,
    salvage,
)

#: Opens a database: `synadb.open(path, mode="a", durability="full")` is `synadb.SynaDB(...)`.
open = SynaDB

__all__ = [
    "AccessError",
    "Appended",
    "ArrowError",
    "Batch",
    "BusyError",
    "CancelledError",
    "ClosedError",
    "Column",
    "Commit",
    "CorruptError",
    "CursorLostError",
    "DatabaseStats",
    "Deleted",
    "DetachedError",
    "ExistingFileError",
    "Explain",
    "ExplainColumn",
    "FolderError",
    "Follower",
    "Frame",
    "ForkedError",
    "HardLinkedError",
    "History",
    "HistoryStats",
    "InvalidDataError",
    "InvalidKeyError",
    "InvalidOptionError",
    "InvalidPatternError",
    "IoError",
    "KeyNotFoundError",
    "LengthMismatchError",
    "LockedError",
    "MissingFileError",
    "NetworkFileSystemError",
    "NoSuchOffsetError",
    "NotADatabaseError",
    "OptionsConflictError",
    "OutOfMemoryError",
    "PoisonedError",
    "ReadOnlyError",
    "RecoveryReport",
    "RewriteReport",
    "SalvageReport",
    "Scan",
    "SerializationError",
    "Snapshot",
    "SynaDB",
    "SynaError",
    "TooLargeError",
    "TypeMismatchError",
    "UnsupportedColumnError",
    "UnsupportedError",
    "VerifyReport",
    "WriteBatch",
    "WriteStoppedError",
    "Written",
    "__version__",
    "open",
    "salvage",
]
