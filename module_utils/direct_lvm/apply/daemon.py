# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for the Docker daemon after a start, and read its log when it did not come up."""

import time

from ..facts import docker, systemd
from ..host import commands
from ..model.errors import CommandFailed, Refused, shortened
from ..texts import docker_info

UNIT = "docker.service"
PAUSE = 1  # second: asking oftener takes CPU from a Docker that is starting, on a small host


def wait(step):
    """Return once the daemon answers `docker info`, and says what the step (steps.WaitForDocker) expects.

    Raises CommandFailed when the start failed, or after step.timeout seconds, and Refused for another storage
    than expected. A unit that systemd is about to start again (Restart=) has failed too: `systemctl is-active` says
    "activating" for it, so SubState is asked.
    """
    argv = ("systemctl", "show", "--property=Id,ActiveState,SubState", UNIT)
    deadline = time.monotonic() + step.timeout
    problem = "did not start"
    while time.monotonic() < deadline:
        shown = {key: value for block in systemd.parse_show(commands.run(argv).out) for key, value in block.items()}
        active, sub = shown.get("ActiveState"), shown.get("SubState")
        if active == "failed" or sub in ("auto-restart", "failed"):
            raise CommandFailed(("systemctl", "start", UNIT), "failed (%s, %s)" % (active, sub))
        if active == "active":
            info, problem = docker.observe_info(step.host)
            if info:
                check(step, info)
                return
        time.sleep(PAUSE)
    raise CommandFailed(("systemctl", "start", UNIT), "gave no working daemon within %d s" % step.timeout, problem)


def check(step, info):
    """Raise Refused unless docker info names the expected driver, and the pool when one is expected."""
    if step.driver and info.driver != step.driver:
        raise Refused("docker info: Storage Driver is %s, wanted %s." % (info.driver, step.driver))
    if step.chunk_size:
        problems = docker_info.info_problems(info, step.pool, step.chunk_size)
        if problems:
            raise Refused("; ".join(problems) + ".")


def state(service):
    """How it is with a service whose start could not be seen to its end, as words for a sentence: "is down", "runs, ..."."""
    try:
        active = commands.run(("systemctl", "is-active", service + ".service"), timeout=30, ok=None).out.strip()
    except CommandFailed as failure:
        return "may be down or not (%s)" % str(failure).rstrip(".")
    return "runs, yet not as it is to" if active in ("active", "reloading") else "is down"


def journal(service, lines=20):
    """The last lines of a service's log, as text; why there are none, when journalctl does not answer."""
    argv = ("journalctl", "--unit", service + ".service", "--lines", str(lines), "--no-pager", "--output", "cat")
    try:
        return shortened(commands.run(argv, timeout=30).out.strip())
    except CommandFailed as failure:
        return str(failure)
