# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's list of mounts, as a process sees it. Sources: proc_pid_mountinfo(5), proc_swaps(5). Pure."""

import re
from typing import NamedTuple


class Mount(NamedTuple):
    """One mount. number: MAJOR:MINOR of its file system."""

    number: str
    point: str
    file_system: str
    source: str


def parse(text):
    """[Mount] from /proc/PID/mountinfo; other lines are left out."""
    mounts = []
    for line in text.split("\n"):
        before, after = line.partition(" - ")[::2]
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) > 5 and len(rest) > 1:
            mounts.append(Mount(fields[2], plain(fields[4]), rest[0], plain(rest[1])))
    return mounts


def root(text):
    """The Mount that a process with this mountinfo has as its root, the last on /; None when there is none."""
    return next((mount for mount in reversed(parse(text)) if mount.point == "/"), None)


def plain(text):
    """A path without the octal escapes of mountinfo and swaps."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)
