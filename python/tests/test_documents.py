"""What the documentation shows runs, and the examples do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import needs

import synadb

ROOT = Path(__file__).parents[2]
for library in ("duckdb", "numpy", "pandas", "polars", "pyarrow", "matplotlib", "pytz"):
    needs(library)


def blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.S | re.M)


@pytest.mark.parametrize("document", ["docs/python.md", "python/README.md", "README.md"])
def test_document(document, tmp_path, monkeypatch):
    found = blocks(ROOT / document)
    assert found, "no block of Python"
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"__name__": "walk"}
    for number, block in enumerate(found):
        exec(compile(block, f"{document}, block {number}", "exec"), space)


def test_first_lines_of_the_package():
    import doctest

    assert doctest.testmod(synadb).failed == 0


@pytest.mark.parametrize("example", ["weather_to_polars", "live_collector", "duckdb_sql"])
def test_example(example, tmp_path):
    picture = tmp_path / "picture.png"
    args = [str(picture)] if example == "weather_to_polars" else []
    done = subprocess.run(
        [sys.executable, str(ROOT / f"examples/python/{example}.py"), *args],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if args:
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


def test_every_example_is_run_somewhere():
    examples = {path.stem for path in (ROOT / "examples/python").glob("*.py")}
    # The one for PyTorch runs where that is: `make python-torch`.
    here = {"weather_to_polars", "live_collector", "duckdb_sql", "features_for_torch"}
    # Of the C interface: capi/tests/clients.rs.
    assert examples == here | {"ctypes_client"}
    assert "features_for_torch.py" in (ROOT / "Makefile").read_text()
