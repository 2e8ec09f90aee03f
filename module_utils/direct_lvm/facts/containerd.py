# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask containerd: its unit, its files, and whether its devmapper snapshotter is loaded. And wait for it after a restart."""

import glob
import os
import re
import time

from ..host import commands, files, process
from ..model.errors import CommandFailed, Refused
from ..model.host import ADDRESS, CONFIG, Containerd
from ..model.names import MANAGED
from ..model.quoting import paste
from ..texts import docker_conflicts, docker_words, programs, strict_json
from ..texts.containerd_config import (
    IMPORTS,
    absolute_imports,
    config_paths,
    desired_files,
    flag,
    head,
    is_settled,
    listens,
    parse_dump,
    pool_names,
    read_files,
    with_import,
    without_import,
    words,
)
from ..texts.own_files import PLUGIN, PLUGIN_TYPE
from . import systemd

FILES = ("/etc/containerd/config.toml", "/etc/containerd/*/*.toml")
PROGRAM = "containerd"  # in PATH, where its process is not known
UNIT = "containerd.service"
ASK_TIMEOUT = 60
GC_LABEL = "containerd.io/gc.ref.snapshot." + PLUGIN
ROUNDS = 20


def configured_pools(config=CONFIG, program=PROGRAM):
    """((path, pool), ...) that the configuration of containerd names, read from a config.toml and what it imports.

    No process while no file names a pool but ours, which one line imports: so it is on a host in the desired state. Whatever else
    names one is compared with what containerd itself reads; when it cannot tell, everything counts that may be a setting.
    """
    texts = read_files(config, read_toml)
    if texts is None:  # imports that are not understood here
        texts = {path: text for pattern in (config, *FILES) for path, text in read_toml(pattern).items()}
    named = tuple((path, pool) for path, text in texts.items() for pool in pool_names(text))
    if all(texts[path].startswith(MANAGED) for path, _pool in named) and IMPORTS.search(head(texts.get(config, ""))):
        return named
    dump, _problem = ask_dump(program, config) if named else (None, "")
    return named if dump is None else named_by(dump, texts)


def named_by(dump, texts):
    """((path, pool),) of the pool that a Dump names, with the file that says so as far as the texts tell; () for none."""
    where = [path for path in reversed(dump.files) if dump.pool in pool_names(texts.get(path, ""))]
    return (((where or dump.files or ("containerd's configuration",))[0], dump.pool),) if dump.pool else ()


def read_toml(pattern):
    """{path: text} of the regular files that a path, or a pattern with *, leads to."""
    paths = sorted(glob.glob(pattern)) if "*" in pattern else [pattern]
    return {path: files.read_text(path) for path in paths if os.path.isfile(path)}


def ask_dump(program, config):
    """(containerd_config.Dump, ""), or (None, why not): what containerd itself reads in a configuration. One process."""
    try:
        result = commands.run((program, "--config", config, "config", "dump"), timeout=ASK_TIMEOUT, ok=None)
    except CommandFailed as failure:
        return None, str(failure)
    return (parse_dump(result.out), "") if result.rc == 0 else (None, " ".join(result.err.split()) or "return code %d" % result.rc)


def observe_containerd(desired, docker=None, with_snapshots=False, pool=None):
    """containerd as a Containerd. desired: ContainerdStorage of a Pool.  docker: Docker, which asks one containerd.

    Two processes (systemctl, ctr) when all is well; what its configuration names is asked only when something is due.
    Raises Refused and CommandFailed.
    """
    unit = systemd.observe_unit("containerd", desired.dropin)
    env_files = systemd.read_environment_files(unit.files, desired.dropin)
    config, later = config_paths(unit, env_files)
    running, named = words(unit, env_files)
    asked = docker_address(docker)
    address = os.path.realpath(listens(unit) or flag(named, "address", "a") or asked or ADDRESS)  # /var/run is /run
    status, problem = None, "there is no containerd.service"
    if unit.active_state == "active":
        status, problem = plugin_status(address)
    elif unit.load_state != "not-found":
        problem = "containerd.service is %s" % unit.active_state
    names = os.listdir(desired.root_path) if os.path.isdir(desired.root_path) else []
    snapshots = list_snapshots(address) if with_snapshots and status == "ok" else None
    containerd = Containerd(
        unit=unit,
        address=address,
        plugin=status,
        problem=problem,
        program=(running or named or ("",))[0],
        config_path=config,
        config_text=read_config(config),
        other_config=later if later != config else "",
        docker_address=asked,
        own_text=read_config(desired.config_file),
        dropin_text=read_config(desired.dropin),
        databases=tuple(sorted(name[:-3] for name in names if name.endswith(".db") and name != "metadata.db")),
        snapshots=snapshots,
        tasks=list_tasks(address, snapshots) if snapshots else (),
    )
    due = desired.config_file and containerd.installed and not with_snapshots
    return observe_configuration(containerd, pool, desired) if due else containerd


def observe_configuration(containerd, pool, desired):
    """A Containerd with what its configuration names beside our file, when something is due and so it has to be known."""
    try:
        settled = is_settled(containerd, desired_files(containerd, pool, desired))
        if settled or containerd.config_text is None or not containerd.program:
            return containerd
        bare = without_import(containerd.config_text, desired.config_file, containerd.config_path)
        with files.temporary_folder() as folder:
            copy = os.path.join(folder, "config.toml")
            if bare != containerd.config_text:  # ours would hide what others say
                files.write_text(copy, absolute_imports(bare or "", containerd.config_path))
            dump, problem = ask_dump(containerd.program, copy if bare != containerd.config_text else containerd.config_path)
    except ValueError:  # imports that are not understood, which the planner refuses
        return containerd
    if dump is None:
        return containerd._replace(dump_problem=problem)
    if not containerd.unit.sockets and dump.address and not flag(words(containerd.unit)[1], "address", "a"):
        containerd = containerd._replace(address=os.path.realpath(dump.address))
    texts = {path: text for name in dump.files for path, text in read_toml(name).items()}
    texts.setdefault(containerd.config_path, bare or "")
    dump = dump._replace(files=tuple(path if path in texts else containerd.config_path for path in dump.files))
    ours = desired.config_file in dump.files and dump.pool in pool_names(containerd.own_text or "")
    return containerd._replace(elsewhere=() if ours else named_by(dump, texts))


def read_config(path):
    """The text of a configuration file, None when there is none. What is no regular file, such as /dev/null, is not opened."""
    return "" if os.path.exists(path) and not os.path.isfile(path) else files.read_text(path)


def docker_address(docker):
    """The socket on which Docker asks containerd, "" without a Docker. docker: a Docker.

    Without --containerd it takes the default one if its socket is there, and else starts a containerd of its own (moby,
    cmd/dockerd/daemon_unix.go, initContainerd).
    """
    if docker is None or docker.unit is None or docker.unit.load_state == "not-found":
        return ""
    env_files = dict(docker.env_files)
    addresses = docker_words.flag_values(docker_words.words_now(docker.unit, env_files), "containerd")
    addresses = docker_conflicts.json_values(docker.daemon_json, "containerd") + addresses
    paths = [re.sub(r"\Aunix://", "", address) for address in addresses]
    return os.path.realpath(([path for path in paths if path.startswith("/")] or [ADDRESS])[-1])


def ctr(address, *words):
    """The argv of containerd's client for the daemon on this socket."""
    return ("ctr", "--address", address) + words


def plugin_status(address):
    """(status, why it is not ok) of the devmapper snapshotter; see Containerd.plugin.

    containerd starts, and Docker with it, while a snapshotter could not be loaded: only this list tells.
    """
    try:
        result = commands.run(ctr(address, "plugins", "ls"), timeout=ASK_TIMEOUT)
    except CommandFailed as failure:
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
    snapshots = []
    for namespace in commands.run(ctr(address, "namespaces", "ls", "--quiet")).out.split():
        argv = ctr(address, "--namespace", namespace, "snapshots", "--snapshotter", PLUGIN, "ls")
        snapshots += [(namespace, key) for key in parse_snapshots(commands.run(argv).out)]
    return tuple(snapshots)


def list_tasks(address, snapshots):
    """((namespace, ID), ...) of the containers with a task whose root is in the snapshotter.

    snapshots: as list_snapshots() gives them. Clients name a container's snapshot after it; Docker notes no snapshotter.
    """
    tasks = []
    for namespace in commands.run(ctr(address, "namespaces", "ls", "--quiet")).out.split():
        asked = ctr(address, "--namespace", namespace)
        for task in commands.run((*asked, "tasks", "ls", "--quiet")).out.split():
            info = (*asked, "containers", "info", task)
            if (namespace, task) in snapshots or snapshotter_of(commands.run(info, ok=None).out) in (None, PLUGIN):
                tasks.append((namespace, task))
    return tuple(tasks)


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
    problem = ""
    for _round in range(ROUNDS):
        left = list_snapshots(step.address)
        if not left:
            return
        for namespace, key in left:
            snapshots = ctr(step.address, "--namespace", namespace, "snapshots", "--snapshotter", PLUGIN, "rm", key)
            problem = commands.run(snapshots, ok=None).err or problem
        for namespace in sorted({namespace for namespace, _key in left}):
            asked = ctr(step.address, "--namespace", namespace)
            for digest in parse_labelled(commands.run((*asked, "content", "ls")).out):
                commands.run((*asked, "content", "label", digest, GC_LABEL + "="))
            commands.run((*asked, "leases", "create", "--id", "direct-lvm"), ok=None)
            commands.run((*asked, "leases", "rm", "--sync", "direct-lvm"), ok=None)
        time.sleep(1)
    raise CommandFailed(ctr(step.address, "snapshots", "rm"), "left %d snapshots" % len(left), problem)


def parse_labelled(text):
    """The digests in `ctr content ls` (DIGEST SIZE AGE LABELS) whose label keeps a snapshot of this snapshotter."""
    rows = [line.split() for line in text.splitlines()]
    labels = [(row[0], [label for word in row[1:] for label in word.split(",")]) for row in rows if row]
    return [digest for digest, texts in labels if any(text.startswith(GC_LABEL + "=") for text in texts)]


def check_configuration(step):
    """Let containerd itself read the files that are about to be written (steps.CheckConfiguration). Raises Refused."""
    with files.temporary_folder() as folder:
        own, config = os.path.join(folder, "own.toml"), os.path.join(folder, "config.toml")
        files.write_text(own, step.own_text)
        # As it will be, but for where our file is: imports are read wherever they lead.
        text = absolute_imports(step.config_text, step.config_path) if step.config_text is not None else None
        files.write_text(config, with_import(text, own, config))
        dump, problem = ask_dump(step.program, config)
    if dump is None or dump.pool != step.pool:
        raise Refused(
            "containerd does not take the configuration: %s" % (problem or "pool_name is not what was written, but %r" % dump.pool),
            "Look at what it reads now: %s --config %s config dump" % (paste(step.program), paste(step.config_path)),
        )


def wait(step):
    """Return once containerd answers, and its snapshotter has the status that the step (steps.WaitForContainerd) wants.

    Raises Refused for another status, CommandFailed after step.timeout seconds, for a daemon too that the restart did not end.
    """
    deadline = time.monotonic() + step.timeout
    problem = ""
    while time.monotonic() < deadline:
        if programs.is_daemon(process.words(step.former, "cmdline"), "containerd"):
            problem = (
                "process %d of before the restart is there still, with its configuration of then: the script of containerd.service "
                "has to become the daemon (exec containerd ...), not to wait for it" % step.former
            )
            time.sleep(1)
            continue
        status, problem = plugin_status(step.address)
        if status is not None and step.plugin in ("", status):
            return
        if status is not None:
            raise Refused("containerd's devmapper snapshotter is not loaded (%s): %s" % (status, problem))
        time.sleep(1)
    raise CommandFailed(("systemctl", "restart", UNIT), "gave no working containerd within %d s" % step.timeout, problem)
