# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether containers really live on the thin pool: write in one, and see the pool's used data grow and shrink again.

It works the same with Docker's devicemapper driver and with containerd's devmapper snapshotter, since the kernel is asked.

Raises Refused, CommandFailed or OSError, each with a sentence for the operator.
Sources: Linux Documentation/admin-guide/device-mapper/thin-provisioning.rst; dmsetup(8).
"""

import re
import time
from contextlib import suppress
from typing import NamedTuple

from ..host import commands, files, mountinfo
from ..model.errors import Refused

MIB = 1 << 20
SECTOR = 512
ENOUGH = 4 << 30  # bytes: a pool with that much free is not nearly full, however large it is
TRIES = 3
PROC = "/proc"
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


class Disturbed(Refused):
    """The pool's figures are not as they should be, and others who write or remove meanwhile could be why."""


def smoke_test(client, pool, megabytes):
    """Write that many MiB in a container and remove it. A Measured; Refused when the pool did not take or return them.

    client: a smoke_client.DockerClient or ContainerdClient.  pool: a device-mapper name.
    What the container wrote is told by its own thin device, which no neighbour writes to. That its space came back is told by
    the whole pool only, so a neighbour can hide it: then all is tried again.
    """
    for _another in range(TRIES - 1):
        with suppress(Disturbed):
            return one_try(client, pool, megabytes)
    return one_try(client, pool, megabytes)


def one_try(client, pool, megabytes):
    """The smoke test, once. Raises Disturbed when another try may go better."""
    client.remove()
    before = usage(pool)
    must_have_room(before, pool, megabytes)
    amount = megabytes * MIB
    try:
        client.prepare()
        client.start()
        device = root_device(client.pid(), pool)
        empty = usage(pool)  # importing the image took space too, which must not count as written
        own = mapped(device) if device else 0
        client.write(megabytes)
        full = usage(pool)
        own = mapped(device) - own if device else 0
    finally:
        left = client.remove()
    # Of the device's own chunks the first and the last of a file, or of its pieces, may have been there before.
    least = max(0, amount - amount // 4 - 2 * before.chunk_size) if device else amount
    grown = own if device else full.used - empty.used
    if grown < least:
        raise (Refused if device else Disturbed)(
            "a container wrote %d MiB, and thin pool %s grew by %d MiB only: %s writes somewhere else"
            % (megabytes, pool, max(0, grown) // MIB, client.name),
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
        raise Disturbed(
            "a container of %d MiB was removed, and thin pool %s got back %d MiB only within %d s, each of %d times"
            % (megabytes, pool, max(0, full.used - freed.used) // MIB, RETURN_TIMEOUT, TRIES),
            "When other containers write much meanwhile, run it again. Else see: journalctl -u %s -n 50" % client.name.lower(),
        )
    return Measured(before.used, full.used, freed.used)


def must_have_room(found, pool, megabytes):
    """Raise Refused for a pool that is nearly full: the test must not be what fills it.

    Docker's graph driver makes nothing while less than a tenth is free. containerd's snapshotter does, and the file system
    that it makes for an image takes more than what is written (240 MB of 10 GB were measured).
    """
    free, least = found.size - found.used, min(found.size // 10, ENOUGH) + 2 * megabytes * MIB
    if free < least:
        raise Refused(
            "thin pool %s has %d MiB free, and the smoke test leaves a pool alone that has less than %d MiB"
            % (pool, free // MIB, least // MIB),
            "Make room first: ansible-playbook playbooks/grow.yml    # or: docker image prune\n"
            "To verify without it: -e verify_smoke_test=false",
        )


# --- the container's own device --------------------------------------------------------------------------------


def root_device(pid, pool):
    """("MAJOR", "MINOR") of the thin device of this pool that a process has as its root; None when it has none, or none is seen.

    A runtime that puts containers into virtual machines shows none: then the whole pool has to tell.
    """
    text = files.read_text("%s/%d/mountinfo" % (PROC, pid)) or ""
    root = mountinfo.root(text)
    if not root:
        return None
    device = tuple(root.number.split(":"))
    words = commands.run(dmsetup("table", device), ok=None).out.split()
    columns = ["--columns", "--noheadings", "--separator", ":", "-o", "major,minor"]
    number = commands.run(["dmsetup", "info", *columns, kernel_name(pool)]).out.strip()
    return device if words[2:4] == ["thin", number] else None


def mapped(device):
    """Bytes of the pool's chunks that a thin device has, others' or not: "0 SECTORS thin MAPPED_SECTORS HIGHEST"."""
    status = commands.run(dmsetup("status", device)).out
    words = status.split()
    sectors = commands.number("".join(words[3:4]))
    if words[2:3] != ["thin"] or sectors is None:
        raise Refused("the container's thin device does not tell what it has: %s" % " ".join(words), "Look at: dmesg | grep thin")
    return sectors * SECTOR


def dmsetup(verb, device):
    """The argv that asks about a device by its numbers."""
    return ["dmsetup", verb, "--major", device[0], "--minor", device[1]]


# --- the pool --------------------------------------------------------------------------------------------------


def usage(pool):
    """The Usage of a thin pool, as the kernel counts it. Raises Refused when there is no such pool.

    Asking commits the pool's pending metadata first, so the count is up to date.
    """
    name = kernel_name(pool)
    return parse_usage(commands.run(["dmsetup", "status", name]).out, commands.run(["dmsetup", "table", name], ok=None).out)


def kernel_name(pool):
    """The device-mapper name that is the thin pool itself. Raises Refused when there is none.

    LVM puts a linear device of the pool's name over NAME-tpool while the pool has thin LVs.
    """
    for name in (pool, pool + "-tpool"):
        status = commands.run(["dmsetup", "status", name], ok=None)
        if status.rc == 0 and status.out.split()[2:3] == ["thin-pool"]:
            return name
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
