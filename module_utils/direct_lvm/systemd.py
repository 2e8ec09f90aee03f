# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A systemd service as installed: one question to systemctl, and its files read by systemd's own rules.

Sources: systemd.unit(5), systemd.service(5) "COMMAND LINES", systemd.exec(5) "EnvironmentFile", systemd.syntax(7);
where the manual pages are silent, conf-parser.c, env-file.c and extract-word.c of systemd 219 to 252.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import os
import re
import shlex
import stat
from typing import NamedTuple

from . import commands, process
from .model import Refused, Unit
from .quoting import paste

RUNNING = "/run/systemd/system"  # sd_booted(3)
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
PROPERTIES = "Id,LoadState,ActiveState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID"
LIMIT = 16 << 20  # bytes of a file that sets something
PREFIXES = "@-:+!|"  # special executable prefixes of systemd.service(5)
ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " ",
    "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip


class Setting(NamedTuple):
    """One assignment in a unit file: where it stands, and what it says."""

    path: str
    section: str
    key: str
    value: str


class Word(NamedTuple):
    """One word of a command line as the program receives it, and the place to change when it is not wanted."""

    text: str
    place: str


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
        raise commands.CommandFailed(result.argv, "said nothing about " + units[0], result.err or result.out[:200])
    found = []
    for name, ours in asked:
        try:
            found.append(unit_of(blocks, name, ours))
        except Refused:
            if not found:
                raise
            found.append(Unit("bad-setting", "inactive", False, ()))
    return found


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
        raise commands.CommandFailed(("systemctl", "show", service), "gave %.60r as the main process of %s" % (main, service))
    pid = process.daemon(int(main), name)
    return Unit(
        load_state=shown.get("LoadState", "not-found"),
        active_state=shown.get("ActiveState", "inactive"),
        need_reload=changed or shown.get("NeedDaemonReload") == "yes",
        files=tuple(files),
        command=command_line(files, ours),
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
    found = {os.path.basename(path): path for path in loaded if os.path.exists(path)}
    for folder in reversed(FOLDERS):
        for path in glob.glob(os.path.join(folder, unit + ".d", "*.conf")):
            found[os.path.basename(path)] = path
    paths = [found[name] for name in sorted(found) if not is_mask(found[name])]
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


def same(path, other):
    """Whether two paths name the same file, as text."""
    return bool(path and other) and os.path.normpath(path) == os.path.normpath(other)


def logical_lines(text):
    """The lines of a unit file as systemd reads them, stripped, without comments.

    A line that ends in a backslash goes on in the next one, joined by a space; comment lines in between are skipped.
    """
    pending = ""
    for physical in [*re.split(r"\r\n|\n\r|[\n\r\0]", text.lstrip("\ufeff")), ""]:
        if physical.lstrip(" \t")[:1] in ("#", ";"):
            continue
        line = pending + physical.lstrip(" \t")
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        pending = line[:-1] + " " if goes_on else ""
        if not goes_on and line.strip():
            yield line.strip()


def settings(files):
    """Every assignment of (path, text) files in order, as Setting. Never raises: systemd skips what it cannot read."""
    found = []
    for path, text in files:
        section = ""
        for line in logical_lines(text):
            if line.startswith("["):
                section = line[1:-1] if line.endswith("]") else ""
            elif "=" in line:
                key, _equals, value = line.partition("=")
                found.append(Setting(path, section, key.strip(), value.strip()))
    return found


def exec_start(files, ours):
    """(path, command line) of the ExecStart in force without the file `ours`; ("", "") when there is none.

    An empty `ExecStart=` forgets the ones before. Raises Refused for more than one: only Type=oneshot may have that,
    and systemd would not load such a service either.
    """
    starts = []
    for one in settings([(path, text) for path, text in files if not same(path, ours)]):
        if (one.section, one.key) == ("Service", "ExecStart"):
            starts = [*starts, one] if one.value else []
    if len(starts) > 1:
        raise Refused(
            "the service has %d ExecStart lines, in %s and in %s: without an empty `ExecStart=` before the last one "
            "systemd does not start it" % (len(starts), starts[-2].path, starts[-1].path),
            "Put a line `ExecStart=` right before the ExecStart in %s; then: systemctl daemon-reload" % starts[-1].path,
        )
    return (starts[0].path, starts[0].value) if starts else ("", "")


def command_line(files, ours):
    """The ExecStart in force without the file `ours`, as written: prefixes, quotes and variables untouched."""
    return exec_start(files, ours)[1]


def split_words(text):
    """A command line or a list value in words by systemd's rules: quotes removed, C escapes, never an error.

    A quote that is not closed ends at the end of the text; an unknown escape stays as it is.
    """
    words, word, quote, position = [], None, "", 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\" and position < len(text):
            escape = re.compile(r"x[0-9a-fA-F]{2}|[0-7]{3}").match(text, position)
            if escape:
                digits = escape.group()
                value = int(digits[1:], 16) if digits[0] == "x" else int(digits, 8)
                word, position = (word or "") + chr(value), escape.end()
            else:
                word = (word or "") + ESCAPES.get(text[position], "\\" + text[position])
                position += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                word = (word or "") + char
        elif char in "\"'":
            quote, word = char, word or ""
        elif char in " \t\n\r":
            words, word = words + ([] if word is None else [word]), None
        else:
            word = (word or "") + char
    return words + ([] if word is None else [word])


def environment_files(files, ours=""):
    """The paths of EnvironmentFile= in order, without the `-` of "may be missing". Patterns are not expanded."""
    paths = []
    for one in settings([(path, text) for path, text in files if not same(path, ours)]):
        if (one.section, one.key) == ("Service", "EnvironmentFile"):
            paths = [*paths, one.value.lstrip("-")] if one.value else []
    return [path for path in paths if path.startswith("/")]


def read_environment_files(files, ours):
    """{path: text} of the files that a unit's EnvironmentFile= name and that are there, in order. Raises Refused."""
    texts = [(path, read_text(path)) for pattern in environment_files(files, ours) for path in sorted(glob.glob(pattern))]
    return {path: text for path, text in texts if text is not None}


def parse_environment_file(text):
    """The assignments of an EnvironmentFile as {name: value}, by systemd's rules; lines it would skip are skipped.

    Comments start with # or ; as first character. Quoted parts may span lines, a backslash joins lines.
    """
    found, state, key, value = {}, "before", "", ""
    quotes = {"'": "single", '"': "double"}

    def take(ready):
        if re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", key.strip()):
            found[key.strip()] = ready

    for char in text + "\n":
        if state == "before":
            if char in "#;":
                state = "comment"
            elif char not in " \t\r\n":
                state, key, value = "key", char, ""
        elif state == "comment":
            state = "before" if char in "\r\n" else state
        elif state == "key":
            if char in "\r\n":
                state = "before"
            elif char == "=":
                state = "ready"
            else:
                key += char
        elif state in ("ready", "value"):
            if char in "\r\n":
                take(value.rstrip(" \t") if state == "value" else value)
                state = "before"
            elif char == "\\":
                state = "escape"
            elif state == "ready" and char in quotes:
                state = quotes[char]
            elif state == "value" or char not in " \t":
                state, value = "value", value + char
        elif state == "escape":
            state, value = "value", value + ("" if char in "\r\n" else char)
        elif state == "single":
            state, value = ("ready", value) if char == "'" else (state, value + char)
        elif state == "double":
            if char == '"':
                state = "ready"
            elif char == "\\":
                state = "double escape"
            else:
                value += char
        elif state == "double escape":
            state, value = "double", value + (char if char in '"\\`$' else "" if char == "\n" else "\\" + char)
    return found


def variables(files, env_files, ours=""):
    """What the service's environment sets, as {name: Word(value, place)}. env_files: {path: text}, in order.

    EnvironmentFile= wins over Environment=, later files win over earlier ones (systemd.exec(5)).
    """
    found = {}
    for one in settings([(path, text) for path, text in files if not same(path, ours)]):
        if (one.section, one.key) == ("Service", "Environment"):
            if not one.value:
                found = {}
            for word in split_words(one.value):
                name, equals, value = word.partition("=")
                if equals:
                    found[name] = Word(value, "Environment=%s in %s" % (name, one.path))
    for path, text in (env_files or {}).items():
        for name, value in parse_environment_file(text).items():
            found[name] = Word(value, "%s in %s" % (name, path))
    return found


def command_words(command, place, known):
    """The words that the program receives, as [Word]. known: {name: Word} of variables().

    `$NAME` as a word of its own becomes as many words as its value has; `${NAME}` is replaced inside its word;
    `$$` is a dollar sign; unknown names are empty; the prefix `:` switches that off; after the prefix `@` the second
    word is only a name and is left out (systemd.service(5)). A word keeps the place that can be edited.
    """
    words, prefix = [], command[: len(command) - len(command.lstrip(PREFIXES))]

    def value_of(match):
        return known[match.group(1)].text if match.group(1) in known else ""

    for text in split_words(command[len(prefix) :]):
        whole = re.match(r"\$([A-Za-z_][A-Za-z0-9_]*)\Z", text)
        if ":" in prefix:
            words.append(Word(text, place))
        elif whole:
            value = known.get(whole.group(1), Word("", place))
            words += [Word(part, value.place) for part in split_words(value.text)]
        else:
            inside = [name for name in re.findall(r"(?<!\$)\$\{(\w+)\}", text) if name in known]
            filled = re.sub(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value_of, text).replace("$$", "$")
            words.append(Word(filled, known[inside[0]].place if inside else place))
    return words[:1] + words[2:] if "@" in prefix else words
