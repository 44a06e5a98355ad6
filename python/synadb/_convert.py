"""To other libraries' own objects. Each is imported when it is asked for, and not before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Batch, Column, History


def to_polars(data: Any) -> Any:
    return import_module("polars").DataFrame(data)


def to_pandas(data: Any) -> Any:
    frame = import_module("pandas").DataFrame
    if hasattr(frame, "from_arrow"):
        return frame.from_arrow(data)
    # Before pandas 3, which needs Python 3.11.
    return to_pyarrow(data).to_pandas()


def to_pyarrow(data: Any) -> Any:
    return import_module("pyarrow").table(data)


def to_torch(history: History, copy: bool) -> Any:
    torch = import_module("torch")
    if copy:
        return torch.from_numpy(history._owned_floats())
    return torch.from_dlpack(history.values)


def batch_to_numpy(batch: Batch) -> Any:
    numpy = import_module("numpy")
    # By type, and not by name: a frame has a column of each key, whatever that is called.
    columns = [batch[name] for name in batch.column_names]
    columns = [c for c in columns if not c.type.startswith(("Timestamp", "Dictionary"))]
    if not columns:
        return numpy.empty((len(batch), 0))
    return numpy.stack([_floats(column) for column in columns], axis=1)


def _floats(column: Column) -> Any:
    """The numbers of a column as float64, nulls as NaN, if each of them is one."""
    name = column.name
    if column.type == "Float64":
        return column.to_numpy()
    if column.type == "Int64":
        try:
            return column.to_numpy(nulls="nan")
        except ValueError:
            pass
    elif not column.type.startswith("Decimal"):  # sums of ints beyond 64 bits
        raise TypeError(
            f"column {name!r} holds {column.type}, not numbers: take the columns one by one, as in "
            f"batch[{name!r}].to_numpy()"
        )
    items = column.to_pylist()
    floats = [math.nan if item is None else float(item) for item in items]
    if all(item is None or item == value for item, value in zip(items, floats, strict=True)):
        return floats
    raise ValueError(
        f"column {name!r} holds an integer that is no exact float64: take the columns one by "
        f"one, as in batch[{name!r}].to_pylist()"
    )


def rows_of(batch: Batch) -> Iterator[tuple[Any, ...]]:
    """The rows one by one; Python objects are made of a block at a time."""
    for start in range(0, len(batch), 8192):
        block = batch[start : start + 8192]
        yield from zip(*block.to_pydict().values(), strict=True)


def items_of(column: Column) -> Iterator[Any]:
    """The items one by one; Python objects are made of a block at a time."""
    for start in range(0, len(column), 8192):
        yield from column[start : start + 8192].to_pylist()
