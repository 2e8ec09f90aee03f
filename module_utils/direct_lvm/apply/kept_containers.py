# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hand containers and images over to another graph driver, in Docker's own records, while Docker is down.

Sources (moby 20.10 to 24): layer/filestore.go (layerdb/mounts/ID/mount-id), daemon/graphdriver/devmapper/deviceset.go
(metadata/NAME: device_id, size), daemon/graphdriver/devmapper/driver.go (rootfs), daemon/daemon.go (restore).
"""

import os
from contextlib import contextmanager, suppress

from ..facts import live
from ..host import commands, files, staged, trees, writable_layer
from ..images.images import docker, image_ids
from ..model.errors import CommandFailed, Refused
from ..model.names import FORMER, OURS, SHADOW
from ..model.quoting import paste
from ..texts import container_record, strict_json

DEVICE = "direct-lvm-layer"
LONG = 3600  # seconds, of a command that writes much to a slow disk
POINT = "/run/direct-lvm-layer"
RECORDS = ("imagedb", "distribution", "repositories.json")  # image/DRIVER/: moby, image/fs.go, distribution, reference/store.go


def bring_layers(step):
    """Carry out steps.BringLayers."""
    files.write_text(os.path.join(step.root, SHADOW, live.USED), "")
    let_go()
    for container in step.containers:
        layer = live.layer_folder(step.root, container)
        if layer and os.listdir(layer):
            with mounted(step, container) as folder:
                writable_layer.apply_layer(layer, os.path.join(folder, "rootfs"))
                commands.run(("sync", "--file-system", folder), timeout=LONG)


@contextmanager
def mounted(step, container):
    """The file system of a container on the pool, mounted until the end of the block."""
    folder = os.path.join(step.root, "devicemapper" + OURS, "metadata")
    name = live.mount_id(step.root, "devicemapper" + OURS, container)
    text = files.read_text(os.path.join(folder, name)) if name else None
    try:
        fields = strict_json.loads(text or "")
        size, number = int(fields["size"]), int(fields["device_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(
            "the record of container %s's file system on the pool, %s, cannot be read (%r)." % (container[:12], folder, error),
            "Run this again: it is made anew.",
        ) from error
    table = "0 %d thin /dev/mapper/%s %d" % (size // 512, step.pool, number)
    commands.run(("dmsetup", "create", DEVICE, "--table", table))
    try:
        commands.run(("udevadm", "settle"), ok=None)
        kind = commands.run(("blkid", "-p", "-o", "value", "-s", "TYPE", "/dev/mapper/" + DEVICE)).out.strip()
        options = "nodev,nosuid,noexec" + (",nouuid" if kind == "xfs" else "")  # all copies have the base's UUID
        os.makedirs(POINT, 0o700, exist_ok=True)
        commands.run(("mount", "--types", kind, "--options", options, "/dev/mapper/" + DEVICE, POINT))
        try:
            yield POINT
        finally:
            commands.run(("umount", POINT), timeout=LONG)
    finally:
        commands.run(("dmsetup", "remove", "--retry", DEVICE))


def let_go():
    """Take down what a killed run has left mounted."""
    if os.path.exists("/dev/mapper/" + DEVICE):
        commands.run(("umount", "--all-targets", "/dev/mapper/" + DEVICE), ok=None)
        commands.run(("dmsetup", "remove", "--retry", DEVICE))


def copy_image_records(step):
    """Carry out steps.CopyImageRecords: each of them as a whole, and what the second daemon wrote goes."""
    source = os.path.join(step.root, "image", step.driver)
    target = os.path.join(step.root, "image", "devicemapper" + OURS)
    for name in RECORDS:
        there, new = os.path.join(target, name), os.path.join(target, name + ".new")
        if os.path.lexists(os.path.join(source, name)):
            trees.remove_tree(new)
            try:
                commands.run(("cp", "--archive", os.path.join(source, name), new), timeout=LONG)
            except CommandFailed:
                trees.remove_tree(new)  # Docker needs the room when there was none
                raise
            trees.remove_tree(there)
            os.rename(new, there)
    commands.run(("sync", "--file-system", target), timeout=LONG)


def set_driver(step):
    """Carry out steps.SetDriver. The former record stays beside the new one.

    On the way back it is renamed: there is room for that on a full disk too.
    """
    for container in step.containers:
        path = os.path.join(step.root, "containers", container, "config.v2.json")
        text = files.read_text(path)
        if text is None:  # removed meanwhile
            continue
        new = container_record.with_driver(container, text, step.driver, step.former, ran=container in step.ran)
        former = files.read_text(path + FORMER)
        if new != text and former and same(new, former):
            os.rename(path + FORMER, path)
        elif new != text:
            with suppress(FileExistsError):
                os.link(path, path + FORMER)
            staged.put_text(path, new, 0o600)


def same(text, other):
    """Whether two records of a container say the same, but for whether its owner has stopped it."""
    first, second = (dict(strict_json.loads(one), HasBeenManuallyStopped=None) for one in (text, other))
    return first == second


def assert_kept(step):
    """Refuse a Docker that has not all of step's (steps.AssertKept) images and containers; but those removed meanwhile."""
    has = image_ids(step.host) | set(commands.run(docker(step.host, "ps", "--all", "--quiet", "--no-trunc")).out.split())
    there = tuple(one for one in step.containers if os.path.isdir(os.path.join(step.root, "containers", one)))
    lost = [one for one in step.images + there if one not in has]
    if lost:
        raise Refused(
            "Docker does not accept %d of its images and containers on the pool, %s first." % (len(lost), lost[0]),
            "See what it says: journalctl --unit docker.service | grep %s" % paste(lost[0].rpartition(":")[2][:12]),
        )
