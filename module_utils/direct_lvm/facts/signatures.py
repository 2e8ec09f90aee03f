# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a disk what is written on it: two probes, and a look at its first and last MiB. Reads only.

blkid(8) gives the one answer that it trusts, or says that answers contradict each other; wipefs(8) lists every magic
number, the backup GPT too. Bytes that neither knows are found by reading.
"""

import errno
import os
import re
import time

from ..host import commands
from ..model.errors import CommandFailed
from ..model.host import Signature

MIB = 1024 * 1024
TRIES, PAUSE = 3, 0.05  # seconds; of opening a disk exclusively
NOTHING, CONTRADICTION = 2, 8  # blkid(8), RETURN CODE
MDA_HEADER = (4096, 4608)  # where LVM2 writes the header of its first metadata area: lib/format_text/layout.h
MDA_MAGIC = b" LVM2 x[5A%r0N*>"  # FMTT_MAGIC, after a checksum of 4 bytes
# libblkid's names: wipefs does not print the usage. What is not here has blkid's usage, or is a filesystem.
USAGES = {
    "partition-table": ("gpt", "dos", "PMBR", "sgi", "sun", "mac", "bsd", "atari", "aix", "solaris_x86", "unixware"),
    "raid": (
        ("LVM1_member", "LVM2_member", "drbd", "DM_snapshot_cow", "mpath_member")
        + ("bcache", "ceph_bluestore", "zfs_member", "oracleasm")  # blkid: "other" or "filesystem"
    ),
    "crypto": ("crypto_LUKS", "BitLocker"),
    "other": ("swap", "swsuspend"),
}


def probe(path):
    """(signatures of blkid and wipefs together, why it could not be told or None)."""
    try:
        low = commands.run(("blkid", "-p", "-o", "export", path), ok=(0, NOTHING, CONTRADICTION))
        trusted = parse_blkid(low.out)
        magic = parse_wipefs(commands.run(("wipefs", "--parsable", "--no-act", path)).out)
    except CommandFailed as error:
        return (), str(error)
    merged = merge(trusted, magic)
    if low.rc == CONTRADICTION and not magic:
        return merged, "blkid finds signatures that contradict each other, and wipefs finds none"
    return merged, None


def parse_blkid(text):
    """(Signature, ...) from `blkid -p -o export`: one for TYPE, one for PTTYPE. blkid does not tell offsets.

    A line end inside a value has a backslash before it. Raises CommandFailed for anything but KEY=value.
    """
    fields = {}
    for line in filter(None, text.replace("\\\n", " ").split("\n")):
        key, equals, value = line.partition("=")
        if not equals or not re.match(r"[A-Z][A-Z0-9_]*\Z", key):
            raise CommandFailed(("blkid", "-p", "-o", "export"), "printed a line that cannot be read", line[:200])
        fields[key] = re.sub(r"\\(.)", r"\1", value)
    signatures = []
    if fields.get("TYPE"):
        usage = _usage(fields["TYPE"], fields.get("USAGE"))
        signatures.append(Signature(fields["TYPE"], None, usage, fields.get("LABEL", "")))
    if fields.get("PTTYPE"):
        signatures.append(Signature(fields["PTTYPE"], None, "partition-table"))
    return tuple(signatures)


def parse_wipefs(text):
    """(Signature, ...) from `wipefs --parsable`: lines of offset,uuid,label,type. A label may hold commas itself.

    Raises CommandFailed for anything else: what cannot be read must not pass for "nothing found".
    """
    signatures = []
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(",")
        if len(fields) < 4 or not re.match(r"^0x[0-9a-f]{1,16}\Z", fields[0]) or not fields[-1].strip():
            raise CommandFailed(("wipefs", "--parsable"), "printed a line that cannot be read", line[:200])
        label = re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code.group(1), 16)), ",".join(fields[2:-1]))
        kind = fields[-1].strip()
        signatures.append(Signature(kind, int(fields[0], 16), _usage(kind), label))
    return tuple(signatures)


def _usage(kind, reported=None):
    known = next((usage for usage, kinds in USAGES.items() if kind in kinds), None)
    return known or reported or ("raid" if kind.endswith("_raid_member") else "filesystem")


def merge(low, high):
    """Both probes' signatures: wipefs's, with the usage that blkid knows, and those that only blkid sees."""
    usages = {signature.type: signature.usage for signature in low}
    types = {signature.type for signature in high}
    both = tuple(signature._replace(usage=usages.get(signature.type, signature.usage)) for signature in high)
    return both + tuple(signature for signature in low if signature.type not in types)


def read_edges(path, size):
    """[(offset, bytes)]: the first and the last MiB. Raises OSError: EBUSY when somebody holds the disk."""
    _must_be_free(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        edges = []
        for offset, end in ((0, min(size, MIB)), (max(MIB, size - MIB), size)):
            data = b""
            if end > offset:  # from the disk, not from a cache that another path or host knows nothing of
                os.posix_fadvise(descriptor, offset, end - offset, os.POSIX_FADV_DONTNEED)
            while offset + len(data) < end:
                more = os.pread(descriptor, end - offset - len(data), offset + len(data))
                if not more:
                    raise OSError(errno.EIO, "it ends at byte %d, before its size" % (offset + len(data)))
                data += more
            edges.append((offset, data))
        return edges
    finally:
        os.close(descriptor)


def _must_be_free(path):
    """Raise OSError (EBUSY) when somebody has the disk open exclusively.

    A look has it so for no longer than this call: pvcreate, or the look of another run, would take it for somebody's. For
    the same reason it is asked again: only what holds it over all tries is said to hold it.
    """
    for left in range(TRIES - 1, -1, -1):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as failure:
            if failure.errno != errno.EBUSY or not left:
                raise
            time.sleep(PAUSE)
        else:
            return


def weigh(edges):
    """(data_at, label_header) of [(offset, bytes)]: see Disk.

    pvcreate writes the header of the metadata area first, the label that makes it a PV last.
    """
    first = [offset + len(data) - len(data.lstrip(b"\0")) for offset, data in edges if data.strip(b"\0")]
    if not first:
        return None, False
    start, end = MDA_HEADER
    data = edges[0][1]
    elsewhere = data[:start] + data[end:] + b"".join(more for _offset, more in edges[1:])
    if not elsewhere.strip(b"\0") and data[start + 4 : start + 4 + len(MDA_MAGIC)] == MDA_MAGIC:
        return None, True
    return first[0], False


def pv_header(first):
    """(used, commits) of a PV, from the first MiB of its disk: see Disk.

    lib/format_text/layout.h: a label in one of the first four sectors, "LABELONE", with the offset of its content at byte
    20; there a UUID of 32 bytes, the size, two lists of areas (offset, size), each ended by zeros, and then the extension:
    version, flags, of which bit 0 (PV_EXT_USED) says that a VG uses it. Metadata texts carry `seqno = N`, counted from 1.
    """
    commits = [int(number) for number in re.findall(rb"\bseqno = (\d{1,9})\n", first[MDA_HEADER[1] :])]
    for sector in range(4):
        label = first[512 * sector : 512 * (sector + 1)]
        if not label.startswith(b"LABELONE"):
            continue
        at = int.from_bytes(label[20:24], "little") + 40
        for _list in ("data areas", "metadata areas"):
            while at + 16 <= len(label) and label[at : at + 16].strip(b"\0"):
                at += 16
            at += 16
        return bool(int.from_bytes(label[at + 4 : at + 8], "little") & 1), max(commits or [0])
    return False, 0
