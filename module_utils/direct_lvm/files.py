# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files: read, replace atomically, and the lock that keeps two runs on one host apart."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import io
import os
import shutil
import stat
import time
from contextlib import contextmanager
from shlex import quote

from . import commands, mountinfo
from .model import Refused

MOUNTS = "/proc/self/mountinfo"
LOCK = "/run/direct-lvm.lock"  # not /run/lock: on Debian anybody may make a file there, and hold it
LIMIT = 64 << 20  # characters of a file: what others can fill, such as a process's mountinfo, must not take the host's memory
SELINUX = "/sys/fs/selinux/enforce"  # there while SELinux is enabled, in permissive mode too (selinux(8))


def must_be_root():
    """Raise Refused unless this process is root: LVM and systemd answer nobody else."""
    if os.geteuid() != 0:
        raise Refused("this runs as user id %d, not as root." % os.geteuid(), "Set become: true, or connect as root.")


def read_text(path):
    """The text of a file, None when it is not there. Undecodable bytes are kept as surrogates. OSError past LIMIT characters."""
    try:
        with io.open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            text = stream.read(LIMIT + 1)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    if len(text) > LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return text


def write_text(path, text, mode=0o644):
    """Replace path by text: a temporary file beside it, fsync, rename, fsync of the folder. Makes missing folders.

    A link to a file stays one, and the file that is replaced keeps its owner and group.
    mode None: the mode that the file has, 0644 for a new one.
    """
    path = real_file(path)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    former = os.stat(path) if os.path.isfile(path) else None
    if mode is None:
        mode = stat.S_IMODE(former.st_mode) if former else 0o644
    temporary = "%s.direct-lvm-new" % path  # one name: what a killed run leaves is overwritten by the next
    with named(temporary), io.open(temporary, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        if former:
            os.fchown(stream.fileno(), former.st_uid, former.st_gid)
        os.fchmod(stream.fileno(), mode)  # after the owner: a change of that takes set-id bits away
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    sync_folder(folder)


@contextmanager
def named(path):
    """Have an OSError about an open file name it: the kernel knows only its number then."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


def real_file(path):
    """The file that a path leads to. A link to something else, such as /dev/null, is itself what is replaced."""
    real = os.path.realpath(path)
    return real if os.path.isfile(real) or not os.path.lexists(real) else path


def relabel(path):
    """Give a file that was written, and its folder, the labels that the SELinux policy has for their paths (restorecon(8)).

    A new file gets its type from its folder, and keeps it when it is renamed; a folder that we made, such as /etc/docker,
    may have another one. Nothing to do without SELinux. What restorecon answers is not looked at: a label that it cannot
    set is no reason to leave Docker down in the critical section; a daemon that may not read its file says so.
    """
    if os.path.exists(SELINUX) and commands.find("restorecon"):
        real = real_file(path)
        commands.run(("restorecon", os.path.dirname(real), real), ok=None)


def remove(path):
    """Remove a file if it is there."""
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return
    sync_folder(os.path.dirname(path))


def move(source, target, only_if=()):
    """Rename a folder, unless that was done before (source gone, or target there) or a path of only_if is not there."""
    if os.path.lexists(target) or not all(map(os.path.lexists, (source, *only_if))):
        return
    os.rename(source, target)
    sync_folder(os.path.dirname(target))


def remove_tree(path):
    """Remove a file, or a folder and everything in it, links not followed; nothing when it is not there.

    Of a mount point only what is on it. Raises Refused, and removes nothing, while something is mounted below it.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        remove(path)
        return
    there = mounts(path)
    below = [point for point in there if point != os.path.realpath(path)]
    if below:
        raise Refused(
            "%s is not removed: %s is mounted in it, and what is on that would go too." % (path, below[0]),
            "If nobody uses it: umount %s" % " ".join(map(quote, reversed(below))),
        )
    if there:
        for name in os.listdir(path):
            remove_tree(os.path.join(path, name))
        return
    shutil.rmtree(path)
    sync_folder(os.path.dirname(path))


def mounts(path):
    """(mount point, ...) at and below a folder, parents first, bind mounts too."""
    real = os.path.join(os.path.realpath(path), "")
    points = {mount.point for mount in mountinfo.parse(read_text(MOUNTS) or "")}
    return tuple(sorted(point for point in points if os.path.join(point, "").startswith(real)))


def tree_size(path):
    """Bytes on disk of a file, or of a folder with everything in it, as du counts them; of a link itself."""
    if os.path.islink(path) or not os.path.isdir(path):
        return os.lstat(path).st_blocks * 512
    total = 0
    for folder, _folders, names in os.walk(path):
        for name in [*names, "."]:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:  # gone meanwhile
                continue
    return total


def sync_folder(folder):
    """fsync a folder, so that a rename or unlink in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with named(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_one_run(timeout):
    """Hold the host's lock. Waits at most timeout seconds, then raises Refused. The kernel frees it with the process."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
            if time.monotonic() > deadline:
                raise Refused(
                    "another run of direct_lvm is at work on this host since more than %d s." % timeout,
                    "Wait for it, or see who it is: fuser -v %s" % LOCK,
                )
            time.sleep(0.5)
        yield
    finally:
        os.close(descriptor)
