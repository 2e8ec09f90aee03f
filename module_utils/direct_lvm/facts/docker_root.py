# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker's data root, as its files alone tell it, so that it can be told with the daemon stopped.

Sources: moby v18.09 to v28, layer, daemon/graphdriver, plugin, builder/builder-next, daemon_unix.go.
"""

import os
import re

from ..host import files
from ..model.errors import Refused
from ..model.names import DOCKER_ID, FORMER, LOOP_FILE, OURS, SAME_DRIVER_FOLDERS, SHADOW, STRAY
from ..model.quoting import paste
from ..texts import strict_json
from . import systemd

DRIVERS = ("aufs", "btrfs", "devicemapper", "fuse-overlayfs", "overlay", "overlay2", "vfs", "zfs")  # with a folder each
NEW_DATABASE = 4  # pages of a bbolt file that nothing was written to


def remapped(root):
    """The data root of a daemon with --userns-remap: UID.GID of the mapped root, below the configured one.

    The configured one before the first start. Raises Refused when several daemons' are there.
    """
    names = [name for name in entries(root) if re.match(r"[0-9]+\.[0-9]+\Z", name)]
    if len(names) > 1:
        raise Refused(
            "Docker does not answer and is set up with userns-remap, and %s has %s: which of them is its data root is not known."
            % (root, ", ".join(names)),
            "Start it, so that it can tell: systemctl start docker\nOr set aside those of former mappings: mv %s %s"
            % (paste(os.path.join(root, names[0])), paste(os.path.join(root, "before-" + names[0]))),
        )
    return os.path.join(root, names[0]) if names else root


def mount_points(root):
    """(name, ...) of the folders that a switch may have to rename and that are file systems of their own.

    Docker's own mount of such a folder onto itself is none, and goes when it stops.
    """
    return tuple(name for name in SAME_DRIVER_FOLDERS if os.path.ismount(os.path.join(root, name)))


def has_build_cache(root):
    """Whether BuildKit has ever built here by a graph driver: its records name that driver's layers, snapshots.db."""
    try:
        size = os.stat(os.path.join(root, "buildkit", "snapshots.db")).st_size
    except OSError:
        return False
    return size > NEW_DATABASE * os.sysconf("SC_PAGE_SIZE")


def plugins(root):
    """How many plugins Docker manages (docker plugin ls): each has a folder with its root, in no storage driver."""
    return len([name for name in entries(root, "plugins") if DOCKER_ID.match(name)])


def open_transaction(root, state):
    """The transaction of Docker's own thin pool metadata, None when there is none (moby, deviceset.go, transaction)."""
    folder = "devicemapper" + (OURS if "devicemapper" + OURS in state else "")
    text = systemd.read_text(os.path.join(root, folder, "metadata", "transaction-metadata"))
    try:
        number = strict_json.loads(text or "null")["open_transaction_id"]
    except (KeyError, TypeError, ValueError):
        return None
    return number if type(number) is int and number >= 0 else None


def container_driver(root, name):
    """The storage driver to which a container's folder belongs, None when its config.v2.json does not tell.

    Docker writes it as the key Driver of the outermost object (moby, container/container.go); what is in other objects comes
    from the image, and may be called the same.
    """
    fields = container_config(root, name)
    driver = fields.get("Driver")
    return driver if isinstance(driver, str) and fields.get("ID") == name else None


def container_config(root, number):
    """The object in a container's config.v2.json, {} when it is missing or no JSON object: its creation may have been cut off."""
    try:
        fields = strict_json.loads(files.read_text(os.path.join(root, "containers", number, "config.v2.json")) or "{}")
    except (OSError, Refused, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def root_state(root):
    """What is in Docker's data root, from its folders alone, so that it can be told with the daemon stopped.

    Folder names below root: a driver's own ("overlay2") when it is not empty, "devicemapper/loop" when that one has loop
    files; "image/DRIVER" when it knows images; "containers" when there are any; "volumes" when there are any; SHADOW; and what
    switches have set aside, with its suffix. Raises Refused when a folder cannot be read.
    """
    names = [name for name in DRIVERS if entries(root, name)]
    names += ["devicemapper/loop"] if os.path.exists(os.path.join(root, LOOP_FILE)) else []
    names += ["image/" + name for name in entries(root, "image") if entries(root, "image", name, "imagedb/content/sha256")]
    names += ["containers"] if entries(root, "containers") else []
    names += [SHADOW] if entries(root, SHADOW) else []
    return tuple(names + aside(root) + (["volumes"] if volumes(root) else []))


def volumes(root):
    """(name, ...) of Docker's local volumes. Raises Refused when their folder cannot be read."""
    return tuple(name for name in entries(root, "volumes") if os.path.isdir(os.path.join(root, "volumes", name)))


def aside(root):
    """[name below the data root, ...] of the folders that switches have set aside."""
    names = list(entries(root)) + ["image/" + name for name in entries(root, "image")]
    known = [name + suffix for name in SAME_DRIVER_FOLDERS for suffix in (FORMER, OURS)]
    return [name for name in names if name in known or STRAY in name]


def entries(*parts):
    """The sorted names in a folder, () when there is no such folder. Raises Refused when it cannot be read."""
    path = os.path.join(*parts)
    try:
        return tuple(sorted(os.listdir(path)))
    except OSError as error:
        if not os.path.isdir(path):
            return ()
        raise Refused("%s cannot be read (%s), so what Docker keeps there is not known" % (path, error.strerror)) from error
