"""Every Arrow consumer: the same rows, any number of times, without a copy where we say so."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from support import needs

import synadb

arro3 = needs("arro3.core")
datafusion = needs("datafusion")
duckdb = needs("duckdb")
na = needs("nanoarrow")
pa = needs("pyarrow")
pd = needs("pandas")
pl = needs("polars")
needs("pytz")


def of_polars(data):
    return pl.DataFrame(data).rows()


def frame_of(data):
    """Pandas reads Arrow itself from version 3 on, which needs Python 3.11."""
    return pd.DataFrame.from_arrow(data) if hasattr(pd.DataFrame, "from_arrow") else data.to_pandas()


def of_pandas(data):
    frame = frame_of(data)
    return list(zip(*(frame[name].tolist() for name in frame), strict=True))


def of_pyarrow(data):
    return [tuple(row.values()) for row in pa.table(data).to_pylist()]


def of_duckdb(data):
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute("select * from data").fetchall()


def of_datafusion(data):
    frame = datafusion.SessionContext().from_arrow(data)
    return [tuple(row.values()) for batch in frame.collect() for row in batch.to_pylist()]


def of_arro3(data):
    return [tuple(row.values()) for row in pa.table(arro3.Table.from_arrow(data)).to_pylist()]


def of_nanoarrow(data):
    return [tuple(row.values()) for row in na.ArrayStream(data).read_all().to_pylist()]


CONSUMERS = {
    "polars": of_polars,
    "pandas": of_pandas,
    "pyarrow": of_pyarrow,
    "duckdb": of_duckdb,
    "datafusion": of_datafusion,
    "arro3": of_arro3,
    "nanoarrow": of_nanoarrow,
}

FILLS = {
    "float": [1.5, float("inf"), -0.0],
    "int": [1, -(2**63), 2**63 - 1],
    "text": ["", "ü\0x", "c"],
    "bytes": [b"", b"\0\xff", b"c"],
    "null": [None, None, None],
    "floats with nulls": [1.5, None, 2.5],
    "ints with nulls": [1, None, 2],
    "texts with nulls": ["a", None, "c"],
    "one": [1.5],
    "many": [i / 4 for i in range(20_000)],
}


def plain(value):
    """A value as every consumer tells it."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, (np.generic,)):
        return plain(value.item())
    if isinstance(value, memoryview):
        return bytes(value)
    return value


def rows(data, consumer):
    found = []
    for when, value in CONSUMERS[consumer](data):
        found.append((pd.Timestamp(when).tz_convert("UTC").value // 1000, plain(value)))
    return found


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("fill", FILLS)
def test_histories(any_db, consumer, fill):
    values = FILLS[fill]
    any_db.append_batch("k", values, range(len(values)))
    h = any_db["k"]
    expected = list(enumerate(values))
    for _ in range(2):
        assert rows(h, consumer) == expected
    assert rows(h.read(), consumer) == expected
    part = h[1:]
    assert rows(part, consumer) == expected[1:]
    assert rows(h[len(h) :], consumer) == []


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_mixed_kinds(any_db, consumer):
    any_db.append_batch("k", [1, 2.5, "x", b"y", None], range(5))
    h = any_db["k"]
    for _ in range(2):
        found = [row[1] for row in CONSUMERS[consumer](h)]
        kinds = [value["kind"] if value is not None else None for value in found]
        assert kinds[:4] == ["int", "float", "text", "bytes"]
        assert found[0]["int"] == 1 and found[1]["float"] == 2.5 and found[2]["text"] == "x"
        assert bytes(found[3]["bytes"]) == b"y"


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_more_than_one_batch(path, consumer):
    with synadb.open(path, durability="os") as db:
        count = 2_500_000
        for start in range(0, count, 500_000):
            db.append_batch("k", np.arange(start, start + 500_000.0), np.arange(start, start + 500_000))
        h = db["k"]
        for _ in range(2):
            if consumer == "pandas":
                total = int(frame_of(h)["value"].sum())
            elif consumer == "duckdb":
                total = int(duckdb.sql("select sum(value) from h").fetchall()[0][0])
            elif consumer == "datafusion":
                frame = datafusion.SessionContext().from_arrow(h)
                total = int(sum(pa.table(b)["value"].to_numpy().sum() for b in _batches(frame)))
            elif consumer == "polars":
                total = int(pl.DataFrame(h)["value"].sum())
            else:
                stream = {"pyarrow": pa.table, "arro3": arro3.Table.from_arrow, "nanoarrow": na.ArrayStream}
                total = int(pa.table(stream[consumer](h))["value"].to_numpy().sum())
            assert total == count * (count - 1) // 2


def _batches(frame):
    return [pa.Table.from_batches([batch]) for batch in frame.collect()]


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_scans_frames_and_latest(any_db, consumer):
    for key in ("a", "b"):
        any_db.append_batch(key, [1.5, 2.5], [0, 10])
    scan = any_db.scan("*")
    for _ in range(2):
        assert [(row[0], row[2]) for row in CONSUMERS[consumer](scan)] == [
            ("a", 1.5),
            ("a", 2.5),
            ("b", 1.5),
            ("b", 2.5),
        ]
    frame = any_db.frame(["b", "a"])
    assert [row[1:] for row in CONSUMERS[consumer](frame)] == [(1.5, 1.5), (2.5, 2.5)]
    assert [(row[0], row[2]) for row in CONSUMERS[consumer](any_db.latest())] == [("a", 2.5), ("b", 2.5)]


# Pointers


@pytest.fixture
def raw(path):
    """A history that lies in the file as Arrow wants it."""
    with synadb.open(path, durability="os", enable_delta=False, enable_compression=False) as db:
        db.append_batch("k", np.arange(50_000.0), np.arange(50_000))
        yield db


def address(h):
    return h.values.to_numpy().ctypes.data


def of_array(array):
    return array.buffers()[1].address + array.offset * 8


def test_pointers_are_kept(raw):
    h = raw["k"]
    own = address(h)
    assert own % 64 == 0
    assert of_array(pa.table(h)["value"].chunk(0)) == own
    assert of_array(pa.record_batch(h.read()).column("value")) == own
    assert of_array(pa.array(h.values)) == own
    assert pl.DataFrame(h)["value"].to_numpy().ctypes.data == own
    assert pl.DataFrame(h)["timestamp"].to_physical().to_numpy().ctypes.data == (
        h.timestamps.to_numpy().ctypes.data
    )
    assert of_array(pa.table(arro3.Table.from_arrow(h))["value"].chunk(0)) == own
    assert of_array(pa.array(arro3.Array.from_arrow(h.values))) == own
    frame = datafusion.SessionContext().from_arrow(h)
    assert of_array(frame.collect()[0].column(1)) == own
    assert na.c_array(h.values).buffers[1] == own
    typed = pd.Series(pd.arrays.ArrowExtensionArray(pa.table(h)["value"]))
    assert of_array(typed.array.__arrow_array__().chunk(0)) == own
    # pandas' own columns are copies: that is what the documentation says.
    if hasattr(pd.DataFrame, "from_arrow"):
        assert pd.DataFrame.from_arrow(h)["value"].to_numpy().ctypes.data != own
    before = raw.stats().copied_bytes
    assert h.to_polars()["value"].sum() == h.to_pyarrow()["value"].to_numpy().sum()
    assert raw.stats().copied_bytes == before


def test_slices_point_into_the_same_memory(raw):
    h = raw["k"]
    assert of_array(pa.table(h[1000:2000])["value"].chunk(0)) == address(h) + 8000
    assert h.read()[1000:2000]["value"].to_numpy().ctypes.data == address(h) + 8000


def test_arrays_outlive_everything(path):
    db = synadb.open(path, durability="os", enable_delta=False, enable_compression=False)
    db.append_batch("k", np.arange(50_000.0), np.arange(50_000))
    h = db["k"]
    held = [h.to_polars()["value"], h.to_pyarrow()["value"], h.to_numpy(), h.values, h.read()["value"]]
    held.append(np.from_dlpack(h.values))
    db.compact()
    db.close()
    del db, h
    gc.collect()
    path.unlink()
    for array in held:
        assert float(np.asarray(array).sum()) == 49_999 * 25_000


def maps_of(path) -> int:
    """How often the file is mapped in this process."""
    with open("/proc/self/maps") as maps:
        return sum(str(path) in line for line in maps)


def last_of(array) -> float:
    return float(np.asarray(array)[-1])


#: What holds memory of the file, and how its last value is read when all else is gone.
HOLDERS = {
    "numpy": (lambda h: memoryview(np.asarray(h))[10:], last_of),
    "dlpack": (lambda h: np.from_dlpack(h.values), last_of),
    "polars": (lambda h: pl.DataFrame(h)["value"][5:], last_of),
    "pyarrow": (lambda h: pa.table(h)["value"], last_of),
    "pandas": (lambda h: pd.Series(pd.arrays.ArrowExtensionArray(pa.table(h)["value"])), last_of),
    "arro3": (lambda h: arro3.Table.from_arrow(h), lambda t: last_of(pa.table(t)["value"])),
    "nanoarrow": (lambda h: na.Array(h.values), lambda a: last_of(pa.array(a))),
    "datafusion": (
        lambda h: datafusion.SessionContext().from_arrow(h).collect(),
        lambda batches: max(last_of(batch.column("value")) for batch in batches),
    ),
    "reader": (pa.RecordBatchReader.from_stream, None),  # what was not read ends with the database
    "stream": (lambda h: h.__arrow_c_stream__(), None),
    "array": (lambda h: h.values.__arrow_c_array__(), None),
    "tensor": (lambda h: h.values.__dlpack__(max_version=(1, 0)), None),
    "batch": (lambda h: h.read(), lambda batch: last_of(batch["value"])),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_the_file_is_unmapped_at_the_last_release(path, holder):
    """Not before: the array is read after all else is gone. And not never: each release comes through."""
    db = synadb.open(path, durability="os", enable_delta=False, enable_compression=False)
    db.append_batch("k", np.arange(50_000.0), np.arange(50_000))
    h, (hold, last) = db["k"], HOLDERS[holder]
    held = hold(h)
    db.close()
    del db, h
    gc.collect()
    path.unlink()
    assert maps_of(path) > 0
    assert last is None or last(held) == 49_999
    del held
    gc.collect()
    assert maps_of(path) == 0


REFUSING = {
    "polars": pl.DataFrame,
    "pandas": lambda data: pd.DataFrame(frame_of(data)).convert_dtypes().sum(),
    "pyarrow": lambda data: pa.table(data)["value"].cast(pa.float64()),
    "duckdb": lambda data: duckdb.sql("select * from data").fetchall(),
    "a capsule that nobody reads": lambda data: 1 / len([data.__arrow_c_stream__()][1:]),
}


@pytest.mark.parametrize("consumer", REFUSING)
def test_consumers_that_fail_leave_nothing_mapped(path, consumer):
    """Each release is made, once, whatever a consumer has against unions."""
    db = synadb.open(path, durability="os", enable_delta=False, enable_compression=False)
    db.append_batch("k", np.arange(50_000.0), np.arange(50_000))
    data = db.history("k", as_type="union")
    table = pa.table(data)
    assert len(table) == 50_000 and maps_of(path) > 0  # what is given out lies in the file
    for _ in range(3):
        with pytest.raises(BaseException):  # noqa: B017 (Polars panics)
            REFUSING[consumer](data)
    db.close()
    del db, data, table
    gc.collect()
    assert maps_of(path) == 0


def test_a_consumer_that_fails_in_the_middle_releases_once(db):
    """Unions are what Polars cannot take; nobody is hurt, and the history can be read on."""
    db.append_batch("k", [1, "x", 2.5], range(3))
    union = db.history("k", as_type="union")
    for _ in range(3):
        with pytest.raises(BaseException):  # noqa: B017 (it panics)
            pl.DataFrame(union)
    assert len(pa.table(union)) == 3
    assert [value for _, value in union] == [1, "x", 2.5]
    gc.collect()


# requested_schema


def test_lossless_casts_are_honoured(db):
    db.append_batch("t", ["a", None], range(2))
    db.append_batch("i", [1, 2], range(2))
    db.append_batch("f", [1.5, 2], range(2))
    db.append_batch("mixed", [1.5, "x"], range(2))

    def asked(h, value, timestamp=pa.timestamp("us", "UTC")):
        schema = pa.schema({"timestamp": timestamp, "value": value})
        return pa.RecordBatchReader._import_from_c_capsule(
            h.__arrow_c_stream__(schema.__arrow_c_schema__())
        ).read_all()

    for wished in (pa.large_string(), pa.string_view(), pa.string()):
        table = asked(db["t"], wished)
        assert table.schema.field("value").type == wished
        assert table["value"].to_pylist() == ["a", None]
    assert asked(db["i"], pa.decimal128(19)).schema.field("value").type == pa.decimal128(19)
    nanos = asked(db["i"], pa.int64(), pa.timestamp("ns", "UTC"))
    assert nanos.schema.field("timestamp").type == pa.timestamp("ns", "UTC")
    # Not lossless: the own type leaves.
    assert asked(db["f"], pa.int64()).schema.field("value").type == pa.float64()
    assert asked(db["f"], pa.float32()).schema.field("value").type == pa.float64()
    assert asked(db["i"], pa.int32()).schema.field("value").type == pa.int64()
    assert asked(db["i"], pa.float64()).schema.field("value").type == pa.int64()
    column = db["t"].values
    assert pa.array(column, pa.large_string()).type == pa.large_string()
    capsules = column.__arrow_c_array__(pa.string_view().__arrow_c_schema__())
    assert pa.Array._import_from_c_capsule(*capsules).type == pa.string_view()
    batch = db["t"].read()
    wished = pa.schema({"timestamp": pa.timestamp("us", "UTC"), "value": pa.large_string()})
    capsules = batch.__arrow_c_array__(wished.__arrow_c_schema__())
    assert pa.RecordBatch._import_from_c_capsule(*capsules).schema.types == wished.types
    db.append("far", 1, 2**62)
    with pytest.raises(pa.ArrowException):
        asked(db["far"], pa.int64(), pa.timestamp("ns", "UTC"))


def test_schemas_are_there_before_the_rows(db):
    db.append_batch("k", [1.5], [1])
    for thing in (db["k"], db["k"].read(), db.scan(), db.frame(["k"])):
        assert pa.schema(thing) == pa.table(thing).schema
    assert pa.field(db["k"].values).type == pa.float64()
    assert not pa.schema(db["k"]).field("timestamp").nullable
    assert not hasattr(db["k"], "__arrow_c_array__")


# Over several threads and inside of streams


def test_a_stream_that_uses_the_database_does_not_deadlock(db):
    import threading

    db.append_batch("k", np.arange(100.0), np.arange(100))
    stop = threading.Event()

    def append():
        while not stop.is_set():
            db.append("beside", 1)

    beside = threading.Thread(target=append)
    beside.start()
    try:

        def batches():
            for i in range(50):
                db.append("inside", i)
                assert len(db["k"]) == 100
                assert db.get("inside") == i
                yield pa.record_batch({"key": ["out"], "timestamp": [i], "value": [float(i)]}, schema=schema)

        schema = pa.schema({"key": pa.string(), "timestamp": pa.timestamp("us"), "value": pa.float64()})
        written = db.write(pa.RecordBatchReader.from_batches(schema, batches()))
        assert written.points == written.commits == 50
        assert db["out"].to_numpy().tolist() == list(range(50))
    finally:
        stop.set()
        beside.join()


def test_many_threads_read_one_history(db):
    from concurrent.futures import ThreadPoolExecutor

    for part in range(20):
        db.append_batch("k", np.arange(10_000.0) + part, np.arange(10_000))
    h = db["k"]
    with ThreadPoolExecutor(8) as pool:
        sums = set(pool.map(lambda _: float(pl.DataFrame(h)["value"].sum()), range(64)))
    assert len(sums) == 1


def test_duckdb_sql_over_histories_and_scans(db):
    for key in ("a", "b"):
        db.append_batch(key, np.arange(1000.0), np.arange(1000) * 1_000_000)
    h, scan = db["a"], db.scan()
    assert duckdb.sql("select count(*), max(value) from h").fetchall() == [(1000, 999.0)]
    joined = duckdb.sql("select count(*) from h join scan using (timestamp, value)").fetchall()
    assert joined == [(2000,)]
    assert h.__class__ is synadb.History
