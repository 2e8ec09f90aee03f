# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator must know about a pool as it is: one sentence each, and how much it matters. Pure."""

import re
from typing import NamedTuple

from ..model import geometry, names
from ..texts import docker_info, needs_check
from . import containerd_storage, pool_policy, repair

CRITICAL, WARNING = "critical", "warning"
DATA_LIMIT, METADATA_LIMIT = 90, 80  # percent; a pool without free metadata needs repair, so that one is told earlier
AGAIN = "Run playbooks/site.yml."


class Finding(NamedTuple):
    """One sentence. severity: CRITICAL (containers fail, or soon will) or WARNING.

    subject: 'data', 'metadata', 'reserve', 'monitoring', 'pool' or 'engine', what of the host it is about.
    """

    severity: str
    subject: str
    sentence: str


def findings(pool, host):
    """[Finding] about a Host, the critical ones first. [] when all is well."""
    layout = geometry.current_layout(host.lvm, pool)
    if layout is None:
        problems = [Finding(WARNING, "pool", "There is no thin pool %s. %s" % (names.full(pool), AGAIN))]
    else:
        lv = host.lvm.lv(pool.vg, pool.name)
        sentence = geometry.autoextend_warning(layout, pool)
        due = CRITICAL if (lv.data_percent or 0) > pool.autoextend_threshold else WARNING
        problems = lasting(pool, host) + ([Finding(due, "reserve", sentence)] if sentence else []) + drift(pool, host, lv)
    problems += engine(pool, host)
    return sorted(problems, key=lambda finding: finding.severity != CRITICAL)


def danger(problems):
    """{subject: severity} of Findings, the worst per subject; {} when there are none."""
    worst = {}
    for finding in problems:
        if worst.get(finding.subject) != CRITICAL:
            worst[finding.subject] = finding.severity
    return worst


def lasting(pool, host):
    """[Finding] about what no run of direct_lvm changes. [] while there is no pool."""
    lv, name, problems = host.lvm.thin_pool(pool), names.full(pool), []
    if lv is None:
        return []
    meta = host.lvm.lv(pool.vg, names.metadata_name(pool))
    if meta and lv.data_percent:
        other = names.full(pool, meta.name)
        sentence = "%s stands beside the pool and takes %s of its reserve; it is not part of it. If nobody needs it: lvremove %s"
        problems.append(Finding(WARNING, "reserve", sentence % (other, geometry.format_size(meta.size), other)))
    elif meta:
        state = "looks empty" if lv.data_percent is not None else "does not tell whether it is empty"
        sentence = "%s stands beside pool %s, which %s: it may hold the metadata of its data, swapped out by a second lvconvert."
        sentence += " Do not remove it. The way back: ansible-playbook playbooks/site.yml --check"
        problems.append(Finding(CRITICAL, "pool", sentence % (names.full(pool, meta.name), name, state)))
    problems += [Finding(WARNING, "reserve", sentence) for sentence in repair.kept(pool, host.lvm)]
    if lv.health:
        todo = {"out_of_data": more_room(pool, host, "data")}.get(lv.health, "See lvmthin(7).")
        todo = needs_check.REPAIR if lv.health in repair.REPAIRED else todo
        problems.append(Finding(CRITICAL, "pool", "LVM reports the health of pool %s as %s. %s" % (name, lv.health, todo)))
    if lv.check_needed:
        problems.append(Finding(CRITICAL, "pool", "Pool %s needs a check. %s" % (name, needs_check.REPAIR)))
    missing = host.lvm.vg(pool.vg).missing_pvs
    if missing:
        problems.append(Finding(CRITICAL, "pool", "VG %s is missing %d of its PVs: see pvs." % (pool.vg, missing)))
    limit = max(pool.autoextend_threshold, DATA_LIMIT) if pool.autoextend_threshold < 100 else DATA_LIMIT  # 100: nobody extends it
    for what, used, most in (("data", lv.data_percent, limit), ("metadata", lv.metadata_percent, METADATA_LIMIT)):
        if used is not None and used > most:
            sentence = "%s of pool %s is %.1f %% full. %s" % (what.capitalize(), name, used, more_room(pool, host, what))
            problems.append(Finding(CRITICAL, what, sentence))
    return problems


def more_room(pool, host, what):
    """The sentence that tells how the pool's data or metadata (what) are extended."""
    name, vg, lv = names.full(pool), host.lvm.vg(pool.vg), host.lvm.lv(pool.vg, pool.name)
    extents = vg.free if what == "data" else min(-(-lv.metadata_size // vg.extent_size), vg.free // 2)  # its spare grows too
    if not extents:
        return (
            "VG %s has no room to extend it: name another blank disk in thin_pool_devices, and run playbooks/grow.yml. "
            "At once: vgextend %s /dev/DISK" % (pool.vg, pool.vg)
        )
    if what == "metadata" and lv.metadata_percent >= 100:  # extended alone, a leaked block keeps the pool from its next activation
        return needs_check.REPAIR
    if what == "data":
        return "Extend it: lvextend --extents +%d %s" % (extents, name)
    return "Extend them: lvextend --poolmetadatasize +%dm %s" % (extents * vg.extent_size >> 20, name)


def drift(pool, host, lv):
    """[Finding] about what has drifted since the pool was made, and a run puts right again."""
    name, path = names.full(pool), names.profile_path(pool)
    if not lv.active:
        return [Finding(CRITICAL, "pool", "Pool %s is not active: nobody can use it. %s" % (name, AGAIN))]
    problems, written = [], policy(host.profile_text or "")
    if not lv.monitored:
        first = "set activation/monitoring to 1 in /etc/lvm/lvm.conf, then " if lv.monitored is None else ""
        sentence = "Pool %s is not monitored: nobody extends it when it fills up. At once: %slvchange --monitor y %s"
        sentence %= (name, first, name)
        problems.append(Finding(WARNING, "monitoring", sentence))
    if lv.discards not in ("", pool.discards):
        sentence = "Pool %s has discards=%s, wanted %s.%s %s" % (name, lv.discards, pool.discards, pool_policy.kept(lv), AGAIN)
        problems.append(Finding(WARNING, "pool", sentence))
    if lv.profile != pool.profile_name:
        state = "carries the policy %s" % lv.profile if lv.profile else "carries no policy"
        sentence = "Pool %s %s, wanted %s. %s" % (name, state, pool.profile_name, AGAIN)
        problems.append(Finding(WARNING, "monitoring", sentence))
    elif host.profile_text is None:
        sentence = "%s is not there: LVM ignores the policy of pool %s without a word. %s" % (path, name, AGAIN)
        problems.append(Finding(WARNING, "monitoring", sentence))
    elif written != (pool.autoextend_threshold, pool.autoextend_percent):
        sentence = "%s says threshold %s %%, percent %s, wanted %d and %d. %s"
        problems.append(
            Finding(WARNING, "monitoring", sentence % (path, *written, pool.autoextend_threshold, pool.autoextend_percent, AGAIN))
        )
    return problems


def policy(text):
    """(threshold, percent) of an LVM profile's text, None for what it does not say."""
    values = dict(re.findall(r"^\s*thin_pool_autoextend_(threshold|percent)\s*=\s*([0-9]{1,9})\s*(?:#.*)?$", text, re.MULTILINE))
    return tuple(int(values[name]) if name in values else None for name in ("threshold", "percent"))


def engine(pool, host):
    """[Finding] about Docker and containerd; none about who is not installed, was not asked, or is stopped beside containerd."""
    docker, using, problems = host.docker, engine_in_use(pool, host), []
    if using in ("docker-devmapper", "containerd") and host.containerd and host.containerd.plugin != "ok":
        why = (host.containerd.problem or "its status is %s" % host.containerd.plugin).rstrip(".")
        client = containerd_storage.client(host.containerd)
        sentence = "containerd's devmapper snapshotter does not work: %s. See: %s plugins ls" % (why, client)
        problems.append(Finding(CRITICAL, "engine", sentence))
    if docker is None or docker.unit is None or docker.unit.load_state == "not-found":
        return problems
    if using == "containerd" and docker.unit.active_state == "inactive":
        return problems
    if docker.begun():
        problems.append(Finding(WARNING, "engine", "A switch of Docker's storage was cut off half-way. %s" % AGAIN))
    if docker.info is None:
        sentence = "Docker does not answer: %s. See: journalctl -u docker" % docker.problem.rstrip(".")
        problems.append(Finding(CRITICAL, "engine", sentence))
    elif using is None:
        kind = docker_info.storage_kind(docker.info)
        kind = {"direct-lvm": "pool %s" % docker.info.field("Pool Name"), "devmapper-snapshotter": "another pool"}.get(kind, kind)
        problems.append(Finding(WARNING, "engine", "Docker's containers are on %s, not on pool %s." % (kind, names.full(pool))))
    elif using == "devicemapper":
        lv = host.lvm.lv(pool.vg, pool.name)
        differences = docker_info.info_problems(docker.info, lv.dm_path, lv.chunk_size)
        problems += [Finding(WARNING, "engine", difference + ".") for difference in differences]
    return problems


def engine_in_use(pool, host):
    """Which engine (engines.ENGINES) uses the pool now, None when none does."""
    info = host.docker.info if host.docker else None
    kind = docker_info.storage_kind(info) if info else ""
    lv = host.lvm.lv(pool.vg, pool.name)
    device = lv.dm_path.rsplit("/", 1)[-1] if lv else ""
    if kind == "direct-lvm" and info.field("Pool Name") == device:
        return "devicemapper"
    if device and device in host.snapshotter_pools:
        return "docker-devmapper" if kind == "devmapper-snapshotter" else "containerd"
    return None
