# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Docker holds, as its files and containerd's records tell it while the daemon is stopped, and how that differs from a plan.

Only after Docker has stopped can nothing arrive any more; what it holds then is compared with what was planned.
Sources (moby v18.09 to v28): image/fs.go (imagedb/content), reference/store.go (repositories.json), container/container.go and
container/state.go (config.v2.json), daemon/containerd/store.go and image_builder.go (names in containerd).
"""

import glob
import os
import re
import signal
import time
from contextlib import suppress

from ..host import commands, files
from ..model.errors import Changed, Refused
from ..model.host import Content
from ..model.names import CONTAINERD_STORE, DOCKER_ID
from ..model.quoting import paste, pasted, printable
from ..texts import strict_json
from ..texts.docker_inspect import instant
from ..texts.programs import is_daemon
from .docker_root import container_config, entries

PROC = "/proc"
SHOWN = 5  # names in a sentence
LINGER = 3  # seconds that a shim may take to end after its container, or a daemon after the script that started it
END_TIMEOUT = 60  # seconds for a daemon that is asked to end: it stops its containers before
ASK_TIMEOUT = 30
OWNERS = (  # labels that tell who makes containers: (label, what its value is)
    ("com.docker.compose.project", "compose project"),
    ("com.docker.stack.namespace", "swarm stack"),
    ("com.docker.swarm.service.name", "swarm service"),
    ("io.kubernetes.pod.name", "Kubernetes pod"),
)


def content(root, store=None):
    """The Content of the Docker whose data root is root. Graph drivers are told by files; no process is started.

    store: (containerd's socket, namespace) to ask containerd for images too (one process), None not to.
    Raises Refused for a folder or file that cannot be read, CommandFailed when containerd does not answer.
    """
    drivers = entries(root, "image")
    images = [
        "%s/%s" % (driver, number)
        for driver in drivers
        for number in entries(root, "image", driver, "imagedb/content/sha256")
        if DOCKER_ID.match(number)
    ]
    names = [
        (driver, *pair) for driver in drivers for pair in repositories(os.path.join(root, "image", driver, "repositories.json"))
    ]
    if store:
        names += [(CONTAINERD_STORE, *pair) for pair in store_names(*store)]
    return Content(tuple(images), tuple(sorted(names)), tuple(one for one in entries(root, "containers") if DOCKER_ID.match(one)))


def repositories(path):
    """[(name, image ID)] of a graph driver's repositories.json: {"Repositories": {repository: {name: ID}}}."""
    text = files.read_text(path)
    try:
        known = strict_json.loads(text or "{}").get("Repositories", {}).values()
        pairs = [pair for repository in known for pair in repository.items()]
    except (AttributeError, ValueError) as error:
        raise Refused(
            "%s, Docker's list of image names, cannot be read (%s)." % (path, error),
            "Docker itself reads it at its start. Look at it: python3 -m json.tool %s" % paste(path),
        ) from error
    return [(str(name), str(number)) for name, number in pairs]


def store_names(address, namespace):
    """[(name as Docker prints it, digest)] of the images in a namespace of containerd (`ctr images ls`: REF TYPE DIGEST ...)."""
    argv = ("ctr", "--address", address, "--namespace", namespace, "images", "ls")
    lines = [line.split() for line in commands.run(argv).out.splitlines()[1:]]
    return [(familiar(words[0]), words[2]) for words in lines if len(words) > 2]


def familiar(name):
    """A name of containerd's as Docker prints it: docker.io/library/nginx:1 is nginx:1 (distribution/reference, FamiliarName)."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def check(step):
    """Raise Changed when Docker holds something else than the step (steps.AssertContent) says; see must_be_down(), too.

    A container that is gone is no difference: those with --rm go when Docker stops. One that still runs after the stop is
    (live-restore, or a daemon that gave up waiting): it is found by its process, whatever Docker's folder says.
    Nor is a swarm's new task where others were known, which the plan leaves behind: it takes the place of one that was stopped.
    """
    if step.stopped:
        must_be_down(step.pid)
    current = content(step.root, step.store)
    new = [one for one in current.containers if one not in step.content.containers]
    tasks = [one for one in new if is_task(container_config(step.root, one))]
    if tasks and any(is_task(container_config(step.root, one)) for one in step.content.containers):
        new = [one for one in new if one not in tasks]
    described = [described_container(step.root, one) for one in new]
    running = lasting_shims(step.namespace) if step.stopped else ()
    described += [described_container(step.root, one) + ", which still runs" for one in running if one in step.content.containers]
    described += ["a process of container %s" % one[:12] for one in running if one not in current.containers]
    described += image_changes(step.content, current)
    if described:
        more = " and %d more" % (len(described) - SHOWN) if len(described) > SHOWN else ""
        raise Changed(
            "Docker holds something else than when it was looked at: %s%s." % ("; ".join(described[:SHOWN]), more),
            "Stop what makes them until the switch is over: a CI runner, a compose project (docker compose stop), a timer; on "
            "Kubernetes drain the node. See who it is: docker events --since 10m\nThen run this again.",
        )


def image_changes(before, after):
    """[phrase] for each image that is new, gone, or named otherwise, of one Content beside another. Pure."""
    old = {(driver, name): number for driver, name, number in before.names}
    new = {(driver, name): number for driver, name, number in after.names}
    phrases, named = [], set()
    for key in sorted(set(old) | set(new)):
        if old.get(key) == new.get(key):
            continue
        name = shown(key[1])
        if key not in new:
            phrases.append("image name %s is gone" % name)
            continue
        named.add(new[key].rpartition(":")[2])
        moved = " (it was %s)" % short(old[key]) if key in old else ""
        phrases.append("new image %s, %s%s" % (name, short(new[key]), moved))
    for one in sorted(set(after.images) - set(before.images)):
        number = one.rpartition("/")[2]
        if number not in named:
            phrases.append("new image %s" % number[:12])
    phrases += ["image %s is gone" % one.rpartition("/")[2][:12] for one in sorted(set(before.images) - set(after.images))]
    return phrases


def short(number):
    """An image's ID as Docker prints it: twelve digits."""
    return printable(number.rpartition(":")[2][:12])


def shown(text):
    """A text that somebody else chose, for a sentence: its first 100 characters."""
    return printable(str(text)[:100])


def described_container(root, number):
    """A container for the operator: name, image, and what its labels say of who made it; its short ID when nothing can be read."""
    fields = container_config(root, number)
    name, config = fields.get("Name"), fields.get("Config")
    if not isinstance(name, str) or not isinstance(config, dict):
        return "container %s" % number[:12]
    labels = labels_of(config)
    owners = ["%s %s" % (what, shown(labels[label])) for label, what in OWNERS if labels.get(label)]
    return "container %s (%s)" % (shown(name.lstrip("/")), ", ".join(["image %s" % shown(config.get("Image")), *owners]))


def labels_of(config):
    """The labels in the Config of a container's config.v2.json, {} when there are none."""
    labels = config.get("Labels") if isinstance(config, dict) else None
    return labels if isinstance(labels, dict) else {}


def is_task(fields):
    """Whether a container is a task of a swarm's, which makes them, and makes them anew, by itself. fields: of config.v2.json.

    Docker notes it as Managed for what its cluster executor creates, and for nothing else (moby, daemon/create.go,
    CreateManagedContainer; container/container.go). A label any image may set, com.docker.swarm.task.id too.
    """
    return fields.get("Managed") is True


def lasting_shims(namespace):
    """What shims() finds for longer than a shim takes to end after its container, which Docker does not wait for."""
    return until_none(lambda: shims(namespace), LINGER)


def until_none(find, seconds):
    """What find() finds once it finds nothing, or when the time is over."""
    found = find()
    end = time.monotonic() + seconds
    while found and time.monotonic() < end:
        time.sleep(0.2)
        found = find()
    return found


def shims(namespace):
    """The IDs of the containers that have a shim in a namespace of containerd, from /proc alone, sorted.

    `containerd-shim-runc-v2 -namespace NS -id ID`; the first shim has the ID as the end of -workdir (containerd, runtime).
    Only root's, in our PID namespace: a Docker that runs inside a container, or without root, is another Docker. With
    userns-remap the namespace has the mapped IDs appended (moby, daemon/daemon.go).
    """
    running = set()
    for _pid, words in processes():
        if not os.path.basename(words[0]).startswith(("containerd-shim", "docker-containerd-shim")):  # up to 18.06
            continue
        values = dict(zip(words, words[1:]))
        number = values.get("-id") or os.path.basename(values.get("-workdir", ""))
        if number and re.match(re.escape(namespace) + r"(-[0-9]+\.[0-9]+)?\Z", values.get("-namespace", "")):
            running.add(number)
    return tuple(sorted(running))


def processes():
    """(process, words of its command line) of root's processes in our PID namespace, from /proc alone."""
    for path in glob.glob(os.path.join(PROC, "[0-9]*", "cmdline")):
        process = os.path.dirname(path)
        try:
            with open(path, "rb") as stream:
                words = stream.read(1 << 16).decode("utf-8", "replace").split("\0")
            ours = os.stat(process).st_uid == 0 and os.readlink(process + "/ns/pid") == os.readlink(PROC + "/self/ns/pid")
        except OSError:  # it has ended meanwhile
            continue
        if ours:
            yield int(os.path.basename(process)), words


def daemons(known):
    """The processes of Docker's daemon, sorted: the one that was known at the look, and whatever docker.service has started.

    systemd keeps the control group of a process that outlives its unit (systemd.kill(5), KillMode=process).
    """
    return sorted(pid for pid, words in processes() if is_daemon(words, "docker") and (pid == known or belongs(pid)))


def belongs(pid):
    """Whether a process is in the control group of docker.service: ID:CONTROLLERS:PATH, proc_pid_cgroup(5)."""
    try:
        text = files.read_text(os.path.join(PROC, str(pid), "cgroup")) or ""
    except OSError:  # it has ended meanwhile
        return False
    return any("docker.service" in line.split(":", 2)[-1].split("/") for line in text.splitlines())


def must_be_down(known):
    """Raise Refused unless docker.service is stopped and its daemon gone. known: the daemon's process at the look, 0 for none.

    A daemon that outlives its unit goes on taking what comes, and no other one starts beside it (moby, pkg/pidfile): it is asked
    to end here, as systemd would have done, so that the way back has a Docker that starts.
    """
    state = commands.run(("systemctl", "is-active", "docker.service"), timeout=ASK_TIMEOUT, ok=None).out.strip()
    if state not in ("inactive", "failed"):
        raise Refused(
            "docker.service is %s again right after it was stopped: somebody starts it." % (state or "in an unknown state"),
            "See which unit wants it, and stop that until the switch is over: systemctl list-dependencies --reverse docker.service",
        )
    left = until_none(lambda: daemons(known), LINGER)
    if not left:
        return
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    until_none(lambda: daemons(known), END_TIMEOUT)
    names = [str(pid) for pid in left]
    raise Refused(
        "docker.service has stopped, and its daemon ran on (process %s): systemd does not know it." % ", ".join(names),
        "Whatever script ExecStart= names has to become the daemon, not to wait for it: exec dockerd ...\n"
        "See: systemctl cat docker. The process was asked to end; if it is there still: kill %s; systemctl start docker"
        % pasted(names),
    )


def ended_since(root, since):
    """(ID, ...) of the containers that Docker itself ended at or after a time (seconds since the epoch), the oldest first.

    Those that it will start by itself, or must not start again, are not among them: stopped by their owner, removed when
    they end (--rm), a swarm's.
    """
    moment, containers = instant(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since)) + ("%.6f" % (since % 1))[1:]), []
    for number in entries(root, "containers"):
        fields = container_config(root, number)
        state, config = fields.get("State"), fields.get("Config")
        if not isinstance(state, dict) or not isinstance(config, dict) or fields.get("HasBeenManuallyStopped"):
            continue
        if not is_task(fields) and instant(str(state.get("FinishedAt") or "")) >= moment:
            containers.append((str(fields.get("Created")), number))
    return tuple(number for _created, number in sorted(containers))


def start(step, since):
    """Start the containers of a step (steps.StartContainers), and those that were not known to it but ended with Docker.

    since: when Docker was stopped, None when it was not. One that is gone, or runs already, is no failure.
    """
    unknown = [one for one in ended_since(step.root, since) if one not in step.ids] if since else []
    numbers = [*step.ids, *unknown]
    if numbers:
        commands.run(("docker", "--host", step.host, "start", *numbers), timeout=step.timeout, ok=(0, 1))
