# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep what is known of containers that a change of the storage driver leaves behind: a record each, an image on request.

Everything here raises Refused, CommandFailed or OSError, each with a sentence for the operator.
"""

import json
import os
import re

from ..host import commands, files
from ..model.archives import SHORT, commit_tag
from ..model.errors import Refused
from ..model.host import Container
from ..texts import strict_json
from ..texts.docker_inspect import instant
from . import archive_folder
from .images import docker, gone, inspect

LASTING = ("Id", "Name", "Image", "Path", "Args", "Config", "HostConfig", "Mounts", "Driver")  # what no restart changes


def record_path(folder, container):
    """Where the record of a container is: FOLDER/container-NAME-SHORTID.json."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", container.name)
    return os.path.join(folder, "container-%s-%s.json" % (name, container.id[:SHORT]))


def lasting(fields):
    """The part of a container's `docker inspect` that stays the same while nobody changes the container."""
    kept = {key: fields.get(key) for key in LASTING}
    kept["Mounts"] = sorted((fields.get("Mounts") or ()), key=lambda mount: json.dumps(mount, sort_keys=True))
    kept["Networks"] = sorted((fields.get("NetworkSettings") or {}).get("Networks") or ())
    return kept


def is_kept(folder, fields):
    """Whether a container, given as `docker inspect` describes it, has a record that is still right."""
    text = files.read_text(record_path(folder, container_of(fields)))
    try:
        return text is not None and lasting(strict_json.loads(text)[0]) == lasting(fields)
    except (ValueError, LookupError, AttributeError, TypeError):
        return False


def is_committed(host, fields):
    """Whether the image made of a container is there and not older than the container's last start or end."""
    image = inspect(host, "image", commit_tag(container_of(fields)))
    state = fields.get("State") or {}
    times = [instant(state.get(key)) for key in ("StartedAt", "FinishedAt")]
    return image is not None and instant(image.get("Created")) >= max(times)


def container_of(fields):
    """A Container from an object of `docker inspect`."""
    state = fields.get("State") or {}
    return Container(
        fields["Id"],
        (fields.get("Name") or fields["Id"]).lstrip("/"),
        (fields.get("Config") or {}).get("Image") or "",
        state.get("Status") or "",
        bool(state.get("Running")),
    )


def find_container(host, container_id):
    """What `docker inspect` says of a container. Raises Refused when there is none, Changed for a whole ID."""
    fields = inspect(host, "container", container_id)
    if fields is None and len(container_id) == 64:
        raise gone("container %s" % container_id)
    if fields is None:
        raise Refused("Docker has no container %s" % container_id, "Look at: docker ps --all --no-trunc")
    return fields


def save_container(host, container_id, folder, commit, timeout):
    """Keep a container's settings as a file, and with commit its changed files as an image. False: nothing to do.

    The record is what `docker inspect` prints, for root only: environment variables hold secrets. timeout in seconds, for
    `docker commit`, which pauses a running container meanwhile: files caught while they are written would be torn.
    What a running container writes after its commit is in no image.
    """
    fields = find_container(host, container_id)
    changed = False
    if not is_kept(folder, fields):
        archive_folder.make(folder)
        text = json.dumps([fields], indent=2, sort_keys=True) + "\n"
        files.write_text(record_path(folder, container_of(fields)), text, mode=0o600)
        changed = True
    if commit and not is_committed(host, fields):
        commands.run(docker(host, "commit", fields["Id"], commit_tag(container_of(fields))), timeout=timeout)
        changed = True
    return changed
