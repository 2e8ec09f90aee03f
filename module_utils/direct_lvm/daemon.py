# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Wait for the Docker daemon after a start, and read its log when it did not come up."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from . import commands, docker, systemd

UNIT = "docker.service"


def wait(host, timeout):
    """Return once the daemon at host answers `docker info`.

    Raises commands.CommandFailed when the start failed, or after timeout seconds. A unit that systemd is about to
    start again (Restart=) has failed too: `systemctl is-active` says "activating" for it, so SubState is asked.
    """
    argv = ("systemctl", "show", "--property=Id,ActiveState,SubState", UNIT)
    deadline = time.monotonic() + timeout
    problem = "did not start"
    while time.monotonic() < deadline:
        shown = dict(systemd.parse_show(commands.run(argv).out)[0])
        active, sub = shown.get("ActiveState"), shown.get("SubState")
        if active == "failed" or sub in ("auto-restart", "failed"):
            raise commands.CommandFailed(("systemctl", "start", UNIT), "failed (%s, %s)" % (active, sub))
        if active == "active":
            info, problem = docker.observe_info(host)
            if info:
                return
        time.sleep(0.5)
    raise commands.CommandFailed(("systemctl", "start", UNIT), "gave no working daemon within %d s" % timeout, problem)


def journal(lines=20):
    """The last lines of the daemon's log, as text; why there are none, when journalctl does not answer."""
    argv = ("journalctl", "--unit", UNIT, "--lines", str(lines), "--no-pager", "--output", "cat")
    try:
        return commands.run(argv, timeout=30).out.strip()
    except commands.CommandFailed as failure:
        return str(failure)
