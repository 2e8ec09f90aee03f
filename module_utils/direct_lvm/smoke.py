# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether containers really live on the thin pool: write in one, and see the pool's used data grow and shrink again.

It works the same with Docker's devicemapper driver and with containerd's devmapper snapshotter, since the kernel is asked.

Raises model.Refused, commands.CommandFailed or OSError, each with a sentence for the operator.
Sources: Linux Documentation/admin-guide/device-mapper/thin-provisioning.rst.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import time
from typing import NamedTuple

from . import commands
from .model import Refused

MIB = 1 << 20
SECTOR = 512
RETURN_TIMEOUT = 60  # seconds: deferred deletion, and containerd's garbage collection, take a while
ARGUMENTS = {  # of the module direct_lvm_smoke_test
    "pool": {"type": "str", "default": "vgdocker-thinpool"},
    "client": {"type": "str", "choices": ["docker", "containerd"], "default": "docker"},
    "megabytes": {"type": "int", "default": 16},
    "command_timeout": {"type": "int", "default": 600},
    "lock_timeout": {"type": "int", "default": 600},
}


class Usage(NamedTuple):
    """A thin pool's data space in bytes, and what is used of it."""

    used: int
    size: int
    chunk_size: int


class Measured(NamedTuple):
    """The pool's used data in bytes: before anything, when the container has written, and after its removal."""

    before: int
    after_write: int
    after_remove: int


def smoke_test(client, pool, megabytes):
    """Write that many MiB in a container and remove it. A Measured; Refused when the pool did not take or return them.

    client: a smoke_client.DockerClient or ContainerdClient.  pool: a device-mapper name.
    """
    amount = megabytes * MIB
    client.remove()
    before = usage(pool)
    free = (before.size - before.used) // MIB
    if free < 2 * megabytes:
        raise Refused(
            "thin pool %s has %d MiB free, and the smoke test writes %d MiB" % (pool, free, megabytes),
            "Make room first: docker image prune    # or extend the pool",
        )
    try:
        client.prepare(megabytes)
        empty = usage(pool)  # importing the image took space too, which must not count as written
        client.run()
        full = usage(pool)
    finally:
        left = client.remove()
    if full.used - empty.used < amount:
        raise Refused(
            "a container wrote %d MiB, and thin pool %s grew by %d MiB only: %s writes somewhere else"
            % (megabytes, pool, max(0, full.used - empty.used) // MIB, client.name),
            "See where: " + client.inspect,
        )
    if left:
        raise Refused("the smoke test's container or image could not be removed: %s" % left, client.clean)
    end = time.monotonic() + RETURN_TIMEOUT
    freed = usage(pool)
    while full.used - freed.used < amount and time.monotonic() < end:
        time.sleep(1)
        freed = usage(pool)
    if full.used - freed.used < amount:
        raise Refused(
            "a container of %d MiB was removed, and thin pool %s got back %d MiB only within %d s"
            % (megabytes, pool, max(0, full.used - freed.used) // MIB, RETURN_TIMEOUT),
            "When other containers write much meanwhile, run it again. Else see: journalctl -u %s -n 50" % client.name.lower(),
        )
    return Measured(before.used, full.used, freed.used)


# --- the pool --------------------------------------------------------------------------------------------------


def usage(pool):
    """The Usage of a thin pool, as the kernel counts it. Raises Refused when there is no such pool.

    Asking commits the pool's pending metadata first, so the count is up to date. LVM puts a linear device of the pool's
    name over NAME-tpool while the pool has thin LVs.
    """
    for name in (pool, pool + "-tpool"):
        status = commands.run(["dmsetup", "status", name], ok=None)
        table = commands.run(["dmsetup", "table", name], ok=None)
        if status.rc == 0 and status.out.split()[2:3] == ["thin-pool"]:
            return parse_usage(status.out, table.out)
    raise Refused(
        "there is no thin pool of the device-mapper name %s, or it is not active" % pool,
        "Look at: dmsetup ls --target thin-pool    # to activate it: vgchange --activate y VG",
    )


def parse_usage(status, table):
    """A Usage from the thin-pool lines of dmsetup. Raises Refused when the pool cannot tell.

    status: "0 SECTORS thin-pool TRANSACTION METADATA_USED/METADATA DATA_USED/DATA ..." in chunks, or "... Fail";
    table: "0 SECTORS thin-pool METADATA_DEVICE DATA_DEVICE CHUNK_SECTORS ...".
    """
    asked = re.match(r"\d+ \d+ thin-pool \d+ \d+/\d+ (\d+)/(\d+)\s", status)
    made = re.match(r"\d+ \d+ thin-pool \S+ \S+ (\d+)\s", table)
    if not (asked and made):
        raise Refused("the thin pool does not tell how full it is: %s" % " ".join(status.split()), "Look at: dmesg | grep thin")
    chunk = int(made.group(1)) * SECTOR
    return Usage(int(asked.group(1)) * chunk, int(asked.group(2)) * chunk, chunk)
