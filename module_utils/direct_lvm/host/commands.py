# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run an external command: argv only, never a shell, its own environment, an empty standard input, bounds on time and output."""

import os
import pwd
import re
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from typing import NamedTuple, Tuple

from ..model.errors import CommandFailed
from ..texts import strict_json
from . import lvm_pins

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"


def search_path(path):
    """Where programs are looked for: the caller's PATH as far as it is absolute, then the system's folders, sbin too.

    A relative entry, or an empty one, is a folder that depends on where the module was started: another user's, with sudo.
    """
    return os.pathsep.join([folder for folder in path.split(os.pathsep) if folder.startswith("/")] + [SYSTEM_PATH])


PATH = search_path(os.environ.get("PATH", ""))
LIMIT = 64 << 20  # bytes that a command may print: `lvm fullreport` of 10,000 LVs has a fifth of that
PIECE = 1 << 16  # bytes read at once

bound = 120  # seconds for a command without a bound of its own; the module sets it once, from its parameter command_timeout
standard_input = subprocess.DEVNULL  # of every command; lock.only_one_run sets it to its lock, an empty file
bound_variable = ""  # the role variable that sets bound, for the operator; "" in a module in which none does
GRACE = 5  # seconds that a killed command has to be gone


class Result(NamedTuple):
    """What a command answered."""

    argv: Tuple[str, ...]
    rc: int
    out: str
    err: str


class TooMuch(Exception):
    """A command printed more than LIMIT bytes."""


class Session(subprocess.Popen):
    """A command in a session of its own. AnsibleModule.run_command has no bound on time or output, and stops nothing that hangs."""

    def __init__(self, argv, environment):
        super().__init__(
            list(argv),
            stdin=standard_input,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            cwd="/",
        )

    def answer(self, timeout):
        """(standard output, standard error) as bytes, once the command has ended and closed both.

        Raises subprocess.TimeoutExpired, and TooMuch as soon as both together have more than LIMIT bytes.
        """
        end, printed, left = time.monotonic() + timeout, {self.stdout: [], self.stderr: []}, LIMIT
        with selectors.DefaultSelector() as waiting:
            for stream in printed:
                waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                for key, _events in waiting.select(max(0, end - time.monotonic())):
                    piece = os.read(key.fd, PIECE)
                    printed[key.fileobj].append(piece)
                    left -= len(piece)
                    if not piece:
                        waiting.unregister(key.fileobj)
                if left < 0:
                    raise TooMuch
                if waiting.get_map() and time.monotonic() >= end:
                    raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(timeout=max(0, end - time.monotonic()))
        self.stdout.close()
        self.stderr.close()
        return b"".join(printed[self.stdout]), b"".join(printed[self.stderr])

    def stop(self):
        """Kill the command with everything that it started, and do not wait for what cannot be killed.

        A child in a session of its own may keep the output open, and a process in the kernel's D state dies later.
        """
        os.killpg(self.pid, signal.SIGKILL)
        self.stdout.close()
        self.stderr.close()
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=GRACE)


def number(text):
    """The number that 1 to 18 ASCII digits are, None for another text: str.isdigit() takes others, of which int() takes some."""
    return int(text) if re.match(r"[0-9]{1,18}\Z", text) else None


def find(name):
    """The full path of a tool, None when it is not installed. Looks into the sbin folders too."""
    return shutil.which(name, path=PATH)


def decoded(data):
    """What a command printed as text. A NUL, which no path may have, is replaced like what is no UTF-8."""
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")


def environment():
    """All that a command sees of the environment. Nothing of the caller's but PATH: what else is there changes what commands do.

    LVM_SYSTEM_DIR and LVM_COMMAND_PROFILE make LVM read another configuration, LVM_SUPPRESS_* and LVM_EXPECTED_EXIT_STATUS
    change its answers (lvm(8)), DM_* where device-mapper keeps its nodes and who makes them (libdm, dm_lib_init), BLKID_FILE,
    BLKID_CONF and LIBBLKID_DEBUG what blkid knows (blkid(8)), DOCKER_* and CONTAINERD_* which daemon is asked and how, SYSTEMD_*
    and DBUS_SYSTEM_BUS_ADDRESS what systemctl prints and whom it asks (systemctl(1)), LD_* which code runs, TMPDIR where
    files go.
    HOME is that of the user who runs this: sudo may leave the caller's, and Docker's client reads .docker/config.json there.
    LVM complains about every inherited descriptor unless LVM_SUPPRESS_FD_WARNINGS is set (lvm(8)).
    """
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        home = "/"
    return {"PATH": PATH, "HOME": home, "LC_ALL": "C", "LVM_SUPPRESS_FD_WARNINGS": "1"}


def run(argv, timeout=None, ok=(0,)):
    """Run argv and return its Result.

    timeout in seconds, None for the common bound; ok: return codes that are not a failure, None accepts all of them.
    Raises CommandFailed. A command that hangs, or prints more than LIMIT, is killed with everything that it started.
    """
    more = " (it gets more time with %s: %d)" % (bound_variable, 2 * bound) if bound_variable and not timeout else ""
    timeout = timeout or bound
    try:
        session = Session(lvm_pins.pinned(argv), environment())
    except (OSError, ValueError) as error:  # ValueError: a word with a NUL, or one that no file name can have
        raise CommandFailed(argv, "could not be started", str(error)) from error
    try:
        out, err = session.answer(timeout)
    except subprocess.TimeoutExpired:
        session.stop()
        raise CommandFailed(argv, "did not finish within %d s and was stopped%s" % (timeout, more)) from None
    except TooMuch:
        session.stop()
        raise CommandFailed(argv, "printed more than %d MiB and was stopped" % (LIMIT >> 20)) from None
    result = Result(tuple(argv), session.returncode, decoded(out), decoded(err))
    if ok is not None and result.rc not in ok:
        raise CommandFailed(argv, "failed with return code %d" % result.rc, result.err or result.out)
    return result


def run_json(argv, timeout=None):
    """Run argv and return (the JSON value it printed, its Result). Raises CommandFailed, for unreadable JSON too."""
    result = run(argv, timeout=timeout)
    try:
        return strict_json.loads(result.out), result
    except ValueError as error:
        raise CommandFailed(argv, "printed what is not JSON (%s)" % error, result.out[:200]) from error
