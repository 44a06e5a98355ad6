"""Arrow in: frames and tables of every library."""

from __future__ import annotations

import numpy as np
import pytest
from support import needs

import synadb

duckdb = needs("duckdb")
pa = needs("pyarrow")
pd = needs("pandas")
pl = needs("polars")
arro3 = needs("arro3.core")
na = needs("nanoarrow")

LONG = pa.table(
    {
        "key": ["a", "b", "a"],
        "timestamp": pa.array([1, 2, 3], pa.timestamp("us")),
        "value": [1.5, 2.5, None],
    }
)


class Stream:
    """Nothing but the stream method."""

    def __init__(self, data):
        self.data = data

    def __arrow_c_stream__(self, requested_schema=None):
        return self.data.__arrow_c_stream__(requested_schema)


class Array:
    """Nothing but the array method."""

    def __init__(self, data):
        self.data = data

    def __arrow_c_array__(self, requested_schema=None):
        return self.data.__arrow_c_array__(requested_schema)


SOURCES = {
    "pyarrow table": lambda: LONG,
    "pyarrow batch": lambda: LONG.to_batches()[0],
    "pyarrow reader": lambda: LONG.to_reader(),
    "polars": lambda: pl.DataFrame(LONG),
    "polars categories": lambda: pl.DataFrame(LONG).with_columns(pl.col("key").cast(pl.Categorical)),
    "pandas": lambda: LONG.to_pandas(),
    "pandas arrow": lambda: LONG.to_pandas(types_mapper=pd.ArrowDtype),
    "duckdb": lambda: duckdb.sql("select * from LONG"),
    "arro3": lambda: arro3.Table.from_arrow(LONG),
    "nanoarrow": lambda: na.ArrayStream(LONG),
    "bare stream": lambda: Stream(LONG),
    "bare array": lambda: Array(LONG.to_batches()[0]),
    "capsule": lambda: LONG.__arrow_c_stream__(),
    "capsules": lambda: LONG.to_batches()[0].__arrow_c_array__(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_long(db, source):
    written = db.write(SOURCES[source]())
    assert (written.points, written.rows, written.commits) == (3, 3, 1)
    assert db.keys() == ["a", "b"] and db["b"].to_numpy().tolist() == [2.5]
    first, second = db["a"].to_pylist()
    assert first[1] == 1.5
    # pandas' own floats tell a null as NaN.
    assert second[1] is None or (source == "pandas" and second[1] != second[1])
    db.wait_durable(written.offset)


@pytest.mark.parametrize("source", ["pyarrow", "polars", "pandas", "duckdb"])
def test_wide(db, source):
    weather = pa.table(
        {
            "time": pa.array([0, 3600], pa.timestamp("s")),
            "temp": [39.0, 38.5],
            "wind": [10, 12],
            "note": ["calm", None],
        }
    )
    data = {
        "pyarrow": weather,
        "polars": pl.DataFrame(weather),
        "pandas": weather.to_pandas(types_mapper=pd.ArrowDtype),
        "duckdb": duckdb.sql("select * from weather"),
    }[source]
    written = db.write_wide(data, time_column="time", prefix="JFK/")
    assert written.points == 6
    assert db.keys() == ["JFK/note", "JFK/temp", "JFK/wind"]
    assert db["JFK/wind"].to_numpy().dtype == "i8" and db["JFK/note"].values.null_count == 1


def test_other_columns(db):
    table = LONG.rename_columns({"key": "station", "timestamp": "at", "value": "temp"})
    db.write(table, key_column="station", time_column="at", value_column="temp")
    assert db.keys() == ["a", "b"]
    with pytest.raises(synadb.InvalidDataError, match="key_column") as raised:
        db.write(table)
    assert raised.value.column == "key"


def test_histories_scans_and_frames_go_in_as_they_come_out(db):
    db.append_batch("a", [1, "x", None, 2.5, b"y"], range(5))
    db.append_batch("b", np.arange(100.0), np.arange(100))
    with synadb.open(":memory:") as other:
        assert other.write(db.scan()).points == 105
        assert other["a"].to_pylist() == db["a"].to_pylist()
        assert other.write_wide(db.frame(["b"]), prefix="copy/").points == 100
        assert (other["copy/b"].to_numpy() == db["b"].to_numpy()).all()
        assert other.write(db.latest()).points == 2


@pytest.mark.parametrize("source", SOURCES)
def test_batches_take_frames(db, source):
    db.append("a", 0.5, 0)
    with db.batch() as batch:
        batch.append("a", 1.0, 0)
        batch.write(SOURCES[source]())
        batch.append("a", 9.0, 9)
        assert len(batch) == 5 and db.get("a") == 0.5
    assert db["a"].to_numpy(nulls="nan").tolist()[:3] == [0.5, 1.0, 1.5]
    assert [value for _, value in (db["a"][3], db["a"][4])] == [None, 9.0] and db.get("b") == 2.5
    wide = pl.DataFrame({"time": pa.array([1, 2], pa.timestamp("us")), "x": [1, 2], "y": ["p", None]})
    with db.batch() as batch:
        batch.write_wide(wide, time_column="time", prefix="w/")
    assert db.get("w/x") == 2 and db.get("w/y", "absent") is None and len(db["w/y"]) == 2


def test_a_batch_is_as_it_was_when_a_frame_is_refused(db):
    def rows(last):
        yield LONG.to_batches()[0]
        if isinstance(last, Exception):
            raise last
        yield last

    def reader(last):
        return pa.RecordBatchReader.from_batches(LONG.schema, rows(last))

    unkeyed = LONG.set_column(0, "key", pa.array(["", "b", "c"])).to_batches()[0]
    long = pa.table({"key": ["a"] * 100, "timestamp": pa.array(range(100), pa.timestamp("us")), "value": [0.5] * 100})
    fine = pa.table({"timestamp": pa.array([1], pa.timestamp("ns")), "x": [1]})
    with db.batch() as batch:
        batch.append("a", 1)
        for call, error in [
            (lambda: batch.write(reader(unkeyed)), synadb.InvalidDataError),
            (lambda: batch.write(reader(ZeroDivisionError("no more"))), synadb.ArrowError),
            (lambda: batch.write(long, write_budget_bytes=1000), synadb.TooLargeError),
            (lambda: batch.write(LONG, key_column="name"), synadb.InvalidDataError),
            (lambda: batch.write_wide(fine), synadb.InvalidDataError),
            (lambda: batch.write([1, 2]), TypeError),
        ]:
            with pytest.raises(error):
                call()
            assert len(batch) == 1
        batch.write_wide(fine, floor=True)
    assert db.get("a") == 1 and len(db["a"]) == 1 and db.get("x") == 1 and len(db) == 2
    for call in (lambda: batch.write(LONG), lambda: batch.write_wide(fine)):
        with pytest.raises(RuntimeError, match="committed or discarded already"):
            call()


def test_a_frame_may_use_the_batch_that_it_is_written_to(db):
    """Its rows are read before they are added, so that what it adds itself comes first."""
    batch = db.batch()

    def rows():
        batch.append("a", -1.0, 0)
        yield LONG.to_batches()[0]

    batch.write(pa.RecordBatchReader.from_batches(LONG.schema, rows()))
    batch.commit()
    assert db["a"][0][1] == -1.0 and len(db["a"]) == 3


def test_each_batch_is_a_commit_or_all_are_one(db):
    def batches(fail):
        for i in range(3):
            if fail and i == 2:
                raise ValueError("no more")
            yield LONG.slice(i, 1).to_batches()[0]

    def reader(fail=False):
        return pa.RecordBatchReader.from_batches(LONG.schema, batches(fail))

    assert db.write(reader()).commits == 3
    assert db.write(reader(), atomic=True).commits == 1
    before = len(db["a"])
    with pytest.raises(synadb.SynaError, match="no more"):
        db.write(reader(fail=True), atomic=True)
    assert len(db["a"]) == before
    with pytest.raises(synadb.WriteStoppedError, match="no more") as raised:
        db.write(reader(fail=True))
    assert (raised.value.rows, raised.value.commits) == (2, 2)
    assert isinstance(raised.value.__cause__, synadb.ArrowError)
    assert len(db["a"]) == before + 1
    with pytest.raises(synadb.TooLargeError):
        db.write(reader(), atomic=True, write_budget_bytes=8)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"key": pa.array(["a", None, "b"])}, synadb.InvalidDataError),
        ({"key": pa.array(["a", "", "b"])}, ValueError),
        ({"key": pa.array([1, 2, 3])}, TypeError),
        ({"timestamp": pa.array([1, None, 3], pa.timestamp("us"))}, ValueError),
        ({"timestamp": pa.array([1.0, 2.0, 3.0])}, TypeError),
        ({"timestamp": pa.array([1, 2, 1001], pa.timestamp("ns"))}, ValueError),
        ({"value": pa.array([[1], [2], [3]])}, TypeError),
        ({"value": pa.array([2**63, 1, 2], pa.uint64())}, ValueError),
    ],
    ids=str,
)
def test_what_cannot_be_written_leaves_nothing(db, change, error):
    table = LONG
    for name, column in change.items():
        table = table.set_column(table.column_names.index(name), name, column)
    with pytest.raises(error) as raised:
        db.write(table)
    assert raised.value.column in change
    assert len(db) == 0


def test_arrays_are_checked_as_they_come_in(db):
    """A producer that made a mistake: bytes that are no text, an offset behind the end of the text."""
    for offsets, text in [([0, 2], b"\xff\xfe"), ([0, 9, 2], b"ab")]:
        parts = [None, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(text)]
        times = list(range(len(offsets) - 1))
        wrong = pa.Array.from_buffers(pa.string(), len(times), parts)
        table = pa.table({"timestamp": pa.array(times, pa.timestamp("us")), "a": wrong})
        with pytest.raises(synadb.SynaError):
            db.write_wide(table)
        with pytest.raises(synadb.SynaError):
            db.append_batch("a", wrong, times)
    assert len(db) == 0


@pytest.mark.parametrize("wrap", [lambda rows: pa.chunked_array([rows]), Array, Stream], ids=str)
def test_rows_that_are_null_as_a_whole_are_refused(db, wrap):
    """Once, what lay under such a row of a stream was written as if it were there."""
    columns = [column.combine_chunks() for column in LONG.columns]
    mask = pa.array([False, True, False])
    rows = pa.StructArray.from_arrays(columns, names=LONG.column_names, mask=mask)
    data = wrap(pa.chunked_array([rows]) if wrap is Stream else rows)
    with pytest.raises(synadb.ArrowError, match="row 1 .* null"):
        db.write(data)
    assert len(db) == 0
    assert db.write(wrap(pa.chunked_array([rows[2:]]) if wrap is Stream else rows[2:])).points == 1


@pytest.mark.parametrize("data", [1, None, "text", [LONG], {"key": ["a"]}, np.arange(3.0)])
def test_what_is_no_table(db, data):
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        db.write(data)


@pytest.mark.parametrize("data", [pa.array([1]), pa.chunked_array([["a"]]), pl.Series([1.5])], ids=str)
def test_a_column_is_no_table(db, data):
    with pytest.raises((TypeError, ValueError)) as raised:
        db.write(data)
    assert "append_batch" in str(raised.value)


def test_floor(db):
    table = LONG.set_column(1, "timestamp", pa.array([1, 2, 1001], pa.timestamp("ns")))
    db.write(table, floor=True)
    assert db["a"].timestamps.to_numpy().astype("i8").tolist() == [0, 1]


def test_a_one_shot_reader_is_read_once(db):
    reader = LONG.to_reader()
    assert db.write(reader).points == 3
    assert db.write(reader).points == 0  # so it is with pyarrow's readers: what was read is gone


EMPTY = {"key": [], "timestamp": [], "value": []}


def test_an_empty_table_needs_its_columns_too(db):
    """A pipeline that misspells a column is told so by its first run, not by the first one with rows."""
    for atomic in (False, True):
        for data in (pa.table({}), pa.table({"key": [], "time": [], "value": []}), pl.DataFrame()):
            with pytest.raises(synadb.SynaError, match="there is no column"):
                db.write(data, atomic=atomic)
            with pytest.raises(synadb.SynaError, match="there is no column"):
                db.write_wide(data, atomic=atomic)
        for data in (pl.DataFrame(LONG).clear(), LONG[:0], pl.DataFrame(EMPTY), pa.table(EMPTY)):
            assert db.write(data, atomic=atomic).points == 0
    assert len(db) == 0


def test_addresses_of_python_objects_are_no_values(db):
    """That is how Polars hands out its Object columns."""
    column = pl.Series("value", [object(), None], dtype=pl.Object)
    with pytest.raises(TypeError, match="Object"):
        db.append_batch("k", column)
    frame = pl.DataFrame({"key": ["k", "k"], "timestamp": pl.Series([1, 2]).cast(pl.Datetime("us"))})
    with pytest.raises(TypeError, match="'value'|\"value\""):
        db.write(frame.with_columns(column))
    with pytest.raises(TypeError, match="Object"):
        db.write_wide(frame.select("timestamp", column))
    # Bytes of one length are something else.
    array = pa.array([b"ab", None], pa.binary(2))
    db.append_batch("k", array, [1, 2])
    assert [value for _, value in db["k"]] == [b"ab", None]


def test_columns_of_nothing_but_nulls(db):
    """Polars gives them a buffer, which the format does not have; an empty frame often has such columns."""
    frame = pl.DataFrame({"key": ["a", "b"], "timestamp": [1, 2], "value": [None, None]})
    frame = frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    for data in (frame, frame.to_arrow(), frame.to_pandas()):
        assert db.write(data).points == 2
    db.append_batch("c", frame["value"], [1, 2])
    assert db.get("a", 0) is None and [value for _, value in db["c"]] == [None, None]
    nested = frame.select("timestamp", both=pl.struct("value", "key"))
    with pytest.raises(synadb.SynaError, match="both"):
        db.write_wide(nested)


def test_capsules_are_taken_once_and_for_what_they_are(db):
    stream, pair = LONG.__arrow_c_stream__(), LONG.to_batches()[0].__arrow_c_array__()
    for capsules in (stream, pair):
        assert db.write(capsules).points == 3
        with pytest.raises(ValueError, match="consumed"):
            db.write(capsules)
    schema, array = LONG.to_batches()[0].__arrow_c_array__()
    for wrong in (schema, array, (array, schema), (schema,), (1, 2), ()):
        with pytest.raises((TypeError, ValueError)):
            db.write(wrong)
    assert db.write((schema, array)).points == 3
    # An array and a schema that do not fit each other made the import panic.
    other = pa.schema({"key": pa.string()}).__arrow_c_schema__()
    with pytest.raises(synadb.SynaError, match="columns"):
        db.write((other, LONG.to_batches()[0].__arrow_c_array__()[1]))
