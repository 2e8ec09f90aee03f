"""Run the collection with several ansible-cores, each of which provisions the same guest, blank again: make test-controllers"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAB = [sys.executable, "lab/lab.py"]
NOX = ["nox", "--reuse-existing-virtualenvs", "-f", "tests/noxfile.py", "-s"]


def call(*argv):
    """Run a command in the project; whether it succeeded."""
    return subprocess.run(argv, cwd=str(ROOT), check=False).returncode == 0


def main(cores):
    """Boot the guest, run every controller on it, remove it; the exit code says whether all passed."""
    try:
        up = call(*LAB, "up", "controllers", "--owner", str(os.getpid())) and call(*LAB, "snapshot", "controllers", "blank")
        passed = up and call(*NOX, *["controllers-" + core for core in cores])
    finally:
        call(*LAB, "down", "controllers")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
