# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check the pool's metadata, and repair them when thin_check finds them damaged: nobody uses the pool meanwhile. Pure.

LVM keeps the damaged metadata as a visible LV, POOL_meta0 and so on (lvmthin(7), "Metadata check and repair").
"""

import re

from ..model import geometry
from ..model.errors import Refused
from ..model.names import device_name, full
from ..model.quoting import paste
from ..model.spec import DockerStorage
from ..model.steps import (
    REPAIR,
    Command,
    IfFails,
    RemoveThinDevices,
    Transaction,
    WaitForContainerd,
    WaitForDocker,
    activation,
    forget_failures,
)
from ..texts import docker_conflicts, needs_check, units
from ..texts.docker_info import storage_kind
from . import ownership, volume_group
from .docker_switch import started_again, stop_and_start, stop_containers
from .thin_pool import METADATA_TIMEOUT, active_parts

RESTART_TIMEOUT = 120
REPAIRED = ("failed", "metadata_read_only")  # lv_health_status (lvs(8)) of a pool that a check or a repair brings back
NEARLY_FULL = 95  # percent of the metadata: what the daemons write first may be what has no room


def plan_repair(spec, host):
    """[step]: stop who uses the pool, check it, repair it if it is damaged, start them again; [] for a healthy pool.

    Raises Refused when there is no pool of ours, or no room for what a repair needs.
    """
    pool, lvm = spec.pool, host.lvm
    lv = lvm.thin_pool(pool)
    if lv is None:
        raise Refused("there is no thin pool %s on this host." % full(pool), "See what there is: lvs -a")
    volume_group.check_vg(pool, lvm)
    if not why(lv):
        return []
    check_possible(pool, lvm, lv)
    work = check_and_repair(pool, lvm, lv, ownership.afresh(host.docker)) + bring_up(pool, lvm, lv)
    stop, start = around(spec, host)
    if not stop and not start:
        return [RemoveThinDevices(device_name(pool), "take down its thin devices; their data stay"), *work]
    down = RemoveThinDevices(device_name(pool), "take down the thin devices that were left; their data stay in the pool")
    back = [
        activation(full(pool, lv.metadata_lv), "n", "take down what is checked", ok=None),
        activation(full(pool), "y", "activate the pool", timeout=METADATA_TIMEOUT, ok=None),
    ]
    service = "docker" if any("docker.service" in step.argv for step in stop + start if isinstance(step, Command)) else "containerd"
    return [Transaction((*stop, down, *work, *start), (*back, *start), "check and repair the pool", service)]


def why(lv):
    """What speaks for a check, as a phrase; "" for a pool that is active and well."""
    if lv.check_needed:
        return "the kernel asks for a check of its metadata"
    if lv.health in REPAIRED:
        return "its health is %s" % lv.health
    if lv.active and (lv.metadata_percent or 0) >= 100:  # as long as nobody writes, the kernel does not call it read-only
        return "its metadata are full"
    return "" if lv.active else "it is not active"


def check_possible(pool, lvm, lv):
    """Raise Refused when the pool cannot be taken down, or a repair could not be written anywhere."""
    lvs = lvm.lvs_of(pool.vg)
    thin = [x.name for x in lvs if x.pool_lv == pool.name]
    if thin:
        raise Refused(
            "pool %s holds thin LVs of LVM's own: %s. This tool does not take them down." % (full(pool), ", ".join(thin)),
            "Take them down and repair it, see lvmthin(7): " + needs_check.by_hand(full(pool)),
        )
    for device in sorted(lvm.moves_of(pool.vg)):
        raise Refused(
            "a pvmove from %s is under way in VG %s; the pool is not taken down meanwhile." % (device, pool.vg),
            "Wait for it, or have one go on that was cut off: pvmove %s" % paste(device),
        )
    if lvm.lv(pool.vg, lv.metadata_lv) is None:
        raise Refused("LVM does not show the metadata of pool %s." % full(pool), "See what it shows: lvs -a %s" % pool.vg)
    size, vg = lv.metadata_size, lvm.vg(pool.vg)
    spare, lacking = any(x.name.endswith("_pmspare") and x.size >= size for x in lvs), ""
    if not spare and vg.free * vg.extent_size < size:
        lacking = "a repair of pool %s writes its metadata anew, %s; VG %s has no spare of that size, and %s free."
        lacking %= (full(pool), geometry.format_size(size), pool.vg, geometry.format_size(vg.free * vg.extent_size))
    # A pool that asks for a check may have been given room already: the kernel uses that, and counts with it, only afterwards.
    elif (lv.metadata_percent or 0) >= NEARLY_FULL and vg.free < 2 and not lv.check_needed:
        lacking = "the metadata of pool %s are %.1f %% full, and VG %s has no room to extend them and their spare."
        lacking %= (full(pool), lv.metadata_percent, pool.vg)
    if lacking:
        way_out = "Give the VG a blank disk first, and name it in thin_pool_devices from then on: vgextend %s /dev/DISK" % pool.vg
        raise Refused(lacking, way_out)


def check_and_repair(pool, lvm, lv, afresh):
    """[step] on a pool that nobody uses: its metadata alone, read-only, past thin_check.

    afresh: what is left to do when LVM cannot repair them, as sentences.
    Activating a part of an inactive pool is lvm2's "component activation", since 2.02.178.
    """
    part = lvm.lv(pool.vg, lv.metadata_lv)
    off = activation(full(pool, part.name), "n", "take the metadata down again")
    parts = [] if lv.active else reversed(active_parts(lvm, lv))
    steps = [activation(full(pool), "n", "deactivate the pool: %s" % why(lv), timeout=METADATA_TIMEOUT)]
    steps += [activation(full(pool, x.name), "n", "take down what is active of it") for x in parts]
    repair = Command(
        ("lvconvert", "--yes", "--repair", full(pool)),
        "when thin_check finds damage: write the metadata anew; the damaged ones stay as %s_metaN" % pool.name,
        METADATA_TIMEOUT,
        if_it_fails="LVM cannot repair these metadata; thin_repair(8) tells what may be tried with them by hand.\n" + afresh,
        kind=REPAIR,
    )
    steps.append(Command(("lvchange", "--yes", "--activate", "y", full(pool, part.name)), "show the metadata alone, read-only"))
    argv = ("dd", "if=" + part.dm_path, "of=/dev/null", "bs=1M", "iflag=direct")
    cause = "read all metadata: what the disk cannot read is no damage that a repair could mend"
    test = Command(needs_check.check(part.dm_path), "have thin_check read all metadata", METADATA_TIMEOUT)
    mend = (off._replace(why="when thin_check finds damage: take the metadata down"), repair)
    return [*steps, Command(argv, cause, METADATA_TIMEOUT), IfFails(test, needs_check.DAMAGED, mend), off]


def bring_up(pool, lvm, lv):
    """[step]: activate the pool, its flag needs_check cleared, and extend what is full before anybody writes to it."""
    argv = ("lvchange", "--activate", "y", "--config", needs_check.CLEAR, full(pool))
    steps = [Command(argv, "activate the pool, and clear the flag that makes the kernel ask for a check", METADATA_TIMEOUT)]
    vg = lvm.vg(pool.vg)
    more = min(-(-lv.metadata_size // vg.extent_size // 4), vg.free // 2) * vg.extent_size
    if more and (lv.metadata_percent or 0) >= NEARLY_FULL:
        argv = ("lvextend", "--poolmetadatasize", "+%db" % more, full(pool))
        steps.append(Command(argv, "extend the metadata, which are full, by %s, and their spare" % geometry.format_size(more)))
    policy = ("lvextend", "--use-policies", full(pool))
    return [*steps, Command(policy, "extend what is above the threshold, as far as there is room", ok=(0, 5))]


def around(spec, host):
    """([step], [step]): stop the daemons that use the pool, and start them again. Those that were stopped stay so."""
    docker, device = host.docker, device_name(spec.pool)
    with_containerd = host.containerd is not None and host.containerd.installed and device in host.snapshotter_pools
    stop, start = [], []
    if uses(docker, device, host.snapshotter_pools):
        running = tuple(one.id for one in docker.containers if one.running)
        timeout = (spec.docker or DockerStorage("", "")).start_timeout
        stop_docker, start_docker = stop_and_start(docker, timeout)
        stop += [*stop_containers(docker, running, "stop the containers: live-restore would keep them running"), stop_docker]
        start += [
            forget_failures("docker.service"),
            start_docker,
            WaitForDocker(docker.host, "wait until the daemon answers", timeout),
            *started_again(docker),
        ]
    if with_containerd and host.containerd.unit.active_state != "inactive":
        stop.append(Command(("systemctl", "stop", "containerd.service"), "stop containerd", RESTART_TIMEOUT))
        start = [
            Command(("systemctl", "start", "containerd.service"), "start containerd", RESTART_TIMEOUT),
            WaitForContainerd(host.containerd.address, "wait until containerd answers", spec.containerd.start_timeout),
            *start,
        ]
    return stop, start


def uses(docker, device, snapshotter_pools):
    """Whether Docker runs, or tries to, and has its storage on this pool; by its settings when it does not answer."""
    if docker is None or docker.unit is None or docker.unit.load_state == "not-found" or docker.unit.active_state == "inactive":
        return False
    if docker.info:
        kind = storage_kind(docker.info)
        graph = kind == "direct-lvm" and docker.info.field("Pool Name") == device
        return graph or (kind == "devmapper-snapshotter" and device in snapshotter_pools)
    return device in snapshotter_pools or named_in(docker, device) is not None


def named_in(docker, device):
    """The first file of Docker's unit, of its EnvironmentFiles, or its daemon.json, that names a pool; None when none does."""
    files = docker.unit.files if docker.unit else ()
    texts = [(path, "\n".join(one.value for one in units.settings([(path, text)]))) for path, text in files]  # comments set nothing
    texts.append((docker.daemon_json_path, options_in(docker.daemon_json or "")))
    texts += [(path, "\n".join(units.parse_environment_file(text).values())) for path, text in docker.env_files]
    name = re.compile(r"(?<![\w.+-])%s(?![\w.+-])" % re.escape(device))  # vg-pool2 is another one than vg-pool
    return next((path for path, text in texts if name.search(text)), None)


def options_in(text):
    """The storage options of a daemon.json, one a line.

    All of a text that cannot be read: a pool that is named too often is not removed, or Docker stops while it is repaired. One
    that is missed would be taken from a Docker that uses it.
    """
    try:
        docker_conflicts.read_json(text)
    except ValueError:
        return text
    return "\n".join(docker_conflicts.json_values(text, "storage-opts"))


def kept_metadata(pool, lvm):
    """[lvm_report.Lv] that former repairs left: POOL_metaN, the damaged metadata."""
    name = re.compile(re.escape(pool.name) + r"_meta[0-9]+\Z")
    return [lv for lv in lvm.lvs_of(pool.vg) if name.match(lv.name) and not lv.hidden]


def kept(pool, lvm):
    """Sentences: the damaged metadata that former repairs left beside the pool."""
    sentence = "{0} holds the metadata of the pool from before a repair, {1}. Once all is well: lvremove {0}"
    return [sentence.format(full(pool, lv.name), geometry.format_size(lv.size)) for lv in kept_metadata(pool, lvm)]
