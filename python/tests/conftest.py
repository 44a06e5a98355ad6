"""What all tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import hypothesis
import pytest

import synadb

hypothesis.settings.register_profile(
    "default",
    deadline=None,
    max_examples=int(os.environ.get("SYNADB_EXAMPLES", "60")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("default")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db.syna"


@pytest.fixture(params=["full", "os", "buffered"])
def durability(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def db(path: Path):
    """A writer on a file, fast."""
    with synadb.open(path, durability="os") as db:
        yield db


@pytest.fixture(params=["memory", "encoded", "raw"])
def any_db(request: pytest.FixtureRequest, path: Path):
    """Databases whose columns leave in different ways."""
    if request.param == "memory":
        db = synadb.open(":memory:")
    else:
        encode = request.param == "encoded"
        db = synadb.open(path, durability="os", enable_delta=encode, enable_compression=encode)
    with db:
        yield db


@pytest.fixture
def no_collector():
    """For tests of signals: a callback of the collector, as Hypothesis has one, swallows the exception of
    a signal that it is interrupted by."""
    gc.disable()
    yield
    gc.enable()
