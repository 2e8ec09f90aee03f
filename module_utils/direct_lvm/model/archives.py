# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image archives as far as a plan needs them: their size, their folder, the tag of a committed container."""

import re
from typing import NamedTuple

from .errors import Refused
from .quoting import paste, printable

MARGIN = 1 << 20  # bytes: the archive's own records, besides 5% for tar's headers
SHORT = 12  # characters of a short ID, as Docker prints it


class Unfit(NamedTuple):
    """Why archives do not go into a folder, and the path of one where they could."""

    why: str
    instead: str


def must_fit(folder, unfit):
    """Raise Refused for a folder that has a problem()."""
    if unfit:
        raise Refused(
            "the archives of images, which hold secrets, cannot go to %s: %s." % (printable(folder), unfit.why),
            "Name another folder; one that is not there yet is made: image_archive_dir: %s" % paste(unfit.instead),
        )


def commit_tag(container):
    """The tag of the image made of a container: its name, as far as a repository may be called so, and its short ID."""
    name = re.sub(r"[^a-z0-9]+", "-", container.name.lower()).strip("-") or "container"
    return "direct-lvm/%s:%s" % (name, container.id[:SHORT])


def needed_bytes(image):
    """Bytes that the archive of an image may take: what Docker counts, plus 5% and 1 MiB."""
    return image.size + image.size // 20 + MARGIN
