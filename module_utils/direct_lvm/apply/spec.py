# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From module parameters to Spec: everything that is wrong is said before anything is looked at."""

import os
import re

from ..model import geometry
from ..model.errors import Refused
from ..model.spec import (
    CLEAN_UP,
    GROW,
    PROVISION,
    REPAIR,
    REPLACE,
    ROLL_BACK,
    ContainerdStorage,
    DockerStorage,
    Pool,
    Size,
    Spec,
    Wipe,
)
from ..texts import docker_options
from .arguments import CONTAINERD

CHUNK_MIN, CHUNK_MAX, CHUNK_STEP = 64 * 1024, geometry.GIB, 64 * 1024  # lvmthin(7)
# lvm(8), "VALID NAMES"
NAME = re.compile(r"^[A-Za-z0-9_+.][A-Za-z0-9_+.-]*\Z")
RESERVED_STARTS = ("snapshot", "pvmove")
RESERVED_PARTS = [
    "_cdata",
    "_cmeta",
    "_corig",
    "_cpool",
    "_cvol",
    "_imeta",
    "_iorig",
    "_mimage",
    "_mlog",
    "_pmspare",
    "_rimage",
    "_rmeta",
    "_tdata",
    "_tmeta",
    "_vdata",
    "_vorigin",
    "_wcorig",
]
DAY = 86400  # poll(2) takes no more than 24 of them
DROPIN_FOLDER = "/etc/systemd/system/%s.service.d/"
CONTAINERD_FOLDER = "/etc/containerd/conf.d/"


def read_spec(params):
    """module.params -> Spec. Raises Refused with the first thing that is wrong."""
    for name, least in (("lock_timeout", 0), ("command_timeout", 1)):
        _between(params[name], least, DAY, "thin_pool_" + name, "seconds")
    goal, storage, snapshotter = params["goal"], params.get("docker"), params.get("containerd")
    if goal in (ROLL_BACK, CLEAN_UP) and not storage:
        raise Refused("The goal %s is about Docker, and `docker` is not given." % goal, "Give the module's parameter docker.")
    if goal in (GROW, REPLACE, REPAIR):  # these are about the pool; only a repair stops who uses it
        storage, snapshotter = None, snapshotter if goal == REPAIR else None
    if storage and not snapshotter:  # Docker 25 and newer use it
        snapshotter = {name: option["default"] for name, option in CONTAINERD.items()}
    pool = read_pool(params["pool"], goal)
    return Spec(
        pool,
        read_docker(storage) if storage else None,
        read_containerd(snapshotter) if snapshotter else None,
        goal,
    )


def read_pool(given, goal=PROVISION):
    """The `pool` parameter -> Pool. Raises Refused.

    Each option is the field of its name; those that are more than a choice are read here.
    """
    pool = Pool(replace=goal == REPLACE, **given)._replace(
        devices=tuple(_device(name, "thin_pool_devices") for name in given["devices"]),
        vg=_lvm_name(given["vg"], "thin_pool_vg", ()),
        name=_lvm_name(given["name"], "thin_pool_name", RESERVED_PARTS),
        data_size=read_size(given["data_size"], "thin_pool_data_size"),
        metadata_size=read_size(given["metadata_size"], "thin_pool_metadata_size"),
        chunk_size=_chunk(given["chunk_size"]),
        autoextend_threshold=_between(given["autoextend_threshold"], 50, 100, "thin_pool_autoextend_threshold", "lvm.conf(5)"),
        autoextend_percent=_between(given["autoextend_percent"], 1, 100, "thin_pool_autoextend_percent", "percent of its size"),
        profile_name=_profile_name(given["profile_name"]),
        wipe=tuple(Wipe(_device(w["device"], "thin_pool_wipe"), w["signature"]) for w in given["wipe"] or ()),
    )
    needed = goal not in (ROLL_BACK, CLEAN_UP, REPAIR)  # these leave the disks alone
    if needed and not pool.devices and (pool.replace or not pool.adopt_vg):
        raise Refused(
            "thin_pool_devices is empty: no disk to make the thin pool from.",
            'Name at least one, for example -e \'{"thin_pool_devices": ["/dev/sdb"]}\'; `lsblk` lists a host\'s disks.',
        )
    if len(set(pool.devices)) != len(pool.devices):
        raise Refused("thin_pool_devices names a disk twice: %s." % ", ".join(pool.devices), "Name each disk once.")
    # device-mapper doubles every hyphen; DM_NAME_LEN is 128 and LVM adds up to 6 characters for hidden LVs.
    if len((pool.vg + pool.name).replace("-", "--")) > 120:
        raise Refused("thin_pool_vg and thin_pool_name are together too long for device-mapper (120 characters).")
    return pool


def read_watched(given):
    """The parameters of the module direct_lvm_info -> a Pool without disks. Raises Refused like read_pool()."""
    return Pool(
        devices=(),
        vg=_lvm_name(given["vg"], "vg", ()),
        name=_lvm_name(given["name"], "name", RESERVED_PARTS),
        autoextend_threshold=_between(given["autoextend_threshold"], 50, 100, "autoextend_threshold", "lvm.conf(5)"),
        autoextend_percent=_between(given["autoextend_percent"], 1, 100, "autoextend_percent", "percent of its size"),
        profile_name=_profile_name(given["profile_name"]),
        discards=given["discards"],
    )


def read_docker(given):
    """The `docker` parameter -> DockerStorage. Raises Refused."""
    dropin = _file_in(given["dropin"], DROPIN_FOLDER % "docker", "conf", "docker_storage_dropin")
    options = given["options"] or {}
    docker_options.check_options(options)
    return DockerStorage(**given)._replace(
        dropin=dropin,
        options=tuple(sorted((str(name), str(value)) for name, value in options.items())),
        archive_dir=_folder(given["archive_dir"], "image_archive_dir"),
        start_timeout=_between(given["start_timeout"], 1, DAY, "docker_storage_start_timeout", "seconds"),
    )


def read_containerd(given):
    """The `containerd` parameter -> ContainerdStorage. Raises Refused."""
    size = re.match(r"([0-9]{1,15}(?:\.[0-9]{1,3})?) ?([kKmMgGtT])?(i?)[bB]?\Z", given["base_image_size"])
    power = " kmgt".index((size.group(2) or " ").lower()) if size else 0
    # docker/go-units, RAMInBytes, which containerd uses here: powers of 1024, with or without the i.
    base = int(float(size.group(1)) * 1024**power) if size else 0
    if not geometry.GIB // 8 <= base <= 1024 * geometry.GIB:
        raise Refused(
            "containerd_storage_base_image_size: %r is not a size from 128MB to 1024GB." % given["base_image_size"],
            "Each image and container gets a file system of that size, thin: containerd_storage_base_image_size: 10GB",
        )
    return ContainerdStorage(**given)._replace(
        config_file=_file_in(given["config_file"], CONTAINERD_FOLDER, "toml", "containerd_storage_config_file"),
        dropin=_file_in(given["dropin"], DROPIN_FOLDER % "containerd", "conf", "containerd_storage_dropin"),
        root_path=_folder(given["root_path"], "containerd_storage_root_path"),
        base_image_size=Size(None, base, given["base_image_size"]),
        fs_options=_mkfs_options(given["fs_options"]),
        start_timeout=_between(given["start_timeout"], 1, DAY, "containerd_storage_start_timeout", "seconds"),
    )


def _file_in(path, folder, suffix, name):
    head, tail = os.path.split(path)
    if head + "/" != folder or not re.match(r"^[A-Za-z0-9_@:][A-Za-z0-9_.@:-]*\.%s\Z" % suffix, tail):
        raise Refused("%s: %r is not a file that is read there." % (name, path), "It must be %s*.%s" % (folder, suffix))
    return folder + tail


def _mkfs_options(text):
    if not text.isprintable():
        raise Refused("containerd_storage_fs_options: %r is not a line of options for mkfs." % text)
    return text


def _folder(path, name):
    parts = path.split("/")
    if path.startswith("/") and path.strip("/.") and ".." not in parts and path.isprintable():
        return os.path.normpath(path)
    raise Refused("%s: %r is not a folder's absolute path." % (name, path), "For example /var/lib/direct-lvm/images")


def read_size(text, name):
    """`75%VG` or `20G` -> Size. Raises Refused."""
    percent = re.match(r"([0-9]{1,3})%VG\Z", text)
    if percent and 1 <= int(percent.group(1)) <= 100:
        return Size(int(percent.group(1)), None, text)
    size = geometry.parse_bytes(text)
    if size:
        return Size(None, size, text)
    raise Refused(
        "%s: %r is not a size." % (name, text),
        "Write 1%VG to 100%VG, or a number with its unit: 512M, 20G, 1.5T.",
    )


def _chunk(text):
    size = geometry.parse_bytes(text)
    if size is None or size % CHUNK_STEP or not CHUNK_MIN <= size <= CHUNK_MAX:
        raise Refused(
            "thin_pool_chunk_size: %r is not a thin pool's chunk size." % text,
            "LVM takes multiples of 64K from 64K to 1G; 512K is the usual one for containers.",
        )
    return size


def _between(value, least, most, name, source):
    if not least <= value <= most:
        raise Refused("%s: %d is out of range, %d to %d (%s)." % (name, value, least, most, source))
    return value


def _lvm_name(text, name, reserved):
    problem = None
    if not NAME.match(text) or text in (".", ".."):
        problem = "LVM names are made of A-Z a-z 0-9 + _ . - and do not begin with a hyphen"
    # + "meta": the metadata LV's name, before lvconvert hides it
    elif reserved and (text.startswith(RESERVED_STARTS) or any(part in text + "meta" for part in reserved)):
        problem = "LVM keeps that name for itself"
    elif not reserved and os.path.exists("/dev/" + text) and not os.path.isdir("/dev/" + text):
        problem = "/dev/%s exists and is not a volume group" % text
    if problem:
        raise Refused("%s: %r cannot be used: %s." % (name, text, problem), "Choose another name (lvm(8), VALID NAMES).")
    return text


def _profile_name(text):
    if not re.match(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z", text):
        raise Refused(
            "thin_pool_profile_name: %r cannot be a file name in /etc/lvm/profile." % text,
            "Use letters, digits, hyphens, dots and underscores.",
        )
    return text


def _device(text, name):
    parts = (text[len("/dev/") :] if text.startswith("/dev/") else text).split("/")
    relative = not text.startswith("/dev/") and len(parts) > 1
    if (
        relative
        or not all(re.match(r"^[A-Za-z0-9_+:.@=#%,~\\-]+\Z", part) and part not in (".", "..") for part in parts)
        or any(part.startswith("-") for part in parts)
    ):
        raise Refused(
            "%s: %r is not a device name." % (name, text),
            "Give a path below /dev (best /dev/disk/by-id/...), or a kernel name such as sdb.",
        )
    return text
