"""Docker's configuration, socket and folder are those of the running process; what only looks like a setting is none."""

import json
import os

import pytest
import states
from docker_answers import host_fixture  # noqa: F401  a fixture
from docker_hosts import FRESH, UNIT, WANTED, due
from docker_hosts import host as plan_host
from states import recorded

from module_utils.direct_lvm.facts import docker, docker_root, observe, systemd
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Container, Docker, SwitchRecord
from module_utils.direct_lvm.model.spec import DockerStorage
from module_utils.direct_lvm.model.steps import RemoveFile, Transaction, WriteFile
from module_utils.direct_lvm.plan import plan, repair
from module_utils.direct_lvm.texts import docker_conflicts, docker_words

SCRIPT, DOCKERD, DROPIN = "/usr/local/sbin/start-docker", "/usr/sbin/dockerd", "/etc/systemd/system/docker.service.d/daemon.conf"
PASSING = '\n# starts Docker\nexec %s --config-file /srv/docker.json "$@"\n' % DOCKERD


def unit(command, arguments=(), files="", sockets=(), folder="/", **more):
    """A docker.service."""
    texts = (("/lib/systemd/system/docker.service", "[Service]\n%sExecStart=%s\n" % (files, command)),)
    return UNIT._replace(files=texts, command=command, arguments=tuple(arguments), sockets=tuple(sockets), folder=folder, **more)


STOCK = DOCKERD + " -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"
FILES = [  # situation, unit, environment files, config file, data root
    ("stock", unit(STOCK, STOCK.split()[:-1]), {}, "/etc/docker/daemon.json", "/var/lib/docker"),
    ("environment-file-and-down", unit(STOCK), {"/x": "DOCKER_OPTS='--config-file /a -g /srv'\n"}, "/a", "/srv"),
    ("variable-that-no-file-sets", unit(STOCK, [DOCKERD, "--config-file=/a", "--data-root", "/srv"]), {}, "/a", "/srv"),
    ("script", unit(SCRIPT, [DOCKERD, "--config-file", "/a", "--data-root=/srv"]), {}, "/a", "/srv"),
    ("script-with-the-default", unit(SCRIPT + " --config-file /b", [DOCKERD]), {}, "/etc/docker/daemon.json", "/var/lib/docker"),
    ("script-in-a-folder", unit(SCRIPT, [DOCKERD, "--config-file", "d.json"], folder="/srv"), {}, "/srv/d.json", "/var/lib/docker"),
    ("unit-changed-since", unit(DOCKERD + " --config-file /b", [DOCKERD, "--config-file", "/a"]), {}, "/b", "/var/lib/docker"),
]


@pytest.mark.parametrize(("one", "files", "config", "root"), [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_the_configuration_file_and_the_data_root(one, files, config, root):
    assert docker_conflicts.config_files(one, files)[1] == config
    assert docker_conflicts.data_root(one, None, files) == root


DEFAULT = "unix:///var/run/docker.sock"
HOSTS = [
    ("stock", unit(STOCK, STOCK.split()[:-1], sockets=["/run/docker.sock"]), DEFAULT),
    ("beside-its-own", unit(STOCK, STOCK.split()[:-1], sockets=["/run/docker.sock", "/run/docker/metrics.sock"]), DEFAULT),
    (
        "docker-socket-elsewhere",
        unit(STOCK, STOCK.split()[:-1], sockets=["/run/api.sock", "/run/docker/x.sock"]),
        "unix:///run/api.sock",
    ),
    ("script", unit(SCRIPT, [DOCKERD, "-H", "unix:///run/api.sock"]), "unix:///run/api.sock"),
    ("variable-that-no-file-sets", unit(DOCKERD + " $OPTS", [DOCKERD, "-Hunix:///run/api.sock"]), "unix:///run/api.sock"),
    ("down", unit(STOCK), DEFAULT),
    ("cannot-be-told", unit(STOCK, STOCK.split()[:-1]), DEFAULT),
]


@pytest.mark.parametrize(("one", "address"), [row[1:] for row in HOSTS], ids=[row[0] for row in HOSTS])
def test_the_socket_on_which_it_listens(one, address):
    assert docker_conflicts.client_host(one, None) == address


def conflicts(one, config="dropin", script="", daemon_json=None, env_files=None):
    """The sentences about a docker.service."""
    found = docker_conflicts.find_conflicts(one, daemon_json, env_files or {}, DROPIN, "20.10.24", config)
    return [*found, *docker_words.script_problems(one, script, env_files or {}, DROPIN, config)]


OURS = (DROPIN, "# Managed by direct_lvm\n[Service]\nExecStart=\nExecStart=x\n")
SAID = [  # situation, unit, what else is given, what is said
    ("stock", unit(STOCK, STOCK.split()[:-1]), {}, []),
    ("script-that-hands-on", unit(SCRIPT, [DOCKERD, "--config-file", "/srv/docker.json"]), {"script": PASSING}, []),
    ("script-whose-words-arrive", unit(SCRIPT + " -H fd://", [DOCKERD, "-H", "fd://", "--debug"]), {}, []),
    (
        "script-that-does-not",
        unit(SCRIPT, [DOCKERD]),
        {"script": '\n# "$@"\nexec dockerd\n'},
        ["does not hand its own arguments on"],
    ),
    ("script-and-daemon-json", unit(SCRIPT, [DOCKERD]), {"script": "\nexec dockerd\n", "config": "daemon_json"}, []),
    (
        "script-that-chooses",
        unit(SCRIPT, [DOCKERD, "-s", "overlay2"]),
        {"script": PASSING},
        [SCRIPT + " sets --storage-driver overlay2"],
    ),
    (
        "script-and-a-key",
        unit(SCRIPT, [DOCKERD, "--debug"]),
        {"script": PASSING, "daemon_json": '{"debug": true}'},
        ["flag --debug"],
    ),
    (
        "docker-daemon-starts-dockerd",
        unit("/usr/bin/docker daemon", ["/usr/bin/dockerd"]),
        {},
        ["which Docker 20.10.24 does not have"],
    ),
    ("script-of-the-same-name", unit("/opt/dockerd", [DOCKERD, "--debug"]), {"script": "\nexec x\n"}, ["does not hand its own"]),
    ("script-and-down", unit(SCRIPT), {"script": PASSING}, ["which settings it has is not known"]),
    ("dockerd-is-a-script-and-down", unit(DOCKERD), {"script": PASSING}, ["which settings it has is not known"]),
    ("down", unit(STOCK), {}, []),
    (
        "unit-changed-since",
        unit(DOCKERD + " --config-file /b", [DOCKERD, "--config-file", "/a"]),
        {},
        ["started with the configuration file /a, and docker.service names /b by now"],
    ),
    ("flag-taken-out-of-the-unit", unit(DOCKERD, [DOCKERD, "--storage-driver", "overlay2"]), {}, []),
]


@pytest.mark.parametrize(("one", "given", "said"), [row[1:] for row in SAID], ids=[row[0] for row in SAID])
def test_conflicts(one, given, said):
    found = conflicts(one, **given)
    assert len(found) == len(said), found
    assert all(words in sentence for words, sentence in zip(said, found))


def test_our_own_options_behind_a_script_are_no_conflict():
    one = unit(SCRIPT, [DOCKERD, "--storage-driver=devicemapper", "--storage-opt", "dm.fs=ext4", "--debug"])
    assert conflicts(one._replace(files=(*one.files, OURS)), script=PASSING) == []


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ("--storage-driver=devicemapper --storage-opt dm.thinpooldev=/dev/mapper/a --debug", True),
        ("--debug --storage-driver=devicemapper --storage-opt dm.thinpooldev=/dev/mapper/a", True),
        ("--storage-driver=devicemapper --storage-opt dm.thinpooldev=/dev/mapper/a --storage-opt dm.fs=xfs", False),
        ("--storage-driver=devicemapper", False),
        ("--debug", False),
    ],
)
def test_options_that_a_script_puts_somewhere_among_its_own(arguments, read):
    flags = "--storage-driver=devicemapper --storage-opt dm.thinpooldev=/dev/mapper/a"
    assert docker_words.started_with(unit(SCRIPT, [DOCKERD, *arguments.split()]), flags) == read


def test_a_script_is_not_asked_for_its_version(tmp_path, monkeypatch):
    """It might start a second Docker."""
    monkeypatch.setattr(commands, "find", lambda name: name)
    script = tmp_path / "dockerd-site"
    script.write_text("#!/bin/sh\nexec dockerd\n")
    assert docker.daemon_program(unit(str(script), ["/opt/docker/dockerd"])) == "/opt/docker/dockerd"
    assert docker.daemon_program(unit(str(script))) == "dockerd"
    assert docker.unit_script(unit(str(script))) == "/bin/sh\nexec dockerd\n"
    assert docker.unit_script(unit("/usr/bin/env")) == ""
    assert docker.unit_script(unit(str(tmp_path / "none"))) == ""


MENTIONED = "[Service]\n# once: --storage-driver devicemapper --storage-opt dm.thinpooldev=/dev/mapper/vg-pool\nExecStart=\n"
SETTINGS = [
    ("comment-in-a-drop-in", MENTIONED + "ExecStart=/usr/bin/dockerd\n", None, "", []),
    (
        "drop-in",
        "[Service]\nExecStart=/x --storage-opt=dm.fs=ext4 -s vfs\n",
        None,
        "",
        [("storage-opt", "dm.fs=ext4"), ("storage-driver", "vfs")],
    ),
    ("of-another-section", "[Unit]\nExecStart=/x -s vfs\n", None, "", []),
    ("a-label-like-it", None, '{"labels": ["storage-driver=vfs"]}', "", []),
    (
        "daemon-json",
        None,
        '{"storage-driver": "vfs", "storage-opts": ["a=b"]}',
        "",
        [("storage-driver", "vfs"), ("storage-opt", "a=b")],
    ),
    ("command", None, None, "/x -s vfs", [("storage-driver", "vfs")]),
    ("nothing", None, None, "", []),
]


@pytest.mark.parametrize(("dropin", "text", "command", "found"), [row[1:] for row in SETTINGS], ids=[row[0] for row in SETTINGS])
def test_storage_settings_are_told_from_what_mentions_them(dropin, text, command, found):
    assert docker_conflicts.storage_settings(dropin, text, command) == found


def test_a_comment_in_a_unit_does_not_have_docker_use_a_pool():
    one = unit("/usr/bin/dockerd")
    there = Docker("20.10", one._replace(files=(("/x.conf", MENTIONED),)))
    assert repair.named_in(there, "vg-pool") is None
    there = Docker("20.10", one._replace(files=(("/x.conf", MENTIONED.replace("# once: ", "ExecStart=/x ")),)))
    assert repair.named_in(there, "vg-pool") == "/x.conf"


# --- a host --------------------------------------------------------------------------------------------------------


def test_containerds_configuration_is_asked_by_the_same_process(host, monkeypatch):
    fragment = host.write("lib/containerd.service", "[Service]\nExecStart=/usr/bin/containerd --config /srv/c.toml\n")

    def run(argv, timeout=60, ok=(0,)):
        result = host.run(argv, timeout, ok)
        more = "\nId=containerd.service\nLoadState=loaded\nActiveState=active\nFragmentPath=%s\n" % fragment
        return result._replace(out=result.out + more) if argv[0] == "systemctl" else result

    monkeypatch.setattr(commands, "run", run)
    assert host.observe().containerd_config == "/srv/c.toml"
    assert sum(line.startswith("systemctl") for line in host.asked) == 1


def test_a_daemon_that_runs_is_not_called_down_when_its_client_is_not_installed(host, monkeypatch):
    monkeypatch.setattr(commands, "find", lambda name: None if name == "docker" else name)
    found = host.observe()
    assert (found.info, found.client) == (None, False)
    assert found.problem == "docker.service is active, and its client, the program `docker`, is not installed"
    assert not any(line.startswith("docker ") for line in host.asked)


@pytest.mark.parametrize(
    ("command", "package"), [("/usr/sbin/dockerd -H fd://", "docker-cli"), ("/usr/bin/dockerd -H fd://", "docker-ce-cli")]
)
def test_the_package_of_the_missing_client_is_named(command, package):
    found = Docker("26.1.5", unit(command), problem="x", client=False)
    missing = observe.clients(plan_spec(), found, None)
    with pytest.raises(Refused) as refusal:
        plan.plan(plan_spec(), plan_host(found)._replace(missing=missing))
    assert "this host lacks docker (Docker's client" in refusal.value.what
    assert "down" not in str(refusal.value)
    assert "not running" not in str(refusal.value)
    assert "apt-get install " + package in refusal.value.way_out
    assert observe.clients(plan_spec(), found._replace(client=True), None) == ()
    assert observe.clients(plan_spec(), found._replace(unit=found.unit._replace(load_state="not-found")), None) == ()
    assert observe.clients(plan_spec()._replace(docker=None), found, None) == ()


def plan_spec():
    """What is wanted of a host with Docker."""
    return states.spec()._replace(docker=WANTED)


# --- a path that is no file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/dev/null", "fifo"])
def test_a_configuration_file_that_is_none(tmp_path, monkeypatch, path):
    if path == "fifo":
        os.mkfifo(str(tmp_path / path))
        path = str(tmp_path / path)
    one = unit("%s --config-file=%s" % (DOCKERD, path), active_state="inactive")
    monkeypatch.setattr(systemd, "observe_units", lambda _asked: [one, one])
    if path == "/dev/null":
        assert docker.observe_setup().daemon_json is None
    else:
        with pytest.raises(Refused, match="it is no regular file"):
            docker.observe_setup()
    assert observe.irregular(path) == ("a character device" if path == "/dev/null" else "a FIFO")


def test_what_stands_where_files_go(tmp_path):
    for name in ("folder", "file"):
        (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).write_text("")
    (tmp_path / "to-null").symlink_to("/dev/null")
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "to-nothing").symlink_to("gone")
    kinds = {name: observe.irregular(str(tmp_path / name)) for name in sorted(os.listdir(str(tmp_path)))}
    assert kinds == {"file": "", "folder": "a folder", "to-file": "", "to-nothing": "", "to-null": "a character device"}
    assert observe.irregular(str(tmp_path / "none")) == ""


def files_of(steps):
    """The paths of all files that steps write or remove, critical sections and their way back included."""
    found = set()
    for step in steps:
        if isinstance(step, Transaction):
            found |= files_of(step.steps) | files_of(step.way_back)
        elif isinstance(step, (WriteFile, RemoveFile)):
            found.add(step.path)
    return found


JSON = WANTED._replace(config="daemon_json")


@pytest.mark.parametrize(
    ("path", "way_out"),
    [
        ("/dev/null", "systemctl cat docker    # shows where /dev/null is named"),
        ("/etc/docker/daemon.json", "mv /etc/docker/daemon.json /etc/docker/daemon.json.before-direct-lvm"),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_touched(path, way_out):
    found = FRESH._replace(daemon_json_path=path)
    kind = "a character device" if path == "/dev/null" else "a folder"
    there = plan_host(found)._replace(irregular=((path, kind),))
    spec = plan_spec()
    with pytest.raises(Refused) as refusal:
        plan.plan(spec._replace(docker=JSON), there)
    assert refusal.value.what == "%s is %s, and not a file that could be replaced." % (path, kind)
    assert way_out in refusal.value.way_out
    assert plan.plan(spec, there).steps  # by a drop-in, which leaves it alone


def test_every_file_of_a_plan_is_looked_at(monkeypatch):
    """observe.targets() has each path that a plan may replace: else what stands there is not known."""
    spec = plan_spec()
    looked_at = observe.targets(spec._replace(docker=JSON), FRESH, None)
    planned = files_of(plan.plan(spec._replace(docker=JSON), plan_host(FRESH, "00-blank")).steps)
    assert planned
    assert planned <= set(looked_at)


# --- cleaning up ---------------------------------------------------------------------------------------------------

CONTAINER = recorded("docker", "config-v2-20.10.24-labelled.json")
ID = json.loads(CONTAINER)["ID"]


def described(**changes):
    """The recorded config.v2.json with other keys; None takes one out."""
    fields = dict(json.loads(CONTAINER), **changes)
    return json.dumps({key: value for key, value in fields.items() if value is not None}, separators=(",", ":"))


DRIVERS = [  # in each a label of the image and a variable are called Driver, and are overlay2
    ("as-docker-writes-it", CONTAINER, "overlay2"),
    ("another-driver", described(Driver="devicemapper"), "devicemapper"),
    ("no-driver", described(Driver=None), None),
    ("a-driver-that-is-no-text", described(Driver=["overlay2"]), None),
    ("anothers-folder", described(ID="0" * 64, Driver="overlay2"), None),
    ("cut-off", described(Driver="overlay2")[:-1], None),
    ("no-object", '["Driver", "overlay2"]', None),
    ("nested-too-deeply", "[" * 100000, None),
    ("not-utf-8", b"\xff\xfe", None),
    ("empty", "", None),
    ("no-file", None, None),
]


@pytest.mark.parametrize(("text", "driver"), [row[1:] for row in DRIVERS], ids=[row[0] for row in DRIVERS])
def test_the_driver_of_a_container(tmp_path, text, driver):
    folder = tmp_path / "containers" / ID
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "config.v2.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert docker_root.container_driver(str(tmp_path), ID) == driver
    found = Docker("20.10", root=str(tmp_path), former=SwitchRecord("done", "overlay2"))
    left = [path for path, _size in docker.leftovers(found, DockerStorage("auto", ""))]
    assert left == ([str(folder)] if driver == "overlay2" else [])


def test_a_container_that_docker_lists_is_never_left_over(tmp_path):
    (tmp_path / "containers" / ID).mkdir(parents=True)
    (tmp_path / "containers" / ID / "config.v2.json").write_text(described(Driver="overlay2"))
    found = Docker("20.10", root=str(tmp_path), former=SwitchRecord("done", "overlay2"))
    wanted = DockerStorage("auto", "")
    assert [path for path, _size in docker.leftovers(found, wanted)] == [str(tmp_path / "containers" / ID)]
    listed = (Container(ID, "web", "app:1", "Up 2 days", True),)
    assert docker.leftovers(found._replace(containers=listed), wanted) == ()


# --- a daemon that does not answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "word"), [("active", "does not answer"), ("failed", "is not running")])
def test_a_daemon_that_is_active_is_not_said_to_be_down(state, word):
    silent = FRESH._replace(info=None, problem="x", unit=UNIT._replace(active_state=state), root_state=("containers",))
    with pytest.raises(Refused, match=r"^Docker %s \(x\) and its data root holds containers" % word):
        due(silent)
    with pytest.raises(Refused, match=r"^Docker %s \(x\), so what it holds cannot be told" % word):
        due(silent._replace(former=SwitchRecord("done", "overlay2")), goal="roll_back")
