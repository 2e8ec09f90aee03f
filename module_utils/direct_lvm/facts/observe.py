# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at the host: everything that the planner needs, nothing changed, as few processes as possible."""

import os

from ..host import commands, files
from ..model import engines
from ..model.host import Host, Missing
from ..model.names import profile_path
from ..model.spec import GROW, PROVISION, REMOVE, REPAIR, REPLACE, DockerStorage
from ..texts import docker_info, switch_record
from . import containerd, disks, docker, lvm, lvm_settings

TOOLS = (
    Missing("lvm", "LVM itself", "lvm2", "lvm2"),
    Missing("thin_check", "without it no thin pool is activated", "thin-provisioning-tools", "device-mapper-persistent-data"),
    Missing("dmeventd", "without it no pool is monitored or extended", "dmeventd", "device-mapper-event"),
    Missing("blkid", "to tell a blank disk", "util-linux", "util-linux"),
    Missing("wipefs", "to tell a blank disk", "util-linux", "util-linux"),
)
THIN_TARGET = Missing("dm_thin_pool", "the kernel's thin pool target", "linux-image-amd64", "kernel-modules")
MIRROR_TARGET = Missing("dm_mirror", "pvmove copies with it", "linux-image-amd64", "kernel-modules")


def observe(spec):
    """A host, as a Host, for one Spec. Raises CommandFailed and Refused."""
    missing = tuple(tool for tool in TOOLS if commands.find(tool.name) is None)
    if missing:
        return Host((), lvm.parse({"report": []}), missing=missing)
    report = lvm.ask()
    pool = spec.pool
    if report.lv(pool.vg, pool.name) is None:
        missing = () if has_target("dm_thin_pool") else (THIN_TARGET,)
    storage = spec.docker
    if storage is None and (spec.containerd or spec.goal in (REPAIR, REMOVE)):
        storage = DockerStorage("auto", "")  # what Docker uses is neither removed nor given to containerd
    in_place = {pv.name for pv in report.pvs_of(pool.vg)}
    devices = []
    for name in pool.devices:
        disk = disks.observe_disk(name, probe=False)
        devices.append(disk if disk.path in in_place else disks.observe_disk(name))
    listed = {disk.path for disk in devices}
    unlisted = [pv.name for pv in report.pvs_of(pool.vg) if pv.name.startswith("/") and pv.name not in listed]
    new = [disk.path for disk in devices if disk.size and disk.path not in in_place]
    unusable = lvm.unusable(new) if spec.goal not in (REMOVE, REPAIR) else {}
    due = unusable or (spec.goal != REMOVE and report.lv(pool.vg, pool.name) is None)  # else it is asked when steps are due
    if pool.replace and in_place - listed and not has_target("dm_mirror"):
        missing += (MIRROR_TARGET,)
    seen = docker.observe_docker(storage, pool, spec.goal) if storage else None
    asked = spec.docker.engine if spec.docker and spec.goal != REMOVE else "containerd"
    snapshotter = None
    if spec.containerd and engines.needs_containerd(asked, seen.version):
        snapshotter = containerd.observe_containerd(spec.containerd, seen, with_snapshots=spec.goal == REMOVE, pool=pool)
    missing += mkfs(spec, seen, snapshotter) + clients(spec, seen, snapshotter)
    return Host(
        disks=tuple(devices),
        lvm=report,
        profile_text=containerd.read_config(profile_path(pool)),
        missing=missing,
        docker=seen,
        snapshotter_pools=snapshotter_pools(seen, snapshotter) if storage else (),
        containerd=snapshotter,
        transaction=kernel_transaction(report.lv(pool.vg, pool.name)) if seen and has_metadata(seen) else None,
        orphans=our_orphans(report, listed) if pool.replace else (),
        irregular=tuple(
            (path, kind) for path, kind in ((path, irregular(path)) for path in targets(spec, seen, snapshotter)) if kind
        ),
        unlisted=tuple(disks.observe_disk(name, probe=False)._replace(asked=disks.stable_name(name)) for name in unlisted),
        unusable=tuple(sorted(unusable.items())),
        settings=ask_settings(pool, report) if due else None,
    )


def mkfs(spec, seen, snapshotter):
    """(Missing, ...) for the file system that the engine will make and this host cannot.

    containerd makes one for each image, and tells only then. Docker makes one in a new pool: xfs, or ext4 where there is no
    mkfs.xfs (moby, devmapper/deviceset.go, determineDefaultFS), or the one that dm.fs names.
    """
    if spec.goal not in (PROVISION, GROW, REPLACE):
        return ()
    if snapshotter is not None:
        kinds = (spec.containerd.fs_type,) if snapshotter.installed else ()
    elif spec.docker and seen.version and not (seen.info and docker_info.storage_kind(seen.info) == "direct-lvm"):
        kinds = (spec.docker.fs,) if spec.docker.fs else ("xfs", "ext4")
    else:
        kinds = ()
    if not kinds or any(commands.find("mkfs." + kind) for kind in kinds):
        return ()
    package = "xfsprogs" if kinds[-1] == "xfs" else "e2fsprogs"
    return (Missing("mkfs." + kinds[-1], "images and containers have that file system", package, package),)


def clients(spec, seen, snapshotter):
    """(Missing, ...) for the clients that are missing of the daemons that are installed and have to be asked.

    Debian's docker.io only recommends docker-cli since Debian 13; docker.com's program is /usr/bin/dockerd.
    """
    missing = ()
    if spec.docker and seen.unit is not None and seen.unit.load_state == "loaded" and not seen.client:
        name = "docker-ce-cli" if seen.unit.command.startswith("/usr/bin/") else "docker-cli"
        missing += (Missing("docker", "Docker's client: without it a daemon that runs cannot be asked", name, name),)
    if snapshotter is not None and snapshotter.installed and commands.find("ctr") is None:
        missing += (Missing("ctr", "containerd's client: without it containerd cannot be asked", "containerd", "containerd.io"),)
    return missing


def snapshotter_pools(seen, snapshotter):
    """(device-mapper name, ...) of the pools that containerd's configuration names, wherever containerd.service has it."""
    if snapshotter is None:
        named = containerd.configured_pools(seen.containerd_config)
    else:
        named = containerd.configured_pools(snapshotter.config_path, snapshotter.program or containerd.PROGRAM)
    return tuple(sorted({pool for _path, pool in named}))


def targets(spec, seen, snapshotter):
    """[path, ...] of the files that a plan for this host may replace; steps.WriteFile and RemoveFile name no others."""
    paths = [profile_path(spec.pool), switch_record.PATH]
    paths += [seen.daemon_json_path, spec.docker.dropin] if spec.docker else []
    paths += [spec.containerd.config_file, spec.containerd.dropin] if spec.containerd else []
    return paths + ([snapshotter.config_path] if snapshotter is not None else [])


def irregular(path):
    """What stands at a path, when it is something else than a file; "" otherwise. A link is what it leads to."""
    try:
        return files.kind_of(os.stat(path).st_mode)
    except OSError:
        return ""


def our_orphans(report, listed):
    """(path, ...) of the PVs of no volume group that carry our UUID, as a killed run leaves them, and are not listed."""
    orphans = [pv for pv in report.pvs if pv.vg is None and not pv.missing and pv.name not in listed]
    return tuple(pv.name for pv in orphans if disks.observe_disk(pv.name, probe=False).our_pv_uuid == pv.uuid)


def has_metadata(docker):
    """Whether Docker, or the second daemon of a run that was cut off, has metadata of a thin pool."""
    return docker.transaction is not None or (docker.live is not None and docker.live.transaction is not None)


def kernel_transaction(lv):
    """The transaction id that the kernel has for a thin pool: Docker counts there, LVM does not see it. None: not active.

    dmsetup status (Documentation/admin-guide/device-mapper/thin-provisioning.rst): START LENGTH thin-pool ID ...
    """
    if lv is None or lv.segtype != "thin-pool" or not lv.active:
        return None
    words = commands.run(("dmsetup", "status", lv.dm_path)).out.split()
    return commands.number(words[3]) if words[2:3] == ["thin-pool"] and words[3:] else None


def ask_settings(pool, report):
    """The Settings of this host: two processes at most, so only for a host on which something is due."""
    return lvm_settings.ask(pool.vg if report.vg(pool.vg) else None)


def has_target(module):
    """Whether the kernel has a device-mapper target, or can load it."""
    return os.path.isdir("/sys/module/" + module) or commands.run(("modprobe", "--dry-run", module), ok=None).rc == 0
