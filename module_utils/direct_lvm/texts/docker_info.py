# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Docker says of itself, read and judged: its version and docker info. Pure.

Sources: moby v1.11 to v24 (daemon/info.go, daemon/graphdriver/devmapper/driver.go), docker/cli, docker/go-units.
"""

import re

from ..model.errors import Refused
from ..model.host import DockerInfo
from . import strict_json
from .docker_conflicts import DATA_ROOT

KILO = 1000


def podman():
    """The refusal for a host where `docker` is podman."""
    return Refused(
        "`docker` on this host is podman's stand-in (package podman-docker), which has no daemon and no storage driver",
        "Install Docker instead, for example: apt-get install docker.io    # or: dnf install moby-engine",
    )


def parse_version(text):
    """The version in "Docker version 20.10.24+dfsg1, build 297e128"; podman is refused, anything else is ""."""
    if "podman" in text.lower():
        raise podman()
    match = re.search(r"^Docker version ([^\s,]+)", text, re.M)
    return match.group(1) if match else ""


def parse_info_json(text):
    """(DockerInfo or None, why it is None) from `docker info --format '{{json .}}'`.

    A client that reaches no daemon prints its own part, an empty Driver and ServerErrors.
    """
    try:
        fields = strict_json.loads(text)
    except ValueError as error:
        return None, "is not JSON (%s): %s" % (error, text.strip()[:200])
    if not isinstance(fields, dict):
        return None, "is not an object: %s" % text.strip()[:200]
    errors = as_list(fields.get("ServerErrors"))
    if errors or not fields.get("Driver"):
        return None, " ".join(str(error) for error in errors) or "the daemon names no storage driver"
    pairs = [pair for pair in as_list(fields.get("DriverStatus")) if isinstance(pair, list) and pair[1:] and not pair[2:]]
    info = DockerInfo(
        version=str(fields.get("ServerVersion") or ""),
        driver=fields["Driver"],
        status=tuple((str(name), without_blank(str(value))) for name, value in pairs),
        root=fields.get("DockerRootDir") or DATA_ROOT,
        images=fields.get("Images"),
        containers=fields.get("Containers"),
        warnings=tuple(str(line) for line in as_list(fields.get("Warnings"))),
    )
    return checked(info)


def checked(info):
    """(the DockerInfo, "") when a daemon can have given it, else (None, why it cannot be used)."""
    if not isinstance(info.driver, str):
        return None, "the daemon names its storage driver %.60r" % (info.driver,)
    if not all(type(count) is int and count >= 0 for count in (info.images, info.containers)):
        return None, "the daemon does not count its images and containers"
    # Another root would lead nowhere, or below the folder where this was started.
    if not isinstance(info.root, str) or not info.root.startswith("/") or not info.root.isprintable():
        return None, "the daemon names its data root %.60r" % (info.root,)
    return info, ""


def as_list(value):
    """A list as it is, anything else as the empty list: JSON's null stands for an empty list in Go."""
    return value if isinstance(value, list) else []


def parse_info_text(text, errors=""):
    """(DockerInfo or None, why it is None) from plain `docker info`, for Docker before 1.13.

    The driver's fields are the lines indented deeper than "Storage Driver:"; WARNING lines, on standard error too,
    become warnings.
    """
    fields, status, warnings, depth = {}, [], [], None
    for line in text.splitlines() + errors.splitlines():
        name, colon, value = line.strip().partition(":")
        indent = len(line) - len(line.lstrip(" "))
        if name.upper() == "WARNING":
            warnings.append(line.strip())
        elif depth is not None and indent > depth and colon:
            status.append((name, without_blank(value.strip())))
        elif colon:
            fields.setdefault(name, value.strip())
            depth = indent if name == "Storage Driver" else None
    if not fields.get("Storage Driver"):
        return None, (errors.strip() or "the daemon names no storage driver")
    counts = [fields.get(name, "") for name in ("Images", "Containers")]
    images, containers = [int(count) if re.match(r"[0-9]{1,18}\Z", count) else None for count in counts]
    info = DockerInfo(
        version=fields.get("Server Version", ""),
        driver=fields["Storage Driver"],
        status=tuple(status),
        root=fields.get("Docker Root Dir") or fields.get("Root Dir") or DATA_ROOT,
        images=images,
        containers=containers,
        warnings=tuple(warnings),
    )
    return checked(info)


def without_blank(value):
    """A size without the blank that Docker before 17.x prints: "524.3 kB" is "524.3kB". Other values as they are."""
    return re.sub(r"\A([0-9.]+(?:e[+-]?[0-9]+)?) ([kMGTPEZY]?i?B)\Z", r"\1\2", value)


def human_size(size):
    """Bytes as docker info prints them: go-units HumanSize, four significant digits, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"):
        if size < KILO:
            return "%.4g%s" % (size, unit)
        size /= float(KILO)
    return "%.4gYB" % size


def storage_kind(info):
    """'direct-lvm', 'loop-lvm', 'devmapper-snapshotter', or the driver's own name ('overlay2', 'vfs', ...).

    'devicemapper' alone is that driver on raw devices (dm.datadev), neither loop files nor a thin pool.
    """
    if info.driver == "devmapper" and info.field("driver-type").startswith("io.containerd.snapshotter"):
        return "devmapper-snapshotter"
    if info.driver != "devicemapper":
        return info.driver
    files = info.field("Data file") + " " + info.field("Metadata file")
    if info.field("Data loop file") or info.field("Metadata loop file") or "/dev/loop" in files:
        return "loop-lvm"
    return "devicemapper" if files.strip() else "direct-lvm"


def info_problems(info, pool, chunk_size):
    """Sentences, one per field of docker info that is not as on direct-lvm; [] when all are right.

    pool: the pool's device-mapper name, with or without /dev/mapper/.  chunk_size in bytes.
    """
    problems = []
    if info.driver != "devicemapper":
        return ["docker info: Storage Driver is %s, wanted devicemapper" % (info.driver or "not told")]
    for field in ("Data loop file", "Metadata loop file", "Data file", "Metadata file"):
        if info.field(field):
            problems.append("docker info: %s is %s, and on a thin pool there is none" % (field, info.field(field)))
    expected = (
        ("Pool Name", (pool.rsplit("/", 1)[-1],)),
        ("Pool Blocksize", (human_size(chunk_size),)),
        ("Backing Filesystem", ("xfs", "ext4")),
    )
    for field, good in expected:
        if info.field(field) not in good:
            problems.append("docker info: %s is %s, wanted %s" % (field, info.field(field) or "not told", " or ".join(good)))
    problems += ["docker info: " + " ".join(line.split()) for line in info.warnings if "loopback" in line or "loop device" in line]
    return problems


def is_image_store(info):
    """Whether containerd keeps this Docker's images, with whichever snapshotter."""
    return info.field("driver-type").startswith("io.containerd.snapshotter")
