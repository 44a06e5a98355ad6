"""`python -m synadb` and the command `syna`: the library's own command line."""

from __future__ import annotations

import signal
import sys

from ._synadb import _main


def main() -> int:
    # The command runs outside of the interpreter, whose handler would only take note of Ctrl-C. Where a
    # shell has told a background job to ignore it, it is ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _main(["syna", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
