"""Run every molecule scenario on each of its guests, one after the other, and print release, scenario and result.

make test-molecule-all
"""

import os
import pathlib
import subprocess
import sys
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    """Run them all; the exit code says whether all passed."""
    rows = []
    for path in sorted((ROOT / "molecule").glob("*/molecule.yml")):
        for platform in yaml.safe_load(path.read_text())["platforms"]:
            if "release" not in platform:
                continue  # not a guest of the lab
            started = time.monotonic()
            argv = ["molecule", "--base-config", ".config/molecule/config.yml", "test"]
            argv += ["--scenario-name", path.parent.name, "--platform-name", platform["name"]]
            owner = dict(os.environ, DIRECT_LVM_OWNER=str(os.getpid()))
            passed = subprocess.run(argv, cwd=str(ROOT), env=owner, check=False).returncode == 0
            rows.append((platform["release"], path.parent.name, passed, time.monotonic() - started))
    for release, scenario, passed, seconds in rows:
        print("%-10s %-18s %-8s %4d s" % (release, scenario, "passed" if passed else "FAILED", seconds))
    return 0 if all(row[2] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
