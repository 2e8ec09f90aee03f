# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The desired state of one host (Spec). Values only; sizes are bytes as int, absent is None."""

from typing import NamedTuple, Optional, Tuple

PROVISION, GROW, REPLACE, ROLL_BACK, CLEAN_UP, REMOVE, REPAIR = GOALS = (
    "provision",
    "grow",
    "replace",
    "roll_back",
    "clean_up",
    "remove",
    "repair",
)


class Size(NamedTuple):
    """An LV size: a whole percent of the VG's extents, or bytes. Exactly one of the two is set."""

    percent: Optional[int]
    bytes: Optional[int]
    text: str


class ContainerdStorage(NamedTuple):
    """The desired devmapper snapshotter; the names and meanings are those of containerd's docs/snapshotters/devmapper.md.

    config_file: the path of our configuration file, "" when nothing is desired.  dropin: of our drop-in of containerd.service.
    root_path: the folder of its metadata.  base_image_size: of the file system that an image or a container gets.
    """

    config_file: str = ""
    dropin: str = ""
    root_path: str = "/var/lib/containerd/devmapper"
    base_image_size: Size = Size(None, 10 * 1024**3, "10GB")
    discard_blocks: bool = True
    async_remove: bool = False
    fs_type: str = "ext4"
    fs_options: str = ""
    start_timeout: int = 120


class Wipe(NamedTuple):
    """Leave to erase one signature from one disk; both must match what is found."""

    device: str
    signature: str


class Pool(NamedTuple):
    """The desired thin pool. chunk_size in bytes; the rest as in lvm.conf(5) and lvmthin(7).

    replace: whether disks of the VG that devices does not name are emptied and taken out, which is the goal REPLACE.
    """

    devices: Tuple[str, ...]
    vg: str = "vgdocker"
    name: str = "thinpool"
    data_size: Size = Size(75, None, "75%VG")
    metadata_size: Size = Size(1, None, "1%VG")
    chunk_size: int = 524288
    zero: bool = False
    autoextend_threshold: int = 80
    autoextend_percent: int = 20
    profile_name: str = "docker-thinpool"
    wipe: Tuple[Wipe, ...] = ()
    adopt_vg: bool = False
    require_autoextend: bool = False
    error_when_full: bool = False
    remove_data: bool = False
    replace: bool = False
    discards: str = "passdown"


class DockerStorage(NamedTuple):
    """The desired storage of Docker. engine is 'auto' or one of engines.ENGINES.

    dropin: the path of our drop-in of docker.service, "" when nothing is desired.
    config: where the storage settings go, 'dropin' (the command line) or 'daemon_json' (the drop-in then only orders).
    options: (("dm.NAME", value), ...) beside those that this tool sets, sorted.
    containers: 'keep', 'refuse' or 'discard', what becomes of containers when Docker changes its storage.
    commit_containers: whether an image is made of each.
    archive_dir: the folder of the image archives.  keep_archives: whether they stay once they are loaded.
    verify_archives: whether archives that are there already are read before Docker changes its storage.
    load_images: whether archived images are loaded in this run.
    roll_back_to: with the goal ROLL_BACK, 'previous', the storage that it had before, or 'overlay2'.
    """

    engine: str
    dropin: str
    start_timeout: int = 300
    config: str = "dropin"
    options: Tuple[Tuple[str, str], ...] = ()
    containers: str = "refuse"
    commit_containers: bool = False
    archive_dir: str = "/var/lib/direct-lvm/images"
    keep_archives: bool = True
    verify_archives: bool = True
    load_images: bool = True
    roll_back_to: str = "previous"

    @property
    def fs(self):
        """The file system that Docker is to make, "" for its own choice: xfs, and ext4 where xfs is not supported."""
        return dict(self.options).get("dm.fs", "")


class Spec(NamedTuple):
    """The desired state of one host. docker None: Docker is left as it is.

    containerd: always set beside docker, whose engine decides whether it is used.  docker and containerd None: the pool only.
    goal: what the run is for, one of GOALS.
    """

    pool: Pool
    docker: Optional[DockerStorage] = None
    containerd: Optional[ContainerdStorage] = None
    goal: str = PROVISION
