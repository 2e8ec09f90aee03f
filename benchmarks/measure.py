"""CPU seconds of a command with all that it starts, daemons too; and what machine this is."""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def cpu(used):
    """User and system seconds of a resource.struct_rusage."""
    return used.ru_utime + used.ru_stime


def controller_cpu(argv, environment, cwd):
    """(CPU seconds, what it printed) of an ansible command. What outlives it, ssh's kept connections, is ended and counted.

    Raises RuntimeError with the end of the output when it fails.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 126
        try:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            code = subprocess.call(argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
            end_children()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, errors="replace") as stream:
        printed = stream.read()
    _pid, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError("%s failed: %s" % (" ".join(argv), printed[-4000:]))
    return cpu(used), printed


def end_children():
    """End and reap every child of this process."""
    for child in pathlib.Path("/proc/self/task/%d/children" % os.getpid()).read_text().split():
        os.kill(int(child), signal.SIGTERM)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def machine():
    """This machine in a few words."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "unknown")
    words = (len(os.sched_getaffinity(0)), model, os.uname().release, sys.version.split()[0], os.getloadavg()[0])
    return "%d cores (%s), Linux %s, Python %s, load %.1f" % words
