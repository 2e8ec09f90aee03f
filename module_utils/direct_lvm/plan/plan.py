# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do: plan(Spec, Host) -> Plan, or Refused. No I/O, no clock: the same facts give the same plan."""

from ..model import engines, geometry
from ..model.errors import Refused
from ..model.plan import Plan
from ..model.quoting import paste
from ..model.spec import CLEAN_UP, GROW, REMOVE, REPAIR, REPLACE, ROLL_BACK
from ..model.steps import IfFails, RemoveFile, Transaction, WriteFile
from . import (
    containerd_storage,
    docker_storage,
    health,
    pool_policy,
    removal,
    repair,
    replacement,
    settings_check,
    thin_pool,
    volume_group,
)


def plan(spec, host):
    """The model.plan.Plan of a Host. Raises Refused, before any step: a host is changed as a whole or not at all."""
    check_tools(host)
    if spec.goal in (GROW, REPLACE):
        thin_pool.check_exists(spec.pool, host.lvm)
    settings_check.check(spec, host)
    if spec.goal == REMOVE:
        due = Plan(removal.plan_remove(spec, host), removal.left(spec, host))
    elif spec.goal == REPAIR:
        due = Plan(repair.plan_repair(spec, host), repair.kept(spec.pool, host.lvm))
    elif spec.goal in (ROLL_BACK, CLEAN_UP):  # whatever state the pool is in
        steps = docker_storage.plan_away(spec, host)
        due = Plan(steps, docker_storage.left_behind(spec, host) if spec.goal == ROLL_BACK else (), engine(spec, host))
    else:
        due = provision(spec, host)
    check_targets(due.steps, host)
    return due._replace(steps=tuple(due.steps), warnings=tuple(due.warnings))


def provision(spec, host):
    """The Plan of the goal PROVISION."""
    chosen, pool, storage = engine(spec, host), spec.pool, []
    steps, capacity = volume_group.plan_vg(pool, host)
    steps += thin_pool.plan_pool(pool, host, capacity) + pool_policy.plan_policy(pool, host)
    if steps:
        replacement.check_quiet(pool, host.lvm, steps)
    if chosen and chosen.name != "devicemapper":
        storage += containerd_storage.plan_containerd(spec, host)
    if chosen and chosen.name != "containerd":
        storage += docker_storage.plan_docker(spec, host, image_store=chosen.name == "docker-devmapper")
    layout = geometry.current_layout(host.lvm, pool) or thin_pool.future_layout(pool, host.lvm, capacity)
    warnings = [geometry.autoextend_warning(layout, pool), replacement.warning(pool, host)]
    if spec.docker and spec.docker.engine != "containerd":
        warnings += [docker_storage.tight(spec, host), *docker_storage.left_behind(spec, host)]
    warnings += [finding.sentence for finding in health.lasting(pool, host)]
    warnings += thin_pool.left(pool, host.lvm) + settings_check.warnings(spec, host)
    return Plan(steps + storage, [sentence for sentence in warnings if sentence], chosen)


def check_targets(steps, host):
    """Raise Refused when a file is to be replaced where something else stands: a rename would put a file in its place."""
    kinds = dict(host.irregular)
    for step in steps:
        if isinstance(step, (Transaction, IfFails)):
            check_targets(step.steps, host)
        elif isinstance(step, (WriteFile, RemoveFile)) and step.path in kinds:
            raise Refused(
                "%s is %s, and not a file that could be replaced." % (step.path, kinds[step.path]), instead(step.path, host)
            )


def instead(path, host):
    """What to do about something that stands where a file is to be written."""
    docker, containerd = host.docker, host.containerd
    named = {"docker": docker and docker.daemon_json_path, "containerd": containerd and containerd.config_path}
    services = [service for service in sorted(named) if path == named[service] and path.startswith("/dev/")]
    if services:
        return (
            "Have {0} read a file, or its default one: systemctl cat {0}    # shows where {1} is named\n"
            "Then: systemctl daemon-reload; systemctl restart {0}".format(services[0], paste(path))
        )
    return "Set it aside: mv {0} {1}".format(paste(path), paste(path + ".before-direct-lvm"))


def engine(spec, host):
    """The engines.Engine that this host gets, None when only the pool is wanted. Raises Refused when it can have none."""
    if spec.docker:
        return engines.choose(spec.docker.engine, host.docker.version, host.containerd)
    return engines.Engine("containerd", "nothing is said of Docker") if spec.containerd else None


def check_tools(host):
    """Raise Refused when a tool that the work or the pool's later life needs is not installed."""
    if host.missing:
        raise Refused(
            "this host lacks " + "; ".join("%s (%s)" % (part.name, part.why) for part in host.missing) + ".",
            "Debian, Ubuntu: apt-get install %s\nRHEL family: dnf install %s"
            % (" ".join(sorted({part.debian for part in host.missing})), " ".join(sorted({part.redhat for part in host.missing}))),
        )
