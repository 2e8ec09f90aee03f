"""On a real guest: a pool that ignores discards, on which containerd's devmapper snapshotter keeps what removed containers had.

.venv/bin/python3 -m pytest tests/guest/test_discards.py
"""

import pytest
import remote

IGNORE = """printf 'allocation {\\n thin_pool_discards = "ignore"\\n}\\n' > /etc/lvm/lvmlocal.conf"""
DEVICES = "dmsetup ls --target thin | grep -c vgdocker-thinpool-snap"


@pytest.fixture(scope="module")
def guest(boot):
    """A guest with Docker on overlay2 and an image, whose LVM ignores discards."""
    one = boot("discards", release="trixie", disks=("4G",))
    remote.install(one)
    one.ssh("docker import -c 'CMD [\"sh\"]' /usr/local/share/busybox.tar app:1 > /dev/null")
    one.ssh(IGNORE)
    return one


def start(guest, name):
    """A container that has written something, and runs."""
    guest.ssh("docker run -d --name %s app:1 sh -c 'dd if=/dev/zero of=/file bs=1M count=8; sync; exec sleep 100000'" % name)
    assert int(guest.ssh(DEVICES).stdout) == 1


def left(guest, seconds):
    """How many thin devices there still are after so many seconds, 0 as soon as there is none."""
    loop = "for n in $(seq %d); do [ $(%s) = 0 ] && break; sleep 1; done; %s" % (seconds, DEVICES, DEVICES)
    return int(guest.ssh(loop, check=False).stdout)


def refused(guest, **wanted):
    """The text of the refusal, and the commands that it has for the host."""
    told = remote.run(guest, docker=True, **wanted)["msg"]
    assert "and is in use: LVM changes that only while the pool is not active." in told
    return told, told.split("run again:\n")[1]


def test_a_pool_made_under_ignore_passes_discards_down_and_drift_is_corrected_by_what_the_refusal_prints(guest):
    done = remote.run(guest, docker=True)
    assert "msg" not in done, done["msg"]
    assert done["host"]["pool"]["discards"] == "passdown"
    assert guest.ssh("lvs --noheadings -o kernel_discards vgdocker/thinpool").stdout.strip() == "passdown"
    start(guest, "web")
    told, way_out = refused(guest, discards="ignore")
    assert "pool vgdocker/thinpool has discards=passdown, wanted ignore" in told
    guest.ssh("docker rm -f web")
    assert left(guest, 60) == 0

    start(guest, "web")
    guest.ssh(way_out)
    assert remote.run(guest, docker=True, discards="ignore")["changed"] is False
    guest.ssh("docker start web")
    told, way_out = refused(guest)
    assert "keeps the devices of removed containers for ever" in told
    status = remote.run(guest, module="direct_lvm_info")["host"]
    assert status["danger"] == {"pool": "warning"}, status
    assert "discards=ignore, wanted passdown" in str(status["warnings"])
    guest.ssh("docker rm -f web")
    assert left(guest, 30) == 1, "with ignore it goes too: this test proves nothing"

    guest.ssh(way_out)
    after = remote.run(guest, docker=True)
    assert "msg" not in after, after
    assert (after["changed"], after["host"]["pool"]["discards"]) == (False, "passdown")
    start(guest, "again")
    guest.ssh("docker rm -f again")
    assert left(guest, 60) == 0
    assert remote.run(guest, module="direct_lvm_info")["host"]["danger"] == {}


def test_a_pool_that_nobody_uses_at_the_moment_is_corrected_without_a_word(guest):
    """containerd runs, and has no device open."""
    guest.ssh("lvchange -an {0} && lvchange --discards ignore {0} && lvchange -ay {0}".format("vgdocker/thinpool"))
    done = remote.run(guest, docker=True)
    assert [step["argv"][1:3] for step in done["steps"]] == [
        *(["--activate", "n"], ["--discards", "passdown"], ["--activate", "y"]),
    ]
    start(guest, "later")
    guest.ssh("docker rm -f later")
    assert left(guest, 60) == 0
