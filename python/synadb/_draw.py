"""Pictures of histories: an HTML summary for notebooks, and a plot."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import Column, History

_WIDTH, _HEIGHT = 320, 48
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _moment(when: Any) -> str:
    return when.isoformat().replace("+00:00", "Z") if hasattr(when, "isoformat") else str(when)


def _micros(stamps: Column) -> list[int]:
    """Timestamps as numbers; without NumPy as far as Python's datetimes reach."""
    try:
        return [(when - _EPOCH) // timedelta(microseconds=1) for when in stamps.to_pylist()]
    except OverflowError:
        found: list[int] = stamps.to_numpy().astype("i8").tolist()
        return found


def _picture(history: History) -> str:
    """A small line of what numbers there are."""
    drawn = history.downsample(2 * _WIDTH)
    stamps = _micros(drawn["timestamp"])
    values = [float(value) for value in drawn["value"].to_pylist()]
    finite = [value for value in values if value - value == 0.0]
    if not finite:
        return ""
    # Of halves the difference is finite, too.
    low, high = min(finite) / 2, max(finite) / 2
    start, span = stamps[0], max(1, stamps[-1] - stamps[0])
    height = (high - low) or 1.0
    points = " ".join(
        f"{(stamp - start) / span * _WIDTH:.1f},{_HEIGHT - (value / 2 - low) / height * _HEIGHT:.1f}"
        for stamp, value in zip(stamps, values, strict=True)
        if value - value == 0.0
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 -1 {_WIDTH} {_HEIGHT + 2}" role="img">'
        f'<polyline points="{points}" fill="none" stroke="currentColor"/></svg>'
    )


def html(history: History) -> str:
    stats = history.stats()
    rows = [("points", f"{stats.count:,}"), ("type", history.type)]
    if stats.nulls:
        rows.append(("nulls", f"{stats.nulls:,}"))
    if stats.start is not None:
        rows.append(("from", _moment(stats.start)))
        rows.append(("to", _moment(stats.end)))
    if stats.min is not None:
        rows.append(("range", f"{stats.min:g} to {stats.max:g}, mean {stats.mean:g}"))
    cells = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)
    try:
        picture = _picture(history) if stats.floats or stats.ints else ""
    except ImportError:  # years beyond 9999 are drawn with NumPy
        picture = ""
    return f"<div><b>{escape(history.key)}</b><table>{cells}</table>{picture}</div>"


def plot(history: History, ax: Any, points: int) -> Any:
    if ax is None:
        ax = import_module("matplotlib.pyplot").subplots()[1]
    drawn = history.downsample(points)
    ax.plot(drawn["timestamp"].to_numpy(), drawn["value"].to_numpy(), label=history.key)
    ax.set_ylabel(history.key)
    return ax
