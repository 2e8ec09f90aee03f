"""What an operator is told about a pool: the situation, and the sentences that are due, in order."""

import pytest
import states
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.apply.spec import read_watched
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import ADDRESS, Containerd, Docker, DockerInfo, SwitchRecord, Unit
from module_utils.direct_lvm.plan import health, plan

POOL = states.ARTICLE
OFF = POOL._replace(autoextend_threshold=100)  # the article's sizes have no room to grow; that is told in tests of its own
STATUS = (("Pool Name", "vgdocker-thinpool"), ("Pool Blocksize", "524.3kB"), ("Backing Filesystem", "xfs"))
PROFILE = "activation {\n\tthin_pool_autoextend_threshold=%d\n\tthin_pool_autoextend_percent=%d\n}\n"
INFO = DockerInfo("20.10.24", "devicemapper", STATUS, "/var/lib/docker", 0, 0)
UNIT = Unit("loaded", "active", False, ())
ON_POOL = Docker("20.10.24", unit=UNIT, info=INFO)


def finished(docker=ON_POOL, missing_pvs=0, threshold=100, **changes):
    """The article's pool, complete, used by Docker, with changes to the pool's LV; threshold: of its policy."""
    host = states.host("bookworm", "07-complete-profile-attached")
    lvs = tuple(lv._replace(**changes) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    vgs = tuple(vg._replace(missing_pvs=missing_pvs) for vg in host.lvm.vgs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs, vgs=vgs), docker=docker, profile_text=PROFILE % (threshold, 20))


def on(driver, *status):
    """Docker that runs on another driver."""
    return ON_POOL._replace(info=INFO._replace(driver=driver, status=status))


SNAPSHOTTER = on("devmapper", ("driver-type", "io.containerd.snapshotter.v1"))


def snapshotter(docker, plugin="ok", problem="", pools=("vgdocker-thinpool",), address=ADDRESS):
    """The pool used by containerd's snapshotter, as its configuration and its status say."""
    seen = Containerd(UNIT, address, plugin, problem)
    return finished(docker=docker)._replace(snapshotter_pools=pools, containerd=seen)


def silent(**unit):
    """Docker that does not answer."""
    return Docker(None, unit=UNIT._replace(**unit), problem="docker.service is failed")


def stray(used, active=True):
    """A pool beside an LV of its metadata's name, as a set-up that was run twice leaves it."""
    host = states.host("bookworm", "33-metadata-swapped-by-naive-rerun")
    lvs = tuple(lv._replace(data_percent=used, active=active) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs), profile_text=PROFILE % (100, 20))


SITUATIONS = {
    "all is well": (finished(), []),
    "autoextend off and not a step left": (finished(data_percent=85.0), []),
    "data nearly full": (finished(data_percent=90.1), ["critical data Data of pool vgdocker/thinpool is 90.1 % full."]),
    "data at the limit": (finished(data_percent=90.0), []),
    "metadata nearly full": (finished(metadata_percent=80.5), ["critical metadata Metadata of pool vgdocker/thinpool is 80.5 %"]),
    "metadata at the limit": (finished(metadata_percent=80.0), []),
    "not monitored": (finished(monitored=False), ["warning monitoring Pool vgdocker/thinpool is not monitored"]),
    "LVM watches nothing": (
        finished(monitored=None),
        ["warning monitoring Pool vgdocker/thinpool is not monitored: nobody extends it when it fills up. At once: set "],
    ),
    "discards ignored": (
        finished(discards="ignore"),
        ["warning pool Pool vgdocker/thinpool has discards=ignore, wanted passdown. The blocks of files and images that were"],
    ),
    "discards kept from the disks": (
        finished(discards="nopassdown"),
        ["warning pool Pool vgdocker/thinpool has discards=nopassdown, wanted passdown. Run playbooks/site.yml."],
    ),
    "no profile": (finished(profile=""), ["warning monitoring Pool vgdocker/thinpool carries no policy, wanted docker-thinpool"]),
    "another profile": (finished(profile="x"), ["warning monitoring Pool vgdocker/thinpool carries the policy x, wanted"]),
    "profile file gone": (
        finished()._replace(profile_text=None),
        ["warning monitoring /etc/lvm/profile/docker-thinpool.profile is not there"],
    ),
    "profile of other numbers": (
        finished()._replace(profile_text=PROFILE % (95, 20)),
        ["warning monitoring /etc/lvm/profile/docker-thinpool.profile says threshold 95 %, percent 20, wanted 100 and 20."],
    ),
    "profile without numbers": (
        finished()._replace(profile_text="# thin_pool_autoextend_threshold=100\n"),
        ["warning monitoring /etc/lvm/profile/docker-thinpool.profile says threshold None %, percent None, wanted"],
    ),
    "inactive": (
        finished(active=False, monitored=None, data_percent=None, metadata_percent=None),
        ["critical pool Pool vgdocker/thinpool is not active"],
    ),
    "failed": (finished(health="failed"), ["critical pool LVM reports the health of pool vgdocker/thinpool as failed"]),
    "needs a check": (finished(check_needed=True), ["critical pool Pool vgdocker/thinpool needs a check"]),
    "a disk is gone": (finished(missing_pvs=1), ["critical pool VG vgdocker is missing 1 of its PVs"]),
    "docker not installed": (finished(docker=Docker(None, unit=UNIT._replace(load_state="not-found"))), []),
    "docker not asked": (finished(docker=None), []),
    "docker failed": (
        finished(docker=silent(active_state="failed")),
        ["critical engine Docker does not answer: docker.service is failed."],
    ),
    "docker on overlay2": (finished(docker=on("overlay2")), ["warning engine Docker's containers are on overlay2, not on pool"]),
    "docker on loop files": (
        finished(docker=on("devicemapper", ("Data loop file", "/var/lib/docker/devicemapper/devicemapper/data"))),
        ["warning engine Docker's containers are on loop-lvm, not on pool"],
    ),
    "docker on another pool": (
        finished(docker=on("devicemapper", ("Pool Name", "vg-other"))),
        ["warning engine Docker's containers are on pool vg-other, not on pool vgdocker/thinpool"],
    ),
    "docker on the pool with another block size": (
        finished(docker=on("devicemapper", *[(name, value.replace("524.3kB", "65.54kB")) for name, value in STATUS])),
        ["warning engine docker info: Pool Blocksize is 65.54kB, wanted 524.3kB."],
    ),
    "docker on the snapshotter": (snapshotter(SNAPSHOTTER), []),
    "docker on a snapshotter of another pool": (
        snapshotter(SNAPSHOTTER, pools=("vg-other",)),
        ["warning engine Docker's containers are on another pool, not on pool vgdocker/thinpool"],
    ),
    "containerd alone, docker on overlay2": (snapshotter(on("overlay2")), []),
    "containerd alone, docker stopped": (snapshotter(silent(active_state="inactive")), []),
    "containerd alone, docker failed": (
        snapshotter(silent(active_state="failed")),
        ["critical engine Docker does not answer: docker.service is failed."],
    ),
    "containerd alone, no docker": (snapshotter(None), []),
    "the snapshotter does not work": (
        snapshotter(SNAPSHOTTER, plugin="skip"),
        ["critical engine containerd's devmapper snapshotter does not work: its status is skip. See: ctr plugins ls"],
    ),
    "the snapshotter skipped, on another socket": (
        snapshotter(None, plugin="skip", address="/run/a b/containerd.sock"),
        [
            "critical engine containerd's devmapper snapshotter does not work: its status is skip. "
            "See: ctr --address '/run/a b/containerd.sock' plugins ls"
        ],
    ),
    "containerd does not answer": (
        snapshotter(None, plugin=None, problem="containerd.service is failed"),
        ["critical engine containerd's devmapper snapshotter does not work: containerd.service is failed. See: ctr plugins ls"],
    ),
    "switch cut off": (
        finished(docker=ON_POOL._replace(former=SwitchRecord("begun", "overlay2"))),
        ["warning engine A switch of Docker's storage was cut off half-way."],
    ),
    "the worst comes first": (
        finished(monitored=False, metadata_percent=99.0),
        ["critical metadata Metadata of", "warning monitoring Pool vgdocker/thinpool is not monitored"],
    ),
    "nothing there": (states.host("bookworm", "00-blank"), ["warning pool There is no thin pool vgdocker/thinpool."]),
    "a plain LV of that name": (states.host("bookworm", "03-data-lv-only"), ["warning pool There is no thin pool"]),
    "a stray metadata LV": (
        stray(12.5),
        [
            "warning reserve vgdocker/thinpoolmeta stands beside the pool and takes 304.00m of its reserve",
        ],
    ),
    "metadata swapped out": (
        stray(0.0),
        [
            "critical pool vgdocker/thinpoolmeta stands beside pool vgdocker/thinpool, which looks empty: it may hold",
        ],
    ),
    "metadata swapped out of an inactive pool": (
        stray(None, active=False),
        [
            "critical pool vgdocker/thinpoolmeta stands beside pool vgdocker/thinpool, which does not tell whether it is empty",
            "critical pool Pool vgdocker/thinpool is not active",
        ],
    ),
}


@pytest.mark.parametrize(("host", "due"), list(SITUATIONS.values()), ids=list(SITUATIONS))
def test_what_is_told(host, due):
    told = [" ".join(finding) for finding in health.findings(OFF, host)]
    assert len(told) == len(due), told
    for line, start in zip(told, due):
        assert line.startswith(start)


@pytest.mark.parametrize(("used", "severity"), [(79.0, "warning"), (81.0, "critical")], ids=["not due yet", "due already"])
def test_growth_that_cannot_happen_is_worse_once_it_is_due(used, severity):
    (finding,) = health.findings(POOL, finished(threshold=80, data_percent=used))
    assert (finding.severity, finding.subject) == (severity, "reserve")
    assert "autoextend can never run" in finding.sentence


def test_the_danger_is_the_worst_per_subject():
    found = [health.Finding(health.CRITICAL, "pool", "a"), health.Finding(health.WARNING, "pool", "b")]
    assert health.danger(found) == health.danger(found[::-1]) == {"pool": "critical"}
    assert health.danger([*found, health.Finding(health.WARNING, "data", "c")]) == {"pool": "critical", "data": "warning"}
    assert health.danger([]) == {}


REPAIR = "Check and repair it; Docker stops for a while: ansible-playbook playbooks/repair.yml -e thin_pool_repair_confirmed=true"
FULL_VG = "VG vgdocker has no room to extend it: name another blank disk in thin_pool_devices, and run playbooks/grow.yml. "
FULL_VG += "At once: vgextend vgdocker /dev/DISK"


@pytest.mark.parametrize(
    ("changes", "free", "todo"),
    [
        ({"health": "failed"}, 40, REPAIR),
        ({"health": "metadata_read_only"}, 40, REPAIR),
        ({"check_needed": True}, 40, REPAIR),
        ({"health": "out_of_data"}, 40, "Extend it: lvextend --extents +40 vgdocker/thinpool"),
        ({"health": "out_of_data"}, 0, FULL_VG),
        ({"data_percent": 91.0}, 40, "Extend it: lvextend --extents +40 vgdocker/thinpool"),
        ({"data_percent": 91.0}, 0, FULL_VG),
        ({"metadata_percent": 91.0}, 200, "Extend them: lvextend --poolmetadatasize +304m vgdocker/thinpool"),
        ({"metadata_percent": 91.0}, 41, "Extend them: lvextend --poolmetadatasize +80m vgdocker/thinpool"),
        ({"metadata_percent": 91.0}, 1, FULL_VG),
        ({"metadata_percent": 100.0}, 41, REPAIR),
        ({"metadata_percent": 100.0}, 1, FULL_VG),
        ({"health": "something new"}, 40, "See lvmthin(7)."),
    ],
    ids=[
        "failed",
        "read-only",
        "check-needed",
        "out-of-data",
        "out-of-data-without-room",
        "data",
        "data-without-room",
        "metadata",
        "metadata-with-little-room",
        "metadata-without-room",
        "metadata-quite-full",
        "metadata-quite-full-without-room",
        "unknown",
    ],
)
def test_a_pool_in_trouble_is_told_with_the_command_that_helps(changes, free, todo):
    host = finished(**changes)
    host = host._replace(lvm=host.lvm._replace(vgs=tuple(vg._replace(free=free) for vg in host.lvm.vgs)))
    (finding,) = health.lasting(OFF, host)
    assert finding.sentence.endswith(" " + todo), finding.sentence


def test_a_run_tells_only_what_it_does_not_put_right_itself():
    host = states.tagged(finished(monitored=False, profile="", data_percent=95.0))
    (told,) = plan.plan(states.spec(autoextend_threshold=100), host).warnings
    assert told.startswith("Data of pool vgdocker/thinpool is 95.0 % full. ")
    assert len(health.findings(OFF, host)) == 3


@given(st.floats(0, 100), st.floats(0, 100), st.booleans(), st.integers(50, 100))
def test_every_danger_has_a_sentence_and_the_other_way_round(data, metadata, monitored, threshold):
    host = finished(threshold=threshold, data_percent=data, metadata_percent=metadata, monitored=monitored)
    found = health.findings(POOL._replace(autoextend_threshold=threshold), host)
    assert {finding.subject for finding in found} == set(health.danger(found))
    assert len({finding.sentence for finding in found}) == len(found)
    order = [finding.severity for finding in found]
    assert order == sorted(order)
    assert ("monitoring" in health.danger(found)) == (not monitored)


WATCHED = {
    "vg": "vgdocker",
    "name": "thinpool",
    "autoextend_threshold": 80,
    "autoextend_percent": 20,
    "profile_name": "docker-thinpool",
    "discards": "passdown",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"autoextend_threshold": 0}, "autoextend_threshold: 0 is out of range, 50 to 100"),
        ({"autoextend_percent": 101}, "autoextend_percent: 101 is out of range, 1 to 100"),
        ({"vg": "../x"}, "vg: '../x'"),
        ({"name": "a\0b"}, "name: 'a"),
        ({"profile_name": "../../passwd"}, "profile_name"),
    ],
    ids=["threshold", "percent", "vg", "name", "profile"],
)
def test_what_cannot_be_watched_is_refused(changes, words):
    assert read_watched(WATCHED).autoextend_threshold == 80
    with pytest.raises(Refused) as raised:
        read_watched(dict(WATCHED, **changes))
    assert words in str(raised.value)
