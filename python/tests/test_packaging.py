"""The wheel: what it says of itself, and that it needs nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import synadb

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wheel() -> Path:
    found = list((ROOT / "target/wheels").glob("synadb-*.whl"))
    assert len(found) == 1, "make wheel"
    return found[0]


def test_it_works_in_an_empty_environment(wheel, tmp_path):
    empty = tmp_path / "packages"
    # With dependencies, of which there are none: no index to find them in.
    install = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*install, "--target", str(empty), str(wheel)], check=True, timeout=120)
    # Without `site` nothing of this environment is found.
    done = subprocess.run(
        [sys.executable, "-S", "-W", "error", str(Path(__file__).with_name("alone_program.py"))],
        env={**os.environ, "PYTHONPATH": str(empty)},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("alone: ok")
    assert (empty / "bin/syna").exists()


def test_what_it_says_of_itself(wheel):
    about = importlib.metadata.metadata("synadb")
    assert importlib.metadata.requires("synadb") is None
    assert about["Version"] == synadb.__version__ and about["Requires-Python"] == ">=3.10"
    assert about["License-Expression"] == "MIT" and about["License-File"] == "LICENSE"
    assert about.get_all("Project-URL") and "import synadb" in about.get_payload()
    for minor in range(10, 14):
        assert f"Programming Language :: Python :: 3.{minor}" in about.get_all("Classifier")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        for name in names:
            assert name.startswith(("synadb/", "synadb-")), name
            if ".dist-info/" in name:
                assert str(ROOT) not in file.read(name).decode(), f"{name} names this folder"
        [licence] = [name for name in names if name.endswith("licenses/LICENSE")]
        assert file.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert "synadb/py.typed" in names and "synadb/_synadb.pyi" in names
