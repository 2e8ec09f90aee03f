"""How site.yml goes through a fleet: who is changed, refused, left, not begun; its exit code and table. With stub modules, here.

Run with each ansible-core by `make test-controllers`.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STUBS = ROOT / "tests" / "runners" / "stubs"
HOOK = """- name: Leave a mark
  ansible.builtin.file:
    path: "{{ thin_pool_profile_name }}.hook"
    state: touch
    mode: "0600"
"""


@pytest.fixture
def site(tmp_path):
    """A function that runs site.yml on hosts of these kinds, named KIND-NUMBER: (return code, printed, {host: line})."""
    hook = tmp_path / "hook.yml"
    hook.write_text(HOOK)

    def run(kinds, *arguments, hooks=True):
        hosts = {}
        for number, kind in enumerate(kinds.split()):
            name = "%s-%d" % (kind, number)
            hosts[name] = {"thin_pool_vg": kind, "thin_pool_profile_name": str(tmp_path / name), "ansible_connection": "local"}
            if kind in ("lost", "unsent"):
                hosts[name]["ansible_connection"] = "lost"
            if kind == "gone":
                hosts[name] = {"ansible_host": "127.0.77.254", "ansible_port": 2222}
        shared = {"thin_pool_devices": ["/dev/sdb"], "ansible_become": False, "verify_smoke_test": False}
        shared.update(ansible_python_interpreter=shutil.which("python3"), docker_storage_after_switch=[str(hook)] if hooks else [])
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": shared}}))
        environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_NOCOLOR="1")
        environment.update(ANSIBLE_LIBRARY="%s:%s" % (STUBS, ROOT / "library"))
        environment.update(ANSIBLE_CONNECTION_PLUGINS=str(STUBS.parent / "connection_plugins"))
        argv = ["ansible-playbook", "-i", str(inventory), "playbooks/site.yml", *arguments]
        done = subprocess.run(
            argv, cwd=str(ROOT), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        _before, _heading, table = done.stdout.partition("\nSTORAGE *")
        return done.returncode, done.stdout, {line.split()[0]: line for line in table.splitlines() if line.strip()}

    return run


def hooks(tmp_path):
    """The hosts whose hook after the switch was run."""
    return sorted(path.stem for path in tmp_path.glob("*.hook"))


def batches(*serial):
    """The arguments that set the sizes of batches."""
    return "-e", json.dumps({"fleet_serial": list(serial)})


def test_one_is_changed_and_the_others_are_told_why_not(site, tmp_path):
    code, printed, rows = site("ok refused needs gone", *batches("100%"))
    assert code == 2, printed
    assert re.search(r"overlay2 +devicemapper on stub-thinpool +2.0 s$", rows["needs-2"]), printed
    assert "refused: /dev/sdb holds ext4." in rows["refused-1"]
    assert "not reached: " in rows["gone-3"]
    assert "ok-0" not in rows
    assert "1 host already configured, unchanged" in printed
    assert hooks(tmp_path) == ["needs-2"]


@pytest.mark.parametrize("left", ["refused", "gone", "unsent"])
def test_a_first_batch_of_one_host_that_is_left_stops_nobody(site, left):
    code, printed, rows = site(left + " needs needs")
    assert code == 2, printed
    assert "devicemapper on stub-thinpool" in rows["needs-1"]
    assert "devicemapper on stub-thinpool" in rows["needs-2"]


@pytest.mark.parametrize(("limit", "code"), [("refused-1", 2), ("gone-2", 2), ("ok-0", 0), ("needs-3", 0)])
def test_the_exit_code_is_that_of_the_hosts_asked_for(site, limit, code):
    found, printed, rows = site("ok refused gone needs", "--limit", limit)
    assert found == code, printed
    assert {"ok-0", "refused-1", "gone-2", "needs-3"} & set(rows) <= {limit}, printed


def test_too_many_failures_begin_no_further_batch(site, tmp_path):
    code, printed, rows = site("breaks needs breaks needs", *batches(3, 1))
    assert code == 2, printed
    assert "FAILED: Docker did not come up" in rows["breaks-0"]
    assert re.search(r"1.5 s", rows["breaks-0"])
    assert rows["needs-3"].split()[1:] == ["not", "begun"]
    assert hooks(tmp_path) == ["breaks-0", "breaks-2", "needs-1"]


ONE_CALL = ["preflight"]
ROLES = ["preflight", "thin_pool", "docker_storage", "verify"]
CALLS = {  # kind of host, the hooks before and after the switch, the roles that call the module or look at the host
    "nothing in between": ("needs", [], [], ONE_CALL),
    "a disk to be emptied": ("moves", [], [], ROLES),
    "a hook before the switch": ("needs", ["hook.yml"], [], ROLES),
    "a hook after the switch": ("needs", [], ["hook.yml"], ["preflight", "docker_storage", "verify"]),
}
CALLING = r"TASK \[(\w+) : (?:Look at the host|Create or grow|Complete the pool|Ask LVM)[^\n]*\n(?:changed|ok): "


@pytest.mark.parametrize("case", CALLS)
def test_one_call_does_all_unless_something_is_due_in_between(site, tmp_path, case):
    kind, before, after, calls = CALLS[case]
    both = {"docker_storage_before_switch": before, "docker_storage_after_switch": after}
    both = {name: [str(tmp_path / hook) for hook in hooks] for name, hooks in both.items()}
    code, printed, rows = site(kind, "-e", json.dumps(both))
    assert code == 0, printed
    assert re.search(r"overlay2 +devicemapper on stub-thinpool", rows[kind + "-0"]), printed
    assert re.findall(CALLING, printed) == calls, printed
    assert ("make /dev/sdb a physical volume" in printed) == (calls == ONE_CALL), printed
    assert "devicemapper is on /dev/mapper/stub-thinpool" in printed.replace("\n", " "), printed
    assert hooks(tmp_path) == ([kind + "-0"] if before or after else [])


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("breaks", "FAILED: Docker did not come up"),
        ("fails", "FAILED: `pvcreate /dev/sdb`"),
        ("lost", "closed by remote host"),
    ],
)
def test_a_failure_of_the_one_call_begins_no_further_batch(site, kind, row):
    """Whether a step was carried out is not known of the first one, nor of a host whose connection was lost."""
    code, printed, rows = site(kind + " needs", *batches(1), hooks=False)
    assert code == 2, printed
    assert row in rows[kind + "-0"], printed
    assert rows["needs-1"].split()[1:] == ["not", "begun"], printed
    assert "Report in the exit code" not in printed  # it was not left out


def test_a_rerun_changes_nobody(site):
    assert site("needs needs")[0] == 0
    code, printed, _rows = site("needs needs")
    assert code == 0, printed
    assert "2 hosts already configured, unchanged" in printed


def test_check_mode_does_not_call_wanted_what_is_to_be_changed(site, tmp_path):
    code, printed, rows = site("needs ok", "--check")
    assert code == 0, printed
    assert "to be changed, 1 step" in rows["needs-0"]
    assert "1 host already configured, unchanged" in printed
    assert not (tmp_path / "needs-0").exists()
