"""Hosts whose pool Docker or containerd uses."""

import states
from docker_hosts import lines

from module_utils.direct_lvm.model.host import DockerInfo
from module_utils.direct_lvm.model.spec import DockerStorage
from module_utils.direct_lvm.plan import plan

DROPIN = "/etc/systemd/system/docker.service.d/daemon.conf"
SPEC = states.spec()._replace(goal="remove", docker=DockerStorage("auto", DROPIN, ""))
ZERO = "dd if=/dev/zero of=/dev/vdb bs=1M count=1 seek=%d oflag=seek_bytes conv=notrunc,fsync"
ALL = ["lvremove --yes vgdocker/thinpool", "vgremove vgdocker", "pvremove /dev/vdb", ZERO % (30 * 2**30 - 2**20), ZERO % 0]
ON_POOL = DockerInfo("20.10.24", "devicemapper", (("Pool Name", "vgdocker-thinpool"),), "/var/lib/docker", 0, 0)


def due(host, spec=SPEC):
    return lines(plan.plan(spec, host).steps)
