# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which daemon a command line starts."""

import os
import re

# The program names of each service's daemon. Docker before 1.12 is `docker`; its helpers have names of their own.
PROGRAMS = {
    "docker": re.compile(r"docker(d.*|-current|-latest)?\Z"),
    "containerd": re.compile(r"containerd(?!-shim|-stress|-ctr).*\Z"),
}


def is_daemon(arguments, service):
    """Whether a command line is a daemon's, by the name of its program."""
    return bool(arguments) and PROGRAMS[service].match(os.path.basename(arguments[0])) is not None


def same_program(one, other):
    """Whether two command lines start the same program: by its path, or by its name when a path is not told."""
    paths = [words[0] if words else "" for words in (one, other)]
    if all(os.path.isabs(path) for path in paths):
        return os.path.normpath(paths[0]) == os.path.normpath(paths[1])
    return os.path.basename(paths[0]) == os.path.basename(paths[1])
