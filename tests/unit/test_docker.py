"""What Docker says, read and judged; and that it is asked only when it may be asked."""

import contextlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm import commands, daemon, docker, docker_info, docker_options, systemd
from module_utils.direct_lvm.model import (
    MANAGED,
    VENDOR_COMMAND,
    Container,
    Docker,
    DockerInfo,
    DockerStorage,
    Former,
    Image,
    Refused,
)
from module_utils.direct_lvm.steps import WaitForDocker

RECORDED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recorded")
POOL = "vgdocker-thinpool"
CHUNK = 524288


def recorded(*parts):
    with open(os.path.join(RECORDED, *parts), encoding="utf-8") as stream:
        return stream.read()


def info_of(name):
    parse = docker_info.parse_info_json if name.endswith(".json") else docker_info.parse_info_text
    return parse(recorded("docker", name))


# --- docker info -------------------------------------------------------------------------------------------------

INFOS = {  # name: (version, driver, images, containers, root, storage kind, number of problems on POOL)
    "info-1.11.1-direct-lvm.txt": ("1.11.1", "devicemapper", 0, 0, "/var/lib/docker", "direct-lvm", 0),
    "info-1.12.6-loop-lvm.txt": ("1.12.6", "devicemapper", 3, 2, "/var/lib/docker", "loop-lvm", 7),
    "info-20.10.24-direct-lvm.json": ("20.10.24+dfsg1", "devicemapper", 0, 0, "/var/lib/docker", "direct-lvm", 0),
    "info-20.10.24-direct-lvm.txt": ("20.10.24+dfsg1", "devicemapper", 0, 0, "/var/lib/docker", "direct-lvm", 0),
    "info-20.10.24-loop-lvm.json": ("20.10.24+dfsg1", "devicemapper", 0, 0, "/tmp/loop/root", "loop-lvm", 7),
    "info-20.10.24-overlay2.json": ("20.10.24+dfsg1", "overlay2", 0, 0, "/var/lib/docker", "overlay2", 1),
    "info-26.1.5-devmapper-snapshotter.json": (
        "26.1.5+dfsg1", "devmapper", 1, 1, "/var/lib/docker", "devmapper-snapshotter", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(INFOS))
def test_recorded_info(name):
    info, problem = info_of(name)
    problems = docker.info_problems(info, POOL, CHUNK)
    kind = docker.storage_kind(info)
    assert problem == ""
    assert (info.version, info.driver, info.images, info.containers, info.root, kind, len(problems)) == INFOS[name]
    assert all("\n" not in line for line in problems)


def test_text_and_json_of_one_daemon_say_the_same():
    from_json, _problem = info_of("info-20.10.24-direct-lvm.json")
    from_text, _problem = info_of("info-20.10.24-direct-lvm.txt")
    assert from_text._replace(warnings=()) == from_json._replace(warnings=())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("info-20.10.24-no-daemon.json", "Cannot connect to the Docker daemon"),
        ("info-28.2.2-no-daemon.json", "no storage driver"),
    ],
)
def test_recorded_without_a_daemon(name, words):
    info, problem = info_of(name)
    assert info is None
    assert words in problem


def test_every_recorded_file_is_tested():
    names = {name for name in os.listdir(os.path.join(RECORDED, "docker")) if name.startswith("info-")}
    assert {name for name in names if "no-daemon" not in name} == set(INFOS)


def test_the_articles_fields():
    info, _problem = info_of("info-1.11.1-direct-lvm.txt")
    expected = {
        "Pool Name": POOL,
        "Pool Blocksize": "524.3kB",
        "Base Device Size": "10.74GB",
        "Data Space Total": "30.6GB",
        "Data file": "",
        "Library Version": "1.02.107-RHEL7 (2015-12-01)",
    }
    assert {name: info.field(name) for name in expected} == expected
    assert info.warnings == (
        "WARNING: bridge-nf-call-iptables is disabled",
        "WARNING: bridge-nf-call-ip6tables is disabled",
    )
    assert info.field("Logging Driver") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("[]", "is not an object"),
        ("[" * 100000, "is not JSON"),
        ('{"Driver": ""}', "names no storage driver"),
        ('{"Driver": "overlay2"}', "does not count"),
        ('{"Driver": "overlay2", "Images": "3", "Containers": 0}', "does not count"),
        ('{"ServerErrors": ["a", "b"], "Driver": "overlay2"}', "a b"),
    ],
)
def test_json_that_tells_nothing(text, words):
    info, problem = docker_info.parse_info_json(text)
    assert info is None
    assert words in problem


@pytest.mark.parametrize(
    ("text", "errors", "words"),
    [
        ("", "", "names no storage driver"),
        ("", "Cannot connect to the Docker daemon. Is the docker daemon running on this host?", "Cannot connect"),
        ("Storage Driver: overlay2\nImages: many\nContainers: 0", "", "does not count"),
    ],
)
def test_text_that_tells_nothing(text, errors, words):
    info, problem = docker_info.parse_info_text(text, errors)
    assert info is None
    assert words in problem


def made(driver="devicemapper", warnings=(), **status):
    fields = {"Pool_Name": POOL, "Pool_Blocksize": "524.3kB", "Backing_Filesystem": "xfs"}
    fields.update(status)
    pairs = tuple((name.replace("_", " "), value) for name, value in fields.items())
    return DockerInfo("20.10.24", driver, pairs, "/var/lib/docker", 0, 0, warnings)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        pytest.param(made(), [], id="as-wanted"),
        pytest.param(made(Backing_Filesystem="ext4"), [], id="ext4"),
        pytest.param(made(Data_file="", Metadata_file=""), [], id="empty-files-of-old-docker"),
        pytest.param(made(warnings=("WARNING: the devicemapper storage-driver is deprecated",)), [], id="deprecated-only"),
        pytest.param(made(driver="overlay2"), ["Storage Driver is overlay2"], id="other-driver"),
        pytest.param(made(driver=""), ["Storage Driver is not told"], id="no-driver"),
        pytest.param(made(Pool_Name="docker-8:1-pool"), ["Pool Name is docker-8:1-pool, wanted vgdocker-thinpool"], id="pool"),
        pytest.param(made(Pool_Name=""), ["Pool Name is not told"], id="no-pool"),
        pytest.param(made(Pool_Blocksize="65.54kB"), ["Pool Blocksize is 65.54kB, wanted 524.3kB"], id="block-size"),
        pytest.param(made(Backing_Filesystem="extfs"), ["Backing Filesystem is extfs, wanted xfs or ext4"], id="filesystem"),
        pytest.param(made(Data_loop_file="/x/data"), ["Data loop file is /x/data"], id="data-loop-file"),
        pytest.param(made(Metadata_loop_file="/x/meta"), ["Metadata loop file is /x/meta"], id="metadata-loop-file"),
        pytest.param(made(Data_file="/dev/loop0"), ["Data file is /dev/loop0"], id="loop-device"),
        pytest.param(made(warnings=("WARNING: devicemapper: usage of loopback devices is",)), ["loopback"], id="loop-warning"),
    ],
)
def test_info_problems(info, words):
    problems = docker.info_problems(info, "/dev/mapper/" + POOL, CHUNK)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems))


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        (made(), "direct-lvm"),
        (made(Data_file="/dev/sdb1"), "devicemapper"),
        (made(Data_file="/dev/loop0"), "loop-lvm"),
        (made(Metadata_loop_file="/x"), "loop-lvm"),
        (made(driver="vfs"), "vfs"),
        (DockerInfo("28", "overlayfs", (("driver-type", "io.containerd.snapshotter.v1"),), "/", 0, 0), "overlayfs"),
    ],
)
def test_storage_kind(info, kind):
    assert docker.storage_kind(info) == kind


@pytest.mark.parametrize(  # go-units size_test.go, and what real docker info printed
    ("size", "text"),
    [
        (0, "0B"), (1, "1B"), (999, "999B"), (1000, "1kB"), (1024, "1.024kB"), (65536, "65.54kB"), (524288, "524.3kB"),
        (1048576, "1.049MB"), (10737418240, "10.74GB"), (30597447680, "30.6GB"), (318767104, "318.8MB"),
        (999960, "1000kB"),
        (10**15, "1PB"), (10**24, "1YB"), (5 * 10**27, "5000YB"),
    ],
)  # fmt: skip
def test_human_size(size, text):
    assert docker_info.human_size(size) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("524.3 kB", "524.3kB"),
        ("10.74 GB", "10.74GB"),
        ("7.625 GiB", "7.625GiB"),
        ("0 B", "0B"),
        ("/dev/sd a", "/dev/sd a"),
    ],
)
def test_without_blank(value, expected):
    assert docker_info.without_blank(value) == expected


# --- versions and engines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24+dfsg1"),
        ("Docker version 1.11.1, build 5604cbe", "1.11.1"),
        ("Docker version 1.13.1, build 7d71120/1.13.1", "1.13.1"),
        ("Docker version 28.5.2+dfsg4, build 3ef3c07c883be49a2e8097bcf6d2952fce1d70eb", "28.5.2+dfsg4"),
        ("", ""),
        ("panic: oh", ""),
    ],
)
def test_parse_version(text, version):
    assert docker_info.parse_version(text) == version


def test_podman_says_its_name():
    with pytest.raises(Refused, match="podman"):
        docker_info.parse_version("podman version 4.3.1\n")


ENGINES = [  # version, asked, the engine or a word of the refusal
    ("1.11.1", "auto", "devicemapper"),
    ("1.13.1-rhel", "auto", "devicemapper"),
    ("17.03.1-ce", "auto", "devicemapper"),
    ("18.09.1", "devicemapper", "devicemapper"),
    ("20.10.24+dfsg1", "auto", "devicemapper"),
    ("23.0.1", "auto", "docker_storage_engine: devicemapper"),
    ("23.0.1", "devicemapper", "devicemapper"),
    ("v24.0.7", "auto", "docker_storage_engine: devicemapper"),
    ("v24.0.7", "devicemapper", "devicemapper"),
    ("25.0.0-beta.1", "devicemapper", "removed in Docker 25.0"),
    ("26.1.5+dfsg1", "auto", "removed in Docker 25.0"),
    ("28.5.2+dfsg4", "devicemapper", "removed in Docker 25.0"),
    ("20.10.24", "overlay2", "docker_storage_engine is 'overlay2'"),
    ("", "auto", "cannot be told"),
    ("dev", "devicemapper", "cannot be told"),
    ("library-import", "auto", "cannot be told"),
    ("20", "auto", "cannot be told"),
    ("99999999999.1", "auto", "cannot be told"),
]


@pytest.mark.parametrize(("version", "asked", "expected"), ENGINES, ids=["%s-%s" % row[:2] for row in ENGINES])
def test_engine_for(version, asked, expected):
    if expected == "devicemapper":
        assert docker.engine_for(version, asked) == expected
    else:
        with pytest.raises(Refused) as refused:
            docker.engine_for(version, asked)
        assert expected in str(refused.value)


# --- dm.* options ------------------------------------------------------------------------------------------------


def test_the_table_has_upstreams_options():
    assert len(docker_options.DM_OPTIONS) == 23


GOOD = [
    {},
    {"dm.basesize": "20G", "dm.fs": "xfs", "dm.mountopt": "nodiscard,noatime", "dm.mkfsarg": "-K"},
    {"dm.min_free_space": "10%", "dm.xfs_nospace_max_retries": 0, "dm.libdm_log_level": 7},
    {"dm.use_deferred_removal": True, "dm.use_deferred_deletion": "true", "dm.blkdiscard": "0"},
    {"dm.use_deferred_removal": False, "dm.use_deferred_deletion": False, "dm.override_udev_sync_check": "t"},
]


@pytest.mark.parametrize("options", GOOD)
def test_good_options(options):
    docker.check_options(options)


BAD = [
    ({"dm.basize": "20G"}, "did you mean dm.basesize?"),
    ({"basesize": "20G"}, "did you mean dm.basesize?"),
    ({"dm.FS": "xfs"}, "did you mean dm.fs?"),
    ({"overlay2.size": "1G"}, "not an option"),
    ({"": ""}, "not an option"),
    ({3: 4}, "not an option"),
    ({"dm.no_warn_on_loop_devices": "true"}, "Red Hat"),
    ({"dm.thinpooldev": "/dev/mapper/x"}, "the pool decides"),
    ({"dm.datadev": "/dev/sdb"}, "the pool decides"),
    ({"dm.blocksize": "64K"}, "the pool decides"),
    ({"dm.loopdatasize": "1G"}, "loop files"),
    ({"dm.directlvm_device": "/dev/sdb"}, "whole disk"),
    ({"dm.thinp_percent": "95"}, "whole disk"),
    ({"dm.fs": "btrfs"}, "ext4 or xfs"),
    ({"dm.fs": ""}, "ext4 or xfs"),
    ({"dm.basesize": "20GB-"}, "a size such as"),
    ({"dm.use_deferred_removal": "yes"}, "true or false"),
    ({"dm.min_free_space": "10"}, "a percentage"),
    ({"dm.min_free_space": "100%"}, "a percentage"),
    ({"dm.libdm_log_level": "8"}, "2 to 7"),
    ({"dm.mkfsarg": "-O ^has_journal"}, "holds ' '"),
    ({"dm.mkfsarg": "a'b"}, "systemd would split"),
    ({"dm.mountopt": "a%h"}, "systemd would split"),
    ({"dm.mountopt": "$HOME"}, "systemd would split"),
    ({"dm.mountopt": "a\\x20b"}, "systemd would split"),
    ({"dm.mountopt": "a\nb"}, "systemd would split"),
    ({"dm.fs": "xfs\n"}, "systemd would split"),
    ({"dm.use_deferred_removal": "false"}, "use_deferred_deletion is not"),
    ({"dm.use_deferred_removal": "false", "dm.use_deferred_deletion": "true"}, "use_deferred_deletion is not"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=["-".join(str(part) for part in options) for options, _w in BAD])
def test_bad_options(options, words):
    with pytest.raises(Refused) as refused:
        docker.check_options(options)
    assert words in str(refused.value)
    assert refused.value.way_out


# --- asking --------------------------------------------------------------------------------------------------------

DROPIN = "%s\n[Service]\nExecStart=\nExecStart=%s --storage-opt dm.thinpooldev=/dev/mapper/%s\n" % (
    MANAGED,
    VENDOR_COMMAND,
    POOL,
)
STOCK = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS"
NO_FORMAT = "flag provided but not defined: --format\nSee 'docker info --help'."


class Host:
    """A host in a folder: systemctl's answer, and answers to commands by their first distinctive word."""

    def __init__(self, root):
        self.root, self.asked, self.active, self.load, self.answers = root, [], "active", "loaded", {}
        self.fragment = self.write("lib/docker.service", recorded("units", "debian-12-docker.io-20.10.24", "docker.service"))
        self.dropin = str(root / "etc/docker.service.d/direct-lvm.conf")
        self.answer("info", recorded("docker", "info-20.10.24-direct-lvm.json"))
        self.answer("--version", "Docker version 20.10.24+dfsg1, build 5d6db84\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def answer(self, word, out, rc=0, err=""):
        self.answers[word] = (rc, out, err)

    def run(self, argv, timeout=60, ok=(0,)):
        self.asked.append(" ".join(argv))
        if argv[0] == "systemctl":
            dropin = self.dropin if os.path.exists(self.dropin) else ""
            fragment = self.fragment if self.load == "loaded" else ""
            out = "Id=docker.service\nLoadState=%s\nActiveState=%s\n" % (self.load, self.active)
            out += "FragmentPath=%s\nDropInPaths=%s\nNeedDaemonReload=no\n\n" % (fragment, dropin)
            return commands.Result(tuple(argv), 0, out + "Id=docker.socket\nLoadState=%s\n" % self.load, "")
        word = next((one for one in self.answers if one in argv and (one != "info" or "--format" in argv)), None)
        rc, out, err = self.answers.get(word or "plain info", (0, "", ""))
        if ok is not None and rc not in ok:
            raise commands.CommandFailed(argv, "failed with return code %d" % rc, err)
        return commands.Result(tuple(argv), rc, out, err)

    def observe(self, text=DROPIN):
        return docker.observe_docker(DockerStorage("auto", self.dropin, text))


@pytest.fixture
def host(tmp_path, monkeypatch):
    one = Host(tmp_path)
    monkeypatch.setattr(commands, "run", one.run)
    monkeypatch.setattr(commands, "find", lambda name: name)
    monkeypatch.setattr(systemd, "RUNNING", str(tmp_path))
    monkeypatch.setattr(docker.docker_conflicts, "DAEMON_JSON", str(tmp_path / "daemon.json"))
    monkeypatch.setattr(docker.docker_conflicts, "DATA_ROOT", str(tmp_path / "docker"))
    monkeypatch.setattr(docker.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(docker, "BOOT_TIMEOUT", 0.05)
    monkeypatch.setattr(docker, "has_driver", lambda path: True)
    monkeypatch.setattr(docker.switch_record, "PATH", str(tmp_path / "switch.json"))
    return one


def test_all_as_wanted_costs_two_processes(host):
    host.write("etc/docker.service.d/direct-lvm.conf", DROPIN.replace(VENDOR_COMMAND, STOCK))
    found = host.observe()
    assert len(host.asked) == 2
    assert host.asked[1].startswith("docker --host unix:///var/run/docker.sock info")
    assert (found.version, found.conflicts, found.problem) == ("20.10.24+dfsg1", (), "")
    assert docker.info_problems(found.info, POOL, CHUNK) == []
    assert found.unit.command == STOCK


@pytest.mark.parametrize("state", ["inactive", "failed", "activating", "deactivating", "reloading"])
def test_a_daemon_that_is_not_active_is_never_asked(host, state):
    host.active = state
    found = host.observe()
    assert [line for line in host.asked if not line.startswith("systemctl")] == ["/usr/sbin/dockerd --version"]
    assert (found.info, found.version, found.problem) == (None, "20.10.24+dfsg1", "docker.service is " + state)


def test_before_a_switch_the_installed_program_is_asked_and_the_content(host):
    text = recorded("docker", "info-20.10.24-direct-lvm.json").replace(POOL, "other-pool")
    host.answer("info", text.replace('"Images":0', '"Images":1').replace('"Containers":0', '"Containers":1'))
    host.answer("--version", "Docker version 26.1.5, build 1\n")
    image = "sha256:" + "1" * 64
    host.answer("images", image + "\n")
    host.answer("inspect", json.dumps([{"Id": image, "RepoTags": ["busybox:latest"], "Size": 4000000}]))
    host.answer("ps", "abc\tc1\tbusybox\tUp 2 days\n")
    host.answer("volume", "v1\nv2\n")
    found = host.observe()
    assert found.version == "26.1.5"
    assert found.info.version == "20.10.24+dfsg1"
    assert found.images == (Image(image, ("busybox:latest",), 4000000),)
    assert found.containers == (Container("abc", "c1", "busybox", "Up 2 days", True),)
    assert found.archived == ()
    assert found.volumes == ("v1", "v2")


def test_the_daemons_version_counts_when_the_unit_starts_the_client(host):
    host.write("lib/docker.service", recorded("units", "docker-engine-1.11-centos-7", "docker.service"))
    host.active = "inactive"
    host.observe()
    assert host.asked[-1] == "dockerd --version"


def test_an_empty_docker_is_asked_for_volumes_only(host):
    host.answer("info", recorded("docker", "info-20.10.24-overlay2.json"))
    host.observe()
    assert [line.split(" ", 3)[3] for line in host.asked if line.startswith("docker")][1:] == ["volume ls --quiet"]


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
            raise commands.CommandFailed(argv, "did not finish within %d s and was stopped" % timeout)
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


def test_nothing_wanted_still_reports(host):
    host.write("etc/docker.service.d/direct-lvm.conf", DROPIN.replace(VENDOR_COMMAND, STOCK))
    found = docker.observe_docker(DockerStorage("auto", "", ""))
    assert found.info.driver == "devicemapper"
    assert found.conflicts == ()
    assert found.dropin_text is None


def test_a_daemon_built_without_the_driver_is_told(tmp_path):
    for name, text in (("with", b"\x7fELF...dm.thinpooldev..."), ("without", b"\x7fELF...overlay2...")):
        (tmp_path / name).write_bytes(text)
        assert docker.has_driver(str(tmp_path / name)) == (name == "with")


def test_the_transaction_of_dockers_metadata(tmp_path):
    assert docker.open_transaction(str(tmp_path), ()) is None
    for folder, text in (("devicemapper", '{"open_transaction_id":7,"device_hash":""}'), ("devicemapper.direct-lvm", "[]")):
        (tmp_path / folder / "metadata").mkdir(parents=True)
        (tmp_path / folder / "metadata" / "transaction-metadata").write_text(text)
    assert docker.open_transaction(str(tmp_path), ("devicemapper",)) == 7
    assert docker.open_transaction(str(tmp_path), ("devicemapper", "devicemapper.direct-lvm")) is None


def test_what_the_former_storage_left(tmp_path):
    for driver in ("overlay2", "devicemapper"):
        (tmp_path / driver).mkdir()
        (tmp_path / "image" / driver).mkdir(parents=True)
        (tmp_path / "containers" / driver).mkdir(parents=True)
        (tmp_path / "containers" / driver / "config.v2.json").write_text('{"Driver":"%s"}' % driver)
    (tmp_path / "overlay2" / "layer").write_bytes(b"x" * 10000)
    found = Docker("20.10", root=str(tmp_path), former=Former("done", "overlay2"))
    left = dict(docker.leftovers(found, DockerStorage("auto", "", "")))
    assert set(left) == {str(tmp_path / name) for name in ("overlay2", "image/overlay2", "containers/overlay2")}
    assert left[str(tmp_path / "overlay2")] >= 10000
    (tmp_path / "devicemapper.before-direct-lvm").mkdir()
    left = dict(docker.leftovers(found._replace(former=Former("done", "devicemapper")), DockerStorage("auto", "", "")))
    assert set(left) == {str(tmp_path / "devicemapper.before-direct-lvm")}


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
    assert docker.root_state(str(tmp_path)) == ("overlay2", "volumes")
    (tmp_path / "image/overlay2/imagedb/content/sha256/abc").write_text("")
    (tmp_path / "containers/abc").mkdir()
    (tmp_path / "devicemapper/metadata").mkdir()
    assert docker.root_state(str(tmp_path)) == ("devicemapper", "overlay2", "image/overlay2", "containers", "volumes")
    (tmp_path / "devicemapper/devicemapper").mkdir()
    (tmp_path / "devicemapper/devicemapper/data").write_text("")
    (tmp_path / "containers.before-direct-lvm").mkdir()
    assert {"devicemapper/loop", "containers.before-direct-lvm"} <= set(docker.root_state(str(tmp_path)))
    assert docker.root_state(str(tmp_path / "none")) == ()


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


# --- arbitrary answers -----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)
FIELDS = st.sampled_from(["Driver", "DriverStatus", "Images", "Containers", "Warnings", "ServerErrors", "DockerRootDir"])


def judge(info, problem):
    if info is None:
        assert problem
        return
    assert isinstance(docker.storage_kind(info), str)
    assert all(isinstance(line, str) for line in docker.info_problems(info, POOL, CHUNK))
    for asked in ("auto", "devicemapper"):
        with contextlib.suppress(Refused):
            docker.engine_for(info.version, asked)


@given(st.one_of(st.text(), JSON.map(json.dumps), st.dictionaries(FIELDS, JSON).map(json.dumps)))
def test_any_json_is_read_or_a_problem(text):
    judge(*docker_info.parse_info_json(text))


LINES = st.lists(
    st.one_of(
        st.sampled_from(["Storage Driver: x", " Pool Name: y", "Images: 3", "Containers: 0", " WARNING: z", "Images: \u00b2"]),
        st.text(),
    )
)


@given(LINES.map("\n".join), st.text())
def test_any_text_is_read_or_a_problem(text, errors):
    judge(*docker_info.parse_info_text(text, errors))


@given(st.one_of(st.text(), st.text(alphabet="029.v+\u0662")))
def test_any_version_is_told_or_refused(text):
    with contextlib.suppress(Refused):
        assert docker.engine_for(docker_info.parse_version("Docker version " + text), "devicemapper") == "devicemapper"


def test_docker_that_systemd_says_nothing_about_is_waited_for_to_the_end(monkeypatch):
    monkeypatch.setattr(commands, "run", lambda argv: commands.Result(argv, 0, "", ""))
    monkeypatch.setattr(daemon.time, "sleep", lambda seconds: None)
    with pytest.raises(commands.CommandFailed, match="gave no working daemon within 0 s"):
        daemon.wait(WaitForDocker("unix:///x", "", 0.01))


@given(st.dictionaries(st.one_of(st.sampled_from(["dm." + name for name in docker_options.DM_OPTIONS]), st.text()), st.text()))
def test_any_options_are_good_or_refused(options):
    try:
        docker.check_options(options)
    except Refused:
        return
    text = " ".join("%s=%s" % pair for pair in options.items())
    assert systemd.split_words(text) == ["%s=%s" % pair for pair in options.items()]


@given(st.integers(min_value=0, max_value=10**30))
def test_human_size_has_four_digits_at_most(size):
    number = docker_info.human_size(size).rstrip("BkMGTPEZY")
    assert abs(float(number)) <= 1000 or docker_info.human_size(size).endswith("YB")
