"""Copies are counted: what NumPy and the process take, and what the store says of itself.

NumPy tells its memory to tracemalloc, the extension does not; what either allocates is anonymous memory of the
process, which a mapped file is not.
"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support import needs

import synadb

arro3 = needs("arro3.core")
na = needs("nanoarrow")
pa = needs("pyarrow")
pd = needs("pandas")
pl = needs("polars")

COUNT = 6_000_000
COLUMN = 8 * COUNT


def anonymous() -> int:
    """Bytes of memory that belong to no file, but for what the allocator keeps: a copy may lie there."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as status:
        [line] = [line for line in status if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def copies(work) -> tuple[float, float, object]:
    """How many columns of memory a result holds: of the process, and by NumPy's own report."""
    before = anonymous()
    tracemalloc.start()
    result = work()
    (numpy, _), taken = tracemalloc.get_traced_memory(), anonymous() - before
    tracemalloc.stop()
    return taken / COLUMN, numpy / COLUMN, result


def dlpack_address(capsule) -> int:
    """The memory of a tensor without versions: the first field of its struct."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.c_void_p.from_address(pointer(capsule, b"dltensor")).value


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Histories that lie in the file as Arrow wants them."""
    path = tmp_path_factory.mktemp("raw") / "db.syna"
    with synadb.open(path, durability="os", enable_delta=False, enable_compression=False) as db:
        stamps = np.arange(COUNT)
        db.append_batch("f", np.arange(float(COUNT)), stamps)
        db.append_batch("i", stamps, stamps)
        mask = stamps % 10 == 0
        db.append_batch("fn", pa.array(np.arange(float(COUNT)), mask=mask), stamps)
        db.append_batch("in", pa.array(stamps, mask=mask), stamps)
        for key in db:  # whatever is remembered of a first read
            db[key].read()
        yield db


#: What the documentation says to be without a copy.
SHARED = {
    "to_numpy": lambda h: h.to_numpy(),
    "nulls=nan": lambda h: h.to_numpy(nulls="nan"),
    "nulls=raise": lambda h: h.to_numpy(nulls="raise"),
    "nulls=0": lambda h: h.to_numpy(nulls=0),
    "asarray": np.asarray,
    "array, copy=False": lambda h: np.array(h, copy=False),
    "from_dlpack": lambda h: np.from_dlpack(h.values),
    "timestamps": lambda h: h.timestamps.to_numpy(),
    "read": lambda h: h.read(),
    "to_polars": lambda h: h.to_polars(),
    "polars": pl.DataFrame,
    "to_pyarrow": lambda h: h.to_pyarrow(),
    "pyarrow": pa.table,
    "arro3": lambda h: arro3.Table.from_arrow(h),
    "nanoarrow": lambda h: na.ArrayStream(h).read_all(),
}


@pytest.mark.parametrize("call", SHARED)
def test_what_shares_memory_takes_none(raw, call):
    h, before = raw["f"], raw.stats()
    taken, numpy, result = copies(lambda: SHARED[call](h))
    after = raw.stats()
    assert max(taken, numpy) < 1 / 8, (taken, numpy)
    assert (after.copied_bytes, after.decoded_bytes) == (before.copied_bytes, before.decoded_bytes)
    assert after.mapped_bytes - before.mapped_bytes >= COLUMN
    del result


#: What copies: how many columns of memory it holds, and how many of these NumPy made.
COPIED = {
    "array": ("f", lambda h: np.array(h), 1, 1),
    "asarray, other type": ("f", lambda h: np.asarray(h, dtype="f4"), 1 / 2, 1 / 2),
    "column, copy": ("f", lambda h: np.array(h.values), 1, 1),
    "from_dlpack, copy": ("f", lambda h: np.from_dlpack(h.values, copy=True), 1, 0),
    "dlpack without versions": ("f", lambda h: h.values.__dlpack__(), 1, 0),
    "dlpack of times": ("f", lambda h: h.timestamps.__dlpack__(), 1, 0),
    "floats with nulls": ("fn", lambda h: h.to_numpy(), 1, 0),
    "floats with nulls, a number": ("fn", lambda h: h.to_numpy(nulls=-1.5), 1, 0),
    "floats with nulls, asarray": ("fn", np.asarray, 1, 0),
    "floats with nulls, array": ("fn", np.array, 1, 0),
    "ints with nulls, a number": ("in", lambda h: h.to_numpy(nulls=-1), 1, 0),
    "ints with nulls, as floats": ("in", lambda h: h.to_numpy(nulls="nan"), 1, 0),
    "ints as floats": ("i", lambda h: h.to_numpy(nulls="nan"), 1, 0),
    "mask": ("in", lambda h: h.to_numpy(nulls="mask"), 1 / 8, 0),
    "owned floats": ("f", lambda h: h._owned_floats(), 1, 0),
}


@pytest.mark.parametrize("call", COPIED)
def test_copies_are_as_many_as_needed(raw, call):
    key, work, of_process, of_numpy = COPIED[call]
    taken, numpy, result = copies(lambda: work(raw[key]))
    assert abs(taken - of_process) < 1 / 16, (taken, numpy)
    assert abs(numpy - of_numpy) < 1 / 16, (taken, numpy)
    before = anonymous()
    del result
    # Nothing of it stays, unless it is the store's own buffer, which its pool keeps for the next one.
    assert call == "owned floats" or before - anonymous() > COLUMN * (of_process - 1 / 16)


def test_copies_of_others(raw):
    """Both columns, in pandas."""
    h = raw["f"]
    taken, _, frame = copies(h.to_pandas)
    assert taken > 1, taken
    own = h.to_numpy().ctypes.data
    assert not own <= frame["value"].to_numpy().ctypes.data < own + COLUMN


def test_copies_are_independent(raw):
    h = raw["f"][:1000]
    expected = list(range(1000))
    base = raw["f"].to_numpy().ctypes.data
    for made in (np.array(h), np.array(h.values), np.from_dlpack(h.values, copy=True), h._owned_floats()):
        assert made.flags.writeable and not base <= made.ctypes.data < base + COLUMN
        made[:] = -1
        assert h.to_numpy().tolist() == expected
    capsules = h.values.__dlpack__(), h.values.__dlpack__()
    first, second = map(dlpack_address, capsules)
    assert first != second and first % 64 == second % 64 == 0
    ctypes.memset(first, 0xFF, 8000)
    assert h.to_numpy().tolist() == expected
    assert np.ctypeslib.as_array((ctypes.c_double * 1000).from_address(second)).tolist() == expected
    frame = h.to_pandas()
    frame.loc[:, "value"] = -1.0
    assert h.to_numpy().tolist() == expected
    nulls = raw["in"][:1000]
    for asked in (-1, "nan"):
        made = nulls.to_numpy(nulls=asked)
        made[:] = 0
        assert nulls.to_numpy(nulls=asked)[1] == 1


def test_what_shares_memory_has_the_same_address(raw):
    for key in ("f", "i"):
        column = raw[key].values
        own = column.to_numpy().ctypes.data
        for asked in (None, "raise", "mask", 0) if key == "i" else (None, "raise", "mask", "nan", 0.5):
            array = column.to_numpy(nulls=asked)
            assert array.ctypes.data == own and (asked == "mask" or not array.flags.writeable)
        assert np.asarray(raw[key]).ctypes.data == np.array(column, copy=False).ctypes.data == own
        assert raw[key].read()["value"].to_numpy().ctypes.data == own
    # What is masked is shared, also where there are nulls.
    masked = raw["in"].to_numpy(nulls="mask")
    assert masked.data.ctypes.data == pa.array(raw["in"].values).buffers()[1].address
    assert int(masked.mask.sum()) == COUNT // 10


def test_what_was_decoded_is_cached_and_not_decoded_again(path):
    count = 500_000
    values = np.random.default_rng(1).normal(20, 2, count).round(2)
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", values, np.arange(count))
        db.append_batch("cold", values, np.arange(count))
        before = db.stats()
        first = db["k"].to_numpy()
        after = db.stats()
        assert after.decoded_bytes - before.decoded_bytes == 8 * count
        assert (after.mapped_bytes, after.copied_bytes) == (before.mapped_bytes, before.copied_bytes)
        for again in (db["k"].to_numpy(), np.asarray(db["k"]), db["k"].values.to_numpy()):
            assert again.ctypes.data == first.ctypes.data
        last = db.stats()
        assert (last.decoded_bytes, last.copied_bytes) == (after.decoded_bytes, after.copied_bytes)
        assert last.cached_bytes - after.cached_bytes == 3 * 8 * count
        assert np.array_equal(first, values)


@pytest.mark.parametrize("call", COPIED)
def test_no_room_is_an_error(call):
    """The process ended, with a message of the allocator."""
    script = f"""
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import numpy as np, pyarrow as pa, synadb
        from test_copies import COPIED
        key, work, *_ = COPIED[{call!r}]
        count = 3_000_000
        stamps = np.arange(count)
        nulls = pa.array(stamps, mask=stamps % 10 == 0)
        values = {{"f": stamps * 1.0, "i": stamps, "fn": nulls.cast("f8"), "in": nulls}}[key]
        with synadb.open(":memory:") as db:
            db.append_batch(key, values, stamps)
            h, results = db[key], [work(db[key])]
            with open("/proc/self/statm") as memory:
                pages = int(memory.read().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 100 * 2**20,) * 2)
            try:
                for _ in range(100):
                    results.append(work(h))
            except MemoryError:
                results.clear()
                work(h)
                print("told")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "told\n", "")
