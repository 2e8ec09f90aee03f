"""Hosts with containerd, as values for the planner."""

import states
from docker_hosts import FRESH, UNIT, WANTED, lines

from module_utils.direct_lvm.model.host import Containerd, Docker, DockerInfo, SwitchRecord, Unit
from module_utils.direct_lvm.model.spec import ContainerdStorage
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts.containerd_config import checksum, config_version, with_import
from module_utils.direct_lvm.texts.own_files import containerd_config, containerd_dropin

CONFIG = "/etc/containerd/config.toml"
OWN = "/etc/containerd/conf.d/direct-lvm.toml"
CONF = "/etc/systemd/system/containerd.service.d/direct-lvm.conf"
ROOT = "/var/lib/containerd/devmapper"
POOL = "vgdocker-thinpool"
SNAPSHOTTER = ContainerdStorage(OWN, CONF)
DEBIAN = "version = 2\n\n[plugins]\n"
SERVICE = Unit("loaded", "active", False, (), "/usr/bin/containerd")
PROGRAM = "/usr/bin/containerd"
STOCK = Containerd(SERVICE, plugin="skip", problem="devmapper not configured", program=PROGRAM, config_text=DEBIAN)


def configured(config=DEBIAN, **changes):
    """A containerd on the pool, in the desired state, with its configuration read."""
    text = with_import(config, OWN)
    own = containerd_config(states.ARTICLE, SNAPSHOTTER, config_version(text))
    dropin = containerd_dropin(states.ARTICLE, SNAPSHOTTER, checksum(own))
    unit = SERVICE._replace(environment=(dropin.splitlines()[-1][len("Environment=") :],))
    there = Containerd(unit, plugin="ok", program=PROGRAM, config_text=text, own_text=own, dropin_text=dropin, databases=(POOL,))
    return there._replace(**changes)


READY = configured()
ON_IT = DockerInfo("26.1.5+dfsg1", "devmapper", (("driver-type", "io.containerd.snapshotter.v1"),), "/var/lib/docker", 0, 0)
OVERLAY = DockerInfo("26.1.5+dfsg1", "overlay2", (), "/var/lib/docker", 0, 0)
NEW = FRESH._replace(version="26.1.5+dfsg1", info=OVERLAY, can=False)
STORE = '{\n    "features": {\n        "containerd-snapshotter": true\n    },\n    "storage-driver": "devmapper"\n}\n'
THERE = Docker("26.1.5+dfsg1", UNIT, ON_IT, daemon_json=STORE, former=SwitchRecord("done", "overlay2"))
RELOAD = ["systemctl daemon-reload", "systemctl reset-failed containerd.service"]
RESTART = [*RELOAD, "systemctl restart containerd.service", "ctr plugins ls"]


def host(containerd, docker, state="07-complete-profile-attached", used=0.0, pools=None):
    """A host whose pool is finished, with that containerd and Docker."""
    found = states.tagged(states.host("bookworm", state))._replace(profile_text=states.PROFILE)
    lvs = tuple(lv._replace(data_percent=used) if lv.segtype == "thin-pool" else lv for lv in found.lvm.lvs)
    named = ((POOL,) if containerd.own_text else ()) if pools is None else pools
    return found._replace(lvm=found.lvm._replace(lvs=lvs), containerd=containerd, docker=docker, snapshotter_pools=named)


def both(docker=WANTED, **pool):
    return states.spec(**pool)._replace(docker=docker, containerd=SNAPSHOTTER)


def due(containerd, docker, spec=None, **there):
    """The planned lines for both on a host whose pool is finished."""
    return lines(plan.plan(spec or both(), host(containerd, docker, **there)).steps)
