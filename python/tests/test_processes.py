"""Forks, spawns, signals, threads, and the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import datetime

import numpy as np
import pytest

import synadb
from support import count_of, optimized

pytestmark = pytest.mark.filterwarnings("ignore:This process")


def in_child(work) -> str:
    """Runs `work` in a forked child; returns what it returned, or "Error: text"."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = str(work())
        except BaseException as error:  # noqa: BLE001
            text = f"{type(error).__name__}: {error}"
        os.write(into, text.encode())
        os._exit(0)
    os.close(into)
    deadline = time.monotonic() + 30
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.005)
    with os.fdopen(out, "rb") as read:
        return read.read().decode()


def test_a_forked_writer_says_what_to_do(path):
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", np.arange(100.0), np.arange(100))
        h, snapshot, scan, batch, follower = db["k"], db.snapshot(), db.scan(), db.batch(), db.follow()
        uses = [
            lambda: db.append("k", 1),
            lambda: db.get("k"),
            lambda: len(db),
            lambda: db.sync(),
            lambda: db.optimize(),
            lambda: db.close(),
            lambda: len(h),
            lambda: h.to_numpy(),
            lambda: snapshot.get("k"),
            lambda: scan.read(),
            lambda: follower.next(0),
            lambda: pickle.dumps(db),
        ]
        for use in uses:
            assert in_child(use).startswith("ForkedError: ") and "db.reader()" in in_child(use)

        def discard():
            batch.append("k", 1)
            batch.commit()

        assert in_child(discard).startswith("ForkedError")
        assert in_child(lambda: len(db.reader()["k"])) == "100"
        assert in_child(lambda: db.reader().get("k")) == "99.0"
        db.append("k", 1)  # nothing of this hurt the parent
        assert len(db["k"]) == 101
        assert locked_by(path) == os.getpid()


def locked_by(path) -> int | None:
    """Who another process is told to write there; None if it could write itself."""
    script = """
        import sys, synadb
        try:
            synadb.open(sys.argv[1])
        except synadb.LockedError as error:
            print(error.pid)
    """
    done = run(script, str(path))
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout) if done.stdout else None


@pytest.mark.parametrize("end", ["sys.exit()", "os._exit(0)", "os.execlp('true', 'true')", "drop()"])
def test_a_child_that_ends_does_nothing_for_its_parent(path, end):
    """Whether it lets go of what it was given, or not: what the parent buffers stays there, and its lock held."""
    with synadb.open(path, durability="os") as db:
        db.append("k", 1.0)
    script = f"""
        import gc, os, sys, synadb
        path = sys.argv[1]
        db = synadb.open(path, durability="buffered", buffer_interval_ms=10**9)
        batch, follower, h = db.batch(), db.follow(), db["k"]
        batch.append("k", -1.0)
        db.append("k", 2.0)

        def drop():
            global db, batch, follower, h
            try:
                db.close()
            except synadb.ForkedError:
                pass
            del db, batch, follower, h
            gc.collect()
            sys.exit()

        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            {end}
        ended = os.waitpid(child, 0)[1]
        print(ended, flush=True)
        sys.stdin.readline()
        db.append("k", 3.0)
        db.flush()
        print(db["k"].to_numpy().tolist(), flush=True)
        sys.stdin.readline()
    """
    # Newer Pythons warn of forks beside threads.
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as parent:
        assert parent.stdout.readline() == "0\n", parent.stderr.read()
        assert locked_by(path) == parent.pid
        with synadb.open(path, mode="r") as db:
            assert db["k"].to_numpy().tolist() == [1.0]
            parent.stdin.write("\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == "[1.0, 2.0, 3.0]\n"
            db.refresh()
            assert db["k"].to_numpy().tolist() == [1.0, 2.0, 3.0]
        assert locked_by(path) == parent.pid
        out, err = parent.communicate("\n", timeout=60)
        assert (parent.returncode, err) == (0, "")
    assert locked_by(path) is None


def test_a_forked_reader_reopens_at_its_commit(path):
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", np.arange(50_000.0), np.arange(50_000))
        db.append("t", "text")
        with synadb.open(path, mode="r") as shared:
            script = f"""
                import os, sys, synadb
                db = synadb.open({str(path)!r}, mode="r", refresh_interval_ms=10**12)
                h, snapshot, scan, frame = db["k"][10:], db.snapshot(), db.scan("k"), db.frame(["k"])
                held = h.to_numpy()
                print("ready", flush=True)
                sys.stdin.readline()
                if os.fork():
                    print("parent", os.wait()[1], len(db["k"]), flush=True)
                else:
                    found = [len(db["k"]), db.get("t"), len(h), len(snapshot["k"]), len(scan), held.sum()]
                    found += [h.to_numpy().sum(), len(frame.read()), db.keys(), h[0][1]]
                    print("child", *found, flush=True)
                    db.refresh()
                    print("later", len(db["k"]), flush=True)
                    os._exit(0)
            """
            child = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert child.stdout.readline() == "ready\n"
            db.append("k", -1.0)
            db.append("new", 1)
            out, _ = child.communicate("\n", timeout=60)
            total = float(np.arange(10, 50_000.0).sum())
            assert out.splitlines() == [
                f"child 50000 text 49990 50000 50000 {total} {total} 50000 ['k', 't'] 10.0",
                "later 50001",
                "parent 0 50000",
            ]
            # A reader beside the writer of its own process is one of the file in a child.
            assert in_child(lambda: (len(shared["k"]), shared.get("new"))) == "(50001, 1)"


def test_a_forked_reader_is_closed_like_any(path):
    """It raised ForkedError, also at the end of a `with` block in which nothing was wrong."""
    with synadb.open(path, durability="os") as db, synadb.open(path, mode="r") as reader:
        db.append("k", 1)
        assert in_child(reader.close) == "None"
        assert in_child(lambda: reader.__exit__(None, None, None)) == "None"
        assert in_child(lambda: (reader.close(), reader.get("k"))).startswith("ClosedError")
        gone = synadb.open(path, mode="r")
        gone.close()
        assert in_child(lambda: gone.get("k")).startswith("ClosedError")


def test_a_follower_that_a_thread_waited_with_does_not_hang_a_forked_child(path):
    """The child waited for a lock that the thread holds, which is not there."""
    with synadb.open(path, durability="os") as db:
        for follower in (db.follow(), db.reader().follow()):
            thread = threading.Thread(target=follower.next, args=(2,))
            thread.start()
            time.sleep(0.2)
            assert in_child(lambda f=follower: f.next(0)).startswith("ForkedError")
            # Between two looks of the thread, the lock is free.
            found = in_child(lambda f=follower: f.cursor)
            assert found.startswith("ForkedError") or found == follower.cursor
            assert in_child(lambda f=follower: repr(f)).startswith("<synadb.Follower")
            thread.join()
            # Once nobody waits, the child may go on where the parent is.
            assert in_child(lambda f=follower: f.cursor) == follower.cursor


def test_forks_beside_busy_threads_do_not_hang(path):
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", np.arange(10_000.0), np.arange(10_000))
        reader = synadb.open(path, mode="r")
        stop = threading.Event()

        def work():
            while not stop.is_set():
                db.append("k", 1.0)
                h = db["k"].last(5_000)
                h.to_numpy()
                reader["k"].stats()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(30):
                h = reader["k"]
                assert in_child(lambda: db.get("k")).startswith("ForkedError")
                assert int(in_child(lambda: len(reader["k"]))) >= 10_000
                assert in_child(lambda h=h: (h.to_numpy()[:10_000].sum() > 0, h.close)).startswith("Attr")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        reader.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(path, method):
    context = multiprocessing.get_context(method)
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", np.arange(1000.0), np.arange(1000))
        with context.Pool(2) as pool:
            things = [db, db.snapshot(), db["k"], db.reader()]
            assert pool.map(count_of, things) == [1000] * 4
        db.append("k", 1)
        assert len(db["k"]) == 1001


def run(script: str, *args: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(script), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize("end", ["pass", "db.close()", "del db", "sys.exit(0)", "raise SystemExit"])
def test_live_arrays_at_the_end_of_the_interpreter(path, end):
    done = run(
        f"""
        import sys, atexit
        import numpy as np, pyarrow as pa, polars as pl
        import synadb
        db = synadb.open(sys.argv[1], durability="os")
        db.append_batch("k", np.arange(100_000.0), np.arange(100_000))
        h = db["k"]
        held = [h.to_numpy(), h.to_polars(), h.to_pyarrow(), np.from_dlpack(h.values), h.values, h.read(),
                h.__arrow_c_stream__(), h.__arrow_c_schema__(), h.values.__dlpack__(), db.follow(),
                pa.RecordBatchReader.from_stream(h), memoryview(h.to_numpy()), db.scan(), db.batch()]
        atexit.register(lambda: print(int(held[0].sum())))
        import builtins
        builtins.kept = held
        {end}
        """,
        str(path),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "4999950000\n", "")


def test_the_module_may_be_imported_again(path):
    done = run(
        """
        import sys, importlib
        import synadb
        db = synadb.open(sys.argv[1], durability="os")
        db.append("k", 1.5)
        held = db["k"].to_numpy()
        importlib.reload(synadb)
        assert synadb.open(sys.argv[1], durability="os").get("k") == 1.5 == held[0]
        for name in [name for name in sys.modules if name.startswith("synadb") and "_synadb" not in name]:
            del sys.modules[name]
        import synadb
        assert held[0] == 1.5
        """,
        str(path),
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_else_is_needed(path):
    """Without any other package: no site-packages but a folder with this one."""
    home = os.path.dirname(os.path.dirname(synadb.__file__))
    script = """
        import sys
        sys.path.insert(0, sys.argv[2])
        class No:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("numpy", "pyarrow", "polars", "pandas", "duckdb", "torch"):
                    raise ImportError(name)
        sys.meta_path.insert(0, No())
        import synadb
        db = synadb.open(sys.argv[1])
        db.append_batch("k", [1, 2.5, "x"], [1, 2, 3])
        h = db["k"]
        assert [v for _, v in h] == [1, 2.5, "x"] and h.stats().count == 3
        assert db.write(db.scan()).points == 3
        assert db.frame(["k"]).read().num_rows == 3 and len(h.read()["value"]) == 3
        assert h.__dlpack_device__ if False else True
        assert "<div>" in h._repr_html_()
        print(sorted(m for m in sys.modules if m in ("numpy", "pyarrow", "polars", "asyncio", "dataclasses")))
    """
    command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(script), str(path), home]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


# Ctrl-C


def interrupted(work, after: float = 0.3) -> float:
    """Seconds from a signal to the KeyboardInterrupt that ends `work`.

    The signal comes from a timer: a thread that sends it would wait for the interpreter, and with it until
    the call listens.
    """
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    sent = time.monotonic() + after
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        return time.monotonic() - sent
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


#: What a machine that does other things meanwhile may add.
LATE = 0.05 + float(os.environ.get("SYNADB_SLACK_S", "0.05"))


def ends_soon(work) -> bool:
    """What else the machine does makes an answer late, but not each of three."""
    for _ in range(3):
        if interrupted(work) < LATE:
            return True
        time.sleep(1)  # what was interrupted may end in the background
    return False


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Some seconds of work."""
    path = tmp_path_factory.mktemp("large") / "db.syna"
    with synadb.open(path, durability="os") as db:
        rng = np.random.default_rng(1)
        for key in range(12):
            values = rng.random(5_000_000)
            db.append_batch(f"k{key}", values, np.arange(5_000_000) * 1000 + rng.integers(0, 999))
    return path


@pytest.fixture(scope="module")
def unclean(tmp_path_factory):
    """A file without a checkpoint near its end, which is read when it is opened."""
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("unclean")
    path, copy = folder / "db.syna", folder / "copy.syna"
    count = 200_000
    columns = {
        "key": pa.array([f"key {i}" for i in range(count)]),
        "timestamp": pa.array(np.arange(count), pa.timestamp("us")),
        "value": np.arange(float(count)),
    }
    with synadb.open(path, durability="os") as db:
        for _ in range(12):
            db.write(pa.table(columns))
        shutil.copy(path, copy)
    return copy


def forever(work):
    def again():
        while True:
            work()

    return again


@pytest.mark.parametrize("call", ["verify", "optimize", "read", "scan", "open", "backup"])
def test_ctrl_c_ends_one_long_call(large, unclean, tmp_path, call):
    """A call that does not hear of it goes on for longer than it may: between two calls, Python itself hears."""
    with synadb.open(large, durability="os", column_cache_bytes=0) as db:
        backups = iter(range(10))
        work = {
            "verify": db.verify,
            "optimize": db.optimize,
            "read": lambda: db.history("k1", as_type="text").read(),
            "scan": lambda: db.scan("k[12]", as_type="text").read(),
            "open": lambda: synadb.open(unclean, mode="r").close(),
            "backup": lambda: db.backup(tmp_path / f"{next(backups)}.syna"),
        }[call]
        took = []
        for _ in range(2):
            before = time.monotonic()
            work()
            took.append(time.monotonic() - before)
        if min(took) < LATE:
            return  # a machine as fast as that is done before an answer would be late
        # A call that does not listen goes on for three quarters of its time.
        soon = min(LATE, min(took) * 3 / 8)
        late = interrupted(work, after=min(took) / 4)
        for _ in range(2):
            if late > soon:
                # The machine may have done something else; what was interrupted ends in the background.
                time.sleep(1 + 2 * max(took))
                late = interrupted(work, after=min(took) / 4)
        assert late < soon
        assert len(db["k1"]) == 5_000_000
        if call == "optimize":
            optimized(db)
            assert [entry.name for entry in large.parent.iterdir()] == [large.name]


@pytest.mark.parametrize("call", ["follow", "iterate", "write", "batch"])
def test_ctrl_c_ends_waits_and_writes(path, call):
    with synadb.open(path, durability="os") as db:
        batch = db.batch()
        work = {"follow": lambda: db.follow().next(30), "iterate": lambda: next(db.follow())}
        if call in {"write", "batch"}:
            import pyarrow as pa

            count = 500_000
            columns = {
                "key": pa.array(["x"] * count),
                "timestamp": pa.array(np.arange(count), pa.timestamp("us")),
                "value": np.random.default_rng(1).random(count),
            }
            table = pa.concat_tables([pa.table(columns)] * 200)
            work["write"] = lambda: db.write(table, atomic=True)
            work["batch"] = lambda: batch.write(table)
        assert ends_soon(work[call])
        assert "x" not in db and len(batch) == 0
        batch.append("y", 1)
        assert batch.commit() and db.get("y") == 1


OBJECTS = 6_000_000


@pytest.mark.parametrize("call", ["to_pylist", "to_pydict", "texts", "list", "batch", "row", "follow"])
@pytest.mark.usefixtures("no_collector")
def test_ctrl_c_while_python_objects_are_made_or_read(path, call):
    """They need the interpreter one by one; signals were looked for when all were done."""
    with synadb.open(path, durability="os") as db:
        texts = np.char.add("t", np.arange(OBJECTS if call == "texts" else 1).astype("U7")).tolist()
        db.append_batch("t", texts, np.arange(len(texts)))
        follower = db.follow()
        # Moments of today: with large ints Python looks for signals itself, in the midst of a datetime.
        db.append_batch("k", np.arange(float(OBJECTS)), np.arange(OBJECTS) + 10**15)
        read, many = db["k"].read(), np.arange(4.0 * OBJECTS)
        items, delivered = many.tolist() if call == "list" else [], []
        row = dict.fromkeys(map(str, range(1_000_000 if call == "row" else 1)), 1.5)
        work = {
            "to_pylist": forever(read["timestamp"].to_pylist),
            "to_pydict": forever(read.to_pydict),
            "texts": forever(db["t"].to_numpy),
            "list": forever(lambda: db.append_batch("l", items)),
            "batch": forever(lambda: db.batch().append_batch("l", many)),
            "row": forever(lambda: db.append_row(row)),
            "follow": forever(lambda: delivered.append(follower.next(0))),
        }[call]
        # What else the machine does makes an answer late, but not each of three. To let go of what was
        # made may take as long as a look for signals.
        assert min(interrupted(work) for _ in range(3)) < LATE + 0.05
        if call == "follow":
            # What was made of the commit is not made again, and nothing of it is lost.
            [commit] = [commit for commit in [*delivered, follower.next(0)] if commit]
            [change] = commit.changes
            assert [value for _, value in change.points] == read["value"].to_pylist()
            assert {type(when) for when, _ in change.points} == {datetime}
            assert follower.next(0) is None


@pytest.mark.usefixtures("no_collector")
def test_ctrl_c_while_a_commit_of_many_keys_is_made_ready(path):
    """Signals were looked for between the points of one change, and here there is one in each."""
    with synadb.open(path, durability="os") as db:
        follower, delivered, count = db.follow(), [], 300_000
        db.append_row(dict.fromkeys(map(str, range(count)), 1.5))
        ends = time.monotonic() + 20

        def work():
            while time.monotonic() < ends:
                delivered.append(follower.next(0))

        waits = []
        # The first may come while the commit is read, which is done at once.
        while not any(delivered) and len(waits) < 3:
            waits.append(interrupted(work))
        assert min(waits) < LATE + 0.05
        [commit] = [commit for commit in [*delivered, follower.next(0)] if commit]
        assert len(commit.changes) == count


@pytest.mark.usefixtures("no_collector")
def test_a_signal_in_the_midst_of_a_datetime(path):
    """Python looks for signals while it multiplies large ints. What the handler raised there was told as a
    moment beyond the calendar; a follower put an int in its place, and Ctrl-C was lost."""
    with synadb.open(path, durability="os") as db:
        db.append_batch("k", np.zeros(1_000_000), np.arange(1_000_000) + 10**15)
        stamps = db["k"].timestamps
        before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            for _ in range(5):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                with pytest.raises(KeyboardInterrupt):
                    forever(stamps.to_pylist)()
        finally:
            signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_collector")
def test_ctrl_c_while_keys_are_listed(path):
    with synadb.open(path, durability="os") as db:
        cursor = db.follow().cursor
        db.append_row(dict.fromkeys(map(str, range(1_000_000)), 1.5))
        snapshot = db.snapshot()
        for work in (
            db.keys,
            db.scan,
            snapshot.keys,
            lambda: list(snapshot),
            lambda: len(snapshot),
            lambda: db.follow(start=cursor),
        ):
            assert ends_soon(forever(work))
        # A commit is read as a whole: what is interrupted goes on, and nothing of it is lost.
        waits = []
        while not waits or (min(waits) >= LATE and len(waits) < 3):
            follower = db.follow(start=cursor)
            waits.append(interrupted(lambda follower=follower: follower.next(30), after=0.1))
            assert follower.cursor == cursor
        assert min(waits) < LATE
        assert len(follower.next(0).changes) == 1_000_000 and follower.next(0) is None
        assert db.keys("*99999") == sorted(f"{i}99999" for i in ["", *range(1, 10)])
        assert len(snapshot) == len(db.keys()) == len(snapshot.scan().keys) == 1_000_000


def test_a_handler_may_raise_what_it_likes(path):
    class Alarm(Exception):
        pass

    def handler(*_):
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with synadb.open(path, durability="os") as db:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Alarm):
                db.follow().next(30)
            db.append("k", 1)
    finally:
        signal.signal(signal.SIGALRM, before)


# Threads


def test_threads_go_on_while_one_waits(path):
    """Every wait leaves the interpreter: another thread counts on meanwhile."""
    with synadb.open(path) as db:
        count, stop = 0, threading.Event()

        def tick():
            nonlocal count
            while not stop.is_set():
                count += 1
                time.sleep(0.0005)

        def ticks():
            before = count
            db.follow().next(0.3)
            return count - before

        ticking = threading.Thread(target=tick)
        ticking.start()
        try:
            # One that keeps the interpreter lets nobody tick, on any machine; a busy machine lets others go first.
            assert any(ticks() > 50 for _ in range(10))
        finally:
            stop.set()
            ticking.join()


def test_many_threads_on_one_handle(path, durability):
    with synadb.open(path, durability=durability) as db:
        per_thread = 100 if durability == "full" else 2000
        errors = []

        def work(number):
            try:
                for i in range(per_thread):
                    db.append(f"k{number}", i, i)
                    assert db.get(f"k{number}") == i
                    if i % 50 == 0:
                        assert len(db[f"k{number}"]) == i + 1
                        with db.batch() as batch:
                            batch.append("all", number)
                            batch.append("all too", number)
                        assert len(db["all"].read()) > 0
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a deadlock"
        assert errors == []
        assert [len(db[f"k{n}"]) for n in range(8)] == [per_thread] * 8
        assert len(db["all"]) == len(db["all too"])


def test_signals_and_threads(path):
    """Appends of many threads beside a main thread that is interrupted again and again."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        with synadb.open(path, durability="os") as db:
            threads = [
                threading.Thread(target=lambda: [db.append("k", 1.0) for _ in range(5000)])
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for _ in range(100):
                db.sync()
                if "k" in db:
                    db["k"].to_numpy()
            for thread in threads:
                thread.join()
            assert len(db["k"]) == 20_000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
