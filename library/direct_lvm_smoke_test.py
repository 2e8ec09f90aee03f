#!/usr/bin/python
# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
---
module: direct_lvm_smoke_test
short_description: Prove that containers write to the thin pool
version_added: "0.1.0"
description:
  - Makes an image of the host's own dd and sleep, runs a container of it, writes to its root file system, and removes both
    again. No registry is needed.
  - Succeeds when the container's own thin device grew by what was written, and the pool's used data shrank by as much after its
    removal, within 60 seconds. Others who write meanwhile can hide the latter, so it is tried three times.
  - Leaves a pool alone that has less than a tenth free (or 4 GiB, whatever is less) beside twice what it writes.
  - Container and image are removed whatever happens; what a killed run left is removed by the next.
author:
  - The direct-lvm contributors (@lvmops)
options:
  pool:
    description: The pool's device-mapper name.
    type: str
    default: vgdocker-thinpool
  client:
    description: Who runs the container. V(containerd) has it on the devmapper snapshotter, in a namespace of its own.
    type: str
    choices: [docker, containerd]
    default: docker
  megabytes:
    description: MiB to write.
    type: int
    default: 16
  command_timeout:
    description: Seconds after which a command of the client's that hangs is stopped.
    type: int
    default: 600
  lock_timeout:
    description: Seconds to wait for another run on the same host.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
    description: Does nothing and says so, C(skipped) is true.
  diff_mode:
    support: none
    description: There is nothing to show.
  platform:
    support: full
    platforms: posix
    description: Linux with systemd, Docker 1.11 or newer or containerd 1.4 or newer, dmsetup, dd, sleep and ldd.
notes:
  - Runs as root. Needs Python 3.6 and nothing beyond its standard library.
seealso:
  - module: lvmops.direct_lvm.direct_lvm
"""

EXAMPLES = r"""
- name: Prove that containers write to the pool
  lvmops.direct_lvm.direct_lvm_smoke_test:
    megabytes: 16
"""

RETURN = r"""
before:
  description: Bytes of the pool's data that were used before.
  type: int
  returned: success, not in check mode
after_write:
  description: Bytes used after the container wrote.
  type: int
  returned: success, not in check mode
after_remove:
  description: Bytes used after container and image were removed.
  type: int
  returned: success, not in check mode
way_out:
  description: After a refusal, what the operator can do about it.
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.direct_lvm.apply import smoke, smoke_client
from ..module_utils.direct_lvm.facts import containerd, docker, systemd
from ..module_utils.direct_lvm.host import files, lock
from ..module_utils.direct_lvm.model.errors import CommandFailed, Refused
from ..module_utils.direct_lvm.model.host import ADDRESS
from ..module_utils.direct_lvm.model.quoting import paste
from ..module_utils.direct_lvm.texts.containerd_config import listens


def work(params):
    """Run the test as the parameters say."""
    if params["megabytes"] < 1:
        raise Refused("megabytes is %d, and nothing written proves nothing" % params["megabytes"], "megabytes: 16")
    client = containerd_client(params) if params["client"] == "containerd" else docker_client(params)
    with lock.only_one_run(params["lock_timeout"]):
        return smoke.smoke_test(client, params["pool"], params["megabytes"])


def docker_client(params):
    """Docker's client, for the daemon of this host. Raises Refused when it does not run."""
    docker.refuse_podman()
    setup = docker.observe_setup("")
    if setup.unit.active_state != "active":
        raise Refused("docker.service is %s" % setup.unit.active_state, "systemctl start docker")
    return smoke_client.DockerClient(setup.host, params["command_timeout"])


def containerd_client(params):
    """containerd's client. Raises Refused unless its snapshotter is loaded."""
    address = listens(systemd.observe_unit("containerd", "")) or ADDRESS
    status, problem = containerd.plugin_status(address)
    if status != "ok":
        raise Refused(
            "containerd's devmapper snapshotter is not loaded (%s): %s" % (status, problem),
            "ctr --address %s plugins ls" % paste(address),
        )
    return smoke_client.ContainerdClient(address, params["command_timeout"])


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=smoke.ARGUMENTS, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg="The smoke test does nothing in check mode.")
    try:
        files.must_be_root()
        measured = work(module.params)
    except (Refused, CommandFailed, OSError) as failure:
        module.fail_json(msg=str(failure), way_out=getattr(failure, "way_out", ""))
    module.exit_json(changed=False, **measured._asdict())


if __name__ == "__main__":
    main()
