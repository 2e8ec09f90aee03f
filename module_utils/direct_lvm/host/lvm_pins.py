# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What LVM's own settings are for each command that changes something, whatever the host's lvm.conf says.

commands.run() adds it, so that plans and messages show the commands without. docs/lvm-settings.md has the whole table.
"""

import os

CHANGING = (
    *("lvchange", "lvconvert", "lvcreate", "lvextend", "lvremove", "lvrename", "pvchange", "pvcreate", "pvmove", "pvremove"),
    *("pvresize", "vgchange", "vgcreate", "vgextend", "vgreduce", "vgremove"),
)
# As LVM is shipped. --config comes before lvm.conf, lvmlocal.conf and profiles (lvm.conf(5)). An LVM that does not know one
# yet says so and goes on (tried with 2.03.16), unless abort_on_errors is set.
PINNED = {
    "activation/error_when_full": "0",  # since 2.03.12 lvconvert takes it from here; what is wanted is set later
    "activation/retry_deactivation": "1",
    "activation/udev_rules": "1",
    "activation/udev_sync": "1",  # 0: /dev/VG/LV may not be there yet when the command returns
    "allocation/thin_pool_crop_metadata": "0",
    "allocation/thin_pool_metadata_require_separate_pvs": "0",
    "allocation/use_blkid_wiping": "1",  # 0: pvcreate's own look, the second gate, knows few signatures
    "allocation/wipe_signatures_when_zeroing_new_lvs": "1",
    "config/abort_on_errors": "0",
    "devices/allow_mixed_block_sizes": "0",
    "devices/data_alignment": "0",  # these five: where a PV's data begin, and so its extents, which are planned before
    "devices/data_alignment_detection": "1",
    "devices/data_alignment_offset_detection": "1",
    "devices/default_data_alignment": "1",
    "devices/md_chunk_alignment": "1",
    "global/test": "0",
    "global/wait_for_locks": "1",
    "metadata/pvmetadataignore": "0",
    "metadata/pvmetadatasize": "0",  # 0: as much as LVM takes by itself
    "metadata/vgmetadatacopies": "0",
}
PINS = " ".join("%s=%s" % pin for pin in sorted(PINNED.items()))


def pinned(argv):
    """argv with --config PINS, for a command of LVM that changes something; any other as it is. A --config of its own stays."""
    if os.path.basename(argv[0]) not in CHANGING:
        return tuple(argv)
    own, rest = "", list(argv[1:])
    if "--config" in rest:  # LVM takes it once only
        at = rest.index("--config")
        own = rest[at + 1] + " "
        del rest[at : at + 2]
    return (argv[0], "--config", own + PINS) + tuple(rest)
