# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker's command line: by its unit, which tells what its next start gets, and by its process, which tells what it has. Pure.

The two differ where a script starts Docker with words of its own, or where a unit was changed and Docker not restarted.
"""

import os
import re

from .programs import is_daemon, same_program
from .units import Word, command_words, exec_start, split_words, variables

SHELLS = ("sh", "bash", "dash")
SHORT = {
    "b": "bridge", "g": "graph", "G": "group", "H": "host", "l": "log-level", "p": "pidfile", "s": "storage-driver",
}  # fmt: skip
PASSES_ON = re.compile(r"^[^#\n]*(\$[@*]|\$\{[@*]|sys\.argv|ARGV)", re.M)


def daemon_words(unit, env_files, ours):
    """The words of Docker's command line without our drop-in, variables expanded, as [systemd.Word]."""
    place = exec_start(unit.files, ours)[0]
    return command_words(unit.command, place, variables(unit.files, env_files, ours))


def words_now(unit, env_files, ours=""):
    """The words of Docker's command line as [systemd.Word]: the running process's, by its unit while it is down.

    A word keeps the place in which the unit has it; others are the work of what the unit starts.
    """
    words = daemon_words(unit, env_files, ours)
    if not is_daemon(unit.arguments, "docker") or not words:
        return words
    places = {word.text: word.place for word in words}
    return [Word(text, places.get(text, words[0].text)) for text in unit.arguments]


def is_wrapped(unit):
    """Whether what runs is another program than the unit starts: a script has started it, with words of its own.

    `docker daemon`, which starts dockerd from Docker 1.12 to 17.11, hands all its words on.
    """
    named = [word.text for word in command_words(unit.command, "", {})]
    if not named or named[1:2] == ["daemon"] or not is_daemon(unit.arguments, "docker"):
        return False
    return not same_program(named, unit.arguments)


def script_problems(unit, script, env_files, ours, config):
    """Sentences about a script that starts Docker.

    script: the text of the program that the unit names, "" when it is none.  config: see docker_conflicts.find_conflicts().
    """
    words = daemon_words(unit, env_files, ours)
    if not words or os.path.basename(words[0].text) in SHELLS:
        return []  # docker_conflicts.command_problems() tells
    program, arguments = words[0].text, [word.text for word in words[1:]]
    if not unit.arguments:
        if is_daemon((program,), "docker") and not script:
            return []
        return [
            "docker.service starts Docker by %s, and Docker is down: which settings it has is not known. Start it: "
            "systemctl start docker" % program
        ]
    handed_on = arguments and all(text in unit.arguments for text in arguments)
    if config != "dropin" or not is_wrapped(unit) or handed_on or PASSES_ON.search(script):
        return []
    return [
        "docker.service starts Docker by %s, which does not hand its own arguments on: the options that %s adds would not reach "
        'Docker. Set docker_storage_config: daemon_json    # or end the script with: exec %s ... "$@"'
        % (program, ours, unit.arguments[0])
    ]


def flags(words):
    """[(name, value, Word)] of the daemon's flags, short ones by their long name; value None: it is the last word."""
    triples = []
    for index, word in enumerate(words[1:], 1):
        following = words[index + 1].text if index + 1 < len(words) else None
        long = re.match(r"--([a-z][a-z0-9-]*)(?:=(.*))?\Z", word.text, re.S)
        short = re.match(r"-(D*)(?:([bgGHlps])=?(.*))?\Z", word.text, re.S)
        if long:
            triples.append((long.group(1), following if long.group(2) is None else long.group(2), word))
        elif short:
            if short.group(1):
                triples.append(("debug", "true", word))
            if short.group(2):
                triples.append((SHORT[short.group(2)], short.group(3) or following, word))
    return triples


def flag_values(words, *names):
    """The values of some flags, in order."""
    return [value for name, value, _word in flags(words) if name in names and value]


def storage_options(texts):
    """[(name, value), ...] of the storage flags in a command line, in order. texts: its words."""
    triples = flags([Word("", "")] + [Word(text, "") for text in texts])
    return [(name, value) for name, value, _word in triples if name in ("storage-driver", "storage-opt")]


def started_with(unit, flags):
    """Whether the running daemon has the flags that a drop-in appends to the installed command line, as its text has them.

    A run that was killed before the restart leaves a daemon with the former ones, and everything else in the desired state.
    """
    words = tuple(split_words(flags.replace("%%", "%")))
    if is_wrapped(unit):  # a script may add its own words behind
        return storage_options(unit.arguments) == storage_options(words)
    return not words or not unit.arguments or unit.arguments[-len(words) :] == words
