#!/usr/bin/python
# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
---
module: direct_lvm_trim
short_description: Give the blocks of deleted files back to the thin pool
version_added: "0.1.0"
description:
  - Lists the root file systems of the containers that run on a thin pool, whichever engine runs them, or trims one of them.
  - A file that is deleted in a container keeps its blocks in the pool until its file system is trimmed or the container removed.
author:
  - The direct-lvm contributors (@lvmops)
options:
  pool:
    description: The pool's device-mapper name.
    type: str
    default: vgdocker-thinpool
  device:
    description: The thin device whose file system is trimmed, as in RV(file_systems). Without it they are listed.
    type: str
attributes:
  check_mode:
    support: full
    description: Lists, and trims nothing; what would come back cannot be told before.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: posix
    description: Linux with dmsetup, on processors that number the ioctl FITRIM as x86 and arm do.
notes:
  - Runs as root. Needs Python 3.6 and nothing beyond its standard library.
  - Only ext4 and xfs are trimmed.
seealso:
  - module: lvmops.direct_lvm.direct_lvm
"""

EXAMPLES = r"""
- name: List the file systems of running containers
  lvmops.direct_lvm.direct_lvm_trim:
  register: found

- name: Trim each
  lvmops.direct_lvm.direct_lvm_trim:
    device: "{{ item.device }}"
  loop: "{{ found.file_systems | selectattr('why_not', 'equalto', '') }}"
"""

RETURN = r"""
file_systems:
  description:
    - V(device) (the thin device's name), V(container) (its ID), V(file_system) and V(why_not), why it is not trimmed, empty when
      it can be.
  type: list
  elements: dict
  returned: success
discarded:
  description: Bytes that the file system gave up. Of blocks that an image shares, and of those that were never written, nothing
    comes back.
  type: int
  returned: when one was trimmed
returned:
  description: By how many bytes the pool's use shrank meanwhile.
  type: int
  returned: when one was trimmed
way_out:
  description: After a refusal, what the operator can do about it.
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.direct_lvm.apply import trim
from ..module_utils.direct_lvm.host import files
from ..module_utils.direct_lvm.model.errors import CommandFailed, Refused


def work(module):
    """List, and trim what is asked for. The module's result."""
    params = module.params
    roots = trim.roots(params["pool"])
    shown = [
        {"device": one.device, "container": one.container, "file_system": one.file_system, "why_not": trim.why_not(one)}
        for one in roots
    ]
    result = {"changed": False, "file_systems": shown}
    if params["device"] is None:
        return result
    root = trim.chosen(roots, params["device"])
    if not module.check_mode:
        done = trim.trim(params["pool"], root)
        result.update(done._asdict(), changed=done.returned > 0)
    return result


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=trim.ARGUMENTS, supports_check_mode=True)
    try:
        files.must_be_root()
        result = work(module)
    except (Refused, CommandFailed, OSError) as failure:
        module.fail_json(msg=str(failure), way_out=getattr(failure, "way_out", ""))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
