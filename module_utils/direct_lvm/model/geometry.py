# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes in extents, and whether the pool can ever grow by itself. Pure arithmetic."""

import re
from typing import NamedTuple

from .errors import Refused

MIB = 1024 * 1024
GIB = 1024 * MIB
EXTENT = 4 * MIB  # vgcreate(8): the default extent size
PE_START = MIB  # lvm.conf(5) devices/default_data_alignment
METADATA_MIN = 2 * MIB  # lvmthin(7)
METADATA_MAX = 16978542592  # lvmthin(7): 15.81 GiB, the kernel's limit
UNITS = {"K": 1024, "M": MIB, "G": GIB, "T": 1024 * GIB}


class Layout(NamedTuple):
    """The extents of a VG with the pool in it: data and metadata, a spare of metadata's size, and what is free."""

    extent_size: int
    total: int
    data: int
    metadata: int
    free: int


def parse_bytes(text):
    """512K, 1.5G, 10GiB as bytes; None when it is no size. Units are binary, as LVM's are; a bare number is none."""
    match = re.match(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)([KMGT])(?:i?B)?\Z", text, re.IGNORECASE | re.ASCII)
    return int(round(float(match.group(1)) * UNITS[match.group(2).upper()])) if match else None


def format_size(size):
    """Bytes as LVM prints them: 304.00m, 28.50g."""
    for unit, factor in (("t", 1024 * GIB), ("g", GIB), ("m", MIB)):
        if size >= factor:
            return "%.2f%s" % (float(size) / factor, unit)
    return "%.2fk" % (size / 1024.0)


def usable_extents(disk_size, extent_size=EXTENT, pe_start=PE_START):
    """How many extents vgcreate makes of a disk of that many bytes with the default alignment."""
    return max(0, disk_size - pe_start) // extent_size


def data_extents(size, total, extent_size):
    """Extents of a wanted data size: percent of the VG is rounded down, as lvcreate -l N%VG does; bytes are rounded up."""
    if size.percent is not None:
        return total * size.percent // 100
    return -(-size.bytes // extent_size)


def metadata_extents(size, total, extent_size):
    """Extents of a wanted metadata size, kept between LVM's minimum and the kernel's maximum when it is a percentage."""
    if size.percent is None:
        return -(-size.bytes // extent_size)
    least = -(-METADATA_MIN // extent_size)
    return min(max(total * size.percent // 100, least), METADATA_MAX // extent_size)


def growth_need(data, threshold, percent):
    """Extents that one autoextend step takes in the worst case, the pool being found 100 % full.

    dmeventd grows by max(percent, ceil(100 * used / threshold) - 100) percent of the current size, all or nothing
    (lvextend --use-policies; measured, not in the manual). None when a threshold of 100 switches it off, or is none at all.
    """
    if not 0 < threshold < 100:
        return None
    worst = max(percent, -(-100 * 100 // threshold) - 100)
    return -(-data * worst // 100)


def growth_steps(layout, threshold, percent):
    """How many worst-case autoextend steps fit into the VG's free extents. None when autoextend is off."""
    if not 0 < threshold < 100:
        return None
    steps, data, free = 0, layout.data, layout.free
    while steps < 100:
        need = growth_need(data, threshold, percent)
        if need > free or need == 0:
            break
        steps, data, free = steps + 1, data + need, free - need
    return steps


def autoextend_warning(layout, pool):
    """The sentence that is due when the pool can never grow by itself, else None."""
    if growth_steps(layout, pool.autoextend_threshold, pool.autoextend_percent) != 0:
        return None
    need = growth_need(layout.data, pool.autoextend_threshold, pool.autoextend_percent)
    best = layout.total - 2 * layout.metadata
    per_cent = int(100.0 * best / layout.total / (1 + float(need) / layout.data)) if layout.data and layout.total else 0
    sizes = (need, format_size(need * layout.extent_size), pool.vg, layout.free, format_size(layout.free * layout.extent_size))
    return (
        "autoextend can never run: one step of %s/%s needs %d extents (%s), VG %s has %d free (%s). "
        "dmeventd grows by percent of the pool's current size, all or nothing. "
        "Add a disk, or choose thin_pool_data_size: %d%%VG or less when the pool is made." % (pool.vg, pool.name, *sizes, per_cent)
    )


def planned_layout(pool, total, extent_size, taken=0):
    """The layout of a pool still to be made in a VG of total extents of which others have taken some.

    Raises Refused when data, metadata and the spare do not fit, or metadata is out of LVM's bounds.
    """
    data = data_extents(pool.data_size, total, extent_size)
    metadata = metadata_extents(pool.metadata_size, total, extent_size)
    check_metadata_size(pool, metadata * extent_size)
    need = max(data, 1) + 2 * metadata
    free = total - taken - data - 2 * metadata
    if data < 1 or free < 0:
        raise Refused(
            "the pool does not fit into VG %s: data %s = %d extents, metadata %s = %d and its spare as many, %d needed; "
            "%d of %d are free."
            % (pool.vg, pool.data_size.text, data, pool.metadata_size.text, metadata, need, total - taken, total),
            "Give more disks in thin_pool_devices, or smaller thin_pool_data_size / thin_pool_metadata_size "
            "(the hidden spare has the size of the metadata again).",
        )
    return Layout(extent_size, total, data, metadata, free)


def check_metadata_size(pool, size):
    """Raise Refused when metadata of that many bytes is outside of lvmthin(7)'s bounds."""
    if not METADATA_MIN <= size <= METADATA_MAX:
        raise Refused(
            "thin_pool_metadata_size %s is %s here; LVM takes 2 MiB to 15.81 GiB." % (pool.metadata_size.text, format_size(size)),
            "Choose, for example, thin_pool_metadata_size: 1%VG.",
        )


def current_layout(lvm, pool):
    """The layout as it is: None while VG or pool are missing."""
    vg, lv = lvm.vg(pool.vg), lvm.thin_pool(pool)
    if vg is None or lv is None:
        return None
    return Layout(vg.extent_size, vg.extents, lv.size // vg.extent_size, lv.metadata_size // vg.extent_size, vg.free)
