# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A systemd service as installed: one question to systemctl, its files, and its process."""

import errno
import glob
import os
import re
import shlex
import stat

from ..host import commands, process
from ..model.errors import CommandFailed, Refused
from ..model.host import Unit
from ..model.quoting import paste
from ..texts.units import environment_files, exec_start, same

RUNNING = "/run/systemd/system"  # sd_booted(3)
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
PROPERTIES = "Id,LoadState,ActiveState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID"
LIMIT = 16 << 20  # bytes of a file that sets something


def observe_unit(name, ours):
    """The Unit of name.service and name.socket: one process, and the service's files read from disk; see observe_units()."""
    return observe_units(((name, ours),))[0]


def observe_units(asked):
    """[Unit] of services and their sockets, all by one process. asked: ((name, ours), ...).

    The first is what is to be configured; what is wrong with the files of another does not count, as if it were not there.
    ours: the path of the drop-in that belongs to this tool; its ExecStart does not count for Unit.command. It is
    among Unit.files whenever it is on disk, even when systemd has not loaded it yet.
    The drop-ins are those on disk now, which the next daemon-reload makes true. need_reload does not take systemd's
    word alone: systemd 252 says no when a drop-in was written into a folder that is new to it (tried).
    Raises Refused (no systemd, more than one ExecStart, a file that cannot be read) and CommandFailed.
    """
    names = [name for name, _ours in asked]
    if not os.path.isdir(RUNNING):
        raise Refused(
            "this host does not run systemd (%s is not there), and %s.service is what would be configured" % (RUNNING, names[0]),
            "Use a host that boots with systemd; inside a container there is none.",
        )
    units = [name + kind for name in names for kind in (".service", ".socket")]
    result = commands.run(["systemctl", "show", "--property=" + PROPERTIES, *units], timeout=60, ok=None)
    blocks = {block.get("Id", ""): block for block in parse_show(result.out)}
    if units[0] not in blocks:
        raise CommandFailed(result.argv, "said nothing about " + units[0], result.err or result.out[:200])
    observed = []
    for name, ours in asked:
        try:
            observed.append(unit_of(blocks, name, ours))
        except Refused:
            if not observed:
                raise
            observed.append(Unit("bad-setting", "inactive", False, ()))
    return observed


def unit_of(blocks, name, ours):
    """The Unit of a service from {unit: {property: value}}, its files and its process. Raises Refused and CommandFailed."""
    service, socket = name + ".service", blocks.get(name + ".socket", {})
    shown = blocks.get(service, {})
    dropins, changed = current_dropins(service, show_words(shown.get("DropInPaths", "")))
    paths = [shown.get("FragmentPath", "")] + [path for path in dropins if not same(path, ours)]
    files = [(path, read_text(path)) for path in paths if path]
    files = [(path, text) for path, text in files if text is not None]
    own = read_text(ours) if ours else None
    if own is not None:
        files.append((ours, own))
    main = shown.get("MainPID", "0")
    if not re.match(r"[0-9]{1,9}\Z", main):
        raise CommandFailed(("systemctl", "show", service), "gave %.60r as the main process of %s" % (main, service))
    pid = process.daemon(int(main), name)
    return Unit(
        load_state=shown.get("LoadState", "not-found"),
        active_state=shown.get("ActiveState", "inactive"),
        need_reload=changed or shown.get("NeedDaemonReload") == "yes",
        files=tuple(files),
        command=exec_start(files, ours)[1],
        socket_active=socket.get("ActiveState") == "active",
        socket_exists=socket.get("LoadState") == "loaded",
        socket_masked=socket.get("LoadState") == "masked",
        arguments=process.words(pid, "cmdline"),
        environment=process.words(pid, "environ"),
        main_pid=pid,
        folder=process.folder(pid),
        sockets=process.sockets(pid),
    )


def parse_show(text):
    """The blocks of `systemctl show UNIT UNIT` as a list of {property: value}; blocks are parted by an empty line."""
    blocks = []
    for block in re.split(r"\n\s*\n", text):
        pairs = [line.partition("=") for line in block.splitlines() if "=" in line]
        if pairs:
            blocks.append({key.strip(): value for key, _equals, value in pairs})
    return blocks


def show_words(value):
    """The paths in a list property of `systemctl show`; newer systemd quotes those with special characters."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def current_dropins(unit, loaded):
    """(paths, whether systemd has read others) of a unit's drop-ins on disk, in systemd's order: sorted by name.

    loaded: the paths that systemd has read; those in folders of other kinds (service.d, system.control) stay.
    A file in /etc hides one of the same name in /run, and that one in /usr/lib; an empty file or a link to /dev/null
    hides and says nothing (systemd.unit(5)).
    """
    dropins = {os.path.basename(path): path for path in loaded if os.path.exists(path)}
    for folder in reversed(FOLDERS):
        for path in glob.glob(os.path.join(folder, unit + ".d", "*.conf")):
            dropins[os.path.basename(path)] = path
    paths = [dropins[name] for name in sorted(dropins) if not is_mask(dropins[name])]
    before = {os.path.realpath(path) for path in loaded if not is_mask(path)}
    return paths, {os.path.realpath(path) for path in paths} != before


def is_mask(path):
    """Whether a unit file says nothing: empty, or a link to /dev/null."""
    return os.path.exists(path) and os.stat(path).st_size == 0


def read_text(path):
    """The text of a file, None when there is none. Undecodable bytes are replaced. Raises Refused.

    What is no regular file is not opened: a FIFO would keep us waiting, /dev/zero never ends. /dev/null says nothing.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            if os.path.samefile(path, os.devnull):
                return ""
            raise OSError(0, "it is no regular file")
        with open(path, "rb") as stream:
            data = stream.read(LIMIT + 1)
            if len(data) > LIMIT:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            return data.decode("utf-8", "replace")
    except OSError as error:
        if not os.path.lexists(path):
            return None
        raise Refused(
            "%s cannot be read (%s), so what it sets is not known" % (path, error.strerror or error),
            "ls -ld %s    # then correct it, or move it away" % paste(path),
        ) from error


def read_environment_files(files, ours):
    """{path: text} of the files that a unit's EnvironmentFile= name and that are there, in order. Raises Refused."""
    texts = [(path, read_text(path)) for pattern in environment_files(files, ours) for path in sorted(glob.glob(pattern))]
    return {path: text for path, text in texts if text is not None}
