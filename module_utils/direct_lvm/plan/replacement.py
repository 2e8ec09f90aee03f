# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Disks that leave the volume group: emptied onto the others while containers run, then taken out. Pure.

pvmove keeps in LVM's metadata what it moves, in a hidden LV pvmoveN (pvmove(8)); so a move that was cut off is found there,
and the same command goes on with it.
"""

import json

from ..model import geometry
from ..model.errors import Refused
from ..model.names import ADOPTED_TAG, TAG, full
from ..model.quoting import paste
from ..model.steps import Command, UntilMoved, activation

INTERVAL = 5  # seconds: how often LVM looks whether a part of the move is done and the next can begin; its default is 15


def leaving(pool, lvm, listed):
    """[lvm_report.Pv] of our VG that thin_pool_devices does not name. Refused unless the goal is to replace them.

    In a VG that was adopted they are left alone: others' LVs are on them.
    """
    extra = [pv for pv in lvm.pvs_of(pool.vg) if pv.name not in listed]
    tags, names = lvm.vg(pool.vg).tags, " ".join(pv.name for pv in extra)
    by_hand = "\n".join("pvmove {1} && vgreduce {0} {1} && pvremove {1}".format(pool.vg, paste(pv.name)) for pv in extra)
    if pool.replace and extra and (TAG not in tags or ADOPTED_TAG in tags):
        raise Refused(
            "VG %s was adopted, and what thin_pool_devices does not name of it, %s, may hold its other LVs: they are left alone."
            % (pool.vg, names),
            "Name it in thin_pool_devices. Or empty it by hand, of all LVs, onto the others:\n" + by_hand,
        )
    if extra and not (pool.replace or pool.adopt_vg):
        raise Refused(
            "VG %s has %s, which thin_pool_devices does not name. A disk is never taken out silently." % (pool.vg, names),
            "Name it in thin_pool_devices. Or have it emptied onto the others, which need the room, and taken out:\n"
            "ansible-playbook playbooks/replace.yml\nBy hand:\n" + by_hand,
        )
    return extra if pool.replace else []


def plan_moves(pool, host, gone, stay, free):
    """[step]: pvmove, vgreduce, pvremove and zeroed ends for each PV that leaves.

    gone: [lvm_report.Pv].  stay: the names of the disks that stay, new ones too; free: the extents that are free on them.
    Raises Refused when they have not enough.
    """
    vg, moves, lv = host.lvm.vg(pool.vg), host.lvm.moves_of(pool.vg), host.lvm.lv(pool.vg, pool.name)
    begin = [pv for pv in gone if pv.extents_used and pv.name not in moves]
    need = sum(pv.extents_used for pv in begin)
    if need > free:
        used_size, free_size, missing_size = (
            geometry.format_size(extents * vg.extent_size) for extents in (need, free, need - free + 1)
        )
        raise Refused(
            "%s of VG %s is to be emptied: %d extents (%s) are used there, and the disks that stay (%s) have %d free (%s)."
            % (" ".join(pv.name for pv in gone), vg.name, need, used_size, " ".join(stay) or "none", free, free_size),
            "Add a disk of at least %s to thin_pool_devices. LVM cannot make a thin pool smaller." % missing_size,
        )
    if begin and not moves:
        check_growth(pool, host, [pv.name for pv in begin], stay)
    steps = []
    for pv in sorted(gone, key=lambda pv: pv.name not in moves):
        argv = ("pvmove", "--background", "--interval", str(INTERVAL), pv.name)
        if pv.name in moves:
            steps.append(Command(argv, "go on emptying %s" % pv.name))
            if lv and not lv.active:
                # After a power cut LVM 2.03.16 leaves pvmoveN loaded and not live, and the pool fails at boot; pvmove has it live.
                steps.append(activation(full(pool), "y", "activate the pool, which cannot be used at boot while it is moved"))
        elif pv.extents_used:
            size = geometry.format_size(pv.extents_used * vg.extent_size)
            steps.append(Command(argv + tuple(stay), "begin to empty %s (%s) onto the others; containers run on" % (pv.name, size)))
        if pv.name in moves or pv.extents_used:
            steps.append(UntilMoved(pv.name, "wait until %s is empty" % pv.name))
        steps.append(Command(("vgreduce", vg.name, pv.name), "take %s out of VG %s" % (pv.name, vg.name)))
        steps += give_back(pv)
    for pv in host.lvm.pvs:
        if pv.name in host.orphans:
            steps += give_back(pv)
    return steps


def fullest(pool, lvm):
    """(percent, 'data' or 'metadata') of the part of the pool that is fuller; 0 when there is no pool or it is not active."""
    lv = lvm.thin_pool(pool)
    if lv is None:
        return 0, "data"
    return max((lv.data_percent or 0, "data"), (lv.metadata_percent or 0, "metadata"))


def check_growth(pool, host, gone, stay):
    """Raise Refused when the pool is due to grow: LVM resizes nothing that it moves (lvm2, lv_is_locked), for hours perhaps."""
    used, what = fullest(pool, host.lvm)
    if used > pool.autoextend_threshold:
        devices = ", ".join(json.dumps(name) for name in gone + list(stay))
        raise Refused(
            "%s of pool %s/%s is %.1f %% full, above its threshold of %d %%: the pool could fill up while %s is emptied, for LVM "
            "extends nothing that it moves." % (what, pool.vg, pool.name, used, pool.autoextend_threshold, " ".join(gone)),
            "Grow it first, with old and new disks: ansible-playbook playbooks/grow.yml -e %s\n"
            "Or make room: docker image prune; ansible-playbook playbooks/trim.yml"
            % paste('{"thin_pool_devices": [%s]}' % devices),
        )


def warning(pool, host):
    """The sentence that is due while a disk is, or is about to be, emptied, else None."""
    listed = {disk.path for disk in host.disks}
    moves = host.lvm.moves_of(pool.vg)
    gone = [pv.name for pv in host.lvm.pvs_of(pool.vg) if pv.name not in listed and (pv.extents_used or pv.name in moves)]
    if not pool.replace or not gone:
        return None
    used, what = fullest(pool, host.lvm)
    return (
        "pool %s/%s cannot grow while %s is emptied: LVM extends nothing that it moves. Its %s are %.1f %% full; watch: lvs -a %s"
        % (pool.vg, pool.name, " ".join(gone), what, used, pool.vg)
    )


def give_back(pv):
    """[step]: a lvm_report.Pv of no VG as a blank disk; what LVM wrote below its label, and the VG held, would have it refused."""
    remove = Command(("pvremove", pv.name), "erase the PV label of %s" % pv.name)
    return [remove, *zero_ends(pv.name, pv.dev_size, "so that it can be used again")]


def zero_ends(path, size, why):
    """[step]: the last MiB of a disk, then the first. size in bytes."""
    return [zero(path, seek, where, why) for seek, where in ((size - geometry.MIB, "last"), (0, "first"))]


def zero(path, seek, where, why):
    """dd over one MiB of a disk, written through. seek in bytes."""
    argv = ("dd", "if=/dev/zero", "of=" + path, "bs=1M", "count=1", "seek=%d" % seek, "oflag=seek_bytes", "conv=notrunc,fsync")
    return Command(argv, "zero the %s MiB of %s, %s" % (where, path, why))


def check_quiet(pool, lvm, steps):
    """Raise Refused when steps are due while somebody else's pvmove holds the VG's LVs: LVM changes none of them meanwhile."""
    ours = {step.device for step in steps if isinstance(step, UntilMoved)}
    for device, lv in sorted(lvm.moves_of(pool.vg).items()):
        if device not in ours:
            raise Refused(
                "a pvmove from %s is under way in VG %s (%s %%); LVM changes nothing of what it moves meanwhile."
                % (device, pool.vg, "?" if lv.moved_percent is None else "%.1f" % lv.moved_percent),
                "Wait for it, or have one go on that was cut off: pvmove {0}\nOr take it back: pvmove --abort {0}".format(
                    paste(device)
                ),
            )
