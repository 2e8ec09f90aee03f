"""A host that lies to its controller: nothing that a module returns chooses what the controller does. With stub modules, here.

Run with each ansible-core by `make test-controllers`; with this project's ansible.cfg, and with Ansible's own defaults, as those
who have the collection alone.
"""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STUBS = ROOT / "tests" / "runners" / "stubs"
HOOKS = ROOT / "playbooks" / "hooks"
# Each program notes where and with what it was called. socat also does what an address of type EXEC or SYSTEM asks for.
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> {folder}/told
case "$*" in
  *EXEC:*|*SYSTEM:*) touch {folder}/struck;;
  *info*) echo q1w2e3r4t5y6u7i8o9p0asdfg;;
  *inspect*) echo liar;;
esac
"""
# A file of tasks that is on the controller, and that nobody but a host has named.
PLANTED = """- name: Leave a mark on the controller
  ansible.builtin.file:
    path: {folder}/struck
    state: touch
    mode: "0600"
  delegate_to: localhost
"""


class Controller:
    """Runs playbooks in a folder of its own, on one host that lies, or not."""

    def __init__(self, folder, configuration):
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        self.planted = folder / "planted.yml"
        self.planted.write_text(PLANTED.format(folder=folder))
        for name in ("docker", "socat"):
            program = folder / name
            program.write_text(PROGRAM.format(folder=folder))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        self.environment.update(HOME=str(self.home), PWD=str(folder), PATH="%s:%s" % (folder, os.environ["PATH"]))
        self.environment.update(ANSIBLE_NOCOLOR="1", ANSIBLE_LIBRARY="%s:%s" % (STUBS, ROOT / "library"))
        self.environment["ANSIBLE_FILTER_PLUGINS"] = str(ROOT / "filter_plugins")
        if configuration == "ours":
            self.environment.update(ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))
        else:
            (folder / "empty.cfg").touch()
            self.environment.update(ANSIBLE_CONFIG=str(folder / "empty.cfg"), ANSIBLE_ROLES_PATH=str(ROOT / "roles"))

    def run(self, playbook, lies, others=None, **variables):
        """(return code, all that was printed) of a playbook on the host, whose modules return lies as facts too.

        others: further hosts, by their variables.
        """
        here = {"ansible_connection": "local", "ansible_python_interpreter": shutil.which("python3"), "ansible_become": False}
        shared = {"thin_pool_vg": "moves", "thin_pool_profile_name": str(self.folder / "host"), "thin_pool_devices": ["/dev/sdb"]}
        shared.update(verify_smoke_test=False, fleet_drain_seconds=0)
        balancer = dict(here, ansible_connection="elsewhere")
        hosts = {"liar": variables, **(others or {})}
        inventory = {"hosts": {name: dict(here, **given) for name, given in hosts.items()}, "vars": shared}
        inventory["children"] = {"others": {"hosts": {"balancer": balancer}}}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": inventory}))
        environment = dict(self.environment, LIES=json.dumps(lies))
        environment.update(ANSIBLE_CONNECTION_PLUGINS=str(STUBS.parent / "connection_plugins"))
        argv = ["ansible-playbook", "-i", str(path), str(playbook), "--limit", "all,!balancer"]
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(argv, cwd=str(self.folder), env=environment, check=False, **out)
        return done.returncode, done.stdout

    def struck(self):
        """Whether something was done on the controller that nobody has asked for."""
        return (self.folder / "struck").exists()

    def told(self):
        """What docker and socat were told."""
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(params=["ours", "defaults"])
def controller(request, tmp_path):
    return Controller(tmp_path, request.param)


@pytest.mark.parametrize("name", ["docker_storage_before_switch", "docker_storage_after_switch"])
def test_a_host_chooses_no_hook(controller, name):
    code, printed = controller.run(ROOT / "playbooks" / "site.yml", {name: [str(controller.planted)]})
    assert not controller.struck(), printed
    assert code == 2, printed
    assert "%s is named by a fact" % name in printed


@pytest.mark.parametrize("name", ["docker_storage_before_switch", "docker_storage_after_switch"])
def test_the_inventory_does(controller, name):
    """That the test above can fail."""
    code, printed = controller.run(ROOT / "playbooks" / "site.yml", {}, **{name: [str(controller.planted)]})
    assert code == 0, printed
    assert controller.struck()


def test_a_host_chooses_no_tasks_of_the_upgrade(controller):
    code, printed = controller.run(ROOT / "playbooks" / "upgrade.yml", {"upgrade_tasks": str(controller.planted)})
    assert not controller.struck(), printed
    assert code == 2, printed
    assert "upgrade_tasks is named by a fact" in printed


def test_the_operator_does(controller):
    code, printed = controller.run(ROOT / "playbooks" / "upgrade.yml", {}, upgrade_tasks=str(controller.planted))
    assert code == 0, printed
    assert controller.struck()


def test_a_host_chooses_no_folder_for_the_report(controller):
    code, printed = controller.run(ROOT / "playbooks" / "status.yml", {"status_dir": str(controller.home / ".ssh")})
    assert code == 0, printed
    assert list(controller.home.glob(".ssh")) == []
    assert (controller.folder / "status" / "status.json").exists()


@pytest.mark.parametrize(
    "lies",
    [
        {"fleet_haproxy_socket": "EXEC:/bin/true", "fleet_load_balancer": "localhost"},
        {"fleet_load_balancer": "localhost"},
        {"fleet_backend": "web/other"},
        {"load_balancer_facts": [], "load_balancer_names": [], "fleet_haproxy_socket": "/run/other.sock"},
    ],
)
def test_a_host_says_nothing_to_haproxy(controller, lies):
    hooks = {"docker_storage_before_switch": [str(HOOKS / "load_balancer_out.yml")]}
    code, printed = controller.run(
        ROOT / "playbooks" / "site.yml", lies, fleet_load_balancer="balancer", fleet_backend="web/liar", **hooks
    )
    assert code == 2, printed
    assert not controller.struck(), printed
    assert controller.told() == []
    assert "fact of liar: HAProxy got no order" in printed


def test_a_host_says_nothing_to_the_swarm(controller):
    hooks = {"docker_storage_after_switch": [str(HOOKS / "swarm_active.yml")]}
    code, printed = controller.run(ROOT / "playbooks" / "site.yml", {"fleet_swarm_manager": "localhost"}, **hooks)
    assert code == 2, printed
    assert [line for line in controller.told() if line.startswith("docker ") and " node " in line] == []


HOST = {"engine": "devicemapper", "pool": {"data_percent": 41.25}, "danger": {}, "warnings": []}
WELL = json.dumps({"changed": False, "host": HOST})
ODD = {
    "nan": WELL.replace("41.25", "NaN"),
    "infinity": WELL.replace("41.25", "-Infinity"),
    "digits": WELL.replace("41.25", "9" * 400),
    "more-digits": WELL.replace("41.25", "9" * 5000),
    "list": json.dumps({"host": ["list"]}),
    "text": json.dumps({"host": "text"}),
    "surrogate": json.dumps({"host": {"engine": "\ud800", "warnings": [5]}}),
    "deep": '{"host": ' + "[" * 20000 + "]" * 20000 + "}",
    "none": "",
    "facts": '{"ansible_facts": 5, "host": 5}',
    "unreachable": '{"unreachable": "yes", "failed": "no", "host": 5}',
}


def test_one_odd_answer_spoils_no_other_hosts_row(controller):
    answers = {}
    for name, text in dict(ODD, well=WELL).items():
        path = controller.folder / (name + ".answer")
        path.write_text(text)
        answers[name] = {"thin_pool_vg": str(path)}
    _code, printed = controller.run(ROOT / "playbooks" / "status.yml", {}, others=answers)
    text = (controller.folder / "status" / "status.json").read_text()
    rows = {row["host"]: row for row in json.loads(text, parse_constant=pytest.fail)["hosts"]}
    assert (rows["well"]["state"], rows["well"]["data_percent"]) == ("ok", 41.25), printed
    assert {name: rows[name]["state"] for name in ODD} == dict.fromkeys(ODD, "failed"), printed
    assert re.search(r"^ *well +ok +devicemapper", printed.replace('"', " "), re.MULTILINE), printed
    assert (controller.folder / "status" / "status.html").read_text().count("<tbody") == len(ODD) + 2
