"""On a real guest: every command for a host (`# ...`) in README.md and docs/, in a state in which an operator would give it.

    .venv/bin/python3 -m pytest tests/guest/test_docs.py

tests/unit/test_docs.py holds SITUATIONS to the pages: no command is missing, and none is there that no page has.
"""

import json
import os

import pytest
import remote

from lab import Guest

# situation: (what brings it about, the commands as the pages have them, what must be true afterwards)
SITUATIONS = {
    "a look": (
        "true",
        (
            "lvs -a -o+seg_monitor,lv_health_status vgdocker",
            "journalctl --no-pager -u dm-event",
            "ctr plugins ls",
            "journalctl --no-pager -u docker -u containerd -n 50",
        ),
        "true",
    ),
    "nobody watches the pool": (
        "lvchange --monitor n vgdocker/thinpool",
        ("lvchange --monitor y vgdocker/thinpool",),
        "lvs --noheadings -o seg_monitor vgdocker/thinpool | grep -qw monitored",
    ),
    "metadata fill up": (
        "lvs --noheadings --units m -o lv_metadata_size vgdocker/thinpool | grep -qw 8.00m",
        ("lvextend --poolmetadatasize +64M vgdocker/thinpool",),
        "lvs --noheadings --units m -o lv_metadata_size vgdocker/thinpool | grep -qw 72.00m",
    ),
    "metadata need repair": (
        "docker exec web sh -c 'echo kept > /kept'",
        (
            "systemctl stop docker.socket docker",
            "dmsetup ls --target thin",
            "lvchange -an vgdocker/thinpool",
            "lvconvert --repair vgdocker/thinpool",
            "lvchange -ay vgdocker/thinpool",
            "lvchange --monitor y vgdocker/thinpool",
            "systemctl start docker.socket docker",
        ),
        "until docker exec web cat /kept; do sleep 1; done; lvs --noheadings -o seg_monitor vgdocker/thinpool | grep -qw monitored",
    ),
    "the repair went well": (
        "lvs vgdocker/thinpool_meta0",
        ("lvremove --yes vgdocker/thinpool_meta0",),
        "! lvs vgdocker/thinpool_meta0",
    ),
    "a disk is to be replaced": (
        "pvs /dev/vdb",
        (
            "pvcreate /dev/sdc",
            "vgextend vgdocker /dev/sdc",
            "pvmove /dev/sdb",
            "vgreduce vgdocker /dev/sdb",
            "pvremove /dev/sdb",
        ),
        "test \"$(pvs --noheadings -o pv_name | tr -d ' \n')\" = /dev/vdc && docker exec web cat /kept",
    ),
    "the pool is full": (
        # Too little room is left for a step of autoextend, and enough for these 790 MiB.
        "docker exec -d web dd if=/dev/zero of=/fill bs=1M count=790 && "
        "until lvs --noheadings -o data_percent vgdocker/thinpool | grep -q 100.00; do sleep 1; done",
        ("lvextend --extents +100%FREE vgdocker/thinpool", "docker image prune --force", "docker restart web"),
        "docker exec web cat /kept",
    ),
    "back by hand": (
        "docker rm -f web",
        (
            "systemctl stop docker.socket docker",
            "rm /etc/systemd/system/docker.service.d/daemon.conf",
            "mv /var/lib/docker/devicemapper /var/lib/docker/devicemapper.direct-lvm",
            "systemctl daemon-reload",
            "systemctl start docker.socket docker",
        ),
        "docker info --format '{{.Driver}}' | grep -qx overlay2 && docker image inspect app:1",
    ),
}


@pytest.fixture(scope="module")
def guest():
    """A guest with three small disks; Docker is on the pool on the first, and runs a container named web."""
    one = Guest("docs")
    one.down()  # what a killed test left
    one.up(disks=("1G", "1G", "1G"), cpus=1, owner=os.getpid())
    one.ssh("docker import -c 'CMD [\"sh\"]' /usr/local/share/busybox.tar app:1")
    remote.site(one, thin_pool_devices=["/dev/vdb"], verify_smoke_test=False)
    one.ssh("docker run -d --restart always --name web app:1 sleep 100000")
    yield one
    if not os.environ.get("DIRECT_LVM_KEEP"):
        one.down()


def carry_out(guest, situation):
    """Give the commands of a situation, each of which must succeed; the guest's disks have other names."""
    before, commands, after = SITUATIONS[situation]
    guest.ssh(before)
    for command in commands:
        guest.ssh(command.replace("/dev/sd", "/dev/vd"))
    guest.ssh(after)


def test_a_look(guest):
    carry_out(guest, "a look")


def test_a_pool_that_nobody_watches(guest):
    carry_out(guest, "nobody watches the pool")


def test_metadata(guest):
    carry_out(guest, "metadata fill up")
    carry_out(guest, "metadata need repair")
    carry_out(guest, "the repair went well")


def test_a_disk_is_replaced_and_site_has_nothing_left_to_do(guest):
    carry_out(guest, "a disk is to be replaced")
    assert "changed=0" in remote.site(guest, thin_pool_devices=["/dev/vdc"])


def test_a_full_pool_gets_what_is_left_and_then_another_disk_while_the_container_runs_on(guest):
    carry_out(guest, "the pool is full")
    started = "docker inspect -f '{{.State.StartedAt}}' web; lvs --noheadings -o lv_size vgdocker/thinpool"
    before = guest.ssh(started).stdout.split()
    remote.site(guest, thin_pool_devices=["/dev/vdc", "/dev/vdd"], verify_smoke_test=False)
    after = guest.ssh(started).stdout.split()
    assert after[0] == before[0]
    assert after[1] != before[1]
    told = json.loads(guest.ssh("lvs --reportformat json -o lv_health_status vgdocker/thinpool").stdout)
    assert told["report"][0]["lv"] == [{"lv_health_status": ""}]


def test_back_by_hand(guest):
    carry_out(guest, "back by hand")
