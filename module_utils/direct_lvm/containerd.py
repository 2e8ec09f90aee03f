# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which thin pools containerd is told to use."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import re

from . import files

CONFIGURATION = ("/etc/containerd/config.toml", "/etc/containerd/conf.d/*.toml", "/etc/containerd/*/*.toml")


def configured_pools():
    """The pool_name values in containerd's files (containerd docs/snapshotters/devmapper.md), as written.

    A search, not a parse: a name in a comment counts too, which errs to the side of "in use".
    """
    found = []
    for pattern in CONFIGURATION:
        for path in sorted(glob.glob(pattern)):
            found += re.findall(r"""\bpool_name\s*=\s*["']([^"']+)["']""", files.read_text(path) or "")
    return tuple(sorted(set(found)))
