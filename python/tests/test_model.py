"""Random steps against a plain dict of lists, reopening among them."""

from __future__ import annotations

import math
import struct
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import synadb

KEYS = st.sampled_from(["a", "b/x", "é", "k" * 300])
STAMPS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=64),
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
    st.text(),
    st.binary(),
    st.text(min_size=100, max_size=300),
)


def exact(value: object) -> object:
    """Something that is equal exactly if the stored bits are."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return struct.pack("<d", value)
    return value


@given(VALUES, STAMPS)
def test_every_value_comes_back(value, stamp):
    db = synadb.open(":memory:")
    db.append("k", value, stamp)
    db.append_batch("many", [value] * 40, [stamp] * 40)
    found = db.get("k")
    assert exact(found) == exact(value)
    column = db["many"].read()
    assert [exact(v) for v in column["value"].to_pylist()] == [exact(value)] * 40
    assert column["timestamp"].to_numpy().astype("i8").tolist() == [stamp] * 40


@given(st.lists(st.floats(width=64), min_size=1, max_size=300), st.booleans())
def test_arrays_come_back_bit_for_bit(values, encode):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db.syna"
        array = np.array(values)
        options = {"enable_delta": encode, "enable_compression": encode, "durability": "os"}
        with synadb.open(path, **options) as db:
            db.append_batch("k", array, np.arange(len(array)))
        with synadb.open(path, mode="r") as db:
            assert db["k"].to_numpy().tobytes() == array.tobytes()


@given(
    st.one_of(
        st.text(alphabet=st.characters(categories=["Cs", "Ll"]), min_size=1),
        st.binary(),
        st.integers(),
        st.floats(),
        st.decimals(),
        st.none(),
        st.tuples(st.text()),
    )
)
def test_any_key_is_kept_whole_or_refused(key):
    db = synadb.open(":memory:")
    try:
        db.append(key, 1)
    except (TypeError, ValueError):
        assert db.keys() == []
    else:
        assert isinstance(key, str) and db.keys() == [key]


@given(
    st.one_of(
        st.integers(-(2**200), 2**200),
        st.decimals(),
        st.fractions(),
        st.complex_numbers(),
        st.datetimes(),
        st.text(alphabet=st.characters(categories=["Cs", "Ll"])),
        st.integers(0, 255).map(np.uint8),
        st.floats(width=32).map(np.float32),
    )
)
def test_any_value_is_kept_whole_or_refused(value):
    db = synadb.open(":memory:")
    try:
        db.append("k", value)
    except (TypeError, ValueError, OverflowError):
        assert db.keys() == []
    else:
        found = db.get("k")
        assert found == value or (math.isnan(found) and math.isnan(value))


class Model(RuleBasedStateMachine):
    """The database beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "db.syna"
        self.model: dict[str, list[tuple[int, object]]] = {}
        self.db: synadb.SynaDB

    @initialize(
        durability=st.sampled_from(["os", "buffered"]), encode=st.booleans()
    )
    def begin(self, durability: str, encode: bool) -> None:
        self.options = {
            "durability": durability,
            "enable_delta": encode,
            "enable_compression": encode,
        }
        self.db = synadb.open(self.path, **self.options)

    @rule(key=KEYS, value=VALUES, stamp=STAMPS)
    def append(self, key, value, stamp):
        self.db.append(key, value, stamp)
        self.model.setdefault(key, []).append((stamp, exact(value)))

    @rule(key=KEYS, values=st.lists(VALUES, max_size=80), stamp=st.integers(0, 1000))
    def append_batch(self, key, values, stamp):
        stamps = [stamp + 10 * i for i in range(len(values))]
        self.db.append_batch(key, values, stamps)
        if values:
            points = zip(stamps, map(exact, values), strict=True)
            self.model.setdefault(key, []).extend(points)

    @rule(key=KEYS, values=st.lists(st.floats(), min_size=32, max_size=200))
    def append_array(self, key, values):
        stamps = np.arange(len(values))
        self.db.append_batch(key, np.array(values), stamps)
        points = zip(stamps.tolist(), map(exact, values), strict=True)
        self.model.setdefault(key, []).extend(points)

    @rule(row=st.dictionaries(KEYS, VALUES, max_size=4), stamp=STAMPS, keep=st.booleans())
    def batch(self, row, stamp, keep):
        try:
            with self.db.batch() as batch:
                for key, value in row.items():
                    batch.append(key, value, stamp)
                if not keep:
                    raise RuntimeError
        except RuntimeError:
            return
        for key, value in row.items():
            self.model.setdefault(key, []).append((stamp, exact(value)))

    @rule(key=KEYS)
    def delete(self, key):
        assert self.db.delete(key) == (key in self.model)
        self.model.pop(key, None)

    @rule()
    def reopen(self):
        self.db.close()
        self.db = synadb.open(self.path, **self.options)

    @rule()
    def optimize(self):
        self.db.optimize()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def look(self, data):
        key = data.draw(st.sampled_from(sorted(self.model)))
        points = self.model[key]
        h = self.db[key]
        start = data.draw(st.integers(0, len(points)))
        end = data.draw(st.integers(0, len(points)))
        batch = self.db.history(key, rows=(start, end), as_type="struct").read()
        found = zip(
            batch["timestamp"].to_numpy().astype("i8").tolist(),
            map(exact, batch["value"].to_pylist()),
            strict=True,
        )
        assert list(found) == points[start:end]
        assert len(h[start:end]) == len(points[start:end])
        when = data.draw(STAMPS)
        at_or_before = [(stamp, i) for i, (stamp, _) in enumerate(points) if stamp <= when]
        expected = points[max(at_or_before)[1]][1] if at_or_before else "none"
        assert exact(self.db.get_at(key, when, "none")) == expected

    @invariant()
    def agrees(self):
        if not hasattr(self, "db"):
            return
        assert self.db.keys() == sorted(self.model, key=str.encode)
        assert len(self.db) == len(self.model)
        for key, points in self.model.items():
            assert exact(self.db.get(key)) == points[-1][1]
            assert len(self.db[key]) == len(points)

    def teardown(self):
        if hasattr(self, "db"):
            self.db.close()
        self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
