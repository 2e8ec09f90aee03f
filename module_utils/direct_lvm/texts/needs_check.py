# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How thin_check judges a pool's metadata, and clears the flag needs_check in them: for the planner, and as shell lines. Pure.

A pool that could not write its metadata carries the flag: the kernel neither writes to it nor grows its metadata (dm-thin.c,
maybe_resize_metadata_dev) until thin_check has cleared it. `lvconvert --repair` with thin_repair 0.9 keeps it (tried).
"""

# thin_check has two verdicts, 0 and another number: 1 up to 0.9, 64 from 1.0 on (each seen for superblock, mapping tree and space
# maps). No verdict are 2 (an option that it does not know), 101 (it crashed), 126 and 127 (not started), and a signal.
DAMAGED = tuple(code for code in range(1, 126) if code not in (2, 101))

# Debian's LVM makes thin_check leave the flag alone, lvm.conf may make it check nothing. From 1.0 on thin_check fails at leaked
# blocks, which are no damage, and repairs them along with the flag; 0.9 refuses --ignore-non-fatal-errors beside it (each tried).
CLEAR = 'global { thin_check_executable="thin_check" thin_check_options=["-q","--clear-needs-check-flag"] }'

REPAIR = "Check and repair it; Docker stops for a while: ansible-playbook playbooks/repair.yml -e thin_pool_repair_confirmed=true"


def check(path):
    """The arguments of the thin_check that judges the metadata at path: 0, or one of DAMAGED."""
    return ("thin_check", "--ignore-non-fatal-errors", path)


def by_hand(name):
    """The shell line that checks pool name (VG/LV), and repairs it if it is damaged, while nobody uses it."""
    activate = "lvchange -ay --config '%s' %s" % (CLEAR, name)
    return "lvchange -an {0} && {{ {1} || {{ lvconvert --yes --repair {0} && {1}; }}; }}".format(name, activate)


def on_the_host(name, device):
    """The shell lines that do what playbooks/repair.yml does. name: VG/LV; device: the pool's device-mapper name."""
    holders = "/sys/block/$(basename $(realpath /dev/mapper/%s))/holders/*/dm/name" % device
    lines = (
        "systemctl stop docker.socket docker containerd",
        "for name in $(cat %s); do umount -qA /dev/mapper/$name; dmsetup remove --retry $name; done" % holders,
        by_hand(name),
        "lvextend --use-policies " + name,
        "systemctl start containerd docker.socket docker",
    )
    return "\n".join(lines)
