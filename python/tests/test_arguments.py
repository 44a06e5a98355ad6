"""Every argument and every figure arrives where it belongs, and every call leaves the interpreter that should."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import sys
import threading
import time
import weakref
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import synadb

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def at(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def stamps_of(db: synadb.SynaDB, key: str = "k") -> list[int]:
    return db[key].timestamps.to_numpy().astype("i8").tolist()


# Moments


@pytest.mark.parametrize(
    ("unit", "micros"),
    [
        ("W", 7 * 86_400_000_000),
        ("D", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
        ("us", 1),
    ],
)
def test_units_of_numpy(db, unit, micros):
    for count in (3, -3):
        db.delete("k")
        db.append("k", 1, np.datetime64(count, unit))
        db.append_batch("k", [1.0], np.array([count], f"datetime64[{unit}]"))
        db.append_batch("k", np.array([1.0]), np.array([count], f"datetime64[{unit}]"))
        assert stamps_of(db) == [count * micros] * 3


@pytest.mark.parametrize(("unit", "parts"), [("ns", 10**3), ("ps", 10**6), ("fs", 10**9), ("as", 10**12)])
def test_units_of_numpy_below_a_microsecond(db, unit, parts):
    whole, odd = np.datetime64(-2 * parts, unit), np.datetime64(-2 * parts + 1, unit)
    db.append("k", 1, whole)
    db.append_batch("k", [1.0], np.array([whole]))
    for call in (lambda: db.append("k", 1, odd), lambda: db.append_batch("k", [1.0], np.array([odd]))):
        with pytest.raises(ValueError, match="floor"):
            call()
    db.append("k", 1, odd, floor=True)
    db.append_batch("k", [1.0], np.array([odd]), floor=True)
    assert stamps_of(db) == [-2] * 4
    assert db.get_at("k", odd) == 1 and db.snapshot().get_at("k", odd) == 1
    assert db.get_at("k", np.datetime64(-2 * parts - 1, unit), "none") == "none"


def test_every_way_in_floors_and_only_when_it_is_told(db):
    fine = pd.Timestamp(1_001, unit="ns")
    column = pa.array([1_001], pa.timestamp("ns"))
    long = pa.table({"key": ["k"], "timestamp": column, "value": [1.0]})
    wide = pa.table({"timestamp": column, "k": [1.0]})

    def batch(change):
        with db.batch() as batch:
            change(batch)

    ways = [
        lambda **o: db.append("k", 1, fine, **o),
        lambda **o: db.append_row({"k": 1}, fine, **o),
        lambda **o: db.append_batch("k", [1], column, **o),
        lambda **o: db.append_batch("k", pa.array([1]), column, **o),
        lambda **o: db.write(long, **o),
        lambda **o: db.write(long, atomic=True, **o),
        lambda **o: db.write_wide(wide, **o),
        lambda **o: batch(lambda b: b.append("k", 1, fine, **o)),
        lambda **o: batch(lambda b: b.append_batch("k", [1], [fine], **o)),
        lambda **o: batch(lambda b: b.append_batch("k", pa.array([1]), column, **o)),
        lambda **o: batch(lambda b: b.write(long, **o)),
        lambda **o: batch(lambda b: b.write_wide(wide, **o)),
    ]
    for count, way in enumerate(ways, 1):
        for options in ({}, {"floor": False}):
            with pytest.raises(ValueError, match="floor"):
                way(**options)
        way(floor=True)
        assert stamps_of(db) == [1] * count


def test_unsigned_ints_of_64_bits_are_no_timestamps(db):
    with pytest.raises(TypeError, match="uint64"):
        db.append_batch("k", [1.0], np.array([2**63], "u8"))
    db.append_batch("k", [1.0], np.array([2**32 - 1], "u4"))
    assert stamps_of(db) == [2**32 - 1]


# The same question, asked again, of a snapshot, of a pickle

ROWS = [None, (2, 60), slice(-70, None), range(5, 60)]
HISTORIES = [
    {"start": 7},
    {"end": 50},
    {"start": at(7), "end": at(50)},
    *({"rows": rows} for rows in ROWS),
    {"start": 7, "end": 50, "rows": (10, 90)},
    {"as_type": "float", "on_mismatch": "null"},
    {"as_type": "float", "on_mismatch": "skip"},
    {"as_type": "text", "order": "time"},
]


@pytest.fixture
def mixed(db):
    values = [("x" if i % 10 == 3 else None if i % 10 == 7 else i / 2) for i in range(100)]
    db.append_batch("k", values, [(7 * i) % 100 for i in range(100)])
    db.append_batch("n", np.arange(100.0), np.arange(100))
    db.append_batch("gaps", np.arange(10.0), np.arange(10) * 10)
    yield db


@pytest.mark.parametrize("asked", HISTORIES, ids=str)
def test_a_history_is_the_same_however_it_is_asked(mixed, asked):
    h = mixed.history("k", **asked)
    expected, kind = h.to_pylist(), h.type
    for same in (
        mixed.snapshot().history("k", **asked),
        h.refresh(),
        pickle.loads(pickle.dumps(h)),
        pickle.loads(pickle.dumps(mixed.snapshot())).history("k", **asked),
    ):
        assert (same.type, len(same), same.to_pylist()) == (kind, len(expected), expected)
    # What comes later is found by what asks again, and not by rows that were named, which stay what they were.
    mixed.append("k", -1.0, 10)
    if asked.get("rows") is None:
        again = mixed.history("k", **asked).to_pylist()
        assert h.refresh().to_pylist() == again and len(again) == len(expected) + 1
    else:
        assert h.refresh().to_pylist() == expected


SCANS = [
    {"start": 7},
    {"end": 50},
    {"start": 7, "end": 50},
    {"columns": ["value"]},
    {"columns": ["timestamp", "key"]},
    {"batch_size": 7},
    {"as_type": "float", "on_mismatch": "null"},
    {"as_type": "float", "on_mismatch": "skip"},
    {"as_type": "text", "order": "time"},
]


@pytest.mark.parametrize("asked", SCANS, ids=str)
def test_a_scan_is_the_same_however_it_is_asked(mixed, asked):
    scan = mixed.scan("*", **asked)
    expected = pa.table(scan)
    for same in (mixed.snapshot().scan("*", **asked), pickle.loads(pickle.dumps(scan))):
        table = pa.table(same)
        assert table.to_pydict() == expected.to_pydict() and table.schema == expected.schema
        assert [len(b) for b in table.to_batches()] == [len(b) for b in expected.to_batches()]
    assert ("batch_size" in asked) == (len(expected.to_batches()) > 20)


def test_a_scan_is_narrowed_and_never_widened(mixed):
    scan = mixed.scan("n", start=20, end=60)
    assert len(scan.narrowed(start=10, end=90)) == 40
    assert len(scan.narrowed(start=30)) == 30 and len(scan.narrowed(end=30)) == 10
    assert len(scan.narrowed(start=30, end=50).narrowed(start=10, end=40)) == 10
    assert scan.narrowed(columns=["value"]).narrowed(columns=["key"]).read().column_names == ["key"]
    assert scan.narrowed(columns=["value"]).narrowed(start=30).read().column_names == ["value"]
    assert len(pa.table(scan.narrowed(batch_size=9).narrowed(start=30)).to_batches()) > 3


FRAMES = [
    {"every": 5},
    {"every": "5us", "start": 3},
    {"every": 5, "end": 40},
    {"start": 20, "end": 40},
    {"every": 5, "tolerance": 2},
    {"tolerance": 3, "fill": 0.5},
    {"align": "forward"},
    {"align": "nearest", "tolerance": "1us"},
    {"every": 3, "tolerance": 1, "fill": "last"},
    {"as_type": "text"},
]


@pytest.mark.parametrize("asked", FRAMES, ids=str)
def test_a_frame_is_the_same_however_it_is_asked(mixed, asked):
    frame = mixed.frame(["n", "gaps"], **asked)
    expected = frame.to_pyarrow()
    assert not expected.equals(mixed.frame(["n", "gaps"]).to_pyarrow()), "it asks for nothing"
    for same in (mixed.snapshot().frame(["n", "gaps"], **asked), pickle.loads(pickle.dumps(frame))):
        assert same.to_pyarrow().equals(expected)


def test_a_frame_of_mismatches(mixed):
    for on_mismatch in ("null", "skip"):
        asked = {"as_type": "float", "on_mismatch": on_mismatch}
        found = mixed.frame(["k"], **asked).to_numpy()
        assert np.isnan(found).sum() >= 10
        np.testing.assert_array_equal(mixed.snapshot().frame(["k"], **asked).to_numpy(), found)
    for of in (mixed, mixed.snapshot()):
        with pytest.raises(synadb.TypeMismatchError):
            of.frame(["k"], as_type="float").read()


def test_lookups_of_a_snapshot_are_those_of_the_database(mixed):
    snapshot = mixed.snapshot()
    for of in (mixed, snapshot):
        assert of.get("none", 7) == of.get_at("none", 5, 7) == of.get_at("k", -1, 7) == 7
        assert of.get("none") is of.get_at("k", -1) is None
        assert of.get_at("n", 41) == 41 and of.get_at("gaps", 41) == 4
        assert of.keys("[gn]*") == ["gaps", "n"] and of.types("k") == mixed.types("k")
        assert of.latest("n").to_pydict()["value"] == [99]


def test_wide_tables_have_the_options_of_long_ones(db):
    def reader():
        schema = pa.schema({"timestamp": pa.timestamp("us"), "k": pa.float64()})
        rows = [{"timestamp": i, "k": float(i)} for i in range(6)]
        return pa.RecordBatchReader.from_batches(
            schema, [pa.RecordBatch.from_pylist(rows[i : i + 2], schema) for i in (0, 2, 4)]
        )

    assert db.write_wide(reader()).commits == 3
    assert db.write_wide(reader(), atomic=True).commits == 1
    with pytest.raises(synadb.TooLargeError):
        db.write_wide(reader(), atomic=True, write_budget_bytes=8)
    assert len(db["k"]) == 12
    with pytest.raises(synadb.TooLargeError), db.batch() as batch:
        batch.write_wide(reader(), write_budget_bytes=8)
    assert len(db["k"]) == 12


def test_a_follower_of_some_keys_hears_of_these_alone(db):
    named, matching = db.follow(["a", "c"]), db.follow("[ac]")
    db.append_row({"a": 1, "b": 2, "c": 3})
    db.append("b", 4)
    for follower in (named, matching):
        commit = follower.next(5)
        assert [change.key for change in commit.changes] == ["a", "c"]
        assert follower.next(0) is None


# Options


def test_caches_have_the_sizes_that_were_asked_for(path):
    values = np.random.default_rng(1).normal(20, 2, 200_000).round(2)
    for column_cache, pool in ((0, 2**28), (2**28, 0)):
        path.unlink(missing_ok=True)
        options = {"column_cache_bytes": column_cache, "buffer_pool_bytes": pool}
        with synadb.open(path, durability="os", **options) as db:
            db.append_batch("k", values, np.arange(len(values)))
            for _ in range(2):
                db["k"].values
            gc.collect()
            stats = db.stats()
            assert (stats.column_cache_bytes > 0, stats.buffer_pool_idle_bytes > 0) == (column_cache > 0, pool > 0)
            assert (stats.column_cache_hits > 0) == (column_cache > 0) and stats.column_cache_misses > 0
            # What the pool keeps none of goes back to the system at once.
            assert db.trim() >= 8 * len(values) if pool else db.trim() == 0
            stats = db.stats()
            assert stats.column_cache_bytes == stats.buffer_pool_idle_bytes == 0


def test_a_small_budget_of_tails_seals_early(path):
    chunks = []
    for budget in (64 << 10, 64 << 20):
        path.unlink(missing_ok=True)
        with synadb.open(path, durability="os", tail_budget_bytes=budget) as db:
            for i in range(8_000):
                db.append(f"k{i % 4}", float(i), i)
            chunks.append(db.stats().chunks)
            assert db.stats().tail_bytes <= budget
    assert chunks[0] > chunks[1]


def test_auto_optimize(path):
    options = {"auto_optimize": True, "auto_optimize_min_bytes": 1}
    with synadb.open(path, durability="os", **options) as db:
        for i in range(20_000):
            db.append("k", float(i), i)
        deadline = time.monotonic() + 60
        while db.stats().auto_optimizes == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            db.append("other", 1)
        assert db.stats().auto_optimize_error is None and len(db["k"]) == 20_000


def test_the_cold_tier_is_chosen(db):
    db.append_batch("k", np.random.default_rng(1).normal(20, 2, 100_000).round(2), np.arange(100_000))
    db.optimize()
    assert "pco" not in db.stats().encodings
    db.optimize(cold=True)
    assert "pco" in db.stats().encodings


def test_a_buffer_is_handed_out_when_it_is_told(path):
    options = {"durability": "buffered", "buffer_interval_ms": 10**9}
    copy = path.with_name("copy.syna")

    def stored():
        shutil.copy(path, copy)
        with synadb.open(copy, mode="r") as db:
            return len(db["k"]) if "k" in db else 0

    with synadb.open(path, buffer_size_bytes=4096, **options) as db:
        db.append("k", 1)
        time.sleep(0.3)  # longer than the interval that is the default
        assert stored() == 0
        db.flush()
        assert stored() == 1
        offset = db.append("k", 2)
        assert db.durable_offset <= offset
        db.sync()
        assert stored() == 2 and db.durable_offset > offset
        for _ in range(200):
            db.append("k", 3)
        assert 2 < stored() <= 202
    with synadb.open(path, buffer_size_bytes=16 << 20, **options) as db:
        for _ in range(200):
            db.append("k", 4)
        assert stored() == 202


def test_a_checkpoint_is_found_by_the_next_opening(path):
    """The page that leads to it is written at most once a second."""
    with synadb.open(path, durability="os") as db:
        for i in range(1000):
            db.append("k", i)
        db.sync()

        def copied():
            copy = path.with_name("copy.syna")
            shutil.copy(path, copy)
            with synadb.open(copy, mode="r") as again:
                assert len(again["k"]) == 1000
                return again.recovery

        time.sleep(1.5)
        whole = copied()
        assert not whole.from_checkpoint and whole.entries >= 1000
        db.checkpoint()
        deadline = time.monotonic() + 60
        while not copied().from_checkpoint:
            assert time.monotonic() < deadline
            db.sync()
            time.sleep(0.1)
        assert copied().entries < 10


def test_refresh_tells_whether_it_moved(path):
    with synadb.open(path, durability="os") as db:
        db.append("k", 1)
        db.flush()
        copy = path.with_name("other.syna")
        os.link(path, copy)
        # Under another name of the file, as another process has it: by a pickle of its own.
        with pickle.loads(pickle.dumps(db)) as reader:
            assert reader.refresh() is False
            db.append("k", 2)
            assert reader.get("k") == 1 and reader.refresh() is True and reader.get("k") == 2
            assert reader.refresh() is False
        assert db.refresh() is False


def test_relative_paths_are_those_of_the_opening(tmp_path, monkeypatch):
    """A reader, and a pickle, lead to the file, wherever the process went meanwhile."""
    monkeypatch.chdir(tmp_path)
    with synadb.open("db.syna", durability="os") as db:
        db.append("k", 1)
        db.flush()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with db.reader() as reader:
            assert reader.get("k") == 1
        for thing in (db, db.snapshot(), db["k"], db.scan(), db.frame("k")):
            assert pickle.loads(pickle.dumps(thing)) is not None
        assert db.path == "db.syna"


def test_what_a_close_has_to_say_is_raised_by_the_block(path):
    def gone(error):
        with synadb.open(path, durability="os") as db:
            db.append("k", 1)
            path.unlink()
            raise error

    with pytest.raises(synadb.DetachedError), synadb.open(path, durability="os") as db:
        db.append("k", 1)
        path.unlink()
    # What went wrong first counts.
    with pytest.raises(ZeroDivisionError):
        gone(ZeroDivisionError())


# Figures


def test_what_rewrites_and_checks_report(path):
    with synadb.open(path, durability="os") as db:
        for key in range(3):
            for i in range(3000):
                db.append(f"k{key}", float(i), i)
        db.append_batch("many", np.random.default_rng(1).random(100_000), np.arange(100_000))
        db.delete("k0")
        before = db.stats().log_bytes
        told: list[tuple[int, int]] = []
        report = db.optimize(progress=lambda *at: told.append(at))
        after = db.stats()
        assert (report.bytes_before, report.bytes_after) == (before, after.log_bytes) and before > after.log_bytes
        assert (report.keys, report.points) == (3, 106_000) == (after.keys, after.rows)
        assert told and all(0 <= done <= total for done, total in told)
        check = db.verify()
        assert check.bytes == after.log_bytes and check.chunks == after.chunks == 3
        assert check.blocks > check.chunks and (check.points, check.keys) == (106_000, 3)
        assert check.entries >= check.chunks
        db.append("text", "x")
        salvaged = path.with_name("saved.syna")
        db.flush()
        report = synadb.salvage(path, salvaged)
        assert (report.points, report.keys, report.missing) == (106_001, 4, []) and report.entries < 100
        assert 0 < report.commits <= report.entries


def test_stats_count_each_kind(db):
    db.append_batch("k", [1, 2, 1.5, float("nan"), "a", "b", "c", b"x", *[None] * 5], range(13))
    stats = db["k"].stats()
    assert (stats.count, stats.nulls, stats.nans) == (13, 5, 1)
    assert (stats.floats, stats.ints, stats.texts, stats.bytes) == (2, 2, 3, 1)
    assert (stats.min, stats.max, stats.sum, stats.mean) == (1, 2, 4.5, 1.5)
    assert stats.first == 1 and np.isnan(stats.last)
    assert (stats.start, stats.end) == (at(0), at(12))


def test_what_came_in_is_let_go_of(db):
    """Arrays are shared for as long as they are read, and no longer."""
    count = 50_000
    rng = np.random.default_rng(1)
    made = {
        "floats": lambda: rng.random(count),
        "floats of others": lambda: rng.random(count).astype("f4"),
        "ints": lambda: np.arange(count),
        "moments": lambda: np.arange(count).astype("M8[us]"),
        "arrow": lambda: pa.array(rng.random(count)),
        "texts": lambda: pa.array(["x"] * count),
        "objects": lambda: np.array(["x", 1.5] * (count // 2), dtype=object),
    }
    for name, make in made.items():
        array = make()
        is_time = name == "moments"
        for call in (db.append_batch, lambda *a: db.batch().append_batch(*a)):
            call("k", *((np.arange(float(count)), array) if is_time else (array, np.arange(count))))
        gone = weakref.ref(array)
        del array
        deadline = time.monotonic() + 10
        while gone() is not None:
            assert time.monotonic() < deadline, f"{name} is held"
            # What was dropped without the interpreter is let go of when it is asked for something.
            db.get("k")
            gc.collect()


# The interpreter


def others_run(work, seconds: float = 20.0) -> bool:
    """Whether another thread gets the interpreter while `work` runs.

    It is not taken away from a thread here, so that only who leaves it lets others run. That may be for so short
    a time that nobody notices; so the work is done again and again.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(10_000)
    ran, go = [], threading.Lock()
    go.acquire()

    def other():
        go.acquire()
        ran.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        go.release()
        ends = time.monotonic() + seconds
        while not ran and time.monotonic() < ends:
            work()
        return bool(ran)
    finally:
        sys.setswitchinterval(before)
        thread.join()


def in_thread(work) -> object:
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


LEAVING = {
    "append, full": lambda db, full: full.append("k", 1.0),
    "append_row, full": lambda db, full: full.append_row({"k": 1.0, "l": 2}),
    "batch, full": lambda db, full: full.batch().append("k", 1) or full.delete("k"),
    "append_batch": lambda db, full: db.append_batch("new", [1.0, 2.0]),
    "write": lambda db, full: db.write(db.scan("n")),
    "delete": lambda db, full: db.delete("none"),
    "flush": lambda db, full: db.flush(),
    "sync": lambda db, full: db.sync(),
    "checkpoint": lambda db, full: db.checkpoint(),
    "wait_durable": lambda db, full: db.wait_durable(0),
    "keys": lambda db, full: db.keys("n*"),
    "len": lambda db, full: len(db),
    "types": lambda db, full: db.types("n"),
    "get_at": lambda db, full: db.get_at("n", 5),
    "latest": lambda db, full: db.latest("n"),
    "history": lambda db, full: db["n"],
    "length": lambda db, full: len(SHARED["history"]),
    "to_numpy": lambda db, full: SHARED["history"].to_numpy(),
    "stats": lambda db, full: SHARED["history"].stats(),
    "resample": lambda db, full: SHARED["history"].resample("1s"),
    "stream": lambda db, full: SHARED["history"].__arrow_c_stream__(),
    "scan": lambda db, full: SHARED["scan"].read(),
    "frame": lambda db, full: SHARED["frame"].read(),
    "snapshot": lambda db, full: SHARED["snapshot"].get("n"),
    "rows of a snapshot": lambda db, full: SHARED["snapshot"].history("n", rows=(0, 2)),
    "follow": lambda db, full: SHARED["follower"].next(0),
    "optimize": lambda db, full: db.optimize(),
    "verify": lambda db, full: db.verify(),
    "figures": lambda db, full: db.stats(),
    "pickle": lambda db, full: pickle.dumps(db),
    "reader": lambda db, full: db.reader().close(),
}
SHARED: dict[str, object] = {}


@pytest.fixture
def both(path):
    full_path = path.with_name("full.syna")
    with synadb.open(path, durability="os") as db, synadb.open(full_path) as full:
        db.append_batch("n", np.arange(2000.0), np.arange(2000))
        SHARED.update(history=db["n"], scan=db.scan("n"), frame=db.frame("n"), snapshot=db.snapshot())
        SHARED["follower"] = db.follow()
        yield db, full
        SHARED.clear()


@pytest.mark.parametrize("call", LEAVING)
def test_calls_that_may_wait_leave_the_interpreter(both, call):
    def work():
        LEAVING[call](*both)

    assert others_run(work), "on the main thread"
    assert in_thread(lambda: others_run(work)), "on another thread"


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is nothing to keep")
def test_a_get_keeps_the_interpreter(both):
    """To leave it and come back would take longer than the answer."""
    db, _ = both
    assert not others_run(lambda: db.get("n"), 0.5)
    assert not in_thread(lambda: others_run(lambda: db.get("n"), 0.5))
