"""A progress bar for terminals, for `progress=True`."""

from __future__ import annotations

import sys
from collections.abc import Callable


def bar() -> Callable[[int, int], None]:
    stream = sys.stderr
    if not stream.isatty():
        return lambda done, total: None
    width = 40

    def tell(done: int, total: int) -> None:
        part = min(1.0, done / total) if total else 1.0
        filled = int(part * width)
        stream.write(f"\r[{'#' * filled}{'.' * (width - filled)}] {part:4.0%}")
        if part == 1.0:
            stream.write("\n")
        stream.flush()

    return tell
