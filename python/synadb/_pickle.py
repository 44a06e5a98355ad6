"""Unpickling: always for reading, at the commit that was pickled, or not at all."""

from __future__ import annotations

from typing import Any

from ._synadb import Frame, History, Scan, Snapshot, SynaDB


def database(path: str, cursor: str) -> SynaDB:
    return SynaDB._open_at(path, cursor)


def snapshot(path: str, cursor: str) -> Snapshot:
    return SynaDB._open_at(path, cursor).snapshot()


def history(path: str, cursor: str, key: str, asked: Any) -> History:
    return SynaDB._open_at(path, cursor)._history_again(key, asked)


def scan(path: str, cursor: str, pattern: str, asked: Any) -> Scan:
    start, end, columns, batch_size, (as_type, on_mismatch, order) = asked
    return (
        SynaDB._open_at(path, cursor)
        .snapshot()
        .scan(
            pattern,
            start=start,
            end=end,
            columns=columns,
            batch_size=batch_size,
            as_type=as_type,
            on_mismatch=on_mismatch,
            order=order,
        )
    )


def frame(path: str, cursor: str, keys: Any, asked: dict[str, Any]) -> Frame:
    return SynaDB._open_at(path, cursor).snapshot().frame(keys, **asked)
