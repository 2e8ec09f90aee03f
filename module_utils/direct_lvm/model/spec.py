# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The desired state of one host (Spec). Values only; sizes are bytes as int, absent is None."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from typing import NamedTuple, Optional, Tuple


class ContainerdStorage(NamedTuple):
    """The wanted devmapper snapshotter.

    config, config_text: our configuration file, with MARKERS.  dropin, dropin_text: our drop-in of containerd.service, with
    CHECKSUM.  root_path: the folder of its metadata.  base_image_size: bytes that an image or a container may have.
    fs_type: the file system that it makes, as in config_text.
    """

    config: str
    config_text: str
    dropin: str
    dropin_text: str
    root_path: str = "/var/lib/containerd/devmapper"
    base_image_size: int = 10 * 10**9
    start_timeout: int = 120
    fs_type: str = "ext4"


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

    containerd: a ContainerdStorage, for the engines that use it. Both None: the pool only.
    repair: the pool's metadata are to be checked, and repaired when they are damaged; nothing else is done.
    """

    pool: Pool
    docker: Optional[DockerStorage] = None
    present: bool = True
    containerd: Optional[object] = None
    repair: bool = False
