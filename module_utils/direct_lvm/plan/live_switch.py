# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The switch that keeps containers: a second daemon fills the pool while Docker serves, then both sides are exchanged. Pure.

Image IDs, layers' chain IDs and names do not depend on the storage driver, and Docker takes a container for its own when the
key Driver of its record is the current driver and a layer bears its ID (moby 20.10 to 24, daemon/daemon.go, restore; layer,
filestore.go). So the second daemon loads the images and makes a file system for each container. What each has written is
brought to it once Docker is down, and its record gets the other driver's name: that is all a container's switch is.

What the second daemon makes stands in the data root with the suffix OURS, as after a rollback. A run that is cut off while
it works leaves it unfinished: nobody else has used the pool then, and it is made anew.
"""

import re

from ..model import engines, geometry
from ..model.errors import Refused
from ..model.names import OURS, SHADOW, device_name, full
from ..model.quoting import paste, pasted
from ..model.steps import (
    AssertKept,
    BringLayers,
    Command,
    CopyImageRecords,
    FillPool,
    Move,
    RemoveThinDevices,
    RemoveTree,
    Replan,
    SetDriver,
    StartContainers,
    Transaction,
)
from ..texts import container_record, own_files
from . import docker_switch
from .docker_switch import DRAINED, LARGER

FILL_TIMEOUT = 6 * 3600  # seconds, of one `docker save | docker load`
START_TIMEOUT = 30  # seconds for each container
RESERVE = 1.1  # of the pool: file systems have metadata, and are written to by whole chunks
BASE = 10 * 1024**3  # bytes of a container's file system unless dm.basesize says otherwise (moby, devmapper, deviceset.go)
RAN = ("running", "paused")
WITHOUT = (
    "To move Docker to its previous storage, without what was written to the pool since the switch:\n"
    "ansible-playbook playbooks/rollback.yml -e docker_storage_containers=discard"
)
MAPPED = re.compile(r"/[0-9]+\.[0-9]+\Z")  # a data root with userns-remap


def obstacle(docker, desired, former, image_store):
    """Why containers cannot be kept, as a part of a sentence; "" when they can."""
    live = docker.live
    if live is None or desired.containers != "keep":
        return "they are not to be kept"
    if docker.info is None and not (docker.begun() and docker.former.kept):
        return "Docker is not running"
    if image_store:
        return "Docker %s keeps images and containers in containerd, to which they cannot be moved yet" % docker.version
    if former.driver != "overlay2":
        return "only containers on overlay2 can be, and Docker is on %s" % (former.driver or "another storage")
    if not engines.keeps_containers(docker.version):
        return "it needs Docker 20.10 to 24"
    if live.program is None or live.lacks:
        return "dockerd has no %s" % (" and no ".join(live.lacks) or "program that can be found")
    if "devicemapper" + OURS in docker.root_state and (not live.shadow or set(live.layers) - set(live.known)):
        return "an earlier rollback has left images and containers on the pool, which would be mixed with them"
    if MAPPED.search(docker.root):
        return "Docker maps users (userns-remap)"
    return ""


def check_containers(docker):
    """Raise Refused for containers that cannot come along, by name."""
    records, images = docker.live.records, {one.rpartition("/")[2] for one in docker.content.images}
    for what, ones, way_out in (
        (
            "would be removed when they are stopped (--rm)",
            [one for one in records if one.removed_at_end],
            "Stop them, which removes them, and start them again afterwards: docker stop %s",
        ),
        (
            "are tasks of a swarm, which makes them anew by itself",
            [one for one in records if one.task],
            "Drain the node around its switch, and go without them:\n" + DRAINED + "    # %s",
        ),
        (
            "are Kubernetes', whose kubelet makes them anew by itself",
            [one for one in records if one.pod],
            "Drain the node, and go without them: docker_storage_containers: discard    # %s",
        ),
        (
            "are of an image that is gone, so no file system can be made for them",
            [one for one in records if one.image.rpartition(":")[2] not in images],
            "Make a new image of what is in each, then remove it and run it again from that: "
            "docker export NAME | docker import - NAME:kept    # %s",
        ),
    ):
        if ones:
            names = [one.name for one in ones]
            raise Refused("containers %s: %s." % (what, ", ".join(names)), way_out % pasted(names))


def plan_live(spec, host, former, current, target):
    """[step]: what the pool's side lacks, then the switch. current, target: DockerConfigs; former: the SwitchRecord."""
    docker = as_it_was(host.docker)
    records = docker.live.records
    check_containers(docker)
    kept = tuple((one.id, "paused" if one.paused else "running" if one.running else "") for one in records)
    record = former._replace(state="done", pending=(), names=(), kept=kept)
    fill = [] if docker.info is None else plan_fill(spec, docker, host.lvm.thin_pool(spec.pool))
    return fill + switch(spec, docker, current, target, record)


def as_it_was(docker):
    """The Docker with its containers as they were before a switch that was cut off stopped them."""
    states = dict(docker.former.kept) if docker.begun() else {}
    records = tuple(
        one._replace(running=one.running or states.get(one.id) in RAN, paused=one.paused or states.get(one.id) == "paused")
        for one in docker.live.records
    )
    return docker._replace(live=docker.live._replace(records=records))


def is_torn(docker, on_pool):
    """Whether a switch that keeps containers was cut off, and left Docker down or containers on the other side."""
    if docker.live is None or not docker.begun() or not docker.former.kept:
        return False
    driver = "devicemapper" if on_pool else docker.former.driver
    return docker.info is None or any(one.driver != driver for one in docker.live.records)


def belongs_on_pool(docker, pool, on_pool):
    """Whether a torn Docker has to be on the pool (a device-mapper name): its containers may have written there since.

    One that is down starts where its settings say. They are written once the pool's side has all that Docker had, and on the way
    back the containers' records are first, whose files are the same on both sides then.
    """
    return on_pool or (docker.info is None and docker_switch.is_set_up_for(docker, pool))


def plan_fill(spec, docker, lv):
    """[step]: the second daemon's work, [] when the pool's side has all that Docker has. Raises Refused for too little room."""
    live, driver = docker.live, docker.info.driver
    aside = {one.rpartition("/")[2] for one in docker.content.images if one.startswith("devicemapper%s/" % OURS)}
    missing = [image for image in docker.images if image.id.rpartition(":")[2] not in aside]
    has = {one.rpartition("/")[2] for one in docker.content.images if one.startswith(driver + "/")}
    anew = live.shadow == "used"
    lacking = [one for one in live.records if anew or one.id not in live.layers]
    ids = {one.id for one in live.records}
    stale = tuple(one for one in live.layers if anew or one not in ids)
    gone = tuple("sha256:" + one for one in sorted(aside - has))
    if not (missing or lacking or stale or gone):
        return []
    check_room(spec, docker, missing, None if "devicemapper" + OURS in docker.root_state else lv)
    flags = ("--storage-driver", "devicemapper")
    for option in own_files.driver_options(spec.pool, spec.docker):
        flags += ("--storage-opt", option)
    shown = {image.id for image in docker.images}  # an image that others were built on is not among them
    parents = sorted({one.image for one in live.records} - shown - {"sha256:" + one for one in aside})
    numbers = tuple(image.id for image in missing) + tuple(parents)
    pairs = tuple((one.id, one.image) for one in lacking)
    what = "copy %d images and make file systems for %d containers on the pool while Docker serves" % (len(numbers), len(pairs))
    fill = FillPool(docker.host, docker.root, live.containerd, live.program, flags, numbers, pairs, gone, stale, FILL_TIMEOUT, what)
    return [fill, Replan("what came meanwhile has to be copied too")]


def check_room(spec, docker, missing, lv):
    """Raise Refused when the data root cannot take what is copied, or the pool, or a file system on it, what is to be there.

    lv: the pool, None when it is not there yet, or has got the images already.
    """
    live, sizes = docker.live, {image.id: image.size for image in docker.images}
    need = 2 * live.unique
    if missing and need > live.free:
        raise Refused(
            "while images are copied Docker writes what they have twice into %s/tmp, %s, and %s is free."
            % (docker.root, geometry.format_size(need), geometry.format_size(live.free)),
            "Remove images that nobody needs: docker image prune\nOr go without the containers, and have images carried by "
            "archives on another file system:\nimage_archive_dir: /path/with/space\ndocker_storage_containers: discard",
        )
    total = int(RESERVE * (live.unique + sum(size for _number, size in live.written)))
    free = None if lv is None else int(lv.size * (100 - (lv.data_percent or 0)) / 100)
    if free is not None and total > free:
        raise Refused(
            "Docker's images and what its containers wrote need %s of pool %s, which has %s free."
            % (geometry.format_size(total), full(spec.pool), geometry.format_size(free)),
            LARGER,
        )
    base = dict(spec.docker.options).get("dm.basesize")
    base_size = geometry.parse_bytes(base) if base else BASE
    images = {one.id: one.image for one in live.records}
    large = [number for number, size in live.written if sizes.get(images[number], 0) + size > base_size]
    if large:
        raise Refused(
            "container %s and its image have more than the %s of a file system on the pool."
            % (next(one.name for one in live.records if one.id == large[0]), geometry.format_size(base_size)),
            "For larger ones: docker_storage_options: {dm.basesize: %dG}" % (2 * base_size // 1024**3),
        )


def is_unfinished(docker):
    """Whether a run that was cut off has left what the second daemon made, and Docker has not been there since."""
    own = {"devicemapper", "devicemapper" + OURS} & set(docker.root_state)
    return docker.live is not None and docker.live.shadow == "unfinished" and not own


def check_unfinished(spec, host):
    """Raise Refused unless what is on the pool is what the second daemon made: its metadata are at the pool's transaction.

    Docker writes the next number into its metadata before it changes the pool (see ownership.py).
    """
    pool, docker, lv = spec.pool, host.docker, host.lvm.thin_pool(spec.pool)
    at, own, name = host.transaction or 0, docker.live.transaction, device_name(pool)
    used = lv is not None and bool(lv.data_percent)
    if name in host.snapshotter_pools or (used and own not in (at, at + 1)):
        path = "%s/%s" % (docker.root, SHADOW)
        raise Refused(
            "%s is what a run that was cut off has left, and pool %s holds something else by now." % (path, full(pool)),
            "If nobody needs what is in it: rm -r %s" % paste(path),
        )


def without_unfinished(docker):
    """The Docker as it is once wipe() was carried out."""
    aside = ("devicemapper" + OURS, "image/devicemapper" + OURS)
    images = tuple(one for one in docker.content.images if not one.startswith("devicemapper" + OURS))
    names = tuple(one for one in docker.content.names if one[0] != "devicemapper" + OURS)
    return docker._replace(
        root_state=tuple(name for name in docker.root_state if name not in aside),
        content=docker.content._replace(images=images, names=names),
        live=docker.live._replace(shadow="", layers=()),
    )


def wipe(spec, host):
    """[step]: the pool and the folders of a second daemon that a run that was cut off has left. Nobody else has used them.

    Raises Refused when somebody has.
    """
    check_unfinished(spec, host)
    pool, docker, lv = spec.pool, host.docker, host.lvm.thin_pool(spec.pool)
    root = docker.root
    if lv is not None and not lv.active:
        return [Replan("what is on the pool is known once it is active")]
    why = "a run that was cut off has left it unfinished, and nobody else has used it"
    steps = []
    if lv is not None:
        steps.append(RemoveThinDevices(device_name(pool), "take down what is on it"))
        steps.append(Command(("lvremove", "--yes", full(pool)), "make the pool anew: " + why))
    folders = [SHADOW, "image/devicemapper" + OURS, "devicemapper" + OURS]
    steps += [RemoveTree("%s/%s" % (root, name), None, why) for name in folders]
    return [*steps, Replan("the pool has to be made again")]


def switch(spec, docker, current, target, record):
    """[step]: the critical section in which both sides are exchanged."""
    records, root = docker.live.records, docker.root
    ids = tuple(one.id for one in records)
    ran = tuple(one.id for one in records if one.running or one.paused)
    pool, why = device_name(spec.pool), "give %s to Docker"
    moves = (
        BringLayers(root, pool, ids, "bring what the containers wrote to the pool"),
        CopyImageRecords(root, record.driver, "bring the images' names"),
        SetDriver(root, ids, "devicemapper", record.driver, ran, "write the pool's storage driver into the containers' records"),
        *(
            Move("%s/%s%s" % (root, name, OURS), "%s/%s" % (root, name), why % name)
            for name in ("image/devicemapper", "devicemapper")
        ),
    )
    target = target._replace(moves=moves, after=())
    current = put_back(docker, current, "devicemapper", ids, ran)
    before = [docker_switch.note(record._replace(state="begun"), "note what Docker has now (%s), for the way back" % record.driver)]
    before.insert(0, docker_switch.unchanged(docker, False, "see that nothing has come since Docker was looked at"))
    check = (docker_switch.unchanged(docker, True, "see that nothing has come: what is not known now would be hidden"),)
    images = tuple(image.id for image in docker.images)
    kept = AssertKept(docker.host, root, images, ids, "see that Docker has all that it had")
    forth = stop(docker, records) + docker_switch.to_side(spec, docker, target, current, check) + (kept,)
    afterwards = start(docker, records)
    back = docker_switch.note(docker_switch.undone(docker, record), "note that Docker went back")
    last = afterwards + done(docker, record)
    transaction = Transaction(
        forth,
        docker_switch.to_side(spec, docker, current, target),
        "change Docker's storage",
        afterwards=afterwards + (back,),
        last=last,
    )
    return [*docker_switch.staged(forth), *before, transaction]


def put_back(docker, side, other, ids, ran):
    """The DockerConfig of a side, with the containers' records. other: the storage driver that may stand there now."""
    why = "write the storage driver %s into the containers' records" % side.driver
    return side._replace(moves=(SetDriver(docker.root, ids, side.driver, other, ran, why), *side.moves))


def bring_back(spec, docker, side, other):
    """[step]: Docker on a side with all containers, after a switch that was cut off in its critical section.

    side, other: DockerConfigs. Raises Refused for a daemon that runs and does not answer.
    """
    if docker.info is None and docker.unit.active_state == "active":
        raise Refused(
            "Docker runs and does not answer (%s), and its switch was cut off." % docker.problem,
            "See what it does: journalctl --no-pager --unit docker.service -n 50\nThen: systemctl restart docker",
        )
    docker = as_it_was(docker)
    records = docker.live.records
    ids, ran = tuple(one.id for one in records), tuple(one.id for one in records if one.running)
    back = docker_switch.to_side(spec, docker, put_back(docker, side, other.driver, ids, ran), other)
    return [*docker_switch.staged(back), *back, *start(docker, records)]


def bring_to_pool(spec, docker, pool, former):
    """[step]: bring_back() to the pool, with what can be done when Docker does not start there. pool, former: DockerConfigs."""
    steps = bring_back(spec, docker, pool, former)
    starts = [isinstance(step, Command) and step.argv[:2] == ("systemctl", "start") for step in steps]
    return [step._replace(if_it_fails=WITHOUT) if at_start else step for step, at_start in zip(steps, starts)]


def give_up(spec, docker, current, target):
    """[step]: what a switch that was cut off owes to a Docker that is to stay where it was; what is on the pool waits there."""
    steps = bring_back(spec, docker, current, target) if is_torn(docker, False) else start_again(docker)
    return [*steps, docker_switch.note(docker.former._replace(state="back"), "note that Docker is where it was")]


def finish(docker):
    """[step]: what a switch owes once Docker is on the pool with its containers; () when nothing is."""
    former = docker.former
    if not (docker.begun() and former.kept and docker.live):
        return []
    return [*start_again(docker), *done(docker, former._replace(state="done"))]


def start_again(docker):
    """(step, ...): those that ran before a switch that was cut off, and do not now."""
    down = {one.id for one in docker.live.records if not one.running}
    return start(docker, tuple(one for one in as_it_was(docker).live.records if one.id in down))


def done(docker, record):
    """(step, step): the second daemon's folder goes, and the record says that all is done."""
    return (
        RemoveTree("%s/%s" % (docker.root, SHADOW), None, "the second daemon is not needed any more"),
        docker_switch.note(record, "note that Docker is there"),
    )


def stop(docker, records):
    """(Command, ...): the containers that run are stopped, those that depend on others first, each with its own timeout."""
    running = {one.id for one in records if one.running or one.paused}
    paused = tuple(one.id for one in records if one.paused)
    steps = ()
    if paused:
        why = "unpause what is to be stopped, for a frozen process sees no signal"
        steps += (Command(("docker", "--host", docker.host, "unpause") + paused, why, ok=(0, 1)),)
    for batch in reversed(container_record.start_order(records)):
        ids = tuple(one for one in batch if one in running)
        longest = max([one.stop_timeout for one in records if one.id in ids] or [0])
        steps += docker_switch.stop_containers(docker, ids, "stop the containers that nothing else needs", longest)
    return steps


def start(docker, records):
    """(step, ...): those that ran are started, what others depend on first, and those that were paused are paused again."""
    running = {one.id for one in records if one.running or one.paused}
    paused = tuple(one.id for one in records if one.paused)
    steps = ()
    for batch in container_record.start_order(records):
        ids = tuple(one for one in batch if one in running)
        if ids:
            why = "start the containers again that ran before"
            timeout = docker_switch.STOP_TIMEOUT + START_TIMEOUT * len(ids)  # Docker's client starts one after another
            steps += (StartContainers(docker.host, docker.root, ids, timeout, why),)
    if paused:
        steps += (Command(("docker", "--host", docker.host, "pause") + paused, "pause them as they were", ok=(0, 1)),)
    return steps
