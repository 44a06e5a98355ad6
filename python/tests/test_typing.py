"""The stubs say what is there, and programs that use them are checked strictly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import needs

needs("mypy")
HERE = Path(__file__).parent


def check(*args: str) -> None:
    done = subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        cwd=HERE,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_stubtest():
    allowed = str(HERE / "stubtest_allowlist.txt")
    check("-m", "mypy.stubtest", "synadb", "--ignore-disjoint-bases", "--allowlist", allowed)


def test_mypy_strict_on_the_package():
    check("-m", "mypy", "--strict", "-p", "synadb")


def test_mypy_strict_on_a_program():
    check("-m", "mypy", "--strict", str(HERE / "typed_program.py"))
