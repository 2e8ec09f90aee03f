# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask about a disk: from the name that the operator wrote to a Disk. Reads only.

What is stacked on what comes from sysfs and procfs (no process, works without lsblk and udev); what is written on the
disk comes from signatures.py. What cannot be told is said in Disk.unreadable or Disk.in_use, never taken for blank.
"""

import errno
import glob
import hashlib
import os
import re
import stat
import string

from ..host import files, mountinfo
from ..model.host import Disk, Signature
from ..model.quoting import printable
from . import signatures

SYS = "/sys"
PROC = "/proc"
DEV = "/dev"
UDEV = "/run/udev/data"
SYSTEM_MOUNTS = ("/", "/boot", "/boot/efi", "/usr", "/var")
DM_KINDS = (("LVM-", "lvm"), ("mpath-", "mpath"), ("part", "part"), ("CRYPT-", "crypt"))
PHRASES = {
    "lvm": "logical volume",
    "mpath": "multipath device",
    "crypt": "open encrypted device",
    "raid": "md array",
    "loop": "loop device",
    "part": "partition",
    "dm": "device-mapper device",
}


def observe_disk(asked, probe=True):
    """The device that the operator calls `asked`, as a Disk. Never raises for what is, or is not, there.

    asked: an absolute path, symlinks allowed (/dev/disk/by-id/...), or a bare kernel name (sdb).
    probe=False: sysfs and procfs only, no process, the disk is not opened: for a disk that LVM already has in place.
    """
    if "/" in asked and not asked.startswith("/"):
        return Disk(asked, kind="relative name")
    try:
        path = os.path.realpath(os.path.join(DEV, asked))
        status = os.stat(path)
    except OSError as error:
        gone = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        return Disk(asked, unreadable=None if gone else str(error))
    except ValueError:  # a NUL or what the file system's encoding cannot say
        return Disk(asked)
    if not stat.S_ISBLK(status.st_mode):
        kinds = ((stat.S_ISDIR, "directory"), (stat.S_ISREG, "regular file"), (stat.S_ISCHR, "character device"))
        kind = next((name for test, name in kinds if test(status.st_mode)), "not a block device")
        return Disk(asked, path=path, kind=kind)
    disk = structure(asked, path, _number(status.st_rdev))
    if not probe or disk.unreadable is not None:
        return disk
    # `/` in the name of a node is `!` in sysfs: /dev/cciss/c0d0p1
    inside = tuple(observe_disk(os.path.join(DEV, name.replace("!", "/"))) for name in disk.partitions)
    return _probed(disk, _number(status.st_rdev))._replace(inside=inside)


def structure(asked, path, number):
    """What sysfs and procfs say about block device `number` ("major:minor"), as a Disk without signatures."""
    folder = _folder(number)
    if not os.path.isdir(folder):
        return Disk(asked, path=path, unreadable="the kernel has a node but no device %s" % number)
    whole = _whole(folder)
    partitions = _partitions(folder)
    stacked = [node for node in _above(folder) if node not in partitions]
    if whole != folder:  # whoever holds the whole disk holds its partitions too
        stacked += [node for node in _links(whole, "holders") if node not in stacked]
    family = {_read(node, "dev") for node in [folder, *partitions, *stacked]}
    try:
        mounted = _mounted()
    except OSError as error:
        return Disk(asked, path=path, unreadable="the list of what is mounted cannot be read: %s" % error)
    vital = {number for point, numbers in mounted if point in SYSTEM_MOUNTS for number in numbers}
    maps = [_read(node, "dm/name") for node in stacked if _kind(node) == "mpath"]
    if not maps and "E:DM_MULTIPATH_DEVICE_PATH=1" in _read(UDEV, "b" + number).split():
        maps = [""]  # multipathd claims it, the map is not there yet
    return Disk(
        asked,
        path=path,
        kind=_kind(folder),
        size=int(_read(folder, "size") or 0) * 512,
        read_only=_read(folder, "ro") != "0",
        sector_size=int(_read(whole, "queue/logical_block_size") or 512),
        partitions=tuple(sorted(map(os.path.basename, partitions), key=lambda name: (len(name), name))),
        holders=tuple(os.path.basename(node) for node in stacked),
        held_by=tuple(_phrase(node) for node in stacked),
        mounts=tuple(point for point, numbers in mounted if numbers & family),
        swap=any(_numbers_of(path) & family for path in parse_swaps(_read(PROC, "swaps"))),
        system=bool(_below(folder) & {leaf for known in vital for leaf in _below(_folder(known))}),
        signatures=tuple(Signature("mpath_member", None, "raid", name) for name in maps),
        our_pv_uuid=pv_uuid(folder),
        identity=identity(folder),
    )


# --- sysfs: what is stacked on what. A node is its folder in /sys ----------------------------------------


def _read(*parts):
    try:
        return _text(os.path.join(*parts)).strip()
    except OSError:  # an absent attribute, or one that this driver does not answer
        return ""


def _text(path):
    """The text of a file of the kernel's. Raises OSError for one that is not there, or that others filled past files.LIMIT."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        text = stream.read(files.LIMIT + 1)
    if len(text) > files.LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return text


def _number(device):
    return "%d:%d" % (os.major(device), os.minor(device))


def _folder(number):
    return os.path.realpath(os.path.join(SYS, "dev/block", number))


def _is_partition(folder):
    return os.path.exists(os.path.join(folder, "partition"))


def stable_name(path):
    """The best name of a disk that stays when the kernel names it otherwise, path itself when udev has given it none."""
    links = [link for link in glob.glob(os.path.join(DEV, "disk/by-id/*")) if os.path.realpath(link) == path]
    # lvm-pv-uuid-... goes with the label, wwn-... says the least to people.
    names = sorted(links, key=lambda link: ("/lvm-pv-uuid-" in link, "/wwn-" in link, "/dm-" in link, len(link), link))
    return names[0] if names and "/lvm-pv-uuid-" not in names[0] else path


def _whole(folder):
    return os.path.dirname(folder) if _is_partition(folder) else folder


def _partitions(folder):
    return [os.path.dirname(path) for path in glob.glob(os.path.join(glob.escape(folder), "*", "partition"))]


def _links(folder, name):
    return sorted(os.path.realpath(link) for link in glob.glob(os.path.join(glob.escape(folder), name, "*")))


def _above(folder):
    """Every node on top: partitions, holders (md, dm, bcache), loop devices on the node, and theirs in turn."""
    loops = [(_read(loop, "loop/backing_file"), os.path.realpath(loop)) for loop in glob.glob(os.path.join(SYS, "block/loop*"))]
    nodes, todo = [], [folder]
    while todo:
        node = todo.pop()
        # The kernel does not list loop devices among the holders, and they do not stop O_EXCL.
        on_it = [loop for backing, loop in loops if backing == os.path.join(DEV, os.path.basename(node))]
        new = [above for above in _partitions(node) + _links(node, "holders") + on_it if above not in nodes]
        nodes += new
        todo += new
    return nodes


def _below(folder):
    """The whole disks that a node finally rests on, itself when nothing is below."""
    nodes = [_whole(folder)]
    for node in nodes:  # those that are added too
        nodes += [lower for lower in map(_whole, _links(node, "slaves")) if lower not in nodes]
    return {node for node in nodes if not _links(node, "slaves")}


def _kind(folder):
    if _is_partition(folder):
        return "part"
    if os.path.isdir(os.path.join(folder, "dm")):
        uuid = _read(folder, "dm/uuid")
        return next((kind for prefix, kind in DM_KINDS if uuid.startswith(prefix)), "dm")
    if os.path.isdir(os.path.join(folder, "md")):
        return "raid"
    name = os.path.basename(folder)
    return "loop" if name.startswith("loop") else "rom" if name.startswith("sr") else "disk"


def _phrase(folder):
    """A stacked node for the operator: `dm-0 (open encrypted device secret)`."""
    text = " ".join(part for part in (PHRASES.get(_kind(folder), ""), _read(folder, "dm/name")) if part)
    return os.path.basename(folder) + (" (%s)" % text if text else "")


# --- procfs: mounts, swap, processes ---------------------------------------------------------------------


def parse_swaps(text):
    """[path] from /proc/swaps (proc(5))."""
    return [mountinfo.plain(line.split()[0]) for line in text.split("\n")[1:] if line.split()]


def _numbers_of(source):
    """The numbers of the devices that a mount's source or a swap line names: one, or `a:b:c` with bcachefs."""
    numbers = set()
    for path in source.split(":"):
        try:
            status = os.stat(path)
            numbers.add(_number(status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev))
        except (OSError, ValueError):
            numbers.add(_read(SYS, "class/block", os.path.basename(path), "dev"))
    return numbers - {""}


def _mounted():
    """[(mount point, {device numbers})]: btrfs, bcachefs and overlays have a made-up number, their source tells. OSError."""
    filesystems = [
        {_read(device, "dev") for device in _links(folder, "devices")} for folder in glob.glob(os.path.join(SYS, "fs/btrfs/*"))
    ]
    mounts = []
    for mount in mountinfo.parse(_text(os.path.join(PROC, "self/mountinfo"))):
        numbers = {mount.number}
        if mount.number.startswith("0:") and mount.source.startswith("/dev/"):
            numbers = _numbers_of(mount.source)
            for members in filesystems:
                numbers |= members if members & numbers else set()
        mounts.append((mount.point, numbers))
    return mounts


def _looks_like_a_device(path):
    """Whether a descriptor may be asked about: below a dead network file system that would hang. In a chroot /dev is elsewhere."""
    folder, slash, name = path.partition("/dev/")
    return bool(slash) and (not folder or os.path.exists(os.path.join(SYS, "class/block", os.path.basename(name))))


def _opened_by(number, writing):
    """Who has the device open: `process 812 (qemu-system-x86)`, '' when nobody is found. writing: for writing only."""
    for link in glob.glob(os.path.join(PROC, "[0-9]*/fd/*")):
        parts = link.split("/")
        try:
            if parts[-3] == str(os.getpid()) or not _looks_like_a_device(os.readlink(link)):
                continue
            status = os.stat(link)
            flags = int(re.search(r"flags:\s*(\d+)", _read(PROC, parts[-3], "fdinfo", parts[-1])).group(1), 8)
        except (OSError, AttributeError):  # gone meanwhile
            continue
        same = stat.S_ISBLK(status.st_mode) and _number(status.st_rdev) == number
        if same and not (writing and flags & os.O_ACCMODE == os.O_RDONLY):
            return _process(parts[-3])
    for path in glob.glob(os.path.join(PROC, "[0-9]*/mountinfo")):  # containers and services with their own mounts
        try:
            mounts = mountinfo.parse(_text(path))
        except OSError as error:
            if error.errno == errno.EFBIG:
                return "perhaps %s, whose list of mounts is too long to be read," % _process(path.split("/")[-2])
            continue  # it has ended
        if any(mount.number == number for mount in mounts):
            return "a mount in the namespace of %s" % _process(path.split("/")[-2])
    return ""


def _process(pid):
    """A process for the operator. It has its name from its owner, who may put a line feed or an escape into it."""
    return "process %s (%s)" % (pid, printable(_read(PROC, pid, "comm")))


# --- what is written on it: signatures.py reads it, here it is put into the Disk -------------------------


def _probed(disk, number):
    """The disk with signatures, data_at, label_header, in_use and unreadable filled in."""
    probed, unreadable = signatures.probe(disk.path)
    known, in_use, edges = disk.signatures + probed, None, []
    try:
        # A disk on which blkid hung would have our own read hang too, and nobody stops that.
        edges = [] if unreadable else signatures.read_edges(disk.path, disk.size)
        opener = _opened_by(number, writing=True)
        in_use = "%s has it open for writing" % opener if opener else None
    except OSError as error:
        if error.errno == errno.EBUSY:
            in_use = "%s has it open exclusively" % (_opened_by(number, writing=False) or "the kernel or a process")
        else:
            unreadable = unreadable or "reading it failed: %s" % error.strerror
    data_at, label_header = signatures.weigh(edges)
    pv_used, pv_commits = signatures.pv_header(edges[0][1] if edges else b"")
    return disk._replace(
        signatures=known,
        data_at=None if known else data_at,
        label_header=label_header and not known,
        pv_used=pv_used,
        pv_commits=pv_commits,
        in_use=in_use,
        unreadable=unreadable,
    )


# --- our own mark ----------------------------------------------------------------------------------------


def pv_uuid(folder):
    """The PV UUID that we give to the disk in this sysfs folder on this host: always the same, in LVM's own format.

    A run killed between pvcreate and vgcreate leaves a PV outside any VG, and such a PV cannot carry a tag: the UUID
    is the only mark. It is made from the machine, so that a disk carried over from another host is not taken for
    ours: the DMI UUID too, because cloned virtual machines share their machine-id.
    """
    seed = "\n".join(("direct-lvm", _read("/etc/machine-id"), _read(SYS, "class/dmi/id/product_uuid").lower(), identity(folder)))
    number = int(hashlib.sha256(seed.encode("utf-8")).hexdigest(), 16)
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    text = "".join(alphabet[number // 62**place % 62] for place in range(32))
    return "-".join(text[start:end] for start, end in zip((0, 6, 10, 14, 18, 22, 26), (6, 10, 14, 18, 22, 26, 32)))


def identity(folder):
    """What stays the same about a disk when kernel names change at a reboot; the kernel name when it has nothing."""
    if _is_partition(folder):
        return "%s part %s at %s" % (identity(_whole(folder)), _read(folder, "partition"), _read(folder, "start"))
    for name in ("wwid", "device/wwid", "serial", "device/serial", "device/cid", "dm/uuid", "md/uuid"):
        text = _read(folder, name)
        if text:
            return "%s %s" % (name, text)
    return "name %s size %s" % (os.path.basename(folder), _read(folder, "size"))
