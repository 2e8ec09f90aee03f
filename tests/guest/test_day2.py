"""On a real guest: the pool grows, changes its disks, is trimmed and is repaired while, or without that, containers are lost.

python3 -m pytest tests/guest/test_day2.py                               the graph driver
DIRECT_LVM_RELEASE=trixie python3 -m pytest tests/guest/test_day2.py     containerd's snapshotter

One guest with three small disks. Each test begins at the snapshot `docker`: Docker is on the pool on the first disk, and
a container has a file with a known checksum and writes on.
"""

import json
import os
import time

import pytest
import remote

RELEASE = os.environ.get("DIRECT_LVM_RELEASE", "bookworm")
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
ANSWERS = """for n in $(seq 120); do docker exec web sh -c : 2> /dev/null && exit 0; sleep 1; done
docker ps -a >&2; journalctl --no-pager -b -u docker -u containerd -u lvm2-monitor -n 60 >&2; exit 1"""


@pytest.fixture(scope="module")
def first(boot):
    """The guest, with its snapshot."""
    guest = boot("day2", release=RELEASE, disks=("1G", "1G", "1200M"))
    remote.install(guest)
    made = remote.run(guest, docker=True, timeout=1200)
    assert made.get("changed"), made
    guest.ssh(CONTENT)
    guest.snapshot("docker")
    return guest


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
    """What direct_lvm_info says of the move away from the old disk."""
    return remote.run(guest, module="direct_lvm_info")["host"]["vg"]["moves"][OLD]


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
    again = remote.run(guest, devices=[NEW, OLD], check=True)
    assert "pvcreate" in str(again["steps"]), again  # it is blank
    assert intact(guest)
    assert guest.ssh("docker run --rm -v data:/d app:1 sha256sum /d/file").stdout == volume
    assert guest.ssh("docker inspect -f '{{.State.StartedAt}}' web").stdout == started
    assert int(guest.ssh(lines).stdout) > before
    again = remote.play(guest, "replace", *disks(NEW))
    assert "changed=0" in again, again


def test_a_move_that_was_killed_or_lost_its_power_goes_on(guest):
    wanted = {"devices": [NEW], "goal": "replace"}
    guest.ssh(SLOWER)
    begun = remote.run(guest, **wanted)
    assert [step["argv"][0] for step in begun["steps"]] == ["pvcreate", "vgextend", "pvmove"], begun
    assert begun["host"]["vg"]["moves"][OLD]["under_way"]
    refused = remote.run(guest, devices=[OLD, NEW])
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
    on = remote.run(guest, **wanted)
    assert ["lvchange", "--activate", "y", "vgdocker/thinpool"] in [step.get("argv") for step in on["steps"]], on
    assert moving(guest)["under_way"], "the pool is there before the move is over"
    assert remote.run(guest, module="direct_lvm_info")["host"]["pool"]["active"]
    remote.play(guest, "replace", *disks(NEW))
    remote.play(guest, "site", *disks(NEW), "-e", "verify_smoke_test=false")  # Docker had given up without its pool
    assert guest.ssh("pvs --noheadings -o pv_name").stdout.split() == [NEW]
    assert intact(guest)
    again = remote.play(guest, "replace", *disks(NEW))  # not the module alone: the roles write the profile's text otherwise
    assert "changed=0" in again, again


def test_no_room_for_what_leaves_is_refused_with_numbers(guest):
    guest.ssh("modprobe loop; truncate -s 200M /var/tmp/disk; losetup /dev/loop7 /var/tmp/disk")
    told = remote.play(guest, "replace", *disks("/dev/loop7"), rc=2)
    assert "have 49 free" in told, told
    assert guest.ssh("pvs --noheadings -o pv_name").stdout.split() == [OLD]


# --- grow ----------------------------------------------------------------------------------------------------


def test_a_disk_more_and_larger_sizes_make_the_pool_larger_while_a_container_runs(guest):
    before = remote.run(guest, module="direct_lvm_info")["host"]["pool"]
    larger = [*disks(OLD, OTHER), "-e", "thin_pool_data_size=80%VG", "-e", "thin_pool_metadata_size=2%VG"]
    planned = remote.play(guest, "grow", *larger, "--check", "--diff")
    assert "lvextend --poolmetadatasize" in planned, planned
    assert remote.run(guest, module="direct_lvm_info")["host"]["pool"]["size"] == before["size"]
    remote.play(guest, "grow", *larger)
    info = remote.run(guest, module="direct_lvm_info")["host"]
    assert info["vg"]["devices"] == [OLD, OTHER]
    assert info["pool"]["size"] == info["vg"]["size"] // 4194304 * 80 // 100 * 4194304
    assert info["pool"]["metadata_size"] == 10 * 4194304 > before["metadata_size"]
    spare = "lvs -a --noheadings --nosuffix --units b -o lv_size -S lv_name=~pmspare vgdocker"
    assert int(guest.ssh(spare).stdout) == info["pool"]["metadata_size"]
    assert "changed=0" in remote.play(guest, "grow", *larger)
    assert "changed=0" in remote.play(guest, "grow", *larger, "-e", "thin_pool_metadata_size=1%VG")  # never smaller
    assert intact(guest)


# --- trim ----------------------------------------------------------------------------------------------------


def test_what_was_deleted_in_a_running_container_comes_back_to_the_pool(guest):
    used = "sync; dmsetup status vgdocker-thinpool | awk '{split($6, n, \"/\"); print n[1] * 524288}'"
    guest.ssh("docker exec web sh -c 'dd if=/dev/urandom of=/big bs=1M count=100; sync; rm /big; sync'")
    before = int(guest.ssh(used).stdout)
    planned = remote.play(guest, "trim", "--check")
    assert "(item=web)" in planned, planned
    assert int(guest.ssh(used).stdout) >= before
    printed = remote.play(guest, "trim")
    assert "returned to the pool" in printed, printed
    assert before - int(guest.ssh(used).stdout) > 80 << 20, printed
    assert intact(guest)


# --- repair --------------------------------------------------------------------------------------------------

# Garbage into the root of the map of used blocks, which thin_check reads and thin_repair makes anew from the mappings (kernel,
# drivers/md/dm-thin-metadata.c, struct thin_disk_superblock, and persistent-data/dm-space-map-common.h, struct disk_sm_root).
DAMAGE = """
import os, struct, subprocess
def lvm(*argv):
    return subprocess.check_output(argv, universal_newlines=True).split()
subprocess.check_call(["lvchange", "-y", "-ay", "vgdocker/thinpool_tmeta"])
with open("/dev/mapper/vgdocker-thinpool_tmeta", "rb") as metadata:
    block = struct.unpack_from("<Q", metadata.read(4096), 64 + 16)[0]
subprocess.check_call(["lvchange", "-an", "vgdocker/thinpool_tmeta"])
disk, extent = lvm("lvs", "-a", "--noheadings", "-o", "devices", "vgdocker/thinpool_tmeta")[0].rstrip(")").split("(")
start = int(lvm("pvs", "--noheadings", "--units", "b", "--nosuffix", "-o", "pe_start", disk)[0])
with open(disk, "r+b") as raw:
    raw.seek(start + int(extent) * 4194304 + block * 4096 + 64)
    raw.write(b"damaged " * 32)
    os.fsync(raw.fileno())
"""
TAKE_DOWN = """docker stop --time 1 web; systemctl stop docker.socket docker; systemctl stop containerd
for name in $(dmsetup ls --target thin | awk '{print $1}'); do umount -qA /dev/mapper/$name; dmsetup remove --retry $name; done
lvchange -an vgdocker/thinpool"""
CONFIRMED = ["-e", "thin_pool_repair_confirmed=true"]


def test_damaged_metadata_are_repaired_and_docker_runs_again_with_its_image(guest):
    image = guest.ssh("docker images --no-trunc -q app:1").stdout
    guest.ssh(TAKE_DOWN)
    guest.ssh("python3 -", stdin=DAMAGE)
    assert guest.ssh("lvchange -ay vgdocker/thinpool", check=False).returncode == 5
    guest.ssh("systemctl start containerd; systemctl start docker.socket docker", check=False)

    refused = remote.run(guest, check=True)  # as site.yml would see it
    told = remote.play(guest, "repair", *disks(OLD))
    assert "vgdocker/thinpool: not active" in " ".join(told.split()), told
    assert "have thin_check read all metadata" in told, told
    assert guest.ssh("lvs --noheadings -o lv_active vgdocker/thinpool").stdout.strip() == "", refused
    printed = remote.play(guest, "repair", *disks(OLD), *CONFIRMED)
    assert "The metadata were damaged, and are repaired" in printed, printed
    assert guest.ssh("docker images --no-trunc -q app:1").stdout == image
    assert intact(guest)
    assert guest.ssh("docker run --rm app:1 echo runs").stdout == "runs\n"

    settled = remote.run(guest, docker=True)
    assert settled["changed"] is False, settled
    assert "lvremove vgdocker/thinpool_meta0" in str(settled["warnings"])
    again = remote.play(guest, "repair", *disks(OLD), *CONFIRMED)
    assert "Nothing is to be repaired" in " ".join(again.split())
    assert "changed=0" in again, again


@pytest.mark.skipif(RELEASE not in ("bullseye", "bookworm"), reason="containerd would activate the pool")
def test_whole_metadata_are_only_checked_and_docker_comes_back_when_the_check_cannot_be_made(guest):
    guest.ssh(TAKE_DOWN)
    trap = "/run/systemd/system/docker.service.d"
    guest.ssh(
        "mkdir -p %s; cat > %s/trap.conf; systemctl daemon-reload" % (trap, trap), stdin="[Service]\nExecStartPre=/bin/false\n"
    )
    guest.ssh(
        "systemctl start containerd; systemctl start docker.service; until systemctl is-failed docker; do sleep 1; done",
        check=False,
    )
    guest.ssh("rm -r %s; systemctl daemon-reload; lvchange -an vgdocker/thinpool" % trap)
    guest.ssh("mkdir -p /opt/shim; cat > /opt/shim/thin_check; chmod 755 /opt/shim/thin_check", stdin="#!/bin/sh\nexit 127\n")
    failed = remote.run(guest, before="PATH=/opt/shim:$PATH", goal="repair", containerd={})
    assert "`thin_check" in failed["msg"], failed
    assert "Docker runs again" in failed["msg"], failed
    assert intact(guest)
    guest.ssh(TAKE_DOWN)
    done = remote.run(guest, goal="repair", containerd={})
    assert done["changed"], done
    assert "lvconvert" not in str(done["steps"]), done
    assert guest.ssh("lvs --noheadings -o lv_active vgdocker/thinpool").stdout.strip() == "active"
    assert "meta0" not in guest.ssh("lvs -a --noheadings -o lv_name vgdocker").stdout
