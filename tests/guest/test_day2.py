"""On a real guest: the pool grows, changes its disks, is trimmed and is repaired while, or without that, containers are lost.

    .venv/bin/python3 -m pytest tests/guest/test_day2.py

One guest with three small disks. Each test begins at the snapshot `docker`: Docker is on the pool on the first disk, and
a container has a file with a known checksum and writes on.
"""

import json
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import remote  # noqa: E402

OLD, NEW, OTHER = "/dev/vdb", "/dev/vdd", "/dev/vdc"
CONTENT = r"""
set -eu
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
docker run -d --name web --restart always app:1 sh -c \
  '[ -f /sum ] || { dd if=/dev/urandom of=/file bs=1M count=200; sync; sha256sum /file > /sum; sync; }
   while :; do echo on >> /log; sync; sleep 1; done' > /dev/null
until docker exec web sh -c '[ -s /sum ]'; do sleep 1; done
sync
"""
HELD = "docker exec web cat /sum; docker exec web sha256sum /file"
SLOWER = "modprobe dm-mirror; echo 2 > /sys/module/dm_mirror/parameters/raid1_resync_throttle"  # percent of the time
ANSWERS = "for n in $(seq 120); do docker exec web sh -c : 2> /dev/null && exit 0; sleep 1; done; exit 1"


@pytest.fixture(scope="module")
def first():
    """The guest, with its snapshot."""
    guest = remote.Guest("day2")
    guest.down()
    guest.up(disks=["1G", "1G", "1200M"], cpus=1, owner=os.getpid())
    try:
        remote.install(guest)
        made = remote.run(guest, docker=True, timeout=1200)
        assert made.get("changed"), made
        guest.ssh(CONTENT)
        guest.snapshot("docker")
        yield guest
    finally:
        guest.down()


@pytest.fixture
def guest(first):
    """The guest as it was."""
    first.restore("docker")
    return first


def intact(guest):
    """Whether the container's file is what it was."""
    guest.ssh(ANSWERS)
    asked, found = guest.ssh(HELD).stdout.splitlines()
    return asked.split()[0] == found.split()[0]


def disks(*names):
    """The arguments that name the disks."""
    return ["-e", json.dumps({"thin_pool_devices": list(names)})]


def moving(guest):
    """What direct_lvm_info says of a move."""
    return remote.run(guest, module="direct_lvm_info")["host"]["vg"]["moving"]


# --- replace -------------------------------------------------------------------------------------------------


def test_a_disk_is_replaced_while_a_container_writes(guest):
    started = guest.ssh("docker inspect -f '{{.State.StartedAt}}' web").stdout
    lines = "docker exec web cat /log | wc -l"
    before = int(guest.ssh(lines).stdout)
    guest.ssh("docker run --rm -v data:/d app:1 sh -c 'dd if=/dev/urandom of=/d/file bs=1M count=5; sync'")
    volume = guest.ssh("docker run --rm -v data:/d app:1 sha256sum /d/file").stdout
    planned = remote.play(guest, "replace", *disks(NEW), "--check", "--diff")
    for command in ("pvcreate", "vgextend vgdocker /dev/vdd", "pvmove --background --interval 5 /dev/vdb /dev/vdd", "pvremove"):
        assert command in planned, planned
    assert guest.ssh("pvs --noheadings -o pv_name").stdout.split() == [OLD]
    printed = remote.play(guest, "replace", *disks(NEW))
    assert "(item=10 %)" in printed, printed
    assert "(item=100 %)" in printed, printed
    assert guest.ssh("pvs --noheadings -o pv_name").stdout.split() == [NEW]
    assert guest.ssh("blkid -p %s" % OLD, check=False).stdout == ""
    assert intact(guest)
    assert guest.ssh("docker run --rm -v data:/d app:1 sha256sum /d/file").stdout == volume
    assert guest.ssh("docker inspect -f '{{.State.StartedAt}}' web").stdout == started
    assert int(guest.ssh(lines).stdout) > before
    again = remote.play(guest, "replace", *disks(NEW))
    assert "changed=0" in again, again


def test_a_move_that_was_killed_or_lost_its_power_goes_on(guest):
    wanted = {"devices": [NEW], "replace": True}
    guest.ssh(SLOWER)
    begun = remote.run(guest, **wanted)
    assert [step["argv"][0] for step in begun["steps"]] == ["pvcreate", "vgextend", "pvmove"], begun
    assert begun["host"]["vg"]["moving"]["device"] == OLD
    refused = remote.run(guest, devices=[OLD, NEW], data_size="60G")
    assert "a pvmove from /dev/vdb is under way" in refused["msg"], refused
    pollers = "pgrep -x lvmpolld; pgrep -f '[l]vpoll --interval'"
    assert len(guest.ssh(pollers, check=False).stdout.split()) == 2
    guest.ssh("kill -9 $(%s)" % pollers)
    on = remote.run(guest, **wanted)
    assert [step["argv"][0] for step in on["steps"]] == ["pvmove"], on
    assert len(guest.ssh(pollers, check=False).stdout.split()) == 2

    end = time.monotonic() + 120
    while moving(guest)["percent"] < 20 and time.monotonic() < end:
        time.sleep(1)
    guest.power_cut()
    guest.start()
    guest.wait()
    assert intact(guest)
    remote.play(guest, "replace", *disks(NEW))
    assert guest.ssh("pvs --noheadings -o pv_name").stdout.split() == [NEW]
    assert intact(guest)
    assert not remote.run(guest, **wanted)["changed"]


def test_no_room_for_what_leaves_is_refused_with_numbers(guest):
    guest.ssh("modprobe loop; truncate -s 200M /var/tmp/disk; losetup /dev/loop7 /var/tmp/disk")
    told = remote.play(guest, "replace", *disks("/dev/loop7"), rc=2)
    assert "have 49 free" in told, told
    assert guest.ssh("pvs --noheadings -o pv_name").stdout.split() == [OLD]
