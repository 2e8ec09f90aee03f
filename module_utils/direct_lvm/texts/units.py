# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unit files, command lines and environment files by systemd's own rules. Pure: texts in, values out.

Sources: systemd.unit(5), systemd.service(5) "COMMAND LINES", systemd.exec(5) "EnvironmentFile", systemd.syntax(7);
where the manual pages are silent, conf-parser.c, env-file.c and extract-word.c of systemd 219 to 252.
"""

import os
import re
from typing import NamedTuple

from ..model.errors import Refused

PREFIXES = "@-:+!|"  # special executable prefixes of systemd.service(5)
ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " ",
    "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip
ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.S)
# A part of a word: in double quotes, in single ones, or in none. A backslash that ends the text is one.
PART = re.compile(
    r""""((?:[^"\\]|\\.)*\\?)(?:"|\Z)|'((?:[^'\\]|\\.)*\\?)(?:'|\Z)|((?:[^ \t\n\r"'\\]|\\.)+|\\\Z)""",
    re.S,
)
QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*\""""
ASSIGNMENT = re.compile(
    r"""
    [ \t\r\n]*
    (?: [#;][^\r\n]*                                # a comment
    |   ([^ \t\r\n][^=\r\n]*) = ((?:[ \t]*(?:%s))*)  # a name, what is in quotes,
        [ \t]* (?![ \t'"]) ((?:[^\r\n\\]|\\.)*)     # and after it what is not
    |   (?:[^ \t\r\n][^=\r\n]*)?                      # nothing is set
    ) [\r\n]
    | .+                                            # a quote that is not closed takes all the rest with it
    """
    % QUOTED,
    re.S | re.X,
)


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
    assignments = []
    for path, text in files:
        section = ""
        for line in logical_lines(text):
            if line.startswith("["):
                section = line[1:-1] if line.endswith("]") else ""
            elif "=" in line:
                key, _equals, value = line.partition("=")
                assignments.append(Setting(path, section, key.strip(), value.strip()))
    return assignments


def in_force(files, key, ours=""):
    """[Setting] of a key of [Service] in all files but `ours`. An empty assignment forgets the ones before."""
    assignments = []
    for one in settings([(path, text) for path, text in files if not same(path, ours)]):
        if (one.section, one.key) == ("Service", key):
            assignments = [*assignments, one] if one.value else []
    return assignments


def exec_start(files, ours):
    """(path, command line) of the ExecStart in force without the file `ours`; ("", "") when there is none.

    Raises Refused for more than one: only Type=oneshot may have that, and systemd would not load such a service either.
    """
    starts = in_force(files, "ExecStart", ours)
    if len(starts) > 1:
        raise Refused(
            "the service has %d ExecStart lines, in %s and in %s: without an empty `ExecStart=` before the last one "
            "systemd does not start it" % (len(starts), starts[-2].path, starts[-1].path),
            "Put a line `ExecStart=` right before the ExecStart in %s; then: systemctl daemon-reload" % starts[-1].path,
        )
    return (starts[0].path, starts[0].value) if starts else ("", "")


def split_words(text):
    """A command line or a list value in words by systemd's rules: quotes removed, C escapes, never an error.

    A quote that is not closed ends at the end of the text; an unknown escape stays as it is.
    """
    words = [match.group() for match in re.finditer("(?:%s)+" % PART.pattern, text, re.S)]
    return ["".join(ESCAPE.sub(unescaped, "".join(parts)) for parts in PART.findall(word)) for word in words]


def unescaped(match):
    """What an ESCAPE stands for."""
    code = match.group(1)
    if len(code) == 3:
        return chr(int(code[1:], 16) if code[0] == "x" else int(code, 8))
    return ESCAPES.get(code, "\\" + code)


def environment_files(files, ours=""):
    """The paths of EnvironmentFile= in order, without the `-` of "may be missing". Patterns are not expanded."""
    paths = [one.value.lstrip("-") for one in in_force(files, "EnvironmentFile", ours)]
    return [path for path in paths if path.startswith("/")]


def parse_environment_file(text):
    """The assignments of an EnvironmentFile as {name: value}, by systemd's rules; lines it would skip are skipped.

    Comments start with # or ; as first character. Quoted parts may span lines, a backslash joins lines.
    """
    values = {}
    for name, quoted, plain in ASSIGNMENT.findall(text + "\n"):
        value = ""
        for part in re.findall(QUOTED, quoted, re.S):
            escapes = r"\\([\"\\`$\n])" if part[0] == '"' else r"(?!)"
            value += re.sub(escapes, lambda match: match.group(1).strip("\n"), part[1:-1])
        if plain:
            value = (value + re.sub(r"\\(.)", lambda match: match.group(1).strip("\r\n"), plain, flags=re.S)).rstrip(" \t")
        if re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", name.strip()):
            values[name.strip()] = value
    return values


def variables(files, env_files, ours=""):
    """What the service's environment sets, as {name: Word(value, place)}. env_files: {path: text}, in order.

    EnvironmentFile= wins over Environment=, later files win over earlier ones (systemd.exec(5)).
    """
    words = {}
    for one in in_force(files, "Environment", ours):
        for word in split_words(one.value):
            name, equals, value = word.partition("=")
            if equals:
                words[name] = Word(value, "Environment=%s in %s" % (name, one.path))
    for path, text in (env_files or {}).items():
        for name, value in parse_environment_file(text).items():
            words[name] = Word(value, "%s in %s" % (name, path))
    return words


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
