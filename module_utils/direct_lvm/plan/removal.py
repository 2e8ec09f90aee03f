# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking the pool away again: only what carries our tag, only when nobody uses it. Pure."""

from ..model.errors import Refused
from ..model.names import (
    ADOPTED_TAG,
    DRIVER_FOLDERS,
    MANAGED,
    OURS,
    SIZE_TAG,
    TAG,
    device_name,
    full,
    helper_name,
    metadata_name,
    profile_path,
)
from ..model.steps import AssertBlank, Command, RemoveFile, RemoveTree, activation
from ..texts import docker_conflicts, docker_info
from . import blank, containerd_storage, repair, replacement, volume_group
from .pool_policy import profile_users
from .thin_pool import METADATA_TIMEOUT, adopted, check_swapped, from_elsewhere, interrupted_spare, remove_spare


def plan_remove(spec, host):
    """[step]: remove pool, VG, PV labels and profile, as far as they are there and ours.

    Raises Refused when they are somebody else's, or Docker or containerd still uses them.
    """
    pool, lvm = spec.pool, host.lvm
    volume_group.check_name(pool, lvm)
    vg = lvm.vg(pool.vg)
    steps = containerd_storage.plan_unconfigure(spec, host) if spec.containerd and host.containerd else []
    if given_up(pool, lvm):
        return steps + remove_profile(pool, host)
    if vg:
        check_removable(spec, host, vg, unconfigured=bool(steps))
        steps += forget_graph_driver(spec, host)
        steps += remove_lvs(pool, lvm)
        if others(pool, lvm):
            return steps + give_up(pool, lvm) + remove_profile(pool, host)
        steps.append(Command(("vgremove", pool.vg), "remove VG %s, which is empty now" % pool.vg))
    for pv in lvm.pvs_of(pool.vg):
        steps += replacement.give_back(pv)
    for disk in {disk.path: disk for disk in host.disks}.values():  # one may be listed under two names
        steps += orphan(disk, pool, lvm)
    return steps + remove_profile(pool, host)


def orphan(disk, pool, lvm):
    """[step] that give a disk back on which a killed run left a PV of ours in no VG; Refused when somebody has used it since."""
    pv = blank.orphan_pv(disk, lvm)
    if pv is None or pv.uuid != disk.our_pv_uuid:
        return []
    blank.why_not_blank(disk, lvm, pool)
    steps = replacement.give_back(pv)
    # A vgcreate that was killed before its commit leaves a PV that pvremove does not take.
    return steps[1:] if disk.pv_used else steps


def given_up(pool, lvm):
    """Whether the VG carries no tag of ours, and no LV of the pool's name: it is somebody else's, and stays."""
    vg = lvm.vg(pool.vg)
    return vg is not None and TAG not in vg.tags and lvm.lv(pool.vg, pool.name) is None


def left(spec, host):
    """Sentences: what removing leaves, for the operator to know."""
    pool, names = spec.pool, others(spec.pool, host.lvm)
    if names:
        ours = [name for name in names if TAG in host.lvm.lv(pool.vg, name).tags]
        what = ", which this tool did not make" if not ours else ", of which this tool made %s for another pool" % ", ".join(ours)
        return ("VG %s stays: it holds %s%s." % (pool.vg, ", ".join(names), what),)
    if given_up(pool, host.lvm):
        return ("VG %s stays: it does not carry our tag. If nobody needs it: vgremove %s" % (pool.vg, pool.vg),)
    return ()


def beside(pool, lvm):
    """[lvm_report.Lv] that go with the pool: what killed runs of ours left, and the metadata that repairs set aside."""
    lv, helper = lvm.thin_pool(pool), lvm.lv(pool.vg, helper_name(pool))
    helpers = [helper] if helper and TAG in helper.tags else []
    if adopted(pool, lvm):
        return helpers
    stray = interrupted_spare(lvm, lv) if lv else None
    return ([lvm.lv(pool.vg, stray)] if stray else []) + helpers + repair.kept_metadata(pool, lvm)


def others(pool, lvm):
    """The visible LVs of the VG that are not the pool's."""
    ours = [pool.name, metadata_name(pool)] + [lv.name for lv in beside(pool, lvm)]
    return [lv.name for lv in lvm.lvs_of(pool.vg) if not lv.hidden and lv.name not in ours]


def give_up(pool, lvm):
    """[vgchange] that takes our tags off a VG that stays, lest a later run removes it; [] while it has another pool of ours."""
    if any(TAG in lvm.lv(pool.vg, name).tags for name in others(pool, lvm)):
        return []
    ours = [tag for tag in lvm.vg(pool.vg).tags if tag in (TAG, ADOPTED_TAG) or tag.startswith(SIZE_TAG)]
    options = tuple(word for tag in ours for word in ("--deltag", tag))
    return [Command(("vgchange",) + options + (pool.vg,), "leave VG %s to whom its other LVs belong" % pool.vg)]


def forget_graph_driver(spec, host):
    """[RemoveTree]: what Docker, which went back, keeps of the pool's thin devices; they go with the pool."""
    docker = host.docker
    if not spec.pool.remove_data or docker is None:
        return []
    names = [name + OURS for name in DRIVER_FOLDERS if name + OURS in docker.root_state]
    return [RemoveTree("%s/%s" % (docker.root, name), None, "Docker's metadata of the pool") for name in names]


def check_removable(spec, host, vg, unconfigured):
    """Raise Refused unless the VG is ours and the pool is used by nobody. unconfigured: containerd gives it up first."""
    pool = spec.pool
    if TAG not in vg.tags:
        raise Refused(
            "VG %s was not made by this tool (no tag %s): it is not removed." % (vg.name, TAG),
            "If nobody needs it, remove it yourself: vgremove %s" % vg.name,
        )
    if vg.exported or vg.missing_pvs:
        raise Refused("VG %s is %s." % (vg.name, "exported" if vg.exported else "missing PVs"), "Look: vgs %s; pvs" % vg.name)
    kept = [] if pool.remove_data else repair.kept_metadata(pool, host.lvm)
    if kept:
        raise Refused(
            "%s holds the metadata that pool %s had before a repair: what the pool held may be found by them."
            % (full(pool, kept[0].name), full(pool)),
            "If nobody needs that: thin_pool_remove_data: true\nIt is lost then.",
        )
    lv, device = host.lvm.thin_pool(pool), device_name(pool)
    if lv is None:
        return
    docker = host.docker
    info = docker.info if docker else None
    kind = docker_info.storage_kind(info) if info else ""
    put_back = "Put Docker back first: ansible-playbook playbooks/rollback.yml"
    if kind == "direct-lvm" and info.field("Pool Name") == device:
        raise Refused(
            "Docker uses pool %s." % full(pool),
            "Move Docker to another storage driver first. Its images and containers on the pool would be lost.",
        )
    path = repair.named_in(docker, device) if docker else None  # Docker may be stopped
    if path:
        raise Refused(
            "%s still tells Docker to use pool %s." % (path, full(pool)),
            put_back
            + "\nOr, when it was put back by other means, take the setting out of %s; then: systemctl daemon-reload" % path,
        )
    if kind == "devmapper-snapshotter":
        raise Refused("Docker uses containerd's devmapper snapshotter on pool %s." % full(pool), put_back)
    if docker and docker.version and "devmapper" in docker_conflicts.json_values(docker.daemon_json, "storage-driver"):
        raise Refused(
            "%s still tells Docker to use containerd's devmapper snapshotter, which has pool %s."
            % (docker.daemon_json_path, full(pool)),
            put_back,
        )
    if device in host.snapshotter_pools and not unconfigured:
        raise Refused(
            "containerd is configured to use pool %s." % full(pool),
            "Take its devmapper section away first, and restart containerd.",
        )
    if unconfigured:
        containerd_storage.check_idle(spec, host)
    held = lv.open and not (unconfigured and pool.remove_data)  # containerd's thin devices go with the snapshots, LVM's do not
    if held or any(x.pool_lv == pool.name for x in host.lvm.lvs_of(pool.vg)):
        raise Refused("pool %s is in use: thin volumes of it are active." % full(pool), "See them: lsblk; dmsetup ls --tree")
    if not pool.remove_data:
        check_swapped(pool, host.lvm)
    if lv.data_percent != 0.0 and not pool.remove_data:
        used = "is inactive, so its use is not known" if lv.data_percent is None else "is %.2f %% full" % lv.data_percent
        raise Refused(
            "pool %s %s: it holds images or containers of a former set-up.%s" % (full(pool), used, from_elsewhere(pool, host)),
            "If nobody needs them: thin_pool_remove_data: true\nThey are lost then.",
        )


def remove_lvs(pool, lvm):
    """lvremove of what is beside the pool, then of it, or of the plain LVs from which a run that was cut off would have made it."""
    steps = []
    for lv in beside(pool, lvm):
        if lv.name.startswith("lvol"):
            steps += remove_spare(pool, lv)
        else:
            steps.append(Command(("lvremove", "--yes", full(pool, lv.name)), "remove %s, which only the pool needs" % lv.name))
    for lv in [lv for lv in (lvm.lv(pool.vg, pool.name), lvm.lv(pool.vg, metadata_name(pool))) if lv]:
        name = lv.name
        if lv.segtype != "thin-pool" and TAG not in lv.tags:
            raise Refused(
                "%s is a plain LV without our tag: it is not removed." % full(pool, name),
                "If nobody needs it: lvremove %s" % full(pool, name),
            )
        if lv.segtype != "thin-pool" and not pool.remove_data:
            if not lv.active:
                steps.append(activation(full(pool, name), "y", "have a look at %s" % full(pool, name)))
            steps.append(AssertBlank("/dev/%s" % full(pool, name), "it was to become the pool: only an unused one is removed"))
        steps.append(Command(("lvremove", "--yes", full(pool, name)), "remove %s" % full(pool, name), METADATA_TIMEOUT))
    return steps


def remove_profile(pool, host):
    """Remove the profile's file when it is ours and no other LV uses it."""
    if profile_users(pool, host.lvm) or not (host.profile_text or "").startswith(MANAGED):
        return []
    return [RemoveFile(profile_path(pool), "remove the policy's profile")]
