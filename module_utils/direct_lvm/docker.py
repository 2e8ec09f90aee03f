# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker as it is: its version, what it says of its storage, what it holds, and which driver it can have.

A daemon is asked only while docker.service is active: docker.socket would start it otherwise.
Sources: moby v1.11 to v24 (daemon/info.go, daemon/graphdriver/devmapper), docker/cli, docker/go-units.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import json
import os
import re

from . import commands, docker_conflicts, systemd
from .docker_options import check_options  # noqa: F401
from .model import Docker, DockerInfo, Refused

DRIVERS = ("aufs", "btrfs", "devicemapper", "fuse-overlayfs", "overlay", "overlay2", "vfs", "zfs")  # with a folder each
INFO_TIMEOUT = 60


# --- asking ------------------------------------------------------------------------------------------------


def observe_docker(wanted):
    """Docker on this host, as a model.Docker. wanted: model.DockerStorage.

    One process (systemctl) and one more (docker info) when all is as wanted. The installed program's version and the
    content are asked only when a switch would be due: a restart starts the installed program, not the running one.
    Raises model.Refused (no systemd, podman, unreadable files) and commands.CommandFailed.
    """
    refuse_podman()
    unit = systemd.observe_unit("docker", wanted.dropin)
    env_files = read_environment_files(unit, wanted.dropin)
    json_path = docker_conflicts.config_file(unit, env_files, wanted.dropin)
    daemon_json = systemd.read_text(json_path)
    host = docker_conflicts.client_host(unit, daemon_json, env_files, wanted.dropin)
    info, problem = None, "docker.service is %s" % unit.active_state
    if unit.active_state == "active":
        info, problem = observe_info(host)
    version, content = info.version if info else None, ((), (), ())
    if info is None or not is_settled(info, wanted):
        version = installed_version(unit, wanted.dropin) or version
        content = observe_content(info, host) if info else content
    conflicts = ()
    if version is not None:
        conflicts = docker_conflicts.find_conflicts(unit, daemon_json, env_files, wanted.dropin, version, json_path)
    root = info.root if info else docker_conflicts.data_root(unit, daemon_json, env_files, wanted.dropin)
    return Docker(
        version=version,
        unit=unit,
        info=info,
        problem=problem,
        conflicts=conflicts,
        images=content[0],
        containers=content[1],
        volumes=content[2],
        dropin_text=systemd.read_text(wanted.dropin),
        root_state=root_state(root),
        host=host,
    )


def is_settled(info, wanted):
    """Whether Docker already runs on the pool that the wanted drop-in names."""
    pool = info.field("Pool Name")
    return storage_kind(info) == "direct-lvm" and bool(
        re.search(r"/%s(?![\w.+-])" % re.escape(pool), wanted.dropin_text)
    )


def podman():
    """The refusal for a host where `docker` is podman."""
    return Refused(
        "`docker` on this host is podman's stand-in (package podman-docker), which has no daemon and no storage driver",
        "Install Docker instead, for example: apt-get install docker.io    # or: dnf install moby-engine",
    )


def refuse_podman():
    """Raise Refused when the `docker` program is podman-docker's script or a link to podman. Starts nothing."""
    program = commands.find("docker")
    if program is None:
        return
    try:
        with open(program, "rb") as stream:
            head = stream.read(512)
    except (IOError, OSError):
        return
    script = head.startswith(b"#!") and b"podman" in head
    if script or os.path.basename(os.path.realpath(program)).startswith("podman"):
        raise podman()


def read_environment_files(unit, ours):
    """{path: text} of the files that the unit's EnvironmentFile= name and that are there, in order."""
    found = {}
    for pattern in systemd.environment_files(unit.files, ours):
        for path in sorted(glob.glob(pattern)):
            text = systemd.read_text(path)
            if text is not None:
                found[path] = text
    return found


def installed_version(unit, ours):
    """The version of the daemon's program on disk, None when there is none: one process. Raises CommandFailed.

    `dockerd --version` says "Docker version 20.10.24+dfsg1, build 5d6db84"; before 1.12 there is only `docker`.
    """
    words = systemd.command_words(unit.command, "", {})
    named = words[0].text if words and os.path.basename(words[0].text).startswith("docker") else ""
    program = next((path for path in (named, "dockerd", "docker") if path and commands.find(path)), None)
    if program is None:
        return None
    return parse_version(commands.run([program, "--version"], timeout=60).out)


def observe_info(host=docker_conflicts.SOCKET):
    """(DockerInfo or None, why it is None) from the running daemon; call it only while docker.service is active.

    host: the daemon's socket, so that DOCKER_HOST or a docker context cannot lead to another machine.
    One process; Docker before 1.13 has no `info --format` and is asked a second time, in plain text.
    """
    argv = ["docker", "--host", host, "info"]
    try:
        result = commands.run(argv + ["--format", "{{json .}}"], timeout=INFO_TIMEOUT, ok=None)
        if result.rc != 0 and "--format" in result.err and "flag" in result.err:
            result = commands.run(argv, timeout=INFO_TIMEOUT, ok=None)
            info, problem = parse_info_text(result.out, result.err)
        else:
            info, problem = parse_info_json(result.out)
    except commands.CommandFailed as error:
        return None, str(error)
    if "podman" in result.err:
        raise podman()
    words = " ".join(result.err.split())
    return info, "" if info else "docker info: " + (words or problem)


def observe_content(info, host=docker_conflicts.SOCKET):
    """(images, containers, volumes) of the running daemon. Raises commands.CommandFailed.

    images: "ID REPOSITORY:TAG SIZE"; containers: "ID NAME IMAGE STATUS"; volumes: names.
    At most one process each; images and containers only when docker info counts any.
    """
    argv = ["docker", "--host", host]

    def lines(*words):
        return tuple(line for line in commands.run(argv + list(words), timeout=120).out.splitlines() if line.strip())

    images = containers = ()
    if info.images > 0:
        images = lines("images", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}")
    if info.containers > 0:
        containers = lines("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Status}}")
    return images, containers, lines("volume", "ls", "--quiet")


def root_state(root):
    """What is in Docker's data root, from its folders alone, so that it can be told with the daemon stopped.

    Folder names below root: a driver's own ("overlay2") when it is not empty; "image/DRIVER" when it knows images;
    "containers" when there are any; "volumes" when there are any. Raises Refused when a folder cannot be read.
    """
    found = [name for name in DRIVERS if entries(root, name)]
    found += [
        "image/" + name for name in entries(root, "image") if entries(root, "image", name, "imagedb/content/sha256")
    ]
    found += ["containers"] if entries(root, "containers") else []
    volumes = [name for name in entries(root, "volumes") if os.path.isdir(os.path.join(root, "volumes", name))]
    return tuple(found + (["volumes"] if volumes else []))


def entries(*parts):
    """The sorted names in a folder, () when there is no such folder. Raises Refused when it cannot be read."""
    path = os.path.join(*parts)
    try:
        return tuple(sorted(os.listdir(path)))
    except (IOError, OSError) as error:
        if not os.path.isdir(path):
            return ()
        raise Refused("%s cannot be read (%s), so what Docker keeps there is not known" % (path, error.strerror))


# --- reading what it says --------------------------------------------------------------------------------


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
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None, "is not JSON: %s" % text.strip()[:200]
    if not isinstance(fields, dict):
        return None, "is not an object: %s" % text.strip()[:200]
    errors = as_list(fields.get("ServerErrors"))
    if errors or not fields.get("Driver"):
        return None, " ".join(str(error) for error in errors) or "the daemon names no storage driver"
    counts = [fields.get("Images"), fields.get("Containers")]
    if not all(isinstance(count, int) for count in counts):
        return None, "the daemon does not count its images and containers"
    pairs = [pair for pair in as_list(fields.get("DriverStatus")) if isinstance(pair, list) and len(pair) == 2]
    return DockerInfo(
        version=str(fields.get("ServerVersion") or ""),
        driver=str(fields["Driver"]),
        status=tuple((str(name), without_blank(str(value))) for name, value in pairs),
        root=str(fields.get("DockerRootDir") or docker_conflicts.DATA_ROOT),
        images=counts[0],
        containers=counts[1],
        warnings=tuple(str(line) for line in as_list(fields.get("Warnings"))),
    ), ""


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
    if not (fields.get("Images", "").isdigit() and fields.get("Containers", "").isdigit()):
        return None, "the daemon does not count its images and containers"
    return DockerInfo(
        version=fields.get("Server Version", ""),
        driver=fields["Storage Driver"],
        status=tuple(status),
        root=fields.get("Docker Root Dir") or fields.get("Root Dir") or docker_conflicts.DATA_ROOT,
        images=int(fields["Images"]),
        containers=int(fields["Containers"]),
        warnings=tuple(warnings),
    ), ""


def without_blank(value):
    """A size without the blank that Docker before 17.x prints: "524.3 kB" is "524.3kB". Other values as they are."""
    return re.sub(r"\A([0-9.]+(?:e[+-]?[0-9]+)?) ([kMGTPEZY]?i?B)\Z", r"\1\2", value)


def human_size(size):
    """Bytes as docker info prints them: go-units HumanSize, four significant digits, powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"):
        if size < 1000:
            return "%.4g%s" % (size, unit)
        size /= 1000.0
    return "%.4gYB" % size


# --- judging ---------------------------------------------------------------------------------------------


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
    found = []
    if info.driver != "devicemapper":
        return ["docker info: Storage Driver is %s, wanted devicemapper" % (info.driver or "not told")]
    for field in ("Data loop file", "Metadata loop file", "Data file", "Metadata file"):
        if info.field(field):
            found.append("docker info: %s is %s, and on a thin pool there is none" % (field, info.field(field)))
    expected = (
        ("Pool Name", (pool.rsplit("/", 1)[-1],)),
        ("Pool Blocksize", (human_size(chunk_size),)),
        ("Backing Filesystem", ("xfs", "ext4")),
    )
    for field, good in expected:
        if info.field(field) not in good:
            found.append(
                "docker info: %s is %s, wanted %s" % (field, info.field(field) or "not told", " or ".join(good))
            )
    found += ["docker info: " + line for line in info.warnings if "loopback" in line or "loop device" in line]
    return found


def version_numbers(version):
    """(major, minor) of a Docker version such as 20.10.24+dfsg1 or v24.0.7. Raises Refused when it cannot be told."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})(?![0-9])", version)
    if not match:
        raise Refused(
            "Docker's version cannot be told from %r, and the version decides which storage drivers there are"
            % version,
            "Look at: dockerd --version",
        )
    return int(match.group(1)), int(match.group(2))


def engine_for(version, asked):
    """'devicemapper', the engine that this Docker can have. asked: 'auto' or 'devicemapper'. Raises Refused.

    devicemapper is deprecated since 18.09, has to be chosen explicitly in 23 and 24, and is gone in 25.0
    (docs.docker.com/engine/deprecated).
    """
    major = version_numbers(version)[0]
    if asked not in ("auto", "devicemapper"):
        raise Refused("docker_storage_engine is %r" % asked, "docker_storage_engine: auto    # or devicemapper")
    if major >= 25:
        raise Refused(
            "Docker %s has no devicemapper storage driver: it was removed in Docker 25.0. Nothing was changed."
            % version,
            "Either leave Docker on overlay2 and take this host out of the play, or install Docker 24 or older, "
            "which no longer gets fixes.",
        )
    if major >= 23 and asked != "devicemapper":
        raise Refused(
            "Docker %s still has the devicemapper storage driver, but deprecated, and it uses it only when told to; "
            "Docker 25.0 has it no longer. Nothing was changed." % version,
            "To use it all the same, and to stay on this major version of Docker: docker_storage_engine: devicemapper",
        )
    return "devicemapper"
