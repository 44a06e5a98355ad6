"""Names for what calls take and give, for annotations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, Union

#: What is stored. NumPy's integers, floats and bools, bytearray, memoryview, pandas' NA and NaT are taken,
#: too; anything else is a TypeError, an int beyond 64 bits an OverflowError.
Value = Union[None, bool, int, float, str, bytes]

#: What comes back: a bool was stored as an int.
Stored = Union[None, int, float, str, bytes]

#: A moment: an aware datetime, a naive one or a `numpy.datetime64` as UTC, or an int of microseconds since
#: 1970-01-01 UTC. A float is a TypeError; finer than a microsecond is a ValueError unless `floor=True`, and
#: allowed as an end of a range.
Stamp = Union[datetime, int, Any]

AsType = Literal["natural", "struct", "float", "int", "text", "bytes", "union"]
OnMismatch = Literal["raise", "null", "skip"]
Order = Literal["append", "time"]

#: A step in time: "15m", "1h", "1d" (units us, ms, s, m, h, d, w), a timedelta, or microseconds. One that is no
#: whole number of microseconds is a ValueError.
Every = Union[str, int, timedelta]

Aggregate = Literal["count", "nulls", "nans", "min", "max", "sum", "mean", "first", "last"]

#: Called with the bytes done and those to do; True draws a bar on a terminal. What it raises ends the call.
Progress = Union[Callable[[int, int], object], bool, None]


class ArrowStream(Protocol):
    """What has record batches or arrays to give."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class ArrowArray(Protocol):
    """What has one array to give."""

    def __arrow_c_array__(
        self, requested_schema: object | None = None
    ) -> tuple[object, object]: ...
