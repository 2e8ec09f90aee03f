# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a container changed, brought from its writable layer on overlay2 onto a root file system of its own.

The writable layer is the folder `diff`, the upperdir of the container's overlay mount (moby, daemon/graphdriver/overlay2).
What is in it means what Linux says in Documentation/filesystems/overlayfs.rst: a character device 0:0, or an empty file with
the xattr `overlay.whiteout`, is a deletion; a folder whose `overlay.opaque` is "y" hides the one below, but for the top folder,
which is always merged (seen on Linux 6.18); `overlay.overlay.NAME` is the container's own `overlay.NAME`, escaped. A folder that
is there at all has its whole metadata there. Docker mounts without `userxattr`, unless it runs without root: so overlay's records
are in trusted.*, and user.overlay.* is the container's.

Both trees are the container's: names and links are hostile. Each folder is opened in the one that holds it, no link is followed,
and what has a name is handled by a descriptor of it. A few descriptors are open however deep the folders are.

Not brought: chattr's flags and project numbers, ctime and birth time. Space that is allocated but was never written is a hole.
"""

import errno
import os
import stat
from contextlib import closing, contextmanager
from typing import Dict, NamedTuple, Tuple

from ..model.errors import Refused
from ..model.quoting import paste, printable
from . import trees
from .files import FOLDER, NEW, named, opened, status_of

HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
BEHIND = "/proc/self/fd/%d"  # what is open as that, a link itself too: no name is looked up again
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
TRIES = 20  # looks at a layer in which things come and go
CHUNK = 1 << 30  # bytes, below what one sendfile(2) moves at most
RECORD = "trusted.overlay."
ESCAPED = RECORD + "overlay."
KNOWN = {"opaque": (b"y", b"x"), "whiteout": None, "origin": None, "impure": None, "nlink": None, "uuid": None}  # name: values
REFUSALS = {  # name of a record: what it means, what the container's owner can do; %s: the path
    "redirect": (
        "was renamed by reference, as the kernel's redirect_dir has it: its content is still below its former name",
        "In the container, put a copy in its place: cp -a %s %s.new && rm -r %s && mv %s.new %s",
    ),
    "metacopy": (
        "has changed metadata only, as the kernel's metacopy has it: its content is still below",
        "In the container, have its content copied up: : >>%s",
    ),
    "protattr": ("is immutable or append-only: that would be lost", "In the container: chattr -i -a -- %s"),
}


class Entry(NamedTuple):
    """Something in a layer. It is told once; a folder again (ends) when everything in it was."""

    parts: Tuple[str, ...]  # the names that lead to it, () for the layer itself
    handle: int  # a descriptor of it, for as long as it is the one that is told
    status: os.stat_result
    records: Dict[str, bytes]  # overlay's own xattrs, without their prefix
    xattrs: Dict[str, bytes]  # the container's, as it sees them
    ends: bool

    @property
    def path(self):
        """Where the container sees it."""
        return "/" + "/".join(self.parts)

    @property
    def is_folder(self):
        """Whether it is a folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def deletes(self):
        """Whether it says that the name is not there any more."""
        if stat.S_ISREG(self.status.st_mode):
            return self.status.st_size == 0 and "whiteout" in self.records
        return stat.S_ISCHR(self.status.st_mode) and self.status.st_rdev == 0

    @property
    def hides(self):
        """Whether what is below its name does not count. Of the layer itself nobody asks: it is always merged."""
        return not self.is_folder or self.records.get("opaque") == b"y"


def check_layer(layer):
    """Raise Refused for what apply_layer could not bring, with its path in the container. layer: its folder diff.

    The container may write meanwhile: where something goes while it is looked at, the look begins again, and after TRIES of them
    it is left to apply_layer.
    """
    for _again in range(TRIES):
        try:
            with closing(entries(layer)) as told:
                for _entry in told:
                    pass
            return
        except OSError as error:
            if error.errno not in GONE:
                raise


def apply_layer(layer, root):
    """Bring what a container changed onto root, a folder that holds what the layers below show.

    layer: its folder diff, to which nobody writes meanwhile.  root: nobody else uses it. The work is proportional to the
    layer, and to what it deletes. It may be done again after it was killed; that ends the same. Raises Refused like check_layer,
    then with a part of it brought; OSError with the file's name, say when there is no room. Nothing is flushed to the disk:
    that is the caller's, once, for the whole file system (sync -f).
    """
    links, levels = {}, []
    with opened(root) as (top, _passed), closing(entries(layer)) as told:
        place = os.open(".", FOLDER, dir_fd=top)
        try:
            for entry in told:
                path = os.path.normpath(root) + entry.path
                with named(path):
                    if entry.ends:
                        dress(entry, place)
                        levels.pop()
                        place = trees.leave(place, levels[-1]) if levels else place
                    elif entry.is_folder:
                        if entry.parts:
                            inner = folder(entry, place, path)
                            os.close(place)
                            place = inner
                        levels.append(trees.Level("", trees.identity(place), []))
                    else:
                        clear(entry, place, path)
                        if not entry.deletes:
                            bring(entry, place, links, top)
        finally:
            os.close(place)


# --- the layer -------------------------------------------------------------------------------------------------


def entries(layer):
    """Each Entry of a layer. Raises Refused for one that cannot be brought."""
    with opened(layer) as (top, _passed):
        descriptor = os.open(".", FOLDER, dir_fd=top)
    try:
        levels = [trees.level("", descriptor)]
        yield seen((), descriptor, layer)
        while levels:
            parts = tuple(level.name for level in levels[1:])
            if not levels[-1].names:
                yield seen(parts, descriptor, layer, ends=True)
                levels.pop()
                descriptor = trees.leave(descriptor, levels[-1]) if levels else descriptor
                continue
            name = levels[-1].names.pop()
            with handle(name, descriptor) as opened_as:
                entry = seen((*parts, name), opened_as, layer)
                yield entry
            if entry.is_folder:
                descriptor = trees.enter(name, descriptor, levels)
    finally:
        os.close(descriptor)


def seen(parts, descriptor, layer, ends=False):
    """The Entry of what is open as descriptor. Raises Refused for what cannot be brought."""
    entry = Entry(parts, descriptor, os.fstat(descriptor), {}, {}, ends)
    with named(layer + entry.path):
        for name, value in xattrs(descriptor).items():
            if name.startswith(ESCAPED):
                entry.xattrs[RECORD + name[len(ESCAPED) :]] = value
            elif name.startswith(RECORD):
                entry.records[name[len(RECORD) :]] = value
            else:
                entry.xattrs[name] = value
    for name, value in sorted(entry.records.items(), key=lambda record: record[0] != "protattr"):  # in the way of all else
        if name == "redirect" and not entry.is_folder:  # what metacopy left; without that it means nothing
            continue
        if name not in KNOWN or (KNOWN[name] and value not in KNOWN[name]):
            raise unknown(entry, name)
    return entry


def unknown(entry, name):
    """The refusal for a record of overlay that says more than a copy could."""
    what, way_out = REFUSALS.get(name, ("has a record of the kernel's overlay that is not known here", ""))
    return Refused(
        "in the container, %s %s (%s)." % (printable(entry.path), what, printable(RECORD + name)),
        way_out.replace("%s", paste(entry.path)),
    )


def xattrs(descriptor):
    """{name: value} of the xattrs of what is open."""
    path = BEHIND % descriptor
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


@contextmanager
def handle(name, place):
    """A descriptor of a name in an open folder, whatever it is, for the block; it cannot be read or written by that."""
    descriptor = os.open(name, HANDLE, dir_fd=place)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# --- the root file system --------------------------------------------------------------------------------------


def clear(entry, place, path):
    """Remove what has an entry's name in an open folder, unless both are folders and count together. path: for sentences."""
    name = entry.parts[-1]
    former = status_of(name, place)
    if former is None:
        return
    if not stat.S_ISDIR(former.st_mode):
        os.unlink(name, dir_fd=place)
    elif entry.hides:
        trees.empty(os.open(name, FOLDER, dir_fd=place), path)
        os.rmdir(name, dir_fd=place)


def folder(entry, place, path):
    """The descriptor of an entry's folder in an open one, made when it is missing. path: for sentences."""
    name = entry.parts[-1]
    clear(entry, place, path)
    if status_of(name, place) is None:
        os.mkdir(name, 0o700, dir_fd=place)
    return os.open(name, FOLDER, dir_fd=place)


def bring(entry, place, links, top):
    """Make an entry that is no folder in an open folder, where nothing has its name.

    links: {(device, inode): parts} of those with several names, which is added to.  top: the root file system, open.
    """
    name, mode = entry.parts[-1], entry.status.st_mode
    file = (entry.status.st_dev, entry.status.st_ino)
    if file in links:
        with folder_at(links[file][:-1], top) as there:
            os.link(links[file][-1], name, src_dir_fd=there, dst_dir_fd=place, follow_symlinks=False)
        return
    if stat.S_ISREG(mode):
        copy(entry, place)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(b"", dir_fd=entry.handle), os.fsencode(name), dir_fd=place)
    else:
        os.mknod(name, stat.S_IFMT(mode) | 0o600, entry.status.st_rdev, dir_fd=place)
    with handle(name, place) as made:
        dress(entry, made)
    if entry.status.st_nlink > 1:
        links[file] = entry.parts


@contextmanager
def folder_at(parts, top):
    """A descriptor of the folder to which names lead from an open one, for the block."""
    descriptor = os.open(".", FOLDER, dir_fd=top)
    try:
        for part in parts:
            inner = os.open(part, FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def copy(entry, place):
    """Copy a regular file into an open folder: content and holes. Raises OSError when it turns out shorter."""
    size = entry.status.st_size
    source = os.open(BEHIND % entry.handle, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(entry.parts[-1], NEW, 0o600, dir_fd=place)
        try:
            for start, end in extents(source, size):
                os.lseek(target, start, os.SEEK_SET)
                while start < end:
                    sent = os.sendfile(target, source, start, min(end - start, CHUNK))
                    if sent == 0:
                        break
                    start += sent
            if os.fstat(target).st_size < size:  # it ends in a hole
                os.ftruncate(target, size)
            if not os.fstat(source).st_size == os.fstat(target).st_size == size:
                raise OSError(errno.ESTALE, "it changed while it was copied")
        finally:
            os.close(target)
    finally:
        os.close(source)


def extents(descriptor, size):
    """(start, end) of each part of an open file that is no hole."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, end


def dress(entry, descriptor):
    """Give what is open an entry's owner, xattrs, mode and times."""
    path = BEHIND % descriptor
    os.chown(path, entry.status.st_uid, entry.status.st_gid)  # first: it takes set-id bits and capabilities away
    for name in set(xattrs(descriptor)) - set(entry.xattrs):  # a folder's from below, or by the default ACL of the folder around
        os.removexattr(path, name)
    for name, value in entry.xattrs.items():
        os.setxattr(path, name, value)
    if not stat.S_ISLNK(entry.status.st_mode):
        os.chmod(path, stat.S_IMODE(entry.status.st_mode))
    os.utime(path, ns=(entry.status.st_atime_ns, entry.status.st_mtime_ns))
