# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The running process of a service: which one it is, what it was started with, and on which sockets it listens.

A unit may start its daemon by a script, with a path that only the script knows. The process has what counts (proc(5)).
"""

import os

from ..texts.programs import is_daemon

PROC = "/proc"
LISTENING = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix (kernel, include/uapi/linux/net.h; net/unix/af_unix.c)


def words(pid, name):
    """The command line or the environment of a process as a tuple, () when there is no such process.

    name: 'cmdline' or 'environ', the environment as it was when the program was started.
    """
    return tuple(read(str(pid), name).decode("utf-8", "replace").split("\0")[:-1]) if int(pid) else ()


def folder(pid):
    """The working folder of a process, "" when there is no such process."""
    try:
        return os.readlink(os.path.join(PROC, str(pid), "cwd")) if pid else ""
    except OSError:
        return ""


def daemon(main_pid, service):
    """The process of a service's daemon: its main process, or the one that a script has started and waits for.

    service: a key of PROGRAMS. 0 when nothing runs; the main process when no program below it has one of the names.
    """
    if not main_pid or is_daemon(words(main_pid, "cmdline"), service):
        return main_pid
    below, level = children(), [main_pid]
    while level:
        level = [pid for parent in level for pid in below.get(parent, ())]
        daemons = [pid for pid in level if is_daemon(words(pid, "cmdline"), service)]
        if daemons:
            return daemons[0]
    return main_pid


def children():
    """{process: [its children, ascending]} of all processes."""
    processes = {}
    for pid in sorted(int(name) for name in os.listdir(PROC) if name.isdigit()):
        # PID (NAME) STATE PARENT ...: the name is the program's own choice, and may hold anything but a NUL.
        rest = read(str(pid), "stat").rpartition(b")")[2].split()
        if rest[1:]:
            processes.setdefault(int(rest[1]), []).append(pid)
    return processes


def sockets(pid):
    """The paths of the unix sockets on which a process listens, sorted; () when it cannot be told. Starts no process."""
    own = set()
    base = os.path.join(PROC, str(pid), "fd")
    try:
        names = os.listdir(base) if pid else []
    except OSError:
        return ()
    for name in names:
        try:
            own.add(os.readlink(os.path.join(base, name)))
        except OSError:  # closed meanwhile
            continue
    table = read(str(pid), os.path.join("net", "unix")).decode("utf-8", "surrogateescape") if own else ""
    return tuple(sorted({path for inode, path in listening(table) if "socket:[%s]" % inode in own}))


def listening(text):
    """[(inode, path)] of the listening sockets with a path in /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path."""
    pairs = []
    for line in text.split("\n")[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and int(fields[3], 16) & LISTENING and fields[7].startswith("/"):
            pairs.append((fields[6], fields[7]))
    return pairs


def read(*parts):
    """A file of a process as bytes, empty when there is none, or no such process."""
    try:
        with open(os.path.join(PROC, *parts), "rb") as stream:
            return stream.read()
    except OSError:
        return b""
