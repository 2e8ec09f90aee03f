# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker on the pool: whether it may move there, and the short critical section in which it does. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from . import docker
from .model import VENDOR_COMMAND, Command, Refused, RemoveFile, Switch, WaitForDocker, WriteFile

STOP_TIMEOUT = 120


def plan_docker(spec, host, pool_ready):
    """[Switch] when Docker is not yet on the pool, [] when it is.

    pool_ready: the pool is as wanted already, so that a running Docker can be judged by its own report.
    Raises model.Refused when this Docker cannot use the pool, is configured elsewhere, or holds what would be hidden.
    """
    found, wanted = host.docker, spec.docker
    if found.version is None:
        raise Refused(
            "Docker is not installed on this host%s." % (" (%s)" % found.problem if found.problem else ""),
            "Install it first, for example: apt-get install docker.io",
        )
    docker.engine_for(found.version, wanted.engine)
    if found.conflicts:
        raise Refused("\n".join(found.conflicts))
    text = wanted.dropin_text.replace(VENDOR_COMMAND, found.unit.command)
    running = found.unit.active_state == "active" and found.info is not None
    settled = pool_ready and found.dropin_text == text and running and not found.unit.need_reload
    if settled and not problems(spec, found.info):
        return []
    check_content(spec, found)
    return [switch(spec, found, text)]


def problems(spec, info):
    """Sentences: each field of docker info that is not as it is on this pool."""
    return docker.info_problems(info, device_name(spec.pool), spec.pool.chunk_size)


def device_name(pool):
    """The pool's device-mapper name. LVM doubles hyphens inside VG and LV names (lvm2, dm_build_dm_name)."""
    return "%s-%s" % (pool.vg.replace("-", "--"), pool.name.replace("-", "--"))


def check_content(spec, found):
    """Raise Refused when Docker holds images, containers or volumes that a change of the driver would hide."""
    if found.info is not None and docker.storage_kind(found.info) == "direct-lvm":
        pool = found.info.field("Pool Name")
        if pool == device_name(spec.pool):
            return  # same pool, other settings: nothing is hidden by a restart
    if found.info is None:
        held = [name for name in found.root_state if name.startswith("image/") or name in ("containers", "volumes")]
        held = [name for name in held if name != "image/devicemapper"]
        if held:
            raise Refused(
                "Docker is not running (%s) and its data root holds %s, which would be hidden by the change of the storage "
                "driver." % (found.problem, ", ".join(held)),
                "Start it, so that it can tell what it holds: systemctl start docker",
            )
    held = [
        "%d %s (%s)" % (len(names), what if len(names) != 1 else what[:-1], ", ".join(names[:5]) + (", ..." if names[5:] else ""))
        for names, what in ((found.images, "images"), (found.containers, "containers"), (found.volumes, "volumes"))
        if names
    ]
    if held:
        raise Refused(
            "Docker holds %s. They would not be visible after the change of the storage driver." % " and ".join(held),
            "Save what is needed (docker save, docker export, a copy of the volumes), then remove it:\n"
            "docker rm ...; docker rmi ...; docker volume rm ...",
        )


def switch(spec, found, text):
    """The critical section: stop, write, reload, start, wait; and the way back to what was there."""
    wanted = spec.docker
    services = ("docker.socket", "docker.service") if found.unit.socket_exists else ("docker.service",)
    stop = Command(("systemctl", "stop") + services, "stop Docker; its socket too, which would start it again", STOP_TIMEOUT)
    reload_units = Command(("systemctl", "daemon-reload"), "have systemd read the drop-in")
    # The article's own drop-in made systemctl start hang for ever: no start without a bound.
    start = Command(
        ("systemctl", "start", "--no-block") + services,
        "start Docker without waiting for a unit that may never be ready",
    )
    wait = WaitForDocker(found.host, "wait until the daemon answers", wanted.start_timeout)
    put_back = (
        RemoveFile(wanted.dropin, "take our drop-in away again")
        if found.dropin_text is None
        else WriteFile(wanted.dropin, found.dropin_text, "put the former drop-in back")
    )
    steps = (
        stop,
        WriteFile(wanted.dropin, text, "Docker's storage on %s" % device_name(spec.pool)),
        reload_units,
        Command(("systemctl", "reset-failed", "docker.service"), "forget former failed starts", ok=(0, 1)),
        start,
        wait,
    )
    return Switch(steps, (stop, put_back, reload_units, start, wait), "move Docker onto the pool")
