# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker's daemon.json: merge our keys, leave everything else and its order as it is. Pure."""

import json
import re

from .docker_conflicts import read_json, settings_of

ABSENT = object()


def merge(text, settings):
    """daemon.json with some keys set, objects key by key; the same text when they are set already.

    text: the file's text, None when there is none.  settings: {key: value}.
    Raises ValueError for a text that is not a JSON object.
    """
    config = read_json(text or "")
    if not update(config, settings):
        return text
    return written(config, text)


def without(text, keys):
    """daemon.json without some keys; the same text when it has none of them. Raises ValueError like merge()."""
    config = read_json(text or "")
    if not [config.pop(key) for key in keys if key in config]:
        return text
    return written(config, text)


def given_back(text, former, keys):
    """daemon.json with some keys as a former text has them, gone where it has none; everything else as it is now.

    text, former: the file's texts, None: no such file.  keys: paths from the outside in, such as ("features", "x").
    The same text when nothing changes, the former one when nothing else differs from it. Raises ValueError like merge().
    """
    config, before = read_json(text or ""), settings_of(former)
    if not [key for key in keys if put(config, key, value_of(before, key))]:
        return text
    return former if config == before else written(config, text)


def paths(settings):
    """The paths of all keys in an object, as given_back() takes them."""
    todo, keys = [((), settings)], []
    while todo:
        path, value = todo.pop()
        if path and not isinstance(value, dict):
            keys.append(path)
        else:
            todo += [(path + (key,), inner) for key, inner in value.items()]
    return tuple(sorted(keys))


def value_of(config, path):
    """The value at a path, ABSENT when there is none."""
    for key in path:
        config = config.get(key, ABSENT) if isinstance(config, dict) else ABSENT
    return config


def put(config, path, value):
    """Set the value at a path, remove it for ABSENT, and an object that is empty then. Whether anything changed."""
    if value_of(config, path) == value:
        return False
    key, rest = path[0], path[1:]
    if rest:
        inner = config[key] if isinstance(config.get(key), dict) else {}
        put(inner, rest, value)
        value = inner or ABSENT
    if value is ABSENT:
        del config[key]
    else:
        config[key] = value
    return True


def update(config, settings):
    """Set the keys of settings in config, objects inside it key by key. Whether anything changed."""
    changed = False
    for key, value in settings.items():
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
    blanks = re.search(r"\{[ \t]*\r?\n([ \t]+)\"", text)
    return blanks.group(1) if blanks else "    "
