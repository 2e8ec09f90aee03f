"""Units read as systemd reads them: recorded units, the rules of the manual pages, and arbitrary text."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import ALL_RECORDED, recorded

from module_utils.direct_lvm.facts import systemd
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.texts import units

UNITS = os.path.join(ALL_RECORDED, "units")
OURS = "/etc/systemd/system/docker.service.d/direct-lvm.conf"
FRAGMENT = "/usr/lib/systemd/system/docker.service"
OVERRIDE = "/etc/systemd/system/docker.service.d/override.conf"


CONTAINERD = "--containerd=/run/containerd/containerd.sock"
RED_HAT = "$OPTIONS $DOCKER_STORAGE_OPTIONS $DOCKER_NETWORK_OPTIONS"
COMMANDS = {
    "debian-11-docker.io-20.10.5": "/usr/sbin/dockerd -H fd:// %s $DOCKER_OPTS" % CONTAINERD,
    "debian-12-docker.io-20.10.24": "/usr/sbin/dockerd -H fd:// %s $DOCKER_OPTS" % CONTAINERD,
    "debian-13-docker.io-26.1.5": "/usr/sbin/dockerd -H fd:// %s $DOCKER_OPTS" % CONTAINERD,
    "docker-ce-18.09": "/usr/bin/dockerd -H fd:// " + CONTAINERD,
    "docker-ce-20.10": "/usr/bin/dockerd -H fd:// " + CONTAINERD,
    "docker-ce-24.0": "/usr/bin/dockerd -H fd:// " + CONTAINERD,
    "docker-engine-1.11-centos-7": "/usr/bin/docker daemon -H fd://",
    "docker-engine-1.12-centos-7": "/usr/bin/dockerd",
    "docker-1.10-centos-7": "/bin/sh -c '/usr/bin/docker-current daemon --exec-opt native.cgroupdriver=systemd "
    "%s $ADD_REGISTRY $BLOCK_REGISTRY $INSECURE_REGISTRY 2>&1 | /usr/bin/forward-journald -tag docker'" % RED_HAT,
    "docker-1.13-centos-7": " ".join(
        [
            "/usr/bin/dockerd-current",
            "--add-runtime docker-runc=/usr/libexec/docker/docker-runc-current",
            "--default-runtime=docker-runc",
            "--exec-opt native.cgroupdriver=systemd",
            "--userland-proxy-path=/usr/libexec/docker/docker-proxy-current",
            "--init-path=/usr/libexec/docker/docker-init-current",
            "--seccomp-profile=/etc/docker/seccomp.json",
            RED_HAT,
            "$ADD_REGISTRY $BLOCK_REGISTRY $INSECURE_REGISTRY $REGISTRIES",
        ]
    ),
    "moby-engine-24-fedora": "/usr/bin/dockerd --host=fd:// --exec-opt native.cgroupdriver=systemd %s $INSECURE_REGISTRY" % RED_HAT,
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_of_each_recorded_unit(name):
    command = units.exec_start(((FRAGMENT, recorded("units", name, "docker.service")),), OURS)[1]
    assert " ".join(command.split()) == COMMANDS[name]


def test_every_recorded_unit_is_tested():
    assert {name for name in os.listdir(UNITS) if os.path.isdir(os.path.join(UNITS, name))} == set(COMMANDS) | {"dropins"}


def service(*lines):
    return "[Service]\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(service("ExecStart=/a b"), "/a b", id="plain"),
        pytest.param(service("ExecStart = /a b  "), "/a b", id="blanks-around"),
        pytest.param(service("ExecStart=/a \\", "  b \\", " c"), "/a  b  c", id="continuation"),
        pytest.param(service("ExecStart=/a \\", "# no \\", "; no", "  b"), "/a  b", id="comment-in-continuation"),
        pytest.param(service("ExecStart=/a \\", "", "ExecStartPre=/b"), "/a", id="empty-line-ends-continuation"),
        pytest.param(service("ExecStart=/a \\\\", "ExecStop=b"), "/a \\\\", id="two-backslashes-do-not-continue"),
        pytest.param("[Service]\nExecStart=/a \\", "/a", id="continuation-at-the-end-of-the-file"),
        pytest.param(service("ExecStart=/a", "ExecStart=", "ExecStart=/b"), "/b", id="reset"),
        pytest.param(service("ExecStart=/a", "ExecStart="), "", id="reset-to-nothing"),
        pytest.param(service("#ExecStart=/a", " ; ExecStart=/b"), "", id="comments-only"),
        pytest.param("ExecStart=/a\n[Unit]\nExecStart=/b\n[X-Service]\nExecStart=/c\n", "", id="other-sections"),
        pytest.param("[Service]\nfoo\nExecStart=-@/a b\n", "-@/a b", id="prefixes-stay-as-written"),
        pytest.param("\ufeff[Service]\r\nExecStart=/a\r\n", "/a", id="byte-order-mark-and-crlf"),
        pytest.param("", "", id="empty-file"),
    ],
)
def test_command_line(text, expected):
    assert units.exec_start(((FRAGMENT, text),), OURS)[1] == expected


def test_dropins_and_ours():
    files = (
        (FRAGMENT, service("ExecStart=/vendor")),
        (OVERRIDE, service("ExecStart=", "ExecStart=/theirs")),
        (OURS, service("ExecStart=", "ExecStart=/theirs --storage-driver=devicemapper")),
    )
    assert units.exec_start(files, OURS)[1] == "/theirs"
    assert units.exec_start(files, OURS) == (OVERRIDE, "/theirs")
    assert units.exec_start(files, OURS.replace("/system/", "/./system/"))[1] == "/theirs"
    assert units.exec_start(files, "")[1].endswith("devicemapper")


def test_more_than_one_exec_start_is_refused_with_both_places():
    files = ((FRAGMENT, service("ExecStart=/vendor")), (OVERRIDE, service("ExecStart=/theirs")))
    with pytest.raises(Refused) as refused:
        units.exec_start(files, OURS)
    assert FRAGMENT in str(refused.value)
    assert OVERRIDE in str(refused.value)
    assert "`ExecStart=`" in refused.value.way_out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", ["a", "b"]),
        ("  a\t b\n", ["a", "b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("x'a b'y", ["xa by"]),
        ("''", [""]),
        ('"it\'s"', ["it's"]),
        (r"a\x20b \101 \s\t", ["a b", "A", " \t"]),
        (r"a\qb", [r"a\qb"]),
        ("'open end", ["open end"]),
        ("end\\", ["end\\"]),
        ("", []),
    ],
)
def test_split_words(text, words):
    assert units.split_words(text) == words


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("/d $OPTIONS x", ["/d", "-s", "overlay 2", "x"], id="own-word-becomes-many"),
        pytest.param("/d ${OPTIONS} x", ["/d", "-s 'overlay 2'", "x"], id="braces-stay-one-word"),
        pytest.param("/d --a=${ONE}b", ["/d", "--a=1b"], id="braces-inside-a-word"),
        pytest.param("/d a$ONE", ["/d", "a$ONE"], id="without-braces-only-as-own-word"),
        pytest.param("/d $NONE ${NONE}", ["/d", ""], id="unknown"),
        pytest.param("/d $$ONE $${ONE}", ["/d", "$ONE", "${ONE}"], id="doubled-dollar"),
        pytest.param("/d ${LOOP}", ["/d", "${ONE}"], id="values-are-not-expanded-again"),
        pytest.param(":/d $ONE", ["/d", "$ONE"], id="colon-switches-it-off"),
        pytest.param("-@/d name $ONE", ["/d", "1"], id="at-has-a-name-word"),
    ],
)
def test_command_words(command, expected):
    known = {
        "OPTIONS": units.Word("-s 'overlay 2'", "there"),
        "ONE": units.Word("1", "there"),
        "LOOP": units.Word("${ONE}", "there"),
    }
    words = units.command_words(command, "here", known)
    assert [word.text for word in words] == expected


def test_words_keep_the_place_that_sets_them():
    known = {"OPTIONS": units.Word("-s overlay", "there")}
    places = [word.place for word in units.command_words("/d $OPTIONS --x=${OPTIONS} y", "here", known)]
    assert places == ["here", "there", "there", "there", "here"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b\n", {"A": "b"}),
        ("A = b c  \n", {"A": "b c"}),
        ("A='b c'\nB=\"d e\"", {"A": "b c", "B": "d e"}),
        ('A="b \\\n c"', {"A": "b  c"}),
        ("A='b\nc'", {"A": "b\nc"}),
        ('A="\\$x \\q"', {"A": "$x \\q"}),
        ("A=b\\\nc", {"A": "bc"}),
        ("# A=b\n; B=c\nC=\n", {"C": ""}),
        ("A=don't\nB=1", {"A": "don't", "B": "1"}),
        ('not an assignment\nif [ -z "$X" ]; then\n    Y=/z\nfi\n', {"Y": "/z"}),
        ("A=1\nA=2", {"A": "2"}),
        ("", {}),
    ],
)
def test_environment_file(text, expected):
    assert units.parse_environment_file(text) == expected


def test_recorded_environment_files():
    fedora = units.parse_environment_file(recorded("units", "moby-engine-24-fedora", "sysconfig-docker"))
    assert fedora["OPTIONS"].split()[:2] == ["--selinux-enabled", "--log-driver=journald"]
    assert "\n" not in fedora["OPTIONS"]
    assert set(units.parse_environment_file(recorded("units", "docker-1.13-centos-7", "sysconfig-docker"))) == {
        "OPTIONS",
        "DOCKER_CERT_PATH",
    }
    assert units.parse_environment_file(recorded("units", "debian-12-docker.io-20.10.24", "default-docker")) == {}


def test_environment_files_in_order_without_the_dash():
    files = ((FRAGMENT, recorded("units", "docker-1.13-centos-7", "docker.service")),)
    assert units.environment_files(files) == [
        "/run/containers/registries.conf",
        "/etc/sysconfig/docker",
        "/etc/sysconfig/docker-storage",
        "/etc/sysconfig/docker-network",
    ]
    more = ((OVERRIDE, service("EnvironmentFile=", "EnvironmentFile=/x", "EnvironmentFile=relative")),)
    assert units.environment_files(files + more) == ["/x"]


def test_variables_files_win_and_keep_their_place():
    files = (
        (FRAGMENT, service('Environment="A=1 2" B=3', "Environment=C=4")),
        (OVERRIDE, service("Environment=B=5")),
        (OURS, service("Environment=C=9")),
    )
    found = units.variables(files, {"/etc/default/docker": "A=6\n"}, OURS)
    assert {name: word.text for name, word in found.items()} == {"A": "6", "B": "5", "C": "4"}
    assert found["A"].place == "A in /etc/default/docker"
    assert found["B"].place == "Environment=B in " + OVERRIDE
    assert units.variables(((FRAGMENT, service("Environment=A=1", "Environment=")),), {}) == {}


# --- the host ------------------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with systemd whose `systemctl show` answers host.text; every asked argv is in host.asked."""

    class Host:
        root, text, asked, rc = tmp_path, "", [], 0

        def write(self, name, text):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return str(path)

    one = Host()
    one.asked = []

    def run(argv, timeout=60, ok=(0,)):
        one.asked.append(argv)
        return commands.Result(tuple(argv), one.rc, one.text, "Failed to connect to bus" if one.rc else "")

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(systemd, "RUNNING", str(tmp_path))
    monkeypatch.setattr(systemd, "FOLDERS", (str(tmp_path / "etc"), str(tmp_path / "run"), str(tmp_path / "lib")))
    return one


def show(fragment="", dropins="", reload="no", load="loaded", active="active", socket="loaded", socket_active="active"):
    return (
        "Id=docker.service\nLoadState=%s\nActiveState=%s\nFragmentPath=%s\nDropInPaths=%s\nNeedDaemonReload=%s\n\n"
        "Id=docker.socket\nLoadState=%s\nActiveState=%s\nNeedDaemonReload=no\n"
        % (load, active, fragment, dropins, reload, socket, socket_active)
    )


def test_one_process_and_the_files(host):
    fragment = host.write("lib/docker.service", recorded("units", "debian-12-docker.io-20.10.24", "docker.service"))
    proxy = host.write("etc/docker.service.d/proxy.conf", service("Environment=HTTP_PROXY=http://x"))
    ours = host.write("etc/docker.service.d/direct-lvm.conf", service("ExecStart=", "ExecStart=/x"))
    host.text = show(fragment, ours + " " + proxy)
    unit = systemd.observe_unit("docker", ours)
    assert (len(host.asked), unit.command) == (1, COMMANDS["debian-12-docker.io-20.10.24"])
    assert [path for path, _text in unit.files] == [fragment, proxy, ours]
    assert (unit.load_state, unit.active_state, unit.need_reload) + unit[5:8] == ("loaded", "active", False, True, True, False)
    host.text = show(socket="masked")
    assert systemd.observe_unit("docker", ours)._asdict().items() >= {"socket_exists": False, "socket_masked": True}.items()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("show-not-installed.txt", ("not-found", "inactive", False, False, False)),
        ("show-centos-7-no-socket.txt", ("loaded", "inactive", True, False, False)),
        ("show-debian-12-stock.txt", ("loaded", "active", False, True, True)),
        # need_reload: this host has not the file that the recorded one had
        ("show-debian-12-dropin.txt", ("loaded", "active", True, True, True)),
        ("show-debian-12-dropin-stopped.txt", ("loaded", "inactive", True, False, True)),
    ],
)
def test_recorded_answers(host, name, expected):
    host.text = recorded("units", name)
    unit = systemd.observe_unit("docker", "")
    assert (unit.load_state, unit.active_state, unit.need_reload, unit.socket_active, unit.socket_exists) == expected


def test_files_that_systemd_has_not_read_yet_count(host):
    fragment = host.write("lib/docker.service", service("ExecStart=/vendor"))
    hidden = host.write("lib/docker.service.d/10-a.conf", service("ExecStart=", "ExecStart=/hidden"))
    host.write("etc/docker.service.d/10-a.conf", service("ExecStart=", "ExecStart=/new"))
    (host.root / "etc/docker.service.d/20-b.conf").symlink_to("/dev/null")
    masked = host.write("lib/docker.service.d/20-b.conf", service("ExecStart=/masked"))
    host.text = show(fragment, hidden + " " + masked)
    unit = systemd.observe_unit("docker", OURS)
    assert unit.command == "/new"
    assert unit.need_reload


@pytest.mark.parametrize(
    ("loaded", "need_reload"),
    [
        pytest.param(["etc/docker.service.d/a.conf", "lib/service.d/10.conf"], False, id="all-read"),
        pytest.param(["lib/service.d/10.conf"], True, id="new-folder-that-systemd-has-not-seen"),
        pytest.param(["etc/docker.service.d/a.conf", "etc/docker.service.d/gone.conf"], True, id="one-is-gone"),
        pytest.param(["other/a.conf", "lib/service.d/10.conf"], True, id="another-folder"),
    ],
)
def test_need_reload_by_what_is_on_disk(host, loaded, need_reload):
    host.write("etc/docker.service.d/a.conf", service("Nice=1"))
    host.write("etc/docker.service.d/empty.conf", "")
    host.write("lib/service.d/10.conf", service("Nice=1"))
    host.write("other/a.conf", service("Nice=1"))
    host.text = show("", " ".join(str(host.root / name) for name in loaded))
    assert systemd.observe_unit("docker", OURS).need_reload is need_reload


def test_our_file_counts_as_found_before_systemd_reads_it(host):
    fragment = host.write("lib/docker.service", service("ExecStart=/vendor"))
    ours = host.write("etc/docker.service.d/direct-lvm.conf", "text")
    host.text = show(fragment)
    assert (ours, "text") in systemd.observe_unit("docker", ours).files


def test_a_file_that_is_gone_is_left_out(host):
    host.text = show(str(host.root / "gone"), "", reload="yes")
    assert systemd.observe_unit("docker", OURS).files == ()


def test_a_file_that_cannot_be_read_is_refused(host):
    (host.root / "folder").mkdir()
    host.text = show(str(host.root / "folder"))
    with pytest.raises(Refused, match="cannot be read"):
        systemd.observe_unit("docker", OURS)


def test_no_systemd(monkeypatch):
    monkeypatch.setattr(systemd, "RUNNING", "/nonexistent/systemd")
    with pytest.raises(Refused, match="does not run systemd"):
        systemd.observe_unit("docker", OURS)


def test_systemctl_without_an_answer(host):
    host.rc = 1
    with pytest.raises(CommandFailed, match="Failed to connect to bus"):
        systemd.observe_unit("docker", OURS)


def test_quoted_paths():
    assert systemd.show_words('/etc/a.conf "/etc/with blank.conf"') == ["/etc/a.conf", "/etc/with blank.conf"]
    assert systemd.show_words('/a.conf "/etc/it\'s \\\\x.conf"') == ["/a.conf", "/etc/it's \\x.conf"]  # systemd 252
    assert systemd.show_words("/etc/it's.conf /b") == ["/etc/it's.conf", "/b"]


# --- arbitrary text --------------------------------------------------------------------------------------------

LINES = st.lists(
    st.one_of(
        st.sampled_from(["[Service]", "[Unit", "ExecStart=", "ExecStart=/a \\", "# x \\", "Environment=A=$B 'c", "\\", ""]),
        st.text(),
    )
).map("\n".join)


@given(LINES)
def test_any_unit_is_read_or_refused(text):
    files = ((FRAGMENT, text),)
    assert all("\n" not in one.value for one in units.settings(files))
    units.environment_files(files)
    known = units.variables(files, {"/x": text})
    try:
        command = units.exec_start(files, OURS)[1]
    except Refused:
        return
    units.command_words(command, FRAGMENT, known)


@given(st.text())
def test_any_environment_file_is_read(text):
    assert all(name.isidentifier() for name in units.parse_environment_file(text))


@given(st.text(alphabet="abc -=/.$'\"\\", max_size=40))
def test_words_without_quotes_are_as_the_shell_splits_them(text):
    words = units.split_words(text)
    if not set(text) & set("'\"\\"):
        assert words == text.split(" ") or words == text.split()


@given(st.text())
def test_any_show_output_is_read(text):
    assert all(isinstance(block, dict) for block in systemd.parse_show(text))
    systemd.show_words(text)
