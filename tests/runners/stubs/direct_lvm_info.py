"""In place of the module, for test_site.py: all is well."""

from ansible.module_utils.basic import AnsibleModule

options = ("vg", "name", "autoextend_threshold", "autoextend_percent", "profile_name")
arguments = dict({name: {"type": "str"} for name in options}, lsblk={"type": "bool"})
module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
pool = {"device": "/dev/mapper/stub-thinpool", "size": 2**30, "growth_steps_left": 1}
seen = {"stub-thinpool_tdata": "lvm", "stub-thinpool_tmeta": "lvm"}
module.exit_json(changed=False, block_devices=seen, host={"engine": "devicemapper", "pool": pool, "danger": {}, "warnings": []})
