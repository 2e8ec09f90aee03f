"""Recorded answers of lvmconfig."""

import states

from module_utils.direct_lvm.facts import lvm_settings


def recorded(name="bookworm.txt"):
    """A recorded answer as values."""
    return lvm_settings.parse(states.recorded("lvm-settings", name))
