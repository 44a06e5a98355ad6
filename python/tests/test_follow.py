"""Following, as an iterator and as an async one."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import numpy as np
import pytest

import synadb


def test_commits_come_in_order_and_whole(path):
    with synadb.open(path, durability="os") as db:
        db.append("before", 1)
        follower = db.follow()
        db.append("a", 1.5, 10)
        with db.batch() as batch:
            batch.append("a", 2, 20)
            batch.append("b", "x", 30)
            batch.delete("before")
        first, second = follower.next(5), follower.next(5)
        assert follower.next(0) is None
        assert [change.key for change in first.changes] == ["a"]
        [(when, value)] = first.changes[0].points
        assert value == 1.5 and when.microsecond == 10
        kinds = [type(change) for change in second.changes]
        assert kinds == [synadb.Appended, synadb.Appended, synadb.Deleted]
        assert second.cursor == follower.cursor
        again = db.follow(start=first.cursor)
        assert again.next(5).changes == second.changes


def test_keys_and_patterns(db):
    named, matching = db.follow(["a", "c"]), db.follow("b*")
    everything = db.follow(start="beginning", timeout=0.05)
    for key in ("a", "b", "bb", "c"):
        db.append(key, 1)
    assert [c.changes[0].key for c in (named.next(5), named.next(5))] == ["a", "c"]
    assert [c.changes[0].key for c in (matching.next(5), matching.next(5))] == ["b", "bb"]
    assert [c.changes[0].key for c in everything] == ["a", "b", "bb", "c"]
    # Any iterable of keys, not sequences alone.
    for keys in ({"a", "c"}, {"a": 1, "c": 2}.keys(), (key for key in "ac")):
        among = db.follow(keys, start="beginning", timeout=0.05)
        assert [c.changes[0].key for c in among] == ["a", "c"]
    for wrong in (5, [1], b"a"):
        with pytest.raises(TypeError):
            db.follow(wrong)
    endless = db.follow(start="beginning", timeout=float("inf"))
    assert next(endless) == next(iter(db.follow(start="beginning")))
    for wrong in ({"start": "yesterday"}, {"timeout": -1}):
        with pytest.raises(ValueError):
            db.follow(**wrong)
    with pytest.raises(synadb.InvalidPatternError):
        db.follow("[")


def test_bulk_and_rewrites(path):
    with synadb.open(path, durability="os") as db, synadb.open(path, mode="r") as reader:
        follower = reader.follow()
        db.append_batch("k", np.arange(20_000.0), np.arange(20_000))
        assert len(follower.next(5).changes[0].points) == 20_000
        db.optimize()
        db.append("k", -1.0)
        assert follower.next(5).changes[0].points[0][1] == -1.0
        old = db.follow(start="beginning").cursor
        db.optimize()
        with pytest.raises(synadb.CursorLostError):
            db.follow(start=old)


def test_waiting_ends_with_the_database(path):
    db = synadb.open(path, durability="os")
    follower = db.follow()
    threading.Timer(0.2, db.close).start()
    with pytest.raises(synadb.ClosedError):
        next(follower)


def test_async(path):
    with synadb.open(path, durability="os") as db:
        follower = db.follow(timeout=60)

        async def main():
            seen, ticks = [], 0

            async def follow():
                # As long as it takes: however late the machine is, the last commit ends it.
                async for commit in follower:
                    seen.append(commit.changes[0].points[0][1])
                    if len(seen) == 20:
                        break

            async def tick():
                nonlocal ticks
                for i in range(20):
                    await asyncio.sleep(0.01)
                    ticks += 1
                    db.append("k", i)

            await asyncio.gather(follow(), tick())
            return seen, ticks

        seen, ticks = asyncio.run(main())
        assert seen == list(range(20)) and ticks == 20

        async def no_more():
            return [commit async for commit in db.follow(timeout=0.3)]

        began = time.monotonic()
        assert asyncio.run(no_more()) == [] and time.monotonic() - began >= 0.3


def test_async_can_be_cancelled(db):
    async def main():
        async def follow():
            async for _ in db.follow():
                pass

        task = asyncio.create_task(follow())
        await asyncio.sleep(0.1)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    # A machine that does something else meanwhile is late, but not each of three times.
    assert min(asyncio.run(main()) for _ in range(3)) < 1.0


def test_a_cancelled_wait_loses_no_commit(db):
    """The thread that waited was given the next commit, and dropped it: nobody was there any more."""
    follower = db.follow()

    async def first():
        async for commit in follower:
            return commit

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(first(), 0.05)
        before = follower.cursor
        db.append("k", 1)
        await asyncio.sleep(0.4)
        assert follower.cursor == before, "nothing was delivered"
        db.append("k", 2)
        return [(await first()).changes[0].points[0][1] for _ in range(2)]

    assert asyncio.run(main()) == [1, 2]
    assert follower.next(0) is None


@pytest.mark.usefixtures("no_collector")
def test_ctrl_c_while_a_commit_is_made_ready_loses_nothing(db):
    follower = db.follow()
    db.append_batch("k", np.arange(2_000_000.0), np.arange(2_000_000))

    def stop(*_):
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, stop)
    try:
        cursor = follower.cursor
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError):
            follower.next(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert follower.cursor == cursor
    assert len(follower.next(0).changes[0].points) == 2_000_000


def test_moments_beyond_the_calendar_are_microseconds(db):
    """They ended the following with an OverflowError."""
    follower = db.follow()
    db.append("k", 1, 2**63 - 1)
    db.append("k", 2, 0)
    assert follower.next(5).changes[0].points == [(2**63 - 1, 1)]
    assert follower.next(5).changes[0].points[0][1] == 2
