"""Dockers that are set up in other ways than the package does it: what is planned for them, refused, and told before."""

import json
import os

import pytest
import states
from docker_hosts import (
    BATCH,
    BUSYBOX,
    CORE,
    DONE,
    EARLY,
    FRESH,
    LOOP,
    OLD_POOL,
    ON_POOL,
    UNIT,
    WANTED,
    WEB,
    due,
    host,
)

from module_utils.direct_lvm.facts import docker, docker_root
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.images import images
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.model.host import SwitchRecord
from module_utils.direct_lvm.model.spec import PROVISION, ROLL_BACK, DockerStorage
from module_utils.direct_lvm.plan import docker_storage, plan
from module_utils.direct_lvm.texts import daemon_json, docker_conflicts, docker_inspect

TASK = WEB._replace(id="f" * 64, name="web.1.x7amskqh1rcsp7w3r9esoqv9t")
GLOBAL = TASK._replace(name="log.qn6ocfhqyrcl6knh1ltjyz8ck.x7amskqh1rcsp7w3r9esoqv9t")
START = "docker --host unix:///var/run/docker.sock start "
SAME = ("devicemapper", "image/devicemapper", "containers")


# --- a restart where Docker is

RESTARTS = [
    ("containers-that-ran-run-again-oldest-first", (WEB, BATCH, WEB._replace(id="a" * 64)), ["a" * 64, WEB.id]),
    ("a-swarm-makes-its-own-anew", (TASK, GLOBAL), []),
    ("none-ran", (BATCH,), []),
]


@pytest.mark.parametrize(("there", "started"), [row[1:] for row in RESTARTS], ids=[row[0] for row in RESTARTS])
def test_a_restart_for_other_settings(there, started):
    again = [START + " ".join(started) if started else "docker ps"]
    assert due(DONE._replace(dropin_text="x", containers=there)) == EARLY + again


def test_containers_are_asked_for_when_docker_is_to_be_restarted():
    """Somebody's drop-in that systemd has not read, or a daemon with former options, has Docker restarted where it is."""
    info = ON_POOL
    text = DONE.dropin_text
    assert docker.is_settled(info, WANTED, states.ARTICLE, UNIT, text)
    assert not docker.is_settled(info, WANTED, states.ARTICLE, UNIT._replace(need_reload=True), text)
    other = UNIT._replace(arguments=("dockerd", "--storage-opt", "dm.fs=ext4"))
    assert not docker.is_settled(info, WANTED, states.ARTICLE, other, text)


@pytest.mark.parametrize("one", [TASK, GLOBAL])
def test_containers_of_a_swarm_come_again(one):
    with pytest.raises(Refused) as refusal:
        due(FRESH._replace(containers=(one,)))
    assert "hooks/swarm_drain.yml" in refusal.value.way_out
    with pytest.raises(Refused) as refusal:
        due(FRESH._replace(containers=(WEB, WEB._replace(name="web.1"))))
    assert "swarm" not in refusal.value.way_out


# --- a daemon.json as an editor of another system leaves it


@pytest.mark.parametrize("text", ["\ufeff{}", " \n", "", "\ufeff"], ids=["byte-order-mark", "blank", "empty", "mark-alone"])
def test_a_daemon_json_that_docker_reads_is_merged(text):
    assert json.loads(daemon_json.merge(text, {"a": 1})) == {"a": 1}
    assert daemon_json.without(text, ("a",)) == text
    assert docker_conflicts.data_root(UNIT, "\ufeff" + '{"data-root": "/srv"}') == "/srv"


TCP = "tcp://0.0.0.0:2376"
LISTENS = [
    ("tcp-only", json.dumps({"hosts": [TCP], "tlsverify": True}), "", ["daemon.json has Docker listen on %s only" % TCP]),
    ("tcp-only-by-flag", None, "-H " + TCP, ["Add unix:///var/run/docker.sock to `--host` there"]),
    ("both", json.dumps({"hosts": [TCP, "unix://"]}), "", []),
    ("by-the-socket-unit", None, "-H fd:// -H " + TCP, []),
    ("nothing-said", "{}", "", []),
]


@pytest.mark.parametrize(("text", "flags", "said"), [row[1:] for row in LISTENS], ids=[row[0] for row in LISTENS])
def test_a_daemon_without_a_unix_socket_is_not_asked_over_the_network(text, flags, said):
    files = (("/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd %s\n" % flags),)
    unit = UNIT._replace(files=files, command="/usr/bin/dockerd " + flags)
    found = docker_conflicts.find_conflicts(unit, text, {}, WANTED.dropin, "20.10.24")
    assert len(found) == len(said)
    assert all(words in sentence for words, sentence in zip(said, found))


# --- a Docker that is another one


@pytest.mark.parametrize(("engine", "refused"), [("auto", True), ("devicemapper", True), ("containerd", False)])
def test_docker_from_a_snap_is_not_taken_for_no_docker(tmp_path, monkeypatch, engine, refused):
    there = tmp_path / "current"
    there.mkdir()
    setup = docker.Setup(UNIT._replace(load_state="not-found", active_state="inactive", command=""), {}, None, "")
    for name, value in (("SNAPS", (str(there),)), ("refuse_podman", lambda: None), ("observe_setup", lambda _ours: setup)):
        monkeypatch.setattr(docker, name, value)
    monkeypatch.setattr(docker.commands, "find", lambda _name: None)
    monkeypatch.setattr(docker.switch_record, "PATH", str(tmp_path / "switch.json"))
    wanted = DockerStorage(engine, str(tmp_path / "daemon.conf"), archive_dir=str(tmp_path))
    if refused:
        with pytest.raises(Refused, match="is a snap") as refusal:
            docker.observe_docker(wanted, states.ARTICLE)
        assert "docker_storage_engine: containerd" in refusal.value.way_out
    else:
        assert docker.observe_docker(wanted, states.ARTICLE).version is None
    assert docker.observe_docker(wanted._replace(dropin="")).version is None  # to report, nothing is refused


def test_a_users_own_docker_is_told_of():
    said = plan.plan(states.spec()._replace(docker=WANTED), host(FRESH._replace(rootless=("/run/user/1000/docker.sock",)))).warnings
    assert "without root (/run/user/1000/docker.sock): what that one holds stays in its user's home folder" in " ".join(said)


def test_the_environment_does_not_lead_dockers_client_astray(monkeypatch):
    for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CONTENT_TRUST", "DOCKER_API_VERSION"):
        monkeypatch.setenv(name, "1")
    assert "DOCKER_" not in commands.run(["env"]).out


def test_an_image_of_no_files_is_told_of_with_a_way_out(tmp_path, monkeypatch):
    def fail(argv, **_more):
        raise CommandFailed(argv, "failed with return code 1", "Error response from daemon: empty export - not implemented")

    monkeypatch.setattr(commands, "run", fail)
    with pytest.raises(Refused, match="has no layers") as refusal:
        images.save("unix:///x", BUSYBOX._replace(size=0), str(tmp_path), 60)
    assert "docker rmi busybox:1 busybox:latest" in refusal.value.way_out


# --- mount points


@pytest.mark.parametrize("info", [LOOP, OLD_POOL])
@pytest.mark.parametrize("name", SAME)
def test_what_is_a_file_system_of_its_own_cannot_be_set_aside(info, name):
    with pytest.raises(Refused, match="/var/lib/docker/%s is a file system of its own" % name) as refusal:
        due(FRESH._replace(info=info, mounted=(name,)))
    assert "umount /var/lib/docker/" + name in refusal.value.way_out


def test_a_mount_point_that_stays_where_it_is_hinders_nobody():
    assert CORE[-1] in due(FRESH._replace(mounted=("containers",)))
    aside = DONE._replace(
        root_state=("containers.before-direct-lvm",), former=SwitchRecord("done", "devicemapper"), mounted=("containers",)
    )
    with pytest.raises(Refused, match="file system of its own"):
        due(aside, goal="roll_back")


def test_a_folder_is_no_mount_point(tmp_path):
    (tmp_path / "containers").mkdir()
    assert docker_root.mount_points(str(tmp_path)) == ()


# --- what stays behind


def left(found, wanted=WANTED, goal=PROVISION):
    """The warnings about what is not migrated."""
    said = plan.plan(states.spec()._replace(docker=wanted, goal=goal), host(found)).warnings
    return [line for line in said if "migrated" in line or "plugins" in line]


STAYS = [
    ("nothing", {}, []),
    ("build-cache", {"build_cache": True}, ["docker builder prune --all --force"]),
    ("plugins", {"plugins": 2}, ["Docker's 2 plugins stay in /var/lib/docker/plugins"]),
    (
        "a-name-by-digest",
        {"nameless": ("app@sha256:1",)},
        ["are migrated without a name, for no archive holds one: app@sha256:1."],
    ),
    ("many-names-by-digest", {"nameless": tuple("abcde")}, ["one: a, b, c and 2 more."]),
]


@pytest.mark.parametrize(("facts", "words"), [row[1:] for row in STAYS], ids=[row[0] for row in STAYS])
def test_what_does_not_come_across_is_told_before(facts, words):
    for found, goal in ((FRESH, PROVISION), (DONE, ROLL_BACK)):
        said = left(found._replace(**facts), goal=goal)
        assert len(said) == len(words)
        assert all(word in line for word, line in zip(words, said))
    assert left(DONE._replace(**facts)) == []  # it is there
    assert left(FRESH._replace(former=SwitchRecord("back", "overlay2"), **facts), goal=ROLL_BACK) == []  # it is back


def test_the_image_store_has_a_build_cache_of_its_own():
    """BuildKit keeps that of a snapshotter in a folder of its name."""
    spec = states.spec()._replace(docker=WANTED._replace(engine="docker-devmapper"))
    (said,) = docker_storage.left_behind(spec, host(FRESH._replace(version="26.1.5", build_cache=True)))
    assert "builds start from scratch" in said


def test_a_build_cache_is_one_that_was_written_to(tmp_path):
    assert not docker_root.has_build_cache(str(tmp_path))
    database = tmp_path / "buildkit" / "snapshots.db"
    database.parent.mkdir()
    page = os.sysconf("SC_PAGE_SIZE")
    for size, used in ((4 * page, False), (8 * page, True)):
        database.write_bytes(b"\0" * size)
        assert docker_root.has_build_cache(str(tmp_path)) == used


def test_plugins_are_counted(tmp_path):
    for name in ("a" * 64, "b" * 64, "storage", "tmp"):
        (tmp_path / "plugins" / name).mkdir(parents=True)
    assert docker_root.plugins(str(tmp_path)) == 2


def test_names_by_digest():
    one = {"Id": "sha256:1", "RepoTags": [], "RepoDigests": ["app@sha256:2", "<none>@<none>"]}
    assert docker_inspect.nameless([one, dict(one, RepoTags=["app:1"]), {"Id": "sha256:3", "RepoDigests": None}]) == (
        "app@sha256:2",
    )


# --- the data root of a daemon that is down

REMAPPED = [
    ("never-started", [], ""),
    ("one-mapping", ["100000.100000", "overlay2", "100000"], "100000.100000"),
]


@pytest.mark.parametrize(("there", "root"), [row[1:] for row in REMAPPED], ids=[row[0] for row in REMAPPED])
def test_userns_remap_has_a_data_root_below(tmp_path, there, root):
    for name in there:
        (tmp_path / name).mkdir()
    text = json.dumps({"data-root": str(tmp_path), "userns-remap": "default"})
    setup = docker.Setup(UNIT, {}, text, "")
    assert docker.stopped_root(setup, "") == os.path.join(str(tmp_path), root).rstrip("/")
    plain = docker.Setup(UNIT, {}, json.dumps({"data-root": str(tmp_path), "userns-remap": ""}), "")
    assert docker.stopped_root(plain, "") == str(tmp_path)


def test_two_mappings_cannot_be_told_apart(tmp_path):
    for name in ("100000.100000", "165536.165536"):
        (tmp_path / name).mkdir()
    with pytest.raises(Refused, match="has 100000.100000, 165536.165536") as refusal:
        docker_root.remapped(str(tmp_path))
    assert "systemctl start docker" in refusal.value.way_out
