# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The parameters of the modules direct_lvm and direct_lvm_info, as AnsibleModule wants them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

POOL = dict(
    devices=dict(type="list", elements="str", required=True),
    vg=dict(type="str", default="vgdocker"),
    name=dict(type="str", default="thinpool"),
    data_size=dict(type="str", default="75%VG"),
    metadata_size=dict(type="str", default="1%VG"),
    chunk_size=dict(type="str", default="512K"),
    zero=dict(type="bool", default=False),
    autoextend_threshold=dict(type="int", default=80),
    autoextend_percent=dict(type="int", default=20),
    profile_name=dict(type="str", default="docker-thinpool"),
    profile_text=dict(type="str", required=True),
    wipe=dict(
        type="list",
        elements="dict",
        default=[],
        options=dict(device=dict(type="str", required=True), signature=dict(type="str", required=True)),
    ),
    adopt_vg=dict(type="bool", default=False),
    require_autoextend=dict(type="bool", default=False),
    error_when_full=dict(type="bool", default=False),
    remove_data=dict(type="bool", default=False),
)

DOCKER = dict(
    engine=dict(type="str", choices=["auto", "devicemapper"], default="auto"),
    dropin=dict(type="path", default="/etc/systemd/system/docker.service.d/daemon.conf"),
    dropin_text=dict(type="str", required=True),
    options=dict(type="dict", default={}),
    start_timeout=dict(type="int", default=300),
)

ARGUMENTS = dict(
    pool=dict(type="dict", required=True, options=POOL),
    docker=dict(type="dict", options=DOCKER),
    state=dict(type="str", choices=["present", "absent"], default="present"),
    lock_timeout=dict(type="int", default=600),
)

INFO_ARGUMENTS = {name: POOL[name] for name in ("vg", "name", "autoextend_threshold", "autoextend_percent", "profile_name")}
