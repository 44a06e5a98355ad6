"""Every error of the library has its exception, with its facts."""

from __future__ import annotations

import errno
import inspect
import pickle

import pytest

import synadb
from synadb._synadb import _one_of_each_error

ERRORS = _one_of_each_error()

#: By variant: the class, another class it is as well, and attributes.
EXPECTED = {
    "NotADatabase": (synadb.NotADatabaseError, ValueError, {"path": "/data/house.syna"}),
    "IsDirectory": (synadb.FolderError, IsADirectoryError, {"filename": "/data/house.syna", "errno": 21}),
    "NotARegularFile": (synadb.NotADatabaseError, ValueError, {"path": "/data/house.syna"}),
    "NotFound": (synadb.MissingFileError, FileNotFoundError, {"errno": 2}),
    "AlreadyExists": (synadb.ExistingFileError, FileExistsError, {"errno": 17}),
    "UnsupportedVersion": (synadb.UnsupportedError, Exception, {"path": "/data/house.syna"}),
    "UnsupportedFeature": (synadb.UnsupportedError, Exception, {"offset": 12288}),
    "Corrupt": (
        synadb.CorruptError,
        Exception,
        {"offset": 12288, "last_good": 12288, "next_good": 16384},
    ),
    "Locked": (synadb.LockedError, Exception, {"pid": 42, "path": "/data/house.syna"}),
    "OptionsConflict": (synadb.OptionsConflictError, ValueError, {"option": "durability"}),
    "NoSuchOffset": (synadb.NoSuchOffsetError, ValueError, {"offset": 9, "end": 8}),
    "InvalidOption": (synadb.InvalidOptionError, ValueError, {"option": "every"}),
    "Detached": (synadb.DetachedError, Exception, {"path": "/data/house.syna"}),
    "ForkedHandle": (synadb.ForkedError, Exception, {}),
    "NotOpen": (synadb.ClosedError, Exception, {}),
    "Closed": (synadb.ClosedError, Exception, {}),
    "Poisoned": (synadb.PoisonedError, Exception, {"errno": None}),
    "ReadOnly": (synadb.ReadOnlyError, Exception, {}),
    "Busy": (synadb.BusyError, Exception, {}),
    "Cancelled": (synadb.CancelledError, Exception, {}),
    "CursorLost": (synadb.CursorLostError, Exception, {"cursor": "0-0-0-0"}),
    "EmptyKey": (synadb.InvalidKeyError, ValueError, {}),
    "KeyTooLong": (synadb.InvalidKeyError, ValueError, {}),
    "ValueTooLarge": (synadb.TooLargeError, ValueError, {"max": 1}),
    "BatchTooLarge": (synadb.TooLargeError, ValueError, {"max": 1}),
    "ColumnTooLarge": (synadb.TooLargeError, ValueError, {"max": 1}),
    "FrameTooLarge": (synadb.TooLargeError, ValueError, {"max": 1}),
    "DuplicateKey": (synadb.InvalidKeyError, ValueError, {"key": "kitchen/temp"}),
    "LengthMismatch": (synadb.LengthMismatchError, ValueError, {"timestamps": 1, "values": 2}),
    "KeyNotFound": (synadb.KeyNotFoundError, KeyError, {"key": "kitchen/temp"}),
    "TypeMismatch": (synadb.TypeMismatchError, TypeError, {"expected": "float", "found": "text"}),
    "InvalidPattern": (synadb.InvalidPatternError, ValueError, {"pattern": "["}),
    "NetworkFileSystem": (synadb.NetworkFileSystemError, Exception, {"path": "/data/house.syna"}),
    "HardLinked": (synadb.HardLinkedError, Exception, {"path": "/data/house.syna"}),
    "TornTailTooLong": (synadb.CorruptError, Exception, {"offset": 1}),
    "OutOfMemory": (synadb.OutOfMemoryError, MemoryError, {"bytes": 1 << 40}),
    "Serialization": (synadb.SerializationError, Exception, {}),
    "Io": (synadb.IoError, OSError, {"filename": "/data/house.syna"}),
    "ColumnNotFound": (synadb.InvalidDataError, ValueError, {"column": "key"}),
    "DuplicateColumn": (synadb.InvalidDataError, ValueError, {"column": "key"}),
    "UnsupportedColumn": (synadb.UnsupportedColumnError, TypeError, {"column": "key"}),
    "InvalidCell": (synadb.InvalidDataError, ValueError, {"column": "key", "row": 3}),
    "WriteStopped": (synadb.WriteStoppedError, Exception, {"rows": 1, "commits": 1}),
    "Arrow": (synadb.ArrowError, Exception, {}),
}


def test_every_variant_is_listed():
    assert set(ERRORS) == set(EXPECTED)


@pytest.mark.parametrize("variant", sorted(ERRORS))
def test_variant(variant):
    error = ERRORS[variant]
    cls, builtin, facts = EXPECTED[variant]
    assert type(error) is cls and isinstance(error, (synadb.SynaError, builtin))
    assert isinstance(error, builtin) and isinstance(error, synadb.SynaError)
    # And nothing else that somebody may catch by mistake.
    others = (OSError, ValueError, TypeError, LookupError, MemoryError)
    assert {other for other in others if isinstance(error, other)} <= {*builtin.__mro__, *cls.__mro__}
    assert builtin is not Exception or not isinstance(error, others)
    for name, value in facts.items():
        assert getattr(error, name) == value, name
    text = str(error)
    assert text and not text.startswith(("'", '"')), "a sentence, not its repr"
    with pytest.raises(builtin):
        raise error


def test_the_forked_error_names_the_way_out():
    assert "db.reader()" in str(ERRORS["ForkedHandle"])


def test_numbers_of_the_system_have_their_exceptions():
    for number, expected in {
        errno.ENOENT: synadb.MissingFileError,
        errno.EEXIST: synadb.ExistingFileError,
        errno.EISDIR: synadb.FolderError,
        errno.EACCES: synadb.AccessError,
        errno.EPERM: synadb.AccessError,
        errno.ENOSPC: synadb.IoError,
    }.items():
        error = synadb._errors._made(synadb.IoError, "as it is", {"errno": number, "filename": "a"})
        assert type(error) is expected and isinstance(error, type(OSError(number, "")))
        assert (error.errno, error.filename, error.strerror, str(error)) == (number, "a", "as it is", "as it is")


def test_the_read_only_error_names_the_way_out():
    assert 'mode "r+"' in str(ERRORS["ReadOnly"])


def test_a_stopped_write_has_its_reason():
    assert isinstance(ERRORS["WriteStopped"].__cause__, synadb.ClosedError)


def test_every_exception_is_public():
    errors = inspect.getmembers(synadb._errors, inspect.isclass)
    public = {name for name, cls in errors if issubclass(cls, Exception) and not name.startswith("_")}
    assert public <= set(synadb.__all__)


@pytest.mark.parametrize("name", sorted(set(synadb.__all__) & {n for n in dir(synadb) if n.endswith("Error")}))
def test_anyone_may_raise_them(name):
    """`str()` of one that did not come from the extension module, a stub in someone's tests for example,
    was an AttributeError; so was a pickle of it."""
    base = getattr(synadb, name)
    error = type("Mine", (base,), {})("as it is")
    assert str(error) == error.message == "as it is" and error.args == ("as it is",)
    again = pickle.loads(pickle.dumps(base("as it is")))
    assert type(again) is base and str(again) == "as it is"
    assert str(base()) == ""
