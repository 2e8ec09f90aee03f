# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The critical section in which Docker changes its storage, and the way back from it. Pure.

Docker keeps one folder per storage driver, so nothing needs to be deleted. Only what both sides would use is renamed:
when Docker was on another devicemapper storage (loop files, an older pool), its folders get the suffix FORMER while it
is on our pool; when it goes back, our folders get the suffix OURS, for the next time (moby: daemon/graphdriver,
layer.NewStoreFromOptions). The names are the record: a run that was cut off finds on the disk how far it came.

A host may lose its power between any two steps, and Docker then starts with what is there. It must not find the one
devicemapper's settings with the other's folder: it would take back what it holds for an unfinished change, and damage it
(deviceset.go, processPendingTransaction). So folders are set aside before the settings are written, and others brought in
after. What Docker makes in between, where it finds no folder, gets the suffix STRAY and a number.
"""

import os
import re
from typing import NamedTuple, Optional, Tuple

from ..model.errors import Refused
from ..model.host import Content, SwitchRecord
from ..model.names import CONTAINERD_STORE, DRIVER_FOLDERS, FORMER, LOOP_FILE, MANAGED, OURS, SAME_DRIVER_FOLDERS, STRAY
from ..model.quoting import paste
from ..model.spec import ROLL_BACK
from ..model.steps import (
    AssertContent,
    Command,
    Move,
    RemoveFile,
    StageFiles,
    StartContainers,
    Transaction,
    WaitForDocker,
    WriteFile,
    forget_failures,
)
from ..texts import own_files, switch_record
from ..texts.daemon_json import given_back, merge, paths, without
from ..texts.docker_conflicts import settings_of, storage_flags, storage_settings
from ..texts.docker_info import is_image_store
from ..texts.units import Word

STOP_TIMEOUT = 120
LARGER = "Make the pool larger (thin_pool_devices, thin_pool_data_size), or remove images that nobody needs: docker image prune"
# What a node of a swarm is switched with.
DRAINED = """docker_storage_before_switch: [hooks/swarm_drain.yml]
docker_storage_after_switch: [hooks/swarm_active.yml]
docker_storage_containers: discard"""
DEFAULT_DRIVERS = ("aufs", "overlay", "overlay2")  # what Docker takes when none is chosen and it finds no folder
# A swarm's containers: SERVICE.SLOT.TASK, or SERVICE.NODE.TASK (moby, daemon/cluster/executor/container, taskName).
TASK = re.compile(r"\.([0-9]+|[0-9a-z]{25})\.[0-9a-z]{25}\Z")
ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "%": "%%", "$": "$$"})  # within a quoted word, systemd.service(5)
OVERLAY2 = {"storage-driver": "overlay2"}
OVERLAY2_NO_IMAGE_STORE = {"features": {"containerd-snapshotter": False}, "storage-driver": "overlay2"}


class DockerConfig(NamedTuple):
    """One of the two places where Docker can be. dropin, daemon_json: the files' texts, None: no such file.

    driver: what docker info must name, "" when it is not known.
    moves, after: what has to be renamed to get here, before the files are written and then.
    """

    driver: str
    pool: str
    chunk_size: int
    dropin: Optional[str]
    daemon_json: Optional[str]
    moves: Tuple[Move, ...] = ()
    after: Tuple[Move, ...] = ()


def former_of(docker):
    """The SwitchRecord that a switch starting now has to be able to go back to."""
    if docker.begun():
        return docker.former  # an earlier switch was cut off: what is running now may be neither side
    info = docker.info
    driver = info.driver if info else ""
    pool = info.field("Pool Name") if driver == "devicemapper" and not info.field("Data loop file") else ""
    dropin = docker.dropin_text
    if dropin and dropin.startswith(MANAGED) and not pool:
        dropin = None  # written for the pool, and never in force
    if pool and not storage_settings(dropin, docker.daemon_json, docker.unit.command):
        dropin = as_it_runs(docker.unit, pool)
    return SwitchRecord("begun", driver, pool, dropin, docker.daemon_json)


def as_it_runs(unit, pool):
    """A drop-in for a Docker on a pool that no file chooses: its settings were set aside while it runs, as our refusals ask for.

    By daemon.json it has no flags of its own; then the pool is what is known.
    """
    flags = storage_flags([Word(text, "") for text in unit.arguments]).get("", [])
    flags = flags or ["--storage-driver devicemapper", "--storage-opt dm.thinpooldev=/dev/mapper/" + pool]
    return "%s\n# As Docker ran before it was switched.\n[Service]\nExecStart=\nExecStart=%s %s\n" % (
        MANAGED,
        unit.command,
        " ".join('%s "%s"' % tuple(flag.translate(ESCAPED).split(" ", 1)) for flag in flags),
    )


def overlay2(docker):
    """The SwitchRecord of a Docker that goes to overlay2 wherever it came from: named, so that no other folder is in doubt.

    Not by the image store, whose snapshotters have other names. Raises Refused for a daemon.json that is none.
    """
    features = settings_of(docker.daemon_json).get("features")
    image_store = isinstance(features, dict) and features.get("containerd-snapshotter") is True
    config = changed(docker, merge, OVERLAY2_NO_IMAGE_STORE if image_store else OVERLAY2)
    return SwitchRecord("done", "overlay2", "", None, without(config, ("storage-opts",)))


def pool_side(spec, docker, former, pool, image_store):
    """Docker on our pool. pool: its device-mapper name.  image_store: through containerd, which knows the pool."""
    if image_store:  # it has no flag, and containerd waits for the pool: no drop-in of ours
        dropin = None if (docker.dropin_text or "").startswith(MANAGED) else docker.dropin_text
        return DockerConfig("devmapper", "", 0, dropin, changed(docker, merge, own_files.IMAGE_STORE))
    dropin = own_files.docker_dropin(spec.pool, spec.docker, docker.unit.command)
    settings = own_files.docker_settings(spec.pool, spec.docker)
    config = changed(docker, merge, settings) if settings else docker.daemon_json
    return DockerConfig("devicemapper", pool, spec.pool.chunk_size, dropin, config, *moves_to_pool(docker, former))


def changed(docker, change, *how):
    """daemon.json as one of the functions of that module changes it. Raises Refused for a daemon.json that is none."""
    try:
        return change(docker.daemon_json, *how)
    except ValueError as error:
        raise Refused(
            "%s is not valid JSON (%s)." % (docker.daemon_json_path, error),
            "Correct it first; to look at it: python3 -m json.tool %s" % paste(docker.daemon_json_path),
        ) from error


def former_side(spec, docker, former, image_store):
    """Docker as it was before. The image store keeps nothing that a graph driver would take for its own: nothing moves.

    Of daemon.json only what the switch sets goes back: whatever else somebody wrote into it since stays.
    """
    moves = ((), ()) if image_store else moves_to_former(docker, former)
    whole = image_store or (spec.goal == ROLL_BACK and spec.docker.roll_back_to == "overlay2")
    settings = own_files.IMAGE_STORE if whole else own_files.docker_settings(spec.pool, spec.docker)
    # With a drop-in the switch sets none, and Docker starts with no storage key in daemon.json.
    keys = tuple(sorted({*paths(settings), ("storage-driver",), ("storage-opts",)}))
    return DockerConfig(former.driver, former.pool, 0, former.dropin, changed(docker, given_back, former.daemon_json, keys), *moves)


def moves_to_pool(docker, former):
    """([Move] before the settings, [Move] after): the former devicemapper's folders aside; ours back, when they stand aside.

    The pool's metadata come last: a Docker that finds them starts, and has to find its images too.
    """
    names = SAME_DRIVER_FOLDERS if former.driver == "devicemapper" else DRIVER_FOLDERS if is_loop(docker) else ()
    root, why = docker.root + "/", "set the former storage's %s aside; nothing is deleted"
    aside = strays(docker, former) + [Move(root + name, root + name + FORMER, why % name) for name in names]
    names = [name for name in reversed(SAME_DRIVER_FOLDERS) if name + OURS in docker.root_state]
    back = [Move(root + name + OURS, root + name, "bring back the pool's own %s" % name) for name in names]
    return (tuple(aside), tuple(back)) if former.driver == "devicemapper" else (tuple(aside + back), ())


def moves_to_former(docker, former):
    """([Move] before the settings, [Move] after): our folders aside, the others back.

    Docker does not start when it finds two drivers' folders and none is chosen. Of another driver than devicemapper the
    settings come first: it leaves our folders alone, and without them the pool's Docker would make new ones.
    """
    aside, back = strays(docker, former), []
    for name in SAME_DRIVER_FOLDERS if former.driver == "devicemapper" else DRIVER_FOLDERS:
        path, only_if = os.path.join(docker.root, name), ()
        if former.driver == "devicemapper" or is_loop(docker) or name + FORMER in docker.root_state:
            only_if = (path + FORMER,)  # both sides use the same name: the folder is ours only while the former one stands aside
            back.append(Move(path + FORMER, path, "bring the former %s back" % name))
        aside.append(Move(path, path + OURS, "set the pool's %s aside" % name, only_if))
    return (tuple(aside), tuple(back)) if former.driver == "devicemapper" else ((), tuple(aside + back))


def is_set_up_for(docker, pool):
    """Whether Docker's settings name this pool (a device-mapper name) for its graph driver, running or not."""
    return ("storage-opt", "dm.thinpooldev=/dev/mapper/" + pool) in storage_settings(docker.dropin_text, docker.daemon_json)


def is_loop(docker):
    """Whether loop files stand where the pool's metadata would."""
    return "devicemapper/loop" in docker.root_state


def strays(docker, former):
    """[Move]: to a third name what Docker made when it came up, after a power cut, in the middle of a switch.

    That is a folder both of whose owners stand aside, and a loop file in a folder whose former owner does: the devicemapper
    with that file is the last to go, for it is what tells. And the default driver's folder, beside a devicemapper that was
    nowhere chosen: with both Docker does not start. Whatever somebody had there is archived like anything Docker holds.
    """
    if not docker.begun():
        return []
    taken = [int(name.rpartition("-")[2]) for name in docker.root_state if re.search(re.escape(STRAY) + "-[0-9]+$", name)]
    suffix = "%s-%d" % (STRAY, max(taken or [0]) + 1)
    todo = []
    for name in reversed(SAME_DRIVER_FOLDERS):
        path = os.path.join(docker.root, name)
        if name + FORMER in docker.root_state and name + OURS in docker.root_state:
            todo.append((path, (path + FORMER, path + OURS)))
        elif name + FORMER in docker.root_state and is_loop(docker):
            todo.append((path, (path + FORMER, os.path.join(docker.root, LOOP_FILE))))
    chosen = [value for name, value in storage_settings(former.dropin, former.daemon_json) if name == "storage-driver"]
    if former.driver == "devicemapper" and not chosen:
        defaults = [name for name in DEFAULT_DRIVERS if name in docker.root_state]
        todo += [(os.path.join(docker.root, folder), ()) for name in defaults for folder in (name, "image/" + name)]
    why = "set aside what Docker made when it started in between"
    return [Move(path, path + suffix, why, only_if) for path, only_if in todo]


def switch(spec, docker, current, target, record, kind=""):
    """[step] from one DockerConfig to another: the new files beside their places, a last look, the record, the Transaction.

    record: the SwitchRecord to write, "begun" before, its own state at the end.
    record None: the same storage with other settings; nothing moves, is hidden, or is recorded.  kind: what Docker has now.
    """
    before, last, back, check = [], (), (), ()
    if record:
        what = " (%s)" % kind if kind else ""
        before = [note(record._replace(state="begun"), "note what Docker has now%s, for the way back" % what)]
        last = (note(record, "note that Docker is there"),)
        back = (note(undone(docker, record), "note that Docker went back"),)
    if record and docker.content is not None:
        before.insert(0, unchanged(docker, False, "see that nothing has come since Docker was looked at"))
        check = (unchanged(docker, True, "see that nothing has come: what is not known now would be hidden"),)
    running = tuple(one.id for one in docker.containers if one.running) if target.moves or record else ()
    stop = stop_containers(docker, running, "stop the containers that do not come along: live-restore would keep them running")
    forth = stop + to_side(spec, docker, target, current, check)
    way_back = to_side(spec, docker, current, target)
    switch = Transaction(forth, way_back, "change Docker's storage", afterwards=started_again(docker) + back, last=last)
    return [*staged(forth), *before, switch]


def staged(steps):
    """[StageFiles] for what steps write after they have stopped Docker or a container; [] for nothing."""
    stops = [isinstance(step, Command) and "stop" in step.argv[:4] for step in steps]
    files = tuple(step for step in steps[stops.index(True) :] if isinstance(step, WriteFile))
    return [StageFiles(files, "see that the new files fit, before anything is stopped")] if files else []


def undone(docker, record):
    """The SwitchRecord of a switch that was taken back. What is owed to the side where Docker is again is owed still.

    Of a switch that was cut off before it is not known to which side; what Docker has is not loaded, and no name is taken then.
    """
    state, former = "done" if record.state == "back" else "back", docker.former
    if former is not None and former.state == state:
        return former
    return record._replace(state=state, pending=former.pending if docker.begun() else (), names=())


def unchanged(docker, stopped, why):
    """The step that compares what Docker holds with what was planned. stopped: whether Docker is down by then.

    A Docker on a graph driver changes nothing in containerd: the names that an earlier switch left there are not asked for.
    """
    image_store, content = docker.info is not None and is_image_store(docker.info), docker.content
    if not image_store:
        content = content._replace(names=tuple(one for one in content.names if one[0] != CONTAINERD_STORE))
    pid = docker.unit.main_pid if docker.unit else 0
    return AssertContent(docker.root, content, docker.store if image_store else None, docker.namespace, stopped, why, pid)


def names_at(docker, folder):
    """((name, image ID), ...) of one side: the folder below image/ where its graph driver's list is, or CONTAINERD_STORE."""
    return tuple((name, number) for driver, name, number in (docker.content or Content()).names if driver == folder)


def names_on_pool(docker, former, image_store):
    """What names_at() tells of the pool's side: its list may stand aside, and before that there may be the former pool's own."""
    if image_store:
        return names_at(docker, CONTAINERD_STORE)
    if "image/devicemapper" + OURS in docker.root_state:
        return names_at(docker, "devicemapper" + OURS)
    return () if former.driver == "devicemapper" or is_loop(docker) else names_at(docker, "devicemapper")


def names_of_former(docker, former):
    """What names_at() tells of the former side."""
    aside = former.driver + FORMER
    known = names_at(docker, aside if "image/" + aside in docker.root_state else former.driver)
    return known or (names_at(docker, CONTAINERD_STORE) if former.driver not in DEFAULT_DRIVERS else ())


def started_again(docker):
    """(StartContainers,) for what ran before Docker was stopped, the oldest first, known or not.

    Those with a restart policy, or kept by live-restore, run already, which is no failure. A swarm makes its own ones anew.
    """
    ids = tuple(one.id for one in reversed(docker.containers) if one.running and not TASK.search(one.name))
    return (StartContainers(docker.host, docker.root, ids, STOP_TIMEOUT, "start the containers again that ran before"),)


def stop_containers(docker, ids, why, longest=0):
    """(docker stop of these containers,), () for none. One that is gone meanwhile is no failure. longest: of their own timeouts."""
    return (Command(("docker", "--host", docker.host, "stop") + ids, why, STOP_TIMEOUT + longest, ok=(0, 1)),) if ids else ()


def note(record, why):
    """The step that writes the record; it holds daemon.json, which may hold secrets."""
    return WriteFile(switch_record.PATH, switch_record.render(record), why, 0o600)


def to_side(spec, docker, side, other, check=()):
    """Stop, check, set aside, write, reload, bring in, start, wait: Docker on that side, whatever was done of it before.

    When the drop-in is all that changes, it is written while Docker still serves, for systemd takes as long to read it as
    a fifth of a restart: a host that loses its power in between comes up with it.
    """
    timeout, settings = spec.docker.start_timeout, write_settings(spec, docker, side, other)
    stop, start = stop_and_start(docker, timeout)
    why = "wait until the daemon answers, and hold its report to what was wanted"
    wait = WaitForDocker(docker.host, why, timeout, side.driver, side.pool, side.chunk_size)
    early = not (side.moves or side.after) and docker.daemon_json == side.daemon_json == other.daemon_json
    return ((*settings, stop, *check) if early else (stop, *check, *side.moves, *settings, *side.after)) + (start, wait)


def stop_and_start(docker, timeout):
    """(Command, Command). timeout in seconds for the start.

    systemctl waits without asking over and over, which takes CPU from a Docker that is starting on a small host. The article's
    own drop-in made it hang for ever: no start without a bound.
    """
    services = ("docker.socket", "docker.service") if docker.unit.socket_exists else ("docker.service",)
    why = "stop Docker; its socket too, which would start it again"
    return (
        Command(("systemctl", "stop") + services, why, STOP_TIMEOUT),
        Command(("systemctl", "start") + services, "start Docker", timeout),
    )


def write_settings(spec, docker, side, other):
    """[step]: the two files as that side has them, and systemd told of it."""
    desired, steps = spec.docker, []
    for path, now, text, former, mode in (
        (docker.daemon_json_path, docker.daemon_json, side.daemon_json, other.daemon_json, None),
        (desired.dropin, docker.dropin_text, side.dropin, other.dropin, 0o644),
    ):
        if not now == text == former:
            why = "Docker's storage: %s" % (side.pool or side.driver or "as before")
            steps.append(RemoveFile(path, "there was none") if text is None else WriteFile(path, text, why, mode))
    return [*steps, Command(("systemctl", "daemon-reload"), "let systemd read the drop-in"), forget_failures("docker.service")]
