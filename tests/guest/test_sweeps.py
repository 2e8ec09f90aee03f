"""The short forms of the sweeps: a few cases of each, so that the sweeps themselves keep working."""

import pathlib
import subprocess
import sys

import pytest

SWEEPS = pathlib.Path(__file__).resolve().parents[2] / "sweeps"


@pytest.mark.parametrize("name", ["crash", "switch"])
def test_the_next_run_converges(name):
    argv = [sys.executable, str(SWEEPS / (name + ".py")), "--short", "--name", "short-" + name]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout
