"""What a fleet costs that is as wanted: our site.yml, a module that does nothing, and a peer playbook, side by side in one run.

    sudo .venv/bin/python3 benchmarks/fleet.py [--hosts 50] [--rounds 3] [--peer-rounds 3] [--recorded 250 1000]

CPU seconds of the controller (ansible-playbook, its workers, ssh) and of the hosts (sshd on 127.0.0.1 and all that it starts),
medians of alternating rounds. The hosts are many names of one stub host (stub_host.py): real sshd, real Python, recorded LVM and
Docker. --recorded: the controller alone, with a connection that answers every module call with one recorded answer.
Every run is held to having changed nothing. Method and results: benchmarks/README.md.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

from measure import controller_cpu, machine
from stub_host import DISK, StubHost

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(sys.executable).parent
COLLECTIONS = str(ROOT / ".venv" / "peer")
OURS = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
AS_WRITTEN = {"ANSIBLE_CONFIG": str(ROOT / "benchmarks" / "peer" / "ansible.cfg")}


class Play(NamedTuple):
    """One thing to measure: its name, the playbook, who had converged the stub host, environment, variables, tasks per host."""

    name: str
    playbook: str
    recorded: str
    environment: dict
    variables: dict
    tasks: int


NOOP = Play("no-op module", "benchmarks/noop.yml", "ours", OURS, {}, 1)
SITE = Play("no-change", "playbooks/site.yml", "ours", OURS, {}, 1)
TUNED = Play("peer tuned", "benchmarks/peer/site.yml", "peer", OURS, {"peer_gather_facts": False}, 10)
WRITTEN = Play("peer as written", "benchmarks/peer/site.yml", "peer", AS_WRITTEN, {}, 11)
HERE = {"ansible_python_interpreter": "/usr/bin/python3", "ansible_user": "root", "thin_pool_devices": [DISK]}
CONTROLLER, HOST, BOTH = "controller", "host", "controller and host"


def run(play, inventory, hosts, **more):
    """The controller's CPU seconds of one run, which must have done play.tasks on each host and changed nothing."""
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=COLLECTIONS, ANSIBLE_NOCOLOR="1", **play.environment, **more)
    argv = [str(BIN / "ansible-playbook"), "-i", str(inventory), play.playbook, "-e", json.dumps(play.variables)]
    seconds, printed = controller_cpu(argv, environment, str(ROOT))
    right = re.findall(r"^host\d+ +: ok=%d +changed=0 +unreachable=0 +failed=0 " % play.tasks, printed, re.M)
    if len(right) != hosts:
        sys.exit("%s: %d of %d hosts did what they should: %s" % (play.name, len(right), hosts, printed[-4000:]))
    return seconds


def write_inventory(path, hosts, variables):
    """An inventory of many names with the same variables."""
    names = {"host%d" % number: None for number in range(hosts)}
    path.write_text(json.dumps({"all": {"hosts": names, "vars": variables}}))
    return path


def over_ssh(play, hosts):
    """(controller, hosts): CPU seconds of a play on many names of one stub host."""
    with tempfile.TemporaryDirectory() as folder:
        stub = StubHost(pathlib.Path(folder) / "stub", play.recorded)
        inventory = write_inventory(pathlib.Path(folder) / "inventory.json", hosts, stub.listen())
        try:
            return run(play, inventory, hosts), stub.stop()
        finally:
            stub.kill()


def recorded_answer(folder):
    """The file with what our module prints on the stub host; its plan must be empty."""
    stub = StubHost(folder / "stub", "ours")
    inventory = write_inventory(folder / "one.json", 1, dict(HERE, ansible_connection="local"))
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=COLLECTIONS, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", **OURS)
    argv = stub.inside(BIN / "ansible-playbook", "-i", inventory, SITE.playbook)
    done = subprocess.run(argv, cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, text=True, check=False)
    report = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))[0]
    results = [task["hosts"]["host0"] for part in report["plays"] for task in part["tasks"] if "host0" in task["hosts"]]
    (answer,) = [result for result in results if "steps" in result]
    if answer["steps"] or answer["changed"]:
        sys.exit("the stub host is not as wanted: %s" % answer)
    path = folder / "answer.json"
    path.write_text(json.dumps({key: value for key, value in answer.items() if not key.startswith("_ansible") and key != "action"}))
    return path


def without_hosts(play, hosts, answer):
    """The controller's CPU seconds of a play whose module calls are answered from a file."""
    with tempfile.TemporaryDirectory() as folder:
        variables = dict(HERE, ansible_connection="recorded_answer", recorded_answer_file=str(answer))
        inventory = write_inventory(pathlib.Path(folder) / "inventory.json", hosts, variables)
        plugins = str(ROOT / "benchmarks" / "connection_plugins")
        return run(play, inventory, hosts, ANSIBLE_CONNECTION_PLUGINS=plugins, ANSIBLE_PIPELINING="1")


def measure_ssh(turns, hosts):
    """{(play name, side): seconds}, medians, and every measurement printed. turns: [(play, rounds), ...]."""
    found = {}
    for number in range(max(rounds for _play, rounds in turns)):
        for play in [play for play, rounds in turns if number < rounds]:
            for side, seconds in zip((CONTROLLER, HOST), over_ssh(play, hosts)):
                found.setdefault((play.name, side), []).append(seconds)
                print("round %d, %d hosts, %s, %s CPU: %.2f s" % (number + 1, hosts, play.name, side, seconds), file=sys.stderr)
    for play in [play for play, rounds in turns if rounds]:
        found[play.name, BOTH] = [sum(pair) for pair in zip(found[play.name, CONTROLLER], found[play.name, HOST])]
    return {key: statistics.median(values) for key, values in found.items()}


def tell_ratios(found, hosts):
    """One line per ratio, then milliseconds per host."""
    sides = (CONTROLLER, HOST, BOTH)
    for side in sides:
        print("no-change / no-op module, %s CPU: %.2f" % (side, found[SITE.name, side] / found[NOOP.name, side]))
    for play in [play for play in (TUNED, WRITTEN) if (play.name, BOTH) in found]:
        for side in sides:
            print("%s / no-change, %s CPU: %.2f" % (play.name, side, found[play.name, side] / found[SITE.name, side]))
    for (name, side), seconds in sorted(found.items()):
        print("%s, %s CPU per host: %.0f ms (%d hosts)" % (name, side, 1000 * seconds / hosts, hosts))


def tell_recorded(sizes):
    """The controller alone, at several sizes of the fleet."""
    with tempfile.TemporaryDirectory() as folder:
        answer, first = recorded_answer(pathlib.Path(folder)), None
        for hosts in sizes:
            seconds = without_hosts(SITE, hosts, answer)
            first = first or seconds / hosts
            print("no-change, controller CPU without connections, %d hosts: %.1f s" % (hosts, seconds))
            if hosts != sizes[0]:
                print("per host, %d / %d hosts: %.2f" % (hosts, sizes[0], seconds / hosts / first))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="*", default=[50], help="sizes of the fleet over ssh")
    parser.add_argument("--recorded", type=int, nargs="*", default=[250, 1000], help="sizes of the fleet without connections")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=3, help="rounds of the peer playbook, which costs most; 0: without it")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("The stub host is a mount namespace: run this as root.")
    print(machine())
    turns = [(NOOP, given.rounds), (SITE, given.rounds), (TUNED, given.peer_rounds), (WRITTEN, given.peer_rounds)]
    for hosts in given.hosts:
        tell_ratios(measure_ssh(turns, hosts), hosts)
    if given.recorded:
        tell_recorded(given.recorded)


if __name__ == "__main__":
    main()
