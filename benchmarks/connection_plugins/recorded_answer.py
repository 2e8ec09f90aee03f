# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A connection to nowhere: every module call gets one recorded answer. What is left is the controller's own work."""

from __future__ import annotations

DOCUMENTATION = r"""
name: recorded_answer
short_description: Answers every module call with a file's text
description:
  - Nothing is run and nobody is connected to; for measuring the controller with many hosts.
extends_documentation_fragment:
  - connection_pipelining
author:
  - The direct-lvm contributors (@lvmops)
options:
  answer:
    description: The file with what the module prints.
    type: path
    required: true
    vars:
      - name: recorded_answer_file
"""

import pathlib

from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    """See DOCUMENTATION."""

    transport = "recorded_answer"
    has_pipelining = True

    def _connect(self):
        """Nobody is there."""
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """The recorded answer, whatever was asked."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return 0, pathlib.Path(self.get_option("answer")).read_bytes(), b""

    def put_file(self, in_path, out_path):
        """Not used: modules are piped."""
        raise NotImplementedError

    def fetch_file(self, in_path, out_path):
        """Not used."""
        raise NotImplementedError

    def close(self):
        """Nothing to close."""
        self._connected = False
