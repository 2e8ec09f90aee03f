# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was found on a host (Host). Sizes are bytes as int, extents are counts, absent is None."""

from typing import Dict, NamedTuple, Optional, Tuple, Union

from .archives import Unfit
from .lvm_report import Lvm

CONFIG = "/etc/containerd/config.toml"
ADDRESS = "/run/containerd/containerd.sock"
Value = Union[str, Tuple[str, ...]]


class Signature(NamedTuple):
    """One thing that blkid(8) or wipefs(8) found. offset in bytes, None when the probe does not say.

    usage: 'filesystem', 'raid', 'crypto', 'partition-table', 'other'.
    """

    type: str
    offset: Optional[int]
    usage: str
    label: str = ""


class Disk(NamedTuple):
    """A device as the operator named it, and everything that speaks for or against its being blank.

    path: the real /dev node (symlinks resolved), None when nothing is there.
    kind: 'disk', 'part', 'loop', 'raid', 'dm', 'mpath', 'lvm', 'rom', or 'not a block device' / 'directory' ...
    mounts: mount points of the device, its partitions and whatever is stacked on it.
    holders: kernel names stacked on it (md, dm), partitions not included.  held_by: the same as phrases.
    in_use: what holds it, as a phrase ("opened exclusively by another process"), None when O_EXCL opened.
    data_at: byte offset of the first non-zero byte within the first or last MiB when no signature explains it.
    label_header: True when the only non-zero bytes are LVM's metadata header without a label: the mark
        of a pvcreate that was killed.
    our_pv_uuid: the PV UUID that this tool gives to this disk on this host, so that an orphan PV left by
        a killed run is known as ours (PVs outside a VG cannot carry tags).
    pv_used: whether its PV label says that a volume group uses it.  pv_commits: the highest number among the metadata
        texts in its metadata area, 0 for none: 1 after a vgcreate, one more with each change of the group.
    unreadable: why it could not be told, None when everything was read.
    identity: what the kernel knows it by ("wwid ...", "serial ..."), which stays when it names the disk otherwise.
    inside: its partitions, each a Disk of its own, looked at as thoroughly; () when the disk was not probed.
    """

    asked: str
    path: Optional[str] = None
    kind: str = "disk"
    size: int = 0
    read_only: bool = False
    sector_size: int = 512
    partitions: Tuple[str, ...] = ()
    holders: Tuple[str, ...] = ()
    mounts: Tuple[str, ...] = ()
    swap: bool = False
    system: bool = False
    signatures: Tuple[Signature, ...] = ()
    data_at: Optional[int] = None
    label_header: bool = False
    in_use: Optional[str] = None
    our_pv_uuid: str = ""
    pv_used: bool = False
    pv_commits: int = 0
    unreadable: Optional[str] = None
    held_by: Tuple[str, ...] = ()
    inside: Tuple = ()
    identity: str = ""


class Unit(NamedTuple):
    """A systemd service as installed. files: (path, text) of fragment and drop-ins in systemd's order.

    command: the effective ExecStart without the drop-in that we own, as written (variables not expanded).
    socket_exists: whether systemd can start its socket unit, which it cannot when that is masked.
    arguments, environment: what the daemon's process was started with, () when none runs.  main_pid: its number, else 0.
    folder: the one in which it runs.  sockets: the paths of the unix sockets on which it listens.
    """

    load_state: str
    active_state: str
    need_reload: bool
    files: Tuple[Tuple[str, str], ...]
    command: str = ""
    socket_active: bool = False
    socket_exists: bool = False
    socket_masked: bool = False
    arguments: Tuple[str, ...] = ()
    environment: Tuple[str, ...] = ()
    main_pid: int = 0
    folder: str = ""
    sockets: Tuple[str, ...] = ()


class DockerInfo(NamedTuple):
    """The fields of `docker info` that storage depends on. status: DriverStatus as pairs."""

    version: str
    driver: str
    status: Tuple[Tuple[str, str], ...]
    root: str
    images: int
    containers: int
    warnings: Tuple[str, ...] = ()

    def field(self, name):
        """A DriverStatus value, '' when the driver does not print it."""
        return dict(self.status).get(name, "")


class Image(NamedTuple):
    """One image: id ("sha256:..."), every repo:tag that names it (none for a dangling one), size in bytes."""

    id: str
    tags: Tuple[str, ...]
    size: int


class Container(NamedTuple):
    """One container, running or not. status as `docker ps` prints it."""

    id: str
    name: str
    image: str
    status: str
    running: bool


class KeptContainer(NamedTuple):
    """A container that a switch takes along, from Docker's own record of it.

    image: "sha256:..." of what it was made from.  driver: the storage driver that its record names.
    running, paused: Docker calls a paused one running too.  removed_at_end: Docker removes it when it ends (--rm).
    task: a swarm's.  pod: a kubelet's.  service: PROJECT/SERVICE when compose made it.
    stop_timeout: seconds until Docker kills it.
    needs: IDs of those that must run before it starts.  volume_drivers: the plugins that its volumes are of, not `local`.
    """

    id: str
    name: str
    image: str
    driver: str
    running: bool = False
    paused: bool = False
    removed_at_end: bool = False
    task: bool = False
    pod: bool = False
    service: str = ""
    stop_timeout: int = 10
    needs: Tuple[str, ...] = ()
    volume_drivers: Tuple[str, ...] = ()


class Content(NamedTuple):
    """What Docker's data root holds, by its files alone. images: "DRIVER/ID" of all that a graph driver has.

    names: (DRIVER or CONTAINERD_STORE, name, image ID), sorted.  containers: the IDs of all, of any driver.
    """

    images: Tuple[str, ...] = ()
    names: Tuple[Tuple[str, str, str], ...] = ()
    containers: Tuple[str, ...] = ()


class SwitchRecord(NamedTuple):
    """What Docker had before it was switched, and how far the switch came: kept in switch_record.PATH.

    state: 'begun' (in the critical section), 'done' (Docker is on the pool) or 'back' (it went back).
    driver: the former storage driver.  pool: the former pool's device-mapper name when that driver was on one.
    dropin, daemon_json: the texts of both files, None: there was none.
    pending: images that were archived and are not loaded yet on the side where Docker is now.
    names: (name, image ID) that this side had when Docker came: a name that is elsewhere now was moved by somebody since.
    kept: (ID, "running", "paused" or "") of the containers that come along, and how each was.
    """

    state: str
    driver: str
    pool: str = ""
    dropin: Optional[str] = None
    daemon_json: Optional[str] = None
    pending: Tuple[Image, ...] = ()
    names: Tuple[Tuple[str, str], ...] = ()
    kept: Tuple[Tuple[str, str], ...] = ()


class Live(NamedTuple):
    """What only a switch that keeps the containers needs to know.

    records: a KeptContainer of each container that Docker lists, or that a switch that was cut off was to keep.
    layers: IDs of containers that have a file system on the pool's side, which stands aside.  known: those of which the second
        daemon's folder knows.
    written: ((ID, bytes), ...) of what containers wrote outside of volumes.  unique: bytes of all layers of images, each once.
    shadow: how it is with the folder of the second daemon: "" none, "idle", "used" (containers' layers were brought to what it
        made, so they are no longer as new), "unfinished" (what it made has not all been handed over).
    transaction: the one that the second daemon's own metadata has open, None when there is none.
    program: the path of dockerd, None when it is not found.  lacks: flags that it does not have.
    containerd: the socket of the containerd that Docker uses.  free: bytes, of the data root's file system.
    """

    records: Tuple[KeptContainer, ...] = ()
    layers: Tuple[str, ...] = ()
    known: Tuple[str, ...] = ()
    written: Tuple[Tuple[str, int], ...] = ()
    unique: int = 0
    shadow: str = ""
    transaction: Optional[int] = None
    program: Optional[str] = None
    lacks: Tuple[str, ...] = ()
    containerd: str = ""
    free: int = 0


class Docker(NamedTuple):
    """Docker on this host. version None: not installed. info None: the daemon did not answer (why in problem).

    conflicts: sentences about storage settings found elsewhere.  volumes: names of the local ones.
    least_bytes: what the images surely have when a layer that several of them share is counted once.
    archived: IDs of images whose whole archive, with all tags, is there.
    archive_free: free bytes where the archives go, None when not asked.  archive_unfit: see archives.Unfit.
    root: the data root; root_state: what stands in it, see docker_root.root_state().
    transaction: the thin pool transaction that Docker's own metadata has open, None when there is none.
    can: whether the installed daemon was built with the devicemapper driver.
    mounted: names below root that a switch may have to rename and that are mount points.
    build_cache: whether BuildKit has built here by a graph driver.  plugins: how many Docker manages.
    nameless: references by digest of images that have no tag.  rootless: sockets of users' own daemons.
    env_files: (path, text) of the unit's EnvironmentFile=s, in order.
    content: what the data root held before anything else was asked, None when no switch may be due.
    store: (containerd's socket, namespace) when the images are, or will be, in containerd; None otherwise.
    namespace: containerd's namespace of Docker's containers.
    containerd_config: the config.toml of containerd.service.  client: whether the program `docker` is installed.
    live: a Live, None when containers are not to be kept.
    former: None when no switch was ever begun.  left: (path, bytes) of what the former driver left; only to clean.
    """

    version: Optional[str]
    unit: Optional[Unit] = None
    info: Optional[DockerInfo] = None
    problem: str = ""
    conflicts: Tuple[str, ...] = ()
    images: Tuple[Image, ...] = ()
    containers: Tuple[Container, ...] = ()
    volumes: Tuple[str, ...] = ()
    least_bytes: int = 0
    archived: Tuple[str, ...] = ()
    archive_free: Optional[int] = None
    archive_unfit: Optional[Unfit] = None
    dropin_text: Optional[str] = None
    daemon_json: Optional[str] = None
    daemon_json_path: str = "/etc/docker/daemon.json"
    root: str = "/var/lib/docker"
    root_state: Tuple[str, ...] = ()
    transaction: Optional[int] = None
    can: bool = True
    former: Optional[SwitchRecord] = None
    left: Tuple[Tuple[str, int], ...] = ()
    mounted: Tuple[str, ...] = ()
    build_cache: bool = False
    plugins: int = 0
    nameless: Tuple[str, ...] = ()
    rootless: Tuple[str, ...] = ()
    host: str = "unix:///var/run/docker.sock"
    env_files: Tuple[Tuple[str, str], ...] = ()
    content: Optional[Content] = None
    store: Optional[Tuple[str, str]] = None
    namespace: str = "moby"
    containerd_config: str = "/etc/containerd/config.toml"
    client: bool = True
    live: Optional[Live] = None

    def begun(self):
        """Whether a switch was begun and cut off: what runs now may be neither side."""
        return self.former is not None and self.former.state == "begun"


class Missing(NamedTuple):
    """A tool or kernel part that is not there, and the packages that bring it."""

    name: str
    why: str
    debian: str
    redhat: str


class Containerd(NamedTuple):
    """containerd on this host.

    plugin: the devmapper snapshotter's status as `ctr plugins ls` says ("ok", "skip", "error"), "absent" when it is not
        built in, None when containerd did not answer (why in problem).
    program: the path of containerd itself, "" when a script starts it and it is down.
    config_path, config_text: config.toml, None when there is none.  own_text: our file.  dropin_text: our drop-in.
    other_config: the config.toml that its next start reads, when that is another one; "" otherwise.
    docker_address: the socket on which Docker asks its containerd, "" when there is no Docker.
    elsewhere: ((path, pool), ...) of a pool that its configuration names without our file.
    dump_problem: why containerd could not read its own configuration, "" when it could, or was not asked to.
    databases: device-mapper names of the pools for which there is metadata below root_path.
    snapshots: ((namespace, key), ...) in the snapshotter, children before their parents; None when not asked.
    tasks: ((namespace, ID), ...) of the containers that run on the snapshotter; asked for together with snapshots.
    """

    unit: Unit
    address: str = ADDRESS
    plugin: Optional[str] = None
    problem: str = ""
    version: str = ""
    program: str = ""
    other_config: str = ""
    docker_address: str = ""
    dump_problem: str = ""
    config_path: str = CONFIG
    config_text: Optional[str] = None
    own_text: Optional[str] = None
    dropin_text: Optional[str] = None
    elsewhere: Tuple[Tuple[str, str], ...] = ()
    databases: Tuple[str, ...] = ()
    snapshots: Optional[Tuple[Tuple[str, str], ...]] = None
    tasks: Tuple[Tuple[str, str], ...] = ()

    @property
    def installed(self):
        """Whether there is a containerd.service."""
        return self.unit.load_state == "loaded"


class Settings(NamedTuple):
    """What lvm.conf and its like say, defaults included.

    values: {"section/name": value}, an array as a tuple; what has no default and is not set is not there.
    lines: {"section/name": "FILE line N"} where a file in /etc/lvm sets it, the last such line.
    autoactivation: names, VG or VG/LV, whose property of that name is off (lvmautoactivation(7)).
    lockd: whether lvmlockd runs.
    """

    values: Dict[str, Value]
    lines: Dict[str, str] = {}
    autoactivation: Tuple[str, ...] = ()
    lockd: bool = False

    def text(self, name):
        """A single value, "" when it is not set."""
        value = self.values.get(name, "")
        return ", ".join(value) if isinstance(value, tuple) else value

    def listed(self, name):
        """An array as a tuple; a single value as one; None when it is not set."""
        value = self.values.get(name)
        return value if value is None or isinstance(value, tuple) else (value,)


class Host(NamedTuple):
    """Everything the planner may know.

    profile_text: the LVM profile's file, None when it is not there.
    snapshotter_pools: device-mapper names of pools that containerd's configuration names.
    containerd: a Containerd, None when it was not looked at.
    transaction: the kernel's transaction id of the pool (Docker counts it, LVM does not), None when not asked.
    irregular: ((path, what it is), ...) of files that a plan may replace, where something else than a file stands.
    orphans: PVs of no VG that carry the UUID which this tool gives them, and are not among the disks; only to replace.
    unlisted: the PVs of our VG that are not among the disks, under names that stay; sysfs only.
    unusable: (path, why in LVM's words) of the new disks that LVM would not take as they are.
    settings: a Settings, None when nothing is due and LVM was not asked.
    """

    disks: Tuple[Disk, ...]
    lvm: Lvm
    profile_text: Optional[str] = None
    missing: Tuple[Missing, ...] = ()
    snapshotter_pools: Tuple[str, ...] = ()
    docker: Optional[Docker] = None
    transaction: Optional[int] = None
    containerd: Optional[Containerd] = None
    orphans: Tuple[str, ...] = ()
    irregular: Tuple[Tuple[str, str], ...] = ()
    unlisted: Tuple[Disk, ...] = ()
    unusable: Tuple[Tuple[str, str], ...] = ()
    settings: Optional[Settings] = None
