# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `docker inspect` says of images and containers, read and counted. Pure."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

from .commands import CommandFailed
from .model import Image

KINDS = {
    "Id": str,
    "Name": str,
    "RepoTags": list,
    "RepoDigests": list,
    "Size": int,
    "VirtualSize": int,
    "Config": dict,
    "State": dict,
    "RootFS": dict,
}


def objects(argv, value):
    """What `docker inspect` printed, held to be objects with the fields that are read here. Raises CommandFailed."""
    if isinstance(value, list) and all(isinstance(one, dict) and all(map(fits, KINDS, map(one.get, KINDS))) for one in value):
        return value
    raise CommandFailed(argv, "printed what does not describe images or containers", json.dumps(value)[:200])


def fits(name, value):
    """Whether a field of `docker inspect` has its kind of value, or is not there; nothing is without an ID."""
    return isinstance(value, KINDS[name]) or (value is None and name != "Id")


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
