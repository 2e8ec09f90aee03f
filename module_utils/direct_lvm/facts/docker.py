# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask Docker: its version, what it says of its storage, what it holds.

A daemon is asked only while docker.service is active: docker.socket would start it otherwise.
"""

import glob
import mmap
import os
import time
from typing import Dict, NamedTuple, Optional

from ..host import commands, process, trees
from ..images import archive_folder, images
from ..model import engines
from ..model.errors import CommandFailed, Refused
from ..model.host import CONFIG, Docker, Unit
from ..model.names import OURS, SHADOW, device_name
from ..model.quoting import paste
from ..model.spec import CLEAN_UP, PROVISION, ROLL_BACK
from ..texts import docker_conflicts, docker_words, own_files, programs, switch_record, units
from ..texts.containerd_config import config_paths
from ..texts.docker_info import is_image_store, parse_info_json, parse_info_text, parse_version, podman, storage_kind
from ..texts.docker_inspect import least_bytes, nameless, parse_image
from . import docker_content, docker_root, live, systemd
from .containerd import docker_address

INFO_TIMEOUT = 60
BOOT_TIMEOUT = 120  # a host that has just booted may still be starting Docker
SCRIPT = 65536  # bytes of a script that are looked at
SNAPS = ("/snap/docker/current", "/var/lib/snapd/snap/docker/current")
ROOTLESS = "/run/user/*/docker.sock"
NAMESPACE = "moby"  # of containerd, for Docker's containers and images (moby, daemon/config)
EMULATED = "Emulate Docker CLI using podman"  # podman-docker's script
UNDER_WAY = ("activating", "deactivating", "reloading")


class Setup(NamedTuple):
    """How Docker is set up: its unit, the files that its command line refers to, and the socket to ask it on.

    containerd: the config.toml of containerd.service, which is asked for by the same process.
    """

    unit: Unit
    env_files: Dict[str, str]
    daemon_json: Optional[str]
    host: str
    containerd: str = CONFIG


def observe_docker(desired, pool=None, goal=PROVISION):
    """Docker on this host, as a Docker. desired: DockerStorage on a Pool; its dropin is "" where nothing is to be configured.
    goal: of the Spec.

    One process (systemctl) and one more (docker info) in the desired state. The installed program's version and the
    content are asked only when a switch would be due: a restart starts the installed program, not the running one. The
    containers are asked for where nothing is to be configured, too: whoever removes the pool, or reports, has to know them.
    Raises Refused (no systemd, podman, unreadable files) and CommandFailed.
    """
    refuse_podman()
    setup = observe_setup(desired.dropin)
    if setup.unit.load_state == "not-found" and desired.dropin and desired.engine != "containerd":
        refuse_snap()
    end = time.monotonic() + BOOT_TIMEOUT
    while setup.unit.active_state in UNDER_WAY and time.monotonic() < end:
        time.sleep(1)
        setup = observe_setup(desired.dropin)
    unit, info, problem = setup.unit, None, ""
    dropin_text = systemd.read_text(desired.dropin)
    if unit.active_state == "active":
        info, problem = observe_info(setup.host)
    elif unit.load_state == "not-found":
        problem = "there is no docker.service"
    else:
        problem = "docker.service is %s" % unit.active_state
    docker = Docker(
        version=info.version if info else None,
        unit=unit,
        info=info,
        problem=problem,
        dropin_text=dropin_text,
        daemon_json=setup.daemon_json,
        daemon_json_path=docker_conflicts.config_files(unit, setup.env_files, desired.dropin)[1],
        root=info.root if info else stopped_root(setup, desired.dropin),
        former=switch_record.parse(systemd.read_text(switch_record.PATH)),
        host=setup.host,
        env_files=tuple(setup.env_files.items()),
        containerd_config=setup.containerd,
        client=commands.find("docker") is not None,
    )
    settled = info is not None and is_settled(info, desired, pool, unit, dropin_text)
    if not settled or goal in (ROLL_BACK, CLEAN_UP) or docker.begun():
        docker = observe_more(docker, desired, goal)
    elif not desired.dropin and info.containers:  # not images: Docker asks the snapshotter for sizes, and it may be broken
        docker = docker._replace(containers=images.list_containers(docker.host))
    if docker.version is not None and desired.dropin:
        config = "image_store" if engines.is_image_store(desired.engine, docker.version) else desired.config
        conflicts = docker_conflicts.find_conflicts(
            unit, setup.daemon_json, setup.env_files, desired.dropin, docker.version, config
        )
        conflicts += tuple(docker_words.script_problems(unit, unit_script(unit), setup.env_files, desired.dropin, config))
        if unit.active_state == "active" and info is None:
            conflicts += ("Docker runs, but what it holds cannot be told: %s. Look at: docker info" % problem,)
        docker = docker._replace(conflicts=conflicts)
    return docker


def observe_more(docker, desired, goal=PROVISION):
    """The Docker with what only a switch needs to know: the program on disk, content, archives, folders."""
    if desired.dropin:  # nothing is switched to report, or to remove a pool
        docker = observe_content(docker, desired)  # first: what comes after this is new
    program = daemon_program(docker.unit)
    version = docker.version
    if program is not None and not (version and is_running(program, docker.unit.main_pid)):
        version = parse_version(commands.run([program, "--version"], timeout=60).out)
    state = docker_root.root_state(docker.root)
    described = images.described(docker.host) if docker.info and docker.info.images else ()
    held = tuple(map(parse_image, described))
    docker = docker._replace(
        version=version,
        can=program is None or not desired.dropin or has_driver(commands.find(program)),  # it reads the whole program
        images=held,
        least_bytes=least_bytes(described),
        containers=images.list_containers(docker.host) if docker.info and docker.info.containers else (),
        volumes=docker_root.volumes(docker.root),
        archived=tuple(one.id for one in held if images.is_archived(desired.archive_dir, one)),
        archive_free=images.free_bytes(desired.archive_dir),
        archive_unfit=archive_folder.problem(desired.archive_dir),
        root_state=state,
        left=leftovers(docker, desired) if goal == CLEAN_UP and docker.former else (),
        mounted=docker_root.mount_points(docker.root),
        build_cache=docker_root.has_build_cache(docker.root),
        plugins=docker_root.plugins(docker.root),
        nameless=nameless(described),
        rootless=tuple(sorted(glob.glob(ROOTLESS))),
        transaction=docker_root.open_transaction(docker.root, state),
    )
    kept = desired.dropin and (SHADOW in state or (docker.begun() and docker.former.kept))
    return docker._replace(live=live.observe(docker, program)) if kept or desired.containers == "keep" else docker


def observe_content(docker, desired):
    """The Docker with content, store and namespace. A containerd that does not answer matters only where it has images.

    Raises Refused for images that cannot be asked for while Docker is stopped. Where Docker stays as it is, they need not be.
    """
    words = docker_words.words_now(docker.unit, dict(docker.env_files), desired.dropin)
    names = docker_conflicts.json_values(docker.daemon_json, "containerd-namespace")
    names += docker_words.flag_values(words, "containerd-namespace")
    namespace = names[-1] if names else NAMESPACE
    kept_there = docker.info is not None and is_image_store(docker.info)
    own = kept_there and has_own_containerd(docker.unit)
    if own and desired.engine != "containerd":
        raise own_containerd(docker)
    store = None
    if not own and (kept_there or engines.is_image_store(desired.engine, docker.version)):
        store = (docker_address(docker), namespace)
    try:
        content = docker_content.content(docker.root, store)
    except CommandFailed as failure:
        if kept_there:
            raise Refused(
                "containerd, which keeps Docker's images, does not answer on %s: %s" % (store[0], failure),
                "Look at: systemctl status containerd; journalctl -u containerd -n 30",
            ) from failure
        content = docker_content.content(docker.root)
    return docker._replace(content=content, store=store, namespace=namespace)


def has_own_containerd(unit):
    """Whether the daemon runs a containerd that it started itself, as it does where the default socket is missing then.

    Without --containerd (moby, cmd/dockerd/daemon_unix.go, initContainerd); it ends with the daemon.
    """
    below = process.children().get(unit.main_pid, ()) if unit.main_pid else ()
    return any(programs.is_daemon(process.words(pid, "cmdline"), "containerd") for pid in below)


def own_containerd(docker):
    """The refusal for a Docker whose images only a containerd of its own has."""
    return Refused(
        "Docker keeps its images in a containerd that it started itself. That one stops with Docker, so images that are added "
        "until then would be missed.",
        "Move the images to containerd.service. Containers are not moved: remove them first, and create them again afterwards.\n"
        "docker --host %s save -o /root/images.tar "
        "$(docker --host %s images --filter dangling=false --format '{{.Repository}}:{{.Tag}}')\n"
        "systemctl enable --now containerd    # if it is missing: apt-get install containerd\n"
        "systemctl restart docker\n"
        "docker --host %s load -i /root/images.tar" % (paste(docker.host), paste(docker.host), paste(docker.host)),
    )


def leftovers(docker, desired):
    """((path, bytes on disk), ...) of what Docker's previous storage left, and of the archives unless they are to be kept.

    A container belongs to the driver that its own description names. One that Docker lists, or that cannot be read, is left alone.
    """
    driver, paths = docker.former.driver, []
    if driver in docker_root.DRIVERS and driver != "devicemapper":
        paths = [os.path.join(docker.root, driver), os.path.join(docker.root, "image", driver)]
        known = {one.id for one in docker.containers}
        for name in docker_root.entries(docker.root, "containers"):
            if name not in known and docker_root.container_driver(docker.root, name) == driver:
                paths.append(os.path.join(docker.root, "containers", name))
    paths += [os.path.join(docker.root, name) for name in docker_root.aside(docker.root) if not name.endswith(OURS)]
    if not desired.keep_archives:
        paths += [
            os.path.join(desired.archive_dir, name)
            for name in docker_root.entries(desired.archive_dir)
            if images.SUFFIX.match(name)
        ]
    return tuple((path, trees.tree_size(path)) for path in paths if os.path.exists(path))


def has_driver(path):
    """Whether a daemon was built with the devicemapper driver: its option names are in the program then."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as program:
        return program.find(b"dm.thinpooldev") >= 0


def observe_setup(ours=""):
    """docker.service and the files that it reads, as a Setup: one process. ours: our drop-in, which does not count."""
    unit, containerd = systemd.observe_units((("docker", ours), ("containerd", "")))
    env_files = systemd.read_environment_files(unit.files, ours)
    path = docker_conflicts.config_files(unit, env_files, ours)[1]
    null = os.path.exists(path) and os.path.samefile(path, os.devnull)  # as good as none, and no file to be written
    daemon_json = None if null else systemd.read_text(path)
    host = docker_conflicts.client_host(unit, daemon_json, env_files, ours)
    config = config_paths(containerd, systemd.read_environment_files(containerd.files, ""))[0]
    return Setup(unit, env_files, daemon_json, host, config)


def unit_script(unit):
    """The text of the script with which a unit starts Docker, "" when it starts a program."""
    words = units.command_words(unit.command, "", {})
    return script(commands.find(words[0].text) or "") if words else ""


def script(path):
    """The text of a script, "" for a program, and for what cannot be read."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(2)
            return stream.read(SCRIPT).decode("utf-8", "replace") if head == b"#!" else ""
    except OSError:
        return ""


def is_settled(info, desired, pool, unit, dropin_text):
    """Whether Docker already runs on the pool that the desired drop-in or daemon.json names, or on containerd's snapshotter.

    Not when it is restarted there: its containers have to be known then.
    """
    if unit.need_reload:
        return False
    if engines.is_image_store(desired.engine, info.version):
        return storage_kind(info) == "devmapper-snapshotter"
    if not desired.dropin or dropin_text != own_files.docker_dropin(pool, desired, unit.command):
        return False
    if not docker_words.started_with(unit, own_files.docker_flags(pool, desired)):
        return False
    return storage_kind(info) == "direct-lvm" and info.field("Pool Name") == device_name(pool)


def stopped_root(setup, ours):
    """The data root of a daemon that is down. Raises Refused when several may be meant."""
    setting = (setup.unit, setup.daemon_json, setup.env_files, ours)
    root = docker_conflicts.data_root(*setting)
    return docker_root.remapped(root) if docker_conflicts.is_remapped(*setting) else root


def refuse_podman():
    """Raise Refused when the `docker` program is podman-docker's script or a link to podman. Starts nothing."""
    program = commands.find("docker")
    if program and ("podman" in script(program)[:512] or os.path.basename(os.path.realpath(program)).startswith("podman")):
        raise podman()


def refuse_snap():
    """Raise Refused when Docker is a snap: without this a host with containerd would be taken for one without Docker."""
    paths = [path for path in SNAPS if os.path.lexists(path)]
    if paths:
        raise Refused(
            "Docker on this host is a snap (%s): it has no docker.service, and its storage driver is the snap's own." % paths[0],
            "Save its images and the data of its volumes, then: snap remove docker && apt-get install docker.io\n"
            "Or give the pool to containerd alone, and leave Docker as it is: docker_storage_engine: containerd",
        )


def is_running(program, pid):
    """Whether that process runs the program as it is on disk: no upgrade has replaced it (proc(5), /proc/PID/exe)."""
    try:
        return bool(pid) and os.path.samestat(os.stat("/proc/%d/exe" % pid), os.stat(commands.find(program)))
    except OSError:
        return False


def daemon_program(unit):
    """The daemon's program on disk as named by the unit, else in PATH; None when there is none.

    Before 1.12 it is `docker`, which is the client since then: alone, without a unit, that is no daemon.
    """
    words = [word.text for word in units.command_words(unit.command, "", {})]
    if docker_words.is_wrapped(unit) or (
        unit.command and unit_script(unit)
    ):  # a script that is asked for its version may start Docker
        words = list(unit.arguments)
    named = words[:1] if programs.is_daemon(words, "docker") else []
    daemons = [path for path in named if os.path.basename(path).startswith("dockerd")]
    old = [] if unit.load_state == "not-found" else ["docker"]
    return next((path for path in [*daemons, "dockerd", *named, *old] if commands.find(path)), None)


def observe_info(host=docker_conflicts.SOCKET):
    """(DockerInfo or None, why it is None) from the running daemon; call it only while docker.service is active.

    host: the daemon's socket, so that DOCKER_HOST or a docker context cannot lead to another machine.
    Without a client a daemon cannot be asked, and is not down.
    One process; Docker before 1.13 has no `info --format` and is asked a second time, in plain text.
    """
    argv = ["docker", "--host", host, "info"]
    if commands.find("docker") is None:
        return None, "docker.service is active, and its client, the program `docker`, is not installed"
    try:
        result = commands.run([*argv, "--format", "{{json .}}"], timeout=INFO_TIMEOUT, ok=None)
        if result.rc != 0 and "--format" in result.err and "flag" in result.err:
            result = commands.run(argv, timeout=INFO_TIMEOUT, ok=None)
            info, problem = parse_info_text(result.out, result.err)
        else:
            info, problem = parse_info_json(result.out)
    except CommandFailed as error:
        return None, str(error)
    if EMULATED in result.err:
        raise podman()
    words = " ".join(result.err.split())
    return info, "" if info else "docker info: " + (words or problem)
