"""The package with nothing else installed: no NumPy, no Arrow library, only Python itself.

Runs without pytest, in an empty environment. It ends with an error if anything that needs nothing else fails, or
if something that does not say by name what is missing.
"""

from __future__ import annotations

import array
import asyncio
import importlib.util
import pickle
import sys
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import synadb

OTHERS = ("numpy", "polars", "pandas", "pyarrow", "duckdb", "torch", "matplotlib", "arro3", "pytest")


def at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)


class Bare:
    """Nothing but an object with the stream of another one."""

    def __init__(self, data: object) -> None:
        self.data = data

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.data.__arrow_c_stream__(requested_schema)  # type: ignore[attr-defined]


def everything(folder: Path) -> None:
    path = folder / "db.syna"
    db = synadb.open(path, durability="os")
    for value in (1, 2.5, "x", b"y", None, True):
        db.append("mixed", value)
    db.append_batch("k", array.array("d", range(100)), array.array("q", range(100)))
    db.append_batch("k", [float(i) for i in range(100, 200)], [at(i) for i in range(100, 200)])
    db.append_row({"a/x": 1, "a/y": 2.0}, at(1))
    with db.batch() as batch:
        batch.append("b", "text", at(2))
        batch.append_batch("b", memoryview(array.array("q", [1, 2])), [3, 4])
        batch.delete("a/y")
    assert db.get("k") == 199 and db.get_at("k", at(150)) == 150 and db.get("none", 7) == 7
    assert db.keys() == list(db) == ["a/x", "b", "k", "mixed"] and len(db) == 4 and "k" in db
    assert db.types("b") == ["int", "text"] and db.get_point("b") == (at(0) + timedelta(microseconds=4), 2)
    assert db.latest("a/*").to_pydict()["value"] == [1]

    h = db["k"]
    assert len(h) == 200 and h[-1] == (at(199), 199.0) and len(h[at(100) : at(150)]) == 50
    assert h.to_pylist()[:2] == list(h)[:2] and h.first_row == h[0] and h.last(3)[2] == h.last_row
    assert h.values.to_pylist() == list(map(float, range(200))) and len(h.timestamps) == 200
    assert h.read()["value"][7] == 7 and h.read()[1][1] == 1 and h.read().num_rows == 200
    assert h.stats().count == 200 and h.stats().mean == 99.5
    assert len(h.resample("1m", ["mean", "max"])) > 1 and len(h.downsample(10)) <= 10
    assert h.explain().columns and "svg" in h._repr_html_() and repr(h).startswith("<synadb.History")
    assert [value for _, value in db["mixed"]] == [1, 2.5, "x", b"y", None, 1]
    assert h.values.__dlpack_device__() == (1, 0) and h.values.__dlpack__() is not None

    scan = db.scan("*", end=at(1000))
    assert len(scan) == len(scan.read()) == sum(map(len, (h, db["b"], db["a/x"])))
    frame = db.frame(["k", "a/x"], every="1m", fill="last").read()
    assert frame.column_names == ["timestamp", "k", "a/x"]
    # Arrow in from Arrow out: capsules need no library.
    with synadb.open(":memory:") as other:
        assert other.write(scan).points == len(scan)
        assert other.write(Bare(scan), atomic=True).points == len(scan)
        assert other.write_wide(db.frame(["k"]), prefix="copy/").points == 200
        assert other["copy/k"].values.to_pylist() == h.values.to_pylist()
        other.append_batch("again", h.values, h.timestamps)
        assert other["again"].to_pylist() == h.to_pylist()

    reader = db.reader()
    follower = reader.follow("f")
    db.append("f", 1)
    commit = follower.next(timeout=10)
    assert commit is not None and commit.changes[0].key == "f"

    async def one() -> object:
        later = threading.Timer(0.05, db.append, ("f", 2))
        later.start()
        async for commit in follower:
            return commit.changes[0].points[0][1]

    assert asyncio.run(one()) == 2
    reader.close()
    snapshot = db.snapshot()
    assert pickle.loads(pickle.dumps(snapshot)).get("f") == 2
    assert len(pickle.loads(pickle.dumps(h))) == 200

    db.flush(), db.sync(), db.checkpoint(), db.refresh(), db.trim()
    assert db.optimize(progress=lambda *_: None).points == db.verify().points
    db.retain({"k": 50})
    db.backup(folder / "copy.syna")
    db.compact()
    assert len(db["k"]) == 1 and db.delete("f") and not db.delete("f")
    assert db.stats() is not None
    db.close()
    assert synadb.salvage(folder / "copy.syna", folder / "saved.syna") is not None
    with synadb.open(folder / "saved.syna", mode="r") as saved:
        assert len(saved["k"]) == 50
        missing(saved)


def missing(db: synadb.SynaDB) -> None:
    """What needs a library names it."""
    h, scan, frame = db["k"], db.scan(), db.frame(["k"])
    calls = {
        "numpy": [h.to_numpy, h.values.to_numpy, frame.to_numpy, h.read().to_numpy],
        "polars": [h.to_polars, scan.to_polars, frame.to_polars, h.read().to_polars, scan.lazy],
        "pandas": [h.to_pandas, scan.to_pandas, frame.to_pandas, h.read().to_pandas],
        "pyarrow": [h.to_pyarrow, scan.to_pyarrow, frame.to_pyarrow, h.read().to_pyarrow],
        "torch": [h.to_torch],
        "matplotlib": [h.plot],
    }
    for library, methods in calls.items():
        for method in methods:
            try:
                method()
            except ImportError as error:
                assert error.name is not None and error.name.split(".")[0] == library, error
            else:
                raise AssertionError(f"{method} needs no {library}")


def main() -> None:
    found = [name for name in OTHERS if importlib.util.find_spec(name)]
    assert not found, f"this is no empty environment: {found}"
    with tempfile.TemporaryDirectory() as folder:
        everything(Path(folder))
    print(f"alone: ok (Python {sys.version.split()[0]})")


if __name__ == "__main__":
    main()
