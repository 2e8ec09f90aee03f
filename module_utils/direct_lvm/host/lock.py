# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lock that keeps two runs on one host apart."""

import fcntl
import os
import time
from contextlib import contextmanager, suppress

from ..model.errors import Refused
from . import commands

LOCK = "/run/direct-lvm.lock"  # not /run/lock: on Debian anybody may make a file there, and hold it


@contextmanager
def only_one_run(timeout):
    """Hold the host's lock. Waits at most timeout seconds, then raises Refused. The kernel frees it with its last holder.

    Every command that is run meanwhile has the lock as its standard input, an empty file: so it is held until the last of them
    is gone, when this process is killed too. LVM closes what else it inherits (lvm2, tools/lvmcmdline.c, _close_stray_fds);
    what turns into a daemon lets go of standard input.
    """
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    former = commands.standard_input
    try:
        deadline = time.monotonic() + timeout
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise Refused(
                    "another run of direct_lvm, or a command that a killed one left, is at work on this host since more than %d s."
                    % timeout,
                    "Wait for it, or see who it is, as /proc/PID/fd/N: find /proc/[0-9]*/fd -lname %s" % LOCK,
                )
            time.sleep(0.5)
        os.ftruncate(descriptor, 0)  # whoever reads it finds its end
        commands.standard_input = descriptor
        yield
    finally:
        commands.standard_input = former
        os.close(descriptor)


def another_runs():
    """Whether the host's lock is held."""
    try:
        descriptor = os.open(LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
