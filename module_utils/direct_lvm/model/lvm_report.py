# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What LVM reports, as values: the nouns of `pvs`, `vgs` and `lvs`. Sizes are bytes, absent is None."""

from typing import NamedTuple, Optional, Tuple


class Pv(NamedTuple):
    """One line of `pvs`. vg None: an orphan. missing: its VG does without it, and unless it is back the kernel
    has no such device and name is [unknown].

    mda_at_end: bytes of the second metadata area, at the end of the disk, which lvm.conf's pvmetadatacopies=2 gives; else 0.
    """

    name: str
    uuid: str
    vg: Optional[str]
    size: int
    dev_size: int
    pe_start: int
    extents: int
    extents_used: int
    missing: bool
    exported: bool
    duplicate: bool = False
    mda_at_end: int = 0


class Vg(NamedTuple):
    """One line of `vgs`. extent_size in bytes."""

    name: str
    uuid: str
    tags: Tuple[str, ...]
    extent_size: int
    extents: int
    free: int
    exported: bool
    missing_pvs: int
    system_id: str = ""
    shared: bool = False


class Lv(NamedTuple):
    """One LV with its first segment. Hidden LVs have hidden=True and no brackets in their name.

    data_percent, metadata_percent: None when LVM cannot tell (inactive). zero: None when it does not apply.
    monitored: None when LVM cannot tell: inactive, or lvm.conf has activation/monitoring=0.
    half: its device is there and has no live table, as a command killed while it activates leaves it: LVM calls that active,
        and nobody can use it.
    moved_from: for the hidden LV of a pvmove under way, the PV that it empties, else "".  moved_percent: how far it has come.
    made_on: the name of the host that created it.
    discards: 'passdown', 'nopassdown' or 'ignore' for a thin pool, else "".
    """

    name: str
    vg: str
    hidden: bool
    segtype: str
    size: int
    tags: Tuple[str, ...]
    active: bool
    open: bool
    profile: str
    data_lv: str
    metadata_lv: str
    pool_lv: str
    data_percent: Optional[float]
    metadata_percent: Optional[float]
    metadata_size: int
    chunk_size: int
    zero: Optional[bool]
    monitored: Optional[bool]
    thin_count: int
    transaction_id: int
    when_full: str
    health: str
    check_needed: bool
    skip_activation: bool
    dm_path: str
    half: bool = False
    devices: Tuple[str, ...] = ()
    moved_from: str = ""
    moved_percent: Optional[float] = None
    made_on: str = ""
    discards: str = ""


class Lvm(NamedTuple):
    """What LVM reports, one consistent answer. warnings: its stderr lines."""

    pvs: Tuple[Pv, ...]
    vgs: Tuple[Vg, ...]
    lvs: Tuple[Lv, ...]
    warnings: Tuple[str, ...] = ()

    def vg(self, name):
        """The VG of that name or None."""
        return next((v for v in self.vgs if v.name == name), None)

    def lv(self, vg, name):
        """The LV of that VG and name (without brackets) or None."""
        return next((x for x in self.lvs if x.vg == vg and x.name == name), None)

    def thin_pool(self, pool):
        """The Lv of a spec.Pool, None while no thin pool has its name."""
        return next((x for x in self.lvs if (x.vg, x.name, x.segtype) == (pool.vg, pool.name, "thin-pool")), None)

    def lvs_of(self, vg):
        """All LVs of a VG, hidden ones too."""
        return tuple(x for x in self.lvs if x.vg == vg)

    def pvs_of(self, vg):
        """All PVs of a VG, missing ones too."""
        return tuple(p for p in self.pvs if p.vg == vg)

    def moves_of(self, vg):
        """{PV: the hidden LV of the pvmove that empties it}, of a VG."""
        return {x.moved_from: x for x in self.lvs if x.vg == vg and x.moved_from}
