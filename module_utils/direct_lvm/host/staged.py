# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are written while a daemon still serves, and only renamed while it is down: a full file system is met before.

What is staged stands beside its place, under the name that a write takes for its temporary file. It is used only when it is, to the
last byte, what is to be put in place.
"""

import os
import stat
from contextlib import suppress

from ..model.errors import Refused
from . import files


def stage(path, text, mode=0o644):
    """Write onto the disk what put_text() is to put in place: then it needs no more space. unstage() removes what is not used."""
    with files.new_file(path, text, mode) as new:
        if not is_there(new, new.name):
            files.write(new, rename=False)


def put_text(path, text, mode=0o644):
    """files.write_text(), but an unchanged file is left alone, and what stage() has written only gets its name."""
    with files.new_file(path, text, mode) as new:
        if is_there(new, new.name):
            unstage(new.path)
        elif is_there(new, new.name + files.SUFFIX):
            with files.named(new.path):
                os.rename(new.name + files.SUFFIX, new.name, src_dir_fd=new.folder, dst_dir_fd=new.folder)
        else:
            files.write(new)


def unstage(path):
    """Remove what stage() has written and nobody used. It is in nobody's way: no error matters."""
    with suppress(OSError, Refused):
        path = files.real_file(path)
        with files.opened(os.path.dirname(path)) as (folder, _passed):
            os.unlink(os.path.basename(path) + files.SUFFIX, dir_fd=folder)


def is_there(new, name):
    """Whether a file of that name is the New, link and all; it is on disk then."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=new.folder)
    except OSError:
        return False
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        owned = (status.st_uid, status.st_gid) == new.owner if new.owner else status.st_uid == os.geteuid()
        same = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and stat.S_IMODE(status.st_mode) == new.mode and owned
        if not same or stream.read(len(new.content) + 1) != new.content:
            return False
        os.fsync(descriptor)
    return True
