"""Hosts with Docker, as values for the planner, and the short form of planned steps."""

import json

import states

from module_utils.direct_lvm.apply import report
from module_utils.direct_lvm.model.host import Container, Docker, DockerInfo, Image, SwitchRecord, Unit
from module_utils.direct_lvm.model.spec import PROVISION, DockerStorage
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import own_files, switch_record

DROPIN = "/etc/systemd/system/docker.service.d/daemon.conf"
RECORD = switch_record.PATH
VENDOR = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"
WANTED = DockerStorage("auto", DROPIN)
JSON = WANTED._replace(config="daemon_json")
JSON_TEXT = own_files.docker_dropin(states.ARTICLE, JSON, VENDOR)
SETTINGS = json.dumps(own_files.docker_settings(states.ARTICLE, JSON))
TEXT = own_files.docker_dropin(states.ARTICLE, WANTED, VENDOR)
UNIT = Unit("loaded", "active", False, (), VENDOR, socket_active=True, socket_exists=True)
OFF = UNIT._replace(active_state="inactive")
OVERLAY = DockerInfo("20.10.24+dfsg1", "overlay2", (("Backing Filesystem", "extfs"),), "/var/lib/docker", 0, 0)
ON_POOL = DockerInfo(
    "20.10.24+dfsg1",
    "devicemapper",
    (("Pool Name", "vgdocker-thinpool"), ("Pool Blocksize", "524.3kB"), ("Backing Filesystem", "xfs")),
    "/var/lib/docker",
    0,
    0,
)
LOOP = ON_POOL._replace(status=(("Pool Name", "docker-254:0-1-pool"), ("Data loop file", "/var/lib/docker/devicemapper/x")))
OLD_POOL = ON_POOL._replace(status=(("Pool Name", "old-pool"),))
FRESH = Docker("20.10.24+dfsg1", UNIT, OVERLAY, archive_free=10**12, root_state=("overlay2",))
DONE = Docker("20.10.24+dfsg1", UNIT, ON_POOL, dropin_text=TEXT, former=SwitchRecord("done", "overlay2"))
BUSYBOX = Image("sha256:" + "b" * 64, ("busybox:1", "busybox:latest"), 1500000)
DANGLING = Image("sha256:" + "d" * 64, (), 3000000)
WEB = Container("c" * 64, "web", "busybox:1", "Up 2 hours", True)
BATCH = Container("e" * 64, "batch", "busybox:1", "Exited (0) 2 days ago", False)
CORE = ["systemctl daemon-reload", "systemctl reset-failed docker.service"]
CORE += ["systemctl start docker.socket docker.service", "docker info"]
STOP = "systemctl stop docker.socket docker.service"
EARLY = [DROPIN, *CORE[:2], STOP, *CORE[2:]]
ARCHIVE = ["archive " + BUSYBOX.id, "archive " + DANGLING.id]
LOAD = ["load " + BUSYBOX.id, "load " + DANGLING.id, RECORD]
SAME = ("devicemapper", "image/devicemapper", "containers")


def host(docker, state="07-complete-profile-attached", used=0.0, transaction=None):
    """A host whose pool is finished, with that Docker."""
    found = states.tagged(states.host("bookworm", state))._replace(profile_text=states.PROFILE)
    lvs = tuple(lv._replace(data_percent=used) if lv.segtype == "thin-pool" else lv for lv in found.lvm.lvs)
    return found._replace(docker=docker, lvm=found.lvm._replace(lvs=lvs), transaction=transaction)


def lines(steps):
    """Steps as short lines."""
    shown = []
    for step in report.describe(steps):
        kind = next(key for key in step if key not in ("kind", "why", "size"))
        value = " ".join(step[kind]) if isinstance(step[kind], list) else step[kind]
        shown.append(value if kind in ("argv", "file", "check") else "%s %s" % (kind, value))
    return shown


def due(docker, wanted=WANTED, goal=PROVISION, **there):
    """The planned lines for Docker on a host whose pool is finished."""
    return lines(plan.plan(states.spec()._replace(docker=wanted, goal=goal), host(docker, **there)).steps)
