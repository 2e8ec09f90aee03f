"""In place of the module: all is well, or what a file says whose path is given as the group. With LIES it lies."""

import json
import os
import sys

from ansible.module_utils.basic import AnsibleModule

options = ("vg", "name", "autoextend_threshold", "autoextend_percent", "profile_name", "discards")
arguments = dict({name: {"type": "str"} for name in options}, lsblk={"type": "bool"})
module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
if os.path.isfile(module.params["vg"]):
    with open(module.params["vg"]) as answer:
        print(answer.read())
    sys.exit()
docker = {"version": "20.10.24", "has_devicemapper": True, "driver": "overlay2", "switch": None, "pending": 0, "problem": ""}
pool = {"device": "/dev/mapper/stub-thinpool", "size": 2**30, "growth_steps_left": 1}
host = {"engine": "devicemapper", "pool": pool, "docker": docker, "danger": {}, "warnings": []}
host["block_devices"] = {"stub-thinpool_tdata": "lvm", "stub-thinpool_tmeta": "lvm"}
module.exit_json(changed=False, host=host, ansible_facts=json.loads(os.environ.get("LIES", "{}")))
