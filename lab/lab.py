"""The lab: throw-away virtual machines for the demo, molecule, tests, sweeps and benchmarks.

One interface: build, debs, up, snapshot, restore, power-cut, ssh, inventory, down, list, clean; `--help` says more.
"""

import argparse
import json
import shutil
import subprocess
import sys

from guest import Guest, everyone, watch
from image import CACHE, LabError, build
from upgrade import debs


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description="Throw-away virtual machines with real LVM and Docker, on loopback only.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("build", help="build the image of a release")
    verb.add_argument("--release", default="bookworm")
    verb = verbs.add_parser("debs", help="fetch packages of a newer release, with all that they need on a guest of an older one")
    verb.add_argument("release")
    verb.add_argument("target")
    verb.add_argument("package", nargs="+")
    verb = verbs.add_parser("up", help="boot a guest")
    verb.add_argument("name")
    verb.add_argument("--release", default="bookworm")
    verb.add_argument("--disk", action="append", help="size of a blank disk, such as 30G; may be repeated")
    verb.add_argument("--memory", type=int, default=1024, help="MiB")
    verb.add_argument("--cpus", type=int, default=2)
    verb.add_argument("--owner", type=int, help="process id; the guest goes when it ends")
    for name, text in (("snapshot", "keep memory and disks"), ("restore", "go back to a snapshot")):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("name")
        verb.add_argument("tag")
    verbs.add_parser("power-cut", help="kill the guest as a power cut would").add_argument("name")
    verb = verbs.add_parser("ssh", help="run a command, or a shell")
    verb.add_argument("name")
    verb.add_argument("command", nargs=argparse.REMAINDER)
    verb = verbs.add_parser("inventory", help="an Ansible inventory of guests")
    verb.add_argument("name", nargs="+")
    verb.add_argument("--user", default="root")
    verb = verbs.add_parser("down", help="stop a guest and remove its disks")
    verb.add_argument("name", nargs="?")
    verb.add_argument("--all", action="store_true")
    verbs.add_parser("list", help="the guests that there are")
    verbs.add_parser("clean", help="all guests down, and the cache removed")
    verb = verbs.add_parser("_watch")
    verb.add_argument("name")
    verb.add_argument("starter", type=int)
    verb.add_argument("owner", type=int)
    carry_out(parser.parse_args(), parser)


def carry_out(given, parser):
    """Carry out the parsed command line."""
    guest = Guest(given.name) if isinstance(getattr(given, "name", None), str) else None
    if given.verb == "build":
        print(build(given.release))
    elif given.verb == "debs":
        print(debs(given.release, given.target, given.package))
    elif given.verb == "up":
        guest.up(given.release, given.disk or ["30G"], given.memory, given.cpus, given.owner)
        print("guest %s is up: python3 lab/lab.py ssh %s" % (guest.name, guest.name))
    elif given.verb in ("snapshot", "restore"):
        getattr(guest, given.verb)(given.tag)
    elif given.verb == "power-cut":
        guest.power_cut()
    elif given.verb == "ssh":
        words = given.command[1:] if given.command[:1] == ["--"] else given.command
        argv = ["ssh", *guest.ssh_options(), "root@" + guest.config["address"], *words]
        sys.exit(subprocess.run(argv, check=False).returncode)
    elif given.verb == "inventory":
        hosts = {name: Guest(name).variables(given.user) for name in given.name}
        print(json.dumps({"all": {"hosts": hosts}}, indent=2))  # JSON is YAML
    elif given.verb == "list":
        for each in everyone():
            print(each.name, each.config["release"], each.config["address"], "up" if each.pid() else "down")
    elif given.verb == "_watch":
        watch(given.name, given.starter, given.owner)
    elif given.verb == "clean" or given.all:
        for each in everyone():
            each.down()
        if given.verb == "clean":
            shutil.rmtree(CACHE, ignore_errors=True)
    elif guest:
        guest.down()
    else:
        parser.error("down takes a guest's name, or --all")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit("lab: %s" % error)
    except KeyboardInterrupt:
        sys.exit(130)
