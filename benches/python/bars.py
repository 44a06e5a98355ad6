"""Measures one group of the bars of the Python package; `benches/bars` calls it and judges.

Prints one JSON object: values by the name of their bar, and `#` lines before it. Arguments: the group, a
folder on a disk, the number of measured runs, and by how much the work is divided.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

GROUP, FOLDER, RUNS, SCALE = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
POINTS = 10_000_000 // SCALE


def say(text: str) -> None:
    print(f"# {text}", flush=True)


def fresh(name: str) -> Path:
    path = FOLDER / f"python-{name}.syna"
    path.unlink(missing_ok=True)
    return path


def source():
    """A random walk with two decimals, a point a second."""
    import numpy as np

    rng = np.random.default_rng(1)
    values = (rng.integers(-50, 51, POINTS).cumsum() / 100.0).round(2)
    return values, np.arange(POINTS) * 1_000_000


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def export() -> dict[str, float]:
    """Repeated exports of one key, encoded."""
    import polars
    import pyarrow.compute

    import synadb

    values, stamps = source()
    path = fresh("export")
    found = {}
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", values, stamps)
        h = db["k"]
        ways: dict[str, tuple[Callable[[], object], Callable[[object], float]]] = {
            "to_polars": (h.to_polars, lambda frame: frame["value"].mean()),
            "to_pyarrow": (h.to_pyarrow, lambda table: pyarrow.compute.mean(table["value"]).as_py()),
            "to_numpy": (h.to_numpy, lambda array: array.mean()),
        }
        assert polars.__version__
        for name, (way, mean) in ways.items():
            way()
            times = [timed(way) for _ in range(max(100, RUNS))]
            found[name] = statistics.median(times) * 1e6
            difference = abs(mean(way()) - values.mean())
            assert difference <= 1e-9 * abs(values.mean()), (name, difference)
            assert (h.to_numpy() == values).all()
    path.unlink()
    return found


def fresh_file(kind: str) -> dict[str, float]:
    """A fresh process: opens the file and hands the whole history to Arrow."""
    import numpy as np

    import synadb

    values, stamps = source()
    path = fresh(kind)
    encode = kind == "encoded"
    with synadb.open(path, durability="os", enable_delta=encode, enable_compression=encode) as db:
        db.append_batch("k", values, stamps)
    script = """
        import sys, time
        import pyarrow, numpy
        import synadb
        # pyarrow imports pandas, where that is installed, when it makes its first table.
        pyarrow.table(pyarrow.table({"a": [1]}))
        begin = time.perf_counter()
        table = pyarrow.table(synadb.open(sys.argv[1], mode="r")["k"])
        end = time.perf_counter()
        assert len(table) == int(sys.argv[2])
        column = numpy.concatenate([chunk.to_numpy() for chunk in table["value"].chunks])
        print(end - begin, column.sum())
    """
    times = []
    for run in range(RUNS + 1):
        command = [sys.executable, "-c", textwrap.dedent(script), str(path), str(POINTS)]
        took, total = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        assert abs(float(total) - float(np.sum(values))) <= 1e-6 * abs(float(total)) + 1e-6
        if run:
            times.append(float(took) * 1e3)
    # The file stays for a raw one: the caller holds a bare pass over its bytes against this.
    if encode:
        path.unlink()
    return {f"fresh_{kind}_ms": statistics.median(times)}


def appends(durability: str, count: int) -> float:
    """Millions of `db.append` a second."""
    import synadb

    path = fresh("append")
    with synadb.open(path, durability=durability) as db:
        append = db.append

        def work() -> None:
            for i in range(count):
                append("sensor/1", 1.5)

        work_time = timed(work)
        assert len(db["sensor/1"]) == count
    path.unlink()
    return count / work_time / 1e6


def append() -> dict[str, float]:
    count = 1_000_000 // SCALE
    rates = {name: [] for name in ("os", "buffered")}
    for _ in range(RUNS):
        for name, found in rates.items():
            found.append(appends(name, count))
    return {f"append_{name}": statistics.median(found) for name, found in rates.items()}


def beside() -> dict[str, float]:
    """`os` appends beside one busy Python thread / alone, in pairs."""
    count = 500_000 // SCALE
    ratios = []
    for _ in range(RUNS):
        alone = appends("os", count)
        stop = threading.Event()

        def busy(stop: threading.Event = stop) -> None:
            number = 0
            while not stop.is_set():
                number += 1

        thread = threading.Thread(target=busy)
        thread.start()
        try:
            ratios.append(appends("os", count) / alone)
        finally:
            stop.set()
            thread.join()
    return {"append_beside_python": statistics.median(ratios)}


def bulk() -> dict[str, float]:
    """NumPy values and stamps of one key."""
    import synadb

    values, stamps = source()
    rates = []
    for _ in range(RUNS + 1):
        path = fresh("bulk")
        with synadb.open(path, durability="os") as db:
            rates.append(POINTS / timed(lambda db=db: db.append_batch("k", values, stamps)) / 1e6)
            assert (db["k"].to_numpy() == values).all()
        size = path.stat().st_size
        path.unlink()
    say(f"append_batch: {size / POINTS:.2f} bytes a row")
    return {"append_batch": statistics.median(rates[1:])}


def arrival() -> dict[str, float]:
    """A long frame of 1,000 keys interleaved."""
    import numpy as np
    import polars as pl

    import synadb

    values, _ = source()
    keys = np.array([f"sensor/{number:04}" for number in range(1000)])
    numbers = np.arange(POINTS)
    frame = pl.DataFrame(
        {
            "key": pl.Series(keys).gather(numbers % 1000),
            "timestamp": pl.Series(numbers // 1000 * 1_000_000).cast(pl.Datetime("us", "UTC")),
            "value": values,
        }
    )
    rates = []
    for _ in range(RUNS + 1):
        path = fresh("arrival")
        with synadb.open(path, durability="os") as db:
            rates.append(POINTS / timed(lambda db=db: db.write(frame)) / 1e6)
            for number in (0, 7, 999):
                found = db[str(keys[number])].to_numpy()
                assert (found == values[number::1000]).all()
        path.unlink()
    return {"write_arrival": statistics.median(rates[1:])}


def get() -> dict[str, float]:
    """`db.get` of 1,000 keys in a loop, and of one."""
    import synadb

    path = fresh("get")
    with synadb.open(path, durability="os") as db:
        keys = [f"sensor/{number:04}" for number in range(1000)]
        for number, key in enumerate(keys):
            db.append(key, float(number))
        look = db.get

        def thousand() -> None:
            for key in keys:
                look(key)

        def one() -> None:
            for _ in range(100_000 // SCALE):
                look("sensor/0500")

        thousand()
        latest = statistics.median(timed(thousand) for _ in range(200)) * 1e3
        single = statistics.median(timed(one) for _ in range(max(7, RUNS)))
        assert [look(key) for key in keys] == list(range(1000))
    path.unlink()
    return {"latest_1000": latest, "get_ns": single / (100_000 // SCALE) * 1e9}


def start() -> dict[str, float]:
    """Importing, and the wheel."""

    def cumulative(code: str) -> float:
        """All that an interpreter imports, in milliseconds, as -X importtime tells it."""
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True
        )
        lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
        own = [int(line[0].split(":")[1]) for line in lines if line[0].split(":")[1].strip().isdigit()]
        return sum(own) / 1e3

    cumulative("import synadb")
    times = [cumulative("import synadb") - cumulative("pass") for _ in range(max(7, RUNS))]
    wheels = Path(os.environ["SYNADB_WHEELS"])
    [wheel] = wheels.glob("synadb-*.whl")
    return {"import_ms": statistics.median(times), "wheel_mb": wheel.stat().st_size / 1e6}


def read_beside(path: str, seconds: float, into: multiprocessing.Queue) -> None:
    """The second process: refreshes every millisecond; tells how late each point was seen."""
    import synadb

    db = synadb.open(path, mode="r", refresh_interval_ms=2**63)
    lags, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        db.refresh()
        seen = time.time()
        point = db.get("sensor/1")
        if point is not None:
            lags.append(seen - point)
        time.sleep(0.001)
    into.put(lags)


def beside_reader() -> dict[str, float]:
    """The writer stamps each value with the clock, so what the reader sees last is how late it is."""
    import synadb

    context = multiprocessing.get_context("spawn")
    path = fresh("beside")
    seconds = 10.0 / SCALE
    with synadb.open(path, durability="os") as db:
        append, clock = db.append, time.time

        def full_speed(length: float) -> float:
            count, end = 0, time.monotonic() + length
            begin = time.monotonic()
            while time.monotonic() < end:
                for _ in range(100):
                    append("sensor/1", clock())
                count += 100
            return count / (time.monotonic() - begin)

        full_speed(0.1)
        queue = context.Queue()
        reader = context.Process(target=read_beside, args=(str(path), seconds, queue))
        reader.start()
        # The writer begins before the reader does and ends after it: every look is at a live log.
        while queue.empty():
            full_speed(0.05)
        lags = sorted(queue.get(timeout=60))
        reader.join()
        p99 = lags[int(len(lags) * 0.99)] * 1e3
        say(f"reader_lag_ms: {len(lags)} looks, median {statistics.median(lags) * 1e3:.3f} ms")
        ratios, second = [], 1.0 / SCALE
        for _ in range(9):
            alone = full_speed(second)
            reader = context.Process(target=read_beside, args=(str(path), second * 1.5 + 1.0, queue))
            reader.start()
            time.sleep(0.7)
            with_reader = full_speed(second)
            queue.get(timeout=60)
            reader.join()
            ratios.append(with_reader / alone)
        say("writer_beside_reader: " + " ".join(f"{ratio:.2f}" for ratio in sorted(ratios)))
    path.unlink()
    return {"reader_lag_ms": p99, "writer_beside_reader": statistics.median(ratios)}


GROUPS: dict[str, Callable[[], dict[str, float]]] = {
    "export": export,
    "fresh_raw": lambda: fresh_file("raw"),
    "fresh_encoded": lambda: fresh_file("encoded"),
    "append": append,
    "beside": beside,
    "bulk": bulk,
    "arrival": arrival,
    "get": get,
    "start": start,
    "beside_reader": beside_reader,
}

if __name__ == "__main__":
    say(f"Python {sys.version.split()[0]}, {sysconfig.get_platform()}")
    print(json.dumps(GROUPS[GROUP]()))
