# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Disks and volume group: which PVs are still to be made, and whether the VG is ours to change. Pure."""

from typing import NamedTuple

from ..model import geometry
from ..model.errors import Refused
from ..model.names import ADOPTED_TAG, SIZE_TAG, TAG
from ..model.quoting import paste, pasted
from ..model.steps import AssertUnchanged, Command
from . import blank, replacement, settings_check


class VgCapacity(NamedTuple):
    """The VG as it will be after the steps planned here. taken: extents used by LVs that are there already."""

    extent_size: int
    total: int
    taken: int


def plan_vg(pool, host):
    """([step], VgCapacity): pvcreate, vgcreate or vgextend, pvresize, pvmove, vgreduce, and the extents that there will be.

    Raises Refused for a disk that may hold something and for a VG that is not ours.
    """
    check_vg(pool, host.lvm)
    vg = host.lvm.vg(pool.vg)
    check_renamed(pool, host)
    steps, new, new_extents = [], [], 0
    extent_size = vg.extent_size if vg else geometry.EXTENT
    listed = set()
    for disk in host.disks:
        pv = next((p for p in host.lvm.pvs if p.name == disk.path and not p.missing), None)
        if disk.path and disk.path in listed:
            raise Refused("thin_pool_devices names %s twice, once as %s." % (disk.path, disk.asked), "Name each disk once.")
        listed.add(disk.path)
        if vg and pv and pv.vg == pool.vg:
            more, resize = grown(pv, extent_size)
            new_extents += more
            steps += resize
            continue
        wipes = blank.why_not_blank(disk, host.lvm, pool)
        settings_check.check_usable(disk, host, bool(wipes or disk.inside))
        check_twin(disk, host)
        check_block_size(disk, host, pool)
        steps += wipe_steps(disk, wipes, blank.orphan_pv(disk, host.lvm) is not None)
        ours = pv is not None and pv.vg is None and pv.uuid == disk.our_pv_uuid
        if ours and disk.pv_used:
            # vgcreate marks the PV as used before it commits: one that was killed leaves a PV that no LVM command takes.
            steps.append(replacement.zero(disk.path, 0, "first", "undo a vgcreate that was cut off before its first commit"))
        if not ours or disk.pv_used:
            argv = ("pvcreate", "--uuid", disk.our_pv_uuid, "--norestorefile", disk.path)
            why = "make %s a physical volume; its UUID marks it as ours until a VG can carry our tag" % disk.path
            steps.append(Command(argv, why))
        new.append(disk.path)
        new_extents += geometry.usable_extents(disk.size, extent_size)
    if vg is None:
        # lvm.conf may have another size (allocation/physical_extent_size); all sizes here are in extents of this one.
        options = ("--addtag", TAG, "--addtag", size_tag(pool), "--physicalextentsize", "%dk" % (geometry.EXTENT // 1024))
        why = "make volume group %s, tagged as ours in the same commit" % pool.vg
        return [*steps, Command(("vgcreate", *options, pool.vg, *new), why)], VgCapacity(extent_size, new_extents, 0)
    leaving = replacement.leaving(pool, host.lvm, listed)
    if TAG not in vg.tags:
        adopt = ("vgchange", "--addtag", TAG, "--addtag", ADOPTED_TAG, pool.vg)
        steps.insert(0, Command(adopt, "take over VG %s, as asked" % pool.vg))
    steps += retag(pool, vg)
    if new:
        steps.append(Command(("vgextend", pool.vg) + tuple(new), "add the new disks to VG %s" % pool.vg))
    stay = [pv for pv in host.lvm.pvs_of(pool.vg) if pv not in leaving]
    free = new_extents + sum(pv.extents - pv.extents_used for pv in stay)
    steps += replacement.plan_moves(pool, host, leaving, [pv.name for pv in stay] + new, free)
    # What a move under way takes twice is taken once when it is over.
    twice = sum(lv.size for lv in host.lvm.moves_of(pool.vg).values()) // extent_size
    total = vg.extents + new_extents - sum(pv.extents for pv in leaving)
    return steps, VgCapacity(extent_size, total, vg.extents - vg.free - twice)


def check_twin(disk, host):
    """Raise Refused when another disk would get the same PV UUID, which is made of what the kernel knows a disk by."""
    others = [other.path for other in host.disks if other.our_pv_uuid == disk.our_pv_uuid]
    others += [pv.name for pv in host.lvm.pvs if pv.uuid == disk.our_pv_uuid and not pv.missing]
    twin = next((path for path in others if path not in (None, disk.path)), None)
    if twin:
        raise Refused(
            "%s and %s have the same WWID or serial number: two paths to one disk, or two disks that nobody can tell apart."
            % (disk.path, twin),
            "See both: lsblk -o NAME,SIZE,WWN,SERIAL,MODEL %s %s\nTwo paths belong under multipath: name that device, once.\n"
            "Two disks can be used when one of them is given as a partition." % (paste(disk.path), paste(twin)),
        )


def check_block_size(disk, host, pool):
    """Raise Refused when the disk's logical blocks have another size than those of the VG, or of a disk listed before it.

    vgcreate and vgextend refuse that, pvcreate does not (lvm2, vg_extend_each_pv()). It is refused with allow_mixed_block_sizes=1
    in lvm.conf too: a pool that grows onto larger blocks gets larger blocks itself, and then file systems with smaller ones on it
    cannot be mounted. A VG that already has both sizes takes either, as LVM does.
    """
    known = {other.path: other for other in host.unlisted + host.disks}
    members = [known[pv.name] for pv in host.lvm.pvs_of(pool.vg) if pv.name in known and not pv.missing]
    if len({other.sector_size for other in members}) > 1:
        return
    other = (members or [other for other in host.disks if other.path])[0]
    if other.sector_size == disk.sector_size:
        return
    place = "which VG %s has" % pool.vg if members else "which thin_pool_devices names too"
    raise Refused(
        "%s has logical blocks of %d bytes, and %s, %s, of %d: LVM does not take both into one volume group."
        % (blank.name(disk), disk.sector_size, blank.name(other), place, other.sector_size),
        "See all: lsblk -o NAME,SIZE,LOG-SEC,PHY-SEC,MODEL\nName disks of one size of blocks only. Disks of the other size can "
        "make a pool of their own under another thin_pool_vg.\nMany NVMe disks can be formatted to another size of blocks; all "
        "that they hold is lost: nvme id-ns -H {0}, nvme format --lbaf=NUMBER {0}".format(paste(disk.path)),
    )


def check_renamed(pool, host):
    """Raise Refused when the VG has a disk that thin_pool_devices does not name, and lacks one that it names.

    The kernel names disks in the order in which it finds them, so a boot may change the names. The goal replace says that these
    disks are meant (and replacement.leaving() refuses it for an adopted VG).
    """
    listed = {disk.path for disk in host.disks}
    in_place = {pv.name: pv for pv in host.lvm.pvs_of(pool.vg)}
    new = [disk for disk in host.disks if disk.path not in in_place]
    left = [name for name in in_place if name not in listed]
    if not new or not left or pool.replace:
        return
    known = {disk.path: disk for disk in host.unlisted + host.disks}
    same = "".join(
        " %s is a disk that this tool put into it on this host: PV UUID %s, %s." % (name, pv.uuid, known[name].identity)
        for name, pv in in_place.items()
        if name in left and name in known and pv.uuid == known[name].our_pv_uuid
    )
    stay = [known[name].asked if name in known else name for name in in_place]
    strangers = ", ".join("%s (%s)" % (blank.name(disk), disk.identity or "not there") for disk in new)
    raise Refused(
        "VG %s has %s, which thin_pool_devices does not name, and does not have %s, which it names: the kernel may have given the "
        "disks other names at a boot.%s No disk is added or removed because of its name."
        % (pool.vg, " ".join(left), strangers, same),
        "See which is which: pvs -o pv_name,pv_uuid,vg_name; lsblk -o NAME,SIZE,WWN,SERIAL\n"
        "Name the disks of the VG by names that stay:\nthin_pool_devices: [%s]\nTo add a disk, name it beside them. "
        'To replace one: docs/operating.md, "Replace a disk".' % ", ".join(map(paste, stay)),
    )


def size_tag(pool):
    """The wanted data size as an LVM tag; `%` is not allowed in one (lvm(8), VALID NAMES)."""
    return SIZE_TAG + pool.data_size.text.replace("%", "pc")


def retag(pool, vg):
    """[vgchange] when the VG does not carry the wanted data size as its tag."""
    old = [tag for tag in vg.tags if tag.startswith(SIZE_TAG) and tag != size_tag(pool)]
    options = [word for tag in old for word in ("--deltag", tag)]
    options += [] if size_tag(pool) in vg.tags else ["--addtag", size_tag(pool)]
    return [Command(("vgchange", *options, pool.vg), "note the wanted data size on the VG")] if options else []


def check_name(pool, lvm):
    """Raise Refused when several VGs have the wanted name, as after a disk of another host came: which is meant nobody can tell."""
    same = [vg for vg in lvm.vgs if vg.name == pool.vg]
    if len(same) > 1:
        raise Refused(
            "this host has %d volume groups named %s." % (len(same), pool.vg),
            "See which is which: vgs -o +vg_uuid,pv_name\nRename the other one by its UUID: %s"
            % "    # or ".join("vgrename %s NEWNAME" % vg.uuid for vg in same),
        )


def check_vg(pool, lvm):
    """Raise Refused when a VG of the wanted name exists that is not ours, or cannot be changed now."""
    check_name(pool, lvm)
    vg = lvm.vg(pool.vg)
    if vg is None:
        return
    if vg.exported:
        raise Refused(
            "VG %s is exported." % vg.name,
            "If it belongs to this host: vgimport %s && vgchange -ay %s" % ((vg.name,) * 2),
        )
    back = [pv.name for pv in lvm.pvs_of(vg.name) if pv.missing and pv.name.startswith("/")]
    if back:
        raise Refused(
            "VG %s does without %s, which is there: the group was changed while it was away, as by vgreduce --removemissing."
            % (vg.name, " ".join(back)),
            "If it is that disk, as it was: vgextend --restoremissing %s %s" % (vg.name, pasted(back)),
        )
    if vg.missing_pvs:
        raise Refused(
            "VG %s is missing %d of its PVs; nothing is changed while a disk is away." % (vg.name, vg.missing_pvs),
            "Bring the disk back and run again. `pvs -o+pv_uuid` names it. A filter or the devices file may hide a "
            "disk that is there: lvmconfig --type full devices/global_filter devices/filter devices/use_devicesfile\n"
            "Only if it is lost for ever and carried nothing of the pool: vgreduce --removemissing %s" % vg.name,
        )
    if vg.shared:
        raise Refused("VG %s is shared between hosts (lvmlockd)." % vg.name, "Choose another thin_pool_vg.")
    if TAG not in vg.tags and not pool.adopt_vg:
        raise Refused(
            "VG %s exists and was not made by this tool (no tag %s)." % (vg.name, TAG),
            "Choose another thin_pool_vg, or take it over as it is with:\nthin_pool_adopt_vg: true\n"
            "Its other LVs are never touched; its free space will be used.",
        )


def grown(pv, extent_size):
    """(extents to come, [pvresize]) when the disk under a PV has grown by at least one extent."""
    end = pv.dev_size - -(-pv.mda_at_end // geometry.MIB) * geometry.MIB
    more = geometry.usable_extents(end, extent_size, pv.pe_start) - pv.extents
    if more < 1:
        return 0, []
    return more, [Command(("pvresize", pv.name), "%s has grown by %d extents" % (pv.name, more))]


def wipe_steps(disk, signatures, shown):
    """Commands that erase what thin_pool_wipe allows. shown: LVM knows the disk as a PV of no volume group."""
    if not signatures:
        return []
    allowed = "as thin_pool_wipe allows"
    steps = [AssertUnchanged(disk, "look once more right before it is erased")]
    for part in disk.inside:
        if part.signatures:
            kinds = ", ".join(sorted({signature.type for signature in part.signatures}))
            steps.append(Command(("wipefs", "--all", part.path), "erase %s in a partition, %s" % (kinds, allowed)))
    if disk.inside:
        # udev looks at what was just written; while it does, the kernel would keep the partitions.
        steps.append(Command(("udevadm", "settle", "--timeout=60"), "let udev finish with the partitions", ok=None))
        steps.append(Command(("partx", "--delete", disk.path), "have the kernel forget the partitions; it refuses for one in use"))
    if shown:
        # Without --force: a PV that came into a group meanwhile stays.
        steps.append(Command(("pvremove", disk.path), "erase the PV label, %s" % allowed))
    # The last MiB first, then the first in one write, then what lies between: a run cut off here leaves less of what was
    # allowed, never something new.
    steps += replacement.zero_ends(disk.path, disk.size, "so that nothing stale comes back")
    kinds = sorted({signature.type for signature in signatures if signature.type != "data"})
    if kinds:
        steps.append(Command(("wipefs", "--all", disk.path), "erase what is left of %s, %s" % (", ".join(kinds), allowed)))
    return steps
