# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names that others chose, in sentences and in commands to paste: a mount point may hold a blank, a `;` or an escape. Pure."""

import re
from shlex import quote

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def paste(text):
    """A word as the shell takes it: as it is, 'quoted', or for what no terminal should get, $'\\n' (bash, ksh, zsh)."""
    if text.isprintable():
        return quote(text)
    return "$'%s'" % "".join(escaped(one) if one in "\\'" or not one.isprintable() else one for one in text)


def pasted(words):
    """Several words for one command line."""
    return " ".join(map(paste, words))


def openers(path):
    """The shell line that lists who has a block device open, as /proc/PID/fd/N.

    With what every host has; psmisc's fuser is often missing. By number, for a virtual machine's node is one of its own. Only what
    is called like a device is looked at: a file below a dead network file system would hang.
    """
    listing = "find /proc/[0-9]*/fd -lname '*/dev/*' -exec stat -Lc '%F %t:%T %n' {} + 2> /dev/null"
    return listing + " | grep \"^$(stat -Lc '%F %t:%T' " + paste(path) + ') "'


def escaped(one):
    r"""A character as bash reads it in $'...': \xNN for each byte of it, \\ and \' for those two."""
    if one in "\\'":
        return "\\" + one
    return "".join(
        "\\x%02x" % byte for byte in one.encode("utf-8", "surrogateescape" if "\udc80" <= one <= "\udcff" else "replace")
    )


def printable(text):
    r"""A name for a sentence, on one line: what does not print is \xNN, or \uNNNN."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def safe(text):
    """A text of several lines without what a terminal would obey: escapes, carriage returns, changes of the direction."""
    return UNPRINTABLE.sub(lambda match: match.group().encode("unicode_escape").decode(), text)
