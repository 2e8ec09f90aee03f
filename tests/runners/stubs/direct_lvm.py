"""In place of the module: what it returns is told by the name of the volume group. With LIES it lies."""

import json
import os
import pathlib

from ansible.module_utils.basic import AnsibleModule


def host(done):
    """A host as the module returns it."""
    docker = {"version": "20.10.24", "driver": "devicemapper" if done else "overlay2", "status": {}}
    pool = {"device": "/dev/mapper/stub-thinpool", "size": 2**30, "growth_steps_left": 1}
    disks = {"stub-thinpool_tdata": "lvm", "stub-thinpool_tmeta": "lvm"} if done else None
    told = {"engine": "devicemapper" if done else None, "pool": pool, "docker": docker, "block_devices": disks}
    return dict(told, danger={}, warnings=[])


def main():
    """Refuse, fail, or do what is due once; moves: with a disk to be emptied, fails: the first step, breaks: the switch."""
    options = {name: {"type": "dict"} for name in ("pool", "docker", "containerd")}
    options.update({name: {"type": "str"} for name in ("goal", "lock_timeout", "command_timeout")})
    options.update({name: {"type": "list", "default": []} for name in ("plan_only_for", "variables")})
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    kind, docker = module.params["pool"]["vg"], module.params["docker"]
    mark = pathlib.Path(module.params["pool"]["profile_name"])  # a file of this host's own
    done = kind == "ok" or mark.exists()
    told = {"host": host(done), "steps": [], "waiting_for": [], "loads": [], "begun": False}
    told["ansible_facts"] = json.loads(os.environ.get("LIES", "{}"))
    if kind == "refused":
        module.fail_json(msg="/dev/sdb holds ext4.\nthe way out", changed=False, **told)
    reasons = {"any", "docker_restart"} if not done else set()
    if not done:
        told["steps"] = [{"kind": "command", "argv": ["pvcreate", "/dev/sdb"], "why": "make /dev/sdb a physical volume"}]
    if not done and kind == "moves":
        told["steps"] += [{"kind": "move_data", "moves": "/dev/sdc", "why": "test"}]
        reasons.add("long_steps")
    later = bool(reasons.intersection(module.params["plan_only_for"]))
    told.update(engine={"name": "devicemapper", "why": "test"}, restarts=["docker"], between=kind == "moves")
    told["roles"] = ["thin_pool", "image_archive", "docker_storage"] if later else []
    if module.check_mode or later or done:
        module.exit_json(changed=not done and not later, **told)
    told.update(begun=True, before=host(False))
    if kind == "fails":
        module.fail_json(msg="`pvcreate /dev/sdb` ended with 5", changed=False, **dict(told, steps=[]))
    if docker and kind == "breaks":
        module.fail_json(msg="Docker did not come up\nits log", changed=True, downtime=1.5, **dict(told, steps=[]))
    if docker:
        mark.touch()
    module.exit_json(changed=True, to_come=[], downtime=2.0 if docker else 0.0, **dict(told, host=host(bool(docker))))


main()
