"""The wheel's command: `syna` and `python -m synadb`."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
from pathlib import Path

import pytest

import synadb

SYNA = shutil.which("syna", path=sysconfig.get_path("scripts")) or "syna"
COMMANDS = [[SYNA], [sys.executable, "-m", "synadb"]]


@pytest.mark.parametrize("command", COMMANDS, ids=["syna", "python -m synadb"])
def test_put_get_and_errors(path, command):
    def call(*args):
        return subprocess.run([*command, *args], capture_output=True, text=True, timeout=60)

    assert call("put", str(path), "k", "1.5").returncode == 0
    found = call("get", str(path), "k")
    assert (found.returncode, found.stdout) == (0, "1.5\n")
    assert call("get", str(path), "none").returncode == 1
    assert call("gett").returncode == 2
    assert synadb.__version__ in call("--version").stdout
    with synadb.open(path, mode="r") as db:
        assert db.get("k") == 1.5


def test_the_weather(path):
    data = Path(__file__).parents[2] / "examples/data/nyc-weather-2013.csv"
    args = [str(path), str(data), "--time", "time", "--key", "station"]
    subprocess.run([SYNA, "import", "--quiet", *args], check=True, timeout=120)
    with synadb.open(path, mode="r") as db:
        assert "JFK/temp" in db and len(db["JFK/temp"]) == 8706


def test_ctrl_c_ends_the_command(path):
    synadb.open(path).close()
    with subprocess.Popen([SYNA, "follow", str(path)], stdout=subprocess.PIPE) as child:
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == -signal.SIGINT


def test_a_background_job_goes_on_after_ctrl_c(path):
    """Shells start `syna follow ... &` in a script with SIGINT ignored; it was put back to the default."""
    synadb.open(path).close()
    command = f"trap '' INT; exec '{SYNA}' follow '{path}'"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE) as child:
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.terminate()
        assert child.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-", "2>&-", ">&- 2>&-"])
def test_what_is_printed_without_standard_streams_is_not_written_into_the_database(path, closed):
    """The database was opened under the number of a closed stream: `committed 5000` overwrote its beginning."""
    data = Path(__file__).parents[2] / "examples/data/nyc-weather-2013.csv"
    command = f"'{SYNA}' import '{path}' '{data}' --time time --key station --print-commits {closed}"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=120)
    with synadb.open(path, mode="r") as db:
        assert len(db["JFK/temp"]) == 8706 and db.verify().keys == 27
    script = """
        import os, sys, synadb
        for stream in range(3):
            os.close(stream)
        with synadb.open(sys.argv[1], mode="r+") as db:
            for write in (db.append, lambda *_: db.optimize()):
                write("new", 1)
                for stream in range(3):
                    try:
                        os.write(stream, b"a message of another library")
                    except OSError:
                        pass
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], timeout=60)
    with synadb.open(path, mode="r") as db:
        assert db.get("new") == 1 and len(db["JFK/temp"]) == 8706 and db.verify().keys == 28
