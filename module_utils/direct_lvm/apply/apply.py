# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry the planned steps of the module direct_lvm out. It decides nothing."""

import os
import signal
import time
from contextlib import contextmanager
from itertools import takewhile

from ..facts import containerd, disks, docker_content
from ..host import commands, files, staged, trees
from ..images import container_records, images
from ..model import steps as kinds
from ..model.errors import Changed, CommandFailed, Refused
from ..model.quoting import openers, paste
from . import daemon, kept_containers, second_daemon, thin_devices

IMAGE_TIMEOUT = 6 * 3600  # seconds: docker save and load of tens of gigabytes on a slow disk


class SwitchFailed(Exception):
    """Docker or containerd did not come up on the new storage. The text says what failed and how it is now."""


class Done(list):
    """The steps that have happened, in order. downtime: seconds for which Docker did not answer meanwhile.

    stopped_at: when a service was first stopped or restarted since the last critical section began, in seconds since the
    epoch; None while none was.  sentences: what the operator has to be told.
    """

    downtime = 0.0
    stopped_at = None

    def __init__(self):
        super(Done, self).__init__()
        self.sentences = []


def execute(steps, done):
    """Carry steps out in order. done: a Done that gets each step once it has happened.

    Returns False when the rest has to be planned anew (steps.Replan), True when all was done, or all that can be done
    while LVM moves data in the background (steps.UntilMoved).
    Raises CommandFailed, Refused, SwitchFailed or OSError; nothing is done after the step that raised.
    """
    steps = tuple(steps)
    try:
        return in_order(steps, done)
    finally:
        for step in steps:
            if isinstance(step, kinds.StageFiles):
                unstage(step)


def in_order(steps, done):
    """The work of execute()."""
    stopped = None
    for step in steps:
        if isinstance(step, kinds.Replan):
            return False
        if isinstance(step, kinds.UntilMoved):
            return True
        if isinstance(step, kinds.Transaction):
            transact(step, done)
            continue
        if isinstance(step, kinds.IfFails):
            if_fails(step, done)
            continue
        if isinstance(step, kinds.Command) and step.argv[:2] == ("systemctl", "stop"):
            stopped = time.monotonic()
        if interrupts(step):
            done.stopped_at = done.stopped_at or time.time()
        try:
            run_step(step, done)
        except Exception:
            done.downtime += time.monotonic() - stopped if stopped else 0.0
            raise
        done.append(step)
        if stopped and isinstance(step, kinds.WaitForDocker):
            done.downtime += time.monotonic() - stopped
            stopped = None
    return True


def interrupts(step):
    """Whether a step ends a daemon that serves."""
    return isinstance(step, kinds.Command) and step.argv[:2] in (("systemctl", "stop"), ("systemctl", "restart"))


def run_step(step, done):
    """Carry a single step out."""
    EFFECTS[type(step)](step, done)


def write_file(step):
    """Put a file in place, with the labels of the host's policy."""
    staged.put_text(step.path, step.text, step.mode)
    files.relabel(step.path)


def stage_files(step):
    """Have all files of a step on the disk before the first of them is put in place."""
    for one in step.files:
        staged.stage(one.path, one.text, one.mode)


def unstage(step):
    """Remove what of them was not put in place."""
    for one in step.files:
        staged.unstage(one.path)


def load_image(step, done):
    """Load an image; what the operator has to be told of it is kept."""
    done.sentences += images.load(step.host, step.image, step.folder, IMAGE_TIMEOUT, step.keep, step.names)[1]


def ask(step):
    """Run a command, and hold what it prints to what the step says. Raises CommandFailed."""
    try:
        printed = commands.run(step.argv, timeout=step.timeout, ok=step.ok).out
    except CommandFailed as failure:
        if not step.if_it_fails:
            raise
        raise CommandFailed(failure.argv, failure.problem, "%s\n%s" % (failure.err, step.if_it_fails)) from failure
    unsaid = [line for line in step.says if line not in printed.replace(" ", "").split("\n")]
    if unsaid:
        raise CommandFailed(step.argv, "does not say %s" % ", ".join(unsaid), printed[:200])


def if_fails(step, done):
    """A test, and what is due when it fails with one of the codes that say so; any other failure is one."""
    result = commands.run(step.test.argv, timeout=step.test.timeout, ok=step.test.ok + step.codes)
    done.append(step.test)
    if result.rc in step.codes:
        execute(step.steps, done)


def recheck_devices(steps):
    """For check mode: what a real run looks at before it overwrites, as far as it is there already. Raises Refused."""
    for step in steps:
        if isinstance(step, kinds.AssertBlank) and os.path.exists(step.path):
            assert_blank(step)


def assert_blank(step):
    """Refuse when a device that is about to be overwritten is used, or carries a signature.

    Bytes without a signature are no reason: a new LV has on it what its disk held before.
    """
    disk = disks.observe_disk(step.path)
    reason = disk.in_use or disk.unreadable
    if disk.path is None and not reason:
        reason = "it is not there"
    if disk.signatures:
        reason = ", ".join(signature.type for signature in disk.signatures) + " found on it"
    if reason:
        raise Refused(
            "%s is not blank: %s." % (step.path, reason),
            "Look at it: wipefs %s. If nobody needs it: lvremove it." % paste(step.path),
        )


def assert_unchanged(step):
    """Refuse when a disk that is about to be erased, as allowed, is in use now, or holds something else."""
    if disks.observe_disk(step.disk.asked) != step.disk:
        raise Refused(
            "%s has changed between the look at it and the moment of erasing it: somebody uses it." % step.disk.path,
            "See who: lsblk %s; %s" % (paste(step.disk.path), openers(step.disk.path)),
        )


def transact(step, done):
    """The critical section. When any step of it fails, the way back is taken before the failure is told.

    Raises Changed when Docker holds something else than was planned for, and serves as before; SwitchFailed for the rest.
    """
    name = {"docker": "Docker"}.get(step.service, step.service)
    done.stopped_at = None
    with hang_ups_ignored():
        try:
            execute(step.steps, done)
        except Exception as failure:  # whatever it is: the daemon must not stay down
            log = daemon.journal(step.service)
            serves = take_back(step, done, failure, name, log)
            if isinstance(failure, Changed):
                raise
            raise SwitchFailed("%s\n%s\nThe daemon's log:\n%s" % (failure, serves, log)) from failure
        try:
            execute(step.last, done)
        except Exception as failure:  # no reason to stop a daemon that serves
            done.sentences.append(
                "%s serves with its new configuration, yet what was to follow failed: %s\nThe next run does it." % (name, failure)
            )


def take_back(step, done, failure, name, log):
    """The way back of a switch that failed. Returns how the daemon is then, as a sentence. Raises SwitchFailed when it fails too.

    A daemon that was not stopped is not restarted: only the settings that were written go back.
    """
    back, stopped = Done(), done.stopped_at is not None
    back.stopped_at = done.stopped_at
    undo = step.way_back if stopped else takewhile(lambda each: not interrupts(each), step.way_back)
    serves = "%s runs again as before, with its former configuration and data." % name
    try:
        execute(undo, back)
    except Exception as worse:
        state = "%s %s" % (name, daemon.state(step.service) if stopped else "was not stopped, and serves")
        raise SwitchFailed("%s\nThe way back failed too, %s: %s\nThe daemon's log:\n%s" % (failure, state, worse, log)) from worse
    finally:
        done.downtime += back.downtime
    try:
        execute(step.afterwards, back)
    except Exception as worse:
        raise SwitchFailed("%s\n%s Yet what follows failed: %s\nThe daemon's log:\n%s" % (failure, serves, worse, log)) from worse
    return serves if stopped else "%s was not stopped, and serves as before." % name


@contextmanager
def hang_ups_ignored():
    """A controller that is lost in the middle must not stop the section half-way: no SIGHUP, SIGINT, SIGTERM, SIGPIPE."""
    names = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)
    former = [signal.signal(name, signal.SIG_IGN) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, former):
            signal.signal(name, handler)


# What is done for each step; execute() itself knows those that are about other steps.
EFFECTS = {
    kinds.Command: lambda step, _done: ask(step),
    kinds.WriteFile: lambda step, _done: write_file(step),
    kinds.StageFiles: lambda step, _done: stage_files(step),
    kinds.RemoveFile: lambda step, _done: files.remove(step.path),
    kinds.AssertBlank: lambda step, _done: assert_blank(step),
    kinds.AssertUnchanged: lambda step, _done: assert_unchanged(step),
    kinds.WaitForDocker: lambda step, _done: daemon.wait(step),
    kinds.CheckConfiguration: lambda step, _done: containerd.check_configuration(step),
    kinds.WaitForContainerd: lambda step, _done: containerd.wait(step),
    kinds.DropSnapshots: lambda step, _done: containerd.drop_snapshots(step),
    kinds.Move: lambda step, _done: files.move(step.source, step.target, step.only_if),
    kinds.ArchiveImage: lambda step, _done: images.save(step.host, step.image, step.folder, IMAGE_TIMEOUT),
    kinds.LoadImage: load_image,
    kinds.KeepContainer: lambda step, _done: container_records.save_container(
        step.host, step.container.id, step.folder, step.commit, IMAGE_TIMEOUT
    ),
    kinds.FillPool: lambda step, _done: second_daemon.fill(step),
    kinds.BringLayers: lambda step, _done: kept_containers.bring_layers(step),
    kinds.CopyImageRecords: lambda step, _done: kept_containers.copy_image_records(step),
    kinds.SetDriver: lambda step, _done: kept_containers.set_driver(step),
    kinds.AssertKept: lambda step, _done: kept_containers.assert_kept(step),
    kinds.AssertContent: lambda step, _done: docker_content.check(step),
    kinds.StartContainers: lambda step, done: docker_content.start(step, done.stopped_at),
    kinds.RemoveThinDevices: lambda step, _done: thin_devices.remove(step),
    kinds.RemoveTree: lambda step, _done: trees.remove_tree(step.path),
}
