"""In place of the module, for test_site.py: all is well."""

from ansible.module_utils.basic import AnsibleModule

options = ("vg", "name", "autoextend_threshold", "autoextend_percent", "profile_name")
module = AnsibleModule(argument_spec={name: {"type": "str"} for name in options}, supports_check_mode=True)
pool = {"device": "/dev/mapper/stub-thinpool", "size": 2**30, "growth_steps_left": 1}
module.exit_json(changed=False, host={"engine": "devicemapper", "pool": pool, "danger": {}, "warnings": []})
