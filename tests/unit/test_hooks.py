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

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOOKS = ROOT / "playbooks" / "hooks"
PLAYBOOK = shutil.which("ansible-playbook")
NAMES = sorted(path.stem for path in HOOKS.glob("*.yml"))
NODE = "q1w2e3r4t5y6u7i8o9p0asdfg"
SOCAT = "socat stdio UNIX-CONNECT:/run/haproxy/admin.sock"
DOCKER = "docker --host unix:///var/run/docker.sock "
ID = DOCKER + "info --format {{.Swarm.NodeID}}"
WHOSE = DOCKER + "node inspect --format {{.Description.Hostname}} {{.Status.Addr}} " + NODE
LEFT = DOCKER + "ps --quiet --filter is-task=true"
ELSEWHERE = {  # what a login may have, which has Docker's client speak to another daemon, or in another way
    "DOCKER_API_VERSION": "1.24",
    "DOCKER_CERT_PATH": "/nowhere",
    "DOCKER_CONFIG": "/nowhere",
    "DOCKER_CONTEXT": "other",
    "DOCKER_HOST": "tcp://192.0.2.7:2376",
    "DOCKER_TLS": "1",
    "DOCKER_TLS_VERIFY": "1",
}
VARIABLES = {
    "fleet_drain_seconds": 1,
    "fleet_load_balancer": "balancer",
    "fleet_backend": "web/node01",
    "fleet_swarm_node": "manager",
}
STUB = """#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> {folder}/told.$HOOK
[ "$name" != docker ] || env | grep '^DOCKER_[A-Z_]*=.' >> {folder}/told.$HOOK
case "$name $*" in
  socat*) cat >> {folder}/told.$HOOK; cat {folder}/haproxy;;
  *\\ node\\ inspect*) echo "${{KNOWN:-manager 192.0.2.1}}";;
  *\\ node\\ ls*) echo "${{NODES:-swarm.example.com other}}" | tr ' ' '\\n';;
  *\\ info*) [ -n "$NODE" ] && echo "$NODE" || cat {folder}/node;;
  *\\ ps*) exit "$(cat {folder}/down)";;
esac
"""
PLAY = {
    "hosts": "all,!balancer",
    "gather_facts": False,
    "environment": {
        "HOOK": "{{ hook }}",
        "KNOWN": "{{ known | default('') }}",
        "NODE": "{{ node | default('') }}",
        "NODES": "{{ nodes | default('') }}",
    },
    "tasks": [{"include_tasks": str(HOOKS / "{{ hook }}.yml")}],
}
pytestmark = pytest.mark.skipif(PLAYBOOK is None, reason="no Ansible here")


class Fleet:
    """A host for each hook, and a balancer, all of them this machine with the stubs in PATH; the balancer by another connection."""

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

    def play(self, *arguments, hosts=None, **variables):
        """({hook: what the programs were told}, the hooks that failed, all that was printed). hosts: others, by variables."""
        (self.folder / "play.yml").write_text(json.dumps([PLAY]))
        here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        of_hooks = {name.replace("_", "-") + ".example.com": {"hook": name} for name in NAMES}
        hosts = {name: dict(here, **given) for name, given in (hosts or of_hooks).items()}
        balancer = dict(here, ansible_connection="elsewhere")
        known = {"hosts": dict(hosts, balancer=balancer), "vars": dict(VARIABLES, **variables)}
        (self.folder / "inventory.json").write_text(json.dumps({"all": known}))
        environment = dict(os.environ, PATH="%s:%s" % (self.folder, os.environ["PATH"]))
        environment["ANSIBLE_CONNECTION_PLUGINS"] = str(ROOT / "tests" / "runners" / "connection_plugins")
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "universal_newlines": True}
        argv = [PLAYBOOK, "-i", str(self.folder / "inventory.json"), str(self.folder / "play.yml"), *arguments]
        printed = subprocess.run(argv, env=environment, cwd=str(self.folder), **out).stdout
        recap = dict(re.findall(r"^(\S+) +: ok=.* failed=(\d)", printed, re.MULTILINE))
        assert set(recap) == set(hosts), printed
        told = {}
        for path in self.folder.glob("told.*"):
            told[path.suffix[1:]] = [line for line in path.read_text().splitlines() if line]
        return told, {hosts[name]["hook"] if name in of_hooks else name for name in hosts if recap[name] != "0"}, printed


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def test_hooks_that_are_named_beside_the_playbook_find_their_checks(fleet, monkeypatch):
    """As the pages name them, and included by a role, which has Ansible look for files elsewhere."""
    shutil.copytree(str(HOOKS), str(fleet.folder / "hooks"))
    tasks = fleet.folder / "roles" / "switch" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(json.dumps([{"include_tasks": "hooks/{{ hook }}.yml"}]))
    monkeypatch.setitem(PLAY, "tasks", [{"include_role": {"name": "switch"}}])
    told, failed, printed = fleet.play()
    assert failed == set(), printed
    assert set(told) == set(NAMES)


def test_what_the_hooks_tell_whom(fleet, monkeypatch):
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    told, failed, printed = fleet.play()
    assert failed == set(), printed
    assert told == {
        "load_balancer_in": [DOCKER + "ps --quiet", SOCAT, "set server web/node01 state ready"],
        "load_balancer_out": [SOCAT, "set server web/node01 state drain"],
        "swarm_active": [ID, WHOSE, DOCKER + "node update --availability active " + NODE],
        "swarm_drain": [ID, WHOSE, DOCKER + "node update --availability drain " + NODE, LEFT],
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
    assert told["load_balancer_in"] == [DOCKER + "ps --quiet"]


def test_check_mode_waits_for_nobody_and_only_asks(fleet):
    begun = time.monotonic()
    told, failed, printed = fleet.play("--check", fleet_drain_seconds=120)
    assert failed == set(), printed
    assert time.monotonic() - begun < 120
    assert told == {"swarm_active": [ID, WHOSE], "swarm_drain": [ID, WHOSE]}


BALANCER = ("load_balancer_in", "load_balancer_out")
SWARM = ("swarm_active", "swarm_drain")
PATH_ONLY = "must be the whole path of its socket"
CONTROLLER = "is no host of the inventory, or the controller itself"
# What a host's variables are, which hooks refuse it with which words. All in one play: each row is a host of its own for each hook.
REFUSED = [
    ({"fleet_haproxy_socket": "EXEC:/bin/true"}, BALANCER, PATH_ONLY),
    ({"fleet_haproxy_socket": "/run/a.sock,exec=1"}, BALANCER, PATH_ONLY),
    ({"fleet_haproxy_socket": "/run/a.sock\n"}, BALANCER, PATH_ONLY),
    ({"fleet_backend": "web/node01 state maint; set server web/other"}, BALANCER, "and fleet_backend BACKEND/SERVER"),
    ({"fleet_backend": "web/node01\n"}, BALANCER, "and fleet_backend BACKEND/SERVER"),
    ({"fleet_load_balancer": "localhost"}, BALANCER, "localhost " + CONTROLLER),
    ({"fleet_load_balancer": "other.example.org"}, BALANCER, "other.example.org " + CONTROLLER),
    ({"fleet_load_balancer": "{{ inventory_hostname }}"}, BALANCER, CONTROLLER),
    ({"fleet_swarm_manager": "localhost"}, SWARM, "localhost " + CONTROLLER),
    ({"fleet_swarm_node": "node02"}, SWARM, "The manager knows that one as manager 192.0.2.1, so the swarm got no order"),
    ({"fleet_swarm_node": "web.dc1", "known": "web.dc2 192.0.2.1", "nodes": "web.dc2 db.dc2"}, SWARM, "as web.dc2 192.0.2.1, so"),
    ({"fleet_swarm_node": "web.dc1", "known": "web 192.0.2.1", "nodes": "web db web"}, SWARM, "as web 192.0.2.1, so the swarm"),
    ({"fleet_swarm_node": "web", "known": "web.dc2 192.0.2.1", "nodes": "web.dc1 web.dc2"}, SWARM, "as web.dc2 192.0.2.1, so"),
    ({"fleet_swarm_node": "twin.dc1", "known": "twin 192.0.2.1", "nodes": "twin db"}, SWARM, "as twin 192.0.2.1, so the swarm"),
    ({"node": "--help"}, SWARM, "is no ID of a node"),
    ({"node": NODE + " x"}, SWARM, "is no ID of a node"),
]


def test_what_is_refused_before_anybody_is_told(fleet):
    rows = {
        "row%02d-%s" % (number, hook.replace("_", "-")): (dict(variables, hook=hook), words)
        for number, (variables, hooks, words) in enumerate(REFUSED)
        for hook in hooks
    }
    hosts = {name: variables for name, (variables, _words) in rows.items()}
    hosts.update({"twin.dc%d" % number: {"hook": "load_balancer_in", "fleet_backend": "twin"} for number in (1, 2)})
    told, failed, printed = fleet.play(hosts=hosts)
    assert failed == set(hosts), printed
    messages = dict(re.findall(r"^fatal: \[(\S+)\]: FAILED! => (.*)", printed, re.MULTILINE))
    for name, (_variables, words) in rows.items():
        assert words in messages[name], messages[name]
    orders = [line for lines in told.values() for line in lines if line.startswith(("socat", DOCKER + "node update"))]
    assert orders == [], printed


def test_a_node_is_known_by_its_name_or_its_address(fleet):
    known = ["swarm.example.com 192.0.2.1", "SWARM 192.0.2.1", "other 192.0.2.9", "swarm3 192.0.2.1"]
    hosts = {
        "swarm%d.example.com" % n: {"hook": "swarm_active", "known": text, "fleet_swarm_node": "swarm"}
        for n, text in enumerate(known)
    }
    hosts["swarm2.example.com"]["ansible_host"] = "192.0.2.9"
    hosts["swarm3.example.com"].update(fleet_swarm_node="{{ inventory_hostname }}", nodes="swarm swarm3 other")
    told, failed, printed = fleet.play(hosts=hosts)
    assert failed == set(), printed
    assert len([line for line in told["swarm_active"] if line.startswith(DOCKER + "node update")]) == len(hosts)
