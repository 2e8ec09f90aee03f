"""On three real guests at once: a rolling change of a fleet in which one host has a disk with data.

python3 -m pytest tests/guest/test_fleet.py
"""

import json
import re
import subprocess

import pytest
import remote

DISK = "/dev/vdb"
HOOK = """
- name: Leave a mark
  ansible.builtin.lineinfile:
    path: "{{ fleet_marks }}"
    line: "%s {{ inventory_hostname }}"
    create: true
    mode: "0600"
  delegate_to: localhost
  become: false
"""


@pytest.fixture(scope="module")
def guests(boot):
    """Three small guests; the disk of the second holds a file system."""
    three = [boot("fleet-%s" % name, disks=("2G",), memory=640) for name in ("a", "b", "c")]
    three[1].ssh("mkfs.ext4 -q %s" % DISK)
    return three


def play(guests, folder, *arguments):
    """(return code, what it printed) of playbooks/site.yml on all three, in one batch after the first host."""
    inventory = folder / "inventory.json"
    hosts = {one.name: one.variables("deploy") for one in guests}
    hosts["fleet-gone"] = {"ansible_host": "127.0.77.254", "ansible_port": 2222, "ansible_timeout": 2}
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"thin_pool_devices": [DISK]}}}))
    argv = ["ansible-playbook", "-i", str(inventory), "playbooks/site.yml", *arguments]
    done = subprocess.run(argv, cwd=str(remote.ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def line(printed, host):
    """The line of a host in the table at the end."""
    return next((row for row in printed.split("STORAGE", 1)[-1].splitlines() if row.startswith(host)), "")


def test_two_succeed_one_is_refused_and_the_rerun_touches_nothing(guests, tmp_path):
    marks = tmp_path / "marks"
    for name in ("before", "after"):
        (tmp_path / (name + ".yml")).write_text(HOOK % name)
    variables = {
        "fleet_marks": str(marks),
        "fleet_max_fail_percentage": 50,
        "docker_storage_before_switch": [str(tmp_path / "before.yml")],
        "docker_storage_after_switch": [str(tmp_path / "after.yml")],
    }
    hashed = guests[1].ssh("sha256sum < %s" % DISK).stdout
    rc, printed = play(guests, tmp_path, "-e", json.dumps(variables))
    assert rc != 0
    for one in (guests[0], guests[2]):
        words = line(printed, one.name).split()
        assert words[1:5] == ["overlay2", "devicemapper", "on", "vgdocker-thinpool"], printed
        assert float(words[5]) > 0
        assert one.ssh("docker info -f '{{.Driver}}' 2>/dev/null").stdout == "devicemapper\n"
    assert "refused: /dev/vdb is not blank" in line(printed, "fleet-b")
    assert re.findall(r"^(\S+) +: .* failed=1 ", printed, re.M) == ["fleet-b", "fleet-gone"]
    assert "not reached" in line(printed, "fleet-gone")
    assert guests[1].ssh("sha256sum < %s" % DISK).stdout == hashed
    assert marks.read_text().splitlines() == [
        "%s %s" % (when, one.name) for one in (guests[0], guests[2]) for when in ("before", "after")
    ]

    rc, printed = play(guests, tmp_path, "-e", json.dumps(variables))
    assert rc != 0
    assert printed.count("changed=0") == 4
    assert "2 hosts already configured, unchanged" in printed
    assert len(marks.read_text().splitlines()) == 4

    rc, printed = play(guests, tmp_path, "--limit", "fleet-a,fleet-c")
    assert rc == 0
    assert "STORAGE" not in printed
    assert "2 hosts already configured, unchanged" in printed
