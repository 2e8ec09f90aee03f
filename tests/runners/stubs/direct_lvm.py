"""In place of the module: what it returns is told by the name of the volume group. With LIES it lies."""

import json
import os
import pathlib

from ansible.module_utils.basic import AnsibleModule


def host(done):
    """A host as the module returns it."""
    docker = {"version": "20.10.24", "driver": "devicemapper" if done else "overlay2", "status": {}}
    pool = {"device": "/dev/mapper/stub-thinpool", "size": 2**30, "growth_steps_left": 1}
    return {"engine": "devicemapper" if done else None, "pool": pool, "docker": docker, "danger": {}, "warnings": []}


def main():
    """Refuse, fail, or do what is due once."""
    options = {name: {"type": "dict"} for name in ("pool", "docker", "containerd")}
    options.update({name: {"type": "str"} for name in ("state", "lock_timeout", "command_timeout")}, variables={"type": "list"})
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    kind, docker = module.params["pool"]["vg"], module.params["docker"]
    mark = pathlib.Path(module.params["pool"]["profile_name"])  # a file of this host's own
    done = kind == "ok" or mark.exists()
    told = {"host": host(done), "steps": [], "waiting_for": [], "loads": []}
    told["ansible_facts"] = json.loads(os.environ.get("LIES", "{}"))
    if kind == "refused":
        module.fail_json(msg="/dev/sdb holds ext4.\nthe way out", changed=False, **told)
    if not done:
        told["steps"] = [{"kind": "command", "argv": ["pvcreate", "/dev/sdb"], "why": "test"}]
        told["steps"] += [{"kind": "move_data", "moves": "/dev/sdc", "why": "test"}] if kind == "moves" else []
    told.update(engine={"name": "devicemapper", "why": "test"}, restarts=["docker"], between=kind == "moves")
    told["roles"] = ["thin_pool", "image_archive", "docker_storage"] if told["steps"] else []
    if module.check_mode or done:
        module.exit_json(changed=not done, **told)
    if docker and kind == "breaks":
        module.fail_json(msg="Docker did not come up\nits log", changed=True, downtime=1.5, **dict(told, steps=[]))
    if docker:
        mark.touch()
    module.exit_json(changed=True, to_come=[], downtime=2.0 if docker else 0.0, **dict(told, host=host(bool(docker))))


main()
