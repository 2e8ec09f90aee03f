# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The folder of the image archives: whether it is root's alone, and how it is made.

Archives hold secrets, and Docker loads what is in them. So nobody but root may look into their folder, or put another in its
place. A folder that is there is never changed: /srv or /etc may be it, by mistake.
"""

import os
import shutil
import stat
from contextlib import contextmanager

from ..host import files
from ..model.archives import Unfit, must_fit
from ..model.errors import Refused
from ..model.quoting import printable

DEFAULT = "/var/lib/direct-lvm/images"
OWN = "direct-lvm-images"  # below a folder that is open to others: one for the archives alone
SCRATCH = "incomplete"  # folder below the archives' for what is being written; on the same file system


def problem(folder):
    """The Unfit of a folder, as it is or would be made; None when archives may go there. An absolute path."""
    why, open_to_others = look(folder)
    if not why:
        return None
    own = os.path.join(folder, OWN)
    return Unfit(why, own if open_to_others and not look(own)[0] else DEFAULT)


def look(folder):
    """(why archives do not go into a folder or "", whether that is only because others may look into it)."""
    place = folder
    while True:
        try:
            with files.opened(place) as (_descriptor, passed):
                weak = files.weak_spot(passed, strict=True)
                mode = passed[-1].status.st_mode
                if weak or place != folder or not mode & (stat.S_IRWXG | stat.S_IRWXO):
                    return weak, False
                return "others than root may look into %s" % printable(folder), not mode & stat.S_ISVTX
        except FileNotFoundError:  # it will be made
            place = os.path.dirname(place)
        except NotADirectoryError as error:
            return "%s is no folder" % printable(error.filename), False
        except Refused as refusal:
            return refusal.what.rstrip("."), False


def make(folder):
    """Make a folder that only root may enter. Raises Refused, and changes nothing, where there is another one."""
    must_fit(folder, problem(folder))
    with files.opened(folder, make=0o700):
        pass


@contextmanager
def scratch(folder):
    """An empty folder below folder, gone afterwards. What a killed run left in it, Docker's own files too, goes first."""
    path = os.path.join(folder, SCRATCH)
    shutil.rmtree(path, ignore_errors=True)
    make(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
