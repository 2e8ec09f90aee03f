"""Pools on one or several disks, for moves between them."""

import states

NEW = "/dev/vdc"
EXTENT = 4 * 1024**2
USED = 7447  # extents of the recorded pool on /dev/vdb: data, metadata and the spare


def pool_on(*pvs, moving=None, size=30, orphans=(), profile=states.PROFILE, active=True):
    """The recorded pool in a VG of these PVs; the first has it. moving: the percentage of a pvmove from there to the second."""
    found = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    used = [USED if number == 0 or (number == 1 and moving is not None) else 0 for number in range(len(pvs))]
    first = found.lvm.pvs[0]
    there = tuple(first._replace(name=name, uuid=name, extents_used=taken) for name, taken in zip(pvs, used))
    there += tuple(first._replace(name=name, vg=None) for name in orphans)
    lvs = tuple(lv if active else lv._replace(active=False, monitored=None) for lv in found.lvm.lvs)
    if moving is not None:
        hidden = next(lv for lv in lvs if lv.hidden)
        lvs += (hidden._replace(name="pvmove0", size=USED * EXTENT, moved_from=pvs[0], moved_percent=moving),)
    total = sum(pv.extents for pv in there if pv.vg)
    vg = found.lvm.vgs[0]._replace(extents=total, free=total - sum(used))
    disk = found.disks[0]._replace(
        asked=NEW, path=NEW, size=size * states.GIB, signatures=(), holders=(), our_pv_uuid="new", data_at=None
    )
    lvm = found.lvm._replace(pvs=there, vgs=(vg,), lvs=lvs)
    return found._replace(lvm=lvm, disks=(disk,), profile_text=profile, orphans=orphans)
