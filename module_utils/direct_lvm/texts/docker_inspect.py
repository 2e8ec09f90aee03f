# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `docker inspect` says of images and containers, read and counted. Pure."""

import functools
import json
import os
import re

from ..model.errors import CommandFailed
from ..model.host import Image
from . import strict_json

# What is read here of an image or a container; a list's one element is what each of its elements is. Anything but the ID may be
# null: in Go that is an empty list or object.
SHAPE = {
    "Name": str,
    "Created": str,
    "RepoTags": [str],
    "RepoDigests": [str],
    "Size": int,
    "VirtualSize": int,
    "Config": {"Image": str},
    "State": {"Status": str, "Running": bool, "StartedAt": str, "FinishedAt": str},
    "RootFS": {"Layers": [str]},
    "Mounts": [dict],
    "NetworkSettings": {"Networks": dict},
}
ID = re.compile(r"(?:sha256:)?[0-9A-Za-z]+\Z")


def objects(argv, value):
    """What `docker inspect` printed, held to be objects with the fields that are read here. Raises CommandFailed."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise CommandFailed(argv, "printed what does not describe images or containers", json.dumps(value)[:200])
    for one in value:
        identity = one.get("Id")
        name = odd(one, SHAPE) if isinstance(identity, str) and ID.match(identity) else "Id"
        if name:
            part = json.dumps(functools.reduce(dict.__getitem__, name.split("."), dict(one, Id=identity)))
            raise CommandFailed(argv, "printed `%s` of an image or a container that cannot be read" % name, part[:200])
    return value


def the_one(argv, text):
    """The object in what `docker inspect` printed when it was asked for one thing. Raises CommandFailed."""
    try:
        described = objects(argv, strict_json.loads(text))
    except ValueError as error:
        raise CommandFailed(argv, "printed what is not JSON (%s)" % error, text[:200]) from error
    if len(described) != 1:
        raise CommandFailed(argv, "described %d of one" % len(described), text[:200])
    return described[0]


def odd(value, shape, name=""):
    """The name of a part of a value that has not its shape, such as "State.Status"; "" when each has it, or is null."""
    if value is None:
        return ""
    if isinstance(shape, dict) and isinstance(value, dict):
        names = {key: (name + "." + key).lstrip(".") for key in shape}
        return next(filter(None, (odd(value.get(key), shape[key], names[key]) for key in shape)), "")
    if isinstance(shape, list):
        return "" if isinstance(value, list) and all(isinstance(one, shape[0]) for one in value) else name
    if shape is int:  # no bool, which is an int to Python
        return "" if type(value) is int and 0 <= value < 2**63 else name
    return "" if isinstance(shape, type) and isinstance(value, shape) else name


def instant(text):
    """A time of Docker's (RFC 3339 in UTC, a fraction of any length) as something that compares."""
    whole, _point, fraction = (text or "").rstrip("Z").partition(".")
    return whole, fraction.ljust(9, "0")


def parse_image(fields):
    """An Image from an object of `docker inspect`. Docker before 1.10 counted only the last layer in Size."""
    tags = sorted(tag for tag in fields.get("RepoTags") or () if "<none>" not in tag)
    return Image(fields["Id"], tuple(tags), max(fields.get("Size") or 0, fields.get("VirtualSize") or 0))


def nameless(described):
    """The references by digest, such as app@sha256:..., of images without a tag, sorted: `docker save` writes no digest.

    described: objects of `docker inspect`. Docker writes <none>@sha256:... for an image that has lost its name.
    """
    named = [one.get("RepoDigests") or () for one in described if not parse_image(one).tags]
    return tuple(sorted(str(name) for names in named for name in names if "<none>" not in str(name)))


def least_bytes(described):
    """The bytes that images surely have when a layer that several of them share is counted once.

    described: objects of `docker inspect`. Docker tells an image's size and the digests of its layers, and no layer's size:
    what images share is known where one image is all of it. Of others with the same base the largest is counted alone, and
    one that tells no layers is not counted.
    """
    sized = {}
    for one in described:
        layers = (one.get("RootFS") or {}).get("Layers")
        sized[tuple(map(str, layers)) if isinstance(layers, list) else ()] = parse_image(one).size
    return above((), 0, sized)


def above(base, size, sized):
    """What images have at least beside the layers in base, which has that size. sized: {layers, base first: bytes}."""
    groups, total = {}, 0
    for layers in sized:
        if layers != base:
            groups.setdefault(layers[: len(base) + 1], {})[layers] = sized[layers]
    for group in groups.values():
        shared = tuple(os.path.commonprefix(list(group)))
        total += group[shared] - size + above(shared, group[shared], group) if shared in group else max(group.values()) - size
    return total
