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
    if not update(config, wanted):
        return text
    return written(config, text)


def without(text, keys):
    """daemon.json without some keys; the same text when it has none of them. Raises ValueError like merge()."""
    config = read_json(text or "{}")
    if not [config.pop(key) for key in keys if key in config]:
        return text
    return written(config, text)


def update(config, wanted):
    """Set the keys of wanted in config, objects inside it key by key. Whether anything changed."""
    changed = False
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            changed = update(config[key], value) or changed
        elif key not in config or config[key] != value:
            config[key] = value
            changed = True
    return changed


def written(config, text):
    """An object as JSON with the indentation of the text that it comes from."""
    return json.dumps(config, indent=indent(text or ""), ensure_ascii=False) + "\n"


def indent(text):
    """The indentation that a JSON text uses: the blanks before its first key."""
    found = re.search(r"\{[ \t]*\r?\n([ \t]+)\"", text)
    return found.group(1) if found else "    "
