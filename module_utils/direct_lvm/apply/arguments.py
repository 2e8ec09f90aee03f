# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The parameters of the modules direct_lvm and direct_lvm_info, as AnsibleModule wants them."""

from ..model.spec import GOALS, PROVISION, ContainerdStorage, DockerStorage, Pool, Size

TYPES = {str: "str", Size: "str", int: "int", bool: "bool"}


def options(model, **special):
    """{name: option} for the fields of a NamedTuple of the model, with their defaults. special: more of an option, or all of it."""
    made = {}
    for name, kind in model.__annotations__.items():
        default = model._field_defaults.get(name)
        made[name] = {"default": default.text if isinstance(default, Size) else default}
        if kind in TYPES:
            made[name]["type"] = TYPES[kind]
        made[name].update(special.get(name, {}))
    return made


REQUIRED = {"type": "str", "required": True}
POOL = options(
    Pool,
    chunk_size={"type": "str", "default": "%dK" % (Pool._field_defaults["chunk_size"] // 1024)},
    wipe={"type": "list", "elements": "dict", "default": [], "options": {"device": REQUIRED, "signature": REQUIRED}},
    discards={"choices": ["passdown", "nopassdown", "ignore"]},
)
POOL["devices"] = {"type": "list", "elements": "str", "required": True}
del POOL["replace"]  # the goal says it

DOCKER = options(
    DockerStorage,
    engine={"choices": ["auto", "devicemapper", "docker-devmapper", "containerd"], "default": "auto"},
    dropin={"type": "path", "default": "/etc/systemd/system/docker.service.d/daemon.conf"},
    options={"type": "dict", "default": {}},
    config={"choices": ["dropin", "daemon_json"]},
    containers={"choices": ["keep", "refuse", "discard"]},
    archive_dir={"type": "path"},
    roll_back_to={"choices": ["previous", "overlay2"]},
)

CONTAINERD = options(
    ContainerdStorage,
    config_file={"type": "path", "default": "/etc/containerd/conf.d/direct-lvm.toml"},
    dropin={"type": "path", "default": "/etc/systemd/system/containerd.service.d/direct-lvm.conf"},
    root_path={"type": "path"},
    fs_type={"choices": ["ext4", "xfs", "ext2"]},
)

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
