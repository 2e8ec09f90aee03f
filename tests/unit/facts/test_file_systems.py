"""A host on which the engine could not make its file systems is refused before anything is touched."""

import pytest
import states
from containerd_hosts import NEW, ON_IT, READY, SNAPSHOTTER, STOCK, THERE
from pools_in_use import ON_POOL

from module_utils.direct_lvm.facts import containerd, disks, docker, lvm, observe
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Docker
from module_utils.direct_lvm.model.spec import PROVISION, ROLL_BACK, DockerStorage
from module_utils.direct_lvm.plan import plan

XFS = SNAPSHOTTER._replace(fs_type="xfs")
WANTED = DockerStorage("auto", "/etc/x.conf")
GRAPH = Docker("20.10.24", info=ON_IT._replace(driver="overlay2", status=()))


@pytest.mark.parametrize(
    ("wanted", "found", "there", "lacking"),
    [
        ((WANTED, SNAPSHOTTER), (NEW, STOCK), [], "mkfs.ext4"),
        ((WANTED, SNAPSHOTTER), (NEW, STOCK), ["mkfs.ext4"], None),
        ((WANTED, XFS), (NEW, STOCK), ["mkfs.ext4"], "mkfs.xfs"),
        ((WANTED, XFS), (NEW, STOCK), ["mkfs.xfs"], None),
        ((WANTED, XFS), (THERE, READY), [], "mkfs.xfs"),
        ((WANTED, SNAPSHOTTER._replace(fs_type="ext2")), (NEW, STOCK), ["mkfs.ext4"], "mkfs.ext2"),
        ((None, XFS), (Docker(None), STOCK), [], "mkfs.xfs"),
        ((WANTED, XFS), (Docker(None), STOCK._replace(unit=STOCK.unit._replace(load_state="not-found"))), [], None),
        ((WANTED, XFS), (GRAPH, STOCK), ["mkfs.ext4"], None),
        ((WANTED, XFS), (GRAPH, STOCK), ["mkfs.xfs"], None),
        ((WANTED, XFS), (GRAPH, STOCK), [], "mkfs.ext4"),
        ((WANTED._replace(options=(("dm.fs", "xfs"),)), XFS), (GRAPH, STOCK), ["mkfs.ext4"], "mkfs.xfs"),
        ((WANTED._replace(options=(("dm.fs", "xfs"),)), XFS), (GRAPH._replace(info=ON_POOL), STOCK), [], None),
        ((WANTED, XFS, ROLL_BACK), (THERE, READY), [], None),
        ((None, None), (None, None), [], None),
    ],
    ids=[
        "containerd-has-ext4-by-default",
        "ext4-is-there",
        "containerd-is-to-make-xfs",
        "xfs-is-there",
        "the-next-image-would-fail",
        "ext2",
        "containerd-alone",
        "no-engine-at-all",
        "docker-takes-ext4-without-xfs",
        "docker-takes-xfs-without-ext4",
        "docker-has-neither",
        "docker-is-told-to-make-xfs",
        "docker-has-made-its-own",
        "on-the-way-back",
        "pool-only",
    ],
)
def test_what_is_missing(monkeypatch, wanted, found, there, lacking):
    tools = [tool.name for tool in observe.TOOLS] + ["ctr", *there]
    state = states.host("bookworm", "07-complete-profile-attached")
    monkeypatch.setattr(commands, "find", lambda name: "/sbin/" + name if name in tools else None)
    monkeypatch.setattr(lvm, "ask", lambda: state.lvm)
    monkeypatch.setattr(disks, "observe_disk", lambda name, probe=True: state.disks[0])
    monkeypatch.setattr(docker, "observe_docker", lambda *_given: found[0])
    monkeypatch.setattr(containerd, "observe_containerd", lambda *_given, **_options: found[1])
    monkeypatch.setattr(containerd, "configured_pools", lambda *_asked: ())
    spec = states.spec()._replace(docker=wanted[0], containerd=wanted[1], goal=(*wanted[2:], PROVISION)[0])
    host = observe.observe(spec)
    assert [part.name for part in host.missing] == ([lacking] if lacking else [])
    if lacking:
        with pytest.raises(Refused) as refusal:
            plan.plan(spec, host)
        package = "xfsprogs" if lacking == "mkfs.xfs" else "e2fsprogs"
        assert lacking in refusal.value.what
        assert "apt-get install %s\nRHEL family: dnf install %s" % (package, package) in refusal.value.way_out
