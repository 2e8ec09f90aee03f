# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a disk may be overwritten, and what to tell the operator when it may not. Pure.

Two kinds of no. What is in use is never ours to take: the way out is to stop using it. What is only written there can
be erased, but not before the operator has named the disk and everything found on it in thin_pool_wipe.
"""

import json
import os
import re

from ..model.errors import Refused
from ..model.host import Signature
from ..model.quoting import openers, paste, pasted, printable

MIB = 1024 * 1024
# A pool of 4 MiB extents with metadata, its spare and one growth step: less than this is a mistake, not a wish.
SMALLEST = 64 * MIB
ANOTHER = "Name another disk in thin_pool_devices."
LVM_LABEL = "LVM2_member"
UNSEEN = ", though the kernel sees no partitions"
LOST = {
    "filesystem": "every file in it",
    "crypto": "its key slots, so that what is encrypted on it can never be read again",
    "raid": "this disk's part of the data, and the whole when no other member has a copy",
    "partition-table": "the partition table, and with it the way to everything in the partitions",
    "other": "everything that it holds",
}


def why_not_blank(disk, lvm, pool):
    """Raise Refused unless the disk may be overwritten.

    disk: Disk, probed; lvm: lvm_report.Lvm; pool: Pool, of which vg and wipe count.
    Returns the (Signature, ...) to erase first, () for a blank disk. Data without a signature comes as type
    'data'. Partitions (disk.inside) must be as free of users as the disk, and what they hold must be named too. A PV of
    pool.vg is refused here like any other; whether it is in place already is for the planner to say.
    An orphan PV that carries our own UUID for this disk is blank.
    """
    check_there(disk)
    check_vital(disk)
    for device in (disk,) + disk.inside:
        check_vg(device, lvm)
        check_in_use(device)
    check_fit(disk)
    for part in disk.inside:
        if part.path is None or (part.kind != "part" and not part.unreadable):
            raise Refused(
                "partition %s of %s has no node in /dev, so nobody can tell whether it is blank." % (part.asked, name(disk)),
                "Have udev make it, and run again: udevadm trigger --subsystem-match=block && udevadm settle",
            )
    for device in (disk,) + disk.inside:
        if device.unreadable:
            raise Refused(
                "%s cannot be read, so nobody can tell whether it is blank: %s" % (name(device), device.unreadable),
                "See what the kernel says: dmesg | grep %s" % paste(device.path.split("/")[-1]),
            )
    return check_written(disk, lvm, pool)


def name(disk):
    """The disk for the operator: as written, and the device that it stands for."""
    if disk.asked in (disk.path, (disk.path or "").replace("/dev/", "", 1)) or not disk.path:
        return disk.path or disk.asked
    return "%s (%s)" % (disk.asked, disk.path)


def check_there(disk):
    """Raise Refused when the name does not lead to a block device."""
    if disk.kind == "relative name":
        raise Refused(
            "thin_pool_devices names %r, which is neither a path nor a kernel name." % disk.asked,
            "Write the whole path (/dev/...) or a bare name such as sdb. This host's disks: ls -l /dev/disk/by-id",
        )
    if disk.path is None:
        if disk.unreadable:
            raise Refused("%s cannot be looked at: %s" % (disk.asked, disk.unreadable), "ls -l %s" % paste(disk.asked))
        raise Refused(
            "%s does not exist on this host." % disk.asked,
            "This host's disks, under names that stay the same: ls -l /dev/disk/by-id; lsblk",
        )
    if " " in disk.kind or disk.kind == "directory":
        what = disk.kind if disk.kind.startswith("not ") else "a %s, not a block device" % disk.kind
        raise Refused("%s is %s." % (name(disk), what), "Name a whole disk or a partition, see: lsblk")


def check_vital(disk):
    """Raise Refused for the disk that the system itself runs from, and for anything else on that disk."""
    if not disk.system:
        return
    what = "it is a partition of that disk" if disk.kind == "part" else "it rests on that disk"
    what = "it is mounted at %s" % " ".join(map(printable, disk.mounts)) if disk.mounts else what
    raise Refused("%s belongs to the disk that this system runs from: %s." % (name(disk), what), ANOTHER)


def check_vg(disk, lvm):
    """Raise Refused for a PV of a volume group, an exported one or one with missing disks too, and for a duplicate."""
    rows = [pv for pv in lvm.pvs if pv.name == disk.path]
    twins = ("Not using device %s for PV" % disk.path, " prefers device %s because" % disk.path)
    twin_line = next((line for line in lvm.warnings if any(twin in line for twin in twins)), "")
    if any(pv.duplicate for pv in rows) or twin_line:
        raise Refused(
            "%s carries the same PV UUID as another device%s: it is a copy, a snapshot or a second path of it."
            % (name(disk), " (LVM says: %s)" % twin_line if twin_line else ""),
            "See both: pvs --all -o pv_name,pv_uuid,vg_name,pv_duplicate\n"
            "A second path belongs under multipath; detach a copy from this host, or erase it if nobody needs it.",
        )
    for pv in [pv for pv in rows if pv.vg is not None]:
        vg, notes = lvm.vg(pv.vg), []
        if pv.exported or (vg and vg.exported):
            notes.append("exported, perhaps on its way to another host")
        if vg and vg.missing_pvs:
            notes.append("missing %d of its disks" % vg.missing_pvs)
        if disk.mounts:
            notes.append("mounted at %s" % " ".join(map(printable, disk.mounts)))
        note = " (%s)" % "; ".join(notes) if notes else ""
        only = [other.name for other in lvm.pvs_of(pv.vg)] == [pv.name]
        raise Refused(
            "%s is a physical volume of volume group %s%s." % (name(disk), pv.vg, note),
            "See what it holds: vgs -o +lv_name %s\n" % pv.vg
            + ("vgimport %s   # first\n" % pv.vg if pv.exported else "")
            + (
                "If nobody needs it, all LVs of the group are lost: vgremove {0} && pvremove {1}"
                if only
                else "To free the disk and keep the group, which needs room on its other disks: "
                "pvmove {1} && vgreduce {0} {1} && pvremove {1}"
            ).format(pv.vg, paste(disk.path)),
        )


def check_in_use(disk):
    """Raise Refused for whatever uses the disk now. None of it can be allowed by thin_pool_wipe."""
    leg = next((signature for signature in disk.signatures if signature.type == "mpath_member"), None)
    if leg:
        better = paste("/dev/mapper/%s" % leg.label) if leg.label else "the /dev/mapper/... name that `multipath -ll` shows"
        raise Refused(
            "%s is one path of multipath device %s." % (name(disk), leg.label or "(not assembled now)"),
            "Name the multipath device in its place: %s" % better,
        )
    if disk.mounts:
        kinds = ", ".join(sorted({signature.type for signature in disk.signatures}))
        kinds = " (%s)" % kinds if kinds else ""
        raise Refused(
            "%s is mounted%s at %s." % (name(disk), kinds, " ".join(map(printable, disk.mounts))),
            "If nobody needs it: umount %s, take it out of /etc/fstab, and run again." % pasted(disk.mounts),
        )
    if disk.swap:
        raise Refused(
            "%s is in use as swap." % name(disk),
            "If the host can do without: swapoff %s, take it out of /etc/fstab, and run again." % paste(disk.path),
        )
    if disk.holders:
        raise Refused(
            "%s is in use below %s." % (name(disk), ", ".join(disk.held_by or disk.holders)),
            "See what it is: lsblk %s\nName the upper device instead, or take it down first (mdadm --stop, "
            "cryptsetup close, dmsetup remove, losetup -d)." % paste(disk.path),
        )
    if disk.in_use:
        raise Refused("%s is in use: %s." % (name(disk), disk.in_use), "See who: " + openers(disk.path))


def check_fit(disk):
    """Raise Refused for a device that no physical volume can or should live on."""
    if disk.kind == "rom":
        raise Refused("%s is an optical drive." % name(disk), ANOTHER)
    if disk.kind == "lvm":
        what = "%s is itself a logical volume; LVM does not look for physical volumes there (lvm.conf scan_lvs)." % name(disk)
        raise Refused(what, ANOTHER)
    table = any(signature.usage == "partition-table" for signature in disk.signatures)
    if disk.partitions and not (table and disk.inside):
        raise Refused(
            "%s has partitions in the kernel, %s, and no table on the disk." % (name(disk), " ".join(disk.partitions)),
            "If nobody needs them, have the kernel forget them: partx --delete %s" % paste(disk.path),
        )
    if disk.unreadable:
        return
    if disk.size < SMALLEST:
        what = "%s is too small: %.1f MiB, a thin pool needs at least %d MiB."
        raise Refused(what % (name(disk), disk.size / MIB, SMALLEST / MIB), ANOTHER)
    if disk.read_only:
        way_out = "If that is only the kernel's switch: blockdev --setrw %s" % paste(disk.path)
        raise Refused("%s is read-only." % name(disk), way_out)


def check_written(disk, lvm, pool):
    """The signatures to erase, all of them allowed. Raise Refused when one is not."""
    orphan = orphan_pv(disk, lvm)
    ours = orphan is not None and orphan.uuid == disk.our_pv_uuid
    signatures = everything(disk)
    others = [signature for signature in signatures if signature.type != LVM_LABEL]
    if ours and disk.pv_used and disk.pv_commits > 1:
        raise Refused(
            "%s is a physical volume that this tool made, and its volume group was changed %d times; now LVM finds no metadata "
            "of the group." % (name(disk), disk.pv_commits),
            "LVM keeps copies: vgcfgrestore --list VG, then vgcfgrestore VG.\nOnly if nobody needs what was in the group: "
            "pvremove --force --force %s" % paste(disk.path),
        )
    if ours and not others:
        return ()
    if ours:
        raise Refused(
            "%s is a physical volume that this tool began, and carries %s besides: somebody else has used it since."
            % (name(disk), _sentence(others)),
            "If nobody needs it: pvremove {0} && wipefs --all {0}".format(paste(disk.path)),
        )
    damage = [line for line in (check_label(device, lvm) for device in (disk,) + disk.inside) if line]
    named = [wipe for wipe in pool.wipe if wipe.device == disk.asked or os.path.join("/dev", wipe.device) == disk.path]
    allowed = {wipe.signature for wipe in named}
    inside = tuple(signature for part in disk.inside for signature in everything(part))
    if any(signature.type not in allowed for signature in signatures + inside):
        says = " LVM says: %s It may belong to a group whose metadata is damaged." % damage[0] if damage else ""
        what = _partitioned(disk, lvm) if disk.inside else "is not blank: %s" % _sentence(signatures, orphan)
        raise Refused("%s %s.%s" % (name(disk), what, says), _way_out(disk, signatures + inside))
    return signatures


def orphan_pv(disk, lvm):
    """The lvm_report.Pv on this device that belongs to no volume group, None when LVM shows none."""
    return next((pv for pv in lvm.pvs if pv.name == disk.path and pv.vg is None and not pv.missing), None)


def everything(disk):
    """(Signature, ...) of all that is written on a device, data without a signature too; not what its partitions hold."""
    part_of_gpt = "PMBR" if any(signature.type == "gpt" for signature in disk.signatures) else None
    signatures = tuple(signature for signature in disk.signatures if signature.type != part_of_gpt)
    return signatures if disk.data_at is None else signatures + (Signature("data", disk.data_at, "other"),)


def check_label(disk, lvm):
    """What LVM says about a damaged label, '' when nothing. Raise Refused for a label that LVM does not show at all."""
    if not any(signature.type == LVM_LABEL for signature in disk.signatures):
        return ""
    # LVM names what is broken on its way to the metadata: "bad metadata header on DEV at 4096." Some releases show such
    # a PV as an orphan all the same.
    damage = next((line for line in lvm.warnings if "metadata" in line and disk.path in line.split()), "")
    if not damage and not orphan_pv(disk, lvm):
        raise Refused(
            "%s carries an LVM label, but LVM does not show it: a filter or the devices file hides it, or its volume "
            "group belongs to another host." % name(disk),
            'Look: pvs --all --foreign --shared -o +vg_systemid --config \'devices{use_devicesfile=0 filter=["a|.*|"] '
            'global_filter=["a|.*|"]}\'\n'
            "If it is this host's own and only the devices file lacks it: lvmdevices --adddev %s\n"
            "Only if nobody needs it: wipefs --all %s" % ((paste(disk.path),) * 2),
        )
    return damage


def _sentence(signatures, orphan=None):
    """`ext4 filesystem "backup" at byte 1080, swap at byte 4086`: each type once, where it was seen first."""
    phrases = []
    for kind in sorted({signature.type for signature in signatures}):
        same = [signature for signature in signatures if signature.type == kind]
        label = next((signature.label for signature in same if signature.label), "")
        where = [signature.offset for signature in same if signature.offset is not None]
        words = kind + (" filesystem" if same[0].usage == "filesystem" else "")
        if kind == "data":
            words = "data without a known signature"
        elif kind == LVM_LABEL:
            words = "an LVM physical volume in no volume group (orphan, UUID %s, not the one that this tool gives)" % (
                orphan.uuid if orphan else "unreadable"
            )
        elif same[0].usage == "partition-table":
            words = "a %s partition table%s" % (kind, UNSEEN)
        elif same[0].usage == "raid":
            words = "a member of an array or pool (%s)" % kind
        elif same[0].usage == "crypto":
            words = "an encrypted volume (%s)" % kind
        label = "".join(character if character.isprintable() else "?" for character in label)
        phrases.append(words + (' "%s"' % label if label else "") + (" at byte %d" % min(where) if where else ""))
    return ", and ".join(phrases)


def _partitioned(disk, lvm):
    """`has 2 partitions: /dev/sdb1 (ext4 filesystem "backup" at byte 1080), /dev/sdb2 (blank), in a gpt partition table`."""
    parts = ["%s (%s)" % (part.path, _sentence(everything(part), orphan_pv(part, lvm)) or "blank") for part in disk.inside]
    table = _sentence(everything(disk), orphan_pv(disk, lvm)).replace(UNSEEN, "")
    return "has %d partition%s: %s; and %s" % (len(parts), "s"[: len(parts) > 1], ", ".join(parts), table)


def _way_out(disk, signatures):
    """How to look at it, the YAML that allows it, and what that costs. signatures: those in its partitions too."""
    kinds = sorted({signature.type for signature in signatures})
    looks = ["lsblk -f %s" % paste(disk.path)] if disk.inside else []
    if disk.data_at is not None and "data" in kinds:
        looks.append("hexdump -C -s %d -n 256 %s" % (disk.data_at, paste(disk.path)))
    if kinds != ["data"]:
        looks.append("wipefs %s" % paste(disk.path))
    if "linux_raid_member" in kinds:
        looks.append("mdadm --examine %s" % paste(disk.path))
    if LVM_LABEL in kinds:
        looks.append("pvck --dump headers %s" % paste(disk.path))
    device = disk.asked if disk.asked.startswith("/") else disk.path
    losses = sorted({LOST.get(signature.usage, LOST["other"]) for signature in signatures})
    return "Look at it: %s\nIf nobody needs it, allow it to be erased; lost for ever: %s.\nthin_pool_wipe:\n%s" % (
        "; ".join(looks),
        "; ".join(losses),
        "\n".join("  - {device: %s, signature: %s}" % (_yaml(device), _yaml(kind)) for kind in kinds),
    )


def _yaml(text):
    """A text as YAML reads it back, within braces too."""
    return text if re.match(r"/?[A-Za-z][A-Za-z0-9_+./-]*(:[A-Za-z0-9_+./-]+)*\Z", text) else json.dumps(text)
