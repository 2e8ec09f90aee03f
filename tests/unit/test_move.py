"""How a move that replace.yml watches ends, by ansible-playbook on this machine: stubs answer in the modules' place."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

TASKS = pathlib.Path(__file__).resolve().parents[2] / "roles" / "thin_pool" / "tasks" / "move.yml"
PLAYBOOK = shutil.which("ansible-playbook")
DISK = "/dev/sdb"
NONE = {DISK: {"percent": 100, "sentence": "is none."}}
STALLED = {DISK: {"percent": 100, "sentence": "has stopped at 43.2 %."}}


def under_way(percent, **others):
    """What direct_lvm_info says of a move that LVM sees to. others: by the names of further disks, how far they are."""
    moves = dict({DISK: percent}, **{"/dev/" + name: there for name, there in others.items()})
    return {disk: {"percent": there, "sentence": "is still at %s %%." % there} for disk, there in moves.items()}


# What direct_lvm_info says of the moves each time, and what direct_lvm would still have to do.
SITUATIONS = {
    "done": ([under_way(43.2), NONE], []),
    "aborted": ([under_way(43.2), NONE], [DISK]),
    "stalled": ([STALLED], [DISK]),
    "stalled-at-its-end": ([STALLED], []),
    "slow": ([under_way(5.0), under_way(10.0)], [DISK]),
    "unknown": ([], [DISK]),
    "another-disk-is-next": ([NONE], ["/dev/sdc"]),
    "another-move-is-ahead": ([under_way(5.0, sda=99), under_way(10.0, sda=100)], [DISK]),
    "another-move-is-behind": ([under_way(100, sda=0)], []),
}
STUB = """
import json
import os

from ansible.module_utils.basic import AnsibleModule

options = {"vg": {}, "name": {}, "pool": {"type": "dict"}, "goal": {}, "lock_timeout": {}, "command_timeout": {}}
options["plan_only_for"] = {"type": "list", "default": []}
module = AnsibleModule(options, supports_check_mode=True)
vg = module.params["vg"] or module.params["pool"]["vg"]
looks, left = json.loads(%r)[vg]
path = os.path.join(%r, vg)
only = module.params["plan_only_for"]
if not module.params["vg"]:
    module.exit_json(steps=[{"kind": "move_data", "moves": disk, "why": "wait"} for disk in left], changed=not only)
if not looks:
    module.fail_json(msg="LVM does not answer")
with open(path, "a+") as stream:
    stream.write("x")
    stream.seek(0)
    asked = len(stream.read())
module.exit_json(changed=False, host={"vg": {"moves": looks[min(asked, len(looks)) - 1]}})
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """{situation: whether the tasks went well}, and all that was printed."""
    if PLAYBOOK is None:
        pytest.skip("no Ansible here")
    folder = tmp_path_factory.mktemp("move")
    for name in ("direct_lvm", "direct_lvm_info"):
        (folder / (name + ".py")).write_text(STUB % (json.dumps(SITUATIONS), str(folder)))
    tasks = [{"include_tasks": str(TASKS)}]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    known = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "thin_pool_desired": {"vg": "{{ inventory_hostname }}"},
        "thin_pool_vg": "{{ inventory_hostname }}",
        "thin_pool_name": "thinpool",
        "thin_pool_lock_timeout": 1,
        "thin_pool_command_timeout": 1,
        "thin_pool_move_timeout": 0,  # each is looked at once per tenth
        "thin_pool_leaving": {"moves": DISK},
    }
    hosts = {"all": {"hosts": dict.fromkeys(SITUATIONS, {}), "vars": known}}
    (folder / "inventory.json").write_text(json.dumps(hosts))
    environment = dict(os.environ, ANSIBLE_LIBRARY=str(folder))
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "universal_newlines": True}
    argv = [PLAYBOOK, "-i", str(folder / "inventory.json"), str(folder / "play.yml")]
    printed = subprocess.run(argv, env=environment, cwd=str(folder), **out).stdout
    recap = dict(re.findall(r"^(\S+) +: ok=.* failed=(\d)", printed, re.MULTILINE))
    assert set(recap) == set(SITUATIONS), printed
    return {name: failed == "0" for name, failed in recap.items()}, printed


@pytest.mark.parametrize("situation", ["done", "stalled-at-its-end", "another-disk-is-next", "another-move-is-behind"])
def test_a_disk_that_is_empty_is_a_success(ended, situation):
    assert ended[0][situation], ended[1]


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        ("aborted", "is none."),
        ("stalled", "has stopped at 43.2 %."),
        ("slow", "is still at 10.0 %."),
        ("another-move-is-ahead", "is still at 10.0 %."),
        ("unknown", "has not ended."),
    ],
)
def test_a_move_that_has_stopped_is_told_with_the_way_on(ended, situation, words):
    well, printed = ended
    assert not well[situation], printed
    told = next(line for line in printed.splitlines() if line.startswith("fatal: [%s]" % situation))
    assert "The move from /dev/sdb %s No data is lost." % words in told
    assert "on the host: pvmove /dev/sdb" in told
