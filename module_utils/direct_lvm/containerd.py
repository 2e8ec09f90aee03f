# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask containerd: its unit, its files, and whether its devmapper snapshotter is loaded. And wait for it after a restart."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re
import tempfile
import time

from . import commands, docker_conflicts, files, strict_json, systemd
from .containerd_config import ADDRESS, CONFIG, PLUGIN, PLUGIN_TYPE, Containerd, pool_names, with_import
from .model import Refused
from .quoting import paste

FILES = ("/etc/containerd/config.toml", "/etc/containerd/*/*.toml")
UNIT = "containerd.service"
ASK_TIMEOUT = 60
GC_LABEL = "containerd.io/gc.ref.snapshot." + PLUGIN
ROUNDS = 20


def configured_pools(config=CONFIG):
    """((path, pool_name), ...) in containerd's files (containerd docs/snapshotters/devmapper.md), as written.

    config: the file that its unit names, which may stand elsewhere. See pool_names(), which errs to the side of "in use".
    """
    found = []
    paths = [path for pattern in FILES for path in sorted(glob.glob(pattern))]
    for path in dict.fromkeys([*paths, config]):
        found += [(path, pool) for pool in pool_names(files.read_text(path) or "")]
    return tuple(found)


def observe_containerd(wanted, docker_unit=None, with_snapshots=False):
    """containerd as a Containerd. wanted: ContainerdStorage.  docker_unit: Docker's unit, which may name the socket.

    Two processes (systemctl, ctr) when all is well. Raises model.Refused and commands.CommandFailed.
    """
    unit = systemd.observe_unit("containerd", wanted.dropin)
    words = systemd.command_words(unit.command, "", {})
    paths = docker_conflicts.flag_values(words, "config") + [
        after.text for word, after in zip(words, words[1:]) if word.text == "-c"
    ]
    config = paths[-1] if paths else CONFIG
    address = docker_address(docker_unit)
    status, problem = None, "there is no containerd.service"
    if unit.active_state == "active":
        status, problem = plugin_status(address)
    elif unit.load_state != "not-found":
        problem = "containerd.service is %s" % unit.active_state
    names = os.listdir(wanted.root_path) if os.path.isdir(wanted.root_path) else []
    snapshots = list_snapshots(address) if with_snapshots and status == "ok" else None
    return Containerd(
        unit=unit,
        address=address,
        plugin=status,
        problem=problem,
        config_path=config,
        config_text=files.read_text(config),
        own_text=files.read_text(wanted.config),
        dropin_text=files.read_text(wanted.dropin),
        elsewhere=tuple(one for one in configured_pools(config) if one[0] != wanted.config),
        databases=tuple(sorted(name[:-3] for name in names if name.endswith(".db") and name != "metadata.db")),
        snapshots=snapshots,
        tasks=list_tasks(address, snapshots) if snapshots else (),
    )


def docker_address(unit):
    """The socket on which Docker asks containerd: its --containerd, else the default."""
    words = systemd.command_words(unit.command, "", {}) if unit else []
    given = [value for value in docker_conflicts.flag_values(words, "containerd") if value.startswith("/")]
    return given[-1] if given else ADDRESS


def ctr(address, *words):
    """The argv of containerd's client for the daemon on this socket."""
    return ("ctr", "--address", address) + words


def plugin_status(address):
    """(status, why it is not ok) of the devmapper snapshotter; see Containerd.plugin.

    containerd starts, and Docker with it, while a snapshotter could not be loaded: only this list tells.
    """
    try:
        result = commands.run(ctr(address, "plugins", "ls"), timeout=ASK_TIMEOUT)
    except commands.CommandFailed as failure:
        return None, str(failure)
    status = parse_plugins(result.out)
    if status not in ("error", "skip"):
        return status, ""
    detail = commands.run(ctr(address, "plugins", "ls", "--detailed", "id==" + PLUGIN), timeout=ASK_TIMEOUT, ok=None).out
    return status, " ".join(detail.partition("Message:")[2].split())  # the last field, of one line or several


def parse_plugins(text):
    """The devmapper snapshotter's status in `ctr plugins ls`: TYPE ID PLATFORMS STATUS, "absent" when it is not there."""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == [PLUGIN_TYPE, PLUGIN]:
            return words[-1]
    return "absent"


def list_snapshots(address):
    """((namespace, key), ...) of all snapshots in the devmapper snapshotter, children before their parents."""
    found = []
    for namespace in commands.run(ctr(address, "namespaces", "ls", "--quiet")).out.split():
        argv = ctr(address, "--namespace", namespace, "snapshots", "--snapshotter", PLUGIN, "ls")
        found += [(namespace, key) for key in parse_snapshots(commands.run(argv).out)]
    return tuple(found)


def list_tasks(address, snapshots):
    """((namespace, ID), ...) of the containers with a task whose root is in the snapshotter.

    snapshots: as list_snapshots() gives them. Clients name a container's snapshot after it; Docker notes no snapshotter.
    """
    found = []
    for namespace in commands.run(ctr(address, "namespaces", "ls", "--quiet")).out.split():
        asked = ctr(address, "--namespace", namespace)
        for task in commands.run((*asked, "tasks", "ls", "--quiet")).out.split():
            info = (*asked, "containers", "info", task)
            if (namespace, task) in snapshots or snapshotter_of(commands.run(info, ok=None).out) in (None, PLUGIN):
                found.append((namespace, task))
    return tuple(found)


def snapshotter_of(text):
    """The snapshotter in `ctr containers info`, "" when its client noted none, None when it cannot be told."""
    try:
        named = strict_json.loads(text)["Snapshotter"]
    except (KeyError, TypeError, ValueError):
        return None
    return named if isinstance(named, str) else None


def parse_snapshots(text):
    """The keys in `ctr snapshots ls` (KEY PARENT KIND, the parent may be empty), children before their parents."""
    parents = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) in (2, 3):
            parents[words[0]] = words[1] if words[2:] else ""
    order = {}  # parents first; no recursion: they may be many, and an odd answer may have them in a ring
    for key in sorted(parents):
        line = {}
        while key in parents and key not in order and key not in line:
            line[key] = None
            key = parents[key]
        order.update(dict.fromkeys(reversed(list(line))))
    return tuple(reversed(list(order)))


def drop_snapshots(step):
    """Remove every snapshot of the snapshotter (steps.DropSnapshots); images stay, and are unpacked anew when needed.

    A snapshot whose children the garbage collection removed still counts them, and only the collection can remove it: so
    what refers to it is taken away, a label of the image's content, and the collection is called (containerd,
    core/metadata: snapshot.go, Remove; gc.go, remove). Raises CommandFailed when some are left after ROUNDS.
    """
    said = ""
    for _round in range(ROUNDS):
        left = list_snapshots(step.address)
        if not left:
            return
        for namespace, key in left:
            snapshots = ctr(step.address, "--namespace", namespace, "snapshots", "--snapshotter", PLUGIN, "rm", key)
            said = commands.run(snapshots, ok=None).err or said
        for namespace in sorted({namespace for namespace, _key in left}):
            asked = ctr(step.address, "--namespace", namespace)
            for digest in parse_labelled(commands.run((*asked, "content", "ls")).out):
                commands.run((*asked, "content", "label", digest, GC_LABEL + "="))
            commands.run((*asked, "leases", "create", "--id", "direct-lvm"), ok=None)
            commands.run((*asked, "leases", "rm", "--sync", "direct-lvm"), ok=None)
        time.sleep(1)
    raise commands.CommandFailed(ctr(step.address, "snapshots", "rm"), "left %d snapshots" % len(left), said)


def parse_labelled(text):
    """The digests in `ctr content ls` (DIGEST SIZE AGE LABELS) whose label keeps a snapshot of this snapshotter."""
    return [line.split()[0] for line in text.splitlines() if GC_LABEL + "=" in line]


def check_configuration(step):
    """Have containerd itself read the files that are about to be written (steps.CheckConfiguration). Raises Refused."""
    with tempfile.TemporaryDirectory(prefix="direct-lvm-") as folder:
        own, config = os.path.join(folder, "own.toml"), os.path.join(folder, "config.toml")
        files.write_text(own, step.own_text)
        # As it will be, but for where our file is: imports are read wherever they lead.
        files.write_text(config, with_import(step.config_text, own, config))
        argv = (step.program, "--config", config, "config", "dump")
        result = commands.run(argv, timeout=ASK_TIMEOUT, ok=None)
    named = re.search(r"""pool_name\s*=\s*["']%s["']""" % re.escape(step.pool), result.out)
    if result.rc != 0 or not named:
        raise Refused(
            "containerd does not take the configuration: %s"
            % (" ".join(result.err.split()) or "pool_name is not what was written"),
            "Look at what it reads now: %s config dump" % paste(step.program),
        )


def wait(step):
    """Return once containerd answers, and its snapshotter has the status that the step (steps.WaitForContainerd) wants.

    Raises Refused for another status, commands.CommandFailed after step.timeout seconds.
    """
    deadline = time.monotonic() + step.timeout
    problem = ""
    while time.monotonic() < deadline:
        status, problem = plugin_status(step.address)
        if status is not None and step.plugin in ("", status):
            return
        if status is not None:
            raise Refused("containerd's devmapper snapshotter is not loaded (%s): %s" % (status, problem))
        time.sleep(1)
    raise commands.CommandFailed(("systemctl", "restart", UNIT), "gave no working containerd within %d s" % step.timeout, problem)
