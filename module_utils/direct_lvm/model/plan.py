# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is due on one host, as a value: the planner returns it, apply carries its steps out."""

from typing import NamedTuple, Optional, Tuple

from .engines import Engine
from .steps import ArchiveImage, FillPool, KeepContainer, UntilMoved

# The roles that put each engine on the pool, in order.
STORAGE = {
    "devicemapper": ("docker_storage",),
    "docker-devmapper": ("containerd_storage", "docker_storage"),
    "containerd": ("containerd_storage",),
}


class Plan(NamedTuple):
    """steps: those that are still due, () in the desired state.  warnings: sentences about what is not wrong enough to be refused.

    engine: None when only the pool is to change.
    """

    steps: Tuple = ()
    warnings: Tuple[str, ...] = ()
    engine: Optional[Engine] = None

    @property
    def roles(self):
        """The roles that carry the steps out, in order. The last one's call does all that those before it left."""
        if not self.steps:
            return ()
        return ("thin_pool", "image_archive", *STORAGE[self.engine.name]) if self.engine else ("thin_pool",)

    @property
    def between(self):
        """Whether something is due between the pool and the switch that takes long: then each role makes its own call."""
        return any(isinstance(step, (ArchiveImage, FillPool, KeepContainer, UntilMoved)) for step in self.steps)
