"""Following without blocking the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import Follower
    from ._records import Commit

#: How long a thread of the loop's pool waits at a time, so that it is free again soon after the
#: iteration was cancelled.
_SLICE = 0.25


async def commits(follower: Follower, timeout: float | None) -> AsyncIterator[Commit]:
    loop = asyncio.get_running_loop()
    while True:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE if deadline is None else max(0.0, deadline - time.monotonic())
            # The thread only waits: a commit that comes when nobody waits for it any more stays the next.
            if await loop.run_in_executor(None, follower._ready, min(left, _SLICE)):
                commit = follower.next(0)
                if commit is not None:
                    break
            if left == 0.0:
                return
        yield commit
