# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give the blocks of files that were deleted in running containers back to the thin pool.

fstrim(8) cannot: it resolves /proc/PID/root to a path first, which is the host's own root. The ioctl takes an open folder.
"""

import errno
import fcntl
import os
import re
import struct
from typing import NamedTuple

from ..host import files, mountinfo
from ..model.errors import Refused
from . import smoke, thin_devices

FITRIM = 0xC0185879  # linux/fs.h: _IOWR('X', 121, struct fstrim_range); alpha, mips, powerpc and sparc number it otherwise
RANGE = struct.Struct("=QQQ")  # start, length, shortest range; the kernel returns in length what it discarded
FILE_SYSTEMS = ("ext4", "xfs")
ENDED = "has ended meanwhile"  # playbooks/trim.yml excuses a refusal with these words
ARGUMENTS = {  # of the module direct_lvm_trim
    "pool": {"type": "str", "default": "vgdocker-thinpool"},
    "device": {"type": "str"},
}


class Root(NamedTuple):
    """A container's root file system. device: its thin device.  number: MAJOR:MINOR.  pid: a process that has it as its root.

    container: its ID, the device's name when it cannot be told.
    """

    device: str
    number: str
    file_system: str
    pid: int
    container: str


class Trimmed(NamedTuple):
    """Bytes that the file system discarded, and by how many the pool's use shrank; others may have written meanwhile."""

    discarded: int
    returned: int


def roots(pool):
    """[Root] of the containers that run on a pool (a device-mapper name), one for each device, in their order."""
    thin, found, seen = numbers(pool), {}, set()
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            namespace = os.readlink("/proc/%d/ns/mnt" % pid)
            text = files.read_text("/proc/%d/mountinfo" % pid) or "" if namespace not in seen else ""
            cgroup = files.read_text("/proc/%d/cgroup" % pid) or ""
        except OSError:  # it has ended, or is a zombie
            continue
        seen.add(namespace)
        root = mountinfo.root(text)
        device = thin.get(root.number) if root else None
        if device:
            identity = re.findall(r"[0-9a-f]{64}", cgroup)
            found.setdefault(device, Root(device, root.number, root.file_system, pid, identity[-1] if identity else device))
    return sorted(found.values())


def numbers(pool):
    """{MAJOR:MINOR: name} of the thin devices of a pool."""
    found = {}
    for name in thin_devices.names(pool):
        node = os.path.basename(os.path.realpath("/dev/mapper/" + name))
        number = files.read_text(os.path.join(thin_devices.BLOCK, node, "dev"))
        if number:
            found[number.strip()] = name
    return found


def why_not(root):
    """Why a root is not trimmed, "" when it can be."""
    return "" if root.file_system in FILE_SYSTEMS else "%s is neither of %s" % (root.file_system, ", ".join(FILE_SYSTEMS))


def chosen(found, device):
    """The Root with this thin device. Raises Refused when there is none any more, or it is not trimmed."""
    root = next((one for one in found if one.device == device), None)
    if root is None:
        raise Refused(
            "no running container has %s as its root file system: the one that had it %s." % (device, ENDED),
            "See which there are: dmsetup ls --target thin",
        )
    if why_not(root):
        raise Refused("%s is not trimmed: %s." % (device, why_not(root)))
    return root


def trim(pool, root):
    """Trim a Root. A Trimmed. Raises Refused when it went away meanwhile, or its device takes no discards."""
    before = smoke.usage(pool)
    try:
        folder = os.open("/proc/%d/root" % root.pid, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Refused("container %s %s (%s)." % (root.container[:12], ENDED, error.strerror)) from error
    try:
        device = os.fstat(folder).st_dev
        if "%d:%d" % (os.major(device), os.minor(device)) != root.number:
            raise Refused("container %s %s." % (root.container[:12], ENDED))  # and its process number is another's
        asked = bytearray(RANGE.pack(0, 2**64 - 1, 0))
        fcntl.ioctl(folder, FITRIM, asked)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
            raise
        raise Refused(
            "%s takes no discards (%s)." % (root.device, error.strerror),
            "See whether the pool does: lvs -o+discards    # lvchange --discards passdown VG/POOL has it, on an inactive pool",
        ) from error
    finally:
        os.close(folder)
    after = smoke.usage(pool)
    return Trimmed(RANGE.unpack(bytes(asked))[1], max(0, before.used - after.used))
