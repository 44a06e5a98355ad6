"""Scans as Polars LazyFrames: what a query asks of key and time is asked of the store.

Polars hands over the columns it wants, a predicate, and a limit. A predicate is a conjunction; of its parts,
those that compare `timestamp` with a constant narrow the range of time, those that concern `key` alone choose
the keys. Whatever was narrowed, the whole predicate is applied to every batch before it leaves, so that a part
that is not understood here costs time and nothing else. (A predicate that Polars cannot hand over it applies
itself.)

A limit comes before the predicate that comes with it: Polars pushes `head` down, and a filter past it, but no
`head` past a filter. So nothing is narrowed when both are there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Scan

#: More keys than this are scanned together and filtered.
_KEYS_MAX = 256

#: The range of timestamps.
_STAMP_MIN, _STAMP_MAX = -(2**63), 2**63 - 1

#: Functions of a row's own key whose truth can be found out from the key alone.
_FUNCTIONS = ("IsIn", "IsBetween", "StartsWith", "EndsWith", "Contains", "Not", "IsNull", "IsNotNull")

_MIRRORED = {"Lt": "Gt", "LtEq": "GtEq", "Gt": "Lt", "GtEq": "LtEq", "Eq": "Eq"}

_TYPES = {"Float64": "float", "Int64": "int", "Utf8": "text", "Binary": "bytes"}


def frame_of(scan: Scan) -> Any:
    register_io_source = import_module("polars.io.plugins").register_io_source

    def read(
        with_columns: list[str] | None,
        predicate: Any,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[Any]:
        return _read(scan, with_columns, predicate, n_rows)

    return register_io_source(read, schema=lambda: _schema(scan), is_pure=True)


def _schema(scan: Scan) -> Any:
    return import_module("polars").Schema(_Empty(scan))


class _Empty:
    """The schema of a scan alone."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    def __arrow_c_schema__(self) -> object:
        return self._scan.__arrow_c_schema__()


def _frames(scan: Scan) -> Iterator[Any]:
    """The batches as frames, one at a time."""
    polars = import_module("polars")
    for batch in scan._batches():
        yield polars.DataFrame(batch)


def _read(
    scan: Scan, with_columns: list[str] | None, predicate: Any, n_rows: int | None
) -> Iterator[Any]:
    scans = [scan]
    needed = set(with_columns) if with_columns is not None else None
    if predicate is not None:
        if needed is not None:
            needed |= set(predicate.meta.root_names())
        if n_rows is None:
            scans = _narrowed(scan, predicate)
    left = n_rows
    gave = False
    for part in scans:
        if needed is not None:
            part = part.narrowed(columns=[c for c in ("key", "timestamp", "value") if c in needed])
        for frame in _frames(part):
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            if predicate is not None:
                frame = frame.filter(predicate)
            gave = True
            yield frame if with_columns is None else frame.select(with_columns)
            if left == 0:
                return
    if not gave:
        frame = _schema(scan).to_frame()
        yield frame if with_columns is None else frame.select(with_columns)


def _narrowed(scan: Scan, predicate: Any) -> list[Scan]:
    """Scans that together have, in order, all rows for which the predicate may hold."""
    polars = import_module("polars")
    parts = _conjunction(predicate)
    start, end = None, None
    # Of the type that the rows have it in: as text, `cat.starts_with` would panic and a cast to integers
    # that does not fail find nothing.
    keys = polars.DataFrame({"key": scan.keys}, schema={"key": polars.Categorical})
    fewer = keys
    for tree in parts:
        low, high = _times(tree)
        start = low if start is None else start if low is None else max(start, low)
        end = high if end is None else end if high is None else min(end, high)
        if _concerns_key(tree):
            try:
                fewer = fewer.filter(_expression(tree))
            except polars.exceptions.PolarsError:
                continue
    if start is not None or end is not None:
        if start is not None and end is not None:
            end = max(start, end)
        # A bound in milliseconds, or the end behind the greatest moment, may lie beyond what can be stored.
        start = None if start is None else max(_STAMP_MIN, min(start, _STAMP_MAX))
        end = None if end is None or end > _STAMP_MAX else max(_STAMP_MIN, end)
        scan = scan.narrowed(start=start, end=end)
    if fewer.height == keys.height or fewer.height > _KEYS_MAX:
        return [scan]
    # The type that all keys together have, not that of these.
    as_type = _TYPES.get(scan.type or "", "struct")
    return [scan._only(key, as_type) for key in fewer["key"]]


def _conjunction(predicate: Any) -> list[Any]:
    """The parts that all have to hold, as trees of Polars' own JSON; none if they cannot be told."""
    try:
        tree = json.loads(predicate.meta.serialize(format="json"))
    except Exception:
        return []
    parts, open_ = [], [tree]
    while open_:
        tree = open_.pop()
        both = tree.get("BinaryExpr") if isinstance(tree, dict) else None
        if both is not None and both.get("op") in ("And", "LogicalAnd"):
            open_ += [both["left"], both["right"]]
        else:
            parts.append(tree)
    return parts


def _expression(tree: Any) -> Any:
    polars = import_module("polars")
    return polars.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")


def _concerns_key(tree: Any) -> bool:
    """Whether it depends on the row's own key and nothing else."""
    if not isinstance(tree, dict) or len(tree) != 1:
        return False
    [(kind, inner)] = tree.items()
    if kind == "Column":
        return bool(inner == "key")
    if kind == "Literal":
        return True
    if kind == "Cast":
        return _concerns_key(inner["expr"])
    if kind == "BinaryExpr":
        return _concerns_key(inner["left"]) and _concerns_key(inner["right"])
    if kind == "Function":
        names = json.dumps(inner.get("function"))
        known = any(f'"{name}"' in names for name in _FUNCTIONS)
        return known and all(_concerns_key(part) for part in inner.get("input", []))
    return False


def _literal(tree: Any) -> int | None:
    """A constant moment of the column's zone in microseconds, rounded down; None for anything else.

    Of another zone it is an error to most Polars, and to some not the same moment.
    """
    try:
        value = tree["Literal"]["Scalar"]["Datetime"]
        micros, unit, zone = value
    except (KeyError, TypeError, ValueError):
        return None
    if zone not in ("UTC", {"inner": "UTC"}):
        return None
    return {
        "Microseconds": micros,
        "Milliseconds": micros * 1000,
        "Nanoseconds": micros // 1000,
    }.get(unit)


def _times(tree: Any) -> tuple[int | None, int | None]:
    """The range `[start, end)` outside of which the part does not hold, as far as it can be told.

    A bound that was rounded down may let a few rows too many in, never too few out.
    """
    nothing = (None, None)
    if not isinstance(tree, dict):
        return nothing
    if "BinaryExpr" in tree:
        inner = tree["BinaryExpr"]
        op, left, right = inner.get("op"), inner.get("left"), inner.get("right")
        if right == {"Column": "timestamp"}:
            op, left, right = _MIRRORED.get(op), right, left
        if left != {"Column": "timestamp"}:
            return nothing
        at = _literal(right)
        if at is None:
            return nothing
        return {
            "Lt": (None, at + 1),
            "LtEq": (None, at + 1),
            "Gt": (at, None),
            "GtEq": (at, None),
            "Eq": (at, at + 1),
        }.get(op, nothing)
    if "Function" in tree and "IsBetween" in json.dumps(tree["Function"].get("function")):
        inputs = tree["Function"].get("input", [])
        if len(inputs) == 3 and inputs[0] == {"Column": "timestamp"}:
            low, high = _literal(inputs[1]), _literal(inputs[2])
            return low, None if high is None else high + 1
    return nothing
