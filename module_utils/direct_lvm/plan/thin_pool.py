# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The thin pool, from whatever is there: nothing, half of it, all of it, or somebody else's. Pure."""

import re

from ..model import geometry
from ..model.errors import Refused
from ..model.names import ADOPTED_TAG, SIZE_TAG, TAG, device_name, full, helper_name, metadata_name
from ..model.quoting import paste
from ..model.spec import Size
from ..model.steps import AssertBlank, Command, activation
from ..texts import needs_check
from . import pool_policy

# Seconds. LVM has thin_check read all metadata when a pool is activated, and when it is taken down: 16 GiB on a slow disk.
METADATA_TIMEOUT = 6 * 3600


def plan_pool(pool, host, capacity):
    """[step]: create or finish the pool, correct what has drifted.

    capacity: volume_group.VgCapacity. Raises Refused for anything that is not ours or that LVM cannot change.
    """
    lv = host.lvm.lv(pool.vg, pool.name)
    check_names(pool, host.lvm)
    if lv and lv.segtype == "thin-pool":
        return corrections(pool, host.lvm, lv) + resize(pool, host.lvm, lv, capacity)
    return creation(pool, host.lvm, capacity)


def check_exists(pool, lvm):
    """Raise Refused when there is no pool to grow, or to replace the disks of."""
    if lvm.lv(pool.vg, pool.name) is None:
        raise Refused("There is no pool %s." % full(pool), "To create one: ansible-playbook playbooks/site.yml")


def check_names(pool, lvm):
    """Refuse what stands in the way under the pool's names, whoever made it."""
    lv, meta = lvm.lv(pool.vg, pool.name), lvm.lv(pool.vg, metadata_name(pool))
    if lv and lv.segtype == "thin-pool":
        check_swapped(pool, lvm)
        return
    for part in [part for part in (lv, meta) if part]:
        name = full(pool, part.name)
        if part.segtype not in ("linear", "striped"):
            raise Refused("%s exists and is of type %s." % (name, part.segtype), "Choose another thin_pool_name.")
        if TAG not in part.tags:
            raise Refused(
                "%s exists, is a plain LV and does not carry our tag %s: converting it would destroy what it holds." % (name, TAG),
                "Choose another thin_pool_name. If it is the rest of a set-up by hand and holds nothing: lvremove %s"
                % full(pool, part.name),
            )
        if part.open:
            raise Refused(
                "%s is in use (mounted, or something is stacked on it)." % name,
                "See what it is: lsblk %s" % paste(part.dm_path),
            )


def check_swapped(pool, lvm):
    """Refuse a pool that looks empty beside an LV of its metadata's name, which may hold the metadata that it had before."""
    lv, meta = lvm.lv(pool.vg, pool.name), lvm.lv(pool.vg, metadata_name(pool))
    if meta and lv.data_percent is None:
        raise Refused(
            "%s stands beside the finished pool %s, which is not active: whether it is empty, because its metadata were swapped "
            "for that LV, is not known." % (full(pool, meta.name), full(pool)),
            "Activate the pool, look at its Data%, and run again: lvchange -ay {0} && lvs {0}".format(full(pool)),
        )
    if meta and not lv.data_percent:
        raise Refused(
            "%s stands beside the finished pool %s, which looks empty: creating the metadata LV again and converting "
            "swaps a pool's metadata silently." % (full(pool, meta.name), full(pool)),
            "If images are missing, swap back first:\n"
            "lvchange -an {0} && lvconvert -y --thinpool {0} --poolmetadata {1} && lvchange -ay {0}\n"
            "If the pool really is new, remove the stray LV: lvremove {1}".format(full(pool), full(pool, meta.name)),
        )


def creation(pool, lvm, capacity):
    """[step] from no pool, or from the plain LVs of a run of ours that was cut off, to a pool."""
    lv, meta = lvm.lv(pool.vg, pool.name), lvm.lv(pool.vg, metadata_name(pool))
    layout = future_layout(pool, lvm, capacity)
    warning = geometry.autoextend_warning(layout, pool)
    if warning and pool.require_autoextend:
        raise Refused(warning, "thin_pool_require_autoextend is on, so nothing was done.")
    steps = []
    for part, what, name, extents, size in (
        (lv, "data", pool.name, layout.data, pool.data_size),
        (meta, "metadata", metadata_name(pool), layout.metadata, pool.metadata_size),
    ):
        desired = extents * capacity.extent_size
        if part is None:
            argv = ("lvcreate", "--yes", "--wipesignatures", "y", "--zero", "y", "--addtag", TAG, "--name", name)
            argv += (*length(size, extents, capacity), pool.vg)
            steps.append(Command(argv, "make the %s LV, %s" % (what, geometry.format_size(desired))))
        elif part.size != desired:
            raise Refused(
                "%s is ours, but has %s instead of the wanted %s."
                % (full(pool, name), geometry.format_size(part.size), geometry.format_size(desired)),
                "It is left of a run that was cut off, with other sizes. Remove it and run again: lvremove %s" % full(pool, name),
            )
        elif not part.active:
            steps.append(activation(full(pool, name), "y", "activate the %s LV" % what))
    for name in (pool.name,) + ((meta.name,) if meta else ()):  # lvcreate has just wiped the other one
        steps.append(AssertBlank("/dev/%s" % full(pool, name), "lvconvert destroys what the LV holds: it must hold nothing"))
    argv = ("lvconvert", "--yes", "--zero", "y" if pool.zero else "n", "--chunksize", "%dk" % (pool.chunk_size // 1024))
    argv += ("--discards", pool.discards, "--thinpool", full(pool), "--poolmetadata", full(pool, metadata_name(pool)))
    return [*steps, Command(argv, "convert both to thin pool %s" % full(pool))]


def future_layout(pool, lvm, capacity):
    """The geometry.Layout of a pool still to be made; the plain LVs that become the pool do not count as taken."""
    ours = [x for x in (lvm.lv(pool.vg, pool.name), lvm.lv(pool.vg, metadata_name(pool))) if x]
    taken = capacity.taken - sum(x.size for x in ours) // capacity.extent_size
    return geometry.planned_layout(pool, capacity.total, capacity.extent_size, taken)


def length(size, extents, capacity):
    """lvcreate's length option: the wanted percentage as written where LVM comes to the same extents, else extents."""
    if size.percent is not None and capacity.total * size.percent // 100 == extents:
        return ("--extents", "%d%%VG" % size.percent)
    return ("--extents", str(extents))


def corrections(pool, lvm, lv):
    """[step] that bring an existing pool back to what is wanted; Refused where LVM cannot."""
    steps, name, size = [], full(pool), lv.chunk_size // 1024
    if lv.chunk_size != pool.chunk_size:
        raise Refused(
            "pool %s has a chunk size of %dK, wanted %dK. LVM cannot change it." % (name, size, pool.chunk_size // 1024),
            "Keep it: thin_pool_chunk_size: %dK\nOr make a new pool under another thin_pool_name and switch to it." % size,
        )
    thin = [x.name for x in lvm.lvs_of(pool.vg) if x.pool_lv == pool.name]
    if thin:
        raise Refused(
            "pool %s holds thin LVs of LVM's own: %s. Containers do not share a pool with them." % (name, ", ".join(thin)),
            "Choose another thin_pool_name, or remove them if nobody needs them: lvremove %s" % full(pool, thin[0]),
        )
    if lv.health == "failed" or lv.check_needed:
        raise Refused(
            "pool %s needs repair (%s)." % (name, lv.health or "check needed"),
            needs_check.REPAIR + "\nOr on the host itself:\n" + needs_check.on_the_host(name, device_name(pool)),
        )
    stray = None if adopted(pool, lvm) else interrupted_spare(lvm, lv)
    if stray:
        steps += remove_spare(pool, lvm.lv(pool.vg, stray))
    steps += spare(pool, lvm, lv, stray)
    if lv.skip_activation:
        steps.append(Command(("lvchange", "--setactivationskip", "n", name), "activate the pool at boot, as Docker needs it"))
    change = pool_policy.discards(pool, lv)
    if lv.active and change and "ignore" in (lv.discards, pool.discards):
        why = "LVM changes that only while the pool is not active"
        steps += [activation(name, "n", why, timeout=METADATA_TIMEOUT), *change]
        steps.append(activation(name, "y", "activate the pool again", timeout=METADATA_TIMEOUT))
    elif lv.active:
        steps += change
    else:
        why = "take down what a killed command left active of the pool"
        if lv.half:
            steps.append(activation(name, "n", why, timeout=METADATA_TIMEOUT))
        else:  # LVM does not activate the pool while a part of it is, and does not take that down with the pool.
            steps += [activation(full(pool, part.name), "n", why) for part in active_parts(lvm, lv)]
        damage = "If LVM says that its check failed. " + needs_check.REPAIR
        steps += [*change, activation(name, "y", "activate the pool", timeout=METADATA_TIMEOUT, if_it_fails=damage)]
    if lv.zero is not None and lv.zero != pool.zero:
        argv = ("lvchange", "--zero", "y" if pool.zero else "n", name)
        steps.append(Command(argv, "zero new blocks: %s" % ("yes" if pool.zero else "no")))
    return steps


def active_parts(lvm, lv):
    """[lvm_report.Lv]: the data and metadata LV of pool lv that are active, or half so."""
    parts = [lvm.lv(lv.vg, lv.data_lv), lvm.lv(lv.vg, lv.metadata_lv)]
    return [part for part in parts if part and (part.active or part.half)]


def adopted(pool, lvm):
    """Whether others made the VG: what looks like a rest of ours there may be theirs."""
    vg = lvm.vg(pool.vg)
    return pool.adopt_vg or (vg is not None and ADOPTED_TAG in vg.tags)


def from_elsewhere(pool, host):
    """A sentence, with a space before it, when the pool may have come with its disks from another host; "" otherwise.

    The UUIDs of our PVs are made from host and disk (disks.pv_uuid). That they are others is no proof, and no reason to refuse.
    """
    vg, lv = host.lvm.vg(pool.vg), host.lvm.lv(pool.vg, pool.name)
    uuids = {disk.path: disk.our_pv_uuid for disk in host.disks}
    pvs = [pv for pv in host.lvm.pvs_of(pool.vg) if pv.name in uuids]
    if vg is None or TAG not in vg.tags or adopted(pool, host.lvm) or any(pv.uuid == uuids[pv.name] for pv in pvs):
        return ""
    made = " (LVM has noted %s as the host)" % lv.made_on if lv and lv.made_on else ""
    sentence = (
        " Its disks do not carry the UUIDs that this tool gives here: it was made on another host%s, or this one, or its disks,"
    )
    return sentence % made + " had another identity then." if pvs else ""


def interrupted_spare(lvm, lv):
    """The visible lvolN that lvconvert, killed between its last commits, leaves in the place of the hidden spare of pool lv.

    A boot after a power cut activates it, as any visible LV. In a VG that was adopted() it may be its owner's.
    """
    lvs = lvm.lvs_of(lv.vg)
    if any(x.name.endswith("_pmspare") for x in lvs):
        return None
    plain = [x for x in lvs if x.name.startswith("lvol") and x.segtype == "linear" and not (x.hidden or x.open or x.tags)]
    return next((x.name for x in plain if x.size == lv.metadata_size), None)


def left(pool, lvm):
    """[sentence] about what looks like an interrupted_spare() in a VG that was adopted, where it is left alone."""
    lv = lvm.lv(pool.vg, pool.name)
    if not adopted(pool, lvm) or lv is None or lv.segtype != "thin-pool":
        return []
    name = interrupted_spare(lvm, lv)
    sentence = "{0} may be a spare that a killed lvconvert left half-made. VG {1} was adopted, so it stays. If nobody needs it: "
    return [(sentence + "lvremove {0}").format(full(pool, name), pool.vg)] if name else []


def remove_spare(pool, stray):
    """[step] that remove the Lv of interrupted_spare(), once it was looked at: an operator's own may have its name and size."""
    name, steps = full(pool, stray.name), []
    if stray.half:
        steps.append(activation(name, "n", "take down what a killed command left active of it"))
    if not stray.active:
        steps.append(activation(name, "y", "have a look at what seems to be a spare, half-made"))
    steps.append(AssertBlank("/dev/%s" % name, "only a spare that was never used is removed"))
    return [*steps, Command(("lvremove", "--yes", name), "remove the spare that a killed lvconvert left half-made")]


def spare(pool, lvm, lv, stray):
    """[step] that give the VG its hidden spare of the pool's metadata back, which repairing the pool needs.

    LVM makes one only along with a pool (lvmthin(7), "Spare metadata LV"; tried: no command does for a pool that is
    there), so a pool of one extent is made and removed again. [] when there is one, or no room for it.
    """
    vg, helper = lvm.vg(pool.vg), helper_name(pool)
    steps = []
    if lvm.lv(pool.vg, helper):
        if TAG not in lvm.lv(pool.vg, helper).tags:
            return []
        steps.append(Command(("lvremove", "--yes", full(pool, helper)), "remove the helper of a run that was cut off"))
    if any(x.name.endswith("_pmspare") for x in lvm.lvs_of(pool.vg)):
        return steps
    extents = lv.metadata_size // vg.extent_size
    free = vg.free + (extents if stray else 0)
    if free < 2 * extents + 1:
        return steps
    make = Command(
        ("lvcreate", "--yes", "--type", "thin-pool", "--zero", "n", "--chunksize", "64k", "--addtag", TAG, "--extents", "1")
        + ("--poolmetadatasize", "%db" % lv.metadata_size, "--poolmetadataspare", "y", "--name", helper, pool.vg),
        "a spare for the pool's metadata comes only with a new pool",
    )
    return steps + [make, Command(("lvremove", "--yes", full(pool, helper)), "the spare is there, the helper can go")]


def resize(pool, lvm, lv, capacity):
    """[step] that grow the pool to the wanted sizes. A pool that autoextend made larger stays as it is."""
    size, extents = capacity.extent_size, lv.size // capacity.extent_size
    metadata = lv.metadata_size // size
    desired = geometry.data_extents(pool.data_size, capacity.total, size)
    data_more = max(0, desired - extents)
    tag = next((tag for tag in lvm.vg(pool.vg).tags if tag.startswith(SIZE_TAG)), None)
    if desired < min(extents, noted(tag, capacity)):  # else the rest is autoextend's work
        raise Refused(
            "pool %s has %s; thin_pool_data_size: %s is less, %s. LVM cannot make a thin pool smaller."
            % (full(pool), geometry.format_size(lv.size), pool.data_size.text, geometry.format_size(desired * size)),
            "Keep it: thin_pool_data_size: %s\nOr make a new pool under another thin_pool_name and switch to it."
            % tag[len(SIZE_TAG) :].replace("pc", "%"),
        )
    desired_metadata = geometry.metadata_extents(pool.metadata_size, capacity.total, size)
    geometry.check_metadata_size(pool, desired_metadata * size)
    metadata_more = max(0, desired_metadata - metadata)
    need, free = data_more + 2 * metadata_more, capacity.total - capacity.taken
    if need > free:
        raise Refused(
            "pool %s is to grow by %d extents (data %d, metadata and its spare %d each), VG %s has %d free."
            % (full(pool), need, data_more, metadata_more, pool.vg, free),
            "Add a disk to thin_pool_devices, or set thin_pool_data_size: %s and thin_pool_metadata_size: %s (what it has)."
            % (exact(lv.size), exact(lv.metadata_size)),
        )
    after = geometry.Layout(size, capacity.total, extents + data_more, metadata + metadata_more, free - need)
    warning = geometry.autoextend_warning(after, pool)
    if warning and pool.require_autoextend:
        raise Refused(warning, "thin_pool_require_autoextend is on, so nothing was done.")
    steps = []
    if metadata_more:
        argv = ("lvextend", "--poolmetadatasize", "+%db" % (metadata_more * size), full(pool))
        steps.append(Command(argv, "grow the metadata to the wanted %s" % geometry.format_size(desired_metadata * size)))
    if data_more:
        argv = ("lvextend", "--extents", "+%d" % data_more, full(pool))
        steps.append(Command(argv, "grow the pool to the wanted %s" % geometry.format_size((extents + data_more) * size)))
    return steps


def noted(tag, capacity):
    """The extents that a VG's tag says were wanted before; 0 without such a tag, or with one that nobody can read."""
    text = (tag or "")[len(SIZE_TAG) :].replace("pc", "%")
    percent = re.match(r"([0-9]{1,3})%VG\Z", text)
    size = Size(int(percent.group(1)), None, text) if percent else Size(None, geometry.parse_bytes(text) or 0, text)
    return geometry.data_extents(size, capacity.total, capacity.extent_size)


def exact(size):
    """Bytes as a size that thin_pool_*_size takes back."""
    return "%dM" % (size // geometry.MIB) if size % geometry.MIB == 0 else "%dK" % (size // 1024)
