"""Each place where somebody else sets Docker's storage: one row, and the words that its sentence must have."""

import json
import os

import pytest
from docker_settings import DEFAULT, FOLDER, JSON, MINE, OURS, VENDOR, dropin, unit
from hypothesis import given
from hypothesis import strategies as st
from states import ALL_RECORDED, recorded

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Unit
from module_utils.direct_lvm.texts import docker_conflicts as conflicts
from module_utils.direct_lvm.texts import units

UNITS = os.path.join(ALL_RECORDED, "units")


ARTICLE = recorded("units", "dropins", "article.conf")
SH = "docker-1.10-centos-7"
STORAGE = "docker-1.13-centos-7"
RED_HAT = {
    "/etc/sysconfig/docker": recorded("units", STORAGE, "sysconfig-docker"),
    "/etc/sysconfig/docker-storage": recorded("units", STORAGE, "sysconfig-docker-storage"),
    "/etc/sysconfig/docker-network": recorded("units", STORAGE, "sysconfig-docker-network"),
}

# situation: (unit, daemon.json, environment files, version) -> one tuple of words per sentence
SITUATIONS = {
    "stock-debian": (
        (unit(), None, {DEFAULT: recorded("units", "debian-12-docker.io-20.10.24", "default-docker")}, "20.10.24"),
        [],
    ),
    "stock-docker-ce-18.09": ((unit("docker-ce-18.09"), None, {}, "18.09.9"), []),
    "stock-docker-ce-20.10": ((unit("docker-ce-20.10"), None, {}, "20.10.24"), []),
    "stock-docker-ce-24": ((unit("docker-ce-24.0"), None, {}, "24.0.7"), []),
    "stock-docker-engine-1.11": ((unit("docker-engine-1.11-centos-7"), None, {}, "1.11.1"), []),
    "stock-docker-engine-1.12-no-socket": ((unit("docker-engine-1.12-centos-7", socket=False), None, {}, "1.12.6"), []),
    "stock-moby-engine": (
        (
            unit("moby-engine-24-fedora"),
            None,
            {"/etc/sysconfig/docker": recorded("units", "moby-engine-24-fedora", "sysconfig-docker")},
            "24.0.5",
        ),
        [],
    ),  # fmt: skip
    "ours-in-place": ((unit(dropins=[MINE]), "{}", {}, "20.10.24"), []),
    "ours-in-place-and-a-proxy": (
        (unit(dropins=[dropin("proxy.conf", "Environment=HTTP_PROXY=x"), MINE]), None, {}, "20.10.24"),
        [],
    ),
    "harmless-daemon-json": ((unit(), '{"log-driver": "journald", "data-root": "/srv/docker"}', {}, "20.10.24"), []),
    "driver-in-daemon-json": (
        (unit(), '{"storage-driver": "overlay2"}', {}, "20.10.24"),
        [(JSON, "`storage-driver`", OURS, "cp -a %s %s.before-direct-lvm && python3 -c" % (JSON, JSON))],
    ),
    "driver-and-options-in-daemon-json": (
        (
            unit(),
            '{"storage-driver": "devicemapper", "storage-opts": ["dm.thinpooldev=/dev/mapper/x"]}',
            {},
            "20.10.24",
        ),
        [(JSON, "`storage-driver` and `storage-opts`", OURS)],
    ),
    "image-store-in-daemon-json": (
        (unit(), '{"features": {"containerd-snapshotter": true}}', {}, "24.0.7"),
        [(JSON, "containerd-snapshotter", OURS)],
    ),
    "daemon-json-is-broken": (
        (unit(), '{"a": 1,}', {}, "20.10.24"),
        [(JSON, "not valid JSON", "python3 -m json.tool")],
    ),
    "daemon-json-is-a-list": ((unit(), "[]", {}, "20.10.24"), [(JSON, "not an object")]),
    "daemon-json-is-empty-before-23": ((unit(), " \n", {}, "20.10.24"), [(JSON, "is empty", "echo '{}' >")]),
    "daemon-json-is-empty-since-23": ((unit(), "", {}, "24.0.7"), []),
    "daemon-json-with-something-behind-it": ((unit(), "{} trailing", {}, "20.10.24"), []),
    "daemon-json-with-something-behind-it-since-23": ((unit(), "{} x", {}, "24.0.7"), [(JSON, "something follows")]),
    "daemon-json-with-a-byte-order-mark": ((unit(), "\ufeff{}", {}, "20.10.24"), [(JSON, "not valid JSON")]),
    "daemon-json-with-a-byte-order-mark-since-23": ((unit(), "\ufeff{}", {}, "24.0.7"), []),
    "daemon-json-with-nan": ((unit(), '{"mtu": NaN}', {}, "20.10.24"), [(JSON, "NaN is not a JSON number")]),
    "daemon-json-is-null": ((unit(), "null", {}, "20.10.24"), []),
    "daemon-json-is-nested-too-deeply": ((unit(), "[" * 100000, {}, "20.10.24"), [(JSON, "nested too deeply")]),
    "storage-opt-in-the-singular-is-ignored-by-docker": ((unit(), '{"storage-opt": ["a=b"]}', {}, "20.10.24"), []),
    "driver-null-in-daemon-json": ((unit(), '{"storage-driver": null}', {}, "20.10.24"), [(JSON, "`storage-driver`")]),
    "debug-as-flag-and-in-daemon-json": (
        (unit(), '{"debug": true, "log-level": "info"}', {DEFAULT: "DOCKER_OPTS='-D -lwarn'"}, "20.10.24"),
        [(JSON, "`debug`", "flag --debug"), (JSON, "`log-level`", "flag --log-level")],
    ),
    "hosts-as-flag-and-in-daemon-json": (
        (unit(), '{"hosts": ["tcp://0.0.0.0:2375"]}', {}, "20.10.24"),
        [(JSON, "`hosts`", VENDOR, "--host")],
    ),
    "log-driver-as-flag-and-in-daemon-json": (
        (unit(), '{"log-driver": "json-file"}', {DEFAULT: "DOCKER_OPTS=--log-driver=journald"}, "20.10.24"),
        [(JSON, "`log-driver`", "DOCKER_OPTS in " + DEFAULT)],
    ),
    "runtimes-may-be-in-both": (
        (unit("docker-1.13-centos-7", socket=False), '{"runtimes": {}}', {}, "1.13.1"),
        [],
    ),
    "driver-in-etc-default": (
        (unit(), None, {DEFAULT: "DOCKER_OPTS='-s overlay2'"}, "20.10.24"),
        [("DOCKER_OPTS in " + DEFAULT, "--storage-driver overlay2", OURS, "Take it out of", "daemon-reload")],
    ),
    "driver-in-a-variable-that-is-not-used": ((unit(), None, {DEFAULT: "OPTIONS='-s overlay2'"}, "20.10.24"), []),
    "driver-in-etc-default-that-the-unit-does-not-read": (
        (unit("docker-ce-20.10"), None, {DEFAULT: "DOCKER_OPTS=-saufs"}, "20"),
        [],
    ),
    "docker-storage-of-red-hat": (
        (unit(STORAGE, socket=False), None, RED_HAT, "1.13.1"),
        [
            (
                "DOCKER_STORAGE_OPTIONS in /etc/sysconfig/docker-storage",
                "--storage-driver devicemapper, --storage-opt dm.fs=xfs",
                "--storage-opt dm.thinpooldev=/dev/mapper/docker--vg-docker--pool",
                "--storage-opt dm.use_deferred_deletion=true, and " + OURS,
                "systemctl mask docker-storage-setup.service",
            )
        ],
    ),
    "driver-in-docker-network": (
        (
            unit("moby-engine-24-fedora"),
            None,
            {"/etc/sysconfig/docker-network": "DOCKER_NETWORK_OPTIONS=-s=zfs"},
            "24.0.5",
        ),
        [("DOCKER_NETWORK_OPTIONS in /etc/sysconfig/docker-network", "--storage-driver zfs")],
    ),
    "driver-in-an-environment-line": (
        (unit(dropins=[dropin("a.conf", 'Environment="DOCKER_OPTS=--storage-opt=size=20G -D"')]), None, {}, "20.10.24"),
        [("Environment=DOCKER_OPTS in " + FOLDER + "a.conf", "--storage-opt size=20G", OURS)],
    ),
    "driver-in-an-earlier-dropin": (
        (
            unit(dropins=[dropin("a.conf", "ExecStart=", "ExecStart=/usr/sbin/dockerd -H fd:// -Ds btrfs")]),
            None,
            {},
            "20.10.24",
        ),
        [
            (
                FOLDER + "a.conf",
                "--storage-driver btrfs",
                OURS,
                "mv %sa.conf %sa.conf.before-direct-lvm" % (FOLDER, FOLDER),
            )
        ],
    ),
    "driver-in-the-vendors-unit": (
        (
            Unit(
                "loaded",
                "inactive",
                False,
                ((VENDOR, "[Service]\nExecStart=/d --storage-driver\n"),),
                "/d --storage-driver",
                True,
                True,
            ),
            None,
            {},
            "20.10.24",
        ),
        [(VENDOR, "--storage-driver ", OURS, "systemctl edit --full docker.service")],
    ),  # fmt: skip
    "exec-start-in-a-later-dropin": (
        (
            unit(dropins=[dropin("override.conf", "ExecStart=", "ExecStart=/usr/sbin/dockerd -H fd://"), MINE]),
            None,
            {},
            "20.10.24",
        ),
        [
            (
                FOLDER + "override.conf",
                "is read after " + OURS,
                "mv %soverride.conf %s00-override.conf" % (FOLDER, FOLDER),
            )
        ],
    ),
    "somebody-elses-file-at-our-path": (
        (unit(dropins=[dropin("daemon.conf", "Environment=HTTP_PROXY=x")]), None, {}, "20.10.24"),
        [(OURS, "somebody else's", "mv %s %s.before-direct-lvm && systemctl daemon-reload" % (OURS, OURS))],
    ),
    "the-articles-dropin-at-our-path": (
        (unit(dropins=[(OURS, ARTICLE)]), None, {}, "20.10.24"),
        [(OURS, "somebody else's", "docker daemon -H fd://", "hang for ever", "mv " + OURS)],
    ),
    "the-articles-dropin-elsewhere": (
        (unit(dropins=[(FOLDER + "article.conf", ARTICLE)]), None, {}, "20.10.24"),
        [
            (
                FOLDER + "article.conf",
                "`/usr/bin/docker daemon`",
                "Docker 20.10.24",
                "hangs for ever",
                "mv " + FOLDER + "article.conf",
            ),
            (
                FOLDER + "article.conf",
                "--storage-driver devicemapper, --storage-opt dm.thinpooldev=/dev/mapper/vgdocker-thinpool",
                "--storage-opt dm.use_deferred_removal=true, and " + OURS,
            ),
        ],
    ),
    "docker-daemon-in-the-vendors-unit-of-a-newer-docker": (
        (unit("docker-engine-1.11-centos-7"), None, {}, "18.09.1"),
        [(VENDOR, "`/usr/bin/docker daemon`", "reinstall the package")],
    ),
    "docker-daemon-in-an-administrators-unit": (
        (unit("docker-engine-1.11-centos-7", fragment="/etc/systemd/system/docker.service"), None, {}, "18.09.1"),
        [("/etc/systemd/system/docker.service", "`/usr/bin/docker daemon`", "mv /etc/systemd/system/docker.service")],
    ),
    "docker-daemon-and-the-version-is-not-known": (
        (unit("docker-engine-1.11-centos-7"), None, {}, ""),
        [(VENDOR, "17.12 and newer")],
    ),  # fmt: skip
    "docker-daemon-until-17.11": ((unit("docker-engine-1.11-centos-7"), None, {}, "17.11.0-ce"), []),
    "red-hats-shell": (
        (unit(SH, socket=False), None, {}, "1.10.3"),
        [(VENDOR, "through `/bin/sh`", OURS, "/usr/bin/docker-current daemon")],
    ),
    "socket-activation-without-a-socket": (
        (unit("docker-ce-20.10", socket=False), None, {}, "20.10.24"),
        [(VENDOR, "no docker.socket", "reinstall the package")],
    ),
    "socket-activation-without-a-socket-in-a-dropin": (
        (
            unit(
                "docker-engine-1.12-centos-7",
                [dropin("a.conf", "ExecStart=", "ExecStart=/usr/bin/dockerd --host=fd://")],
                socket=False,
            ),
            None,
            {},
            "1.12.6",
        ),
        [(FOLDER + "a.conf", "no docker.socket", "unix:///var/run/docker.sock instead of fd://")],
    ),  # fmt: skip
    "socket-is-masked": (
        (unit("docker-ce-20.10", socket=False, state="active")._replace(socket_masked=True), None, {}, "20.10.24"),
        [("docker.socket is masked", VENDOR, "systemctl unmask docker.socket")],
    ),
    "socket-activation-that-works-all-the-same": (
        (unit("docker-ce-20.10", socket=False, state="active"), None, {}, "20.10.24"),
        [],
    ),
    "masked": ((unit(load="masked"), "broken", {}, "20.10.24"), [("systemctl unmask docker.service",)]),
    "no-unit": ((unit(load="not-found"), None, {}, "20.10.24"), [("There is no docker.service", "snap")]),
    "unit-in-error": ((unit(load="bad-setting"), None, {}, "20.10.24"), [("bad-setting", "systemctl status")]),
    "no-exec-start": (
        (Unit("loaded", "inactive", False, ((VENDOR, "[Service]\n"),)), None, {}, "20.10.24"),
        [("no ExecStart",)],
    ),
}


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_situation(situation):
    (found, daemon_json, env_files, version), expected = SITUATIONS[situation]
    sentences = conflicts.find_conflicts(found, daemon_json, env_files, OURS, version)
    assert len(sentences) == len(expected), "\n".join(sentences)
    for sentence, words in zip(sentences, expected):
        assert [word for word in words if word not in sentence] == [], sentence


def test_every_recorded_unit_has_a_situation():
    tested = {row[0][0].command for row in SITUATIONS.values()}
    for name in os.listdir(UNITS):
        if os.path.isdir(os.path.join(UNITS, name)) and name != "dropins":
            assert units.exec_start(((VENDOR, recorded("units", name, "docker.service")),), OURS)[1] in tested, name


def test_the_command_for_daemon_json_does_what_it_says(tmp_path):
    path = tmp_path / "daemon json"
    path.write_text('{"storage-driver": "overlay2", "storage-opts": [], "debug": true}')
    found = conflicts.json_problems(path.read_text(), [], OURS, "20.10.24", str(path))
    assert os.system(found[0].split("next started: ")[1]) == 0
    assert json.loads(path.read_text()) == {"debug": True}
    assert "overlay2" in (tmp_path / "daemon json.before-direct-lvm").read_text()


@pytest.mark.parametrize(
    ("options", "daemon_json", "expected"),
    [
        ("", None, "/var/lib/docker"),
        ("--data-root=/srv/a", None, "/srv/a"),
        ("--data-root /srv/a", None, "/srv/a"),
        ("--graph /srv/a", None, "/srv/a"),
        ("-g /srv/a", None, "/srv/a"),
        ("-g=/srv/a", None, "/srv/a"),
        ("-g/srv/a", None, "/srv/a"),
        ("-g", None, "/var/lib/docker"),
        ("-g relative", None, "/var/lib/docker"),
        ("", '{"data-root": "/srv/b"}', "/srv/b"),
        ("", '{"graph": "/srv/b"}', "/srv/b"),
        ("", '{"graph": "/srv/b", "data-root": "/srv/c"}', "/srv/c"),
        ("", '{"data-root": 3}', "/var/lib/docker"),
        ("", "broken", "/var/lib/docker"),
        ("-g /srv/a", '{"data-root": "/srv/b"}', "/srv/a"),
    ],
)
def test_data_root(options, daemon_json, expected):
    assert conflicts.data_root(unit(), daemon_json, {DEFAULT: "DOCKER_OPTS='%s'" % options}, OURS) == expected


@pytest.mark.parametrize(
    ("options", "daemon_json", "expected"),
    [
        ("", None, "unix:///var/run/docker.sock"),
        ("-H unix:///run/a.sock", None, "unix:///run/a.sock"),
        ("--host=tcp://0.0.0.0:2375 -H=unix:///run/a.sock", None, "unix:///run/a.sock"),
        ("-H tcp://0.0.0.0:2375", None, "unix:///var/run/docker.sock"),
        ("-H fd:// -H unix:///run/a.sock", None, "unix:///var/run/docker.sock"),
        ("", '{"hosts": ["tcp://x", "unix:///run/b.sock", 3]}', "unix:///run/b.sock"),
        ("", '{"hosts": "x"}', "unix:///var/run/docker.sock"),
    ],
)
def test_client_host(options, daemon_json, expected):
    found = unit("moby-engine-24-fedora", [dropin("a.conf", "ExecStart=", "ExecStart=/usr/bin/dockerd $OPTIONS")])
    assert conflicts.client_host(found, daemon_json, {"/x": "OPTIONS='%s'" % options}, OURS) == expected


def test_with_daemon_json_the_same_keys_there_are_ours_and_flags_are_not():
    text = '{"storage-driver": "overlay2", "storage-opts": []}'
    assert conflicts.find_conflicts(unit(), text, {}, OURS, "20.10.24", "daemon_json") == ()
    found = conflicts.find_conflicts(unit(), text, {DEFAULT: "DOCKER_OPTS='-s overlay2'"}, OURS, "20.10.24", "daemon_json")
    assert [DEFAULT in sentence and JSON in sentence for sentence in found] == [True]


def test_config_files():
    assert conflicts.config_files(unit())[1] == JSON
    assert conflicts.config_files(unit(), {DEFAULT: "DOCKER_OPTS=--config-file=/etc/d.json"})[1] == "/etc/d.json"
    found = conflicts.find_conflicts(unit(), "broken", {DEFAULT: "DOCKER_OPTS=--config-file=/etc/d.json"}, OURS, "20.10.24")
    assert found[0].startswith("/etc/d.json is not valid JSON")


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["[Service]", "ExecStart=", "ExecStart=/d $A -s x", "ExecStart=/bin/sh -c 'docker -s'", "Environment=A=-g"]
        ),
        st.text(),
    )
).map("\n".join)


KEYS = st.sampled_from(["hosts", "storage-opts", "storage-driver", "features", "graph", "data-root", "debug", ""])
ANSWERS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=4,
)


@given(
    LINES,
    LINES,
    st.one_of(st.none(), st.text(), st.dictionaries(KEYS, ANSWERS).map(json.dumps), ANSWERS.map(json.dumps)),
    st.text(),
    st.one_of(st.text(max_size=8), st.just("9" * 5000 + ".1"), st.sampled_from(["1.11.1", "20.10.24", "24.0.7"])),
    st.sampled_from(["dropin", "daemon_json", "image_store"]),
)
def test_anything_is_judged_in_sentences(vendor, other, daemon_json, environment, version, config):
    files = ((VENDOR, vendor), (FOLDER + "x.conf", other), (OURS, other))
    try:
        command = units.exec_start(files, OURS)[1]
    except Refused:
        return
    found = Unit("loaded", "inactive", False, files, command)
    sentences = conflicts.find_conflicts(found, daemon_json, {"/e": environment}, OURS, version, config)
    assert all(isinstance(one, str) and one for one in sentences)
    assert conflicts.data_root(found, daemon_json, {"/e": environment}, OURS).startswith("/")
    assert conflicts.client_host(found, daemon_json, {"/e": environment}, OURS).startswith("unix:///")
