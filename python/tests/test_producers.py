"""Producers that are nothing but structs: what is wrong with them is an error, and all is released once."""

from __future__ import annotations

import ctypes
import gc
import struct

import pytest

import synadb
from producer import Array, Producer, Schema

FAR = 2**62


def views(producer, **other):
    """Three empty texts as views."""
    buffers = [None, producer.buffer(b"\0" * 48)]
    return producer.array(3, buffers, **other)


#: The format of the values, and how they, or the rows, are wrong.
WRONG = {
    "length below 0": ("g", lambda p: p.long(length=-1)),
    "offset below 0": ("g", lambda p: p.long(offset=-1)),
    "too long": ("g", lambda p: p.long(length=FAR)),
    "too far": ("g", lambda p: p.long(offset=2**63 - 1)),
    "fewer columns": ("g", lambda p: p.long(n_children=2)),
    "columns below 0": ("g", lambda p: p.long(n_children=-1)),
    "a column is shorter": ("g", lambda p: p.long(p.array(2, p.doubles()))),
    "a column is too far": ("g", lambda p: p.long(p.array(3, p.doubles(), offset=2**63 - 4))),
    "a column was moved away": ("g", lambda p: p.long(p.array(3, p.doubles(), release=None))),
    "no values": ("g", lambda p: p.long(p.array(3, [None, None]))),
    "no buffers": ("g", lambda p: p.long(p.array(3))),
    "buffers below 0": ("g", lambda p: p.long(p.array(3, p.doubles(), n_buffers=-1))),
    "no pointer to buffers": (
        "g",
        lambda p: p.long(p.array(3, p.doubles(), buffers=ctypes.POINTER(ctypes.c_void_p)())),
    ),
    "nulls without a bitmap": ("g", lambda p: p.long(p.array(3, p.doubles(), null_count=1))),
    "a bitmap without nulls": (
        "g",
        lambda p: p.long(p.array(3, [p.buffer(b"\x05"), p.doubles()[1]], null_count=0)),
    ),
    "another number of nulls": (
        "g",
        lambda p: p.long(p.array(3, [p.buffer(b"\x05"), p.doubles()[1]], null_count=2)),
    ),
    "a dictionary is missing": ("g", lambda p: p.long(p.array(3, p.doubles()))),
    "another type": ("u", lambda p: p.long()),
    "no type": ("zzz", lambda p: p.long()),
    "a width below 0": ("w:-1", lambda p: p.long()),
    "a width of lists below 0": ("+w:-1", lambda p: p.long()),
    "lists of nothing": ("+l", lambda p: p.long()),
    "a list view of nothing": ("+vl", lambda p: p.long()),
    "a map of nothing": ("+m", lambda p: p.long()),
    "runs of nothing": ("+r", lambda p: p.long()),
    "views without buffers": ("vu", lambda p: p.long(views(p, n_buffers=0))),
    "views without lengths": ("vz", lambda p: p.long(views(p, n_buffers=2))),
    "lengths of views are NULL": ("vu", lambda p: p.long(views(p, n_buffers=5))),
    "a length of views below 0": (
        "vu",
        lambda p: p.long(p.array(3, [None, p.buffer(b""), p.buffer(b"x"), p.buffer(b"\xff" * 8)])),
    ),
    "metadata without end": ("g", lambda p: p.long()),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_an_error(db, capfd, wrong):
    """Some of these were written all the same, one ended the process, and others were a panic, which is printed."""
    form, make = WRONG[wrong]
    for as_stream in (False, True):
        producer = Producer()
        schema, array = producer.long_schema(form), make(producer)
        if wrong == "a dictionary is missing":
            schema.children[2].contents.dictionary = ctypes.pointer(producer.schema("u"))
            schema.children[2].contents.format = b"i"
        if wrong == "metadata without end":
            schema.metadata = b"\xff\xff\xff\x7f"
        with pytest.raises(synadb.SynaError):
            if as_stream:
                db.write(producer.capsule(producer.stream(schema, [array])))
            else:
                db.write(producer.capsules(schema, array))
        gc.collect()
        # What was not asked for, or is left in its capsule, is not the library's to release.
        if as_stream:
            assert producer.released["Stream"] == producer.released["Schema"] == 1
            assert producer.released["Array"] <= 1
        else:
            assert producer.released == {"Array": 1}
    assert len(db) == 0
    assert capfd.readouterr() == ("", "")


def test_what_is_right_is_released_once(db):
    producer = Producer()
    assert db.write(producer.capsules(producer.long_schema(), producer.long())).points == 3
    assert producer.released == {"Array": 1}
    arrays = [producer.long(), producer.long(null_count=-1)]
    assert db.write(producer.capsule(producer.stream(producer.long_schema(), arrays))).points == 6
    assert producer.released == {"Array": 3, "Schema": 1, "Stream": 1}
    assert db["c"].to_numpy().tolist() == [3.5] * 3
    nulls = producer.array(3, [producer.buffer(b"\x05"), producer.doubles()[1]], null_count=-1)
    assert db.write(producer.capsules(producer.long_schema(), producer.long(nulls))).points == 3
    assert db.get("b", 0) is None and db.get("c") == 3.5


STREAMS = {
    "schema fails": (lambda p: p.stream(5, [], b"so it is"), {"Stream": 1}, "5: so it is"),
    "schema fails silently": (lambda p: p.stream(5, []), {"Stream": 1}, "says no more"),
    "no schema": (lambda p: p.stream(p.schema("g", format=None), []), {"Stream": 1, "Schema": 1}, "NULL"),
    "fails at once": (
        lambda p: p.stream(p.long_schema(), [7], b"so it is"),
        {"Stream": 1, "Schema": 1},
        "7: so it is",
    ),
    "fails later": (
        lambda p: p.stream(p.long_schema(), [p.long(), 7, p.long()], b"so it is"),
        {"Stream": 1, "Schema": 1, "Array": 1},
        "3 rows .* 7: so it is",
    ),
    "another array": (
        lambda p: p.stream(p.long_schema(), [p.long(), p.array(3, p.doubles()), p.long()]),
        {"Stream": 1, "Schema": 1, "Array": 2},
        "3 rows .* columns",
    ),
    "other columns": (
        lambda p: p.stream(p.schema("+s", children=[p.schema("u", "kay")]), [p.long()]),
        {"Stream": 1, "Schema": 1},
        "kay",
    ),
}


@pytest.mark.parametrize("case", STREAMS)
@pytest.mark.parametrize("atomic", [False, True])
def test_streams_that_fail(db, case, atomic):
    make, released, text = STREAMS[case]
    producer = Producer()
    stream = make(producer)
    with pytest.raises(synadb.SynaError, match=None if atomic else text):
        db.write(producer.capsule(stream), atomic=atomic)
    assert producer.released == released
    assert sum(len(db[key]) for key in db) == (0 if atomic or "3 rows" not in text else 3)


@pytest.mark.parametrize("missing", ["get_schema", "get_next", "get_last_error"])
def test_streams_without_a_function(db, missing):
    producer = Producer()
    stream = producer.stream(producer.long_schema(), [7], b"so it is")
    setattr(stream, missing, None)
    with pytest.raises(synadb.ArrowError):
        db.write(producer.capsule(stream))
    assert producer.released["Stream"] == 1 and len(db) == 0


def test_what_is_released_may_use_the_database(db):
    """No lock is held while a release callback runs, and it may even close the database."""

    def use():
        db.append("beside", 1)
        assert db.get("beside") == 1 and len(db["beside"]) > 0
        db.sync()

    producer = Producer(use)
    db.write(producer.capsules(producer.long_schema(), producer.long()))
    for atomic in (False, True):
        arrays = [producer.long(), producer.long()]
        db.write(producer.capsule(producer.stream(producer.long_schema(), arrays)), atomic=atomic)
    assert producer.released == {"Array": 5, "Schema": 2, "Stream": 2}
    assert len(db["beside"]) == 9 and len(db["a"]) == 5

    class Values:
        def __arrow_c_array__(self, requested_schema=None):
            return producer.capsules(producer.schema("g"), producer.array(3, producer.doubles()))

    db.append_batch("a", Values(), [1, 2, 3])
    with pytest.raises(synadb.LengthMismatchError):
        db.append_batch("a", Values(), [1])
    assert producer.released["Array"] == 7 and len(db["a"]) == 8
    closing = Producer(lambda: db.close() if closing.released == {"Schema": 1, "Array": 1} else None)
    arrays = [closing.long(), closing.long()]
    with pytest.raises(synadb.WriteStoppedError, match="3 rows .* closed"):
        db.write(closing.capsule(closing.stream(closing.long_schema(), arrays)))
    assert closing.released == {"Array": 2, "Schema": 1, "Stream": 1}


def test_memory_that_is_not_aligned(db):
    """The specification asks for it only as a rule."""
    producer = Producer()
    memory = producer.buffer(b"\0" + struct.pack("<3d", 7, 8, 9))
    there = (ctypes.c_char * 1).from_address(ctypes.addressof(memory) + 1)
    array: Array = producer.long(producer.array(3, [None, there]))
    assert db.write(producer.capsules(producer.long_schema(), array)).points == 3
    assert [db.get(key) for key in "abc"] == [7, 8, 9]
    # Offsets are read where they lie.
    memory = producer.buffer(b"\0" + struct.pack("<4i", 0, 1, 2, 3))
    there = (ctypes.c_char * 1).from_address(ctypes.addressof(memory) + 1)
    array = producer.long(producer.array(3, [None, there, producer.buffer(b"xyz")]))
    with pytest.raises(synadb.SynaError, match="not aligned"):
        db.write(producer.capsules(producer.long_schema("u"), array))


def test_a_schema_that_leads_back_to_itself_ends(db):
    """Its depth was bounded, and not how often it was followed."""
    producer = Producer()
    child = producer.schema("+s", "s")
    pointers = producer.pointers(Schema, [child] * 4)
    child.n_children, child.children = 4, pointers
    with pytest.raises(synadb.SynaError, match="nested"):
        db.write(producer.capsules(producer.schema("+s", children=[child]), producer.long()))


#: Formats that no type has, and what else a wish cannot be.
NO_TYPES = {
    "no format": {"format": None},
    "no text": {"format": b"\xff"},
    "no type": {"format": b"zzz"},
    "lists of nothing": {"format": b"+l"},
    "children below 0": {"format": b"+s", "n_children": -1},
    "no pointer to children": {"format": b"+s", "n_children": 3},
    "metadata without end": {"metadata": b"\xff\xff\xff\x7f"},
    "released": {"release": None},
}


@pytest.mark.parametrize("wrong", NO_TYPES)
def test_a_wish_that_is_no_type_is_an_error(db, capfd, wrong):
    """It was a panic, which no `except Exception` catches, and one ended the process for lack of memory."""
    db.append_batch("k", [1.5, 2.5], [1, 2])
    producer = Producer()
    h = db["k"]
    capsule = producer.capsule(producer.schema("g", **NO_TYPES[wrong]))
    exports = [h.__arrow_c_stream__, h.values.__arrow_c_array__, h.values.__arrow_c_stream__]
    exports += [h.read().__arrow_c_array__, db.scan().__arrow_c_stream__, db.frame(["k"]).__arrow_c_stream__]
    for export in exports:
        with pytest.raises(ValueError if wrong == "released" else synadb.ArrowError):
            export(capsule)
        export(producer.capsule(producer.schema("g")))
    assert producer.released == {}, "a wish is left in its capsule"
    assert capfd.readouterr() == ("", "")
