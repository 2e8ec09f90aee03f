"""Removing: what carries our tag and nobody uses, and nothing else."""

import pytest
import states

from module_utils.direct_lvm import plan, report
from module_utils.direct_lvm.model import Docker, DockerInfo, DockerStorage, Refused

DROPIN = "/etc/systemd/system/docker.service.d/daemon.conf"
SPEC = states.spec()._replace(present=False, docker=DockerStorage("auto", DROPIN, ""))
ZERO = "dd if=/dev/zero of=/dev/vdb bs=1M count=1 seek=%d oflag=seek_bytes conv=notrunc,fsync"
ALL = ["lvremove --yes vgdocker/thinpool", "vgremove vgdocker", "pvremove /dev/vdb", ZERO % (30 * 2**30 - 2**20), ZERO % 0]
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"
ON_POOL = DockerInfo("20.10.24", "devicemapper", (("Pool Name", "vgdocker-thinpool"),), "/var/lib/docker", 0, 0)


def finished(**changes):
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    return host._replace(**dict({"profile_text": states.PROFILE, "docker": Docker(None)}, **changes))


def with_pool(host, **changes):
    lvs = tuple(lv._replace(**changes) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs))


def due(host, spec=SPEC):
    return [" ".join(step.get("argv", ())) or step["file"] for step in report.describe(plan.plan(spec, host))]


@pytest.mark.parametrize(
    ("host", "steps"),
    [
        (finished(), [*ALL, PROFILE]),
        (finished(profile_text="written by hand\n"), ALL),
        (states.tagged(states.host("bookworm", "02-vg")), ALL[1:]),
        (
            states.tagged(states.host("bookworm", "04-data-and-meta-not-converted")),
            [ALL[0], "lvremove --yes vgdocker/thinpoolmeta", *ALL[1:]],
        ),
        (states.tagged(states.host("bookworm", "28-vg-with-foreign-lv")), []),
        (states.host("bookworm", "00-blank"), []),
        (states.host("bookworm", "19-disk-ext4"), []),
        (states.host("bookworm", "01-pv-only"), []),
    ],
    ids=[
        "finished",
        "foreign-profile",
        "vg-only",
        "plain-lvs",
        "foreign-lv-stays",
        "blank",
        "ext4",
        "foreign-orphan-pv",
    ],
)
def test_removed(host, steps):
    assert due(host) == steps


def test_our_orphan_pv_is_removed():
    host = states.host("bookworm", "01-pv-only")
    pv = host.lvm.pvs[0]._replace(uuid=states.OUR_UUID)
    assert due(host._replace(lvm=host.lvm._replace(pvs=(pv,)))) == ALL[2:]


def test_what_stays_is_told():
    host = states.tagged(states.host("bookworm", "28-vg-with-foreign-lv"))
    assert plan.warnings(SPEC, host) == ("VG vgdocker stays: it holds other, which this tool did not make.",)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (states.host("bookworm", "07-complete-profile-attached"), "was not made by this tool"),
        (finished(docker=Docker("20.10.24", info=ON_POOL)), "Docker uses pool vgdocker/thinpool"),
        (finished(docker=Docker("20.10.24", daemon_json='{"x": "/dev/mapper/vgdocker-thinpool"}')), "daemon.json still tells"),
        (finished(docker=Docker("20.10.24", dropin_text="--x=/dev/mapper/vgdocker-thinpool")), "still tells Docker"),
        (finished(snapshotter_pools=("vgdocker-thinpool",)), "containerd is configured"),
        (with_pool(finished(), open=True), "thin volumes of it are active"),
        (with_pool(finished(), data_percent=12.5), "thin_pool_remove_data: true"),
        (with_pool(finished(), data_percent=None, active=False), "its use is not known"),
        (
            states.tagged(states.host("bookworm", "11-thinpool-is-linear-lv-with-ext4"), lvs=False),
            "plain LV without our tag",
        ),
        (states.tagged(states.host("bookworm", "25-vg-exported")), "exported"),
        (states.tagged(states.host("bookworm", "26-vg-missing-pv")), "missing PVs"),
    ],
    ids=[
        "untagged",
        "docker",
        "daemon-json",
        "dropin",
        "containerd",
        "open",
        "used",
        "inactive",
        "foreign-lv",
        "exported",
        "missing",
    ],
)
def test_refused(host, sentence):
    with pytest.raises(Refused) as refusal:
        due(host)
    assert sentence in str(refusal.value)


def test_a_used_pool_goes_when_that_is_asked_for():
    spec = SPEC._replace(pool=SPEC.pool._replace(remove_data=True))
    assert due(with_pool(finished(), data_percent=12.5), spec) == [*ALL, PROFILE]
