# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run an external command: argv only, never a shell, a fixed locale, no standard input, a bound on time."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import NamedTuple, Tuple

PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"]
).strip(os.pathsep)


bound = 120  # seconds for a command without a bound of its own; the module sets it once, from its parameter command_timeout
bound_variable = ""  # the role variable that sets bound, for the operator; "" in a module in which none does
GRACE = 5  # seconds that a killed command has to be gone


class Result(NamedTuple):
    """What a command answered."""

    argv: Tuple[str, ...]
    rc: int
    out: str
    err: str


class CommandFailed(Exception):
    """A command failed, hung or answered what cannot be read. The text names the command and its own words."""

    def __init__(self, argv, problem, err=""):
        self.argv = tuple(argv)
        self.problem = problem
        self.err = err.strip()
        text = "`%s` %s" % (" ".join(self.argv), problem)
        super(CommandFailed, self).__init__(text + (": " + self.err if self.err else "."))


class Session(subprocess.Popen):
    """A command in a session of its own. AnsibleModule.run_command knows no bound on time, and stops nothing that hangs."""

    def __init__(self, argv, environment):
        super(Session, self).__init__(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            cwd="/",
        )

    def stop(self):
        """Kill the command with everything that it started, and do not wait for what cannot be killed.

        A child in a session of its own may keep the output open, and a process in the kernel's D state dies later.
        """
        os.killpg(self.pid, signal.SIGKILL)
        self.stdout.close()
        self.stderr.close()
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=GRACE)


def find(name):
    """The full path of a tool, None when it is not installed. Looks into the sbin folders too."""
    return shutil.which(name, path=PATH)


def run(argv, timeout=None, ok=(0,)):
    """Run argv and return its Result.

    timeout in seconds, None for the common bound; ok: return codes that are not a failure, None accepts all of them.
    Raises CommandFailed. A command that hangs is killed with everything that it started.
    Without DOCKER_*: DOCKER_TLS_VERIFY, DOCKER_CONTENT_TRUST and DOCKER_API_VERSION have the client fail on its own host's socket.
    LVM complains about every inherited descriptor unless LVM_SUPPRESS_FD_WARNINGS is set (lvm(8)).
    """
    more = " (it gets more time with %s: %d)" % (bound_variable, 2 * bound) if bound_variable and not timeout else ""
    timeout = timeout or bound
    mine = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    environment = dict(mine, LC_ALL="C", LANG="C", PATH=PATH, LVM_SUPPRESS_FD_WARNINGS="1")
    try:
        session = Session(argv, environment)
    except OSError as error:
        raise CommandFailed(argv, "could not be started", str(error)) from error
    try:
        out, err = session.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        session.stop()
        raise CommandFailed(argv, "did not finish within %d s and was stopped%s" % (timeout, more)) from None
    result = Result(tuple(argv), session.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
    if ok is not None and result.rc not in ok:
        raise CommandFailed(argv, "failed with return code %d" % result.rc, result.err or result.out)
    return result


def run_json(argv, timeout=None):
    """Run argv and return (the JSON value it printed, its Result). Raises CommandFailed, for unreadable JSON too."""
    result = run(argv, timeout=timeout)
    try:
        return json.loads(result.out), result
    except (ValueError, RecursionError) as error:
        raise CommandFailed(argv, "printed what is not JSON (%s)" % error, result.out[:200]) from error
