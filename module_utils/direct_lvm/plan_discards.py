# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a pool does with discarded blocks, and what that costs. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from .model import Refused
from .pool_names import device_name, full
from .steps import Command


def discards(pool, lv):
    """[lvchange] when discarded blocks are to become something else. Refused for a change that LVM does not make on a pool in use.

    lvchange(8): from and to ignore only while the pool is not active (the kernel's rule too, dm-thin.c, pool_ctr()).
    """
    if lv.discards in ("", pool.discards):
        return []
    if lv.active and lv.open and "ignore" in (lv.discards, pool.discards):
        device = device_name(pool)
        raise Refused(
            "pool %s has discards=%s, wanted %s, and is in use: LVM changes that only while the pool is not active.%s"
            % (full(pool), lv.discards, pool.discards, kept(lv)),
            "Keep it: thin_pool_discards: {1}\nOr stop who uses it for a moment, on the host, as root, and run again:\n"
            "running=$(docker ps -q); echo $running | xargs -r docker stop; systemctl stop docker.socket docker containerd\n"
            "dmsetup deps -o devname | awk -F: 'index($0, \"({2})\") {{print $1}}' | xargs -r -n 1 dmsetup remove --retry\n"
            "lvchange -an {0} && lvchange --discards {3} {0} && lvchange -ay {0}\n"
            "systemctl start containerd docker.socket docker; echo $running | xargs -r docker start".format(
                full(pool), lv.discards, device, pool.discards
            ),
        )
    return [Command(("lvchange", "--discards", pool.discards, full(pool)), "discarded blocks: %s" % pool.discards)]


def kept(lv):
    """What a pool that ignores discards costs, with a space before it; "" for any other."""
    if lv.discards != "ignore":
        return ""
    return (
        " The blocks of files and images that were removed stay in use, and containerd's devmapper snapshotter keeps the devices "
        "of removed containers for ever."
    )
