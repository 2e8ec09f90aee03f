"""Options of the module direct_lvm as it gets them, all of them good."""

from module_utils.direct_lvm.apply.spec import read_spec
from module_utils.direct_lvm.model.spec import PROVISION

GOOD_POOL = {
    "devices": ["/dev/sdb"],
    "vg": "vgdocker",
    "name": "thinpool",
    "data_size": "75%VG",
    "metadata_size": "1%VG",
    "chunk_size": "512K",
    "zero": False,
    "autoextend_threshold": 80,
    "autoextend_percent": 20,
    "profile_name": "docker-thinpool",
    "wipe": [],
    "adopt_vg": False,
    "require_autoextend": False,
    "error_when_full": False,
    "remove_data": False,
    "discards": "passdown",
}
GOOD_DOCKER = {
    "engine": "auto",
    "dropin": "/etc/systemd/system/docker.service.d/daemon.conf",
    "options": {},
    "start_timeout": 300,
    "config": "dropin",
    "containers": "refuse",
    "commit_containers": False,
    "archive_dir": "/var/lib/direct-lvm/images",
    "keep_archives": True,
    "verify_archives": True,
    "load_images": True,
    "roll_back_to": "previous",
}
GOOD_CONTAINERD = {
    "config_file": "/etc/containerd/conf.d/direct-lvm.toml",
    "dropin": "/etc/systemd/system/containerd.service.d/direct-lvm.conf",
    "root_path": "/var/lib/containerd/devmapper",
    "base_image_size": "10GB",
    "discard_blocks": True,
    "async_remove": False,
    "fs_type": "ext4",
    "fs_options": "",
    "start_timeout": 120,
}


def read(docker=None, containerd=None, goal=PROVISION, lock_timeout=600, command_timeout=120, **changes):
    """The Spec of good options with changes. docker, containerd: changes of theirs, None without."""
    params = {"goal": goal, "lock_timeout": lock_timeout, "command_timeout": command_timeout}
    params.update(docker=docker and dict(GOOD_DOCKER, **docker), containerd=containerd and dict(GOOD_CONTAINERD, **containerd))
    return read_spec(dict(params, pool=dict(GOOD_POOL, **changes)))
