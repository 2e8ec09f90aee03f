"""A connection that ends once a command has been sent."""

from __future__ import annotations

DOCUMENTATION = r"""
name: lost
short_description: A connection that ends at its first command
description: For tests.
author: The direct-lvm contributors (@lvmops)
"""

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

TEXTS = {  # by kind of host
    "lost": "Failed to connect to the host via ssh: Connection to lost-0 closed by remote host.",
    "unsent": "Data could not be sent to remote host 'unsent'. Make sure this host can be reached over SSH: [Errno 32] Broken pipe",
}


class Connection(Local):
    """Local until it is used."""

    transport = "lost"

    def exec_command(self, *_given, **_options):
        """What ssh says when the other side goes away, or the plugin ssh before all of a module was sent."""
        raise AnsibleConnectionFailure(TEXTS[self._play_context.remote_addr.partition("-")[0]])
