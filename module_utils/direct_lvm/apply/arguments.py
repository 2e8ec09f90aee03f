# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The parameters of the modules direct_lvm and direct_lvm_info, as AnsibleModule wants them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ..model.spec import GOALS, PROVISION

POOL = {
    "devices": {"type": "list", "elements": "str", "required": True},
    "vg": {"type": "str", "default": "vgdocker"},
    "name": {"type": "str", "default": "thinpool"},
    "data_size": {"type": "str", "default": "75%VG"},
    "metadata_size": {"type": "str", "default": "1%VG"},
    "chunk_size": {"type": "str", "default": "512K"},
    "zero": {"type": "bool", "default": False},
    "autoextend_threshold": {"type": "int", "default": 80},
    "autoextend_percent": {"type": "int", "default": 20},
    "profile_name": {"type": "str", "default": "docker-thinpool"},
    "wipe": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"device": {"type": "str", "required": True}, "signature": {"type": "str", "required": True}},
    },
    "adopt_vg": {"type": "bool", "default": False},
    "require_autoextend": {"type": "bool", "default": False},
    "error_when_full": {"type": "bool", "default": False},
    "remove_data": {"type": "bool", "default": False},
    "discards": {"type": "str", "choices": ["passdown", "nopassdown", "ignore"], "default": "passdown"},
}

DOCKER = {
    "engine": {"type": "str", "choices": ["auto", "devicemapper", "docker-devmapper", "containerd"], "default": "auto"},
    "dropin": {"type": "path", "default": "/etc/systemd/system/docker.service.d/daemon.conf"},
    "options": {"type": "dict", "default": {}},
    "start_timeout": {"type": "int", "default": 300},
    "config": {"type": "str", "choices": ["dropin", "daemon_json"], "default": "dropin"},
    "containers": {"type": "str", "choices": ["refuse", "discard"], "default": "refuse"},
    "commit_containers": {"type": "bool", "default": False},
    "archive_dir": {"type": "path", "default": "/var/lib/direct-lvm/images"},
    "keep_archives": {"type": "bool", "default": True},
    "verify_archives": {"type": "bool", "default": True},
    "load_images": {"type": "bool", "default": True},
    "roll_back_to": {"type": "str", "choices": ["previous", "overlay2"], "default": "previous"},
}

CONTAINERD = {
    "config_file": {"type": "path", "default": "/etc/containerd/conf.d/direct-lvm.toml"},
    "dropin": {"type": "path", "default": "/etc/systemd/system/containerd.service.d/direct-lvm.conf"},
    "root_path": {"type": "path", "default": "/var/lib/containerd/devmapper"},
    "base_image_size": {"type": "str", "default": "10GB"},
    "discard_blocks": {"type": "bool", "default": True},
    "async_remove": {"type": "bool", "default": False},
    "fs_type": {"type": "str", "choices": ["ext4", "xfs", "ext2"], "default": "ext4"},
    "fs_options": {"type": "str", "default": ""},
    "start_timeout": {"type": "int", "default": 120},
}

ARGUMENTS = {
    "pool": {"type": "dict", "required": True, "options": POOL},
    "docker": {"type": "dict", "options": DOCKER},
    "containerd": {"type": "dict", "options": CONTAINERD},
    "goal": {"type": "str", "choices": list(GOALS), "default": PROVISION},
    "plan_only_for": {"type": "list", "elements": "str", "choices": ["any", "long_steps", "docker_restart"], "default": []},
    "lock_timeout": {"type": "int", "default": 600},
    "command_timeout": {"type": "int", "default": 120},
    "variables": {"type": "list", "elements": "str", "default": []},
}

INFO_ARGUMENTS = {
    name: POOL[name] for name in ("vg", "name", "autoextend_threshold", "autoextend_percent", "profile_name", "discards")
}
INFO_ARGUMENTS["lsblk"] = {"type": "bool", "default": False}
