"""docker info, versions and dm.* options, read and judged."""

import contextlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import ALL_RECORDED, recorded

from module_utils.direct_lvm.model import engines
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import DockerInfo
from module_utils.direct_lvm.texts import docker_info, docker_options, units

POOL = "vgdocker-thinpool"
CHUNK = 524288


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
    problems = docker_info.info_problems(info, POOL, CHUNK)
    kind = docker_info.storage_kind(info)
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
    names = {name for name in os.listdir(os.path.join(ALL_RECORDED, "docker")) if name.startswith("info-")}
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
    problems = docker_info.info_problems(info, "/dev/mapper/" + POOL, CHUNK)
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
    assert docker_info.storage_kind(info) == kind


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


# --- versions ------------------------------------------------------------------------------------------------------


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
    docker_options.check_options(options)


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
        docker_options.check_options(options)
    assert words in str(refused.value)
    assert refused.value.way_out


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
    assert isinstance(docker_info.storage_kind(info), str)
    assert all(isinstance(line, str) for line in docker_info.info_problems(info, POOL, CHUNK))
    with contextlib.suppress(Refused):
        engines.version_numbers(info.version)


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
        major, minor = engines.version_numbers(docker_info.parse_version("Docker version " + text))
        assert major >= 0
        assert minor >= 0


@given(st.dictionaries(st.one_of(st.sampled_from(["dm." + name for name in docker_options.DM_OPTIONS]), st.text()), st.text()))
def test_any_options_are_good_or_refused(options):
    try:
        docker_options.check_options(options)
    except Refused:
        return
    text = " ".join("%s=%s" % pair for pair in options.items())
    assert units.split_words(text) == ["%s=%s" % pair for pair in options.items()]


@given(st.integers(min_value=0, max_value=10**30))
def test_human_size_has_four_digits_at_most(size):
    number = docker_info.human_size(size).rstrip("BkMGTPEZY")
    assert abs(float(number)) <= 1000 or docker_info.human_size(size).endswith("YB")
