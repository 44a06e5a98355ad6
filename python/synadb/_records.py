"""What calls report, as plain records."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple


class HistoryStats:
    """What a history says about its points. Numbers are floats and ints together."""

    __slots__ = (
        "count",
        "nulls",
        "nans",
        "floats",
        "ints",
        "texts",
        "bytes",
        "start",
        "end",
        "min",
        "max",
        "sum",
        "mean",
        "first",
        "last",
    )

    #: Points, nulls among them.
    count: int
    #: Points that are null.
    nulls: int
    #: Floats that are NaN.
    nans: int
    #: Floats, ints, texts and bytes among the points.
    floats: int
    ints: int
    texts: int
    bytes: int
    #: The earliest and the latest timestamp (microseconds where a datetime does not reach).
    start: datetime | int | None
    end: datetime | int | None
    #: The smallest and the largest number that is not NaN.
    min: float | int | None
    max: float | int | None
    #: The sum of all numbers that are not NaN; of ints exact.
    sum: float | int | None
    mean: float | None
    #: The number, maybe NaN, with the earliest and with the latest timestamp.
    first: float | int | None
    last: float | int | None

    def __init__(self, **facts: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, facts[name])

    def __repr__(self) -> str:
        return f"HistoryStats({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HistoryStats):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


class ExplainColumn(NamedTuple):
    """Where the bytes of a column come from."""

    name: str
    type: str
    #: Bytes that the array shares with the file.
    mapped_bytes: int
    #: Bytes that an earlier read left in the cache.
    cached_bytes: int
    #: Bytes to be decoded.
    decoded_bytes: int
    #: Bytes to be copied as they are.
    copied_bytes: int
    #: Why, in a few words.
    why: str


class Explain(NamedTuple):
    """What reading would cost now; `str()` of it is a table."""

    rows: int
    batches: int
    columns: list[ExplainColumn]
    text: str

    def __str__(self) -> str:
        return self.text


class RewriteReport(NamedTuple):
    """What a rewrite did: length of the log before and after, live keys and points."""

    bytes_before: int
    bytes_after: int
    keys: int
    points: int


class VerifyReport(NamedTuple):
    """What a check has read and found good."""

    bytes: int
    entries: int
    chunks: int
    blocks: int
    points: int
    keys: int


class SalvageReport(NamedTuple):
    """What was copied out of a damaged file, and what is missing: (offset, length, what)."""

    commits: int
    entries: int
    points: int
    keys: int
    missing: list[tuple[int, int, str]]


class RecoveryReport(NamedTuple):
    """What opening found, and what it cut off the end."""

    #: Entries that were read to rebuild the index, and their bytes.
    entries: int
    bytes_scanned: int
    #: Whether that began at a checkpoint rather than at the start of the log.
    from_checkpoint: bool
    #: Bytes cut off the end, why, and where whole commits among them were copied to.
    bytes_cut: int
    reason: str | None
    torn_copy: str | None
    #: Bytes written again because an earlier sync of them had failed.
    bytes_rewritten: int


class Written(NamedTuple):
    """What a write has done."""

    points: int
    rows: int
    commits: int
    #: Of the last commit's first entry; where the log ends, if nothing was written.
    offset: int


class DatabaseStats(NamedTuple):
    """Figures about a database. Sizes in bytes."""

    #: Live keys, and live points.
    keys: int
    rows: int
    #: Length of the file, preallocated space included, and of the log in it.
    file_bytes: int
    log_bytes: int
    #: About what live points take, once.
    live_bytes: int
    #: About what points take that are stored twice or were deleted.
    replaced_bytes: int
    #: About what a rewrite that keeps all live points would free.
    reclaimable_bytes: int
    #: Keys with points that are in no chunk yet, these points, and the memory they take.
    tails: int
    tail_points: int
    tail_bytes: int
    #: Chunks that hold live points.
    chunks: int
    #: Everything below is durable.
    durable_offset: int
    #: Syncs of the log, and incomplete writes that were cut back, since it was opened.
    syncs: int
    cuts: int
    #: How often the file was rewritten, from 1.
    generation: int
    #: How often by `auto_optimize`, since it was opened.
    auto_optimizes: int
    #: Decoded columns that the cache holds, and how often a read found its column there, or did not.
    column_cache_bytes: int
    column_cache_hits: int
    column_cache_misses: int
    #: Buffers that the cache and arrays hold, and those that wait to be used again.
    buffer_pool_used_bytes: int
    buffer_pool_idle_bytes: int
    #: Bytes of columns that left as parts of the file, from the cache, decoded, or copied.
    mapped_bytes: int
    cached_bytes: int
    decoded_bytes: int
    copied_bytes: int
    #: "disk", "memory" or the name of a network file system.
    medium: str
    #: Why the last rewrite by `auto_optimize` failed, if it did.
    auto_optimize_error: str | None
    #: By the name of the encoding: bytes in the file, and after decoding.
    encodings: dict[str, tuple[int, int]]


class Appended(NamedTuple):
    """Points that were appended to a key one after the other, as (datetime, value).

    Where a datetime does not reach (years 1 to 9999), microseconds stand in its place.
    """

    key: str
    points: list[tuple[datetime | int, None | float | int | str | bytes]]


class Deleted(NamedTuple):
    """A key was deleted: all its points before are gone."""

    key: str


class Commit(NamedTuple):
    """Changes that took effect together, and the cursor behind them."""

    changes: list[Appended | Deleted]
    cursor: str
