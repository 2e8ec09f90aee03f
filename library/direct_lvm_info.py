#!/usr/bin/python
# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
---
module: direct_lvm_info
short_description: Report a host's thin pool and what uses it
version_added: "0.1.0"
description:
  - Reads LVM's report and, when it runs, Docker's own. Changes nothing.
author:
  - The direct-lvm contributors (@lvmops)
options:
  vg:
    description: Name of the volume group.
    type: str
    default: vgdocker
  name:
    description: Name of the thin pool.
    type: str
    default: thinpool
  autoextend_threshold:
    description: The policy's threshold, to count the growth steps that are left.
    type: int
    default: 80
  autoextend_percent:
    description: The policy's percentage, to count the growth steps that are left.
    type: int
    default: 20
  profile_name:
    description: Name of the LVM profile that should be attached, without C(.profile).
    type: str
    default: docker-thinpool
  discards:
    description: What should become of discarded blocks.
    type: str
    choices: [passdown, nopassdown, ignore]
    default: passdown
  lsblk:
    description: Whether C(lsblk) is asked too.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: It never changes anything.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: posix
    description: Linux with LVM 2.02.158 or newer.
seealso:
  - module: lvmops.direct_lvm.direct_lvm
"""

EXAMPLES = r"""
- name: How full is the pool
  lvmops.direct_lvm.direct_lvm_info:
  register: storage
"""

RETURN = r"""
host:
  description:
    - V(vg) (name, size, free, ours, devices, and moving, the pvmove under way, with device, percent, and watched, whether LVM
      sees to its going on), V(pool) (name, device, size, metadata_size, chunk_size, zero, discards, data_percent, metadata_percent,
      active, monitored, profile, profile_file, health, check_needed, growth_steps_left, growth_need), V(docker) (version,
      has_devicemapper, active, driver, status, root, images, containers, volumes, switch, pending, problem), V(containerd)
      (active, snapshotter, problem), and V(engine), the one that uses the pool (devicemapper, docker-devmapper, containerd).
    - V(docker.has_devicemapper) is false for a version from which Docker has removed that storage driver, null when it cannot be
      told.
    - V(vg.move) is for whoever waits for a pvmove. Its C(percent) is 100 when there is nothing to wait for, and less until LVM has
      let go of the disk; its C(sentence) says why a disk that still holds data is not empty.
    - Each is null while it is missing. Sizes in bytes.
    - V(warnings) are sentences for the operator, the critical ones first. V(danger) says how bad it is (C(critical) or
      C(warning)) per subject (C(data), C(metadata), C(reserve), C(monitoring), C(pool), C(engine)). Both are empty if all is well.
  type: dict
  returned: always
block_devices:
  description: The type (C(disk), C(lvm), ...) of each device-mapper name and disk, as C(lsblk) shows them.
  type: dict
  returned: when O(lsblk=true)
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.direct_lvm.apply import report
from ..module_utils.direct_lvm.apply.arguments import INFO_ARGUMENTS
from ..module_utils.direct_lvm.apply.spec import read_watched
from ..module_utils.direct_lvm.facts import containerd, docker, lvm
from ..module_utils.direct_lvm.host import commands, files
from ..module_utils.direct_lvm.model.errors import CommandFailed, Refused
from ..module_utils.direct_lvm.model.host import Host
from ..module_utils.direct_lvm.model.names import profile_path
from ..module_utils.direct_lvm.model.spec import ContainerdStorage, DockerStorage
from ..module_utils.direct_lvm.plan import health


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=INFO_ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        pool = read_watched(params)
        files.must_be_root()
        watched = lvm.is_moving()  # asked first: a move that ends in between is no longer in the report
        host = Host(
            disks=(),
            lvm=lvm.ask(),
            profile_text=files.read_text(profile_path(pool)),
            docker=docker.observe_docker(DockerStorage(engine="auto", dropin="")),
        )
        pools = tuple(named for _path, named in containerd.configured_pools(host.docker.containerd_config))
        if pools:
            seen = containerd.observe_containerd(ContainerdStorage(), host.docker)
            host = host._replace(snapshotter_pools=pools, containerd=seen)
        asked = {}
        if params["lsblk"]:
            lines = commands.run(["lsblk", "--raw", "--noheadings", "--output", "NAME,TYPE"]).out.splitlines()
            asked["block_devices"] = dict(line.partition(" ")[::2] for line in lines)
    except (Refused, CommandFailed, OSError) as failure:
        module.fail_json(msg=str(failure))
    findings = health.findings(pool, host)
    judgement = {"warnings": [finding.sentence for finding in findings], "danger": health.danger(findings)}
    shown = report.summary(pool, host)
    if shown["vg"]:
        if shown["vg"]["moving"]:
            shown["vg"]["moving"]["watched"] = watched
        shown["vg"]["move"] = report.move(shown["vg"]["moving"])
    module.exit_json(changed=False, host=dict(shown, **judgement), **asked)


if __name__ == "__main__":
    main()
