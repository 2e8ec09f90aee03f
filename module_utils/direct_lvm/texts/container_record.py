# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker's own record of a container, read strictly and given another storage driver; and in which order containers start. Pure.

Sources (moby v18.09.9 to v24.0.9, which write the same keys): container/container.go (Container, FromDisk, toDisk) and
container/state.go (State) for containers/ID/config.v2.json, api/types/container/host_config.go (24: hostconfig.go) for
containers/ID/hostconfig.json, volume/mounts/mounts.go (MountPoint), daemon/network/settings.go (Settings). At its start Docker
writes the records of its driver's containers anew (daemon/daemon.go, restore): older ones have all of these keys then.
"""

import json
import re

from ..model.errors import Refused
from ..model.host import KeptContainer
from ..model.names import DOCKER_ID
from ..model.quoting import paste
from . import strict_json

IMAGE = re.compile(r"sha256:[0-9a-f]{64}\Z")
NAME = re.compile(r"/?([a-zA-Z0-9][a-zA-Z0-9_.-]*)\Z")  # daemon/names/names.go; daemon/names.go puts the slash there
DRIVER, STOPPED = "Driver", "HasBeenManuallyStopped"
GAP = re.compile(r"[ \t\r\n:,]*")  # between two parts of an object
NULL = type(None)
HOUR = 3600
WORDS = {int: "a number", str: "a text", bool: "true or false", dict: "an object", list: "a list"}
MANY = {str: "texts", dict: "objects"}
PROJECT, SERVICE, DEPENDS = ("com.docker.compose." + word for word in ("project", "service", "depends_on"))
POD = "io.kubernetes.pod.name"


# --- reading -----------------------------------------------------------------------------------------------------


def parse(number, config_text, hostconfig_text):
    """A KeptContainer from its two files. number: the name of their folder, which is its ID (daemon/container.go, load).

    What it needs is as Docker and compose write it; with_needs() makes IDs of that. Raises Refused for what does not fit.
    """
    config, host = record(number, config_text, "config.v2.json"), record(number, hostconfig_text, "hostconfig.json")
    if config.get("ID") != number or not DOCKER_ID.match(number):
        raise unfit(number, "ID", "the name of its folder")
    name = NAME.match(field(number, config, "Name", str))
    image = field(number, config, "Image", str)
    if not name:
        raise unfit(number, "Name", "a container's name")
    if not IMAGE.match(image):
        raise unfit(number, "Image", "the ID of an image")
    if not field(number, config, DRIVER, str):
        raise unfit(number, DRIVER, "the name of a storage driver")
    field(number, config, STOPPED, bool)
    labels = members(number, config, "Config.Labels", dict, str)
    drivers = [field(number, one, DRIVER, str) for one in members(number, config, "MountPoints", dict, dict).values()]
    return KeptContainer(
        id=number,
        name=name.group(1),
        image=image,
        driver=config[DRIVER],
        running=field(number, config, "State.Running", bool),
        paused=field(number, config, "State.Paused", bool),
        removed_at_end=field(number, host, "AutoRemove", bool),
        task=field(number, config, "Managed", bool),
        pod=bool(labels.get(POD)),
        service=service(labels, labels.get(SERVICE)),
        needs=tuple(references(number, config, host)) + tuple(compose_references(labels)),
        stop_timeout=stop_timeout(field(number, config, "Config.StopTimeout", int, NULL)),
        volume_drivers=tuple(sorted(set(drivers) - {"", "local"})),  # "" is a bind mount's
    )


def stop_timeout(value):
    """Seconds that Docker waits for a container before it kills it: 10 by default, and for ever with a negative number."""
    return 10 if value is None else value if value >= 0 else HOUR


def record(number, text, what):
    """The object in one of a container's files. Raises Refused."""
    try:
        fields = strict_json.loads(text or "")
    except ValueError as error:
        raise unfit(number, what, "JSON (%s)" % error) from error
    if not isinstance(fields, dict):
        raise unfit(number, what, "a JSON object")
    return fields


def field(number, fields, path, *kinds):
    """The part of a record at a path such as "State.Running", None when it is not there. Raises Refused for another kind."""
    value = fields
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if type(value) not in kinds:  # a bool is an int to isinstance()
        raise unfit(number, path, WORDS[kinds[0]])
    return value


def members(number, fields, path, outer, inner):
    """A list or object with members of one kind; an empty one for null, as Go has it. Raises Refused for anything else."""
    value = field(number, fields, path, outer, NULL) or outer()
    if any(type(one) is not inner for one in (value.values() if outer is dict else value)):
        raise unfit(number, path, "%s of %s only" % (WORDS[outer], MANY[inner]))
    return value


def unfit(number, path, expected):
    """The refusal for a record with something in it that Docker does not write. What that is may be a secret: it is not shown."""
    short = number[:12]
    return Refused(
        "Docker's record of container %s is not as this tool knows it: %s is not %s." % (short, path, expected),
        "Look at it: docker inspect %s\nEither remove that container, with what it wrote outside of volumes, and create it again "
        "after the switch: docker rm %s\nOr leave all containers behind:\ndocker_storage_containers: discard"
        % (paste(short), paste(short)),
    )


# --- what a container needs --------------------------------------------------------------------------------------


def references(number, config, host):
    """IDs or names of the containers whose namespaces, volumes or names a container uses, as written.

    "container:ID" (NetworkMode and its likes, host_config.go), "name[:mode]" (volume/mounts/linux_parser.go, ParseVolumesFrom),
    "name:alias" or "/name:/parent/alias" (opts.ParseLink); links on networks of one's own are the endpoint's.
    """
    modes = [field(number, host, path, str) for path in ("NetworkMode", "PidMode", "IpcMode")]
    joined = [mode.partition(":")[2] for mode in modes if mode.startswith("container:")]
    texts = members(number, host, "VolumesFrom", list, str) + members(number, host, "Links", list, str)
    for endpoint in members(number, config, "NetworkSettings.Networks", dict, dict).values():
        texts = texts + members(number, endpoint, "Links", list, str)
    return [text.lstrip("/") for text in joined + [text.split(":")[0] for text in texts]]


def compose_references(labels):
    """What compose's label says: "db:service_started:false,cache:..." or, of an older one, "db,cache"; compose v1 writes none."""
    names = [one.split(":")[0].strip() for one in labels.get(DEPENDS, "").split(",")]
    return [service(labels, name) for name in names if service(labels, name)]


def service(labels, name):
    """A compose service as PROJECT/SERVICE, which is no container's name; "" without one of both."""
    return "%s/%s" % (labels[PROJECT], name) if labels.get(PROJECT) and name else ""


def with_needs(containers):
    """The containers with IDs for what each needs: by ID, name, compose service or unique beginning of an ID, in this order.

    That is daemon/container.go's GetContainer. What is not among them is left out, and so is the container itself.
    """
    known = {}
    for one in containers:
        known.setdefault(one.service, []).append(one.id)
    known.update((one.name, [one.id]) for one in containers)
    known.update((one.id, [one.id]) for one in containers)
    known.pop("", None)
    resolved = []
    for one in containers:
        found = [number for need in one.needs for number in known.get(need) or beginning(containers, need)]
        needs = [number for at, number in enumerate(found) if number != one.id and number not in found[:at]]
        resolved.append(one._replace(needs=tuple(needs)))
    return tuple(resolved)


def beginning(containers, need):
    """[the ID that begins so], [] when there is none or more than one."""
    found = [one.id for one in containers if need and one.id.startswith(need)]
    return found if len(found) == 1 else []


def start_order(containers):
    """[[ID, ...], ...]: who needs none of the others first, then who needs only those before; backwards it is the order to stop.

    Docker refuses to start what joins or links to a container that does not run (daemon/container_operations.go and _unix.go).
    Who is in a circle, or needs one that is, comes in one last batch. Within a batch the given order stays.
    """
    left, batches = {one.id: one for one in containers}, []
    while left:
        batch = [number for number, one in left.items() if not left.keys() & set(one.needs)] or list(left)
        batches.append(batch)
        for number in batch:
            del left[number]
    return batches


# --- writing -----------------------------------------------------------------------------------------------------


def with_driver(number, text, driver, former, ran=False):
    """The text of a config.v2.json with another Driver in its outermost object, all else of it to the letter. Raises Refused.

    For a Docker that is down: one that runs writes the file from its memory. former: what must stand there; a text with the new
    driver stays as it is. Keys called Driver elsewhere belong to others.
    ran: it was running when it was stopped for the switch. `docker stop` notes that as its owner's wish (daemon/kill.go,
    killWithSignal, sets HasBeenManuallyStopped), and Docker would leave it down at its next start when it is to run unless-stopped
    (restartmanager/restartmanager.go); as in daemon/start.go the note is taken away.
    """
    fields = record(number, text, "config.v2.json")
    if fields.get(DRIVER) not in (former, driver):
        raise unfit(number, DRIVER, "%s or %s" % (former, driver))
    values = {DRIVER: driver, STOPPED: False} if ran and fields.get(STOPPED) else {DRIVER: driver}
    places = spans(text)
    keys = [key for key, _begin, _end in places if key.casefold() in (DRIVER.casefold(), STOPPED.casefold())]
    if len(set(keys)) != len(keys) or not set(keys) <= {DRIVER, STOPPED}:  # to Go's decoder they are one key
        raise unfit(number, "config.v2.json", "JSON with each key once")
    changed = text
    for key, begin, end in reversed(places):
        if key in values and fields[key] != values[key]:
            changed = changed[:begin] + json.dumps(values[key]) + changed[end:]
    if list(record(number, changed, "the changed config.v2.json").items()) != list(dict(fields, **values).items()):
        raise unfit(number, "config.v2.json", "the same as before but for its driver")
    return changed


def spans(text):
    """[(key, where its value begins, where it ends)] of the outermost object, in the text's order. text: a JSON object."""
    found, at = [], GAP.match(text, text.index("{") + 1).end()
    while text[at] != "}":
        key, at = strict_json.DECODER.raw_decode(text, at)
        begin = GAP.match(text, at).end()
        end = strict_json.DECODER.raw_decode(text, begin)[1]
        found.append((key, begin, end))
        at = GAP.match(text, end).end()
    return found
