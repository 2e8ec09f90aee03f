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

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
from typing import NamedTuple, Optional, Tuple

from ..model.errors import Refused
from ..model.host import Content, Former
from ..model.names import (
    CONTAINERD_STORE,
    DRIVER_FOLDERS,
    FORMER,
    LOOP_FILE,
    MANAGED,
    OURS,
    SAME_DRIVER_FOLDERS,
    STRAY,
)
from ..model.quoting import paste
from ..model.spec import ROLL_BACK
from ..model.steps import AssertContent, Command, Move, RemoveFile, StartContainers, Switch, WaitForDocker, WriteFile
from ..texts import own_files, switch_record
from ..texts.daemon_json import given_back, merge, paths, without
from ..texts.docker_conflicts import settings_of, storage_flags, storage_settings
from ..texts.docker_info import is_image_store
from ..texts.units import Word

STOP_TIMEOUT = 120
DEFAULT_DRIVERS = ("aufs", "overlay", "overlay2")  # what Docker takes when none is chosen and it finds no folder
# A swarm's containers: SERVICE.SLOT.TASK, or SERVICE.NODE.TASK (moby, daemon/cluster/executor/container, taskName).
TASK = re.compile(r"\.([0-9]+|[0-9a-z]{25})\.[0-9a-z]{25}\Z")
ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "%": "%%", "$": "$$"})  # within a quoted word, systemd.service(5)
OVERLAY2 = {"storage-driver": "overlay2"}
OVERLAY2_NO_IMAGE_STORE = {"features": {"containerd-snapshotter": False}, "storage-driver": "overlay2"}


class Side(NamedTuple):
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


def former_of(found):
    """The Former that a switch starting now has to be able to go back to."""
    if found.begun():
        return found.former  # an earlier switch was cut off: what is running now may be neither side
    info = found.info
    driver = info.driver if info else ""
    pool = info.field("Pool Name") if driver == "devicemapper" and not info.field("Data loop file") else ""
    dropin = found.dropin_text
    if dropin and dropin.startswith(MANAGED) and not pool:
        dropin = None  # written for the pool, and never in force
    if pool and not storage_settings(dropin, found.daemon_json, found.unit.command):
        dropin = as_it_runs(found.unit, pool)
    return Former("begun", driver, pool, dropin, found.daemon_json)


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


def overlay2(found):
    """The Former of a Docker that goes to overlay2 wherever it came from: named, so that no other folder is in doubt.

    Not by the image store, whose snapshotters have other names. Raises Refused for a daemon.json that is none.
    """
    features = settings_of(found.daemon_json).get("features")
    image_store = isinstance(features, dict) and features.get("containerd-snapshotter") is True
    config = merged(found, OVERLAY2_NO_IMAGE_STORE if image_store else OVERLAY2)
    return Former("done", "overlay2", "", None, without(config, ("storage-opts",)))


def pool_side(spec, found, former, pool, image_store):
    """Docker on our pool. pool: its device-mapper name.  image_store: through containerd, which knows the pool."""
    if image_store:
        return Side("devmapper", "", 0, without_ours(found.dropin_text), merged(found, own_files.IMAGE_STORE))
    dropin = own_files.docker_dropin(spec.pool, spec.docker, found.unit.command)
    settings = own_files.docker_settings(spec.pool, spec.docker)
    config = merged(found, settings) if settings else found.daemon_json
    return Side("devicemapper", pool, spec.pool.chunk_size, dropin, config, *moves_to_pool(found, former))


def without_ours(dropin):
    """A drop-in's text, None when it is ours: the image store has no flag, and containerd waits for the pool."""
    return None if dropin and dropin.startswith(MANAGED) else dropin


def merged(found, settings):
    """daemon.json with some keys set. Raises Refused for a daemon.json that is none."""
    return changed(found, merge, settings)


def changed(found, change, *how):
    """daemon.json as one of the functions of that module changes it. Raises Refused for a daemon.json that is none."""
    try:
        return change(found.daemon_json, *how)
    except ValueError as error:
        raise Refused(
            "%s is not valid JSON (%s)." % (found.daemon_json_path, error),
            "Correct it first; to look at it: python3 -m json.tool %s" % paste(found.daemon_json_path),
        ) from error


def former_side(spec, found, former, image_store):
    """Docker as it was before. The image store keeps nothing that a graph driver would take for its own: nothing moves.

    Of daemon.json only what the switch sets goes back: whatever else somebody wrote into it since stays.
    """
    moves = ((), ()) if image_store else moves_to_former(found, former)
    config = changed(found, given_back, former.daemon_json, own_keys(spec, image_store))
    return Side(former.driver, former.pool, 0, former.dropin, config, *moves)


def own_keys(spec, image_store):
    """The keys of daemon.json that a switch sets. With a drop-in it sets none, and Docker starts with no storage key there."""
    whole = image_store or (spec.goal == ROLL_BACK and spec.docker.roll_back_to == "overlay2")
    settings = own_files.IMAGE_STORE if whole else own_files.docker_settings(spec.pool, spec.docker)
    return tuple(sorted({*paths(settings), ("storage-driver",), ("storage-opts",)}))


def moves_to_pool(found, former):
    """([Move] before the settings, [Move] after): the former devicemapper's folders aside; ours back, when they stand aside.

    The pool's metadata come last: a Docker that finds them starts, and has to find its images too.
    """
    names = SAME_DRIVER_FOLDERS if former.driver == "devicemapper" else DRIVER_FOLDERS if is_loop(found) else ()
    aside, back = strays(found, former), []
    for name in names:
        path = os.path.join(found.root, name)
        aside.append(Move(path, path + FORMER, "set the former storage's %s aside; nothing is deleted" % name))
    for name in reversed(SAME_DRIVER_FOLDERS):
        if name + OURS in found.root_state:
            path = os.path.join(found.root, name)
            back.append(Move(path + OURS, path, "bring back the pool's own %s" % name))
    return (tuple(aside), tuple(back)) if former.driver == "devicemapper" else (tuple(aside + back), ())


def moves_to_former(found, former):
    """([Move] before the settings, [Move] after): our folders aside, the others back.

    Docker does not start when it finds two drivers' folders and none is chosen. Of another driver than devicemapper the
    settings come first: it leaves our folders alone, and without them the pool's Docker would make new ones.
    """
    aside, back = strays(found, former), []
    for name in SAME_DRIVER_FOLDERS if former.driver == "devicemapper" else DRIVER_FOLDERS:
        path = os.path.join(found.root, name)
        if former.driver == "devicemapper" or is_loop(found) or name + FORMER in found.root_state:
            # Both sides use the same name: the folder is ours only while the former one stands aside.
            aside.append(Move(path, path + OURS, "set the pool's %s aside" % name, (path + FORMER,)))
            back.append(Move(path + FORMER, path, "bring the former %s back" % name))
        else:
            aside.append(Move(path, path + OURS, "set the pool's %s aside" % name))
    return (tuple(aside), tuple(back)) if former.driver == "devicemapper" else ((), tuple(aside + back))


def is_loop(found):
    """Whether loop files stand where the pool's metadata would."""
    return "devicemapper/loop" in found.root_state


def strays(found, former):
    """[Move]: to a third name what Docker made when it came up, after a power cut, in the middle of a switch.

    That is a folder both of whose owners stand aside, and a loop file in a folder whose former owner does: the devicemapper
    with that file is the last to go, for it is what tells. And the default driver's folder, beside a devicemapper that was
    nowhere chosen: with both Docker does not start. Whatever somebody had there is archived like anything Docker holds.
    """
    if not found.begun():
        return []
    taken = [int(name.rpartition("-")[2]) for name in found.root_state if re.search(re.escape(STRAY) + "-[0-9]+$", name)]
    suffix = "%s-%d" % (STRAY, max(taken or [0]) + 1)
    todo = []
    for name in reversed(SAME_DRIVER_FOLDERS):
        path = os.path.join(found.root, name)
        if name + FORMER in found.root_state and name + OURS in found.root_state:
            todo.append((path, (path + FORMER, path + OURS)))
        elif name + FORMER in found.root_state and is_loop(found):
            todo.append((path, (path + FORMER, os.path.join(found.root, LOOP_FILE))))
    chosen = [value for name, value in storage_settings(former.dropin, former.daemon_json) if name == "storage-driver"]
    if former.driver == "devicemapper" and not chosen:
        defaults = [name for name in DEFAULT_DRIVERS if name in found.root_state]
        todo += [(os.path.join(found.root, folder), ()) for name in defaults for folder in (name, "image/" + name)]
    why = "set aside what Docker made when it started in between"
    return [Move(path, path + suffix, why, only_if) for path, only_if in todo]


def switch(spec, found, here, there, record, kind=""):
    """[step] from one Side to another: a last look, the record, the Switch. record: the Former to write, "begun" before,
    its own state at the end.

    record None: the same storage with other settings; nothing moves, is hidden, or is recorded.  kind: what Docker has now.
    """
    before, after, back, check = [], (), (), ()
    if record:
        what = " (%s)" % kind if kind else ""
        before = [note(record._replace(state="begun"), "note what Docker has now%s, for the way back" % what)]
        after = (note(record, "note that Docker is there"),)
        undone = "done" if record.state == "back" else "back"
        back = (note(record._replace(state=undone, pending=()), "note that Docker went back"),)
    if record and found.content is not None:
        before.insert(0, unchanged(found, False, "see that nothing has come since Docker was looked at"))
        check = (unchanged(found, True, "see that nothing has come: what is not known now would be hidden"),)
    running = tuple(one.id for one in found.containers if one.running) if there.moves or record else ()
    stop = stop_containers(found, running, "stop the containers that do not come along: live-restore would keep them running")
    return [
        *before,
        Switch(
            stop + to_side(spec, found, there, here, check) + after,
            to_side(spec, found, here, there),
            "change Docker's storage",
            afterwards=started_again(found) + back,
        ),
    ]


def unchanged(found, stopped, why):
    """The step that compares what Docker holds with what was planned. stopped: whether Docker is down by then.

    A Docker on a graph driver changes nothing in containerd: the names that an earlier switch left there are not asked for.
    """
    image_store = found.info is not None and is_image_store(found.info)
    content = found.content
    if not image_store:
        content = content._replace(names=tuple(one for one in content.names if one[0] != CONTAINERD_STORE))
    return AssertContent(found.root, content, found.store if image_store else None, found.namespace, stopped, why)


def names_at(found, folder):
    """((name, image ID), ...) of one side: the folder below image/ where its graph driver's list is, or CONTAINERD_STORE."""
    return tuple((name, number) for driver, name, number in (found.content or Content()).names if driver == folder)


def names_on_pool(found, former, image_store):
    """What names_at() tells of the pool's side: its list may stand aside, and before that there may be the former pool's own."""
    if image_store:
        return names_at(found, CONTAINERD_STORE)
    if "image/devicemapper" + OURS in found.root_state:
        return names_at(found, "devicemapper" + OURS)
    return () if former.driver == "devicemapper" or is_loop(found) else names_at(found, "devicemapper")


def names_of_former(found, former):
    """What names_at() tells of the former side."""
    aside = former.driver + FORMER
    known = names_at(found, aside if "image/" + aside in found.root_state else former.driver)
    return known or (names_at(found, CONTAINERD_STORE) if former.driver not in DEFAULT_DRIVERS else ())


def started_again(found):
    """(StartContainers,) for what ran before Docker was stopped, the oldest first, known or not.

    Those with a restart policy, or kept by live-restore, run already, which is no failure. A swarm makes its own ones anew.
    """
    ids = tuple(one.id for one in reversed(found.containers) if one.running and not TASK.search(one.name))
    return (StartContainers(found.host, found.root, ids, STOP_TIMEOUT, "start the containers again that ran before"),)


def stop_containers(found, ids, why):
    """(docker stop of these containers,), () for none. One that is gone meanwhile is no failure."""
    return (Command(("docker", "--host", found.host, "stop") + ids, why, STOP_TIMEOUT, ok=(0, 1)),) if ids else ()


def note(record, why):
    """The step that writes the record; it holds daemon.json, which may hold secrets."""
    return WriteFile(switch_record.PATH, switch_record.render(record), why, 0o600)


def to_side(spec, found, side, other, check=()):
    """Stop, check, set aside, write, reload, bring in, start, wait: Docker on that side, whatever was done of it before.

    When the drop-in is all that changes, it is written while Docker still serves, for systemd takes as long to read it as
    a fifth of a restart: a host that loses its power in between comes up with it.
    """
    services = ("docker.socket", "docker.service") if found.unit.socket_exists else ("docker.service",)
    stop = Command(("systemctl", "stop") + services, "stop Docker; its socket too, which would start it again", STOP_TIMEOUT)
    settings = write_settings(spec, found, side, other)
    # systemctl waits without asking over and over, which takes CPU from a Docker that is starting on a small host. The
    # article's own drop-in made it hang for ever: no start without a bound.
    start = Command(("systemctl", "start") + services, "start Docker", spec.docker.start_timeout)
    wait = WaitForDocker(
        found.host,
        "wait until the daemon answers, and hold its report to what was wanted",
        spec.docker.start_timeout,
        side.driver,
        side.pool,
        side.chunk_size,
    )
    early = not (side.moves or side.after) and found.daemon_json == side.daemon_json == other.daemon_json
    return ((*settings, stop, *check) if early else (stop, *check, *side.moves, *settings, *side.after)) + (start, wait)


def write_settings(spec, found, side, other):
    """[step]: the two files as that side has them, and systemd told of it."""
    wanted, steps = spec.docker, []
    for path, now, text, former, mode in (
        (found.daemon_json_path, found.daemon_json, side.daemon_json, other.daemon_json, None),
        (wanted.dropin, found.dropin_text, side.dropin, other.dropin, 0o644),
    ):
        if now == text == former:
            continue
        if text is None:
            steps.append(RemoveFile(path, "there was none"))
        else:
            steps.append(WriteFile(path, text, "Docker's storage: %s" % (side.pool or side.driver or "as before"), mode))
    steps += [
        Command(("systemctl", "daemon-reload"), "let systemd read the drop-in"),
        Command(("systemctl", "reset-failed", "docker.service"), "forget earlier failed starts", ok=(0, 1)),
    ]
    return steps
