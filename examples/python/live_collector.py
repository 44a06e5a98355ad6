"""A process that collects beside one that reads: no lock between them, no message either.

    python examples/python/live_collector.py
"""

from __future__ import annotations

import multiprocessing
import random
import tempfile
import time
from pathlib import Path

import synadb

SAMPLES = 200


def collect(path: str) -> None:
    """Appends a sample of two sensors every few milliseconds, each as one commit."""
    with synadb.open(path, durability="os") as db:
        for _ in range(SAMPLES):
            db.append_row({"room/temp": 20 + random.random(), "room/co2": random.randint(400, 900)})
            time.sleep(0.002)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "room.syna")
        synadb.open(path).close()
        context = multiprocessing.get_context("spawn")
        collector = context.Process(target=collect, args=(path,))
        collector.start()
        with synadb.open(path, mode="r") as db:
            seen, started = 0, time.monotonic()
            for commit in db.follow("room/*", start="beginning", timeout=10):
                seen += 1
                assert len(commit.changes) == 2, "a commit is seen whole"
                if seen % 50 == 0:
                    latest = {key: db.get(key) for key in db}
                    print(f"{time.monotonic() - started:.1f} s: {seen} samples, latest {latest}")
                if seen == SAMPLES:
                    break
            collector.join()
            assert seen == SAMPLES
            co2 = db["room/co2"].stats()
            print(f"co2 between {co2.min} and {co2.max}, mean {co2.mean:.0f}")


if __name__ == "__main__":
    main()
