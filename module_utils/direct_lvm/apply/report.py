# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules return about a host: plain values for people, playbooks and reports."""

import contextlib
import json
import os
import re
import stat

from ..host import files
from ..model import engines, geometry
from ..model.names import TAG
from ..model.steps import Command, IfFails, RemoveFile, Transaction, WriteFile
from ..plan import health
from ..texts import switch_record


def summary(pool, host, watched=False, block_devices=None):
    """A host as RETURN of the module direct_lvm_info documents it. Sizes in bytes, percentages as LVM reports them.

    watched: whether a process of LVM sees to a pvmove.  block_devices: what lsblk says, None when it was not asked.
    """
    found = health.findings(pool, host)
    return {
        "engine": health.engine_in_use(pool, host),
        "vg": vg_summary(pool, host.lvm, watched),
        "pool": pool_summary(pool, host),
        "docker": docker_summary(host.docker),
        "containerd": containerd_summary(host.containerd),
        "block_devices": block_devices,
        "warnings": [finding.sentence for finding in found],
        "danger": health.danger(found),
    }


def containerd_summary(containerd):
    """containerd: whether it runs, and its devmapper snapshotter's status as `ctr plugins ls` says; problem says why not ok."""
    if containerd is None or not containerd.installed:
        return None
    return {
        "active": containerd.unit.active_state == "active",
        "snapshotter": containerd.plugin,
        "problem": containerd.problem,
    }


def vg_summary(pool, lvm, watched):
    """The volume group: size, free, disks, how far each is with its pvmove, whether it is ours."""
    vg = lvm.vg(pool.vg)
    if vg is None:
        return None
    moves, devices = lvm.moves_of(vg.name), [pv.name for pv in lvm.pvs_of(vg.name)]
    return {
        "name": vg.name,
        "size": vg.extents * vg.extent_size,
        "free": vg.free * vg.extent_size,
        "ours": TAG in vg.tags,
        "devices": devices,
        "moves": {device: move(moves.get(device), watched) for device in devices},
    }


def move(lv, watched):
    """How the pvmove of a disk is, for whoever waits until it is empty: {under_way, percent, sentence}. lv: its hidden LV, or None.

    percent: 100 when there is nothing to wait for. As long as LVM has the move it is less, for LVM still has to let go of the disk.
    sentence: why a disk that holds data all the same is not empty; it continues the words "The move from DISK".
    """
    percent, under_way = 100, lv is not None
    at = "?" if not under_way or lv.moved_percent is None else lv.moved_percent
    if not under_way:
        sentence = "has stopped: LVM has none under way any more, it was taken back or failed."
    elif not watched:
        sentence = "has stopped at %s %%: no process of LVM sees to it any more." % at
    else:
        sentence = "is still at %s %%: it has not ended within the time of thin_pool_move_timeout." % at
        percent = min(lv.moved_percent or 0, 99)
    return {"under_way": under_way, "percent": percent, "sentence": sentence}


def pool_summary(pool, host):
    """The thin pool: sizes, use, policy, the autoextend steps that still fit, the bytes of one (None: autoextend is off)."""
    layout = geometry.current_layout(host.lvm, pool)
    if layout is None:
        return None
    lv = host.lvm.lv(pool.vg, pool.name)
    need = geometry.growth_need(layout.data, pool.autoextend_threshold, pool.autoextend_percent)
    return {
        "name": lv.name,
        "device": lv.dm_path,
        "size": lv.size,
        "metadata_size": lv.metadata_size,
        "chunk_size": lv.chunk_size,
        "zero": lv.zero,
        "discards": lv.discards,
        "data_percent": lv.data_percent,
        "metadata_percent": lv.metadata_percent,
        "active": lv.active,
        "monitored": bool(lv.monitored),
        "profile": lv.profile,
        "profile_file": host.profile_text is not None,
        "health": lv.health,
        "check_needed": lv.check_needed,
        "growth_steps_left": geometry.growth_steps(layout, pool.autoextend_threshold, pool.autoextend_percent),
        "growth_need": None if need is None else need * layout.extent_size,
    }


def docker_summary(docker):
    """Docker: version, driver and its status lines; problem says why the daemon did not answer."""
    if docker is None:
        return None
    return {
        "version": docker.version,
        "has_devicemapper": engines.has_devicemapper(docker.version),
        "active": bool(docker.unit and docker.unit.active_state == "active"),
        "driver": docker.info.driver if docker.info else None,
        "status": dict(docker.info.status) if docker.info else {},
        "root": docker.info.root if docker.info else None,
        "images": [dict(image._asdict(), tags=list(image.tags)) for image in docker.images],
        "containers": [dict(one._asdict()) for one in docker.containers],
        "volumes": list(docker.volumes),
        "switch": docker.former.state if docker.former else None,
        "pending": len(docker.former.pending) if docker.former else 0,
        "problem": docker.problem,
    }


def diff(steps):
    """Ansible's diff of the planned steps: files before and after, the commands as one text. Private files are left out.

    A result is kept in logs that more people read than the file itself, so no password in an address (a proxy's) is shown either,
    and of a JSON object, such as daemon.json, only the keys that change.
    """
    shown = []
    lines = []
    for step in flat(steps):
        if isinstance(step, (WriteFile, RemoveFile)):
            if private(step):
                continue
            before, after = changes(files.read_text(step.path) or "", step.text if isinstance(step, WriteFile) else "")
            shown.append(
                {
                    "before_header": step.path,
                    "after_header": step.path,
                    "before": without_passwords(readable(before)),
                    "after": without_passwords(readable(after)),
                }
            )
        elif isinstance(step, Command):
            lines.append(without_passwords(" ".join(step.argv)) + "\n")
    if lines:
        shown.append({"before_header": "commands", "after_header": "commands", "before": "", "after": "".join(lines)})
    return shown


def private(step):
    """Whether what a WriteFile or RemoveFile is about is for root alone: our record, and what others may not read, now or then."""
    if step.path == switch_record.PATH:
        return True
    modes = [step.mode] if isinstance(step, WriteFile) and step.mode is not None else []
    with contextlib.suppress(OSError):  # there is none
        modes.append(os.stat(step.path).st_mode)
    return not all(mode & stat.S_IROTH for mode in modes)


def changes(before, after):
    """(before, after) of two texts; of two JSON objects only the keys whose values differ. An empty text is an empty object."""
    try:
        old, new = (json.loads(text or "{}") for text in (before, after))
    except (RecursionError, ValueError):
        return before, after
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return before, after
    keys = [key for key in dict(old, **new) if (key in old, old.get(key)) != (key in new, new.get(key))]
    return tuple(
        json.dumps({key: side[key] for key in keys if key in side}, indent=4) + "\n" if text else ""
        for side, text in ((old, before), (new, after))
    )


def without_passwords(text):
    """The text without the user and the password that an address in it has: http://USER:PASSWORD@proxy, as JSON writes it too."""
    return re.sub(r"(:(?:\\?/){2})[^/\s\"]*@", r"\1***@", text)


def readable(text):
    """A file's text for people; of one that is no UTF-8, such as a database, only that. Ansible cannot return its bytes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "no text, %d bytes\n" % len(text.encode("utf-8", "surrogateescape"))
    return text


def describe(steps):
    """Steps as the operator reads them: [{'kind', what it is about, 'why'}], see RETURN of the module direct_lvm."""
    return [{"kind": step.kind, **step.about, "why": step.why} for step in flat(steps)]


def flat(steps):
    """The steps with critical sections, and what is done in case a test fails, opened up."""
    for step in steps:
        if isinstance(step, Transaction):
            yield from flat(step.steps + step.last)
        elif isinstance(step, IfFails):
            yield from flat((step.test, *step.steps))
        else:
            yield step
