from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import Any, Literal, TypeVar, final, overload

from ._errors import SynaError
from ._records import (
    Commit,
    DatabaseStats,
    Explain,
    HistoryStats,
    RecoveryReport,
    RewriteReport,
    SalvageReport,
    VerifyReport,
    Written,
)
from ._types import (
    Aggregate,
    ArrowArray,
    ArrowStream,
    AsType,
    Every,
    OnMismatch,
    Order,
    Progress,
    Stamp,
    Stored,
    Value,
)

__all__ = [
    "Batch",
    "Column",
    "Follower",
    "Frame",
    "History",
    "Scan",
    "Snapshot",
    "SynaDB",
    "WriteBatch",
    "__version__",
    "_main",
    "_one_of_each_error",
    "salvage",
]

__version__: str

_Default = TypeVar("_Default")

@final
class SynaDB:
    """An open database: one append-only file of `key -> history`.

    `synadb.open` is this class. A context manager that closes; safe to share between threads. In one process
    a second open of the same file is the same database, and `close` ends one open of it. In a forked child a
    read-only handle opens the same commit for itself; a writer's raises `ForkedError`. A pickle of it opens
    for reading at the commit that was the newest then.

    `len(db)` is the number of live keys, `key in db` whether a key is live, iteration goes over the live keys
    in bytewise order.
    """

    def __new__(
        cls,
        path: str | bytes | PathLike[str] | PathLike[bytes],
        *,
        mode: Literal["r", "r+", "a", "x"] = "a",
        durability: Literal["full", "os", "buffered"] = "full",
        buffer_size_bytes: int = 262144,
        buffer_interval_ms: int = 100,
        enable_delta: bool = True,
        enable_compression: bool = True,
        tail_budget_bytes: int = 67108864,
        column_cache_bytes: int = 268435456,
        buffer_pool_bytes: int = 268435456,
        refresh_interval_ms: int = 1,
        allow_network_fs: bool = False,
        auto_optimize: bool = False,
        auto_optimize_min_bytes: int = 268435456,
    ) -> SynaDB:
        """Opens the database at `path`, or a new one in memory for ":memory:" (whose "full" is "os").

        `mode`: "a" writes what exists or is made, "r+" writes what exists, "x" makes what must not exist,
        "r" reads, beside any writer.

        `durability`: with "full" an append returns when it survives power loss, with "os" when it survives
        the end of the process, with "buffered" when this process sees it (a buffer of `buffer_size_bytes`, 4 KiB
        to 16 MiB, is written out at the latest after `buffer_interval_ms`).

        `enable_delta` and `enable_compression` allow encodings; with both off, columns lie in the file as
        Arrow wants them and are read without a copy. `column_cache_bytes` keep decoded columns for the next
        read, `buffer_pool_bytes` released memory. A reader looks for new commits by itself when its view is
        older than `refresh_interval_ms`.

        Raises LockedError, NotADatabaseError, UnsupportedError, CorruptError, OptionsConflictError,
        IoError (MissingFileError is a FileNotFoundError, ExistingFileError a FileExistsError).
        """

    @property
    def path(self) -> str:
        """The path as it was given when the database was opened first."""

    @property
    def mode(self) -> str:
        """The mode it was opened in."""

    @property
    def durability(self) -> str:
        """The durability in force."""

    @property
    def read_only(self) -> bool:
        """Whether the handle refuses to write."""

    @property
    def durable_offset(self) -> int:
        """All entries below this offset are durable."""

    @property
    def recovery(self) -> RecoveryReport:
        """What opening found, and what it cut."""

    def __enter__(self) -> SynaDB:
        """Itself."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Closes, unless it was closed before."""

    def close(self) -> None:
        """Ends this open; the last one in the process leaves a clean file. Arrays handed out stay valid.

        Raises ClosedError if it was closed before, and what kept the file from being left clean.
        """

    def append(
        self, key: str, value: Value | Any, timestamp: Stamp | None = None, *, floor: bool = False
    ) -> int:
        """Appends a value, with the present time unless one is given; returns the offset of its entry.

        Durable on return as `durability` says. Raises InvalidKeyError, TooLargeError, TypeError,
        OverflowError, ReadOnlyError, ClosedError, ForkedError, IoError, PoisonedError, DetachedError.
        """

    def append_batch(
        self,
        key: str,
        values: ArrowArray | ArrowStream | Iterable[Value] | Any,
        timestamps: ArrowArray | ArrowStream | Iterable[Stamp] | Any | None = None,
        *,
        floor: bool = False,
    ) -> int:
        """Appends many points of one key as one commit; returns the offset of its first entry.

        Values and timestamps are NumPy arrays, any Arrow array, `array.array`, `memoryview`, or iterables.
        NumPy's and Arrow's 64-bit numbers are read where they lie; nobody may change them meanwhile. Without
        timestamps all get the present time. Where there are none, the offset is where the log ends. From 32
        points on they are stored as columns. A Series of pandas 3
        says of its NaNs that they are null; `to_numpy()` of it keeps them.

        Raises LengthMismatchError, InvalidDataError for an item of an Arrow array that cannot be stored,
        otherwise as `append`.
        """

    def append_row(
        self,
        row: Mapping[str, Value] | Any,
        timestamp: Stamp | None = None,
        *,
        floor: bool = False,
    ) -> int:
        """Appends one sample of many keys as one commit; returns the offset of its first entry.

        All with one timestamp. Raises as `append`; nothing is appended then.
        """

    def batch(self) -> WriteBatch:
        """Begins an atomic batch over any keys: `with db.batch() as batch: ...`."""

    def write(
        self,
        data: ArrowStream | ArrowArray | Any,
        *,
        key_column: str = "key",
        time_column: str = "timestamp",
        value_column: str = "value",
        atomic: bool = False,
        floor: bool = False,
        write_budget_bytes: int = 1073741824,
    ) -> Written:
        """Writes rows of key, timestamp and value, from anything with an Arrow stream or array.

        That is frames and tables of Polars, pandas, pyarrow, relations of DuckDB, scans of this package, and
        bare capsules (a stream, or a pair of a schema and an array). Each record batch is one commit, or all are one with `atomic=True` (at most
        `write_budget_bytes` are staged). A batch is checked as a whole before anything of it is written.

        Raises InvalidDataError, UnsupportedColumnError, WriteStoppedError (some batches were committed),
        ArrowError, otherwise as `append`. Ctrl-C stops it between two batches at the latest.
        """

    def write_wide(
        self,
        data: ArrowStream | ArrowArray | Any,
        *,
        time_column: str = "timestamp",
        prefix: str = "",
        atomic: bool = False,
        floor: bool = False,
        write_budget_bytes: int = 1073741824,
    ) -> Written:
        """Writes rows with one column for each key, whose name `prefix` is put before; else as `write`."""

    def delete(self, key: str) -> bool:
        """Deletes a key; true if there was something to delete. The bytes stay until a rewrite."""

    def __delitem__(self, key: str, /) -> None:
        """Deletes a key; KeyNotFoundError if there is none."""

    def __setitem__(self, key: str, value: Any, /) -> None:
        """Always a TypeError: `append` adds to a history, nothing is replaced."""

    @overload
    def get(self, key: str, default: None = None) -> Stored:
        """The value that was appended last, None for a null; `default` if there is no such key."""

    @overload
    def get(self, key: str, default: _Default) -> Stored | _Default: ...
    @overload
    def get_at(self, key: str, when: Stamp, default: None = None) -> Stored:
        """The value as of a time: of the point with the greatest timestamp that is not after it, of several the
        one appended last. `default` if there is none."""

    @overload
    def get_at(self, key: str, when: Stamp, default: _Default) -> Stored | _Default: ...
    def get_point(self, key: str) -> tuple[datetime, Stored] | None:
        """The point that was appended last as (datetime, value), or None."""

    def latest(self, pattern: str = "*") -> Batch:
        """The latest point of every live key that matches: `key`, `timestamp`, `value`, all of one commit."""

    def __contains__(self, key: object, /) -> bool:
        """Whether the key has a live point."""

    def __len__(self) -> int:
        """Number of live keys."""

    def __iter__(self) -> Iterator[str]:
        """The live keys in bytewise order."""

    def __bool__(self) -> bool:
        """True, also for an empty database."""

    def keys(self, pattern: str | None = None) -> list[str]:
        """The live keys, or those that match, in bytewise order.

        `*` stands for any characters (also `/`), `?` for one, `[a-z]` for one of these, `[!a-z]` for one of the
        others; `\\` takes the next literally. Raises InvalidPatternError.
        """

    def types(self, key: str) -> list[str]:
        """The kinds in the history of a key: "null", "float", "int", "text", "bytes".

        KeyNotFoundError if there is none.
        """

    def __getitem__(self, key: str, /) -> History:
        """The history of a key; KeyNotFoundError if there is none."""

    def history(
        self,
        key: str,
        *,
        start: Stamp | None = None,
        end: Stamp | None = None,
        rows: slice | range | tuple[int, int] | None = None,
        as_type: AsType | None = None,
        on_mismatch: OnMismatch = "raise",
        order: Order = "append",
    ) -> History:
        """The history of a key: of times in `[start, end)`, of these rows, in this type and order.

        `rows` are counted in the whole history, from its end where they are negative. `order` is "append", or
        "time", in which points of one moment keep the order of their appends.

        Values of several kinds leave as a struct `{kind, float, int, text, bytes}` unless `as_type` asks for
        one; values that do not fit it raise, become null or are skipped by `on_mismatch`. Raises
        KeyNotFoundError.
        """

    def scan(
        self,
        pattern: str = "*",
        *,
        start: Stamp | None = None,
        end: Stamp | None = None,
        columns: Sequence[str] | None = None,
        batch_size: int | None = None,
        as_type: AsType | None = None,
        on_mismatch: OnMismatch = "raise",
        order: Order = "append",
    ) -> Scan:
        """The histories of all keys that match, as one Arrow stream of key, timestamp, value.

        `columns` are those that are wanted; they come in that order, however they are named. `batch_size` is
        how many rows a batch of the stream has at most; otherwise about a million. The rest is as in `history`,
        and one type is found for the values of all keys. A pattern that matches none is a stream without rows.
        Raises InvalidPatternError, and InvalidOptionError for a `batch_size` of 0 when it is read.
        """

    def frame(
        self,
        keys: str | Sequence[str],
        *,
        every: Every | None = None,
        start: Stamp | None = None,
        end: Stamp | None = None,
        align: Literal["backward", "forward", "nearest"] = "backward",
        fill: Literal["last"] | int | float | None = None,
        tolerance: Every | None = None,
        as_type: AsType | None = None,
        on_mismatch: OnMismatch = "raise",
    ) -> Frame:
        """Many keys side by side on one axis of time: a row each moment, a column each key.

        `keys` is a pattern, or the keys in the order of the columns. Rows are a step of `every` apart, from
        `start` to before `end` or, where one of these is left out, as far as there are points; or at every
        timestamp that any of the keys has. A row sees of each key the point at or before it (`align`),
        not further away than `tolerance`; where it sees none, or a null, `fill` stands: null, the "last" value
        above, or a number. Raises KeyNotFoundError, InvalidKeyError for a key named twice, TooLargeError.
        """

    def snapshot(self) -> Snapshot:
        """A view of the newest commit that never changes."""

    def reader(self) -> SynaDB:
        """A read-only handle on the same file, also in a forked child of a writer."""

    def follow(
        self,
        keys: str | Iterable[str] | None = None,
        *,
        start: str | None = None,
        timeout: float | None = None,
    ) -> Follower:
        """Follows keys (a pattern, or keys one by one): the commits that change them, in order.

        From now on, or from `start`: "now", "beginning", or a cursor. Iteration ends when no commit came for
        `timeout` seconds; by default it goes on for ever. Raises CursorLostError.
        """

    def flush(self) -> None:
        """Hands everything appended so far to the operating system."""

    def sync(self) -> None:
        """Makes everything appended so far durable."""

    def wait_durable(self, offset: int) -> None:
        """Returns when the entry at an offset, as an append returned it, is durable, and all before it.

        Raises NoSuchOffsetError if none has returned it.
        """

    def checkpoint(self) -> None:
        """Writes an image of the index, so that the next opening is faster. Done by itself at close."""

    def refresh(self) -> bool:
        """Moves a read-only handle to the newest commit, over rewrites, too; true if it moved.

        A writer sees its own commits at once, so that there it is never true.
        """

    def trim(self) -> int:
        """Returns cached memory that nobody holds to the system; how many bytes the buffer pool had of it."""

    def compact(self, *, progress: Progress = None) -> RewriteReport:
        """Rewrites the file with only the latest point of each live key.

        Appends and reads go on meanwhile; a crash leaves the old file or the new one. Ctrl-C, and what
        `progress` raises, leave the file as it is, unless the rewrite was done by then: `progress` hears of the
        end, too. Raises BusyError, CorruptError, IoError.
        """

    def optimize(self, *, cold: bool = False, progress: Progress = None) -> RewriteReport:
        """Rewrites the file with all live history in large chunks; `cold` for the smallest. As `compact`."""

    def retain(
        self, policy: Mapping[str, int | datetime | Any], *, progress: Progress = None
    ) -> RewriteReport:
        """Rewrites the file with the newest part of histories, as `optimize`.

        `policy` has by pattern the number of last rows that are kept, or the time from which on rows are; the
        first pattern that matches a key decides, and a key that none matches is kept whole.
        """

    def verify(self, *, progress: Progress = None) -> VerifyReport:
        """Reads the whole file and checks every checksum. Raises CorruptError with the first damage."""

    def backup(self, to: str | bytes | PathLike[str] | PathLike[bytes]) -> None:
        """Copies everything up to the newest commit to a new file, while a writer goes on.

        Raises IoError (ExistingFileError is a FileExistsError).
        """

    def stats(self) -> DatabaseStats:
        """Figures about the database."""

    @classmethod
    def _open_at(cls, path: str, cursor: str) -> SynaDB: ...
    def _history_again(self, key: str, asked: Any) -> History: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Snapshot:
    """The database as of one commit: all that is read through it agrees and never changes.

    A pickle of it is the same snapshot, in any process, until the file is rewritten.
    """

    @property
    def commit_end(self) -> int:
        """Where the log ended at this commit."""

    @overload
    def get(self, key: str, default: None = None) -> Stored:
        """The latest value of a key, as `SynaDB.get`."""

    @overload
    def get(self, key: str, default: _Default) -> Stored | _Default: ...
    @overload
    def get_at(self, key: str, when: Stamp, default: None = None) -> Stored:
        """The value of a key as of a time, as `SynaDB.get_at`."""

    @overload
    def get_at(self, key: str, when: Stamp, default: _Default) -> Stored | _Default: ...
    def latest(self, pattern: str = "*") -> Batch:
        """The latest point of every live key that matches, as `SynaDB.latest`."""

    def __contains__(self, key: object, /) -> bool:
        """Whether the key has a live point."""

    def __len__(self) -> int:
        """Number of live keys. Cost: all keys."""

    def __iter__(self) -> Iterator[str]:
        """The live keys in bytewise order."""

    def __bool__(self) -> bool:
        """True, also for an empty database."""

    def keys(self, pattern: str | None = None) -> list[str]:
        """The live keys, or those that match, as `SynaDB.keys`."""

    def types(self, key: str) -> list[str]:
        """The kinds in the history of a key."""

    def __getitem__(self, key: str, /) -> History:
        """The history of a key as of this commit."""

    def history(
        self,
        key: str,
        *,
        start: Stamp | None = None,
        end: Stamp | None = None,
        rows: slice | range | tuple[int, int] | None = None,
        as_type: AsType | None = None,
        on_mismatch: OnMismatch = "raise",
        order: Order = "append",
    ) -> History:
        """The history of a key as of this commit, as `SynaDB.history`."""

    def scan(
        self,
        pattern: str = "*",
        *,
        start: Stamp | None = None,
        end: Stamp | None = None,
        columns: Sequence[str] | None = None,
        batch_size: int | None = None,
        as_type: AsType | None = None,
        on_mismatch: OnMismatch = "raise",
        order: Order = "append",
    ) -> Scan:
        """Many histories as of this commit, as `SynaDB.scan`."""

    def frame(
        self,
        keys: str | Sequence[str],
        *,
        every: Every | None = None,
        start: Stamp | None = None,
        end: Stamp | None = None,
        align: Literal["backward", "forward", "nearest"] = "backward",
        fill: Literal["last"] | int | float | None = None,
        tolerance: Every | None = None,
        as_type: AsType | None = None,
        on_mismatch: OnMismatch = "raise",
    ) -> Frame:
        """Many keys side by side as of this commit, as `SynaDB.frame`."""

    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class WriteBatch:
    """Changes that take effect together, or not at all.

    `with db.batch() as batch:` commits at the end of the block; an exception that leaves it discards the batch.
    One thread at a time uses it.
    """

    def append(
        self, key: str, value: Value | Any, timestamp: Stamp | None = None, *, floor: bool = False
    ) -> None:
        """Adds a value."""

    def append_batch(
        self,
        key: str,
        values: ArrowArray | ArrowStream | Iterable[Value] | Any,
        timestamps: ArrowArray | ArrowStream | Iterable[Stamp] | Any | None = None,
        *,
        floor: bool = False,
    ) -> None:
        """Adds many points of one key. They are copied."""

    def write(
        self,
        data: ArrowStream | ArrowArray | Any,
        *,
        key_column: str = "key",
        time_column: str = "timestamp",
        value_column: str = "value",
        floor: bool = False,
        write_budget_bytes: int = 1073741824,
    ) -> None:
        """Adds rows of key, timestamp and value, from all that `SynaDB.write` takes. They are copied.

        All of them or, where something is refused, none: the batch is as it was then. At most
        `write_budget_bytes` a call. Raises as `SynaDB.write` with `atomic=True`.
        """

    def write_wide(
        self,
        data: ArrowStream | ArrowArray | Any,
        *,
        time_column: str = "timestamp",
        prefix: str = "",
        floor: bool = False,
        write_budget_bytes: int = 1073741824,
    ) -> None:
        """Adds rows with one column for each key, whose name `prefix` is put before; else as `write`."""

    def delete(self, key: str) -> None:
        """Deletes a key, points added to it before included."""

    def commit(self) -> int:
        """Commits; returns the offset of the first entry."""

    def discard(self) -> None:
        """Forgets all changes."""

    def __len__(self) -> int:
        """Number of changes."""

    def __bool__(self) -> bool:
        """True, also for an empty batch."""

    def __enter__(self) -> WriteBatch:
        """Itself."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Commits, or discards the batch after an exception."""

@final
class History:
    """The live points of one key as of one commit, as an Arrow stream.

    Nothing is read until it is asked for; all that is asked agrees for ever. Columns: `timestamp`,
    Timestamp(us, UTC) without nulls, and `value`: Float64, Int64, Utf8, Binary by the kinds of the whole live
    history (ints within 2**53 among floats are floats), or a struct `{kind, float, int, text, bytes}`.

    `pl.DataFrame(h)`, `pd.DataFrame.from_arrow(h)`, `pa.table(h)`, DuckDB's `from h` and `np.asarray(h)` read
    it, any number of times. Columns that lie raw in the file, or that an earlier read left in the cache, leave
    without a copy; `explain()` says which.

    `h[i]` is a point as (datetime, value), `h[a:b]` a history of these rows, `h[t0:t1]` one of these times. With
    `order="time"` there are no rows to cut, and one point is found by reading all.
    """

    @property
    def key(self) -> str:
        """The key."""

    @property
    def type(self) -> str:
        """The Arrow type of the values, as text."""

    def __len__(self) -> int:
        """Number of points."""

    @overload
    def __getitem__(self, index: int, /) -> tuple[datetime, Stored]: ...
    @overload
    def __getitem__(self, index: slice, /) -> History: ...
    def __iter__(self) -> Iterator[tuple[datetime, Stored]]:
        """The points as (datetime, value); all are read first.

        OverflowError where a datetime does not reach (years 1 to 9999), as from `h[i]`.
        """

    def last(self, count: int) -> History:
        """The last `count` points in append order."""

    @property
    def first_row(self) -> tuple[datetime, Stored] | None:
        """The first point, or None."""

    @property
    def last_row(self) -> tuple[datetime, Stored] | None:
        """The last point, or None."""

    def refresh(self) -> History:
        """The same question to the newest commit. Rows stay those that they were: of `h.last(5)` the same five."""

    def read(self) -> Batch:
        """All points in one piece."""

    @property
    def values(self) -> Column:
        """The values in one piece."""

    @property
    def timestamps(self) -> Column:
        """The timestamps in one piece."""

    def __arrow_c_schema__(self) -> object:
        """The schema, in a capsule."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """All points as batches of about a million rows, in a capsule; anew each time.

        Types that `requested_schema` asks for are given where every value survives the cast.
        """

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """The values as `to_numpy()`, for `numpy.asarray`."""

    def to_numpy(
        self,
        *,
        nulls: Literal["raise", "nan", "mask", "object"] | int | float | None = None,
    ) -> Any:
        """The values as a NumPy array of `len(h)` items.

        Shares memory, read-only, where nothing has to be filled in. Nulls are NaN among floats; among ints they
        raise ValueError unless `nulls` is "nan" (floats, also without nulls; ValueError beyond 2**53), "mask" (a
        masked array), "object", or the number to put there. Texts and bytes are objects, nulls None. Values of several kinds raise
        TypeError: ask for one by `as_type`.
        """

    def _owned_floats(self) -> Any: ...
    def to_torch(self, *, copy: bool = True) -> Any:
        """The values as a `torch.Tensor` of float64 that owns its memory and may be written, nulls as NaN.

        TypeMismatchError for other kinds and for ints beyond 2**53. With `copy=False` by DLPack, without a copy
        where the PyTorch there is knows DLPack 1.0: then ints stay ints, and nulls are a BufferError.
        """

    def to_polars(self) -> Any:
        """As a `polars.DataFrame`; numbers without a copy."""

    def to_pandas(self) -> Any:
        """As a `pandas.DataFrame`; pandas copies."""

    def to_pyarrow(self) -> Any:
        """As a `pyarrow.Table`, without a copy."""

    def to_pylist(self) -> list[tuple[datetime, Stored]]:
        """The points as (datetime, value)."""

    def stats(self) -> HistoryStats:
        """Counts, extremes, sum, mean, first and last, mostly without reading the values."""

    def resample(
        self,
        every: Every,
        aggregates: Aggregate | Sequence[Aggregate] | None = None,
        *,
        empty: bool = False,
    ) -> Batch:
        """One row for each bucket of time that holds a point (with `empty` also for the others).

        Columns: `timestamp`, the start of the bucket, and one for each aggregate; default the mean. Buckets
        are `[k * every, (k + 1) * every)`, counted from 1970-01-01 UTC. Counts are Int64, the mean is Float64,
        the others are Int64 where all numbers are ints (Decimal128 for a sum that does not fit), Float64
        otherwise, and null where a bucket has no number. Raises InvalidOptionError, TooLargeError.
        """

    def downsample(self, count: int, *, method: Literal["minmax", "lttb"] = "minmax") -> Batch:
        """At most `count` (3 or more) of the points, those which a plot of all of them would show, by time.

        Only numbers count. Columns: `timestamp`, and `value`, Int64 where all numbers are ints. Raises
        TypeMismatchError where there are texts or bytes and no number, InvalidOptionError for less than 3.
        """

    def explain(self) -> Explain:
        """What reading would cost now: mapped, cached, decoded or copied, and why."""

    def plot(self, *, ax: Any = None, points: int = 2000) -> Any:
        """Draws at most `points` of the points with matplotlib; returns the axes."""

    def _repr_html_(self) -> str: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Scan:
    """The live points of all keys that match, as of one commit, as an Arrow stream.

    Columns: `key` (a dictionary), `timestamp`, `value`. Rows come key by key in bytewise order. Read as often
    as you like; all reads agree.
    """

    @property
    def keys(self) -> list[str]:
        """The keys that matched."""

    def __len__(self) -> int:
        """Number of rows."""

    def read(self) -> Batch:
        """All rows in one piece."""

    def __arrow_c_schema__(self) -> object:
        """The schema, in a capsule."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """All rows in batches, in a capsule; anew each time."""

    def narrowed(
        self,
        *,
        start: Stamp | None = None,
        end: Stamp | None = None,
        columns: Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> Scan:
        """The same scan of fewer times or columns."""

    def __bool__(self) -> bool:
        """True, also without rows."""

    @property
    def type(self) -> str | None:
        """The Arrow type of the values, as text; None if they were not asked for."""

    def _only(self, key: str, as_type: str) -> Scan: ...
    def _batches(self) -> Iterator[Batch]: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def lazy(self) -> Any:
        """As a `polars.LazyFrame`.

        Predicates on key and timestamp, and the columns wanted, are pushed down; every predicate is applied
        again before rows leave.
        """

    def explain(self) -> Explain:
        """What reading would cost now, and why."""

    def to_polars(self) -> Any:
        """As a `polars.DataFrame`."""

    def to_pandas(self) -> Any:
        """As a `pandas.DataFrame`."""

    def to_pyarrow(self) -> Any:
        """As a `pyarrow.Table`."""

@final
class Frame:
    """Many keys side by side on one axis of time, as of one commit, as an Arrow stream.

    Columns: `timestamp`, and one for each key.
    """

    @property
    def keys(self) -> list[str]:
        """The keys, in the order of the columns."""

    def read(self) -> Batch:
        """All rows in one piece."""

    def __arrow_c_schema__(self) -> object:
        """The schema, in a capsule."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """All rows in batches, in a capsule; anew each time."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """As `to_numpy()`, for `numpy.asarray`; always a copy."""

    def to_numpy(self) -> Any:
        """A two-dimensional array of float64: a row each moment, a column each key, NaN where nothing is.

        TypeMismatchError for other kinds and for ints beyond 2**53, unless `on_mismatch` says what becomes of them.
        """

    def to_polars(self) -> Any:
        """As a `polars.DataFrame`."""

    def to_pandas(self) -> Any:
        """As a `pandas.DataFrame`."""

    def to_pyarrow(self) -> Any:
        """As a `pyarrow.Table`."""

    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Batch:
    """Columns of one length in one piece of memory, as an Arrow record batch.

    It stays valid whatever happens to the database. `batch["value"]` is a Column, `batch[a:b]` the batch of
    these rows (shared), `batch[i]` a row as a tuple.
    """

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    @property
    def num_columns(self) -> int:
        """Number of columns."""

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""

    def __len__(self) -> int:
        """Number of rows."""

    @overload
    def __getitem__(self, index: str, /) -> Column: ...
    @overload
    def __getitem__(self, index: slice, /) -> Batch: ...
    @overload
    def __getitem__(self, index: int, /) -> tuple[Any, ...]: ...
    def to_pydict(self) -> dict[str, list[Any]]:
        """The columns as lists of Python objects, by name."""

    def __arrow_c_schema__(self) -> object:
        """The schema, in a capsule."""

    def __arrow_c_array__(
        self, requested_schema: object | None = None
    ) -> tuple[object, object]:
        """Schema and array, in capsules; shared memory."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The batch as a stream, in a capsule; anew each time."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """As `to_numpy()`, for `numpy.asarray`; always a copy."""

    def to_numpy(self) -> Any:
        """A two-dimensional array of float64: a row each, the columns but timestamps and a scan's keys, nulls as NaN.

        TypeError for columns of texts, bytes or several kinds, ValueError for ints that are no exact float64.
        """

    def to_polars(self) -> Any:
        """As a `polars.DataFrame`."""

    def to_pandas(self) -> Any:
        """As a `pandas.DataFrame`."""

    def to_pyarrow(self) -> Any:
        """As a `pyarrow.Table`."""

@final
class Column:
    """Values or timestamps in one piece of memory, as an Arrow array.

    Any Arrow library, NumPy and (by DLPack) PyTorch read it. It stays valid whatever happens to the database.
    """

    @property
    def name(self) -> str:
        """The name: "timestamp", "value", or that of an aggregate."""

    @property
    def type(self) -> str:
        """The Arrow type, as text."""

    @property
    def null_count(self) -> int:
        """Number of nulls."""

    def __len__(self) -> int:
        """Number of items."""

    @overload
    def __getitem__(self, index: int, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> Column: ...
    def __arrow_c_schema__(self) -> object:
        """The type, in a capsule."""

    def __arrow_c_array__(
        self, requested_schema: object | None = None
    ) -> tuple[object, object]:
        """Type and array, in capsules; shared memory."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The array as a stream of one, in a capsule."""

    def __iter__(self) -> Iterator[Any]:
        """The items as Python objects, as `to_pylist`, made of a block at a time."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """As `to_numpy()`, for `numpy.asarray`."""

    def to_numpy(
        self,
        *,
        nulls: Literal["raise", "nan", "mask", "object"] | int | float | None = None,
    ) -> Any:
        """The values as a NumPy array, as `History.to_numpy`. Timestamps are `datetime64[us]`."""

    def to_pylist(self) -> list[Any]:
        """The values as Python objects."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """The CPU."""

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A tensor of DLPack: shared and read-only for consumers of version 1.0, an owned copy for others.

        Raises BufferError for nulls, texts and bytes.
        """

@final
class Follower:
    """Delivers the commits that change the followed keys, in order: an iterator and an async iterator.

    Every commit is delivered once and whole, beside any writer, over rewrites of the file. `cursor` is kept to
    go on later, also in another process.
    """

    @property
    def cursor(self) -> str:
        """Where to go on after the commits that were delivered."""

    def next(self, timeout: float | None = None) -> Commit | None:
        """The next commit; None if none came within `timeout` seconds."""

    def __iter__(self) -> Follower:
        """Itself."""

    def __next__(self) -> Commit:
        """The next commit, waited for as long as `follow` was told."""

    def _ready(self, timeout: float) -> bool: ...
    def __aiter__(self) -> Any:
        """The commits, without blocking the event loop."""

def salvage(
    source: str | bytes | PathLike[str] | PathLike[bytes],
    target: str | bytes | PathLike[str] | PathLike[bytes],
    *,
    progress: Progress = None,
) -> SalvageReport:
    """Copies every intact commit of a damaged file to a new one, and lists what is missing."""

def _main(args: Sequence[str]) -> int: ...
def _one_of_each_error() -> dict[str, SynaError]: ...
