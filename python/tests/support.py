"""What tests call."""

from __future__ import annotations

import importlib
import os
import time
from types import ModuleType

import pytest

import synadb


def needs(module: str) -> ModuleType:
    """A library that is optional at run time. Its absence is told, and fails where all must be there."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = f"skipped: {module} (pip install -r python/requirements/consumers.txt): {error}"
        if os.environ.get("SYNADB_REQUIRE_ALL") == "1":
            pytest.fail(text)
        pytest.skip(text, allow_module_level=True)


def count_of(thing: synadb.SynaDB | synadb.Snapshot | synadb.History) -> int:
    """Number of points of "k"; here, because workers that were spawned import it."""
    return len(thing) if isinstance(thing, synadb.History) else len(thing["k"])


def optimized(db: synadb.SynaDB) -> synadb.RewriteReport:
    """Rewrites once a cancelled rewrite has cleaned up, which takes as long as the machine likes."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return db.optimize()
        except synadb.BusyError:
            assert time.monotonic() < deadline, "a cancelled rewrite does not end"
            time.sleep(0.01)
