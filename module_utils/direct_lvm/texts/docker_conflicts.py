# Copyright: (c) 2026, the direct-lvm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where else Docker's storage is set: found before anything changes, each as a sentence that says what to do. Pure.

dockerd refuses to start when one setting comes as a flag and from its configuration file (moby, daemon/config,
findConfigurationConflicts; tried with 20.10.24 and 26.1.5), and a second --storage-driver flag silently wins.
"""

import os
import re

from ..model.names import MANAGED
from ..model.quoting import paste
from . import strict_json
from .docker_words import SHELLS, daemon_words, flag_values, flags, is_wrapped, storage_options, words_now
from .units import command_words, exec_start, same, settings

SOCKET = "unix:///var/run/docker.sock"
SOCKET_PATH = "/run/docker.sock"  # as docker.socket makes it, and the kernel lists it
REINSTALL = "reinstall the package: its unit, its socket and its program do not belong together."
LISTEN = "write %s instead of fd:// there; then: systemctl daemon-reload" % SOCKET
DAEMON_JSON = "/etc/docker/daemon.json"
DATA_ROOT = "/var/lib/docker"
STORAGE_KEYS = ("storage-driver", "storage-opts")
# daemon.json names the flags that may be repeated in the plural (moby, opts.NamedOption)
PLURAL = {
    "host": "hosts", "storage-opt": "storage-opts", "label": "labels", "log-opt": "log-opts", "exec-opt": "exec-opts",
    "insecure-registry": "insecure-registries", "registry-mirror": "registry-mirrors", "dns-opt": "dns-opts",
}  # fmt: skip


def find_conflicts(unit, daemon_json, env_files, ours, version="", config="dropin"):
    """Sentences, one per setting that stands in the way of the drop-in `ours`: both places, and what to do.

    unit: Unit.  daemon_json: the text of the latter of config_files(), None when there is no such file.
    env_files: {path: text} of the unit's EnvironmentFile=s in order.  version: "20.10.24", "" when not known.
    config: 'dropin', or 'daemon_json' when the settings are merged into daemon.json; 'image_store' when they are, and the
    storage is containerd's.
    """
    if unit.load_state != "loaded":
        return (not_loaded(unit),)
    conflicts = [] if config == "image_store" else foreign_dropin(unit, ours) + later_dropins(unit, ours)
    words = daemon_words(unit, env_files, ours)
    place = exec_start(unit.files, ours)[0]
    conflicts += command_problems(unit, words, place, ours, version)
    path = config_files(unit, env_files, ours)[1]
    conflicts += other_config_file(unit, env_files, ours)
    target = ours if config == "dropin" else path
    storage = storage_flags(words)
    if is_wrapped(unit):
        words = words_now(unit, env_files, ours)
        # What a script adds is not told from what our own drop-in hands to it; that one was written where it added nothing.
        storage = {} if any(same(name, ours) for name, _text in unit.files) else storage_flags(words)
    for where, texts in storage.items():
        conflicts.append("%s sets %s, and %s sets storage too. %s" % (where, ", ".join(texts), target, remove_flag(where, place)))
    conflicts += json_problems(daemon_json, words, target, version, path)
    conflicts += listens_elsewhere(daemon_json, words, path)
    if config == "image_store":
        conflicts += image_store_problems(daemon_json, path, words)
    else:
        conflicts += graph_driver_problems(daemon_json, path, target)
    return tuple(dict.fromkeys(conflicts))


def not_loaded(unit):
    """The sentence for a docker.service that systemd has not loaded."""
    if unit.load_state == "masked":
        return "docker.service is masked, so Docker cannot be started. Unmask it: systemctl unmask docker.service"
    if unit.load_state == "not-found":
        return (
            "There is no docker.service on this host, and a drop-in for it would do nothing. Docker from a snap or a "
            "static archive has none. Install Docker from the distribution's or docker.com's packages."
        )
    return "systemd could not load docker.service (%s). Look at: systemctl status docker.service" % unit.load_state


def foreign_dropin(unit, ours):
    """A sentence when the file at our path is not ours: its first line is not model.MANAGED."""
    for path, text in unit.files:
        if same(path, ours) and not text.split("\n", 1)[0].startswith(MANAGED):
            command = [one.value for one in settings([(path, text)]) if one.key == "ExecStart" and one.value]
            what = " It starts `%s`." % command[-1] if command else ""
            if command and is_docker_daemon(command_words(command[-1], path, {})):
                what += " On Docker 17.12 and newer that makes `systemctl start docker` hang for ever."
            return [
                "%s is somebody else's: its first line is not `%s`.%s Set it aside, which keeps the text and changes "
                "Docker's command line at its next start: %s" % (path, MANAGED, what, move_away(path))
            ]
    return []


def later_dropins(unit, ours):
    """Sentences: drop-ins that systemd reads after ours, by name, and that set ExecStart again."""
    conflicts = []
    for path, text in unit.files[1:]:
        later = not same(path, ours) and os.path.basename(path) > os.path.basename(ours)
        if later and any((one.section, one.key) == ("Service", "ExecStart") for one in settings([(path, text)])):
            first = os.path.join(os.path.dirname(path), "00-" + os.path.basename(path))
            conflicts.append(
                "%s sets ExecStart and is read after %s, so that our storage settings would not count. Rename "
                "it so that it comes first: mv %s %s && systemctl daemon-reload" % (path, ours, paste(path), paste(first))
            )
    return conflicts


def move_away(path):
    """The command that sets a unit file aside: systemd reads only *.conf and *.service."""
    return "mv %s %s && systemctl daemon-reload" % (paste(path), paste(path + ".before-direct-lvm"))


def is_docker_daemon(words):
    """Whether the words start `docker daemon` (1.8 to 17.11) or `docker -d` (before): docker, docker-current, ..."""
    if not words[1:] or words[1].text not in ("daemon", "-d"):
        return False
    return bool(re.match(r"docker(-\w+)?\Z", os.path.basename(words[0].text)))


def newer_than(version, major, minor):
    """Whether a version is major.minor or newer; one that cannot be told counts as new."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})(?![0-9])", version)
    return not match or (int(match.group(1)), int(match.group(2))) >= (major, minor)


def command_problems(unit, words, place, ours, version):
    """Sentences about the command line itself: none, a shell, `docker daemon`, `-H fd://` without a socket."""
    if not words:
        return ["docker.service has no ExecStart. Look at: systemctl cat docker.service"]
    problems = []
    program = words[0].text
    vendor = bool(unit.files) and same(place, unit.files[0][0]) and not place.startswith(("/etc/", "/run/"))
    if os.path.basename(program) in SHELLS:
        inner = next((word.text for word in words[1:] if "docker" in word.text), "/usr/bin/dockerd")
        problems.append(
            "%s starts Docker through `%s`: flags added by %s would go to the shell and not to Docker. "
            "Write a drop-in that sorts before ours, with an empty `ExecStart=` and then Docker's own command "
            "without the shell, made from: %s" % (place, program, ours, inner)
        )
    if is_docker_daemon(words) and newer_than(version, 17, 12):
        problems.append(
            "%s starts `%s %s`, which Docker %s does not have: with docker.socket, `systemctl start docker` hangs for "
            "ever, otherwise it fails. To correct it: %s"
            % (place, program, words[1].text, version or "17.12 and newer", REINSTALL if vendor else move_away(place))
        )
    activation = [word for word in words[1:] if "fd://" in word.text]
    requires = [one.path for one in settings(unit.files) if one.key == "Requires" and "docker.socket" in one.value.split()]
    if unit.socket_masked and (activation or requires):
        problems.append(
            "docker.socket is masked, and %s needs it: a Docker that is stopped does not start again. "
            "Unmask it: systemctl unmask docker.socket" % (activation[0].place if activation else requires[0])
        )
    elif activation and not unit.socket_exists and unit.active_state != "active":
        problems.append(
            "%s has `-H fd://`, which takes Docker's socket from systemd, and there is no docker.socket: the daemon "
            "would say `no sockets found via socket activation`. To correct it: %s"
            % (activation[0].place, REINSTALL if vendor else LISTEN)
        )
    return problems


def other_config_file(unit, env_files, ours):
    """A sentence when the running Docker has another daemon.json than its next start: whichever is edited is the wrong one."""
    now, later = config_files(unit, env_files, ours)
    if now == later:
        return []
    return [
        "The running Docker was started with the configuration file %s, and docker.service names %s by now. To apply that, which "
        "restarts Docker: systemctl daemon-reload && systemctl restart docker" % (now, later)
    ]


def storage_flags(words):
    """{place: [flag, ...]} of the storage flags, a shell's inner command line included."""
    if words and os.path.basename(words[0].text) in SHELLS:
        words = words[:1] + [word._replace(text=part) for word in words[1:] for part in word.text.split()]
    places = {}
    for name, value, word in flags(words):
        if name in ("storage-driver", "storage-opt"):
            places.setdefault(word.place, []).append("--%s %s" % (name, value or ""))
    return places


def remove_flag(where, place):
    """How to take a flag out of the place that sets it."""
    if where == place:
        if place.startswith(("/etc/", "/run/")):
            return "Take the flag out of %s, or set the file aside: %s" % (place, move_away(place))
        return "Take the flag out of ExecStart: sudo systemctl edit --full docker.service"
    if "/etc/sysconfig/docker-storage" in where:  # container-storage-setup(1), before each start of Docker
        return "Take it out of %s; then, so that it is not written again: systemctl mask docker-storage-setup.service" % where
    return "Take it out of %s; then: systemctl daemon-reload" % where


def json_problems(text, words, ours, version, path):
    """Sentences about daemon.json: not readable as JSON, storage settings, and keys that are flags too.

    ours: the file that is to hold the storage settings, daemon.json itself or the drop-in.
    """
    if text is None:
        return []
    if not text.strip("\ufeff \t\r\n"):
        if newer_than(version, 23, 0):
            return []
        return [
            "%s is empty, which Docker before 23.0 does not start with. Write an empty object: echo '{}' > %s" % (path, paste(path))
        ]
    try:
        config = read_json(text, newer_than(version, 23, 0))
    except ValueError as error:
        return ["%s is not valid JSON (%s): Docker does not start with it. Correct it first; to look at it: "
                "python3 -m json.tool %s" % (path, error, paste(path))]  # fmt: skip
    problems = []
    keys = [key for key in STORAGE_KEYS if key in config and ours != path]
    if keys:
        problems.append(
            "%s sets %s, and %s would set it too: Docker does not start when a setting comes from both. "
            "Remove them, which takes effect when Docker is next started: cp -a %s %s && python3 -c %s"
            % (path, " and ".join("`%s`" % key for key in keys), ours, paste(path), paste(path + ".before-direct-lvm"),
               paste("import json; p = %r; c = json.load(open(p)); [c.pop(k, 0) for k in %r]; "
                     "json.dump(c, open(p, 'w'), indent=2)" % (path, keys)))
        )  # fmt: skip
    for name, _value, word in flags(words):
        key = PLURAL.get(name, name)
        if key in config and key not in STORAGE_KEYS:
            problems.append(
                "%s sets `%s`, and %s has the flag --%s: Docker does not start when a setting comes from both. "
                "Take one of them out." % (path, key, word.place, name)
            )
    return problems


def listens_elsewhere(text, words, path):
    """A sentence when the daemon listens on TCP only: it is asked on its unix socket, never over the network."""
    addresses = flag_values(words, "host") + json_values(text, "hosts")
    if not addresses or any(value.startswith(("fd://", "unix://")) for value in addresses):
        return []
    place = next((word.place for name, _value, word in flags(words) if name == "host"), path)
    return [
        "%s has Docker listen on %s only, and this tool asks it on its unix socket. Add %s to `%s` there, "
        "which takes effect when Docker is next started."
        % (place, ", ".join(addresses), SOCKET, "hosts" if place == path else "--host")
    ]


def graph_driver_problems(text, path, ours):
    """Sentences: what in daemon.json keeps Docker from using a graph driver."""
    features = settings_of(text).get("features")
    if isinstance(features, dict) and features.get("containerd-snapshotter") is True:
        return [
            "%s switches the containerd image store on (features: containerd-snapshotter), which does not use the "
            "storage driver that %s sets. Set it to false there; images of that store are then not shown." % (path, ours)
        ]
    return []


def image_store_problems(text, path, words):
    """Sentences: what belongs to the graph driver and is left over in daemon.json, and the flag --feature, which we set there."""
    problems = []
    options = settings_of(text).get("storage-opts")
    left = [str(one) for one in options if str(one).startswith("dm.")] if isinstance(options, list) else []
    if left:
        problems.append(
            "%s sets `storage-opts` of the graph driver (%s), which Docker 25 and newer do not have. Take "
            "`storage-opts` out of %s, which takes effect when Docker is next started." % (path, ", ".join(left), path)
        )
    for name, value, word in flags(words):
        if name == "feature":
            problems.append(
                "%s has the flag --feature %s, and %s has to set `features`: Docker does not start when a setting comes from both. "
                "Set it in %s instead, under `features`." % (word.place, value or "", path, path)
            )
    return problems


def storage_settings(dropin, daemon_json, command=""):
    """[(name, value), ...] of the storage settings in a drop-in's text, a daemon.json's, and a command line, None for no file.

    Only what Docker would get counts: a comment that mentions an option sets none.
    """
    starts = [one.value for one in settings([("", dropin or "")]) if (one.section, one.key) == ("Service", "ExecStart")]
    pairs = [pair for line in [*starts, command] for pair in storage_options(word.text for word in command_words(line, "", {}))]
    pairs += [("storage-driver", value) for value in json_values(daemon_json, "storage-driver")]
    return pairs + [("storage-opt", value) for value in json_values(daemon_json, "storage-opts")]


def settings_of(text):
    """The object in daemon.json, {} when there is none or it cannot be read, which json_problems() tells."""
    try:
        return read_json(text or "")
    except ValueError:
        return {}


def read_json(text, new=None):
    """The JSON object of a text, {} for an empty one, as Docker reads its file. Raises ValueError.

    new: as Docker 23 and newer do, None: as one of both does. Before, it reads the first value and does not look at the
    rest; since then it does, but allows a byte order mark.
    """
    text = (text if new is False else text.lstrip("\ufeff")).strip()
    if not text:
        return {}
    config, end = strict_json.first(text)
    if new and text[end:].strip():
        raise ValueError("something follows the closing brace")
    if config is not None and not isinstance(config, dict):
        raise ValueError("not an object")
    return config or {}


def json_values(daemon_json, *keys):
    """The values of some keys of daemon.json as texts, in order; [] when it is missing or not readable."""
    config = settings_of(daemon_json)
    values = [config.get(key) for key in keys]
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in flat if isinstance(item, str)]


def data_root(unit, daemon_json, env_files=None, ours=""):
    """The folder in which Docker keeps everything: --data-root, --graph, -g, or daemon.json, else /var/lib/docker."""
    folders = flag_values(words_now(unit, env_files, ours), "data-root", "graph")
    paths = [path for path in json_values(daemon_json, "graph", "data-root") + folders if path.startswith("/")]
    return paths[-1] if paths else DATA_ROOT


def is_remapped(unit, daemon_json, env_files=None, ours=""):
    """Whether the daemon is set up with --userns-remap, which puts its data root into a folder below the configured one."""
    values = flag_values(words_now(unit, env_files, ours), "userns-remap") + json_values(daemon_json, "userns-remap")
    return any(values)


def config_files(unit, env_files=None, ours=""):
    """The paths of Docker's configuration file (--config-file, else /etc/docker/daemon.json): now, and from its next start on.

    The latter comes from the unit; it is the running process's where the unit does not tell: a script starts it, or a variable
    that no file sets.
    """
    now, later = [file_of(words(unit, env_files, ours), unit) for words in (words_now, daemon_words)]
    return now, now if is_wrapped(unit) or (later == DAEMON_JSON and "$" in unit.command) else later


def file_of(words, unit):
    """The configuration file that a command line names, else the default one. A relative path starts at the daemon's folder."""
    paths = flag_values(words, "config-file")
    return os.path.normpath(os.path.join(unit.folder or "/", paths[-1])) if paths else DAEMON_JSON


def client_host(unit, daemon_json, env_files=None, ours=""):
    """The unix socket on which this host's daemon listens, as the -H of the client: never another host's.

    A socket that systemd hands over is where docker.socket says: the process tells. Below /run/docker are others than the API's.
    """
    values = flag_values(words_now(unit, env_files, ours), "host") + json_values(daemon_json, "hosts")
    if any(value.startswith("fd://") for value in values):
        others = [path for path in unit.sockets if "/run/docker/" not in path]
        return "unix://" + others[0] if others and SOCKET_PATH not in others else SOCKET
    return next((value for value in values if value.startswith("unix:///")), SOCKET)
