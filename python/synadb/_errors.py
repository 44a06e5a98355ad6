"""What can go wrong, as exceptions whose attributes carry the facts.

Every error of the store is a `SynaError`. Where Python has a notion of its own for it (a missing key, a
missing file, a wrong type), the exception is that, too, so that code which knows nothing of this package
handles it as usual.
"""

from __future__ import annotations

import errno as _errno
from typing import Any


class SynaError(Exception):
    """Base of everything that this package raises about a database.

    `str()` of it is a sentence; what decides the next step is in attributes, named in each class.
    """

    message: str

    def __init__(self, *args: Any) -> None:
        # Whoever raises one of these, or of a class of their own, may do it as with any exception.
        super().__init__(*args)
        self.message = ", ".join(map(str, args))

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self.message, self._facts, self.__cause__)

    _facts: dict[str, Any] = {}


class KeyNotFoundError(SynaError, KeyError):
    """The key has no point: it never had one, or it was deleted. Attribute `key`."""

    key: str


class TypeMismatchError(SynaError, TypeError):
    """A value is of another kind than the one asked for. Attributes `key`, `expected`, `found`."""

    key: str
    expected: str
    found: str


class InvalidKeyError(SynaError, ValueError):
    """A key is empty, has more than 65,535 bytes, or is named twice where it may be named once."""


class InvalidOptionError(SynaError, ValueError):
    """An option has a value that is not allowed. Attribute `option` where there is one."""


class InvalidPatternError(SynaError, ValueError):
    """A pattern of keys cannot be read. Attribute `pattern`."""

    pattern: str


class LengthMismatchError(SynaError, ValueError):
    """Timestamps and values differ in number. Attributes `timestamps`, `values`."""

    timestamps: int
    values: int


class TooLargeError(SynaError, ValueError):
    """A value, a batch or an array is larger than it may be. Attribute `max` where there is one."""


class InvalidDataError(SynaError, ValueError):
    """Rows that were to be written cannot be: a column is missing or named twice, a cell is no value.

    Attributes `column`, `row` where there are such. Nothing was written.
    """


class UnsupportedColumnError(InvalidDataError, TypeError):
    """A column has a type that cannot be stored. Attribute `column`."""

    column: str


class WriteStoppedError(SynaError):
    """A write of many record batches stopped after some were committed. These stay.

    Attributes `rows` and `commits`; `__cause__` is why it went no further.
    """

    rows: int
    commits: int


class ArrowError(SynaError):
    """The stream whose record batches were to be written failed."""


class ClosedError(SynaError):
    """The database was closed."""


class ReadOnlyError(SynaError):
    """The handle is for reading only."""


class ForkedError(SynaError):
    """A writer's handle, or something made from it, was used in a forked child.

    Open the database there by `db.reader()`, or before the fork.
    """


class DetachedError(SynaError):
    """The file at the path is no longer the one that was opened. Attribute `path`."""

    path: str


class LockedError(SynaError):
    """Another process writes to the database. Attributes `path`, `pid` (None if it is not known)."""

    path: str
    pid: int | None


class OptionsConflictError(SynaError, ValueError):
    """The database is open in this process with other options. Attributes `path`, `option`."""

    path: str
    option: str


class PoisonedError(SynaError):
    """A sync failed: writes are refused until the database is opened again. Attribute `errno`."""

    errno: int | None


class BusyError(SynaError):
    """A rewrite of the database is running already."""


class CancelledError(SynaError):
    """A rewrite was ended by its progress callback; the file is as it was."""


class CursorLostError(SynaError):
    """What came behind a cursor cannot be told any more. Attribute `cursor`."""

    cursor: str


class NoSuchOffsetError(SynaError, ValueError):
    """No append has returned this offset. Attributes `offset`, `end`."""


class CorruptError(SynaError):
    """Stored bytes are damaged; nothing was changed on disk, and `salvage` copies what is intact.

    Attributes `offset` (where it was noticed), `last_good` (end of the last intact commit before it),
    `next_good` (the next intact entry, or None).
    """

    offset: int
    last_good: int | None
    next_good: int | None


class NotADatabaseError(SynaError, ValueError):
    """The file is not one of this store; it was left untouched. Attribute `path`."""

    path: str


class UnsupportedError(SynaError):
    """The file was written by a newer version, or uses a feature this one does not know."""


class HardLinkedError(SynaError):
    """The file has other hard links, which a rewrite would leave behind. Attribute `path`."""

    path: str


class NetworkFileSystemError(SynaError):
    """The file is on a network file system, where locks and maps are not reliable. Attribute `path`."""

    path: str


class SerializationError(SynaError):
    """Bytes could not be encoded or decoded as a value."""


class OutOfMemoryError(SynaError, MemoryError):
    """An allocation whose size the data decides was refused. Attribute `bytes`."""

    bytes: int


class IoError(SynaError, OSError):
    """The operating system refused an operation. Attributes `errno`, `filename`, as of any OSError."""


class MissingFileError(IoError, FileNotFoundError):
    """There is no file, or no folder to make it in."""


class ExistingFileError(IoError, FileExistsError):
    """There is a file where a new one was asked for."""


class FolderError(IoError, IsADirectoryError):
    """The path names a folder."""


class AccessError(IoError, PermissionError):
    """The operating system does not allow it."""


_BY_ERRNO: dict[object, type[IoError]] = {
    _errno.ENOENT: MissingFileError,
    _errno.EEXIST: ExistingFileError,
    _errno.EISDIR: FolderError,
    _errno.EACCES: AccessError,
    _errno.EPERM: AccessError,
}


def _made(
    cls: type[SynaError],
    message: str,
    facts: dict[str, Any],
    cause: BaseException | None = None,
) -> SynaError:
    """The exception with its facts: what the extension module calls, and unpickling."""
    if cls is IoError:
        cls = _BY_ERRNO.get(facts.get("errno"), IoError)
    error = cls(message)
    error.message = message
    error._facts = facts
    for name, value in facts.items():
        setattr(error, name, value)
    if isinstance(error, OSError):
        error.strerror = message
    if cause is not None:
        error.__cause__ = cause
    return error
