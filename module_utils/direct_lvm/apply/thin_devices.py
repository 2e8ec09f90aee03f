# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The thin devices of a pool that LVM does not know: Docker and containerd make them through device-mapper, and leave some."""

import os

from ..host import commands, files
from ..model.errors import Refused
from ..model.quoting import paste

BLOCK = "/sys/class/block"  # Documentation/ABI/testing/sysfs-block: holders; sysfs-block-dm: dm/name


def names(pool):
    """The device-mapper names of the thin devices that are active on a pool (a device-mapper name), sorted.

    Only those whose table is one of a thin device: what else is stacked on the pool is not named.
    """
    folder = os.path.join(BLOCK, os.path.basename(os.path.realpath("/dev/mapper/" + pool)), "holders")
    holders = os.listdir(folder) if os.path.isdir(folder) else []
    found = [(files.read_text(os.path.join(BLOCK, holder, "dm/name")) or "").strip() for holder in holders]
    return tuple(sorted(name for name in found if name and is_thin(name)))


def is_thin(name):
    """Whether a device-mapper device is a thin one: START LENGTH thin POOL ID (dmsetup table)."""
    return commands.run(("dmsetup", "table", name), ok=None).out.split()[2:3] == ["thin"]


def remove(step):
    """Take every thin device of a pool down (steps.RemoveThinDevices); what they hold stays in the pool.

    Docker leaves a container's file system mounted when it had to kill the container while it stopped itself; that one is
    unmounted, never by force. Raises Refused for a device that is in use.
    """
    for name in names(step.pool):
        commands.run(("umount", "--all-targets", "/dev/mapper/" + name), ok=None)
        result = commands.run(("dmsetup", "remove", "--retry", name), ok=None)
        if result.rc != 0:
            raise Refused(
                "thin device %s of pool %s is in use: %s" % (name, step.pool, " ".join(result.err.split())),
                "See who uses it: lsblk %s    # containers of containerd: ctr namespaces ls; ctr -n NAME tasks ls\n"
                "Stop it, and run again." % paste("/dev/mapper/" + name),
            )
