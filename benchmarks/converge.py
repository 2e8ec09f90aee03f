"""How long the first converge of a host takes: our site.yml, the peer playbook (as fleet.py has it: as written, and tuned), and the
article's commands in one ssh shell.

    .venv/bin/python3 benchmarks/converge.py [--rounds 3]

Each from the same snapshot of a guest with Docker on overlay2 and a blank disk. Prints ratios: seconds in an emulated guest mean
nothing. Ours is measured without its smoke test too, which the other two have no part like.
"""

import argparse
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))
from downtime import ARTICLE
from guest import Guest
from record import run_playbook

SHELL, OURS, WITHOUT_TEST = "the article's commands", "ours", "ours without the smoke test"
WRITTEN, TUNED = "the peer as written", "the peer tuned"
AS_WRITTEN = {"ANSIBLE_CONFIG": str(ROOT / "benchmarks" / "peer" / "ansible.cfg")}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    guest = Guest("converge").up(disks=("30G",), cpus=1, owner=os.getpid())
    ways = {
        SHELL: lambda: guest.ssh("bash -s", stdin=ARTICLE),
        OURS: lambda: run_playbook(guest, "ours"),
        WITHOUT_TEST: lambda: run_playbook(guest, "ours", verify_smoke_test=False),
        WRITTEN: lambda: run_playbook(guest, "peer", AS_WRITTEN),
        TUNED: lambda: run_playbook(guest, "peer", peer_gather_facts=False),
    }
    times = {name: [] for name in ways}
    try:
        guest.snapshot("blank")
        for _round in range(rounds):
            for name, converge in ways.items():
                guest.restore("blank")
                begun = time.monotonic()
                converge()
                times[name].append(time.monotonic() - begun)
                print("%s: %.1f s" % (name, times[name][-1]), file=sys.stderr, flush=True)
    finally:
        guest.down()
    median = {name: statistics.median(found) for name, found in times.items()}
    for name in (OURS, WITHOUT_TEST):
        for other in (SHELL, WRITTEN, TUNED):
            print("first converge, %s / %s: %.2f" % (name, other, median[name] / median[other]))


if __name__ == "__main__":
    main()
