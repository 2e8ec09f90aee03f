"""The hooks that are shipped, by ansible-playbook on this machine: docker and socat are stubs that note what they are told."""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import time

import pytest

HOOKS = pathlib.Path(__file__).resolve().parents[2] / "playbooks" / "hooks"
PLAYBOOK = shutil.which("ansible-playbook")
NAMES = sorted(path.stem for path in HOOKS.glob("*.yml"))
NODE = "q1w2e3r4t5y6u7i8o9p0asdfg"
SOCAT = "socat stdio /run/haproxy/admin.sock"
ID = "docker info --format {{.Swarm.NodeID}}"
LEFT = "docker ps --quiet --filter label=com.docker.swarm.task.id"
VARIABLES = {"fleet_drain_seconds": 1, "fleet_load_balancer": "balancer", "fleet_backend": "web/node01"}
STUB = """#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> {folder}/told.$HOOK
case "$name $*" in
  socat*) cat >> {folder}/told.$HOOK; cat {folder}/haproxy;;
  docker\\ info*) cat {folder}/node;;
  docker\\ ps*) exit "$(cat {folder}/down)";;
esac
"""
PLAY = {
    "hosts": "all,!balancer",
    "gather_facts": False,
    "environment": {"HOOK": "{{ hook }}"},
    "tasks": [{"include_tasks": str(HOOKS / "{{ hook }}.yml")}],
}
pytestmark = pytest.mark.skipif(PLAYBOOK is None, reason="no Ansible here")


class Fleet:
    """A host for each hook, and a balancer, all of them this machine with the stubs in PATH."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("docker", "socat"):
            program = folder / name
            program.write_text(STUB.format(folder=folder))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.says(haproxy="\n", node=NODE + "\n", down="0")

    def says(self, **answers):
        """What HAProxy answers, which node Docker says it is, and with which code docker ps ends."""
        for name, text in answers.items():
            (self.folder / name).write_text(text)

    def play(self, *arguments, **variables):
        """({hook: what the programs were told}, the hooks that failed, all that was printed)."""
        (self.folder / "play.yml").write_text(json.dumps([PLAY]))
        here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        hosts = {name.replace("_", "-") + ".example.com": dict(here, hook=name) for name in NAMES}
        known = {"hosts": dict(hosts, balancer=here), "vars": dict(VARIABLES, **variables)}
        (self.folder / "inventory.json").write_text(json.dumps({"all": known}))
        environment = dict(os.environ, PATH="%s:%s" % (self.folder, os.environ["PATH"]))
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "universal_newlines": True}
        argv = [PLAYBOOK, "-i", str(self.folder / "inventory.json"), str(self.folder / "play.yml"), *arguments]
        printed = subprocess.run(argv, env=environment, cwd=str(self.folder), **out).stdout
        recap = dict(re.findall(r"^(\S+) +: ok=.* failed=(\d)", printed, re.MULTILINE))
        assert set(recap) == set(hosts), printed
        told = {}
        for path in self.folder.glob("told.*"):
            told[path.suffix[1:]] = [line for line in path.read_text().splitlines() if line]
        return told, {hosts[name]["hook"] for name in hosts if recap[name] != "0"}, printed


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def test_what_the_hooks_tell_whom(fleet):
    told, failed, printed = fleet.play()
    assert failed == set(), printed
    assert told == {
        "load_balancer_in": ["docker ps --quiet", SOCAT, "set server web/node01 state ready"],
        "load_balancer_out": [SOCAT, "set server web/node01 state drain"],
        "swarm_active": [ID, "docker node update --availability active " + NODE],
        "swarm_drain": [ID, "docker node update --availability drain " + NODE, LEFT],
    }


def test_an_order_that_haproxy_refuses_and_a_host_in_no_swarm_are_failures(fleet):
    """Though socat and docker end well."""
    fleet.says(haproxy="No such server.\n\n", node="\n")
    told, failed, printed = fleet.play()
    assert failed == set(NAMES), printed
    for words in (
        "web/node01 out: No such server.",
        "web/node01 in again: No such server.",
        "swarm-drain.example.com is in no swarm",
    ):
        assert words in printed, printed
    assert (told["swarm_active"], told["swarm_drain"]) == ([ID], [ID])


def test_a_host_whose_docker_is_down_stays_out_of_haproxy(fleet):
    fleet.says(down="1")
    told, failed, printed = fleet.play()
    assert "load_balancer_in" in failed, printed
    assert told["load_balancer_in"] == ["docker ps --quiet"]


def test_check_mode_waits_for_nobody_and_only_asks(fleet):
    begun = time.monotonic()
    told, failed, printed = fleet.play("--check", fleet_drain_seconds=120)
    assert failed == set(), printed
    assert time.monotonic() - begun < 120
    assert told == {"swarm_active": [ID], "swarm_drain": [ID]}
