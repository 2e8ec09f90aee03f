# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""containerd with its devmapper snapshotter: the nouns, and its configuration as text. Pure.

Our settings are a file of their own. The only line of config.toml that is touched is `imports`; whatever else that file
holds is judged by containerd itself (`containerd config dump`), not here. Plugin sections of an imported file replace
those of the same name whole, others stay (containerd, cmd/containerd/server/config, mergeConfig; the same since 1.3).
"""

import fnmatch
import hashlib
import json
import os
import re
from typing import NamedTuple, Tuple

from ..model.host import ADDRESS, CONFIG
from ..model.names import MANAGED
from .own_files import PLUGIN, PLUGIN_TYPE, VARIABLE, containerd_config, containerd_dropin
from .programs import is_daemon, same_program
from .units import command_words, in_force, variables

TABLES = ('plugins."%s.%s"' % (PLUGIN_TYPE, PLUGIN), 'plugins."%s"' % PLUGIN, "plugins." + PLUGIN)  # the latter in version 1
IMPORTS = re.compile(r"^[ \t]*imports[ \t]*=(.*)$", re.M)
OURS = "  # direct_lvm"  # marks an imports line that is ours alone
STRING = re.compile(r"""("[^"\\\n]*"|'[^'\n]*')""")
POOL_NAME = re.compile(r"""\bpool_name["']?[ \t]*=[ \t]*(\"{3}|'{3}|"|')(.*?)\1""")
ANY_STRING = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'[^'\n]*')""")
ARRAY = re.compile(r"[ \t]*\[([ \t]*(?:{0}[ \t]*(?:,[ \t]*{0}[ \t]*)*(?:,[ \t]*)?)?)\][ \t]*(?:#.*)?\r?\Z".format(STRING.pattern))


class Dump(NamedTuple):
    """What `containerd config dump` tells: the files that were read, the pool and the socket, "" when it names none."""

    files: Tuple[str, ...]
    pool: str
    address: str


def pool_names(text):
    """The pools that a text of containerd's configuration may name; comment lines do not count. A search, not a parse."""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    return [name for _quotes, name in POOL_NAME.findall("\n".join(lines)) if name]


def parse_dump(text):
    """A Dump from what `containerd config dump` prints: TOML in containerd's own form, one setting a line."""
    table, values = "", {}
    for line in map(str.strip, text.split("\n")):
        key, equals, value = line.partition("=")
        if line.startswith("["):
            table = line.strip("[]").replace("'", '"')
        elif equals:
            values.setdefault((table, key.strip()), [plain(one) for one in ANY_STRING.findall(value)])
    named = [values[key][0] for key in values if key[1] == "pool_name" and key[0] in TABLES and values[key]]
    address = (values.get(("grpc", "address")) or [""])[0]
    return Dump(tuple(values.get(("", "imports"), ())), next(filter(None, named), ""), address)


def plain(string):
    """The text of a TOML string on one line; escapes are those of JSON (toml.io, "String")."""
    try:
        return json.loads(string) if string.startswith('"') else string[1:-1]
    except ValueError:
        return string[1:-1]


def flag(words, *names):
    """The last value of a flag among containerd's words, "" when it is not given. It takes -c, -config and --config=X alike."""
    value = ""
    for index, word in enumerate(words[1:], 1):
        match = re.match(r"--?([a-z][a-z-]*)(?:=(.*))?\Z", word, re.S)
        if match and match.group(1) in names:
            value = match.group(2) if match.group(2) is not None else "".join(words[index + 1 : index + 2])
    return value


def words(unit, env_files=None):
    """(words of the running containerd, of its unit): () for one that does not run, or for a unit that starts a script.

    env_files: {path: text} of the unit's EnvironmentFile=s.
    """
    shims = [path for path in unit.sockets if path.endswith(".ttrpc")]  # nobody else has such a socket, whatever its name
    running = unit.arguments if shims or is_daemon(unit.arguments, "containerd") else ()
    known = variables(unit.files, env_files or {})
    named = tuple(word.text for word in command_words(unit.command, "", known))
    if running and not same_program(running, named):
        named = ()
    return running, named if is_daemon(named, "containerd") else ()


def config_paths(unit, env_files=None):
    """(the config.toml that containerd reads now, the one that its next start reads); the same one unless its unit was changed.

    A path that is not absolute starts at the daemon's folder. Without a process the unit tells; a script does not.
    """
    running, named = words(unit, env_files)
    folder = (["/"] + [one.value for one in in_force(unit.files, "WorkingDirectory")])[-1]
    now = config_of(running or named, unit.folder or folder)
    later = config_of(named or running, folder)
    hidden = later == CONFIG and "$" in unit.command  # a variable that no file sets
    return now, now if not named or (running and hidden) else later


def config_of(words, folder):
    """The config.toml that containerd's words name, else the default one."""
    named = flag(words, "config", "c")
    return os.path.normpath(os.path.join(folder, named)) if named else CONFIG


def listens(unit):
    """The socket on which the running containerd answers its clients, "" when it cannot be told.

    By its flag; else of those on which it listens the one that has another beside it, SOCKET.ttrpc, for its shims
    (containerd, cmd/containerd/server/config: ttrpc.address). Others are for debugging, or for plugins.
    """
    address = flag(words(unit)[0], "address", "a")
    if address or not unit.sockets:
        return address
    likely = [path for path in unit.sockets if path == ADDRESS or path + ".ttrpc" in unit.sockets]
    return likely[0] if likely else unit.sockets[0] if len(unit.sockets) == 1 else ""


def read_files(config, read):
    """{path: text} of a config.toml and of the files that it imports, in turn, as far as its text tells; None when it does not.

    read: a function from a path, or a pattern with *, to {path: text} of the files that are there.
    """
    texts, todo = {}, [config]
    while todo:
        for path, text in read(todo.pop()).items():
            if path in texts:
                continue
            texts[path] = text
            try:
                todo += [os.path.normpath(os.path.join(os.path.dirname(path), name)) for _start, _end, name in imports(text)]
            except ValueError:
                return None
    return texts


def absolute_imports(text, parent):
    """config.toml with each import as an absolute path, so that a copy in another folder reads the same files.

    As containerd 2 reads them; containerd 1 looks for a relative one with * below its working folder.
    Raises ValueError for an `imports` that is not an array on one line.
    """
    for start, end, name in reversed(imports(text or "")):
        text = text[:start] + '"%s"' % os.path.join(os.path.dirname(parent), name) + text[end:]
    return text


def desired_files(containerd, pool, desired):
    """((path, text now, desired text), ...) of our file, config.toml and our drop-in, in the order in which they are written.

    containerd: Containerd.  desired: ContainerdStorage of a Pool.
    Raises ValueError for an `imports` that is not an array on one line.
    """
    config = with_import(containerd.config_text, desired.config_file, containerd.config_path)
    own = containerd_config(pool, desired, config_version(config))
    return (
        (desired.config_file, containerd.own_text, own),
        (containerd.config_path, containerd.config_text, config),
        (desired.dropin, containerd.dropin_text, containerd_dropin(pool, desired, checksum(own))),
    )


def is_settled(containerd, files):
    """Whether containerd runs in the desired state, and nothing more has to be asked. files: its desired_files()."""
    read = containerd.unit.active_state == "active" and not containerd.unit.need_reload and has_read(containerd.unit, files[0][2])
    return read and containerd.plugin == "ok" and all(now == text for _path, now, text in files)


def head(text):
    """The part of a TOML text before its first table: only there are top-level keys."""
    table = re.search(r"^[ \t]*\[", text, re.M)
    return text[: table.start()] if table else text


def config_version(text):
    """The version of a config.toml, 1 when it names none (containerd, docs/man/containerd-config.toml.5.md)."""
    version = re.search(r"^[ \t]*version[ \t]*=[ \t]*([0-9]+)", head(text), re.M)
    return int(version.group(1)) if version else 1


def imports(text):
    """[(start, end, name)] of what a config.toml imports. Raises ValueError for an `imports` that is not an array on one line."""
    line = IMPORTS.search(head(text))
    array = ARRAY.match(text, line.start(1), line.end(1)) if line else None
    if line and not array:
        raise ValueError("its `imports` is not an array on one line")
    return [(one.start(), one.end(), one.group()[1:-1]) for one in STRING.finditer(text, *array.span(1))] if array else []


def leads_to(pattern, path, parent):
    """Whether an import of the file `parent`, without `*`, is that path. Others than absolute ones start at parent's folder."""
    return os.path.normpath(os.path.join(os.path.dirname(parent), pattern)) == path


def imported(path, patterns, parent):
    """Whether one of the imports of the file `parent` leads to path; `*` stays within one folder, as in Go's filepath.

    A pattern with `*` counts only when it is absolute: containerd 1 looks for others below its working folder, containerd 2
    below parent's (cmd/containerd/server/config, resolveImports). A file that is named twice is read once.
    """
    for pattern in patterns:
        whole = os.path.normpath(pattern)
        sibling = os.path.dirname(whole) == os.path.dirname(path) and "*" in pattern
        if leads_to(pattern, path, parent) or (sibling and fnmatch.fnmatchcase(os.path.basename(path), os.path.basename(whole))):
            return True
    return False


def with_import(text, path, parent=CONFIG):
    """config.toml that imports path: the same text when it does already, else with one line added or changed.

    text None: there is no such file, and one with nothing else is made. No drop-in of others is lost by it: conf.d/*.toml,
    since 2.2 among containerd's default imports, is followed only where a file that is read says so (LoadConfig).
    Raises ValueError for an `imports` that is not an array on one line.
    """
    line = 'imports = ["%s"]' % path
    if text is None:
        return "%s\nversion = 2\n%s\n" % (MANAGED, line)
    present = IMPORTS.search(head(text))
    if present is None:
        return line + OURS + "\n" + text
    entries = imports(text)
    if imported(path, [name for _start, _end, name in entries], parent):
        return text
    at = entries[-1][1] if entries else text.index("[", present.start(1)) + 1
    return text[:at] + (', "%s"' if entries else '"%s"') % path + text[at:]


def without_import(text, path, parent=CONFIG):
    """config.toml without any import of exactly path, as it was before with_import(); None when that made the whole file.

    Raises ValueError when an `imports` that is not an array on one line may name it.
    """
    if text is None or text == with_import(None, path):
        return None
    line = 'imports = ["%s"]%s\n' % (path, OURS)
    if text.startswith(line):
        return text[len(line) :]
    entries = imports(text) if os.path.basename(path) in text else []
    for index, (start, end, name) in enumerate(entries):
        if leads_to(name, path, parent):
            if index:
                start = entries[index - 1][1]
            elif entries[1:]:
                end = entries[1][0]
            elif text[end:].lstrip(" \t").startswith(","):
                end = text.index(",", end) + 1
            return without_import(text[:start] + text[end:], path, parent)
    return text


def checksum(text):
    """A short checksum of a configuration file."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def has_read(unit, text):
    """Whether the running containerd was started after our configuration file got this text."""
    return "%s=%s" % (VARIABLE, checksum(text)) in unit.environment
