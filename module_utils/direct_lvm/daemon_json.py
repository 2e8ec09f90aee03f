# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker's daemon.json: merge our keys, leave everything else and its order as it is. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import re

from .docker_conflicts import read_json


def merge(text, fragment):
    """daemon.json with the keys of fragment set; the same text when they are set already.

    text: the file's text, None when there is none.  fragment: the text of a JSON object.
    Raises ValueError for what is not a JSON object.
    """
    wanted = json.loads(fragment)
    config = read_json(text or "{}")
    if all(config.get(key) == value for key, value in wanted.items()):
        return text
    config.update(wanted)
    return json.dumps(config, indent=indent(text or ""), ensure_ascii=False) + "\n"


def indent(text):
    """The indentation that a JSON text uses: the blanks before its first key."""
    found = re.search(r"\{[ \t]*\r?\n([ \t]+)\"", text)
    return found.group(1) if found else "    "
