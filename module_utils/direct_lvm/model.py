# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The nouns: what is wanted (Spec), what is there (Host), what to do (steps), and why not (Refused).

Values only, no behaviour that reads or changes a host. Sizes are bytes as int, extents are counts,
absent is None. Python 3.6, standard library.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from typing import NamedTuple, Optional, Tuple

from .lvm_report import Lvm
from .quoting import safe


class Refused(Exception):
    """The host is not touched, or not touched further. The text is for the operator.

    what: one sentence, what was found and where.  way_out: commands or YAML to paste, and what they cost.
    """

    def __init__(self, what, way_out=""):
        self.what, self.way_out = safe(what), safe(way_out)
        super(Refused, self).__init__(self.what + ("\n" + self.way_out if way_out else ""))


class Changed(Refused):
    """Docker holds something else than when it was looked at: look and plan anew. Docker serves as before when this is raised."""


# --- what is wanted -----------------------------------------------------------------------------------


class Size(NamedTuple):
    """An LV size: a whole percent of the VG's extents, or bytes. Exactly one of the two is set."""

    percent: Optional[int]
    bytes: Optional[int]
    text: str


class Wipe(NamedTuple):
    """Leave to erase one signature from one disk; both must match what is found."""

    device: str
    signature: str


class Pool(NamedTuple):
    """The wanted thin pool. chunk_size in bytes; threshold, percent and discards as in lvm.conf(5)."""

    devices: Tuple[str, ...]
    vg: str = "vgdocker"
    name: str = "thinpool"
    data_size: Size = Size(75, None, "75%VG")
    metadata_size: Size = Size(1, None, "1%VG")
    chunk_size: int = 524288
    zero: bool = False
    threshold: int = 80
    percent: int = 20
    profile_name: str = "docker-thinpool"
    profile_text: str = ""
    wipe: Tuple[Wipe, ...] = ()
    adopt_vg: bool = False
    require_autoextend: bool = False
    error_when_full: bool = False
    remove_data: bool = False
    replace: bool = False
    discards: str = "passdown"


class DockerStorage(NamedTuple):
    """The wanted storage of Docker. engine is 'auto' or one of engines.ENGINES.

    config: where the storage settings go, 'dropin' (dropin_text carries VENDOR_COMMAND where the installed unit's own
        command line goes) or 'daemon_json' (daemon_json_text is the JSON object to merge; dropin_text then only orders).
    containers: 'refuse' or 'discard', what to do with containers, which cannot cross drivers; commit: make images of them.
    archive: the folder of the image archives.  keep_archives: whether they stay once they are loaded.
    verify: whether archives that are there already are read before Docker changes its storage.
    load: whether archived images are loaded in this run.
    fs: the file system that Docker is to make, "" for its own choice: xfs, and ext4 where xfs is not supported.
    back: go back, to 'former', what Docker had before, or to 'overlay2'; "" to stay on the pool.
    clean: remove what the former driver left.
    """

    engine: str
    dropin: str
    dropin_text: str
    start_timeout: int = 300
    config: str = "dropin"
    daemon_json_text: str = "{}"
    containers: str = "refuse"
    commit: bool = False
    archive: str = "/var/lib/direct-lvm/images"
    keep_archives: bool = True
    verify: bool = True
    load: bool = True
    fs: str = ""
    back: str = ""
    clean: bool = False


class Spec(NamedTuple):
    """Everything wanted of one host. docker None: Docker is left as it is.

    containerd: a containerd_config.ContainerdStorage, for the engines that use it. Both None: the pool only.
    repair: the pool's metadata are to be checked, and repaired when they are damaged; nothing else is done.
    """

    pool: Pool
    docker: Optional[DockerStorage] = None
    present: bool = True
    containerd: Optional[object] = None
    repair: bool = False


VENDOR_COMMAND = "@@VENDOR_COMMAND@@"
MANAGED = "# Managed by direct_lvm"  # first line of every file of ours
SIZE_TAG = "direct-lvm/data_size="  # + the wanted size, so that a later, smaller wish is told from autoextend's work
ADOPTED_TAG = "direct-lvm/adopted"  # on a VG that others made, so that a run without thin_pool_adopt_vg knows it too
CONTAINERD_STORE = "containerd"  # in Content.names, the place of a storage driver's name where containerd keeps the images
TAG = "direct-lvm"  # on what we made; on the VG it is written in the commit that creates it


# --- what is there --------------------------------------------------------------------------------------


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


class Content(NamedTuple):
    """What Docker's data root holds, by its files alone. images: "DRIVER/ID" of all that a graph driver has.

    names: (DRIVER or CONTAINERD_STORE, name, image ID), sorted.  containers: the IDs of all, of any driver.
    """

    images: Tuple[str, ...] = ()
    names: Tuple[Tuple[str, str, str], ...] = ()
    containers: Tuple[str, ...] = ()


class Former(NamedTuple):
    """What Docker had before it was switched, and how far the switch came: kept in switch_record.PATH.

    state: 'begun' (in the critical section), 'done' (Docker is on the pool) or 'back' (it went back).
    driver: the former storage driver.  pool: the former pool's device-mapper name when that driver was on one.
    dropin, daemon_json: the texts of both files, None: there was none.
    pending: images that were archived and are not loaded yet on the side where Docker is now.
    names: (name, image ID) that this side had when Docker came: a name that is elsewhere now was moved by somebody since.
    """

    state: str
    driver: str
    pool: str = ""
    dropin: Optional[str] = None
    daemon_json: Optional[str] = None
    pending: Tuple[Image, ...] = ()
    names: Tuple[Tuple[str, str], ...] = ()


class Docker(NamedTuple):
    """Docker on this host. version None: not installed. info None: the daemon did not answer (why in problem).

    conflicts: sentences about storage settings found elsewhere.  volumes: names of the local ones.
    least_bytes: what the images surely have when a layer that several of them share is counted once.
    archived: IDs of images whose whole archive, with all tags, is there.
    archive_free: free bytes where the archives go, None when not asked.  archive_unfit: see archive_folder.Unfit.
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
    archive_unfit: Optional[object] = None
    dropin_text: Optional[str] = None
    daemon_json: Optional[str] = None
    daemon_json_path: str = "/etc/docker/daemon.json"
    root: str = "/var/lib/docker"
    root_state: Tuple[str, ...] = ()
    transaction: Optional[int] = None
    can: bool = True
    former: Optional[Former] = None
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

    def begun(self):
        """Whether a switch was begun and cut off: what runs now may be neither side."""
        return self.former is not None and self.former.state == "begun"


class Missing(NamedTuple):
    """A tool or kernel part that is not there, and the packages that bring it."""

    name: str
    why: str
    debian: str
    redhat: str


class Host(NamedTuple):
    """Everything the planner may know.

    profile_text: the LVM profile's file, None when it is not there.
    snapshotter_pools: device-mapper names of pools that containerd's configuration names.
    containerd: a containerd_config.Containerd, None when it was not looked at.
    transaction: the kernel's transaction id of the pool (Docker counts it, LVM does not), None when not asked.
    irregular: ((path, what it is), ...) of files that a plan may replace, where something else than a file stands.
    orphans: PVs of no VG that carry the UUID which this tool gives them, and are not among the disks; only to replace.
    unlisted: the PVs of our VG that are not among the disks, under names that stay; sysfs only.
    unusable: (path, why in LVM's words) of the new disks that LVM would not take as they are.
    settings: a lvm_settings.Settings, None when nothing is due and LVM was not asked.
    """

    disks: Tuple[Disk, ...]
    lvm: Lvm
    profile_text: Optional[str] = None
    missing: Tuple[Missing, ...] = ()
    snapshotter_pools: Tuple[str, ...] = ()
    docker: Optional[Docker] = None
    transaction: Optional[int] = None
    containerd: Optional[object] = None
    orphans: Tuple[str, ...] = ()
    irregular: Tuple[Tuple[str, str], ...] = ()
    unlisted: Tuple[Disk, ...] = ()
    unusable: Tuple[Tuple[str, str], ...] = ()
    settings: Optional[object] = None
