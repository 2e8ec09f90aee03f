# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of a switch: what Docker had before, and how far the switch came. Written before Docker is stopped. Pure."""

import json

from ..model.errors import Refused
from ..model.host import Image, SwitchRecord
from ..model.names import DOCKER_ID
from . import strict_json

PATH = "/var/lib/direct-lvm/switch.json"
STATES = ("begun", "done", "back")


def parse(text):
    """A SwitchRecord from the record's text, None when there is none. Raises Refused for anything else."""
    if text is None:
        return None
    try:
        fields = strict_json.loads(text)
        pending = tuple(Image(one["id"], tuple(one["tags"]), one["size"]) for one in fields["pending"])
        names = tuple((name, number) for name, number in fields.get("names", ()))  # older records have none
        texts = (fields["state"], fields["driver"], fields["pool"], fields["dropin"], fields["daemon_json"])
        kept = tuple((number, state) for number, state in fields.get("kept", ()))
        former = SwitchRecord(*texts, pending=pending, names=names, kept=kept)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable(repr(error)) from error
    texts = (former.state, former.driver, former.pool, former.dropin or "", former.daemon_json or "")
    lists = [one["tags"] for one in fields["pending"]]
    texts += tuple(text for image in pending for text in (image.id, *image.tags))
    texts += tuple(text for pair in former.names + former.kept for text in pair)
    sizes = [image.size for image in pending]
    if (
        former.state not in STATES
        or not all(isinstance(one, str) for one in texts)
        or not all(isinstance(one, list) for one in lists)
        or not all(DOCKER_ID.match(number) for number, _how in former.kept)
        or not all(type(size) is int and 0 <= size < 2**63 for size in sizes)
    ):
        raise unreadable("not what this tool writes")
    return former


def unreadable(why):
    """The refusal for a record that cannot be read."""
    return Refused(
        "%s, the record of Docker's former storage, cannot be read: %s." % (PATH, why),
        "If Docker runs as it should, set it aside: mv %s %s.unreadable\nplaybooks/rollback.yml has nothing to go back to then."
        % (PATH, PATH),
    )


def render(former):
    """The record's text."""
    fields = dict(former._asdict(), pending=[one._asdict() for one in former.pending])
    return json.dumps(fields, indent=1, sort_keys=True) + "\n"
