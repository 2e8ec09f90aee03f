# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The running process of a service: which one it is, what it was started with, and on which sockets it listens.

A unit may start its daemon by a script, with a path that only the script knows. The process has what counts (proc(5)).
"""

import os
import re
import socket
import stat
import struct

from ..model.errors import Refused
from ..texts.programs import is_daemon
from . import files

PROC = "/proc"
LISTENING = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix (kernel, include/uapi/linux/net.h; net/unix/af_unix.c)
# Num: RefCount Protocol Flags Type St Inode Path
LINE = re.compile(r"\S+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]{8}) [0-9A-F]+ [0-9A-F]+ +([0-9]{1,20}) (/.*)\Z")
SYSTEMD = 1  # it listens on the sockets that it hands over
ANSWER = 5  # seconds that a socket may take to be connected


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
    """The paths of the unix sockets on which a process listens, sorted; () when it cannot be told. Starts no process.

    /proc/net/unix shows each socket's name as it is. Who binds one with a line feed in it has a line of his own choice in
    there. So a path counts only where no other user can have made it, and where the process itself answers.
    """
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
    paths = {path for inode, path in listening(table) if "socket:[%s]" % inode in own}
    return tuple(sorted(path for path in paths if is_closed_socket(path) and listener(path) in (int(pid), SYSTEMD)))


def listening(text):
    """[(inode, path)] of the listening sockets with a path in /proc/net/unix. What is no line of the kernel's is left out."""
    lines = filter(None, map(LINE.match, text.split("\n")))
    return [(line.group(2), line.group(3)) for line in lines if int(line.group(1), 16) & LISTENING]


def is_closed_socket(path):
    """Whether a path is a socket, no link, in folders in which nobody but root can put or rename anything."""
    place, name = os.path.split(path)
    try:
        with files.opened(place) as (folder, passed):
            status = files.status_of(name, folder)
            return status is not None and stat.S_ISSOCK(status.st_mode) and not files.weak_spot(passed, strict=True, filled=True)
    except (OSError, Refused, ValueError):
        return False


def listener(path):
    """The process that listens on a unix socket, as the kernel tells who connects (unix(7), SO_PEERCRED); 0 for none."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER)
        try:
            client.connect(path)
            return struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))[0]
        except (OSError, ValueError):
            return 0


def read(*parts):
    """A file of a process as bytes, empty when there is none, no such process, or more in it than files.LIMIT."""
    try:
        with open(os.path.join(PROC, *parts), "rb") as stream:
            data = stream.read(files.LIMIT + 1)
    except OSError:
        return b""
    return data if len(data) <= files.LIMIT else b""
