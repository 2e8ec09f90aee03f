# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether containers really live on the thin pool: write in one, and see the pool's used data grow and shrink again.

No registry is needed: the image is the host's own dd(1) with its libraries. It works the same with Docker's devicemapper
driver and with containerd's devmapper snapshotter, since the kernel is asked, not Docker.

Raises model.Refused, commands.CommandFailed or OSError, each with a sentence for the operator.
Sources: Linux Documentation/admin-guide/device-mapper/thin-provisioning.rst, ldd(1).
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import tarfile
import tempfile
import time
from typing import NamedTuple

from . import commands
from .model import Refused

NAME = "direct-lvm-smoke-test"  # of the container: one name, so that the next run removes what a killed one left
IMAGE = "direct-lvm/smoke-test:latest"
MIB = 1 << 20
SECTOR = 512
RETURN_TIMEOUT = 60  # seconds: deferred deletion, and containerd's garbage collection, take a while
ARGUMENTS = {  # of the module direct_lvm_smoke_test
    "pool": {"type": "str", "default": "vgdocker-thinpool"},
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


def smoke_test(host, pool, megabytes, timeout):
    """Write that many MiB in a container and remove it. A Measured; Refused when the pool did not take or return them.

    host: Docker's socket.  pool: a device-mapper name.  timeout in seconds for a command of Docker's.
    """
    amount = megabytes * MIB
    remove(host, timeout)
    before = usage(pool)
    free = (before.size - before.used) // MIB
    if free < 2 * megabytes:
        raise Refused(
            "thin pool %s has %d MiB free, and the smoke test writes %d MiB" % (pool, free, megabytes),
            "Make room first: docker image prune    # or extend the pool",
        )
    try:
        prepare(host, megabytes, timeout)
        empty = usage(pool)  # importing the image took space too, which must not count as written
        commands.run(["docker", "--host", host, "start", "--attach", NAME], timeout=timeout)
        full = usage(pool)
    finally:
        left = remove(host, timeout)
    if full.used - empty.used < amount:
        raise Refused(
            "a container wrote %d MiB, and thin pool %s grew by %d MiB only: Docker writes somewhere else"
            % (megabytes, pool, max(0, full.used - empty.used) // MIB),
            "See where: docker info --format '{{.Driver}} {{.DriverStatus}}'",
        )
    if left:
        raise Refused("the smoke test's container or image could not be removed: %s" % left, "docker rm --force %s" % NAME)
    end = time.monotonic() + RETURN_TIMEOUT
    freed = usage(pool)
    while full.used - freed.used < amount and time.monotonic() < end:
        time.sleep(1)
        freed = usage(pool)
    if full.used - freed.used < amount:
        raise Refused(
            "a container of %d MiB was removed, and thin pool %s got back %d MiB only within %d s"
            % (megabytes, pool, max(0, full.used - freed.used) // MIB, RETURN_TIMEOUT),
            "When other containers write much meanwhile, run it again. Else see: journalctl -u docker -n 50",
        )
    return Measured(before.used, full.used, freed.used)


def prepare(host, megabytes, timeout):
    """Import an image of dd and create its container: zeros into a file of its own root, on disk before dd ends."""
    argv = ["docker", "--host", host]
    with tempfile.TemporaryDirectory(prefix="direct-lvm-") as folder:
        archive = os.path.join(folder, "image.tar")
        folders = make_image(archive)
        commands.run(argv + ["import", archive, IMAGE], timeout=timeout)
    command = ["create", "--name", NAME, "--network", "none", "--env", "LD_LIBRARY_PATH=" + ":".join(folders), IMAGE]
    command += ["/dd", "if=/dev/zero", "of=/written", "bs=1048576", "count=%d" % megabytes, "conv=fsync"]
    commands.run(argv + command, timeout=timeout)


def remove(host, timeout):
    """Remove the test's container and image if they are there. What Docker said when it could not, else ""."""
    problems = []
    for words in (["rm", "--force", "--volumes", NAME], ["rmi", "--force", IMAGE]):
        try:
            result = commands.run(["docker", "--host", host] + words, timeout=timeout, ok=None)
        except commands.CommandFailed as error:
            problems.append(str(error))
            continue
        if result.rc != 0 and "no such " not in result.err.lower():
            problems.append(" ".join(result.err.split()))
    return "; ".join(problems)


# --- the image -------------------------------------------------------------------------------------------------


def make_image(path):
    """Write a tar with dd as /dd and the libraries that it needs, where it looks for them. The libraries' folders, sorted."""
    program = commands.find("dd")
    if program is None:
        raise Refused("dd is not installed", "apt-get install coreutils    # or: dnf install coreutils")
    needed = libraries(program)
    with tarfile.open(path, "w") as tar:
        add(tar, program, "dd")
        for library in needed:
            add(tar, library, library.lstrip("/"))
    return sorted({os.path.dirname(library) for library in needed})


def add(tar, path, name):
    """Add the file that path leads to, links followed, under a name of its own, for root to run."""
    with open(path, "rb") as stream:
        member = tarfile.TarInfo(name)
        member.size, member.mode = os.fstat(stream.fileno()).st_size, 0o755
        tar.addfile(member, stream)


def libraries(program):
    """The absolute paths of the shared libraries that a program needs, its loader too; () for a static one."""
    result = commands.run(["ldd", program], ok=None)
    if "not a dynamic executable" in result.err + result.out or "statically linked" in result.out:
        return ()
    if result.rc != 0:
        raise commands.CommandFailed(result.argv, "failed with return code %d" % result.rc, result.err or result.out)
    return parse_ldd(result.out)


def parse_ldd(text):
    """The absolute paths in what ldd prints; the kernel's own vdso has none. Raises Refused for a library that is not there."""
    found = []
    for line in text.splitlines():
        if line.rstrip().endswith("=> not found"):
            raise Refused("dd itself cannot run here, a library is missing: %s" % line.strip())
        match = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)\s*\Z", line)
        if match and match.group(1) not in found:
            found.append(match.group(1))
    return tuple(found)


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
