"""Scans, lazy frames, frames, latest."""

from __future__ import annotations

import operator
import time
from datetime import datetime, timedelta, timezone

import hypothesis.strategies as st
import numpy as np
import pytest
from support import needs
from hypothesis import given

import synadb

pa = needs("pyarrow")
pl = needs("polars")

UTC = timezone.utc
KEYS = ["JFK/temp", "JFK/wind", "LGA/temp", "odd[*]?"]


def at(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.fixture
def weather(any_db):
    for number, key in enumerate(KEYS):
        values = np.arange(500.0) + number * 1000
        any_db.append_batch(key, values, np.arange(500) * 1_000_000)
    return any_db


def test_scan(weather):
    scan = weather.scan("*/temp", start=at(100), end=at(200))
    assert scan.keys == ["JFK/temp", "LGA/temp"] and len(scan) == 200
    frame = scan.to_polars()
    assert frame.columns == ["key", "timestamp", "value"]
    assert frame["value"].to_list() == [*range(100, 200), *range(2100, 2200)]
    assert len(weather.scan("nothing")) == 0 and pl.DataFrame(weather.scan("nothing")).height == 0
    assert weather.scan(columns=["value"]).read().column_names == ["value"]
    assert len(pa.table(weather.scan(batch_size=100)).to_batches()) > 10
    narrow = scan.narrowed(start=at(50), end=at(150), columns=["timestamp"])
    assert len(narrow) == 100 and narrow.read().column_names == ["timestamp"]
    for wrong in ({"columns": ["price"]}, {"as_type": "x"}, {"order": "value"}):
        with pytest.raises(ValueError):
            weather.scan(**wrong)
    with pytest.raises(synadb.InvalidPatternError):
        weather.scan("[")
    snapshot = weather.snapshot()
    weather.append("JFK/temp", -1.0)
    assert len(scan) == 200 and len(snapshot.scan()) == 2000 and len(weather.scan()) == 2001
    assert len(weather.scan().explain().columns) >= 2


STARTS = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
PREDICATES = [
    pl.col("timestamp") >= STARTS,
    pl.col("timestamp") < STARTS,
    STARTS < pl.col("timestamp"),
    # Python turns that around; these stay as they are.
    *(op(pl.lit(STARTS), pl.col("timestamp")) for op in (operator.lt, operator.le, operator.gt, operator.ge)),
    operator.eq(pl.lit(STARTS), pl.col("timestamp")),
    pl.col("timestamp") == STARTS,
    pl.col("timestamp").is_between(STARTS, STARTS + timedelta(seconds=5)),
    pl.col("timestamp").is_between(STARTS, STARTS + timedelta(seconds=5), closed="none"),
    (pl.col("timestamp") > STARTS) & (pl.col("timestamp") <= STARTS - timedelta(seconds=1)),
    (pl.col("timestamp") > STARTS) | (pl.col("value") < 10),
    pl.col("timestamp") != STARTS,
    ~(pl.col("timestamp") > STARTS),
    pl.col("value") > 1490,
    (pl.col("value") > 1490) & (pl.col("timestamp") >= STARTS),
    pl.col("timestamp").dt.minute() == 2,
    pl.col("value").map_batches(lambda s: s > 3490, return_dtype=pl.Boolean),
    pl.col("timestamp").cast(pl.Int64) % 7 == 0,
    pl.lit(True),
    pl.lit(False),
    pl.col("timestamp") >= STARTS.replace(tzinfo=timezone(timedelta(hours=1))),
]
KEY_PREDICATES = [
    pl.col("key") == "JFK/temp",
    pl.col("key") == "odd[*]?",
    pl.col("key") != "JFK/temp",
    pl.col("key") > "JFK/wind",
    pl.col("key").is_in(["JFK/temp", "LGA/temp", "none"]),
    pl.col("key").cast(pl.String).str.starts_with("JFK"),
    pl.col("key").cast(pl.String).str.ends_with("temp"),
    pl.col("key").cast(pl.String).str.contains("F"),
    ~pl.col("key").is_in(["JFK/temp"]),
    pl.col("key").is_null(),
    pl.col("key").cast(pl.String).str.len_chars() == 7,
    (pl.col("key") == "JFK/temp") | (pl.col("value") > 3490),
    (pl.col("key") == "LGA/temp") & (pl.col("timestamp") >= STARTS) & (pl.col("value") < 2070),
]


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@pytest.mark.parametrize("predicate", [*PREDICATES, *KEY_PREDICATES], ids=str)
def test_lazy_frames_give_what_eager_ones_do(weather, predicate, engine):
    scan = weather.scan()
    whole = scan.to_polars()
    frame = scan.lazy()

    def same(query):
        found = query(frame).collect(engine=engine)
        expected = query(whole.lazy()).collect()
        strings = pl.col("key").cast(pl.String)
        if "key" in found.columns:
            found, expected = found.with_columns(strings), expected.with_columns(strings)
        assert found.equals(expected), f"{found} is not {expected}"

    same(lambda f: f.filter(predicate))
    same(lambda f: f.filter(predicate).select("value"))
    same(lambda f: f.filter(predicate).head(3))
    same(lambda f: f.head(30).filter(predicate))
    same(lambda f: f.filter(predicate).filter(pl.col("value") < 2100).head(3).select("timestamp"))
    same(lambda f: f.filter(predicate).select(pl.len(), pl.col("value").sum().alias("sum")))


def test_what_is_pushed_down(weather, monkeypatch):
    from synadb import _lazy

    read = []
    original = _lazy._frames

    def frames(scan):
        read.append((scan.keys, len(scan)))
        return original(scan)

    monkeypatch.setattr(_lazy, "_frames", frames)
    frame = weather.scan().lazy()
    query = (pl.col("key") == "JFK/temp") & (pl.col("timestamp") >= at(490))
    assert frame.filter(query).collect().height == 10
    assert read == [(["JFK/temp"], 10)]
    read.clear()
    assert frame.filter(pl.col("timestamp").is_between(at(10), at(19))).collect().height == 40
    assert read == [(sorted(KEYS), 40)]
    read.clear()
    bounds = [pl.col("timestamp") > at(2), pl.col("timestamp") > at(489), pl.col("timestamp") < at(495)]
    assert frame.filter(*bounds, pl.col("timestamp") < at(498)).collect().height == 20
    assert read == [(sorted(KEYS), 28)], "a moment more at either end"
    read.clear()
    assert frame.filter(pl.col("key").is_in(["JFK/wind", "odd[*]?"])).collect().height == 1000
    assert read == [(["JFK/wind"], 500), (["odd[*]?"], 500)]
    read.clear()
    starts = pl.col("key").cast(pl.String).str.starts_with("LGA")
    assert frame.filter(starts).collect().height == 500 and read == [(["LGA/temp"], 500)]
    assert frame.select("value").collect().columns == ["value"]
    assert frame.filter(pl.col("key") == "none").collect().height == 0


def test_lazy_frames_of_many_kinds(db):
    db.append_batch("a", [1, 2], range(2))
    db.append_batch("b", ["x"], range(1))
    db.append_batch("c", [1.5], range(1))
    whole = db.scan().to_polars()
    for key in "abc":
        found = db.scan().lazy().filter(pl.col("key") == key).collect()
        assert found.schema["value"] == whole.schema["value"]
        assert found["value"].to_list() == whole.filter(pl.col("key") == key)["value"].to_list()
    assert db.scan("none").lazy().collect().columns == ["key", "timestamp", "value"]


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("<>=lg")), max_size=3))
def test_any_conjunction_of_times(bounds):
    db = synadb.open(":memory:")
    db.append_batch("k", np.arange(20.0), np.arange(20))
    stamp = pl.col("timestamp")
    predicate = pl.lit(True)
    for micros, op in bounds:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        part = {
            "<": stamp < moment,
            ">": stamp > moment,
            "=": stamp == moment,
            "l": stamp <= moment,
            "g": stamp >= moment,
        }[op]
        predicate = predicate & part
    found = db.scan().lazy().filter(predicate).collect()["value"].to_list()
    assert found == db.scan().to_polars().filter(predicate)["value"].to_list()


def test_frame(any_db):
    minute = 60_000_000
    any_db.append_batch("temp", [39.0, 38.5, 38.0], [0, 10 * minute, 20 * minute])
    any_db.append_batch("wind", [12, 14], [5 * minute, 25 * minute])
    frame = any_db.frame(["wind", "temp"], every="10m", tolerance="10m")
    table = frame.to_polars()
    assert frame.keys == ["wind", "temp"] and table.columns == ["timestamp", "wind", "temp"]
    assert table["wind"].to_list() == [None, 12, None, 14]
    assert table["temp"].to_list() == [39.0, 38.5, 38.0, 38.0]
    values = any_db.frame(["wind", "temp"], every="10m", fill="last").to_numpy()
    assert values.shape == (4, 2) and values.dtype == "f8" and values.flags.writeable
    np.testing.assert_array_equal(values, [[np.nan, 39], [12, 38.5], [12, 38], [14, 38]])
    union = any_db.frame("*", tolerance=0, fill=-1)
    assert union.keys == ["temp", "wind"] and union.read()["temp"].to_pylist() == [39, -1, 38.5, 38, -1]
    nearest = any_db.frame(["wind"], every=timedelta(minutes=10), align="nearest", start=0, end=at(600))
    assert nearest.read()["wind"].to_pylist() == [12]
    # From then on, or until then: the open end is where the points end.
    rows = any_db.frame(["temp"], every="10m", start=at(300)).read()
    assert rows["timestamp"].to_pylist() == [at(300), at(900), at(1500)]
    assert rows["temp"].to_pylist() == [39, 38.5, 38]
    assert any_db.frame(["temp"], every="10m", end=at(900)).read()["temp"].to_pylist() == [39, 38.5]
    forward = any_db.frame(["wind"], every="10m", align="forward").read()["wind"].to_pylist()
    assert forward[0] == 12
    assert any_db.snapshot().frame(["temp"]).to_numpy().shape == (3, 1)
    with pytest.raises(synadb.KeyNotFoundError):
        any_db.frame(["temp", "none"])
    with pytest.raises(synadb.InvalidKeyError):
        any_db.frame(["temp", "temp"])
    for wrong in ({"align": "asof"}, {"fill": "zero"}, {"every": "1y"}, {"tolerance": "x"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            any_db.frame(["temp"], **wrong)
    with pytest.raises(ValueError, match="tolerance"):
        any_db.frame(["temp"], tolerance=-1)
    with pytest.raises(TypeError, match="tolerance"):
        any_db.frame(["temp"], tolerance=0.5)
    with pytest.raises(TypeError):
        any_db.frame([b"temp"])


def test_the_fill_of_a_frame_is_not_rounded(db):
    db.append_batch("i", [1, None], [0, 1])
    for fill in (-(2**63), 2**53, np.int64(7), np.float32(7), np.uint8(7), 7.0):
        assert db.frame(["i"], fill=fill).read()["i"].to_pylist() == [1, int(fill)]
    for fill in (2**53 + 1, np.int64(2**53 + 1), 2**63 - 1, 10**400, True, "last ", [1]):
        with pytest.raises(ValueError, match="fill"):
            db.frame(["i"], fill=fill)


def test_batches_to_numpy(db):
    """Ints with nulls and sums beyond 64 bits were errors, and the columns of keys named "key" left out."""
    db.append_batch("key", [1, None], [0, 1])
    db.append_batch("big", [2**62] * 4, [0, 0, 2, 2])
    db.append_batch("text", ["1.5"], [0])
    frame = db.frame(["key"])
    np.testing.assert_array_equal(frame.read().to_numpy(), frame.to_numpy())
    buckets = db["big"].resample(1, ["min", "sum"], empty=True)
    np.testing.assert_array_equal(buckets.to_numpy(), [[2.0**62, 2.0**63], [np.nan] * 2, [2.0**62, 2.0**63]])
    assert db.latest("key").to_numpy().shape == (1, 1)
    for table in (frame, frame.read()):
        np.testing.assert_array_equal(np.asarray(table), frame.to_numpy())
        assert np.array(table, "f4").dtype == "f4"
    with pytest.raises(TypeError, match="numbers"):
        db["text"].read().to_numpy()


def test_latest(any_db):
    any_db.append("a", 1, 5)
    any_db.append("b", 2.5, 6)
    latest = any_db.latest()
    assert latest.to_pydict() == {"key": ["a", "b"], "timestamp": [at(5e-6), at(6e-6)], "value": [1.0, 2.5]}
    assert any_db.latest("a").to_pydict()["value"] == [1]
    any_db.append("c", "text", 7)
    assert any_db.latest("[bc]")[1][2] == "text"
    assert len(any_db.snapshot().latest("none")) == 0


def test_dictionaries_become_lists_in_linear_time(any_db):
    """The positions of all rows were made anew for each of them: 32,000 keys took 0.7 seconds, ten times as
    many a hundred times as long."""
    count = 200_000
    any_db.append_row({f"k{i:06}": 1.5 for i in range(count)})
    any_db.append_batch("mixed", [1.5, "x"] * (count // 2))
    start = time.monotonic()
    assert any_db.latest("k*").to_pydict()["key"] == any_db.keys("k*")
    assert any_db["mixed"].values.to_pylist() == [1.5, "x"] * (count // 2)
    assert time.monotonic() - start < 10


def test_what_fills_a_frame(db):
    """NumPy's numbers were none, and True was."""
    db.append_batch("a", [1.0, 2.0], [0, 1])
    db.append_batch("b", [1.0], [1])
    for fill in (7, 7.0, np.int64(7), np.uint8(7), np.float32(7), np.float64(7)):
        assert db.frame(["a", "b"], fill=fill).to_numpy().tolist() == [[1, 7], [2, 1]]
    for wrong in (True, np.bool_(True), "first", [7], 7j):
        with pytest.raises(ValueError, match="fill="):
            db.frame(["a", "b"], fill=wrong)
