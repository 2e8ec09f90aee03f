"""A connection to this machine that is not Ansible's `local`: a host that is not the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: elsewhere
short_description: This machine under another name
description: For tests.
author: The direct-lvm contributors (@lvmops)
"""

from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    """Local in all but its name."""

    transport = "elsewhere"
