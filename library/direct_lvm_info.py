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
    - M(lvmops.direct_lvm.direct_lvm) returns the same value. V(vg) (name, size, free, ours, devices, moves), V(pool) (name, device,
      size, metadata_size, chunk_size, zero, discards, data_percent, metadata_percent, active, monitored, profile, profile_file,
      health, check_needed, growth_steps_left, growth_need), V(docker) (version, has_devicemapper, active, driver, status, root,
      images, containers, volumes, switch, pending, problem), V(containerd) (active, snapshotter, problem), and V(engine), the one
      that uses the pool (devicemapper, docker-devmapper, containerd).
    - V(docker.has_devicemapper) is false for a version from which Docker has removed that storage driver, null when it cannot be
      told.
    - V(vg.moves) has, per disk of the volume group, C(under_way), whether LVM has a pvmove of it, C(percent), 100 when there is
      nothing to wait for and less until LVM has let go of the disk, and C(sentence), why a disk that still holds data is not empty.
    - Each is null while it is missing. Sizes in bytes.
    - V(block_devices) is the type (C(disk), C(lvm), ...) of each device-mapper name and disk, as C(lsblk) shows them. Null unless
      O(lsblk=true), or M(lvmops.direct_lvm.direct_lvm) has changed the host.
    - V(warnings) are sentences for the operator, the critical ones first. V(danger) says how bad it is (C(critical) or
      C(warning)) per subject (C(data), C(metadata), C(reserve), C(monitoring), C(pool), C(engine)). Both are empty if all is well.
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.direct_lvm.apply import report
from ..module_utils.direct_lvm.apply.arguments import INFO_ARGUMENTS
from ..module_utils.direct_lvm.apply.converge import lsblk
from ..module_utils.direct_lvm.apply.spec import read_watched
from ..module_utils.direct_lvm.facts import containerd, docker, lvm
from ..module_utils.direct_lvm.host import files
from ..module_utils.direct_lvm.model.errors import CommandFailed, Refused
from ..module_utils.direct_lvm.model.host import Host
from ..module_utils.direct_lvm.model.names import profile_path
from ..module_utils.direct_lvm.model.spec import ContainerdStorage, DockerStorage


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
        block_devices = lsblk() if params["lsblk"] else None
    except (Refused, CommandFailed, OSError) as failure:
        module.fail_json(msg=str(failure))
    module.exit_json(changed=False, host=report.summary(pool, host, watched, block_devices))


if __name__ == "__main__":
    main()
