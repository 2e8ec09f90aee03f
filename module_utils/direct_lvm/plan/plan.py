# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do: plan(Spec, Host) -> steps, or Refused. No I/O, no clock: the same facts give the same plan."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..model import engines, geometry
from ..model.errors import Refused
from ..model.quoting import paste
from ..model.spec import CLEAN_UP, GROW, REMOVE, REPAIR, REPLACE, ROLL_BACK
from ..model.steps import ArchiveImage, IfFails, KeepContainer, RemoveFile, Switch, UntilMoved, WriteFile
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

# The roles that put each engine on the pool, in order.
STORAGE = {
    "devicemapper": ("docker_storage",),
    "docker-devmapper": ("containerd_storage", "docker_storage"),
    "containerd": ("containerd_storage",),
}


def plan(spec, host):
    """The steps (model.Command, WriteFile, ...) that are still due, () when the host is as wanted.

    Raises Refused, before any step: a host is changed as a whole or not at all.
    """
    steps = due(spec, host)
    check_targets(steps, host)
    return steps


def due(spec, host):
    """plan() without the look at what stands where its files go."""
    check_tools(host)
    if spec.goal in (GROW, REPLACE):
        thin_pool.check_exists(spec.pool, host.lvm)
    settings_check.check(spec, host)
    if spec.goal == REMOVE:
        return tuple(removal.plan_remove(spec, host))
    if spec.goal == REPAIR:
        return tuple(repair.plan_repair(spec, host))
    if spec.goal in (ROLL_BACK, CLEAN_UP):
        return tuple(docker_storage.plan_away(spec, host))  # whatever state the pool is in
    chosen = engine(spec, host)
    steps, layout = volume_group.plan_vg(spec.pool, host)
    steps += thin_pool.plan_pool(spec.pool, host, layout)
    steps += pool_policy.plan_policy(spec.pool, host)
    if steps:
        replacement.check_quiet(spec.pool, host.lvm, steps)
    if chosen and chosen.name != "devicemapper":
        steps += containerd_storage.plan_containerd(spec, host)
    if chosen and chosen.name != "containerd":
        steps += docker_storage.plan_docker(spec, host, image_store=chosen.name == "docker-devmapper")
    return tuple(steps)


def check_targets(steps, host):
    """Raise Refused when a file is to be replaced where something else stands: a rename would put a file in its place."""
    kinds = dict(host.irregular)
    for step in steps:
        if isinstance(step, (Switch, IfFails)):
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
    if spec.goal in (REMOVE, REPAIR) or not (spec.docker or spec.containerd):
        return None
    if spec.docker is None:
        return engines.Engine("containerd", "nothing is said of Docker")
    chosen = engines.choose(spec.docker.engine, host.docker.version, host.containerd)
    if chosen.name != "devicemapper" and spec.containerd is None:
        raise Refused("The engine is %s (%s), and `containerd` is not given." % chosen, "Give the module's parameter containerd.")
    return chosen


def roles(steps, chosen):
    """The roles that carry these steps out, in order; () when none is due. The last one's call does all that those before it left.

    chosen: the engines.Engine, None when only the pool is wanted.
    """
    if not steps:
        return ()
    return ("thin_pool", "image_archive", *STORAGE[chosen.name]) if chosen else ("thin_pool",)


def between(steps):
    """Whether something is due between the pool and the switch that takes long: then each role makes its own call."""
    return any(isinstance(step, (ArchiveImage, KeepContainer, UntilMoved)) for step in steps)


def warnings(spec, host):
    """Sentences about what is not wrong enough to be refused. Raises what plan() raises."""
    if spec.goal == REMOVE:
        return removal.left(spec, host)
    if spec.goal == REPAIR:
        return tuple(repair.kept(spec.pool, host.lvm))
    if spec.goal in (ROLL_BACK, CLEAN_UP):
        return docker_storage.left_behind(spec, host) if spec.goal == ROLL_BACK else ()
    layout = geometry.current_layout(host.lvm, spec.pool)
    if layout is None:
        layout = thin_pool.future_layout(spec.pool, host.lvm, volume_group.plan_vg(spec.pool, host)[1])
    found = [geometry.autoextend_warning(layout, spec.pool), replacement.warning(spec.pool, host)]
    if spec.docker and spec.docker.engine != "containerd":
        found += [docker_storage.tight(spec, host), *docker_storage.left_behind(spec, host)]
    found += [finding.sentence for finding in health.lasting(spec.pool, host)]
    found += thin_pool.left(spec.pool, host.lvm) + settings_check.warnings(spec, host)
    return tuple(sentence for sentence in found if sentence)


def check_tools(host):
    """Raise Refused when a tool that the work or the pool's later life needs is not installed."""
    if host.missing:
        raise Refused(
            "this host lacks " + "; ".join("%s (%s)" % (part.name, part.why) for part in host.missing) + ".",
            "Debian, Ubuntu: apt-get install %s\nRHEL family: dnf install %s"
            % (
                " ".join(sorted({part.debian for part in host.missing})),
                " ".join(sorted({part.redhat for part in host.missing})),
            ),
        )
