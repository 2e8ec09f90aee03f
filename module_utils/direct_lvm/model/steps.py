# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to do, as values: the planner makes them, apply.py carries them out (its EFFECTS). Sizes are bytes.

kind: what a step is, in a word.  about: what it is about, by the keys that belong to its kind. The module direct_lvm returns both,
and its RETURN documents each.
"""

from typing import NamedTuple, Optional, Tuple

from .host import Container, Content, Disk, Image

REPAIR = "repair_metadata"  # the kind of the command that writes a pool's metadata anew


class Command(NamedTuple):
    """Run argv. timeout in seconds, None: the module's command_timeout. ok: return codes that mean success.

    says: lines that it has to print, without the spaces in them; for a command that is asked and changes nothing.
    if_it_fails: a sentence for the operator, what to do then.
    kind: another word than "command" where the answer has to tell whether it was run.
    """

    argv: Tuple[str, ...]
    why: str
    timeout: Optional[int] = None
    ok: Tuple[int, ...] = (0,)
    says: Tuple[str, ...] = ()
    if_it_fails: str = ""
    kind: str = "command"
    about = property(lambda step: {"argv": list(step.argv)})


def activation(name, value, why, **options):
    """The Command that activates an LV (VG/LV): value "y", or takes it down: "n"."""
    return Command(("lvchange", "--activate", value, name), why, **options)


def forget_failures(unit):
    """The Command without which systemd may not start a unit that failed often."""
    return Command(("systemctl", "reset-failed", unit), "forget earlier failed starts", ok=(0, 1))


class IfFails(NamedTuple):
    """Run test, and when it returns one of codes, carry steps out."""

    test: Command
    codes: Tuple[int, ...]
    steps: Tuple


class RemoveThinDevices(NamedTuple):
    """Take down every thin device that is active on a pool (a device-mapper name), whoever made it."""

    kind = "remove_thin_devices"
    about = property(lambda step: {"argv": ["dmsetup", "remove", "--retry", "(each thin device of %s)" % step.pool]})
    pool: str
    why: str


class WriteFile(NamedTuple):
    """Replace path by text, atomically; nothing is written where that is so already. mode None: as it is."""

    kind = "write_file"
    about = property(lambda step: {"file": step.path})
    path: str
    text: str
    why: str
    mode: Optional[int] = 0o644


class StageFiles(NamedTuple):
    """Write each WriteFile beside its place, for a daemon that is stopped only once all of them are on the disk.

    What is not used is removed when the steps in which this is one end, however they end.
    """

    kind = "check"
    about = property(lambda step: {"check": "space for " + ", ".join(one.path for one in step.files)})
    files: Tuple[WriteFile, ...]
    why: str


class RemoveFile(NamedTuple):
    """Remove path if it is there."""

    kind = "remove_file"
    about = property(lambda step: {"file": step.path})
    path: str
    why: str


class AssertBlank(NamedTuple):
    """Stop unless nothing is found on this device: asked again right before something is made of it."""

    kind = "check"
    about = property(lambda step: {"check": step.path})
    path: str
    why: str


class AssertUnchanged(NamedTuple):
    """Stop unless the disk is what it was when it was planned to be erased: somebody may have mounted it since."""

    kind = "check"
    about = property(lambda step: {"check": step.disk.path})
    disk: Disk
    why: str


class Move(NamedTuple):
    """Rename a folder of Docker's data root. Nothing to do when source is gone or target is there: done before.

    only_if: paths that must all be there.
    """

    kind = "rename"
    about = property(lambda step: {"move": [step.source, step.target]})
    source: str
    target: str
    why: str
    only_if: Tuple[str, ...] = ()


class ArchiveImage(NamedTuple):
    """docker save of one image with all its tags, verified, into folder. One that is there is verified, and kept when whole."""

    kind = "archive_image"
    about = property(lambda step: {"archive": step.image.id})
    host: str
    image: Image
    folder: str
    why: str


class LoadImage(NamedTuple):
    """docker load of one archived image, unless Docker has it. keep: whether the archive stays.  names: see SwitchRecord."""

    kind = "load_image"
    about = property(lambda step: {"load": step.image.id})
    host: str
    image: Image
    folder: str
    keep: bool
    why: str
    names: Tuple[Tuple[str, str], ...] = ()


class KeepContainer(NamedTuple):
    """Write a container's `docker inspect` into folder; commit: make an image of its file system too."""

    kind = "keep_container"
    about = property(lambda step: {"keep": step.container.id})
    host: str
    container: Container
    folder: str
    commit: bool
    why: str


class Replan(NamedTuple):
    """What was done so far makes something whose name is not known before: observe and plan anew for the rest."""

    kind = "plan_again"
    about = {"check": "docker images"}
    why: str


class UntilMoved(NamedTuple):
    """A pvmove that empties device goes on without us, and what follows has to wait for its end: stop here, all is well.

    The next run finds the move where it is then.
    """

    kind = "move_data"
    about = property(lambda step: {"moves": step.device})
    device: str
    why: str


class WaitForDocker(NamedTuple):
    """Ask the daemon at host (a unix:// address) until it answers, at most timeout seconds; then its report must agree.

    driver: the storage driver that it must name, "" for any; pool, chunk_size (bytes): the thin pool, when it is on one.
    """

    kind = "wait"
    about = {"check": "docker info"}
    host: str
    why: str
    timeout: int
    driver: str = ""
    pool: str = ""
    chunk_size: int = 0


class CheckConfiguration(NamedTuple):
    """Have containerd (program) read config.toml (None: no such file) and our file before they are written; it must name pool.

    config_path: where that config.toml stands, which its relative imports start at.
    """

    kind = "check"
    about = {"check": "containerd config dump"}
    program: str
    config_text: Optional[str]
    own_text: str
    pool: str
    why: str
    config_path: str = "/etc/containerd/config.toml"


class WaitForContainerd(NamedTuple):
    """Ask containerd at address (a socket's path) until it answers, at most timeout seconds.

    plugin: the status that its devmapper snapshotter must have, "" for any.
    former: the process that answered before the restart, whose answer does not count; 0 for none.
    """

    kind = "wait"
    about = {"check": "ctr plugins ls"}
    address: str
    why: str
    timeout: int
    plugin: str = ""
    former: int = 0


class DropSnapshots(NamedTuple):
    """Remove every snapshot of containerd's devmapper snapshotter, in all namespaces."""

    kind = "remove_snapshots"
    about = {"argv": ["ctr", "snapshots", "--snapshotter", "devmapper", "rm"]}
    address: str
    why: str


class RemoveTree(NamedTuple):
    """Remove a folder and everything in it. size: bytes, None when they were not counted."""

    kind = "remove_tree"
    about = property(lambda step: {"remove": step.path, "size": step.size})
    path: str
    size: Optional[int]
    why: str


class FillPool(NamedTuple):
    """Have a second daemon bring images, and a file system for each container, onto the pool while Docker serves.

    What Docker will find as its own stands then in its data root (root) with the suffix OURS.
    host: Docker's socket.  containerd: the socket of the containerd that both use.  program, flags: the second daemon's.
    images: IDs that it lacks.  containers: ((ID, image ID), ...) that have no file system there.
    gone: IDs of images, and stale of containers, that are there and have to go.
    """

    kind = "fill_pool"
    about = property(lambda step: {"images": list(step.images), "containers": [one for one, _image in step.containers]})
    host: str
    root: str
    containerd: str
    program: str
    flags: Tuple[str, ...]
    images: Tuple[str, ...]
    containers: Tuple[Tuple[str, str], ...]
    gone: Tuple[str, ...]
    stale: Tuple[str, ...]
    timeout: int
    why: str


class BringLayers(NamedTuple):
    """Write what containers (IDs) wrote on overlay2 onto their file systems on the pool (a device-mapper name). Docker is down."""

    kind = "bring_layers"
    about = property(lambda step: {"containers": list(step.containers)})
    root: str
    pool: str
    containers: Tuple[str, ...]
    why: str


class CopyImageRecords(NamedTuple):
    """Have the pool's side know the images by the same names, parents and registries as the storage driver `driver`."""

    kind = "copy_records"
    about = property(lambda step: {"copy": "%s/image/%s" % (step.root, step.driver)})
    root: str
    driver: str
    why: str


class SetDriver(NamedTuple):
    """Have containers (IDs) belong to the storage driver `driver`; former: the one that they may belong to now.

    Those in ran are not noted as stopped by their owner: it was done for the switch.
    """

    kind = "set_driver"
    about = property(lambda step: {"containers": list(step.containers)})
    root: str
    containers: Tuple[str, ...]
    driver: str
    former: str
    ran: Tuple[str, ...]
    why: str


class AssertKept(NamedTuple):
    """Stop unless the daemon at host has these images and containers (IDs). root: its data root."""

    kind = "check"
    about = {"check": "docker images, docker ps"}
    host: str
    root: str
    images: Tuple[str, ...]
    containers: Tuple[str, ...]
    why: str


class AssertContent(NamedTuple):
    """Raise Changed unless Docker holds what was planned for: asked right before it is stopped, and again after.

    root: its data root.  store: (containerd's socket, namespace) when containerd has the images, None otherwise.
    stopped: whether Docker is down, so that no container of this namespace may have a process left, nor the daemon itself.
    pid: the daemon's process at the look, 0 for none.
    """

    kind = "check"
    about = {"check": "what Docker holds"}
    root: str
    content: Content
    store: Optional[Tuple[str, str]]
    namespace: str
    stopped: bool
    why: str
    pid: int = 0


class StartContainers(NamedTuple):
    """Start these containers, and those that nobody knew of when the plan was made but that ended when Docker was stopped.

    root: Docker's data root.  timeout in seconds.
    """

    kind = "start_containers"
    host: str
    root: str
    ids: Tuple[str, ...]
    timeout: int
    why: str

    @property
    def about(self):
        """What starts them, and what is asked while it is not known which."""
        return {"argv": ["docker", "--host", self.host, "start", *self.ids]} if self.ids else {"check": "docker ps"}


class Transaction(NamedTuple):
    """The critical section: all of steps, or the way back and what follows it. service: the daemon that is restarted in it.

    way_back: ends with a daemon that answers.  afterwards: due after it, or alone when the daemon was not stopped yet.
    last: due once all of steps are done. When that fails it is told, and nothing is taken back: the next run does it.
    """

    steps: Tuple
    way_back: Tuple
    why: str
    service: str = "docker"
    afterwards: Tuple = ()
    last: Tuple = ()
