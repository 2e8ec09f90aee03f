# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variables of the roles by name, so that a misspelt one is refused instead of having no effect."""

import difflib

from ..model.errors import Refused
from ..model.quoting import paste, printable
from .arguments import CONTAINERD, DOCKER, POOL

OPTIONS = (("thin_pool_", POOL), ("docker_storage_", DOCKER), ("containerd_storage_", CONTAINERD))
OTHERS = {  # prefix: the names behind it that are no option of the module
    "thin_pool_": "device_timeout move_timeout lock_timeout command_timeout repair_confirmed",
    "docker_storage_": "before_switch after_switch cleanup_confirmed",
    "containerd_storage_": "",
    "image_archive_": "dir keep commit_containers",
    "preflight_": "goal",
}
INTERNAL = {  # what the roles and playbooks make themselves
    "thin_pool_": "desired leaving left looks move repaired replaced",
    "docker_storage_": "desired failure goal hooks_after hooks_before named_by_fact switch",
    "containerd_storage_": "desired",
    "image_archive_": "",
    "preflight_": "hooks look_goal look_plan_only_for plan roles",
}
BY_THE_ROLES = ("verify_archives", "load_images")  # options that no variable sets
RENAMED = {
    "containerd_storage_config": "containerd_storage_config_file",
    "docker_storage_archive_dir": "image_archive_dir",
    "docker_storage_commit_containers": "image_archive_commit_containers",
    "docker_storage_keep_archives": "image_archive_keep",
}
BY_PLAYBOOK = {  # what a playbook says since: the names of those that do
    "docker_storage_state": "rollback.yml, cleanup.yml or upgrade.yml",
    "preflight_docker": "grow.yml",
    "thin_pool_replace": "replace.yml",
    "thin_pool_state": "remove.yml or repair.yml",
}
ALIKE = 0.75  # of difflib's ratio, without the prefix: one letter or two


def settable():
    """The names of all variables that begin with a prefix of OTHERS and may be set, sorted."""
    names = [prefix + name for prefix, options in OPTIONS for name in options if name not in BY_THE_ROLES]
    names += [prefix + name for prefix, others in OTHERS.items() for name in others.split()]
    return sorted(set(names) - set(RENAMED))


def check_variables(names):
    """Raise Refused for a variable that was renamed or is misspelt. names: those of a play that begin with a prefix of OTHERS.

    A name that is like no other may be another role's: it is no fault.
    """
    known = settable()
    internal = {prefix + name for prefix, made in INTERNAL.items() for name in made.split()}
    for name in sorted(set(names) - set(known) - internal):
        if instead(name, known):
            raise Refused(
                "%s is not a variable of this tool, so it would have no effect." % printable(name),
                "%s To find where it is set: grep -rn %s group_vars host_vars inventory" % (instead(name, known), paste(name)),
            )


def instead(name, known):
    """The sentence that tells what to do instead of setting this variable; "" when it is no fault."""
    if name in BY_PLAYBOOK:
        return "Remove it, and run playbooks/%s, which needs no variable for that." % BY_PLAYBOOK[name]
    right = RENAMED.get(name) or nearest(name, known)
    return "Use %s instead." % paste(right) if right else ""


def nearest(name, known):
    """The known variable that a name most likely stands for, None when it is like none."""
    prefix = next((one for one in OTHERS if name.startswith(one)), "")
    if not prefix:
        return None
    ends = [one[len(prefix) :] for one in known if one.startswith(prefix)]
    found = difflib.get_close_matches(name[len(prefix) :], ends, 1, ALIKE)
    return prefix + found[0] if found else None
