# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a switch that keeps the containers needs to know: their records, what is on the pool's side already, the daemon's flags."""

import os
import re

from ..host import commands, files, trees, writable_layer
from ..model import engines
from ..model.host import Live
from ..model.names import DOCKER_ID, OURS, SHADOW
from ..texts import container_record
from . import docker_content
from .containerd import docker_address
from .docker_root import container_config, entries, open_transaction

LABEL = "direct-lvm.container"  # on what the second daemon makes: whose file system that is
USED = "used"  # a file in the second daemon's folder: see Live.shadow
# What keeps a second daemon from touching the first one's network and containers (moby, cmd/dockerd/config_unix.go).
FLAGS = (
    ("--config-file", "--data-root", "--exec-root", "--pidfile", "--group", "--bridge", "--iptables", "--ip-forward", "--ip-masq")
    + ("--userland-proxy", "--containerd", "--containerd-namespace", "--containerd-plugins-namespace")
    + ("--storage-driver", "--storage-opt")
)


def observe(docker, program):
    """The Live of a Docker. program: its daemon's, as a unit names it.

    Raises Refused for a container whose record cannot be read, or whose files could not be brought.
    """
    path = commands.find(program) if program else None
    printed = commands.run((path, "--help"), timeout=60, ok=None).out if path else ""
    flags = set(re.findall(r"--[a-z0-9-]+", printed))
    listed = [one.id for one in docker.containers]
    listed += [number for number, _state in (docker.former.kept if docker.begun() else ()) if number not in listed]
    if not engines.keeps_containers(docker.version):
        listed = []  # their records may be others
    records = [record for record in (observe_record(docker.root, number) for number in listed) if record is not None]
    status = os.statvfs(docker.root)
    return Live(
        records=tuple(container_record.with_needs(records)),
        known=tuple(sorted(labelled(os.path.join(docker.root, SHADOW)).values())),
        written=tuple((one.id, written(docker.root, one.id)) for one in records),
        unique=layer_bytes(docker.root),
        layers=tuple(one for one in entries(mounts_folder(docker.root, "devicemapper" + OURS)) if DOCKER_ID.match(one)),
        shadow=shadow(docker.root),
        transaction=open_transaction(os.path.join(docker.root, SHADOW), ()),
        program=path,
        lacks=tuple(flag for flag in FLAGS if flag not in flags),
        containerd=docker_address(docker),
        free=status.f_bavail * status.f_frsize,
    )


def observe_record(root, number):
    """The KeptContainer of a container, None when it is gone meanwhile. What it wrote is looked at, too: see check_layer()."""
    folder = os.path.join(root, "containers", number)
    texts = [files.read_text(os.path.join(folder, name)) for name in ("config.v2.json", "hostconfig.json")]
    if None in texts:
        return None
    record = container_record.parse(number, *texts)
    if record.driver == "overlay2":
        layer = layer_folder(root, number)
        if os.path.isdir(layer):
            writable_layer.check_layer(layer)
    return record


def written(root, number):
    """Bytes that a container on overlay2 wrote outside of volumes."""
    layer = layer_folder(root, number)
    return trees.tree_size(layer) if os.path.isdir(layer) else 0


def layer_bytes(root):
    """Bytes of the files of all layers that overlay2 has, each counted once (moby, layer/filestore.go, size)."""
    folder = os.path.join(root, "image/overlay2/layerdb/sha256")
    texts = [files.read_text(os.path.join(folder, name, "size")) for name in entries(folder)]
    return sum(commands.number((text or "").strip()) or 0 for text in texts)


def labelled(root):
    """{ID: the ID of the container for which it was made} of what a second daemon has in its data root."""
    found = {}
    for number in entries(root, "containers"):
        labels = docker_content.labels_of(container_config(root, number).get("Config"))
        if isinstance(labels.get(LABEL), str):
            found[number] = labels[LABEL]
    return found


def mounts_folder(root, driver):
    """Where a graph driver's layers of containers are noted (moby, layer/filestore.go)."""
    return os.path.join(root, "image", driver, "layerdb/mounts")


def mount_id(root, driver, number):
    """A graph driver's name for the layer of a container, "" without one."""
    return (files.read_text(os.path.join(mounts_folder(root, driver), number, "mount-id")) or "").strip()


def layer_folder(root, number):
    """The folder in which overlay2 keeps what a container wrote, "" when it has none (moby, graphdriver/overlay2)."""
    name = mount_id(root, "overlay2", number)
    return os.path.join(root, "overlay2", name, "diff") if name else ""


def shadow(root):
    """See Live.shadow."""
    names = entries(root, SHADOW)
    if "devicemapper" in names:
        return "unfinished"
    if not names:
        return ""
    return "used" if USED in names else "idle"
