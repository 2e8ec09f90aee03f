# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which storage engine a host gets, and why. Pure.

devicemapper: Docker's own graph driver. It is deprecated since 18.09, has to be chosen explicitly in 23 and 24, and is gone
    in 25.0 (docs.docker.com/engine/deprecated).
docker-devmapper: Docker's containerd image store with containerd's devmapper snapshotter, from 25.0 on.
containerd: containerd's devmapper snapshotter alone, for whoever asks containerd for it; Docker is left as it is.
"""

import re
from typing import NamedTuple

from .errors import Refused

ENGINES = ("devicemapper", "docker-devmapper", "containerd")
REMOVED_IN, EXPLICIT_FROM = 25, 23  # Docker versions: devicemapper is gone, devicemapper must be asked for
# Since then dockerd tells of the flags that a second one needs. Up to REMOVED_IN, records are as container_record.py knows them.
KEEPS_FROM = (20, 10)


class Engine(NamedTuple):
    """The engine of a host, and the reason as a sentence."""

    name: str
    why: str


def is_image_store(asked, version):
    """Whether this Docker would be put on the image store. version: "" or None when there is no Docker."""
    if asked == "docker-devmapper":
        return True
    return asked == "auto" and bool(version) and version_numbers(version)[0] >= REMOVED_IN


def keeps_containers(version):
    """Whether containers of this version of Docker can be taken along to the graph driver devicemapper."""
    try:
        return KEEPS_FROM <= version_numbers(version or "") < (REMOVED_IN,)
    except Refused:
        return False


def has_devicemapper(version):
    """Whether this version of Docker has the graph driver, however its daemon was built; None when that cannot be told."""
    try:
        return version_numbers(version or "")[0] < REMOVED_IN
    except Refused:
        return None


def needs_containerd(asked, version):
    """Whether containerd has a part in it, so that it has to be looked at."""
    return asked == "containerd" or is_image_store(asked, version) or (asked == "auto" and not version)


def choose(asked, version, containerd):
    """The Engine for a host. Raises Refused when it can have none, or not the one that is asked for.

    asked: 'auto' or one of ENGINES.  version: Docker's, None when it is not installed.
    containerd: Containerd, None when it was not looked at.
    """
    if asked == "containerd":
        return Engine("containerd", "it was asked for")
    if version is None:
        if asked == "auto" and containerd is not None and containerd.installed:
            return Engine("containerd", "there is no Docker on this host, and containerd is")
        raise Refused(
            "Docker is not installed on this host%s." % (", and neither is containerd" if asked == "auto" else ""),
            "Install one of them first, for example: apt-get install docker.io    # or: apt-get install containerd",
        )
    major = version_numbers(version)[0]
    if major >= REMOVED_IN:
        if asked == "devicemapper":
            raise Refused(
                "Docker %s has no devicemapper storage driver: it was removed in Docker 25.0. Nothing was changed." % version,
                "docker_storage_engine: auto    # the same thin pool, through containerd's devmapper snapshotter",
            )
        return Engine("docker-devmapper", "Docker %s has no graph driver devicemapper any more" % version)
    if asked == "docker-devmapper":
        raise Refused(
            "Docker %s has no containerd image store that is fit for use; that came with Docker 25.0. Nothing was changed."
            % version,
            "docker_storage_engine: devicemapper    # or upgrade Docker first: playbooks/upgrade.yml",
        )
    if major >= EXPLICIT_FROM and asked != "devicemapper":
        raise Refused(
            "Docker %s still has the devicemapper storage driver, but deprecated, and it uses it only when told to; "
            "Docker 25.0 has it no longer. Nothing was changed." % version,
            "Upgrade to Docker 25 or newer first, which uses the pool through containerd.\n"
            "To use the driver all the same, and to stay on this major version of Docker: docker_storage_engine: devicemapper",
        )
    why = "Docker %s has the graph driver devicemapper" % version if asked == "auto" else "it was asked for"
    return Engine("devicemapper", why)


def version_numbers(version):
    """(major, minor) of a Docker version such as 20.10.24+dfsg1 or v24.0.7. Raises Refused when it cannot be told."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})(?![0-9])", version)
    if not match:
        raise Refused(
            "Docker's version cannot be told from %r, and the version decides which storage drivers there are" % version,
            "Look at: dockerd --version",
        )
    return int(match.group(1)), int(match.group(2))
