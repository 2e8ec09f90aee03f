"""Docker is asked only when it may be asked, and what it is asked is all that is needed."""

import json
import os
import sys

import pytest
import states
from docker_answers import STOCK, host_fixture  # noqa: F401  a fixture
from states import recorded

from module_utils.direct_lvm.apply import daemon
from module_utils.direct_lvm.facts import docker, docker_root
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model import engines
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.model.host import Container, Containerd, Docker, Image, SwitchRecord
from module_utils.direct_lvm.model.spec import DockerStorage
from module_utils.direct_lvm.model.steps import WaitForDocker
from module_utils.direct_lvm.texts import docker_info

CHUNK = 524288


POOL = "vgdocker-thinpool"
NO_FORMAT = "flag provided but not defined: --format\nSee 'docker info --help'."


def test_all_as_wanted_costs_two_processes(host):
    host.write("etc/docker.service.d/direct-lvm.conf", host.text)
    found = host.observe()
    assert len(host.asked) == 2
    assert host.asked[1].startswith("docker --host unix:///var/run/docker.sock info")
    assert (found.version, found.conflicts, found.problem) == ("20.10.24+dfsg1", (), "")
    assert docker_info.info_problems(found.info, POOL, CHUNK) == []
    assert found.unit.command == STOCK


@pytest.mark.parametrize("state", ["inactive", "failed", "activating", "deactivating", "reloading"])
def test_a_daemon_that_is_not_active_is_never_asked(host, state):
    host.active = state
    found = host.observe()
    assert [line for line in host.asked if not line.startswith("systemctl")] == ["/usr/sbin/dockerd --version"]
    assert (found.info, found.version, found.problem) == (None, "20.10.24+dfsg1", "docker.service is " + state)


def test_before_a_switch_the_installed_program_is_asked_and_the_content(host):
    text = (
        recorded("docker", "info-20.10.24-direct-lvm.json")
        .replace(POOL, "other-pool")
        .replace("/var/lib/docker", str(host.root / "docker"))
    )
    host.answer("info", text.replace('"Images":0', '"Images":1').replace('"Containers":0', '"Containers":1'))
    host.answer("--version", "Docker version 26.1.5, build 1\n")
    image = "sha256:" + "1" * 64
    host.answer("images", image + "\n")
    host.answer("inspect", json.dumps([{"Id": image, "RepoTags": ["busybox:latest"], "Size": 4000000}]))
    host.answer("ps", "abc\tc1\tbusybox\tUp 2 days\n")
    host.write("docker/volumes/v1/_data/file", "")
    host.write("docker/volumes/metadata.db", "")
    found = host.observe()
    assert found.version == "26.1.5"
    assert found.info.version == "20.10.24+dfsg1"
    assert found.images == (Image(image, ("busybox:latest",), 4000000),)
    assert found.containers == (Container("abc", "c1", "busybox", "Up 2 days", True),)
    assert found.archived == ()
    assert found.volumes == ("v1",)


def test_the_daemons_version_counts_when_the_unit_starts_the_client(host):
    host.write("lib/docker.service", recorded("units", "docker-engine-1.11-centos-7", "docker.service"))
    host.active = "inactive"
    host.observe()
    assert host.asked[-1] == "dockerd --version"


@pytest.mark.parametrize("upgraded", [False, True])
def test_an_empty_docker_is_asked_nothing_more_unless_its_program_was_replaced(host, monkeypatch, upgraded):
    host.answer("info", recorded("docker", "info-20.10.24-overlay2.json"))
    host.answer("--version", "Docker version 26.1.5, build 1\n")
    host.main_pid = os.getpid()
    monkeypatch.setattr(commands, "find", lambda name: host.fragment if upgraded else sys.executable)
    assert host.observe().version == ("26.1.5" if upgraded else "20.10.24+dfsg1")
    assert len(host.asked) == (3 if upgraded else 2)


def test_not_installed(host, monkeypatch):
    host.load, host.active = "not-found", "inactive"
    monkeypatch.setattr(commands, "find", lambda name: None)
    found = host.observe()
    assert (found.version, found.problem, found.conflicts) == (None, "there is no docker.service", ())
    assert len(host.asked) == 1


def test_installed_without_a_unit(host):
    host.load, host.active = "not-found", "inactive"
    found = host.observe()
    assert found.version == "20.10.24+dfsg1"
    assert "no docker.service" in found.conflicts[0]


def test_a_client_alone_is_no_docker(host, monkeypatch):
    host.load, host.active = "not-found", "inactive"
    monkeypatch.setattr(commands, "find", lambda name: None if name == "dockerd" else name)
    found = host.observe()
    assert (found.version, found.problem, found.conflicts) == (None, "there is no docker.service", ())
    assert engines.choose("auto", found.version, Containerd(found.unit._replace(load_state="loaded"))).name == "containerd"


def test_docker_1_11_is_asked_in_plain_text(host, monkeypatch):
    host.write("lib/docker.service", recorded("units", "docker-engine-1.11-centos-7", "docker.service"))
    host.answer("info", "", rc=2, err=NO_FORMAT)
    host.answer("plain info", recorded("docker", "info-1.11.1-direct-lvm.txt"))
    host.answer("--version", "Docker version 1.11.1, build 5604cbe\n")
    monkeypatch.setattr(commands, "find", lambda name: None if name == "dockerd" else name)
    found = host.observe()
    assert (found.version, found.info.driver, found.conflicts) == ("1.11.1", "devicemapper", ())
    assert "/usr/bin/docker --version" in host.asked


@pytest.mark.parametrize(
    ("out", "err", "words"),
    [
        (recorded("docker", "info-20.10.24-no-daemon.json"), "", "Cannot connect"),
        (
            recorded("docker", "info-28.2.2-no-daemon.json"),
            "Cannot connect to the Docker daemon at unix:///x",
            "Cannot connect",
        ),
        ("", "permission denied", "permission denied"),
        ("", "", "is not JSON"),
    ],
)
def test_an_active_daemon_that_does_not_answer_is_a_conflict(host, out, err, words):
    host.answer("info", out, rc=1, err=err)
    found = host.observe()
    assert found.info is None
    assert words in found.problem
    assert "what it holds cannot be told" in found.conflicts[-1]


def test_a_hanging_daemon_is_a_problem_not_a_traceback(host, monkeypatch):
    def hang(argv, timeout=60, ok=(0,)):
        if "info" in argv:
            raise CommandFailed(argv, "did not finish within %d s and was stopped" % timeout)
        return host.run(argv, timeout, ok)

    monkeypatch.setattr(commands, "run", hang)
    assert "did not finish within 60 s" in host.observe().problem


def test_podmans_stand_in(host, monkeypatch):
    script = host.write("bin/docker", '#!/bin/sh\n[ -e /etc/containers/nodocker ] || echo x\nexec /usr/bin/podman "$@"\n')
    monkeypatch.setattr(commands, "find", lambda name: script)
    with pytest.raises(Refused, match="podman"):
        host.observe()
    assert host.asked == []


def test_a_link_to_podman(host, monkeypatch):
    os.symlink(host.write("bin/podman", "ELF"), str(host.root / "bin/docker"))
    monkeypatch.setattr(commands, "find", lambda name: str(host.root / "bin/docker"))
    with pytest.raises(Refused, match="podman"):
        host.observe()


def test_podman_answers_docker_info(host):
    host.answer("info", "{}", err="Emulate Docker CLI using podman. Create /etc/containers/nodocker to quiet msg.")
    with pytest.raises(Refused, match="podman"):
        host.observe()


def test_files_that_the_unit_names_are_read(host):
    default = host.write("default-docker", "DOCKER_OPTS='-s overlay2'\n")
    text = recorded("units", "debian-12-docker.io-20.10.24", "docker.service").replace("/etc/default/docker", default)
    host.write("lib/docker.service", text)
    host.write("daemon.json", '{"storage-opts": [], "data-root": "%s"}' % (host.root / "elsewhere"))
    host.write("elsewhere/image/overlay2/imagedb/content/sha256/abc", "{}")
    host.active = "inactive"
    found = host.observe()
    assert len(found.conflicts) == 2
    assert default in found.conflicts[0]
    assert "daemon.json" in found.conflicts[1]
    assert found.root_state == ("image/overlay2",)
    assert [path for path, _text in docker.observe_docker(DockerStorage("auto", "")).env_files] == [default]


def test_to_report_a_list_of_names_that_cannot_be_read_is_no_obstacle(host):
    """status.yml and remove.yml ask nobody which image has which name."""
    host.write("daemon.json", '{"data-root": "%s"}' % (host.root / "elsewhere"))
    host.write("elsewhere/image/overlay2/repositories.json", "{")
    host.active = "inactive"
    assert docker.observe_docker(DockerStorage("auto", "")).content is None
    with pytest.raises(Refused, match="list of image names, cannot be read"):
        host.observe()


def test_nothing_wanted_still_reports(host):
    host.write("etc/docker.service.d/direct-lvm.conf", host.text)
    found = docker.observe_docker(DockerStorage("auto", ""))
    assert found.info.driver == "devicemapper"
    assert found.conflicts == ()
    assert found.dropin_text is None


def test_nothing_wanted_on_the_image_store_lists_containers_too(host):
    text = recorded("docker", "info-26.1.5-devmapper-snapshotter.json")
    containers = json.loads(text)["Containers"]
    host.answer("info", text.replace('"Containers":%d' % containers, '"Containers":1'))
    host.answer("--version", "Docker version 26.1.5, build 1\n")
    host.answer("ps", "abc\tc1\tbusybox\tUp 2 days\n")
    found = docker.observe_docker(DockerStorage("auto", ""))
    assert docker_info.storage_kind(found.info) == "devmapper-snapshotter"
    assert found.containers == (Container("abc", "c1", "busybox", "Up 2 days", True),)
    assert [line.split()[3] for line in host.asked if line.startswith("docker")] == ["info", "ps"]


def test_a_daemon_built_without_the_driver_is_told(tmp_path):
    for name, text in (("with", b"\x7fELF...dm.thinpooldev..."), ("without", b"\x7fELF...overlay2...")):
        (tmp_path / name).write_bytes(text)
        assert docker.has_driver(str(tmp_path / name)) == (name == "with")


def test_the_transaction_of_dockers_metadata(tmp_path):
    assert docker_root.open_transaction(str(tmp_path), ()) is None
    for folder, text in (("devicemapper", '{"open_transaction_id":7,"device_hash":""}'), ("devicemapper.direct-lvm", "[]")):
        (tmp_path / folder / "metadata").mkdir(parents=True)
        (tmp_path / folder / "metadata" / "transaction-metadata").write_text(text)
    assert docker_root.open_transaction(str(tmp_path), ("devicemapper",)) == 7
    assert docker_root.open_transaction(str(tmp_path), ("devicemapper", "devicemapper.direct-lvm")) is None


def test_what_the_former_storage_left(tmp_path):
    for driver in ("overlay2", "devicemapper"):
        (tmp_path / driver).mkdir()
        (tmp_path / "image" / driver).mkdir(parents=True)
        (tmp_path / "containers" / driver).mkdir(parents=True)
        (tmp_path / "containers" / driver / "config.v2.json").write_text('{"ID":"%s","Driver":"%s"}' % (driver, driver))
    (tmp_path / "overlay2" / "layer").write_bytes(b"x" * 10000)
    found = Docker("20.10", root=str(tmp_path), former=SwitchRecord("done", "overlay2"))
    left = dict(docker.leftovers(found, DockerStorage("auto", "")))
    assert set(left) == {str(tmp_path / name) for name in ("overlay2", "image/overlay2", "containers/overlay2")}
    assert left[str(tmp_path / "overlay2")] >= 10000
    for name in ("devicemapper.before-direct-lvm", "devicemapper.in-between-1", "devicemapper.direct-lvm"):
        (tmp_path / name).mkdir()
    left = dict(docker.leftovers(found._replace(former=SwitchRecord("done", "devicemapper")), DockerStorage("auto", "")))
    assert set(left) == {str(tmp_path / name) for name in ("devicemapper.before-direct-lvm", "devicemapper.in-between-1")}


def test_root_state(tmp_path):
    for folder in (
        "overlay2/l",
        "devicemapper",
        "image/overlay2/imagedb/content/sha256",
        "containers",
        "volumes/v1",
        "swarm",
    ):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "volumes/metadata.db").write_text("")
    assert docker_root.root_state(str(tmp_path)) == ("overlay2", "volumes")
    (tmp_path / "image/overlay2/imagedb/content/sha256/abc").write_text("")
    (tmp_path / "containers/abc").mkdir()
    (tmp_path / "devicemapper/metadata").mkdir()
    assert docker_root.root_state(str(tmp_path)) == ("devicemapper", "overlay2", "image/overlay2", "containers", "volumes")
    (tmp_path / "devicemapper/devicemapper").mkdir()
    (tmp_path / "devicemapper/devicemapper/data").write_text("")
    (tmp_path / "containers.before-direct-lvm").mkdir()
    assert {"devicemapper/loop", "containers.before-direct-lvm"} <= set(docker_root.root_state(str(tmp_path)))
    assert docker_root.root_state(str(tmp_path / "none")) == ()


def test_a_host_that_has_just_booted_is_waited_for(host, monkeypatch):
    states = iter(["activating", "activating", "active"])

    def run(argv, timeout=60, ok=(0,)):
        if argv[0] == "systemctl":
            host.active = next(states)
        return host.run(argv, timeout, ok)

    monkeypatch.setattr(commands, "run", run)
    assert host.observe().info.driver == "devicemapper"
    assert sum("info" in line for line in host.asked) == 1


def test_the_daemons_own_socket_is_asked(host):
    host.write("daemon.json", '{"hosts": ["unix:///run/other.sock"]}')
    text = recorded("units", "docker-engine-1.12-centos-7", "docker.service")
    host.write("lib/docker.service", text)
    assert host.observe().host == "unix:///run/other.sock"
    assert host.asked[1].startswith("docker --host unix:///run/other.sock info")


def test_docker_that_systemd_says_nothing_about_is_waited_for_to_the_end(monkeypatch):
    monkeypatch.setattr(commands, "run", lambda argv: commands.Result(argv, 0, "", ""))
    monkeypatch.setattr(daemon.time, "sleep", lambda seconds: None)
    with pytest.raises(CommandFailed, match="gave no working daemon within 0 s"):
        daemon.wait(WaitForDocker("unix:///x", "", 0.01))


# --- images that a containerd keeps ------------------------------------------------------------------------------

ELSEWHERE = recorded("containerd", "trixie", "docker-info.json").replace('"Driver":"devmapper"', '"Driver":"overlayfs"')
OWN = ("containerd", "--config", "/var/run/docker/containerd/containerd.toml")


def private(host, monkeypatch):
    """Docker as it runs where nothing listened on containerd's socket when it started."""
    host.main_pid = 812
    host.answer("info", ELSEWHERE)
    monkeypatch.setattr(docker.process, "children", lambda: {812: [900]})
    monkeypatch.setattr(docker.process, "words", lambda pid, _name: OWN if pid == 900 else ("/usr/sbin/dockerd",))


def test_a_docker_that_keeps_its_images_in_its_own_containerd_is_refused(host, monkeypatch):
    private(host, monkeypatch)
    with pytest.raises(Refused, match="keeps its images in a containerd that it started itself") as refusal:
        host.observe()
    assert "docker --host unix:///var/run/docker.sock save " in refusal.value.way_out
    assert "systemctl restart docker" in refusal.value.way_out
    assert not [line for line in host.asked if line.startswith("ctr")]


def test_such_a_docker_does_not_matter_to_a_pool_for_containerd_alone(host, monkeypatch):
    private(host, monkeypatch)
    found = docker.observe_docker(DockerStorage("containerd", host.dropin), states.ARTICLE)
    assert (found.store, found.content.names) == (None, ())
    assert not [line for line in host.asked if line.startswith("ctr")]


def test_a_containerd_that_keeps_dockers_images_and_does_not_answer_is_a_refusal(host):
    host.answer("info", ELSEWHERE)
    host.answer("ctr", "", rc=1, err="ctr: failed to dial")
    with pytest.raises(Refused, match="containerd, which keeps Docker's images, does not answer on .*failed to dial") as refusal:
        host.observe()
    assert "systemctl status containerd" in refusal.value.way_out
