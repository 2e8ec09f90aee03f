# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Folders with everything in them: what is mounted in them, how large they are, and their removal.

A container fills its folders as it likes, and other processes mount what they like while one is being removed. So the
removal goes from opened folder to opened folder, and looks at each one's mount again: a bind mount of the same file system
has the same device number, another mount number (proc_pid_fdinfo(5)). It holds two descriptors however deep the folders are.
"""

import errno
import os
import stat
from contextlib import suppress
from typing import List, NamedTuple, Tuple

from ..model.errors import Refused
from ..model.quoting import pasted, printable
from . import mountinfo
from .files import FOLDER, name_it, named, opened, read_text, remove, status_of

MOUNTS = "/proc/self/mountinfo"
FDINFO = "/proc/self/fdinfo/%d"


class Level(NamedTuple):
    """A folder that is being emptied: its name, which folder it is (device, inode), and the names still in it."""

    name: str
    identity: Tuple[int, int]
    names: List[str]


def mounts(path):
    """(mount point, ...) at and below a folder, parents first, bind mounts too."""
    real = os.path.join(os.path.realpath(path), "")
    points = {mount.point for mount in mountinfo.parse(read_text(MOUNTS) or "")}
    return tuple(sorted(point for point in points if os.path.join(point, "").startswith(real)))


def remove_tree(path):
    """Remove a file, or a folder and everything in it, links not followed; nothing when it is not there.

    Of a mount point only what is on it. Raises Refused, and removes nothing, while something is mounted below it. What is
    mounted later stays too: the removal ends with Refused where it meets it.
    """
    place, name = os.path.split(os.path.normpath(path))
    with suppress(FileNotFoundError), opened(place) as (folder, _passed):
        status = status_of(name, folder)
        if status is None or not stat.S_ISDIR(status.st_mode):
            remove(path)
            return
        real = os.path.realpath(path)
        below = [point for point in mounts(path) if point != real]
        if below:
            raise mounted(path, below)
        with named(path):
            descriptor = os.open(name, FOLDER, dir_fd=folder)
        on_a_mount = mount_of(descriptor) != mount_of(folder)
        empty(descriptor, path)
        if on_a_mount:
            return
        with named(path):
            os.rmdir(name, dir_fd=folder)
        with named(place):
            os.fsync(folder)


def mounted(path, points):
    """The refusal for a folder in which something is mounted."""
    return Refused(
        "%s is not removed: %s is mounted in it, and what is on that would go too." % (printable(path), printable(points[0])),
        "If nobody uses it: umount %s" % pasted(reversed(points)),
    )


def empty(descriptor, path):
    """Remove everything in an open folder, and close it. Raises Refused at a mount. path: its name, for sentences."""
    with named(path):
        levels, mount, name = [level(path, descriptor)], mount_of(descriptor), path
    try:
        while True:
            if levels[-1].names:
                name = levels[-1].names.pop()
                inner = enter_or_unlink(name, descriptor)
                if inner is None:
                    continue
                os.close(descriptor)
                descriptor = inner
                if mount_of(inner) != mount:
                    raise mounted(path, [where(levels, name)])
                levels.append(level(name, inner))
                continue
            if len(levels) == 1:
                break
            name = levels.pop().name
            descriptor = leave(descriptor, levels[-1])
            with suppress(FileNotFoundError):
                os.rmdir(name, dir_fd=descriptor)
        os.fsync(descriptor)
    except OSError as error:
        if error.errno == errno.EBUSY:  # something is mounted on a file, or on a folder since it was opened
            raise mounted(path, [where(levels, name)]) from error
        name_it(error, where(levels, name))
        raise
    finally:
        os.close(descriptor)


def level(name, descriptor):
    """The Level of a folder that was just opened."""
    return Level(name, identity(descriptor), sorted(os.listdir(descriptor)))


def leave(descriptor, outer):
    """The descriptor of the folder that holds an open one, which is closed. Raises OSError when that is not the Level outer."""
    above = os.open("..", FOLDER, dir_fd=descriptor)
    if identity(above) != outer.identity:
        os.close(above)
        raise OSError(errno.ESTALE, "the folder that held it was renamed meanwhile")
    os.close(descriptor)
    return above


def enter_or_unlink(name, folder):
    """The descriptor of a folder in an open one. Anything else is removed: None."""
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:  # gone meanwhile
        return None
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    return None


def where(levels, name):
    """The path of a name in the folder that is being emptied. Its last part only where containers made it too deep for one."""
    path = "/".join([level.name for level in levels] + [name])
    return path if len(path) < 4096 else name


def identity(descriptor):
    """Which folder an open one is."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def mount_of(descriptor):
    """Which mount an open folder is on: the mount's number; where kernels before 3.15 tell none, the file system's device.

    Not both: a subvolume of btrfs is no mount, and has a device number of its own.
    """
    lines = (read_text(FDINFO % descriptor) or "").split("\n")
    number = next((line.split()[-1] for line in lines if line.startswith("mnt_id:")), None)
    return os.fstat(descriptor).st_dev if number is None else number


def tree_size(path):
    """Bytes on disk of a file, or of a folder with everything in it, as du counts them; of a link itself.

    It holds two descriptors however deep the folders are, as empty() does. What goes meanwhile is not counted, and nothing
    more once a folder in which it is was renamed.
    """
    status = os.lstat(path)
    total = status.st_blocks * 512
    if not stat.S_ISDIR(status.st_mode):
        return total
    descriptor = os.open(path, FOLDER)
    try:
        levels = [level(path, descriptor)]
        while True:
            if levels[-1].names:
                name = levels[-1].names.pop()
                with suppress(OSError):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    total += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        descriptor = enter(name, descriptor, levels)
                continue
            levels.pop()
            if not levels:
                return total
            try:
                descriptor = leave(descriptor, levels[-1])
            except OSError:
                return total
    finally:
        os.close(descriptor)


def enter(name, descriptor, levels):
    """The descriptor of a folder in an open one, which is closed, with its Level added. Raises OSError, and changes nothing."""
    inner = os.open(name, FOLDER, dir_fd=descriptor)
    try:
        levels.append(level(name, inner))
    except OSError:
        os.close(inner)
        raise
    os.close(descriptor)
    return inner
