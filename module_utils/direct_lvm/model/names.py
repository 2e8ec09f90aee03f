# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of the pool, as LVM, device-mapper and this tool have them. Pure."""

import re

DOCKER_ID = re.compile(r"[0-9a-f]{64}\Z")  # of a container, and of an image without sha256: before it
MANAGED = "# Managed by direct_lvm"  # first line of every file of ours
SIZE_TAG = "direct-lvm/data_size="  # + the wanted size, so that a later, smaller wish is told from autoextend's work
ADOPTED_TAG = "direct-lvm/adopted"  # on a VG that others made, so that a run without thin_pool_adopt_vg knows it too
CONTAINERD_STORE = "containerd"  # in Content.names, the place of a storage driver's name where containerd keeps the images
TAG = "direct-lvm"  # on what we made; on the VG it is written in the commit that creates it
PROFILE_FOLDER = "/etc/lvm/profile/"  # lvm.conf(5) config/profile_dir
FORMER, OURS, STRAY = ".before-direct-lvm", ".direct-lvm", ".in-between"
SHADOW = "direct-lvm-shadow"  # below the data root: that of the second daemon, which fills the pool while Docker serves
LOOP_FILE = "devicemapper/devicemapper/data"  # below the data root; on a thin pool Docker has none
DRIVER_FOLDERS = ("devicemapper", "image/devicemapper")
# A container belongs to the driver that made it, and both sides would call theirs devicemapper.
SAME_DRIVER_FOLDERS = DRIVER_FOLDERS + ("containers",)


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


def profile_path(pool):
    """Where LVM looks for the pool's profile."""
    return PROFILE_FOLDER + pool.profile_name + ".profile"
