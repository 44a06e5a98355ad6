"""Unpickling: always for reading, at the commit that was pickled, or not at all."""

from __future__ import annotations

from typing import Any

from ._synadb import History, Snapshot, SynaDB


def database(path: str, cursor: str) -> SynaDB:
    return SynaDB._open_at(path, cursor)


def snapshot(path: str, cursor: str) -> Snapshot:
    return SynaDB._open_at(path, cursor).snapshot()


def history(path: str, cursor: str, key: str, asked: Any) -> History:
    return SynaDB._open_at(path, cursor)._history_again(key, asked)
