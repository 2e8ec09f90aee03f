# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong, for the operator: a refusal, a host that changed meanwhile, a command that failed."""

from .quoting import safe

SHOWN = 4000  # characters of a command's own words in a sentence


class CommandFailed(Exception):
    """A command failed, hung or answered what cannot be read. The text names the command and its own words."""

    def __init__(self, argv, problem, err=""):
        self.argv = tuple(argv)
        self.problem = problem
        self.err = err.strip()
        text = "`%s` %s" % (" ".join(self.argv), problem)
        super(CommandFailed, self).__init__(safe(text + (": " + shortened(self.err) if self.err else ".")))


def shortened(text):
    """A command's own words for a sentence: without their middle when they are many."""
    return text if len(text) <= SHOWN else "%s\n[...]\n%s" % (text[: SHOWN // 2], text[-SHOWN // 2 :])


class Refused(Exception):
    """The host is not touched, or not touched further. The text is for the operator.

    what: one sentence, what was found and where.  way_out: commands or YAML to paste, and what they cost.
    """

    def __init__(self, what, way_out=""):
        self.what, self.way_out = safe(what), safe(way_out)
        super(Refused, self).__init__(self.what + ("\n" + self.way_out if way_out else ""))


class Changed(Refused):
    """Docker holds something else than when it was looked at: look and plan anew. Docker serves as before when this is raised."""
