"""What Docker holds while it is stopped, how that differs from what was planned for, and what ran when it was stopped."""

import json
import os
import pathlib
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.facts import docker_content
from module_utils.direct_lvm.host import commands, files
from module_utils.direct_lvm.model.errors import Changed, Refused
from module_utils.direct_lvm.model.host import Content
from module_utils.direct_lvm.model.names import CONTAINERD_STORE
from module_utils.direct_lvm.model.steps import AssertContent, StartContainers

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


class DataRoot:
    """A data root as moby 20.10 keeps it."""

    def __init__(self, path):
        self.path = str(path)

    def write(self, name, text):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)

    def image(self, number, *names, driver="overlay2"):
        self.write("image/%s/imagedb/content/sha256/%s" % (driver, number), "{}")
        path = "image/%s/repositories.json" % driver
        text = files.read_text(os.path.join(self.path, path))
        known = json.loads(text) if text else {"Repositories": {}}
        for name in names:
            known["Repositories"].setdefault(name.split(":")[0], {})[name] = "sha256:" + number
        self.write(path, json.dumps(known))

    def container(self, number, **fields):
        fields = dict({"Name": "/web", "Config": {"Image": "nginx:1"}, "State": {}}, **fields)
        self.write("containers/%s/config.v2.json" % number, json.dumps(fields))

    def check(self, planned, stopped=False, store=None, pid=0):
        docker_content.check(AssertContent(self.path, planned, store, "moby", stopped, "test", pid))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(docker_content, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(docker_content, "LINGER", 0)
    monkeypatch.setattr(docker_content, "END_TIMEOUT", 0)
    monkeypatch.setattr(commands, "run", lambda argv, **_given: commands.Result(argv, 3, "inactive\n", ""))
    one = DataRoot(tmp_path / "docker")
    one.image(ONE, "app:1", "app:latest")
    one.container(THREE, State={"FinishedAt": "2025-11-28T11:00:00Z"})
    return one


def test_content_is_what_the_folders_hold(root):
    root.image(TWO, "old:1", driver="devicemapper.direct-lvm")
    root.write("image/overlay2/imagedb/content/sha256/.tmp-123", "")  # moby writes beside, and renames
    root.write("containers/.tmp", "")
    assert docker_content.content(root.path) == Content(
        ("devicemapper.direct-lvm/" + TWO, "overlay2/" + ONE),
        (
            ("devicemapper.direct-lvm", "old:1", "sha256:" + TWO),
            ("overlay2", "app:1", "sha256:" + ONE),
            ("overlay2", "app:latest", "sha256:" + ONE),
        ),
        (THREE,),
    )
    assert docker_content.content(root.path + "-that-is-not-there") == Content()


CHANGES = [  # situation, what somebody did meanwhile, what the operator reads
    ("a-container-was-made", lambda root: root.container(TWO), r"container web \(image nginx:1\)\."),
    (
        "a-container-of-compose",
        lambda root: root.container(TWO, Config={"Image": "db", "Labels": {"com.docker.compose.project": "shop"}}),
        r"container web \(image db, compose project shop\)",
    ),
    ("a-container-whose-creation-was-cut-off", lambda root: root.write("containers/%s/x" % TWO, ""), "container 222222222222"),
    ("an-image-was-made", lambda root: root.image(TWO, "new:1"), "new image new:1, 222222222222"),
    ("an-image-without-a-name", lambda root: root.image(TWO), "new image 222222222222"),
    (
        "a-tag-was-moved",
        lambda root: root.image(TWO, "app:latest"),
        r"new image app:latest, 222222222222 \(it was 111111111111\)",
    ),
    ("a-tag-was-added", lambda root: root.image(ONE, "app:2"), "new image app:2, 111111111111"),
    (
        "an-image-was-removed",
        lambda root: os.unlink(os.path.join(root.path, "image/overlay2/imagedb/content/sha256", ONE)),
        "image 111111111111 is gone",
    ),
    ("an-image-of-another-driver", lambda root: root.image(TWO, "new:1", driver="vfs"), "new image new:1"),
    (
        "a-name-that-would-draw-on-the-terminal",
        lambda root: root.container(TWO, Name="/\x1b[2Jx\n"),
        r"container \\x1b\[2Jx\\n",
    ),
]


@pytest.mark.parametrize(("change", "words"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_is_new_is_told_by_name(root, change, words):
    planned = docker_content.content(root.path)
    root.check(planned)
    change(root)
    with pytest.raises(Changed, match=words) as told:
        root.check(planned)
    assert "docker events" in told.value.way_out


def test_a_container_that_is_gone_is_no_difference(root):
    """Those with --rm go when Docker stops them."""
    planned = docker_content.content(root.path)
    os.unlink(os.path.join(root.path, "containers", THREE, "config.v2.json"))
    os.rmdir(os.path.join(root.path, "containers", THREE))
    root.check(planned)


TASK_LABELS = {"Image": "nginx:1", "Labels": {"com.docker.swarm.task.id": "x"}}


@pytest.mark.parametrize(
    ("task", "known", "told"),
    [
        ({"Managed": True, "Config": TASK_LABELS}, True, False),
        ({"Managed": True, "Config": TASK_LABELS}, False, True),
        ({"Managed": False, "Config": TASK_LABELS}, True, True),
        ({"Config": TASK_LABELS}, True, True),
        ({"Managed": "true", "Config": TASK_LABELS}, True, True),
        ({"Managed": 1, "Config": TASK_LABELS}, True, True),
    ],
    ids=["others-go-too", "the-first", "only-by-its-images-label", "an-older-docker", "a-text", "a-number"],
)
def test_a_task_that_a_swarm_makes_for_one_that_was_stopped_is_no_difference(root, task, known, told):
    """It makes it while `docker stop` still waits for others, in each round, and anew on the other side."""
    if known:  # and so may be left behind: the plan is refused otherwise
        root.container(ONE, **task)
    planned = docker_content.content(root.path)
    root.container(TWO, **task)
    if told:
        with pytest.raises(Changed, match="container web"):
            root.check(planned, stopped=True)
    else:
        root.check(planned, stopped=True)
    root.container("4" * 64)
    with pytest.raises(Changed, match="container web"):
        root.check(planned, stopped=True)


def test_many_are_counted(root):
    planned = docker_content.content(root.path)
    for number in range(9):
        root.container("%064d" % number)
    with pytest.raises(Changed, match=r"and 4 more\.\n"):
        root.check(planned)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"Repositories": []}', '{"Repositories": {"app": 1}}', "[" * 100000],
    ids=["cut-off", "a-list", "a-list-inside", "a-number-inside", "deep"],
)
def test_a_list_of_names_that_cannot_be_read_is_refused(root, text):
    root.write("image/overlay2/repositories.json", text)
    with pytest.raises(Refused, match=r"repositories.json, Docker's list of image names, cannot be read"):
        docker_content.content(root.path)


def shim(root, pid, *words, ns="pid:[1]"):
    """A process in the stand-in for /proc."""
    folder = os.path.join(docker_content.PROC, str(pid))
    os.makedirs(folder + "/ns")
    with open(folder + "/cmdline", "w", encoding="utf-8") as stream:
        stream.write("\0".join(words) + "\0")
    os.symlink(ns, folder + "/ns/pid")
    if not os.path.exists(docker_content.PROC + "/self"):
        os.makedirs(docker_content.PROC + "/self/ns")
        os.symlink("pid:[1]", docker_content.PROC + "/self/ns/pid")


SHIMS = [  # situation, command line, PID namespace, found
    ("runc-v2", ("/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", TWO, "-address", "/x"), "pid:[1]", True),
    ("v1", ("containerd-shim", "-namespace", "moby", "-workdir", "/var/lib/containerd/x/moby/" + TWO), "pid:[1]", True),
    ("docker-18.06", ("docker-containerd-shim", "-namespace", "moby", "-workdir", "/x/moby/" + TWO), "pid:[1]", True),
    ("userns-remap", ("containerd-shim", "-namespace", "moby-100000.100000", "-id", TWO), "pid:[1]", True),
    ("a-plugin", ("containerd-shim", "-namespace", "plugins.moby", "-id", TWO), "pid:[1]", False),
    ("kubernetes", ("containerd-shim", "-namespace", "k8s.io", "-id", TWO), "pid:[1]", False),
    ("docker-in-docker", ("containerd-shim", "-namespace", "moby", "-id", TWO), "pid:[2]", False),
    ("who-only-says-so", ("sleep", "-namespace", "moby", "-id", TWO), "pid:[1]", False),
]


@pytest.mark.parametrize(("words", "namespace", "found"), [row[1:] for row in SHIMS], ids=[row[0] for row in SHIMS])
def test_what_still_runs_after_the_stop_is_found_by_its_process(root, words, namespace, found):
    planned = docker_content.content(root.path)
    shim(root, 7, *words, ns=namespace)
    assert docker_content.shims("moby") == ((TWO,) if found else ())
    root.check(planned)  # while Docker serves, containers run
    if found:
        with pytest.raises(Changed, match="a process of container 222222222222"):
            root.check(planned, stopped=True)
    else:
        root.check(planned, stopped=True)


DAEMON = ("/usr/bin/dockerd", "-H", "fd://")
UNIT_GROUP, DIND = "0::/system.slice/docker.service\n", "0::/system.slice/docker-%s.scope\n" % ONE
OLD_GROUP = "2:cpu:/system.slice/docker.service\n1:name=systemd:/system.slice/docker.service\n"
LEFT = [  # situation, process, its command line, its control group, PID namespace, whether it is Docker's
    ("known-at-the-look", 7, DAEMON, "0::/init.scope\n", "pid:[1]", True),
    ("started-since-the-look", 8, DAEMON, UNIT_GROUP, "pid:[1]", True),
    ("with-control-groups-of-version-1", 8, DAEMON, OLD_GROUP, "pid:[1]", True),
    ("another-program-with-that-number", 7, ("sleep", "9"), "0::/init.scope\n", "pid:[1]", False),
    ("containerd-that-docker-started", 8, ("containerd", "--config", "x"), UNIT_GROUP, "pid:[1]", False),
    ("docker-in-docker", 8, DAEMON, DIND, "pid:[2]", False),
    ("a-second-docker", 8, DAEMON, "0::/system.slice/docker-two.service\n", "pid:[1]", False),
    ("a-docker-in-a-container-with-systemd", 8, DAEMON, UNIT_GROUP, "pid:[2]", False),
]


@pytest.mark.parametrize(("pid", "words", "group", "namespace", "ours"), [row[1:] for row in LEFT], ids=[row[0] for row in LEFT])
def test_a_daemon_that_outlives_its_unit_is_told_and_asked_to_end(root, monkeypatch, pid, words, group, namespace, ours):
    """KillMode=process, and a script that waits for dockerd."""
    planned, killed = docker_content.content(root.path), []
    monkeypatch.setattr(os, "kill", lambda *given: killed.append(given))
    shim(root, pid, *words, ns=namespace)
    (root_of_proc(pid) / "cgroup").write_text(group)
    root.check(planned, pid=7)  # it serves
    assert killed == []
    if ours:
        with pytest.raises(Refused, match=r"its daemon ran on \(process %d\)" % pid) as told:
            root.check(planned, stopped=True, pid=7)
        assert "exec dockerd" in told.value.way_out
        assert "kill %d;" % pid in told.value.way_out
    else:
        root.check(planned, stopped=True, pid=7)
    assert killed == ([(pid, signal.SIGTERM)] if ours else [])


def root_of_proc(pid):
    return pathlib.Path(docker_content.PROC) / str(pid)


def test_a_daemon_that_is_about_to_end_is_waited_for(root, monkeypatch):
    found = [[7], [7], []]
    monkeypatch.setattr(docker_content, "LINGER", 9)
    monkeypatch.setattr(docker_content, "daemons", lambda _known: found.pop(0))
    monkeypatch.setattr(docker_content.time, "sleep", lambda _seconds: None)
    root.check(docker_content.content(root.path), stopped=True)
    assert found == []


@pytest.mark.parametrize("state", ["active", "activating", "deactivating", ""])
def test_a_unit_that_somebody_starts_again_is_told(root, monkeypatch, state):
    asked = []

    def run(argv, **_given):
        asked.append(argv)
        return commands.Result(argv, 0, state + "\n", "")

    monkeypatch.setattr(commands, "run", run)
    planned = docker_content.content(root.path)
    root.check(planned)
    assert asked == []
    with pytest.raises(Refused, match="right after it was stopped: somebody starts it") as told:
        root.check(planned, stopped=True)
    assert asked == [("systemctl", "is-active", "docker.service")]
    assert "list-dependencies --reverse docker.service" in told.value.way_out


def test_a_shim_that_is_about_to_end_is_waited_for(root, monkeypatch):
    found = [("1",), ("1",), ()]
    monkeypatch.setattr(docker_content, "LINGER", 9)
    monkeypatch.setattr(docker_content, "shims", lambda _namespace: found.pop(0))
    monkeypatch.setattr(docker_content.time, "sleep", lambda _seconds: None)
    root.check(docker_content.content(root.path), stopped=True)
    assert found == []


def test_a_known_container_that_still_runs_is_told_by_name(root):
    planned = docker_content.content(root.path)
    shim(root, 7, "containerd-shim", "-namespace", "moby", "-id", THREE)
    with pytest.raises(Changed, match=r"container web \(image nginx:1\), which still runs"):
        root.check(planned, stopped=True)


IMAGES = """REF                              TYPE                                       DIGEST         SIZE     PLATFORMS   LABELS
docker.io/library/busybox:latest application/vnd.oci.image.manifest.v1+json sha256:%s 2.0 MiB  linux/amd64 -
docker.io/me/app:1               application/vnd.oci.image.manifest.v1+json sha256:%s 2.0 MiB  linux/amd64 a=b
moby-dangling@sha256:3           application/vnd.oci.image.manifest.v1+json sha256:3 2.0 MiB  linux/amd64 -
""" % (ONE, TWO)


def test_images_in_containerd_are_asked_of_containerd(root, monkeypatch):
    asked = []

    def run(argv, **_given):
        asked.append(argv)
        return commands.Result(argv, 0, IMAGES, "")

    monkeypatch.setattr(commands, "run", run)
    planned = docker_content.content(root.path, ("/run/x.sock", "moby"))
    assert asked == [("ctr", "--address", "/run/x.sock", "--namespace", "moby", "images", "ls")]
    assert [pair for pair in planned.names if pair[0] == CONTAINERD_STORE] == [
        ("containerd", "busybox:latest", "sha256:" + ONE),
        ("containerd", "me/app:1", "sha256:" + TWO),
        ("containerd", "moby-dangling@sha256:3", "sha256:3"),
    ]
    root.check(planned, store=("/run/x.sock", "moby"))
    with pytest.raises(Changed, match="new image me/app:1, 222222222222"):
        root.check(planned._replace(names=planned.names[:1] + planned.names[2:]), store=("/run/x.sock", "moby"))


STOPPED_AT = 1764331200  # 2025-11-28T12:00:00Z
ENDED = [  # situation, fields of config.v2.json, whether it is started again
    ("ended-with-docker", {"State": {"FinishedAt": "2025-11-28T12:00:03.5Z"}}, True),
    ("ended-in-the-same-second", {"State": {"FinishedAt": "2025-11-28T12:00:00.1Z"}}, True),
    ("ended-before", {"State": {"FinishedAt": "2025-11-28T11:59:59.9Z"}}, False),
    ("never-started", {"State": {"FinishedAt": "0001-01-01T00:00:00Z"}}, False),
    ("stopped-by-its-owner", {"State": {"FinishedAt": "2025-11-28T12:00:03Z"}, "HasBeenManuallyStopped": True}, False),
    (
        "a-swarm-makes-its-own-anew",
        {"State": {"FinishedAt": "2025-11-28T12:00:03Z"}, "Managed": True},
        False,
    ),
    ("whose-image-says-a-swarm-did", {"State": {"FinishedAt": "2025-11-28T12:00:03Z"}, "Config": TASK_LABELS}, True),
    ("odd-fields", {"State": [], "Config": 1}, False),
    ("odd-time", {"State": {"FinishedAt": None}}, False),
    ("odd-labels", {"State": {"FinishedAt": "2025-11-28T12:00:03Z"}, "Config": {"Labels": []}}, True),
]


@pytest.mark.parametrize(("fields", "started"), [row[1:] for row in ENDED], ids=[row[0] for row in ENDED])
def test_what_ended_with_docker_is_started_again_though_nobody_knew_of_it(root, monkeypatch, fields, started):
    asked = []
    monkeypatch.setattr(commands, "run", lambda argv, **_given: asked.append(argv))
    root.container(TWO, **fields)
    docker_content.start(StartContainers("unix:///x", root.path, (THREE,), 9, "test"), STOPPED_AT)
    assert asked == [("docker", "--host", "unix:///x", "start", THREE, *([TWO] if started else []))]


@pytest.mark.parametrize(
    ("finished", "since", "started"),
    [
        ("2025-11-28T12:00:00.1Z", STOPPED_AT + 0.9, False),
        ("2025-11-28T12:00:00.95Z", STOPPED_AT + 0.9, True),
        ("2025-11-28T12:00:01Z", STOPPED_AT + 0.9, True),
        ("2025-11-28T12:00:00Z", STOPPED_AT + 0.9, False),
        ("2025-11-28T12:00:00.900000001Z", STOPPED_AT + 0.9, True),
    ],
)
def test_what_ended_by_itself_in_the_second_of_the_stop_is_not_run_again(root, finished, since, started):
    """A job that is done, a migration say, must not run twice."""
    root.container(TWO, State={"FinishedAt": finished})
    assert docker_content.ended_since(root.path, since) == ((TWO,) if started else ())


def test_nothing_is_started_where_nothing_ran(root, monkeypatch):
    asked = []
    monkeypatch.setattr(commands, "run", lambda argv, **_given: asked.append(argv))
    docker_content.start(StartContainers("unix:///x", root.path, (), 9, "test"), None)
    docker_content.start(StartContainers("unix:///x", root.path, (), 9, "test"), STOPPED_AT)
    assert asked == []


NAMES = st.sampled_from(["app:1", "app:2", "db:1"])
NUMBERS = st.sampled_from([ONE, TWO, THREE])
CONTENT = st.builds(
    lambda names, more: Content(
        tuple(sorted({"overlay2/" + number for number in names.values()} | {"overlay2/" + one for one in more})),
        tuple(sorted(("overlay2", name, "sha256:" + number) for name, number in names.items())),
    ),
    st.dictionaries(NAMES, NUMBERS),
    st.sets(NUMBERS),
)


@given(CONTENT, CONTENT)
def test_any_difference_of_images_and_names_is_told_and_only_that(before, after):
    assert bool(docker_content.image_changes(before, after)) == (before != after)
