"""Hosts with a pool that needs a check or a repair, as values for the planner."""

import states
from pools_on_disks import pool_on

from module_utils.direct_lvm.model.host import Docker, DockerInfo, Unit
from module_utils.direct_lvm.model.spec import ContainerdStorage

DEVICE = "vgdocker-thinpool"
SPEC = states.spec(devices=())._replace(
    goal="repair", containerd=ContainerdStorage("/etc/containerd/conf.d/direct-lvm.toml", "", "", "")
)


def unit(state, text=""):
    """A service that is installed. text: of its drop-in."""
    return Unit("loaded", state, False, (("/lib/x.service", "[Service]\n"), ("/etc/x.conf", text)), "x", True, True)


def docker(state="active", driver="devicemapper", pool=DEVICE, text="", **more):
    """A Docker. driver None: its daemon does not answer."""
    status = (("Pool Name", pool),) if driver == "devicemapper" else (("driver-type", "io.containerd.snapshotter.v1"),)
    info = DockerInfo("20.10.24", driver, status, "/var/lib/docker", 1, 2) if driver else None
    return Docker("20.10.24", unit(state, text), info, **more)


def host(docker=None, spare=True, thin=False, moving=None, extra="", containerd=None, free=None, **changes):
    """The recorded pool, changed, with Docker on the host."""
    found = pool_on("/dev/vdb") if moving is None else pool_on("/dev/vdb", "/dev/vdc", moving=moving)
    lvs = [lv._replace(**changes) if lv.name == "thinpool" else lv for lv in found.lvm.lvs]
    if not changes.get("active", True):
        lvs = [lv._replace(active=False) for lv in lvs]
    lvs = [lv for lv in lvs if spare or not lv.name.endswith("_pmspare")]
    meta = next(lv for lv in lvs if lv.name == "thinpool_tmeta")
    if thin:
        lvs.append(meta._replace(name="theirs", hidden=False, segtype="thin", pool_lv="thinpool"))
    if extra:
        lvs.append(meta._replace(name=extra, hidden=False))
    vg = found.lvm.vgs[0] if free is None else found.lvm.vgs[0]._replace(free=free)
    pools = (DEVICE,) if containerd else ()
    lvm = found.lvm._replace(lvs=tuple(lvs), vgs=(vg,))
    return found._replace(lvm=lvm, disks=(), docker=docker, containerd=containerd, snapshotter_pools=pools)
