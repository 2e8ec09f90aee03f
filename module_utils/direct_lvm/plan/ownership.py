# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pool and Docker's own metadata belong together: what of the one may meet what of the other. Pure.

Docker keeps, below its data root, which thin device of the pool is which image, and counts its changes in the pool's
transaction id: it writes the next number into its metadata, changes the pool, then sets the pool's (moby,
daemon/graphdriver/devmapper/deviceset.go, openTransaction). So the metadata of a pool are at its number or one ahead.
A pool with data and no metadata is refused by Docker itself ("Unable to take ownership of thin-pool that already has
used data blocks").
"""

import os

from ..model.errors import Refused
from ..model.names import FORMER, OURS, SAME_DRIVER_FOLDERS, device_name, full
from ..model.quoting import paste
from .docker_switch import is_loop
from .thin_pool import from_elsewhere


def check_pair(spec, host, former):
    """Raise Refused unless the pool and the metadata that Docker will find go together.

    former: the SwitchRecord that a switch would go back to. A pool that is not made yet is empty; of one that is
    not active nothing can be told, and the question is asked again once it is.
    """
    pool, docker = spec.pool, host.docker
    path, name, lv = "%s/devicemapper" % docker.root, full(pool), host.lvm.thin_pool(pool)
    if device_name(pool) in host.snapshotter_pools:
        raise Refused(
            "containerd is configured to use pool %s, and two owners would hand out the same thin device ids twice." % name,
            "Choose another pool for Docker: thin_pool_name: thinpool2\n"
            "Or take this one away from containerd first; what it reads: containerd --config %s config dump | grep pool_name"
            % paste(docker.containerd_config),
        )
    check_set_aside(docker, former)
    if lv and not lv.active:
        return
    used, at = (lv.data_percent or 0.0, host.transaction) if lv else (0.0, 0)
    where = which_metadata(docker, former)
    # A folder alone is none: Docker writes its transaction before it makes the first device.
    if used and (where is None or docker.transaction is None):
        raise Refused(
            "pool %s holds data (%.2f %%) and there is no metadata for it in %s: nobody can tell what the data are, and Docker "
            "refuses such a pool.%s" % (name, used, path, from_elsewhere(pool, host)),
            "If %s was emptied or moved, bring it back from a backup.\n%s" % (path, afresh(docker)),
        )
    check_image_records(docker, former, where)
    if where is None or None in (docker.transaction, at):
        return
    if docker.transaction < at:
        raise Refused(
            "pool %s is at transaction %d, Docker's metadata in %s at %d: the metadata are older than the pool."
            % (name, at, where, docker.transaction),
            "Bring back the newest backup of %s. Images and containers made since this one was written cannot be found "
            "without it.\n%s" % (where, afresh(docker, [where] if docker.former is None else [])),
        )
    if docker.transaction > at + 1:
        raise Refused(
            "pool %s is at transaction %d, Docker's metadata in %s at %d: they are those of another pool, or of one that was "
            "made anew. Docker would look for images that are not there." % (name, at, where, docker.transaction),
            "If that pool is gone for ever, set its metadata aside, and the list of its images, which cannot be read without it:\n"
            + set_aside(docker, where),
        )


def set_aside(docker, where):
    """The shell lines that rename metadata (a folder) and the list of its images, so that Docker finds neither."""
    paths = (where, "%s/image/%s" % (docker.root, os.path.basename(where)))
    return "\n".join("mv %s %s" % (paste(path), paste(path + ".of-another-pool")) for path in paths)


def afresh(docker, aside=()):
    """The lines that remove a pool with all data in it and make it anew. docker: Docker, or None.

    aside: metadata of it that Docker would find.
    """
    lines = ["Or remove the pool, all data in it are lost, and start afresh:"]
    if docker and docker.former:  # Docker is set up for the pool, and remove.yml refuses that
        lines.append("ansible-playbook playbooks/rollback.yml -e docker_storage_containers=discard")
    lines.append("ansible-playbook playbooks/remove.yml -e thin_pool_remove_data=true")
    return "\n".join([*lines, *(set_aside(docker, where) for where in aside), "ansible-playbook playbooks/site.yml"])


def check_image_records(docker, former, where):
    """Raise Refused for a list of images that Docker would find beside no metadata: it takes them for there, and has no layers.

    where: the metadata that Docker will find. What this switch sets aside is not found.
    """
    path = "%s/image/devicemapper" % docker.root
    if where is None and "image/devicemapper" in docker.root_state and former.driver != "devicemapper" and not is_loop(docker):
        raise Refused(
            "%s lists images and there are no metadata of a pool in %s/devicemapper: Docker would show images that it cannot run."
            % (path, docker.root),
            "If %s/devicemapper was emptied or moved, bring it back from a backup.\nIf its images are gone for ever: "
            "mv %s %s" % (docker.root, paste(path), paste(path + ".of-another-pool")),
        )


def which_metadata(docker, former):
    """The folder with the metadata of a thin pool that Docker will find after the switch, None when there is none."""
    path = "%s/devicemapper" % docker.root
    if "devicemapper" + OURS in docker.root_state:
        return path + OURS  # an earlier way back set it aside, this switch brings it back
    if "devicemapper" not in docker.root_state or "devicemapper/loop" in docker.root_state:
        return None
    # What Docker runs on now, or did before a switch that was cut off, is set aside by this one.
    leaves = former.driver == "devicemapper" and "devicemapper" + FORMER not in docker.root_state
    return None if leaves else path


def check_set_aside(docker, former):
    """Raise Refused when an earlier switch's set-aside folders are still there and this one would need their names."""
    leftovers = [name + FORMER for name in SAME_DRIVER_FOLDERS if name + FORMER in docker.root_state]
    if leftovers and former.driver == "devicemapper" and not docker.begun():
        raise Refused(
            "an earlier switch set %s aside in %s, and this one would need the same names." % (", ".join(leftovers), docker.root),
            "If nobody needs to go back further: ansible-playbook playbooks/cleanup.yml -e docker_storage_cleanup_confirmed=true",
        )
