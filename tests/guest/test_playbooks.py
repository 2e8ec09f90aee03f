"""On a real guest: every `$ ansible-playbook` line of README.md and docs/, in an order that an operator could give.

    .venv/bin/python3 -m pytest tests/guest/test_playbooks.py

tests/unit/test_docs.py holds LINES to the pages: no line is missing. The disks have other names here, and the inventory is a file.
"""

import json
import os
import re
import shlex
import subprocess
from typing import NamedTuple

import pytest
import remote

BOTH = ["/dev/vdb", "/dev/vdc"]  # what the inventory names: a line's own -e goes before it
CONTENT = """set -e
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1
docker run --rm -v data:/d app:1 sh -c 'echo kept > /d/kept'
"""
HAS_CONTENT = "docker run --rm -v data:/d app:1 cat /d/kept | grep -qx kept"
RUNS_WEB = "docker exec web true"


class Line(NamedTuple):
    """One line of the pages: the arguments behind `ansible-playbook -i inventory`; what it must print, as regular expressions.

    before, after: shell commands in the guest; each must succeed.  rc: ansible-playbook's return code.
    """

    arguments: str
    printed: tuple = ()
    before: str = "true"
    after: str = "true"
    rc: int = 0


ONE, TWO = """-e '{"thin_pool_devices": ["/dev/sdb"]}'""", """-e '{"thin_pool_devices": ["/dev/sdc"]}'"""
DRIVER = "docker info --format '{{.Driver}}' | grep -qx "
LINES = (
    Line("playbooks/site.yml %s --check --diff" % ONE, ["pvcreate", r"to be changed, \d+ steps"], after="! vgs vgdocker"),
    Line(
        "lvmops.direct_lvm.site " + ONE,
        [r"changed=[1-9]", "overlay2 .*devicemapper on vgdocker-thinpool"],
        after=DRIVER + "devicemapper",
    ),
    Line("playbooks/site.yml -e docker_storage_containers=keep", ["changed=0"], after=HAS_CONTENT),
    Line("playbooks/site.yml " + ONE, ["changed=0", "1 host already configured, unchanged"], after=HAS_CONTENT),
    Line("playbooks/verify.yml", ["devicemapper is on /dev/mapper/vgdocker-thinpool", r"changed=0 .*failed=0"]),
    Line("playbooks/verify.yml -e verify_smoke_test=false", [r"changed=0 .*failed=0"]),
    Line("playbooks/status.yml", [r"devicemapper", "changed=0|status.html"]),
    Line(
        "playbooks/metrics.yml",
        [r"changed=[1-9]"],
        after="systemctl start direct-lvm-metrics.service && systemctl is-active direct-lvm-metrics.timer && "
        "grep -q '^direct_lvm_pool_active.* 1$' /var/lib/prometheus/node-exporter/*.prom",
    ),
    Line("playbooks/metrics.yml", ["changed=0"]),
    Line("playbooks/trim.yml", [r"failed=0"], before="docker run -d --name web app:1 sleep 100000", after=RUNS_WEB),
    Line("playbooks/repair.yml", ["Nothing is to be repaired", "changed=0"], after=RUNS_WEB),
    Line("playbooks/repair.yml -e thin_pool_repair_confirmed=true", ["Nothing is to be repaired", "changed=0"], after=RUNS_WEB),
    Line("playbooks/replace.yml " + TWO, ["100 %"], after=RUNS_WEB + " && ! pvs /dev/vdb"),
    Line(
        """playbooks/grow.yml -e '{"thin_pool_devices": ["/dev/sdb", "/dev/sdc"]}'""",
        [r"changed=[1-9]"],
        after=RUNS_WEB + " && pvs /dev/vdb",
    ),
    Line("""playbooks/site.yml -e '{"fleet_serial": [5, "25%"], "fleet_max_fail_percentage": 0}'""", ["changed=0"], after=RUNS_WEB),
    Line("playbooks/rollback.yml", [r"changed=[1-9]"], before="docker rm -f web", after=DRIVER + "overlay2 && " + HAS_CONTENT),
    Line(
        """playbooks/remove.yml -e '{"thin_pool_devices": ["/dev/sdb"], "thin_pool_remove_data": true}'""",
        [r"changed=[1-9]"],
        after="! vgs vgdocker && ! pvs /dev/vdb",
    ),
    Line(
        "playbooks/site.yml -e @playbooks/vars/article.yml " + ONE,
        ["autoextend can never run"],
        after=DRIVER + "devicemapper && " + HAS_CONTENT,
    ),
    Line("playbooks/cleanup.yml", ["overlay2"], after="test -d /var/lib/docker/overlay2"),
    Line(
        "playbooks/cleanup.yml -e docker_storage_cleanup_confirmed=true",
        [r"changed=[1-9]"],
        after="test ! -e /var/lib/docker/overlay2 && " + HAS_CONTENT,
    ),
    Line(
        "playbooks/upgrade.yml %s -e upgrade_to=overlay2" % ONE,
        ["is on overlay2 with its images"],
        after=DRIVER + "overlay2 && vgs vgdocker && " + HAS_CONTENT,
    ),
)
# Carried out by test_upgrade.py, with the packages of a newer release.
UPGRADES = (Line("playbooks/upgrade.yml " + ONE), Line("playbooks/upgrade.yml %s -e upgrade_tasks=/path/to/tasks.yml" % ONE))


@pytest.fixture(scope="module")
def guest(boot):
    """A guest with two disks, an image and a volume in a Docker on overlay2."""
    one = boot("playbooks", disks=("1G", "2G"))
    one.ssh("bash -s", stdin=CONTENT)
    return one


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What ansible-playbook needs to find the built collection too."""
    place = tmp_path_factory.mktemp("collections")
    silent = {"cwd": str(remote.ROOT), "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["make", "collection"], **silent)
    (built,) = (remote.ROOT / "build").glob("*.tar.gz")
    subprocess.run(["ansible-galaxy", "collection", "install", "--offline", "-p", str(place), str(built)], **silent)
    return dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(place), PWD=str(place))


@pytest.mark.parametrize("line", LINES, ids=[line.arguments for line in LINES])
def test_a_line_does_what_the_page_says(guest, environment, line):
    """In the order of the table: what one leaves, the next begins with."""
    inventory = guest.folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {guest.name: dict(guest.variables("deploy"), thin_pool_devices=BOTH)}}}))
    guest.ssh(line.before)
    argv = shlex.split("ansible-playbook -i %s %s" % (inventory, line.arguments.replace("/dev/sd", "/dev/vd")))
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(argv, cwd=str(remote.ROOT), env=environment, check=False, **out)
    assert done.returncode == line.rc, done.stdout
    told = " ".join(done.stdout.split())
    assert [words for words in line.printed if not re.search(words, told)] == [], done.stdout
    guest.ssh(line.after)
