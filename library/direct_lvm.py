#!/usr/bin/python
# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
---
module: direct_lvm
short_description: Put a host's containers on an LVM thin pool
version_added: "0.1.0"
description:
  - Takes the whole desired state (disks, volume group, thin pool, autoextend policy, Docker's storage) and carries out what is
    missing, or says why not. It observes, plans, carries out, observes and plans again. Only an empty second plan is a success.
  - A disk is used only when it is blank. Nothing that may be somebody else's is changed.
author:
  - The direct-lvm contributors (@lvmops)
options:
  pool:
    description: The thin pool.
    type: dict
    required: true
    suboptions:
      devices:
        description: Disks, partitions or md arrays that make up the volume group. May be empty
          with O(pool.adopt_vg=true), and to roll back, clean up or repair.
        type: list
        elements: str
        required: true
      vg:
        description: Name of the volume group.
        type: str
        default: vgdocker
      name:
        description: Name of the thin pool.
        type: str
        default: thinpool
      data_size:
        description: Size of the pool's data, as C(75%VG) or C(20G). A pool that autoextend made larger is left as it is.
        type: str
        default: 75%VG
      metadata_size:
        description: Size of the pool's metadata, as C(1%VG) or C(512M). LVM keeps a hidden spare of the same size.
        type: str
        default: 1%VG
      chunk_size:
        description: Chunk size, a multiple of 64K. It cannot be changed later.
        type: str
        default: 512K
      zero:
        description: Whether new blocks are zeroed.
        type: bool
        default: false
      discards:
        description: What becomes of discarded blocks, see lvmthin(7). LVM changes V(ignore) only while the pool is not active.
        type: str
        choices: [passdown, nopassdown, ignore]
        default: passdown
      autoextend_threshold:
        description: Percentage of use from which the pool is extended. 100 switches autoextend off.
        type: int
        default: 80
      autoextend_percent:
        description: By how many percent of its current size the pool is extended.
        type: int
        default: 20
      profile_name:
        description: Name of the LVM profile that carries the autoextend policy, without C(.profile).
        type: str
        default: docker-thinpool
      wipe:
        description: Signatures that may be erased; device and signature must both match what is found.
        type: list
        elements: dict
        default: []
        suboptions:
          device:
            description: The device, as in O(pool.devices).
            type: str
            required: true
          signature:
            description: The signature as blkid or wipefs names it, or V(data) for data without a signature.
            type: str
            required: true
      adopt_vg:
        description: Whether a volume group of that name that was not made by this module may be used. Its other LVs are left alone.
        type: bool
        default: false
      require_autoextend:
        description: >-
          Whether sizes with which the pool can never extend itself are refused instead of warned about, those that a pool has too.
        type: bool
        default: false
      error_when_full:
        description: Whether writes to a full pool fail at once instead of waiting 60 seconds for space.
        type: bool
        default: false
      remove_data:
        description: With O(goal=remove), whether a pool that holds data may be removed. The data is lost then.
        type: bool
        default: false
  docker:
    description: Who uses the pool. Without it Docker is left as it is. Ignored with the goals V(grow), V(replace) and V(repair).
    type: dict
    suboptions:
      engine:
        description:
          - Which storage engine. V(auto) takes what the host can do.
          - V(devicemapper) is Docker's graph driver, until Docker 24; V(docker-devmapper) its containerd image store with
            containerd's devmapper snapshotter, from Docker 25 on; V(containerd) that snapshotter alone.
        type: str
        choices: [auto, devicemapper, docker-devmapper, containerd]
        default: auto
      dropin:
        description: The systemd drop-in of docker.service to write.
        type: path
        default: /etc/systemd/system/docker.service.d/daemon.conf
      options:
        description: Extra C(dm.*) options of Docker's graph driver. They are checked against those that Docker knows.
        type: dict
        default: {}
      start_timeout:
        description: Seconds to wait for Docker to answer after a start.
        type: int
        default: 300
      config:
        description:
          - Where Docker's storage settings go. V(dropin) appends them to the installed unit's command line; V(daemon_json) merges
            them into Docker's configuration file, whose other keys and their order stay.
          - O(docker.dropin) is written either way; it activates the pool before Docker starts.
        type: str
        choices: [dropin, daemon_json]
        default: dropin
      containers:
        description:
          - What becomes of containers when Docker changes its storage.
          - V(keep) brings them and the images along without archives, while Docker serves. It needs Docker 20.10 to 24 on overlay2,
            and works on the way to the pool only; elsewhere containers are refused.
          - V(refuse) lists them and changes nothing. V(discard) keeps each one's C(docker inspect) and goes without them.
        type: str
        choices: [keep, refuse, discard]
        default: refuse
      commit_containers:
        description: With O(docker.containers=discard), whether an image is made of each container's file system.
        type: bool
        default: false
      archive_dir:
        description: Where images are kept while they cross, each in an archive of C(docker save).
        type: path
        default: /var/lib/direct-lvm/images
      keep_archives:
        description: Whether an archive stays once its image is loaded.
        type: bool
        default: true
      verify_archives:
        description:
          - Whether archives that are there already are read and verified before Docker changes its storage; a damaged one is
            made anew. Without it they are taken as they are, for a caller that has just had them verified.
        type: bool
        default: true
      load_images:
        description: Whether archived images are loaded. Without it they stay noted for a later call.
        type: bool
        default: true
      roll_back_to:
        description: With O(goal=roll_back), the storage that Docker had before, or overlay2 whatever it had.
        type: str
        choices: [previous, overlay2]
        default: previous
  containerd:
    description: >-
      containerd's devmapper snapshotter. Without O(docker), it is configured and Docker is left as it is. With O(docker) it may be
      omitted; then its defaults apply.
    type: dict
    suboptions:
      config_file:
        description: The configuration file to write; config.toml gets a line that imports it.
        type: path
        default: /etc/containerd/conf.d/direct-lvm.toml
      dropin:
        description: The systemd drop-in of containerd.service to write.
        type: path
        default: /etc/systemd/system/containerd.service.d/direct-lvm.conf
      root_path:
        description: The folder of the snapshotter's metadata. One per pool.
        type: path
        default: /var/lib/containerd/devmapper
      base_image_size:
        description: Size of the thin file system of new images and containers. A larger image cannot be unpacked.
        type: str
        default: 10GB
      discard_blocks:
        description: Whether the blocks of a removed snapshot are returned to the pool.
        type: bool
        default: true
      async_remove:
        description: Whether snapshots are removed by garbage collection only, which makes removing a container quicker.
        type: bool
        default: false
      fs_type:
        description: File system of images and containers. Needs containerd 1.6.
        type: str
        choices: [ext4, xfs, ext2]
        default: ext4
      fs_options:
        description: Options of mkfs. Needs containerd 1.7.
        type: str
        default: ""
      start_timeout:
        description: Seconds to wait for containerd to answer after a restart.
        type: int
        default: 120
  goal:
    description:
      - V(provision) creates or grows the pool and puts the engine on it, if O(docker) or O(containerd) is given.
      - V(grow) and V(replace) change the pool alone, and refuse a host without one. V(replace) moves the data off each disk of the
        volume group that O(pool.devices) does not name (pvmove), and removes the disk. The move continues in the background, and
        RV(to_come) is what a later call has to do then.
      - V(roll_back) moves Docker back to O(docker.roll_back_to). V(clean_up) removes what its previous storage left.
      - V(remove) removes pool, volume group, PV labels and profile, if they carry the module's tag and nothing uses them.
        A volume group that holds anything else stays, without the tag.
      - V(repair) checks the metadata of a pool that is not active or not healthy, and has LVM repair damage.
        Docker, and containerd if it uses the pool, are stopped meanwhile.
    type: str
    choices: [provision, grow, replace, roll_back, clean_up, remove, repair]
    default: provision
  plan_only_for:
    description:
      - If the plan has such steps, return it and change nothing. V(any) step; V(long_steps), an image to archive or load, a
        container to keep, a disk to empty; V(docker_restart), a restart of Docker, for a caller with work of its own around it.
    type: list
    elements: str
    choices: [any, long_steps, docker_restart]
    default: []
  lock_timeout:
    description: Seconds to wait for another run of this module on the same host.
    type: int
    default: 600
  command_timeout:
    description: >-
      Seconds after which a command that hangs (LVM, a probe of a disk) is stopped, with everything that it started.
      A command in which thin_check reads all of a pool's metadata has six hours.
    type: int
    default: 120
  variables:
    description: Names of variables that the caller has. One that looks like a misspelt variable of the roles is refused.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Returns the steps that a real run would take and changes nothing.
  diff_mode:
    support: full
    description:
      - Shows files and commands, but no file that only root may read, and no password in an address. Of JSON, the keys that change.
  platform:
    support: full
    platforms: posix
    description: Linux with systemd and LVM 2.02.158 or newer.
notes:
  - Runs as root. Needs Python 3.6 and nothing beyond its standard library.
seealso:
  - module: lvmops.direct_lvm.direct_lvm_info
"""

EXAMPLES = r"""
- name: Put Docker on a thin pool on /dev/sdb
  lvmops.direct_lvm.direct_lvm:
    pool:
      devices: [/dev/sdb]
    docker: {}

- name: Create a thin pool and leave Docker alone
  lvmops.direct_lvm.direct_lvm:
    pool:
      devices: [/dev/sdb]
"""

RETURN = r"""
steps:
  description:
    - What was done, or would be done in check mode, in order. Each has C(kind), C(why), and what it is about.
    - V(command), V(repair_metadata), V(remove_thin_devices) and V(remove_snapshots) with C(argv); V(start_containers) with
      C(argv), or with C(check) as long as it is not known which.
    - V(write_file) and V(remove_file) with C(file); V(rename) with C(move) (from, to); V(remove_tree), a folder, with C(remove)
      and C(size) in bytes.
    - V(move_data) with C(moves), the disk that pvmove empties. Its end is not waited for.
    - V(archive_image) with C(archive) and V(load_image) with C(load), an image's ID; V(keep_container) with C(keep), a
      container's ID.
    - V(fill_pool) with C(images) and C(containers), the IDs of what a second daemon brings onto the pool; V(bring_layers) and
      V(set_driver) with C(containers); V(copy_records) with C(copy), a folder.
    - V(check), V(wait) (until a daemon answers) and V(plan_again) (for what was not known before) with C(check), the device or
      what is asked.
  type: list
  elements: dict
  returned: always
  sample:
    - kind: command
      argv: [pvcreate, /dev/sdb]
      why: make /dev/sdb a physical volume
to_come:
  description: The steps, as in RV(steps), that a later call has to take once a move of data that is under way is over.
  type: list
  elements: dict
  returned: when something was carried out
loads:
  description: The steps of images that are still to be loaded, as in RV(steps), when O(docker.load_images) is false.
  type: list
  elements: dict
  returned: success
engine:
  description: The storage engine of this host, as C(name), and the reason, as C(why). C(null) when only the pool is wanted.
  type: dict
  returned: success
restarts:
  description: The services that are restarted by the steps, C(docker) or C(containerd).
  type: list
  elements: str
  returned: success
roles:
  description:
    - The roles that carry out the steps of O(goal=provision), in order. Each does what those before it left undone, so the last
      one is enough, unless RV(between). Empty unless the steps were left to a later call, see O(plan_only_for).
  type: list
  elements: str
  returned: success
between:
  description: Whether an image or a container is to be kept, or a disk to be emptied, before a daemon changes its storage.
  type: bool
  returned: success
downtime:
  description: Seconds for which Docker did not answer while its storage changed.
  type: float
  returned: when something was carried out
repaired:
  description: Whether the pool's metadata were found damaged, and LVM has repaired them. Only O(goal=repair) does.
  type: bool
  returned: when something was carried out
waiting_for:
  description: Devices that are not there (yet).
  type: list
  elements: str
  returned: always
way_out:
  description: After a refusal, what the operator can do about it.
  type: str
  returned: failure
begun:
  description: Whether a step was attempted. A failure without it left the host as it was.
  type: bool
  returned: always
before:
  description: V(engine), V(pool) and V(docker) of RV(host) before the run.
  type: dict
  returned: when something was carried out
host:
  description: The host after the run (in check mode before it), as M(lvmops.direct_lvm.direct_lvm_info) returns it.
  type: dict
  returned: when the host could be looked at
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.direct_lvm.apply import apply
from ..module_utils.direct_lvm.apply.arguments import ARGUMENTS
from ..module_utils.direct_lvm.apply.converge import converge_alone, meanwhile
from ..module_utils.direct_lvm.apply.spec import read_spec
from ..module_utils.direct_lvm.apply.variables import check_variables
from ..module_utils.direct_lvm.host import commands, files
from ..module_utils.direct_lvm.model.errors import CommandFailed, Refused
from ..module_utils.direct_lvm.model.quoting import safe

CONTINUES = "\nNothing was done after that. The next run continues from here."


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    result = {"changed": False, "begun": False, "steps": [], "waiting_for": []}
    only = module.params["plan_only_for"]
    try:
        check_variables(module.params["variables"])
        spec = read_spec(module.params)
        files.must_be_root()
        commands.bound, commands.bound_variable = module.params["command_timeout"], "thin_pool_command_timeout"
        warnings = converge_alone(spec, result, module.check_mode, module._diff, only, module.params["lock_timeout"])
    except Refused as refusal:
        module.fail_json(msg="%s%s" % (refusal, meanwhile(module.check_mode, only)), way_out=refusal.way_out, **result)
    except (CommandFailed, apply.SwitchFailed, OSError) as failure:
        more = CONTINUES if result["changed"] else meanwhile(module.check_mode, only)
        module.fail_json(msg="%s%s" % (failure, more), way_out="", **result)
    for sentence in warnings:
        module.warn(safe(sentence))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
