# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of the pool, as LVM, device-mapper and this tool have them. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


def device_name(pool):
    """The pool's device-mapper name. LVM doubles hyphens inside VG and LV names (lvm2, dm_build_dm_name)."""
    return "%s-%s" % (pool.vg.replace("-", "--"), pool.name.replace("-", "--"))


def metadata_name(pool):
    """The name of the metadata LV before lvconvert hides it."""
    return pool.name + "meta"


def helper_name(pool):
    """The name of the pool that is there for a moment, so that LVM makes a spare."""
    return pool.name + "spare"


def full(pool, name=None):
    """vg/lv, as LVM's commands take it."""
    return "%s/%s" % (pool.vg, name or pool.name)
