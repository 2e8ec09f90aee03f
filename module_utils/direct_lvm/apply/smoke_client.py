# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The smoke test's container, by Docker's client or by containerd's: made, run, and removed again.

No registry is needed: the image is the host's own dd(1) and sleep(1) with their libraries. The container sleeps, and dd writes
in it: so its root, which is a thin device on the pool, is there to be looked at before and after.

Raises Refused, CommandFailed or OSError, each with a sentence for the operator.
Sources: ldd(1), ctr(8), moby's image specification v1.2 for the archive that `ctr images import` reads.
"""

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile

from ..facts import containerd
from ..host import commands
from ..model.errors import CommandFailed, Refused
from ..model.quoting import paste
from ..texts import own_files

NAME = "direct-lvm-smoke-test"  # of the container: one name, so that the next run removes what a killed one left
IMAGE = "direct-lvm/smoke-test:latest"
REFERENCE = "docker.io/" + IMAGE  # as containerd names it
NAMESPACE = "direct-lvm"  # of containerd, apart from everybody else's
PROGRAMS = ("dd", "sleep")  # of coreutils
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}  # as Go names them


def sleep(timeout):
    """The container's command: longer than the write may take; one that a killed run left ends by itself."""
    return ["/sleep", str(2 * timeout)]


class Client:
    """The test's container by one client: what both clients do alike. timeout in seconds for a command."""

    argv, timeout = (), 0
    entry = ()  # the words before those of a command in the container
    removals = ()  # the words of the commands that remove everything

    def run(self, *words, **options):
        """Run the client. The Result. options: see commands.run()."""
        return commands.run([*self.argv, *words], timeout=self.timeout, **options)

    def write(self, megabytes):
        """Write zeros into a file of the container's root, which are on disk when dd ends."""
        count = "count=%d" % megabytes
        self.run(*self.entry, NAME, "/dd", "if=/dev/zero", "of=/written", "bs=1048576", count, "conv=fsync")

    def remove(self):
        """Remove container and image if they exist. What the client answered when it could not, else ""."""
        problems = []
        for words in self.removals:
            try:
                result = self.run(*words, ok=None)
            except CommandFailed as error:
                problems.append(str(error))
                continue
            answer = " ".join(result.err.split())
            if result.rc != 0 and "no such " not in answer.lower() and "not found" not in answer.lower():
                problems.append(answer)
        return "; ".join(problems)


class DockerClient(Client):
    """The test's container by Docker. host: its socket."""

    name = "Docker"
    inspect = "docker info --format '{{.Driver}} {{.DriverStatus}}'"
    clean = "docker rm --force %s" % NAME
    entry = ("exec",)
    removals = (("rm", "--force", "--volumes", NAME), ("rmi", "--force", IMAGE))

    def __init__(self, host, timeout):
        self.argv, self.timeout = ["docker", "--host", host], timeout

    def prepare(self):
        """Import the image and create its container."""
        with tempfile.TemporaryDirectory(prefix="direct-lvm-") as folder:
            archive = os.path.join(folder, "image.tar")
            variable = make_image(archive)
            self.run("import", archive, IMAGE)
        self.run("create", "--name", NAME, "--network", "none", "--env", variable, IMAGE, *sleep(self.timeout))

    def start(self):
        """Start the container."""
        self.run("start", NAME)

    def pid(self):
        """Its first process, 0 when Docker does not tell."""
        return commands.number(self.run("inspect", "--format", "{{.State.Pid}}", NAME).out.strip()) or 0


class ContainerdClient(Client):
    """The test's container by containerd's own client, on the devmapper snapshotter. address: its socket."""

    name = "containerd"
    entry = ("tasks", "exec", "--exec-id", "write")
    removals = (("tasks", "rm", "--force", NAME), ("containers", "rm", NAME), ("images", "rm", "--sync", REFERENCE))

    def __init__(self, address, timeout):
        self.argv, self.timeout, self.variable = containerd.ctr(address, "--namespace", NAMESPACE), timeout, ""
        client = " ".join(containerd.ctr(paste(address)))
        self.inspect = client + " plugins ls | grep devmapper"
        self.clean = client + " --namespace %s containers rm %s" % (NAMESPACE, NAME)

    def prepare(self):
        """Import the image."""
        with tempfile.TemporaryDirectory(prefix="direct-lvm-") as folder:
            layer, archive = os.path.join(folder, "layer.tar"), os.path.join(folder, "image.tar")
            self.variable = make_image(layer)
            make_archive(layer, archive)
            self.run("images", "import", "--snapshotter", own_files.PLUGIN, archive)

    def start(self):
        """Create the container, and start it."""
        snapshotter = ("--snapshotter", own_files.PLUGIN)
        self.run("run", "--detach", *snapshotter, "--env", self.variable, REFERENCE, NAME, *sleep(self.timeout))

    def pid(self):
        """Its first process in `ctr tasks ls` (TASK PID STATUS), 0 when containerd does not tell."""
        rows = [line.split() for line in self.run("tasks", "ls").out.splitlines()]
        return next((commands.number(row[1]) or 0 for row in rows if row[:1] == [NAME] and row[1:]), 0)


def make_image(path):
    """Write a tar with /dd, /sleep and the libraries that they need, where they look for them.

    Returns NAME=VALUE, the variable that tells their loader where the libraries are.
    """
    programs = {name: commands.find(name) for name in PROGRAMS}
    missing = [name for name in PROGRAMS if programs[name] is None]
    if missing:
        raise Refused("%s is not installed" % missing[0], "apt-get install coreutils    # or: dnf install coreutils")
    needed = tuple(dict.fromkeys(library for name in PROGRAMS for library in libraries(programs[name])))
    with tarfile.open(path, "w") as tar:
        for name in PROGRAMS:
            add(tar, programs[name], name)
        for library in needed:
            add(tar, library, library.lstrip("/"))
    return "LD_LIBRARY_PATH=" + ":".join(sorted({os.path.dirname(library) for library in needed}))


def make_archive(layer, path):
    """Write the archive of an image with this one layer, as `docker save` would, for the host's own architecture."""
    with open(layer, "rb") as stream:
        diff = "sha256:" + hashlib.sha256(stream.read()).hexdigest()
    machine = os.uname().machine
    rootfs = {"type": "layers", "diff_ids": [diff]}
    config = json.dumps({"architecture": ARCHITECTURES.get(machine, machine), "os": "linux", "config": {}, "rootfs": rootfs})
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}])
    with tarfile.open(path, "w") as tar:
        tar.add(layer, "layer.tar")
        for name, text in (("config.json", config), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))


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
        raise CommandFailed(result.argv, "failed with return code %d" % result.rc, result.err or result.out)
    return parse_ldd(result.out)


def parse_ldd(text):
    """The absolute paths in what ldd prints; the kernel's own vdso has none. Raises Refused for a library that is not there."""
    paths = []
    for line in text.splitlines():
        if line.rstrip().endswith("=> not found"):
            raise Refused("what the image is made of cannot run here, a library is missing: %s" % line.strip())
        match = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)\s*\Z", line)
        if match and match.group(1) not in paths:
            paths.append(match.group(1))
    return tuple(paths)
