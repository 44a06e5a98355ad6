"""Histories: slices, columns, NumPy, DLPack, what they say about themselves."""

from __future__ import annotations

import gc
import pickle
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import synadb

UTC = timezone.utc


def at(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


@pytest.fixture
def filled(any_db):
    rng = np.random.default_rng(1)
    values = rng.random(30_000).round(3)
    stamps = np.arange(30_000) * 1_000_000
    any_db.append_batch("k", values[:20_000], stamps[:20_000])
    any_db.append_batch("k", values[20_000:29_990], stamps[20_000:29_990])
    for value, stamp in zip(values[29_990:], stamps[29_990:], strict=True):
        any_db.append("k", value, stamp)
    return any_db, values, stamps


def test_rows_and_slices(filled):
    db, values, stamps = filled
    h = db["k"]
    assert len(h) == 30_000 and h.key == "k" and h.type == "Float64"
    assert h[0] == (at(0), values[0]) and h[-1] == (at(int(stamps[-1])), values[-1])
    assert h[12_345] == (at(int(stamps[12_345])), values[12_345])
    for wrong in (30_000, -30_001, 2**70):
        with pytest.raises(IndexError):
            h[wrong]
    for wrong in ("a", 1.5, None):
        with pytest.raises(TypeError):
            h[wrong]
    with pytest.raises(ValueError):
        h[::2]
    for part in (slice(5, 50), slice(-3, None), slice(None, 7), slice(9, 3), slice(25_000, 10**9)):
        assert h[part].to_numpy().tolist() == values[part].tolist()
        assert len(h[part]) == len(values[part])
    assert h[100:200][10:20][3:5].to_numpy().tolist() == values[113:115].tolist()
    assert h.last(5).to_numpy().tolist() == values[-5:].tolist()
    assert h.last(10**12).to_numpy().tolist() == values.tolist()
    assert h.last(10**30).to_numpy().tolist() == values.tolist() and len(h.last(np.int32(2))) == 2
    assert len(h.downsample(10**30)) == len(h)
    for call in (h.last, h.downsample):
        with pytest.raises(ValueError, match="0 or more"):
            call(-1)
        with pytest.raises(TypeError):
            call(1.5)
    assert h[10:10].first_row is None and h[10:10].last_row is None
    assert h[5:9].first_row[1] == values[5] and h[5:9].last_row[1] == values[8]
    assert [value for _, value in h] == values.tolist() and h.to_pylist()[-1] == h.last_row
    assert [value for _, value in h[3:6]] == values[3:6].tolist() == [v for _, v in h[3:6].to_pylist()]


def test_times(filled):
    db, values, stamps = filled
    h = db["k"]
    start, end = at(int(stamps[100])), at(int(stamps[200]))
    assert h[start:end].to_numpy().tolist() == values[100:200].tolist()
    assert h[:end].to_numpy().tolist() == values[:200].tolist()
    assert h[start:].to_numpy().tolist() == values[100:].tolist()
    assert h[np.datetime64(start.replace(tzinfo=None)) :].to_numpy().tolist() == values[100:].tolist()
    assert h[start:end][5:10].to_numpy().tolist() == values[105:110].tolist()
    assert h[50:150][start:].to_numpy().tolist() == values[100:150].tolist()
    asked = db.history("k", start=start, end=end, rows=slice(0, 150))
    assert asked.to_numpy().tolist() == values[100:150].tolist()
    assert len(asked) == 50
    assert db.history("k", rows=range(3, 5)).to_numpy().tolist() == values[3:5].tolist()
    assert db.history("k", rows=(3, 5)).to_numpy().tolist() == values[3:5].tolist()
    with pytest.raises(TypeError):
        h[start:5]
    with pytest.raises(ValueError):
        h[start:end:2]


def test_time_order(any_db):
    any_db.append_batch("k", np.arange(100.0), np.arange(100)[::-1].copy())
    by_time = any_db.history("k", order="time")
    assert by_time.to_numpy().tolist() == list(range(99, -1, -1))
    assert by_time.timestamps.to_numpy().astype("i8").tolist() == list(range(100))
    assert by_time[0] == (at(0), 99.0)
    with pytest.raises(ValueError, match="order"):
        by_time[3:5]
    assert any_db.history("k", rows=(0, 2), order="time").to_numpy().tolist() == [1.0, 0.0]


def test_it_keeps_its_commit(filled):
    db, values, _ = filled
    h = db["k"]
    snapshot = db.snapshot()
    db.append("k", -1.0)
    db.append("new", 1)
    assert len(h) == 30_000 and h.stats().count == 30_000 and h.to_numpy()[-1] == values[-1]
    assert len(h.refresh()) == 30_001 and len(h[5:].refresh()) == 29_996 - 1
    assert "new" not in snapshot and snapshot.get("k") == values[-1] and len(snapshot) == 1
    assert list(snapshot) == snapshot.keys() == ["k"] and snapshot.types("k") == ["float"]
    assert len(snapshot["k"]) == len(snapshot.history("k")) == 30_000
    assert snapshot.get_at("k", 1_500_000) == values[1] and snapshot.get("x", 5) == 5
    db.delete("k")
    assert len(h) == 30_000 and "k" not in db and "k" in snapshot
    assert snapshot.commit_end > 0
    with pytest.raises(synadb.KeyNotFoundError):
        h.refresh()


def test_numpy_shares_what_it_can(path):
    with synadb.open(path, durability="os", enable_delta=False, enable_compression=False) as db:
        db.append_batch("k", np.arange(100_000.0), np.arange(100_000))
        h = db["k"]
        first, second = h.to_numpy(), np.asarray(h)
        assert first.ctypes.data == second.ctypes.data == h.values.to_numpy().ctypes.data
        assert not first.flags.writeable and first.ctypes.data % 64 == 0
        assert h.explain().columns[1].mapped_bytes == 800_000 and "mapped" in str(h.explain())
        stamps = h.timestamps.to_numpy()
        assert stamps.dtype == "<M8[us]" and stamps.ctypes.data % 64 == 0
        copied = np.array(h)
        assert copied.flags.writeable and copied.ctypes.data != first.ctypes.data
        assert np.array(h, copy=True).flags.owndata
        assert np.asarray(h, dtype="f4").dtype == "f4"
        assert np.asarray(h, copy=False).ctypes.data == first.ctypes.data
        with pytest.raises(ValueError):
            np.asarray(h, dtype="f4", copy=False)
        mapped = db.stats().mapped_bytes
        assert mapped >= 3 * 800_000 and db.stats().copied_bytes == 0
    assert first.sum() == second.sum() == sum(range(100_000)), "after close"


def test_a_second_read_copies_nothing(path):
    with synadb.open(path, durability="os") as db:
        values = np.random.default_rng(2).random(100_000)
        for part in np.array_split(values, 7):
            db.append_batch("k", part, np.arange(len(part)))
        first = db["k"].to_numpy()
        before = db.stats()
        second = db["k"].to_numpy()
        after = db.stats()
        assert first.ctypes.data == second.ctypes.data and (first == values).all()
        assert after.copied_bytes == before.copied_bytes
        assert after.decoded_bytes == before.decoded_bytes
        assert after.cached_bytes > before.cached_bytes


def test_nulls_to_numpy(db):
    db.append_batch("f", pa.array([1.5, None, float("nan")]), [1, 2, 3])
    db.append_batch("i", pa.array([1, None, 3]), [1, 2, 3])
    db.append_batch("big", pa.array([2**53 + 1, None]), [1, 2])
    db.append_batch("t", ["a", None, "c"], [1, 2, 3])
    db.append_batch("b", [b"a", None], [1, 2])
    db.append_batch("n", [None, None], [1, 2])
    db.append_batch("mixed", [1.5, "a", None, b"b", 7], range(5))

    def same(a, b):
        np.testing.assert_array_equal(a, b)
        return True

    assert same(db["f"].to_numpy(), [1.5, np.nan, np.nan])
    assert same(np.asarray(db["f"]), [1.5, np.nan, np.nan])
    assert same(db["f"].to_numpy(nulls=-1.0), [1.5, -1, np.nan])
    assert same(db["f"].to_numpy(nulls=7), [1.5, 7, np.nan])
    with pytest.raises(ValueError):
        db["f"].to_numpy(nulls="raise")
    masked = db["f"].to_numpy(nulls="mask")
    assert masked.mask.tolist() == [False, True, False] and masked[0] == 1.5
    assert db["f"].to_numpy(nulls="object").tolist()[1] is None
    for read in (lambda: db["i"].to_numpy(), lambda: np.asarray(db["i"])):
        with pytest.raises(ValueError, match="nulls="):
            read()
    assert same(db["i"].to_numpy(nulls="nan"), [1, np.nan, 3])
    assert same(db["i"].to_numpy(nulls=-9), [1, -9, 3]) and db["i"].to_numpy(nulls=-9).dtype == "i8"
    assert db["i"].to_numpy(nulls="mask").tolist() == [1, None, 3]
    with pytest.raises(ValueError, match="2\\*\\*53"):
        db["big"].to_numpy(nulls="nan")
    assert db["t"].to_numpy().tolist() == ["a", None, "c"] and db["t"].to_numpy().dtype == object
    assert db["b"].to_numpy().tolist() == [b"a", None]
    assert same(db["n"].to_numpy(), [np.nan, np.nan])
    with pytest.raises(TypeError, match="as_type"):
        db["mixed"].to_numpy()
    asked = db.history("mixed", as_type="float", on_mismatch="null").to_numpy()
    assert same(asked, [1.5, np.nan, np.nan, np.nan, 7]) and len(asked) == len(db["mixed"])
    for wrong in ("zero", [1]):
        with pytest.raises(ValueError):
            db["f"].to_numpy(nulls=wrong)
    own = db["f"].to_numpy()
    own[:] = 0
    assert db["f"].to_numpy()[0] == 1.5
    for key in db:
        for nulls in ("object",):
            assert len(db[key].to_numpy(nulls=nulls)) == len(db[key])


def test_types_asked_for(db):
    db.append_batch("k", [1, 2.5, "3", b"4", None, 2**60], range(6))
    h = db["k"]
    assert h.type.startswith("Struct")
    assert [v for _, v in h] == [1, 2.5, "3", b"4", None, 2**60]
    assert [v for _, v in db.history("k", as_type="union")] == [1, 2.5, "3", b"4", None, 2**60]
    assert [v for _, v in db.history("k", as_type="int", on_mismatch="skip")] == [1, None, 2**60]
    assert [v for _, v in db.history("k", as_type="text")] == ["1", "2.5", "3", "4", None, str(2**60)]
    with pytest.raises(synadb.TypeMismatchError) as raised:
        db.history("k", as_type="float").read()
    assert raised.value.key == "k" and raised.value.expected == "float"
    for wrong in ({"as_type": "f8"}, {"on_mismatch": "drop"}, {"order": "key"}):
        with pytest.raises(ValueError):
            db.history("k", **wrong)
    assert sorted(db.types("k")) == ["bytes", "float", "int", "null", "text"]


def test_columns_and_batches(filled):
    db, values, stamps = filled
    batch = db["k"].read()
    assert (len(batch), batch.num_rows, batch.num_columns) == (30_000, 30_000, 2)
    assert batch.column_names == ["timestamp", "value"]
    assert batch[0] == (at(0), values[0]) and batch[-1][1] == values[-1]
    assert batch[5:8].to_pydict()["value"] == values[5:8].tolist()
    column = batch["value"]
    assert (column.name, column.type, column.null_count, len(column)) == ("value", "Float64", 0, 30_000)
    assert column[3] == values[3] and column[-1] == values[-1]
    assert column[10:20].to_pylist() == values[10:20].tolist()
    assert column[10:20].to_numpy().tolist() == values[10:20].tolist()
    assert batch["timestamp"][5] == at(int(stamps[5]))
    for wrong in (30_000, -30_001):
        with pytest.raises(IndexError):
            column[wrong]
        with pytest.raises(IndexError):
            batch[wrong]
    with pytest.raises(KeyError):
        batch["values"]
    table = batch.to_numpy()
    assert table.shape == (30_000, 1)
    del db
    gc.collect()
    assert column.to_numpy().sum() == values.sum()


def test_moments_beyond_the_calendar(db):
    db.append("k", 1, 2**62)
    assert db["k"].timestamps.to_numpy().astype("i8").tolist() == [2**62]
    with pytest.raises(OverflowError, match="Arrow"):
        db["k"][0]
    assert db["k"].stats().start == 2**62


def test_stats(filled):
    db, values, stamps = filled
    stats = db["k"].stats()
    assert (stats.count, stats.nulls, stats.nans, stats.floats) == (30_000, 0, 0, 30_000)
    assert (stats.min, stats.max) == (values.min(), values.max())
    assert stats.mean == pytest.approx(values.mean()) and stats.sum == pytest.approx(values.sum())
    assert (stats.first, stats.last) == (values[0], values[-1])
    assert (stats.start, stats.end) == (at(0), at(int(stamps[-1])))
    db.append_batch("i", [2**62, 2**62, 2**62], [0, 1, 2])
    assert db["i"].stats().sum == 3 * 2**62
    assert stats == db["k"].stats() != db["k"][1:].stats() and stats != 5
    empty = db["k"][5:5].stats()
    assert (empty.count, empty.min, empty.start) == (0, None, None)


def test_resample(filled):
    db, values, _ = filled
    hours = db["k"].resample("1h", ["count", "mean", "max"])
    assert hours.column_names == ["timestamp", "count", "mean", "max"]
    assert hours["count"].to_pylist() == [3600] * 8 + [1200]
    assert hours["max"][0] == values[:3600].max()
    assert db["k"].resample(timedelta(hours=1))["mean"][1] == pytest.approx(values[3600:7200].mean())
    assert len(db["k"].resample(3_600_000_000, "min")) == 9
    db.append("gap", 1, 0)
    db.append("gap", 2, 5 * 3_600_000_000)
    assert len(db["gap"].resample("1h")) == 2 and len(db["gap"].resample("1h", empty=True)) == 6
    for wrong in ("1y", "h", ""):
        with pytest.raises(synadb.InvalidOptionError):
            db["k"].resample(wrong)
    with pytest.raises(ValueError):
        db["k"].resample("1h", ["median"])
    with pytest.raises(TypeError):
        db["k"].resample(1.5)


def test_downsample(filled):
    db, values, _ = filled
    for method in ("minmax", "lttb"):
        drawn = db["k"].downsample(100, method=method)
        assert 50 <= len(drawn) <= 100
        assert set(drawn["value"].to_pylist()) <= set(values.tolist())
    assert values.max() in db["k"].downsample(100)["value"].to_pylist()
    with pytest.raises(ValueError):
        db["k"].downsample(100, method="mean")
    with pytest.raises(synadb.InvalidOptionError):
        db["k"].downsample(2)


def test_html(filled):
    db, numbers, _ = filled
    html = db["k"]._repr_html_()
    assert "30,000" in html and "<svg" in html and "Float64" in html
    assert "nulls" not in html and f"mean {numbers.mean():g}" in html
    assert f"{numbers.min():g} to {numbers.max():g}" in html and "1970-01-01T00:00:00Z" in html
    db.append_batch("nulls", [1.5, None, None], [1, 2, 3])
    assert "<th>nulls</th><td>2</td>" in db["nulls"]._repr_html_()
    db.append("<b>", "<i>")
    html = db["<b>"]._repr_html_()
    assert "&lt;b&gt;" in html and "<svg" not in html and "<b>&lt;" in html
    for values in ([None], [float("nan")], [1, "a"], [1.0, float("inf")]):
        db.append_batch("odd", values)
        assert "points" in db["odd"]._repr_html_()
    # The difference of two doubles is not always one.
    db.append_batch("wide", [-1.7e308, 1.7e308, 0.0], [0, 1, 2])
    assert 'points="0.0,48.0 160.0,0.0 320.0,24.0"' in db["wide"]._repr_html_()


def test_plot(filled):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    db, values, _ = filled
    ax = db["k"].plot(points=500)
    [line] = ax.get_lines()
    assert 250 <= len(line.get_ydata()) <= 500 and max(line.get_ydata()) == values.max()
    # Several in one picture.
    assert db["k"].plot(ax=ax) is ax and len(ax.get_lines()) == 2
    assert [line.get_label() for line in ax.get_lines()] == ["k", "k"] and ax.get_ylabel() == "k"
    # Counters of nanoseconds are above 2**53, and were refused.
    db.append_batch("ns", [2**60, None, 2**60 + 1], [1, 2, 3])
    [line] = db["ns"].plot().get_lines()
    assert line.get_ydata().tolist() == [2**60, 2**60 + 1]


# DLPack


def capsule_name(capsule: object) -> str:
    return repr(capsule).split('"')[1]


def test_dlpack_shares_and_is_read_only(path):
    with synadb.open(path, durability="os", enable_delta=False, enable_compression=False) as db:
        db.append_batch("f", np.arange(1000.0), np.arange(1000))
        db.append_batch("i", np.arange(1000), np.arange(1000))
        for key in ("f", "i"):
            column = db[key].values
            assert column.__dlpack_device__() == (1, 0)
            shared = np.from_dlpack(column)
            assert shared.ctypes.data == column.to_numpy().ctypes.data
            assert not shared.flags.writeable and shared.tolist() == list(range(1000))
            copied = np.from_dlpack(column, copy=True)
            assert copied.ctypes.data != shared.ctypes.data and copied.flags.writeable
            copied[:] = 0
            assert shared[5] == 5
        assert np.from_dlpack(db["f"].timestamps).dtype == "i8"
        assert np.from_dlpack(db["f"][5:5].values).shape == (0,)
        assert np.from_dlpack(column[10:20]).tolist() == list(range(10, 20))
    assert shared.sum() == sum(range(1000)), "after close"


def test_dlpack_without_versions_is_an_owned_copy(db):
    db.append_batch("f", np.arange(1000.0), np.arange(1000))
    column = db["f"].values
    assert capsule_name(column.__dlpack__()) == "dltensor"
    assert capsule_name(column.__dlpack__(max_version=(-1, 0))) == "dltensor"
    assert capsule_name(column.__dlpack__(max_version=(0, 8))) == "dltensor"
    assert capsule_name(column.__dlpack__(max_version=(1, 0))) == "dltensor_versioned"
    assert capsule_name(column.__dlpack__(max_version=(1, 1), copy=True)) == "dltensor_versioned"

    class Old:
        """A consumer that does not ask for a version."""

        def __dlpack__(self, **_):
            return column.__dlpack__()

        def __dlpack_device__(self):
            return column.__dlpack_device__()

    own = np.from_dlpack(Old())
    assert own.ctypes.data != column.to_numpy().ctypes.data and own.tolist() == list(range(1000))
    for _ in range(100):  # capsules that nobody takes are freed, too
        column.__dlpack__()
        column.__dlpack__(max_version=(1, 0))


def test_dlpack_refuses(db):
    db.append_batch("n", pa.array([1.5, None]), [1, 2])
    db.append_batch("t", ["a"], [1])
    db.append_batch("f", [1.5], [1])
    for key in ("n", "t"):
        with pytest.raises(BufferError):
            np.from_dlpack(db[key].values)
    column = db["f"].values
    for wrong in ({"stream": 1}, {"dl_device": (2, 0)}, {"copy": False}):
        with pytest.raises(BufferError):
            column.__dlpack__(**wrong)


# Pickle


def test_pickles_read_at_their_commit(path):
    with synadb.open(path, durability="buffered") as db:
        db.append_batch("k", np.arange(100.0), np.arange(100))
        db.append("t", "text", 5)
        h = db["k"][10:50][at(20) :]
        things = {"db": db, "snapshot": db.snapshot(), "h": h, "scan": db.scan("k", start=3)}
        pickles = {name: pickle.dumps(thing) for name, thing in things.items()}
        db.append("k", -1.0)
        again = {name: pickle.loads(data) for name, data in pickles.items()}
        assert again["db"].read_only and len(again["db"]["k"]) == 100
        with pytest.raises(synadb.ReadOnlyError):
            again["db"].append("k", 1)
        assert len(again["snapshot"]["k"]) == 100 and again["snapshot"].get("t") == "text"
        assert again["h"].to_numpy().tolist() == list(range(20, 50)) == h.to_numpy().tolist()
        assert len(again["scan"]) == 97 and again["scan"].keys == ["k"]
        reread = pickle.loads(pickle.dumps(again["h"]))
        assert reread.to_numpy().tolist() == list(range(20, 50))
        db.flush()
        assert again["db"].refresh() and len(again["db"]["k"]) == 101
        asked = db.history("t", as_type="bytes", order="time", on_mismatch="null")
        assert pickle.loads(pickle.dumps(asked)).to_pylist() == [(at(5), b"text")]
        db.optimize()
        for name, data in pickles.items():
            with pytest.raises(synadb.CursorLostError):
                pickle.loads(data)
                pytest.fail(name)
    with pytest.raises(FileNotFoundError):
        path.unlink()
        pickle.loads(pickles["db"])


def test_memory_cannot_be_pickled():
    db = synadb.open(":memory:")
    db.append("k", 1)
    for thing in (db, db["k"], db.snapshot()):
        with pytest.raises((TypeError, synadb.SynaError)):
            pickle.dumps(thing)
    with pytest.raises(ValueError):
        db.reader()


def test_rows_are_named_as_in_python(filled):
    """The step of a range was left out, and ints beyond 64 bits were taken for times."""
    h = filled[0]["k"]
    history = filled[0].history
    assert len(history("k", rows=range(5, 8))) == 3
    for wrong in (range(0, 10, 2), range(10, 0, -1), slice(0, 10, 2)):
        with pytest.raises(ValueError, match="steps of one"):
            history("k", rows=wrong)
    for wrong in ([1, 2], (1, 2, 3), "ab", 5, (1.5, 2), (at(0), at(1))):
        with pytest.raises(TypeError):
            history("k", rows=wrong)
    assert len(history("k", rows=(0, 2**70))) == len(h[0 : 2**70]) == len(h[-(2**70) :]) == 30_000
    assert len(history("k", rows=(np.int64(-3), np.int64(-1)))) == 2


def test_ends_between_two_microseconds_part_as_the_moment_does(db):
    db.append_batch("k", [0, 1, 2], [0, 1, 2])
    for nanos in (-1, 0, 1, 999, 1000, 1001, 1999, 2000, 2001):
        moment = np.datetime64(nanos, "ns")
        expected = [row for row in range(3) if row * 1000 >= nanos]
        assert db["k"][moment:].to_numpy().tolist() == expected
        assert db["k"][:moment].to_numpy().tolist() == list(range(3 - len(expected)))
        assert len(db.scan(start=moment)) == len(expected) == len(db.history("k", start=moment))


def test_the_type_of_filled_ints_does_not_depend_on_the_data(db):
    db.append_batch("i", [1, 2, 3], [1, 2, 3])
    assert db["i"].to_numpy(nulls="nan").dtype == "f8"
    db.append("i", None)
    assert db["i"].to_numpy(nulls="nan").dtype == "f8"
    assert db["i"].to_numpy(nulls=np.int64(7)).tolist() == [1, 2, 3, 7]
    masked = db["i"].to_numpy(nulls="mask")
    assert masked.mask.tolist() == [False, False, False, True] and masked.dtype == "i8"
    with pytest.raises(ValueError, match="nulls="):
        db["i"].to_numpy(nulls=True)


def test_a_pickled_frame_is_the_same_frame(path):
    import multiprocessing

    with synadb.open(path, durability="os") as db:
        db.append_batch("a", [1.0, None, 3.0], [0, 10, 20])
        db.append_batch("b", [4, 5, 6], [5, 15, 25])
        frames = [
            db.frame("*"),
            db.frame(["b", "a"], every=5, start=0, end=30, fill=0.5, tolerance=0, as_type="float"),
            db.frame(["a"], every="10us", align="forward", fill="last", tolerance=timedelta(seconds=3)),
        ]
        db.append("a", 9.0, 30)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for frame, there in zip(frames, pool.map(synadb.Frame.to_pyarrow, frames), strict=True):
                assert there.equals(frame.to_pyarrow()) and frame.keys == pickle.loads(pickle.dumps(frame)).keys


def test_tables_of_floats_are_exact_or_refused(db):
    """Ints beyond 2**53 were rounded; nulls among ints were refused by naming an option that is not there."""
    db.append_batch("i", [1, None, 3], [1, 2, 3])
    db.append_batch("big", [2**53 + 1], [1])
    db.append_batch("huge", [2**63 - 1, 2**63 - 1], [1, 1])
    db.append_batch("t", ["1.5"], [1])
    np.testing.assert_array_equal(db["i"].read().to_numpy(), [[1], [np.nan], [3]])
    np.testing.assert_array_equal(db.latest("i").to_numpy(), [[3]])
    table = db.frame(["i", "huge"]).read().to_pydict()
    assert table["i"] == [1, None, 3]
    np.testing.assert_array_equal(db.frame(["i"], fill=7).read().to_numpy(), [[1], [7], [3]])
    for batch in (db["big"].read(), db.latest("big"), db["huge"].resample("1s", "sum")):
        with pytest.raises(ValueError, match="no exact float64"):
            batch.to_numpy()
    for batch in (db["t"].read(), db.history("i", as_type="struct").read()):
        with pytest.raises(TypeError, match="'value'"):
            batch.to_numpy()
    with pytest.raises(TypeError, match="to_pylist"):
        db["huge"].resample("1s", "sum")["sum"].to_numpy()
    assert db["huge"].resample("1s", "sum")["sum"].to_pylist() == [2**64 - 2]


def test_lengths_of_time_are_whole_microseconds(db):
    """What pandas' Timedelta has below one was dropped; NumPy's ints were no ints."""
    import pandas as pd

    db.append_batch("k", [1.0, 2.0, 3.0], [0, 3, 6])
    for wrong in (pd.Timedelta(1500, unit="ns"), pd.Timedelta(-1, unit="ns")):
        for call in (lambda w: db["k"].resample(w), lambda w: db.frame(["k"], every=w)):
            with pytest.raises(ValueError, match="whole microseconds"):
                call(wrong)
        with pytest.raises(ValueError, match="whole microseconds"):
            db.frame(["k"], tolerance=wrong)
    for every in (3, np.int64(3), pd.Timedelta(3, unit="us"), timedelta(microseconds=3), "3us"):
        assert len(db["k"].resample(every)) == len(db.frame(["k"], every=every, tolerance=every).read()) == 3
    for wrong in (2**63, timedelta.max):
        with pytest.raises(OverflowError, match="microseconds"):
            db["k"].resample(wrong)
    for wrong in (True, 1.5, np.float64(3)):
        with pytest.raises(TypeError, match="a step in time"):
            db["k"].resample(wrong)


def test_a_column_that_is_not_there_is_named(db):
    db.append_batch("k", [1, None], [0, 1])
    with pytest.raises(KeyError, match="no column 'mean': there are timestamp, value"):
        db["k"].read()["mean"]
    with pytest.raises(OverflowError, match="nulls="):
        db["k"].to_numpy(nulls=2**63)


def test_a_row_that_is_not_there_is_named(db):
    db.append_batch("k", [1.0, 2.0], [0, 1])
    for thing in (db["k"], db["k"].read(), db["k"].values):
        for row in (2, -3, 2**70):
            with pytest.raises(IndexError, match=f"no row {row}: there are 2"):
                thing[row]
        assert thing[np.int64(-2)] == thing[0]


def test_columns_are_iterable(db):
    """pandas took a column for a scalar, and made a Series of one column object."""
    db.append_batch("k", np.arange(10_000.0), np.arange(10_000))
    db.append_batch("i", [1, None, 3], [1, 2, 3])
    values = db["k"].values
    assert list(values) == values.to_pylist() and list(db["i"].values) == [1, None, 3]
    assert list(db["i"].timestamps) == [when for when, _ in db["i"]]
    series = pd.Series(values)
    assert len(series) == 10_000 and series[9_999] == 9_999.0
