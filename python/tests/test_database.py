"""Opening, appending, looking up, closing."""

from __future__ import annotations

import array
import os
import pickle
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import synadb
from support import optimized

UTC = timezone.utc


def test_open_is_the_class_and_the_first_steps_work(path):
    assert synadb.open is synadb.SynaDB
    with synadb.open(path) as db:
        assert db.append("kitchen/temp", 21.5) > 0
        db.append("kitchen/temp", 19.0, 1_357_020_000_000_000)
        assert db.get("kitchen/temp") == 19.0
        assert db.get_at("kitchen/temp", datetime(2014, 1, 1)) == 19.0
        assert db["kitchen/temp"].to_numpy().tolist() == [21.5, 19.0]
        assert (db.mode, db.durability, db.read_only, db.path) == ("a", "full", False, str(path))
    with pytest.raises(synadb.ClosedError):
        db.get("kitchen/temp")
    with pytest.raises(synadb.ClosedError):
        db.close()


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_paths_of_every_kind(path, kind):
    with synadb.open(kind(path) if kind is not str else str(path)) as db:
        db.append("a", 1)
    assert path.exists()


def test_modes(path):
    for mode in ("r", "r+"):
        with pytest.raises(FileNotFoundError) as raised:
            synadb.open(path, mode=mode)
        assert isinstance(raised.value, synadb.SynaError)
        assert raised.value.filename == str(path) and raised.value.errno == 2
    synadb.open(path, mode="x").close()
    with pytest.raises(FileExistsError):
        synadb.open(path, mode="x")
    with synadb.open(path, mode="r+") as db:
        db.append("a", 1)
        with synadb.open(path, mode="r") as reader:
            assert reader.get("a") == 1 and reader.read_only
            with pytest.raises(synadb.ReadOnlyError):
                reader.append("a", 2)
    for wrong in ({"mode": "w"}, {"durability": "fast"}):
        with pytest.raises(ValueError):
            synadb.open(path, **wrong)
    with pytest.raises(IsADirectoryError):
        synadb.open(path.parent)
    with pytest.raises(FileNotFoundError):
        synadb.open(path.parent / "missing" / "db.syna")
    text = path.parent / "text"
    text.write_text("not a database\n" * 1000)
    with pytest.raises(synadb.NotADatabaseError):
        synadb.open(text)
    assert text.read_text() == "not a database\n" * 1000


def test_options_conflict(path):
    with synadb.open(path, durability="os"):
        with pytest.raises(synadb.OptionsConflictError) as raised:
            synadb.open(path)
        assert raised.value.option == "durability"
        with synadb.open(path, durability="os") as again:
            again.append("a", 1)


def test_every_durability_keeps_what_was_closed(path, durability):
    with synadb.open(path, durability=durability) as db:
        assert db.durability == durability
        for i in range(100):
            db.append("a", i, i)
        db.flush()
        db.sync()
        db.checkpoint()
        assert db.durable_offset > 0
        db.wait_durable(db.append("a", 100, 100))
    with synadb.open(path, mode="r") as db:
        assert db["a"].to_numpy().tolist() == list(range(101))


VALUES = [
    (None, None),
    (True, 1),
    (False, 0),
    (7, 7),
    (-(2**63), -(2**63)),
    (2**63 - 1, 2**63 - 1),
    (1.5, 1.5),
    (float("inf"), float("inf")),
    ("", ""),
    ("tüür\0x", "tüür\0x"),
    (b"", b""),
    (b"\0\xff", b"\0\xff"),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"abcd")[::2], b"ac"),
    (np.float64(2.5), 2.5),
    (np.float32(0.5), 0.5),
    (np.float16(0.5), 0.5),
    (np.int8(-3), -3),
    (np.uint64(2**63 - 1), 2**63 - 1),
    (np.bool_(True), 1),
    (np.str_("text"), "text"),
    (np.bytes_(b"by"), b"by"),
    (pd.NA, None),
    (pd.NaT, None),
    (np.datetime64("NaT"), None),
]


@pytest.mark.parametrize(("given", "stored"), VALUES, ids=lambda v: repr(v)[:24])
def test_values_come_back(db, given, stored):
    db.append("k", given)
    found = db.get("k", "absent")
    assert found == stored and type(found) is type(stored)
    assert db.history("k", as_type="struct").to_pylist()[0][1] == stored


def test_nan_stays_a_float(db):
    db.append("k", float("nan"))
    assert np.isnan(db.get("k"))
    assert db["k"].values.null_count == 0


WRONG_VALUES = [
    (2**63, OverflowError),
    (-(2**63) - 1, OverflowError),
    (np.uint64(2**63), OverflowError),
    (np.longdouble(1) / 3, TypeError),
    (1j, TypeError),
    ([1], TypeError),
    (object(), TypeError),
    (datetime(2020, 1, 1), TypeError),
    (np.datetime64("2020"), TypeError),
    (np.array([1.0]), TypeError),
    ("\ud800", UnicodeEncodeError),
]


@pytest.mark.parametrize(("value", "error"), WRONG_VALUES, ids=lambda v: repr(v)[:24])
def test_what_is_no_value_is_refused(db, value, error):
    with pytest.raises(error):
        db.append("k", value)
    with pytest.raises(error):
        db.append_row({"ok": 1, "k": value})
    with db.batch() as batch, pytest.raises(error):
        batch.append("k", value)
    assert len(db) == 0


def test_decimal_is_refused(db):
    from decimal import Decimal

    with pytest.raises(TypeError, match="Decimal"):
        db.append("k", Decimal("1.5"))


@pytest.mark.parametrize("key", [b"k", 1, None, 1.5, float("nan"), ("a",)])
def test_keys_are_texts(db, key):
    for call in (
        lambda: db.append(key, 1),
        lambda: db.get(key),
        lambda: db[key],
        lambda: db.delete(key),
        lambda: db.append_batch(key, [1]),
    ):
        with pytest.raises(TypeError):
            call()
    assert key not in db


def test_keys_that_cannot_be(db):
    with pytest.raises(synadb.InvalidKeyError):
        db.append("", 1)
    with pytest.raises(ValueError):
        db.append("k" * 65_536, 1)
    db.append("k" * 65_535, 1)
    with pytest.raises(UnicodeEncodeError):
        db.append("\udcff", 1)
    assert "\udcff" not in db


STAMPS = [
    (0, 0),
    (-5, -5),
    (datetime(1970, 1, 1, 1, tzinfo=UTC), 3_600_000_000),
    (datetime(1970, 1, 1, 1), 3_600_000_000),
    (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
    (datetime.max.replace(tzinfo=UTC), 253402300799999999),
    (datetime.min, -62135596800000000),
    (np.datetime64("1970-01-01T00:00:00.000001"), 1),
    (np.datetime64("1970-01-02"), 86_400_000_000),
    (np.datetime64("1971"), 365 * 86_400_000_000),
    (np.datetime64("1970-02"), 31 * 86_400_000_000),
    (np.datetime64(1_000, "ns"), 1),
    (np.datetime64("1969-12-31T23:59:59.999999"), -1),
    (pd.Timestamp("1970-01-01T01:00", tz="Europe/Berlin"), 0),
    (pd.Timestamp("1970-01-01T00:00:00.000002"), 2),
    (np.int64(9), 9),
]


@pytest.mark.parametrize(("given", "micros"), STAMPS, ids=lambda v: str(v)[:30])
def test_moments(db, given, micros):
    db.append("k", 1, given)
    assert db["k"].timestamps.to_numpy().astype("i8").tolist() == [micros]
    assert db.get_at("k", given) == 1
    assert db.get_at("k", micros - 1, "none") == "none"


FINE = [np.datetime64(1_001, "ns"), np.datetime64(-1, "ns"), pd.Timestamp(1_001, unit="ns")]


@pytest.mark.parametrize("stamp", FINE, ids=str)
def test_finer_moments_are_asked_about(db, stamp):
    with pytest.raises(ValueError, match="floor=True"):
        db.append("k", 1, stamp)
    db.append("k", 1, stamp, floor=True)
    stamps = np.array([stamp.to_datetime64() if isinstance(stamp, pd.Timestamp) else stamp])
    with pytest.raises(ValueError, match="floor"):
        db.append_batch("k", [1], stamps)
    db.append_batch("k", [1.0], stamps, floor=True)
    expected = -1 if stamps.astype("i8")[0] < 0 else 1
    assert db["k"].timestamps.to_numpy().astype("i8").tolist() == [expected] * 2


@pytest.mark.parametrize(
    ("stamp", "error"),
    [
        (1.5, TypeError),
        (np.float64(1), TypeError),
        (True, TypeError),
        ("2020-01-01", TypeError),
        (2**63, OverflowError),
        (np.datetime64("NaT"), ValueError),
        (pd.NaT, ValueError),
        (np.datetime64(2**62, "s"), OverflowError),
    ],
    ids=lambda v: str(v)[:20],
)
def test_what_is_no_moment_is_refused(db, stamp, error):
    with pytest.raises(error) as raised:
        db.append("k", 1, stamp)
    if isinstance(stamp, float):
        assert "datetime" in str(raised.value)
    assert "k" not in db


def test_present_time(db):
    before = datetime.now(UTC)
    db.append("k", 1)
    db.append_batch("k", [2, 3])
    when, value = db.get_point("k")
    assert value == 3 and before - timedelta(seconds=1) < when <= datetime.now(UTC)


def test_dictionary_manners(db):
    for key in ("b", "a/1", "a/2", "é"):
        db.append(key, 1)
    assert len(db) == 4 and bool(db) and "b" in db and "c" not in db
    assert list(db) == db.keys() == ["a/1", "a/2", "b", "é"]
    assert db.keys("a/*") == ["a/1", "a/2"]
    with pytest.raises(synadb.InvalidPatternError):
        db.keys("[")
    assert db.delete("b") is True and db.delete("b") is False
    with pytest.raises(KeyError):
        del db["b"]
    del db["é"]
    assert list(db) == ["a/1", "a/2"]
    with pytest.raises(TypeError, match="append"):
        db["a/1"] = 2
    with pytest.raises(KeyError) as raised:
        db["b"]
    assert isinstance(raised.value, synadb.KeyNotFoundError)
    assert str(raised.value) == 'there is no key "b"' and raised.value.key == "b"
    with pytest.raises(synadb.KeyNotFoundError):
        db.history("b")
    assert db.get("b") is None and db.get("b", 5) == 5 and db.get_point("b") is None
    assert db.types("a/1") == ["int"]


def test_batches_are_atomic(db):
    with db.batch() as batch:
        batch.append("a", 1, 10)
        batch.append_batch("b", np.arange(100.0), np.arange(100))
        batch.append_batch("c", pa.array(["x", None]), [1, 2])
        batch.append_batch("d", [1, "x", None, b"y", 1.5], range(5))
        assert len(batch) == 108 and len(db) == 0
    assert len(db) == 4 and len(db["b"]) == 100 and db["c"].values.null_count == 1
    with pytest.raises(ZeroDivisionError), db.batch() as batch:
        batch.append("e", 1)
        batch.delete("a")
        1 / 0  # noqa: B018
    assert "e" not in db and "a" in db
    batch = db.batch()
    batch.delete("a")
    assert batch.commit() > 0 and "a" not in db
    for call in (batch.commit, lambda: batch.append("x", 1)):
        with pytest.raises(RuntimeError):
            call()
    with db.batch() as batch:
        batch.append("x", 1)
        batch.discard()
    assert "x" not in db


def test_rows(db):
    db.append_row({"a": 1, "b": 2.5, "c": None, "d": "on"}, datetime(2020, 1, 1))
    assert [db.get(key, "absent") for key in "abcd"] == [1, 2.5, None, "on"]
    assert {h.first_row[0] for h in (db[k] for k in db)} == {datetime(2020, 1, 1, tzinfo=UTC)}
    with pytest.raises(synadb.InvalidKeyError):
        db.append_row({"e": 1, "": 1})
    assert "e" not in db
    for wrong in ([("e", 1)], "e", None):
        with pytest.raises(TypeError, match="a row is a dict"):
            db.append_row(wrong)


@pytest.mark.parametrize(
    ("values", "timestamps"),
    [
        (np.array([2**64 - 1], "u8"), None),
        (pa.array([2**64 - 1], pa.uint64()), None),
        (pa.array([[1]]), None),
        ([1.5], pa.array([1], pa.timestamp("ns"))),
        ([1.5], pa.array([None], pa.timestamp("us"))),
        (np.array([1.5]), pa.array(["x"])),
        ([1.5], pa.array([1.5])),
        ([1.5], pa.array([2**62], pa.timestamp("s"))),
    ],
)
def test_batches_refuse_what_the_database_refuses(db, values, timestamps):
    with pytest.raises((synadb.SynaError, TypeError, OverflowError)) as by_database:
        db.append_batch("k", values, timestamps)
    batch = db.batch()
    with pytest.raises(type(by_database.value)) as by_batch:
        batch.append_batch("k", values, timestamps)
    assert len(batch) == 0 and "k" not in db
    if not isinstance(by_database.value, synadb.InvalidDataError):
        assert str(by_batch.value) == str(by_database.value)


@pytest.mark.parametrize("values", [[1, 2], np.array([1, 2])])
def test_ints_of_any_width_are_microseconds(db, values):
    for number, kind in enumerate([pa.int8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64()]):
        db.append_batch(f"k{number}", values, pa.array([3, 4], kind))
        assert db[f"k{number}"].timestamps.to_numpy().view("i8").tolist() == [3, 4]
    for kind in (pa.float32(), pa.float64()):
        with pytest.raises(TypeError, match="datetime"):
            db.append_batch("k", values, pa.array([3, 4], kind))
    with pytest.raises(synadb.InvalidDataError):
        db.append_batch("k", values, pa.array([3, None], pa.int32()))


@pytest.mark.parametrize("values", [[1.0], np.array([1.0]), pa.array([1.0])])
def test_keys_of_many_points_are_checked_as_keys(db, values):
    for key in ("", "k" * 65_536):
        for target in (db, db.batch()):
            with pytest.raises(synadb.InvalidKeyError, match="a key"):
                target.append_batch(key, values)


def test_batches_take_what_histories_of_several_kinds_leave_as(db):
    db.append_batch("mixed", [1, "x", None, b"y", 1.5], range(5))
    with db.batch() as batch:
        batch.append_batch("copy", db["mixed"].values, db["mixed"].timestamps)
        batch.append_batch("days", [1, 2], pa.array([0, 1], pa.date32()))
    assert list(db["copy"]) == list(db["mixed"])
    assert db["days"][1][0] == datetime(1970, 1, 2, tzinfo=UTC)


class Items:
    """Nothing but an iterable."""

    def __iter__(self):
        return (i for i in range(3))


ARRAYS = [
    (np.array([1.5, np.nan, -0.0]), [1.5, None, -0.0]),
    (np.array([1.5, 2], "f4"), [1.5, 2.0]),
    (np.array([1, 2], "f2"), [1.0, 2.0]),
    (np.array([1, -2], ">f8"), [1.0, -2.0]),
    (np.arange(10.0)[::-3], [9.0, 6.0, 3.0, 0.0]),
    (np.array([1, -2]), [1, -2]),
    (np.array([1, 200], "u1"), [1, 200]),
    (np.array([1, 2**63 - 1], "u8"), [1, 2**63 - 1]),
    (np.array([True, False]), [1, 0]),
    (np.array(["a", "bc"]), ["a", "bc"]),
    (np.array([b"a", b"bc"]), [b"a", b"bc"]),
    (np.array([1, "a", None, b"x", 1.5], dtype=object), [1, "a", None, b"x", 1.5]),
    (np.ma.MaskedArray([1.0, 2.0], [False, True]), [1.0, None]),
    (array.array("d", [1.5, 2.5]), [1.5, 2.5]),
    (array.array("q", [1, 2]), [1, 2]),
    (array.array("i", [1, 2]), [1, 2]),
    (memoryview(array.array("d", [1.5, 2.5, 3.5]))[::2], [1.5, 3.5]),
    ([1, 2.5, "x", None, b"y"], [1, 2.5, "x", None, b"y"]),
    (Items(), [0, 1, 2]),
    (pa.array([1, None, 3]), [1, None, 3]),
    (pa.array([1.5, None], pa.float32()), [1.5, None]),
    (pa.array(["a", None], pa.large_string()), ["a", None]),
    (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    (pa.array([b"a"], pa.binary_view()), [b"a"]),
    (pa.array([True, None]), [1, None]),
    (pa.chunked_array([[1, 2], [3]]), [1, 2, 3]),
    (pa.chunked_array([], pa.int64()), []),
    (pd.Series([1.5, 2.5]), [1.5, 2.5]),
    (pd.Series(["a", None], dtype="str"), ["a", None]),
    # Of objects it hands out Arrow only if all are of one kind.
    (pd.Series([1, "x", 2.5, None, b"y"], dtype="object"), [1, "x", 2.5, None, b"y"]),
    ([], []),
]


@pytest.mark.parametrize(("given", "stored"), ARRAYS, ids=lambda v: f"{type(v).__name__}-{v!r}"[:40])
def test_many_values_at_once(any_db, given, stored):
    any_db.append("k", "first", 0)
    any_db.append_batch("k", given, range(len(stored)))
    found = any_db.history("k", as_type="struct").to_pylist()[1:]
    assert len(found) == len(stored)
    for (_, value), expected in zip(found, stored, strict=True):
        if expected is None and isinstance(given, np.ndarray) and given.dtype.kind == "f" and not (
            isinstance(given, np.ma.MaskedArray)
        ):
            assert np.isnan(value)
        else:
            assert value == expected and type(value) is type(expected)
            assert str(value) == str(expected)


MANY_STAMPS = [
    np.array([1, 2, 3]) * 1_000_000,
    np.array([1, 2, 3], "datetime64[s]"),
    np.array([1000, 2000, 3000], "datetime64[ms]"),
    np.array([1_000_000, 2_000_000, 3_000_000], "datetime64[us]"),
    np.array([10**9, 2 * 10**9, 3 * 10**9], "datetime64[ns]"),
    np.array([10**9, 2 * 10**9, 3 * 10**9], "datetime64[ns]")[::1].astype(">M8[ns]"),
    np.array([10**12, 2 * 10**12, 3 * 10**12], "datetime64[ps]"),
    np.array([100, 200, 300], "datetime64[10ms]"),
    [datetime(1970, 1, 1, 0, 0, s) for s in (1, 2, 3)],
    [1_000_000, datetime(1970, 1, 1, 0, 0, 2), np.datetime64(3, "s")],
    pa.array([1, 2, 3], pa.timestamp("s")),
    pa.array([1_000_000, 2_000_000, 3_000_000], pa.int64()),
    pd.Series(pd.to_datetime([1, 2, 3], unit="s")),
    pd.date_range("1970-01-01T00:00:01", periods=3, freq="s", tz="UTC").to_series(),
    array.array("q", [1_000_000, 2_000_000, 3_000_000]),
    range(1_000_000, 4_000_000, 1_000_000),
]


@pytest.mark.parametrize("values", [[1, 2.5, "x"], np.arange(3.0), pa.array([1, 2, None])])
@pytest.mark.parametrize("stamps", MANY_STAMPS, ids=lambda v: f"{type(v).__name__}-{getattr(v, 'dtype', '')}")
def test_many_moments_at_once(db, values, stamps):
    db.append_batch("k", values, stamps)
    micros = db["k"].timestamps.to_numpy().astype("i8").tolist()
    assert micros == [1_000_000, 2_000_000, 3_000_000]


def test_days_are_moments(db):
    db.append_batch("k", [1, 2], np.array(["1970-01-02", "1970-01-03"], "datetime64[D]"))
    assert db["k"].timestamps.to_numpy().astype("i8").tolist() == [86_400_000_000, 2 * 86_400_000_000]


@pytest.mark.parametrize(
    ("values", "stamps", "error"),
    [
        (np.arange(3.0), np.arange(2), synadb.LengthMismatchError),
        ([1, 2], [1], ValueError),
        (np.zeros((2, 2)), None, ValueError),
        (np.array([1j]), None, TypeError),
        (np.array([1], "datetime64[s]"), None, TypeError),
        (np.array([2**63], "u8"), None, OverflowError),
        ("text", None, TypeError),
        (b"bytes", None, TypeError),
        ({"a": 1}, None, TypeError),
        (5, None, TypeError),
        ([1, 2**64], None, OverflowError),
        ([1, []], None, TypeError),
        (np.array([1.0], np.longdouble), None, TypeError),
        ([1.0], [1.5], TypeError),
        (np.arange(1.0), np.arange(1.0), TypeError),
        (np.arange(1.0), np.array(["NaT"], "datetime64[us]"), ValueError),
        (np.arange(1.0), pa.array([None], pa.timestamp("us")), ValueError),
        (np.arange(1.0), np.array([2**62], "datetime64[s]"), ValueError),
        (np.arange(1.0), np.array([2**61], "datetime64[h]"), OverflowError),
        (np.arange(1.0), np.array([2**40], "datetime64[Y]"), OverflowError),
        (pa.array([[1]]), [1], TypeError),
        (pa.array([1], pa.decimal128(5)), [1], TypeError),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_what_cannot_be_appended_at_once(db, values, stamps, error):
    with pytest.raises(error):
        db.append_batch("k", values, stamps)
    assert "k" not in db


def test_arrays_are_not_kept_nor_changed(db):
    values = np.arange(100_000.0)
    values.setflags(write=False)
    db.append_batch("k", values, np.arange(100_000))
    del values
    assert db["k"].to_numpy().sum() == sum(range(100_000))
    own = np.arange(10.0)
    db.append_batch("own", own, np.arange(10))
    own.resize(20, refcheck=False)  # nothing of ours holds it
    own[:] = -1
    assert db["own"].to_numpy().tolist() == list(range(10))


def test_a_key_named_like_a_column(db):
    for key in ("timestamp", "timestamps", "value", "key"):
        db.append_batch(key, np.arange(50.0), np.arange(50))
        assert db[key].to_numpy().tolist() == list(range(50))


def test_rewrites_tell_how_far_they_are(path):
    with synadb.open(path, durability="os") as db:
        for key in range(50):
            for _ in range(3):
                db.append_batch(f"k{key}", np.random.default_rng(key).random(5000), np.arange(5000))
        told: list[tuple[int, int]] = []
        report = db.optimize(progress=lambda done, total: told.append((done, total)))
        assert report.keys == 50 and report.points == 750_000
        assert told and told[-1][0] <= told[-1][1]
        assert db.stats().generation == 2
        report = db.retain({"k1?": 10, "k2*": datetime(1971, 1, 1)}, progress=True)
        assert len(db["k10"]) == 10 and "k20" not in db and len(db["k3"]) == 15_000
        with pytest.raises(TypeError):
            db.retain({"k1?": 1.5})
        with pytest.raises(TypeError):
            db.retain([("k", 1)])
        assert db.compact().points == len(db)
        assert db.verify(progress=lambda done, total: None).points > 0
        copy = path.with_name("copy.syna")
        db.backup(copy)
        with pytest.raises(FileExistsError):
            db.backup(copy)
    with synadb.open(copy) as db:
        assert len(db["k3"]) == 1
    with pytest.raises(FileExistsError):
        synadb.salvage(copy, path)
    report = synadb.salvage(copy, path.with_name("saved.syna"), progress=lambda *at: None)
    assert report.keys > 0 and report.missing == []


def test_what_a_progress_callback_raises_ends_the_rewrite(path):
    with synadb.open(path, durability="os") as db:
        for key in range(200):
            db.append_batch(f"k{key}", np.random.default_rng(key).random(20_000), np.arange(20_000))
        before = db.stats()

        class Enough(Exception):
            pass

        def progress(done: int, total: int) -> None:
            raise Enough

        with pytest.raises(Enough):
            db.optimize(progress=progress)
        assert optimized(db).points == before.rows
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_callbacks_may_use_the_database(path):
    with synadb.open(path, durability="os") as db:
        for key in range(20):
            db.append_batch(f"k{key}", np.random.default_rng(key).random(20_000), np.arange(20_000))

        def progress(done: int, total: int) -> None:
            db.append("during", done)
            assert len(db["k1"]) == 20_000

        db.optimize(progress=progress)
        assert len(db["k1"]) == 20_000


def test_damage_is_told_with_its_place(path):
    with synadb.open(path) as db:
        for i in range(100):
            db.append("k", float(i), i)
    damaged = bytearray(path.read_bytes())
    damaged[12_400] ^= 1
    path.write_bytes(damaged)
    # Opening may go by the image of the index; a check reads everything.
    with pytest.raises(synadb.CorruptError) as raised, synadb.open(path, mode="r") as db:
        db.verify()
    assert 12_288 <= raised.value.offset <= 12_400
    assert raised.value.last_good >= 12_288
    report = synadb.salvage(path, path.with_name("saved.syna"))
    assert report.missing and report.missing[0][1] > 0


def test_stats_and_recovery(path):
    with synadb.open(path, durability="os") as db:
        db.append_batch("a", np.arange(10_000.0), np.arange(10_000))
        stats = db.stats()
        assert (stats.keys, stats.rows, stats.medium) == (1, 10_000, "disk")
        assert stats.encodings and all(len(sizes) == 2 for sizes in stats.encodings.values())
        assert db.recovery.bytes_cut == 0 and db.recovery.torn_copy is None
        db["a"].read()
        assert db.trim() >= 0


def test_a_torn_tail_is_reported(path):
    with synadb.open(path, durability="os") as db:
        db.append("a", 1)
        db.flush()
        torn = path.read_bytes()
    end = len(torn.rstrip(b"\0"))
    path.write_bytes(torn[: end - 3])
    with synadb.open(path) as db:
        assert db.recovery.bytes_cut > 0 and db.recovery.reason


def test_representations(db):
    db.append("k", 1)
    for thing in (db, db["k"], db.snapshot(), db["k"].read(), db["k"].values, db.batch(), db.scan()):
        assert repr(thing).startswith("<synadb.")
    assert repr(synadb.open(":memory:")) == "<synadb.SynaDB \":memory:\", mode \"a\">"


def test_readers_see_what_is_appended(path):
    with synadb.open(path, durability="os") as db, synadb.open(path, mode="r") as reader:
        db.append("a", 1)
        assert reader.get("a") == 1
        with db.reader() as other:
            assert other.mode == "r" and other.get("a") == 1
        with pytest.raises(synadb.ReadOnlyError):
            reader.optimize()


def test_everything_has_its_documentation():
    import inspect

    for name in synadb.__all__:
        thing = getattr(synadb, name)
        if not inspect.isclass(thing):
            continue
        assert thing.__doc__, name
        if thing.__module__ != "synadb":
            continue
        for member, value in vars(thing).items():
            if not member.startswith("_") and (callable(value) or inspect.isgetsetdescriptor(value)):
                assert value.__doc__, f"{name}.{member}"


def test_pickled_errors_keep_their_facts():
    for error in synadb._synadb._one_of_each_error().values():
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
        assert again._facts == error._facts


def test_what_retain_takes_for_a_number_of_rows(db):
    """NumPy's integers were taken for microseconds since 1970, so that everything was kept."""
    import types

    for count in (np.int64(3), True + 1, type("Count", (int,), {})(1)):
        db.append_batch("k", np.arange(10.0), np.arange(10) + 10**15)
        db.retain(types.MappingProxyType({"k": count}))
        assert len(db["k"]) == count
    for wrong in (True, 1.5, "1", None):
        with pytest.raises(TypeError):
            db.retain({"k": wrong})
    for wrong in (-1, 2**70):
        with pytest.raises(ValueError, match="rows to keep"):
            db.retain({"k": wrong})


@pytest.mark.parametrize("missing", [pd.NaT, np.datetime64("NaT"), np.datetime64("NaT", "Y")])
def test_nat_is_no_timestamp(db, missing):
    with pytest.raises(ValueError, match="NaT is no timestamp"):
        db.append("k", 1, missing)
    assert "k" not in db


def test_retain_keeps_nothing_from_before_a_moment_between_two_microseconds(db):
    """It was rounded down, so that the point before it was kept."""
    for since in (np.datetime64(1500, "ns"), pd.Timestamp(1500, unit="ns")):
        db.delete("k")
        db.append_batch("k", [1, 2, 3], [1, 2, 3])
        db.retain({"k": since})
        assert db["k"].values.to_pylist() == [2, 3]


def test_a_database_in_memory_has_the_options_that_were_asked_for():
    """All were ignored, those that are not allowed as well."""
    with synadb.open(":memory:", enable_delta=False, enable_compression=False) as db:
        db.append_batch("k", np.arange(10_000.0), np.arange(10_000))
        assert set(db.stats().encodings) == {"raw"}
    with synadb.open(":memory:") as db:
        db.append_batch("k", np.arange(10_000.0), np.arange(10_000))
        assert db.stats().encodings and "raw" not in db.stats().encodings
    with pytest.raises(synadb.InvalidOptionError):
        synadb.open(":memory:", durability="buffered", buffer_size_bytes=0)


def test_an_offset_of_nothing_can_be_waited_for(path, durability):
    """`wait_durable` said that no append has returned what an append without points had returned."""
    with synadb.open(path, durability=durability) as db:
        for nothing in (
            lambda: db.append_batch("k", []),
            lambda: db.append_row({}),
            lambda: db.batch().commit(),
            lambda: db.write(pa.table({"key": [], "timestamp": [], "value": []})).offset,
        ):
            before = db.append("k", 1)
            offset = nothing()
            assert offset > before
            db.wait_durable(offset)
            assert db.durable_offset >= offset
            db.wait_durable(offset)
            with pytest.raises(synadb.NoSuchOffsetError):
                db.wait_durable(offset + 1)


def test_what_progress_raises_at_the_end_leaves_a_whole_file(path):
    """A rewrite of few points is done before anybody is told of it."""
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", np.arange(100.0), np.arange(100))

        def progress(done: int, total: int) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            db.optimize(progress=progress)
        assert db["k"].to_numpy().tolist() == list(range(100)) and db.verify().points >= 100


def test_stats_and_reports_tell_what_the_command_does(path):
    with synadb.open(path, durability="os") as db:
        for i in range(5000):
            db.append("k", float(i), i)
        db.checkpoint()
        stats = db.stats()
        assert stats.replaced_bytes > 0 and stats.reclaimable_bytes >= stats.replaced_bytes
    with synadb.open(path) as db:
        report = db.recovery
        assert report.from_checkpoint and report.bytes_rewritten == 0 and report.bytes_scanned >= 0


def test_the_bar_of_progress_is_drawn_on_terminals_alone(monkeypatch):
    import io
    import sys

    from synadb._progress import bar

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        tell = bar()
        for done in (0, 50, 100):
            tell(done, 100)
        tell(0, 0)  # of nothing all is done
        half = f"\r[{'#' * 20}{'.' * 20}]  50%"
        full = f"\r[{'#' * 40}] 100%\n"
        assert (half in stream.getvalue()) is drawn and stream.getvalue().count(full) == 2 * drawn
        assert drawn or stream.getvalue() == ""
