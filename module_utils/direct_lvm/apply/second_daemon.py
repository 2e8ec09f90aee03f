# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A second, temporary dockerd on the pool, which takes Docker's images and makes file systems for its containers.

It has a network namespace of its own: without one `--bridge none` removes docker0 with its address (moby,
daemon_unix.go, removeDefaultBridgeInterface). Its mounts are in a namespace too, so none is left when it is killed. It asks
the same containerd in namespaces of its own. It ends with this process: the kernel sees to that (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

from ..facts import live
from ..host import commands, files, trees
from ..images.images import docker as client
from ..images.images import image_ids
from ..model.errors import CommandFailed, Refused, shortened
from ..model.names import OURS, SHADOW

RUN = "/run/direct-lvm-shadow"  # its sockets and process number, for root alone
SOCKET = "unix://%s/docker.sock" % RUN
LOG = RUN + "/log"
NAMESPACE = "direct-lvm-shadow"  # of containerd
FOLDERS = ("devicemapper", "image/devicemapper")  # while the first is in its data root the work is not finished
START_TIMEOUT, STOP_TIMEOUT, PAUSE = 120, 120, 0.5  # seconds
PR_SET_PDEATHSIG = 1


def fill(step):
    """Carry out steps.FillPool. Raises CommandFailed and Refused; what it had made is then unfinished."""
    root = os.path.join(step.root, SHADOW)
    os.makedirs(os.path.join(root, "image"), 0o700, exist_ok=True)
    os.chmod(root, 0o700)
    for name in FOLDERS:
        files.move(os.path.join(step.root, name + OURS), os.path.join(root, name))
    made = {container: number for number, container in live.labelled(root).items()}
    for container, number in made.items():
        rename_layer(root, container, number)
    with serving(step, root):
        for container in step.stale:
            if container in made:
                commands.run(client(SOCKET, "rm", "--force", "--volumes", made[container]), timeout=step.timeout)
        if step.images:
            copy_images(step)
        for container, image in step.containers:
            label = "%s=%s" % (live.LABEL, container)
            commands.run(client(SOCKET, "create", "--network", "none", "--label", label, image, "none"), timeout=step.timeout)
        for image in step.gone:
            commands.run(client(SOCKET, "rmi", "--force", image), timeout=step.timeout, ok=(0, 1))
    for number, container in live.labelled(root).items():
        rename_layer(root, number, container)
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(root, live.USED))
    commands.run(("sync", "--file-system", root), timeout=step.timeout)
    for name in reversed(FOLDERS):
        files.move(os.path.join(root, name), os.path.join(step.root, name + OURS))


def rename_layer(root, source, target):
    """Have a layer bear another container's ID (moby, layer/filestore.go)."""
    folder = live.mounts_folder(root, "devicemapper")
    files.move(os.path.join(folder, source), os.path.join(folder, target))


def copy_images(step):
    """docker save of all images at once, which writes a layer that several share once, into docker load. Raises CommandFailed."""
    save = client(step.host, "save", *step.images)
    load = client(SOCKET, "load", "--quiet")
    with open(os.path.join(RUN, "errors"), "w+b") as errors, child(
        save, subprocess.DEVNULL, subprocess.PIPE, errors
    ) as source, child(load, source.stdout, subprocess.DEVNULL, errors) as sink:
        source.stdout.close()
        wait(sink, load, step.timeout, errors)
        wait(source, save, step.timeout, errors)
    has = image_ids(SOCKET, step.timeout)
    lost = [image for image in step.images if image not in has]
    if lost:
        raise Refused("`docker load` reported success, yet image %s is not on the pool." % lost[0], "Run this again.")


def wait(process, argv, timeout, errors):
    """Wait for the end of a process. Raises CommandFailed."""
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise CommandFailed(argv, "did not finish within %d s and was stopped" % timeout) from None
    if code:
        errors.seek(0)
        raise CommandFailed(argv[:4], "failed with return code %d" % code, shortened(commands.decoded(errors.read(1 << 16))))


@contextmanager
def child(argv, stdin, stdout, stderr):
    """A process that ends with this one, and at the end of the block."""
    bound = ctypes.CDLL(None, use_errno=True).prctl
    process = subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=commands.environment(),
        cwd="/",
        start_new_session=True,
        preexec_fn=lambda: bound(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


@contextmanager
def serving(step, root):
    """The second daemon, answering, until the end of the block, when it has ended well. Raises CommandFailed."""
    trees.remove_tree(RUN)
    os.makedirs(RUN, 0o700)
    with open(os.path.join(RUN, "daemon.json"), "w", encoding="ascii") as stream:
        json.dump({}, stream)
    argv = ["unshare", "--mount", "--net", step.program, "--config-file", RUN + "/daemon.json", "--data-root", root]
    argv += ["--exec-root", RUN + "/exec", "--pidfile", RUN + "/docker.pid", "--host", SOCKET, "--group", "root"]
    argv += ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=false"]
    argv += ["--containerd", step.containerd, "--containerd-namespace", NAMESPACE]
    argv += ["--containerd-plugins-namespace", NAMESPACE + "-plugins", *step.flags]
    try:
        with open(LOG, "w+b") as log, child(argv, subprocess.DEVNULL, log, log) as daemon:
            must_answer(daemon, argv)
            yield
            daemon.terminate()
            wait(daemon, argv, STOP_TIMEOUT, log)
    finally:
        trees.remove_tree(RUN)


def must_answer(daemon, argv):
    """Return once the daemon answers. Raises CommandFailed with the end of its log when it does not."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and daemon.poll() is None:
        # It makes its socket first, and answers on it once it is ready.
        if (
            os.path.exists(SOCKET[len("unix://") :])
            and commands.run(client(SOCKET, "version"), timeout=START_TIMEOUT, ok=None).rc == 0
        ):
            return
        time.sleep(PAUSE)
    text = (files.read_text(LOG) or "").splitlines()[-5:]
    problem = "ended at its start" if daemon.poll() is not None else "does not answer within %d s" % START_TIMEOUT
    raise CommandFailed(argv[3:4], "as a second daemon on the pool %s" % problem, shortened("\n".join(text)))
