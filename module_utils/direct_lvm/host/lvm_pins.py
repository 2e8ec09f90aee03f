# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What LVM's own settings are for each command that changes or reports something, whatever the host's lvm.conf says.

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
REPORTING = ("fullreport", "lvs", "pvs", "vgs")
# lvm.conf, or a profile in LVM_COMMAND_PROFILE, can have a report say 0 for "no", part tags otherwise, leave fields out, or be no
# JSON (each tried with 2.03.16), take the brackets off hidden LVs, put the command's name before each line, or make JSON of text.
# Each is as old as the oldest LVM that is asked: of one that it does not know LVM warns, and a report's warnings are told.
AS_SHIPPED = (
    'report { binary_values_as_numeric=0 list_item_separator="," compact_output=0 compact_output_cols="" prefixes=0 quoted=1 '
    'mark_hidden_devices=1 output_format="basic" aligned=1 columns_as_rows=0 } '
    'log { report_command_log=0 command_names=0 prefix="  " verbose=0 } '
    "global { wait_for_locks=1 }"  # 0: no answer while another command of LVM is at work
)


def pins(argv):
    """What is pinned for a command line, "" for a command that is not LVM's, or that tells what the host's own settings are."""
    name = os.path.basename(argv[0])
    name = argv[1] if name == "lvm" and argv[1:] else name
    return PINS if name in CHANGING else AS_SHIPPED if name in REPORTING else ""


def pinned(argv):
    """argv with --config and pins(); one without is as it is. A --config of its own stays."""
    settings = pins(argv)
    if not settings:
        return tuple(argv)
    start = 2 if os.path.basename(argv[0]) == "lvm" else 1  # lvm COMMAND
    own, rest = "", list(argv[start:])
    if "--config" in rest:  # LVM takes it once only
        at = rest.index("--config")
        own = rest[at + 1] + " "
        del rest[at : at + 2]
    return (*argv[:start], "--config", own + settings, *rest)
