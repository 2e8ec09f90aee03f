# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files: read, replace atomically, rename.

Root writes into folders that others may write to as well: Debian gives the one of node_exporter's text files to user
prometheus. So no path is handed to the kernel as a whole. Each folder on the way is opened in the one before it, a link is
followed only where nobody but root can change it, and what is done to a file is done by its name in the opened folder.
"""

import errno
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from typing import NamedTuple, Optional, Tuple

from ..model.errors import Refused
from ..model.quoting import paste, printable
from . import commands

RUN = "/run"  # root's; Python's own choice of a folder for temporary files follows the caller's TMPDIR
LIMIT = 64 << 20  # characters of a file: what others can fill, such as a process's mountinfo, must not take the host's memory
SELINUX = "/sys/fs/selinux/enforce"  # there while SELinux is enabled, in permissive mode too (selinux(8))
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SUFFIX = ".direct-lvm-new"  # of a temporary file: one name, so that the next run removes what a killed one left
LINKS = 40  # as many as the kernel follows on one path, path_resolution(7)
WRITABLE = stat.S_IWGRP | stat.S_IWOTH
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)


class New(NamedTuple):
    """A file as it is to be: name in an open folder, content, mode, (user ID, group ID) or None for whoever writes it."""

    path: str
    folder: int
    content: bytes
    mode: int
    owner: Optional[Tuple[int, int]]

    @property
    def name(self):
        """Its name in the folder."""
        return os.path.basename(self.path)


class Passed(NamedTuple):
    """A folder on the way to a file, as it was when it was opened. status: os.stat_result."""

    path: str
    status: os.stat_result


def must_be_root():
    """Raise Refused unless this process is root: LVM and systemd answer nobody else."""
    if os.geteuid() != 0:
        raise Refused("this runs as user id %d, not as root." % os.geteuid(), "Set become: true, or connect as root.")


def read_text(path):
    """The text of a file, None when it is not there. Undecodable bytes are kept as surrogates. OSError past LIMIT characters."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            text = stream.read(LIMIT + 1)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    if len(text) > LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return text


# --- folders ---------------------------------------------------------------------------------------------------


def is_closed(status):
    """Whether nobody but root (in tests: this user) can make, rename or remove anything in a folder. status: its stat."""
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & WRITABLE


@contextmanager
def opened(path, make=None):
    """Open a folder by an absolute path: (descriptor, [Passed] from / to the folder itself, links resolved).

    make: the mode for the folder when it is not there, with its parents (0755), None: nothing is made.
    Raises Refused for a link in a folder that others may write to, OSError with the path that failed.
    """
    todo, passed, links = parts(os.path.join(os.getcwd(), path)), [], 0
    descriptor = os.open("/", FOLDER)
    try:
        passed.append(Passed("/", os.fstat(descriptor)))
        while todo:
            part, parent = todo.pop(), passed[-1].path
            if part == "." or (part == ".." and parent == "/"):
                continue
            place = os.path.dirname(parent) if part == ".." else os.path.join(parent, part)
            with named(place):
                target = link_target(part, descriptor)
                if target is not None:
                    must_be_ours(place, passed[-1])
                    links += 1
                    if links > LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    todo += parts(target)
                    if not target.startswith("/"):
                        continue
                    part, passed = "/", []
                entered = enter(part, descriptor, None if make is None else 0o755 if todo else make)
            os.close(descriptor)
            descriptor = entered
            folder = Passed("/" if part == "/" else place, os.fstat(descriptor))
            passed = passed[:-1] if part == ".." else [*passed, folder]
        yield descriptor, passed
    finally:
        os.close(descriptor)


def parts(path):
    """The names that a path consists of, the last one first."""
    return [part for part in path.split("/") if part][::-1]


def enter(part, folder, mode):
    """The descriptor of a folder in an open one; made with that mode when it is missing, unless that is None."""
    try:
        return os.open(part, FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ENOENT or mode is None:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, mode, dir_fd=folder)
    return os.open(part, FOLDER, dir_fd=folder)


def link_target(name, folder):
    """Where a link in an open folder leads, None when there is no such link."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def must_be_ours(link, folder):
    """Raise Refused for a link that others than root could have made. folder: the Passed that holds it."""
    if is_closed(folder.status):
        return
    raise Refused(
        "%s is a link, and others than root may write to %s: root does not follow it." % (printable(link), printable(folder.path)),
        "See where it leads, and name that folder itself: readlink -f %s" % paste(link),
    )


def weak_spot(passed, strict=False, filled=False):
    """Why others than root could put something else in the place of a folder, "" when they cannot. passed: of opened().

    In a sticky folder they cannot rename what is not theirs (inode(7)). strict: no folder may belong to another user either;
    else its owner is trusted, as the one for whom the files in it are written. filled: nor may others add to the last folder.
    """
    trusted = (0, os.geteuid())
    for number, (path, status) in enumerate(passed):
        after = passed[number + 1].status.st_uid if passed[number + 1 :] else None if filled else 0
        if strict and status.st_uid not in trusted:
            return "%s belongs to user id %d" % (printable(path), status.st_uid)
        if status.st_mode & WRITABLE and not (status.st_mode & stat.S_ISVTX and after in trusted):
            who = "everybody" if status.st_mode & stat.S_IWOTH else "group id %d" % status.st_gid
            return "%s may be written to by %s" % (printable(path), who)
    return ""


def sync_folder(folder):
    """fsync a folder, so that a rename or unlink in it survives a power cut."""
    with opened(folder) as (descriptor, _passed), named(folder):
        os.fsync(descriptor)


@contextmanager
def named(path):
    """Have an OSError name a path: of an open file the kernel knows only the number, of a name in an open folder no more."""
    try:
        yield
    except OSError as error:
        name_it(error, path)
        raise


def name_it(error, path):
    """Have an OSError name this path, and no other."""
    error.filename = path
    if error.filename2 is not None:
        del error.filename2  # None would be printed


# --- files -----------------------------------------------------------------------------------------------------


def write_text(path, text, mode=0o644):
    """Replace path by text: a temporary file beside it, fsync, rename, fsync of the folder. Makes missing folders.

    A link to a file stays one, and the file that is replaced keeps its owner and group; in a folder that others may write to
    a link is replaced, and the file is root's. mode None: the mode that the file has, 0644 for a new one.
    A write that fails removes its temporary file. Raises Refused for what is no regular file, such as /dev/null.
    """
    with new_file(path, text, mode) as new:
        write(new)


@contextmanager
def new_file(path, text, mode):
    """The New that is to replace what a path leads to, for the block. Its folder is on disk afterwards. Raises Refused."""
    path = real_file(path)
    place, name = os.path.split(path)
    with opened(place, make=0o755) as (folder, passed):
        former = status_of(name, folder)
        must_be_file(path, former, "replaced")
        regular = former is not None and stat.S_ISREG(former.st_mode)
        if mode is None:
            mode = stat.S_IMODE(former.st_mode) if regular else 0o644
        owner = (former.st_uid, former.st_gid) if regular and is_closed(passed[-1].status) else None
        yield New(path, folder, text.encode("utf-8", "surrogateescape"), mode, owner)
        with named(place):
            os.fsync(folder)


def write(new, rename=True):
    """Write a New beside its place, and give it its name; rename False: that is left to who comes after, see staged."""
    with temporary(new.path, new.folder) as (stream, fresh):
        if new.owner:
            os.fchown(stream.fileno(), *new.owner)
        os.fchmod(stream.fileno(), new.mode)  # after the owner: a change of that takes set-id bits away
        stream.write(new.content)
        stream.flush()
        os.fsync(stream.fileno())
        if rename:
            os.rename(fresh, new.name, src_dir_fd=new.folder, dst_dir_fd=new.folder)
        elif fresh != new.name + SUFFIX:  # nobody would find it
            os.unlink(fresh, dir_fd=new.folder)


@contextmanager
def temporary(path, folder):
    """(stream, name) of a new file beside path, in its open folder, for this user only. It goes when the block fails.

    What a killed run left there is removed first. Where that is no file, but say a folder that another user made, the name gets
    a number.
    """
    name = os.path.basename(path) + SUFFIX
    with named(path + SUFFIX):
        with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            os.unlink(name, dir_fd=folder)
        try:
            descriptor = os.open(name, NEW, 0o600, dir_fd=folder)
        except FileExistsError:
            name += "-%s" % os.urandom(8).hex()
            descriptor = os.open(name, NEW, 0o600, dir_fd=folder)
        try:
            with open(descriptor, "wb") as stream:
                yield stream, name
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise


def temporary_folder():
    """A context manager: a folder for this user only, in one where nobody else can rename it. It goes with all that is in it."""
    return tempfile.TemporaryDirectory(prefix="direct-lvm-", dir=RUN)


def status_of(name, folder):
    """The lstat of a name in an open folder, None when it is not there."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def kind_of(mode):
    """What a mode says that something is, such as "a folder"; "" for a file and a link."""
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), "")


def must_be_file(path, status, verb):
    """Raise Refused for a device, folder, FIFO or socket, which a rename would replace without a word. A link is no danger."""
    kind = kind_of(status.st_mode) if status else ""
    if kind:
        raise Refused(
            "%s is %s, not a regular file: it is not %s." % (printable(path), kind, verb),
            "Look at it: ls -ld %s\nName another path in what names this one." % paste(path),
        )


def real_file(path):
    """The file that a path leads to, by links that nobody but root can change. Any other link is itself what is replaced."""
    real = path
    with suppress(FileNotFoundError, NotADirectoryError):
        for _link in range(LINKS):
            place, name = os.path.split(real)
            with opened(place) as (folder, passed):
                target = link_target(name, folder)
                if target is None:
                    status = status_of(name, folder)
                    real = os.path.join(passed[-1].path, name)
                    return real if status is None or stat.S_ISREG(status.st_mode) else path
                if not is_closed(passed[-1].status):
                    return path
                real = os.path.join(passed[-1].path, target.rstrip("/"))
    return path


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
    """Remove a file, or a link itself, if it is there. Raises Refused for what is neither."""
    place, name = os.path.split(path)
    with suppress(FileNotFoundError), opened(place) as (folder, _passed):
        must_be_file(path, status_of(name, folder), "removed")
        with named(path):
            os.unlink(name, dir_fd=folder)
        with named(place):
            os.fsync(folder)


def move(source, target, only_if=()):
    """Rename a folder, unless that was done before (source gone, or target there) or a path of only_if is not there.

    Raises Refused for a source that is neither a folder nor a link to one.
    """
    if os.path.lexists(target) or not all(map(os.path.lexists, (source, *only_if))):
        return
    if not os.path.isdir(source):
        raise Refused("%s is no folder: it is not renamed." % printable(source), "Look at it: ls -ld %s" % paste(source))
    with opened(os.path.dirname(source)) as (folder, _passed), opened(os.path.dirname(target)) as (other, _there):
        with named(source):
            os.rename(os.path.basename(source), os.path.basename(target), src_dir_fd=folder, dst_dir_fd=other)
        with named(os.path.dirname(target)):
            os.fsync(other)
