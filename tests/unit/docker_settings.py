"""Units and configuration files of Docker."""

from states import recorded

from module_utils.direct_lvm.model.host import Unit
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.texts import units

FOLDER = "/etc/systemd/system/docker.service.d/"
OURS = FOLDER + "daemon.conf"
JSON = "/etc/docker/daemon.json"
VENDOR = "/usr/lib/systemd/system/docker.service"
DEFAULT = "/etc/default/docker"


def unit(name="debian-12-docker.io-20.10.24", dropins=(), state="inactive", socket=True, fragment=VENDOR, load="loaded"):
    """A Unit of a recorded service with drop-ins as (path, text)."""
    files = ((fragment, recorded("units", name, "docker.service")), *dropins)
    return Unit(load, state, False, files, units.exec_start(files, OURS)[1], socket, socket)


def dropin(name, *lines):
    return (FOLDER + name, "[Service]\n" + "\n".join(lines) + "\n")


MINE = (OURS, MANAGED + "\n[Service]\nExecStart=\nExecStart=/x --storage-driver=devicemapper --storage-opt dm.fs=xfs\n")
