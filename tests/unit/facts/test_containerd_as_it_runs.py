"""containerd's configuration and socket are those of the running process; what a file only mentions is no setting."""

import os

import pytest
from containerd_answers import OURS, host_fixture  # noqa: F401  a fixture
from containerd_hosts import NEW, READY, SERVICE, STOCK, THERE, both, configured, due
from containerd_hosts import host as plan_host
from hypothesis import given
from hypothesis import strategies as st
from states import recorded

from module_utils.direct_lvm.facts import containerd, observe
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import ADDRESS as DEFAULT
from module_utils.direct_lvm.model.host import Docker, Unit
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import containerd_config
from module_utils.direct_lvm.texts.containerd_config import config_paths, flag, listens, parse_dump

SITE = "/run/site/containerd.sock"
SCRIPT, PROGRAM = "/usr/local/sbin/start-containerd", "/usr/bin/containerd"
DUMP = recorded("containerd", "bookworm", "config-dump")
DEVMAPPER = '[plugins."io.containerd.snapshotter.v1.devmapper"]\n'


def unit(command, arguments=(), files="", sockets=(), folder=""):
    """A containerd.service."""
    texts = (("/lib/systemd/system/containerd.service", "[Service]\n%sExecStart=%s\n" % (files, command)),)
    return Unit("loaded", "active", False, texts, command, arguments=tuple(arguments), folder=folder, sockets=tuple(sockets))


PATHS = [  # situation, unit, environment files, (now, after its next start)
    ("stock", unit(PROGRAM, [PROGRAM]), {}, None),
    ("flag-in-the-unit-and-down", unit(PROGRAM + " --config /a"), {}, ("/a", "/a")),
    ("variable-of-the-unit-and-down", unit(PROGRAM + " -c ${C}", files="Environment=C=/a\n"), {}, ("/a", "/a")),
    ("variable-of-a-file-and-down", unit(PROGRAM + " $OPTIONS"), {"/x": "OPTIONS=--config=/a --log-level debug\n"}, ("/a", "/a")),
    ("variable-that-no-file-sets", unit(PROGRAM + " $OPTIONS", [PROGRAM, "--config", "/a"]), {}, ("/a", "/a")),
    ("script", unit(SCRIPT, [PROGRAM, "--config", "/a"]), {}, ("/a", "/a")),
    ("script-that-has-the-default", unit(SCRIPT + " --config /b", [PROGRAM]), {}, None),
    ("script-of-the-same-name", unit("/opt/containerd", [PROGRAM, "--config", "/a"]), {}, ("/a", "/a")),
    ("script-and-down", unit(SCRIPT + " --config /b"), {}, None),
    ("unit-changed-since", unit(PROGRAM + " --config /b", [PROGRAM, "--config", "/a"]), {}, ("/a", "/b")),
    ("flag-taken-out-since", unit(PROGRAM, [PROGRAM, "--config", "/a"]), {}, ("/a", "/etc/containerd/config.toml")),
    ("relative-to-its-folder", unit(SCRIPT, [PROGRAM, "-config", "c.toml"], folder="/srv"), {}, ("/srv/c.toml", "/srv/c.toml")),
    (
        "relative-and-down",
        unit(PROGRAM + " --config c.toml", files="WorkingDirectory=/srv\n"),
        {},
        ("/srv/c.toml", "/srv/c.toml"),
    ),
    ("program-of-another-name", unit("/opt/ctd", ["/opt/ctd", "-c", "/a"], sockets=["/x", "/x.ttrpc"]), {}, ("/a", "/a")),
]


@pytest.mark.parametrize(("one", "files", "paths"), [row[1:] for row in PATHS], ids=[row[0] for row in PATHS])
def test_the_configuration_file(one, files, paths):
    assert config_paths(one, files) == (paths or ("/etc/containerd/config.toml",) * 2)


SOCKETS = [
    ("default", ["/run/containerd/containerd.sock", "/run/containerd/containerd.sock.ttrpc"], [], DEFAULT),
    ("elsewhere-in-its-configuration", [SITE, SITE + ".ttrpc"], [], SITE),
    ("beside-others", ["/run/containerd/debug.sock", SITE, SITE + ".ttrpc", "/var/run/nri/nri.sock"], [], SITE),
    ("its-shims-elsewhere", [SITE, "/run/shims.sock"], [], ""),
    ("by-a-flag", [SITE, "/run/shims.sock"], ["--address", SITE], SITE),
    ("the-only-one", [SITE], [], SITE),
    ("not-to-be-told", [], [], ""),
]


@pytest.mark.parametrize(("sockets", "flags", "address"), [row[1:] for row in SOCKETS], ids=[row[0] for row in SOCKETS])
def test_the_socket_on_which_it_listens(sockets, flags, address):
    assert listens(unit(SCRIPT, [PROGRAM, *flags], sockets=sockets)) == address


@pytest.mark.parametrize(
    ("text", "value"),
    [("-c /a", "/a"), ("--c=/a", "/a"), ("-config=/a", "/a"), ("--config /a --config /b", "/b"), ("--config", ""), ("", "")],
)
def test_flags_as_containerd_takes_them(text, value):
    assert flag([PROGRAM, *text.split()], "config", "c") == value


# --- a host --------------------------------------------------------------------------------------------------------


def test_a_script_with_its_own_configuration_and_socket(host):
    config = host.write("site/containerd.toml", '[grpc]\n  address = "%s"\n' % SITE)
    host.command, host.arguments, host.sockets = SCRIPT, (PROGRAM, "--config", config), (SITE, SITE + ".ttrpc")
    found = host.observe()
    assert (found.config_path, found.address, found.program) == (config, SITE, PROGRAM)
    assert host.asked[1].startswith("ctr --address %s plugins" % SITE)
    assert host.asked[2] == "%s --config %s config dump" % (PROGRAM, config)


def test_while_it_is_down_its_own_reading_tells_the_socket(host):
    config = host.write("site/containerd.toml", '[grpc]\n  address = "%s"\n' % SITE)
    defaults = host.write("default", "OPTIONS=--config=%s\n" % config)
    host.command, host.active = "%s $OPTIONS\nEnvironmentFile=-%s" % (PROGRAM, defaults), "inactive"
    host.answer("dump", DUMP)
    found = host.observe()
    assert (found.config_path, found.address, found.elsewhere) == (config, SITE, ())


def test_a_configuration_that_containerd_cannot_read_is_a_problem_not_a_traceback(host):
    host.write("config.toml", "x = [\n")
    host.answer("dump", "", rc=1, err="containerd: failed to load TOML")
    assert host.observe().dump_problem == "containerd: failed to load TOML"


@pytest.mark.parametrize("name", ["config.toml", "conf.d/direct-lvm.toml"])
def test_what_is_no_regular_file_is_not_opened(host, name):
    host.write("conf.d/x", "")
    os.mkfifo(host.path("fifo"))
    host.command = "%s --config %s" % (PROGRAM, host.path("fifo"))
    assert host.observe().config_text == ""
    host.command = PROGRAM + " --config /dev/null"
    assert host.observe().config_text == ""


COMMENT = '# pool_name = "vg-pool"\n  # pool_name = "vg-pool"\n'
POOLS = [  # situation, config.toml, another file in conf.d, what containerd answers, the pools, whether it is asked
    ("nothing", "version = 2\n", None, "", (), False),
    ("a-comment", COMMENT, None, "", (), False),
    ("a-file-that-nobody-imports", "version = 2\n", 'pool_name = "vg-pool"\n', "", (), False),
    ("the-default-configuration-written-out", 'pool_name = ""\n', None, "", (), False),
    ("ours-and-nothing-else", 'imports = ["OWN"]\n', None, "", ("vg-pool",), False),
    ("ours-by-the-whole-folder", 'imports = ["FOLDER/*.toml"]\n', None, "", ("vg-pool",), False),
    ("named-behind-a-setting", 'root = "/x" # pool_name = "vg-pool"\n', None, "version = 2\n", (), True),
    ("somebodys-section", DEVMAPPER + '  pool_name = "a"\n', None, DEVMAPPER + '  pool_name = "a"\n', ("a",), True),
    (
        "imported-from-there",
        'imports = ["FOLDER/*.toml"]\n',
        DEVMAPPER + "pool_name = 'a'",
        DEVMAPPER + "pool_name = 'a'",
        ("a",),
        True,
    ),
    ("in-the-section-of-another-plugin", '[x]\npool_name = "a"\n', None, '[x]\npool_name = "a"\n', (), True),
    ("imports-on-several-lines", 'imports = [\n"FOLDER/b.toml"]\n', 'pool_name = "a"', DEVMAPPER + 'pool_name = "a"', ("a",), True),
    ("cannot-be-asked", DEVMAPPER + '  pool_name = "a"\n', None, None, ("a",), True),
]


@pytest.mark.parametrize(("config", "other", "answer", "pools", "asked"), [row[1:] for row in POOLS], ids=[row[0] for row in POOLS])
def test_pools_that_the_configuration_names(host, config, other, answer, pools, asked):
    own, folder = host.path("conf.d/direct-lvm.toml"), host.path("conf.d")
    path = host.write("config.toml", config.replace("OWN", own).replace("FOLDER", folder))
    host.write("conf.d/direct-lvm.toml", OURS if "OWN" in config or "FOLDER/*" in config else "")
    if other:
        host.write("conf.d/b.toml", other)
    host.answer("dump", answer or "", rc=0 if answer is not None else 1)
    assert tuple(pool for _path, pool in containerd.configured_pools(path)) == pools
    assert bool(host.asked) == asked


def test_whose_file_names_the_pool_is_told(host):
    one = host.write("conf.d/site.toml", DEVMAPPER + '  pool_name = "theirs"\n')
    config = host.write("config.toml", 'imports = ["%s"]\n' % host.path("conf.d/*.toml"))
    host.answer("dump", 'imports = ["%s", "%s"]\n%s  pool_name = "theirs"\n' % (config, one, DEVMAPPER))
    assert host.observe().elsewhere == ((one, "theirs"),)


def test_ours_does_not_hide_what_another_file_says(host):
    """config.toml has a section of its own beside our import, and something is due: containerd is asked without ours."""
    own = host.write("conf.d/direct-lvm.toml", OURS.replace("vg-pool", "older"))
    config = host.write("config.toml", 'imports = ["%s"]\n%s  pool_name = "theirs"\n' % (own, DEVMAPPER))
    read = []

    def run(argv, timeout=None, ok=(0,)):
        if "dump" in argv:
            read.append(containerd.files.read_text(argv[2]))
            host.answer("dump", 'imports = ["%s"]\n%s  pool_name = "theirs"\n' % (argv[2], DEVMAPPER))
        return host.run(argv, timeout, ok)

    containerd.commands.run, before = run, containerd.commands.run
    try:
        assert host.observe().elsewhere == ((config, "theirs"),)
    finally:
        containerd.commands.run = before
    assert own not in read[0]


# --- what containerd prints ----------------------------------------------------------------------------------------


def test_the_recorded_dumps():
    assert parse_dump(DUMP) == (("/etc/site/containerd.toml",), "", SITE)
    files = ("/etc/containerd/config.toml", "/etc/containerd/conf.d/direct-lvm.toml")
    assert parse_dump(recorded("containerd", "trixie", "config-dump")) == (files, "vgdocker-thinpool", DEFAULT)


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        ("[plugins.'io.containerd.snapshotter.v1.devmapper']\n  pool_name = 'a-b'\n", "a-b"),
        ('[plugins.devmapper]\n  pool_name = "a"\n', "a"),
        (DEVMAPPER + 'pool_name = ""\n[plugins.devmapper]\npool_name = "a"\n', "a"),
        (DEVMAPPER + '# pool_name = "a"\n', ""),
        (DEVMAPPER + 'root_path = "pool_name = \\"a\\""\npool_name = "b\\"c"\n', 'b"c'),
        ('[plugins."io.containerd.snapshotter.v1.other"]\npool_name = "a"\n', ""),
        ("", ""),
    ],
    ids=["containerd-2", "version-1", "version-1-beside-its-new-name", "comment", "quotes", "another-plugin", "nothing"],
)
def test_the_pool_in_a_dump(text, pool):
    assert parse_dump(text).pool == pool


@given(st.text())
def test_any_dump_is_read(text):
    dump = parse_dump(text)
    assert all(isinstance(one, str) for one in (*dump.files, dump.pool, dump.address))
    containerd_config.pool_names(text)


def test_a_copy_reads_the_same_files():
    text = 'imports = ["a.toml", \'/b/*.toml\', "../c.toml"]  # x\nversion = 2\n'
    copy = containerd_config.absolute_imports(text, "/etc/site/config.toml")
    assert copy == 'imports = ["/etc/site/a.toml", "/b/*.toml", "/etc/site/../c.toml"]  # x\nversion = 2\n'
    assert containerd_config.absolute_imports("version = 2\n", "/etc/x") == "version = 2\n"


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ("containerd.io/gc.ref.snapshot.devmapper=sha256:aa", True),
        ("a=b,containerd.io/gc.ref.snapshot.devmapper=sha256:aa,c=d", True),
        ("maintainer=containerd.io/gc.ref.snapshot.devmapper=x", False),
        ("containerd.io/gc.ref.snapshot.devmapper2=x", False),
        ("-", False),
    ],
)
def test_the_label_that_keeps_a_snapshot_is_told_from_a_text_like_it(labels, kept):
    text = "DIGEST  SIZE  AGE  LABELS\nsha256:01  1.2MB  3 minutes  %s\n" % labels
    assert containerd.parse_labelled(text) == (["sha256:01"] if kept else [])


# --- the plan ------------------------------------------------------------------------------------------------------

SITED = STOCK._replace(config_path="/etc/site/containerd.toml", address=SITE, docker_address=SITE)
REFUSED = [  # situation, containerd, what is said, the way out
    (
        "down-and-by-a-script",
        STOCK._replace(program="", plugin="skip"),
        "by a script, and it is down",
        "systemctl start containerd",
    ),
    ("its-unit-was-changed", STOCK._replace(other_config="/b"), "names /b by now", "systemctl restart containerd"),
    (
        "cannot-read-its-own",
        STOCK._replace(dump_problem="bad TOML."),
        "its own configuration: bad TOML.",
        "--config /etc/containerd/config.toml",
    ),
    (
        "docker-asks-another",
        STOCK._replace(address=SITE, docker_address=DEFAULT),
        "Docker asks containerd on %s, and containerd.service listens on %s" % (DEFAULT, SITE),
        "--containerd=" + SITE,
    ),
    ("another-pool", STOCK._replace(elsewhere=(("/x.toml", "other"),)), "/x.toml gives", "take the section"),
]


@pytest.mark.parametrize(("found", "said", "way_out"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused(found, said, way_out):
    with pytest.raises(Refused) as refusal:
        due(found, NEW)
    assert said in refusal.value.what
    assert way_out in refusal.value.way_out


def test_commands_to_paste_name_the_socket():
    with pytest.raises(Refused) as refusal:
        due(SITED._replace(plugin="absent"), NEW)
    assert "ctr --address %s plugins ls" % SITE in refusal.value.way_out


def test_the_file_and_the_socket_of_the_process_are_edited_and_asked():
    steps = plan.plan(both(), plan_host(SITED, NEW)).steps
    check = next(step for step in steps if type(step).__name__ == "CheckConfiguration")
    assert (check.program, check.config_path) == (PROGRAM, "/etc/site/containerd.toml")
    written = [step.path for step in switch_of(SITED).steps if type(step).__name__ == "WriteFile"]
    assert "/etc/site/containerd.toml" in written
    assert "/etc/containerd/config.toml" not in written
    assert {step.address for step in switch_of(SITED).steps if type(step).__name__ == "WaitForContainerd"} == {SITE}


def switch_of(found):
    """containerd's critical section in the plan for it and an empty Docker 26."""
    return next(step for step in plan.plan(both(), plan_host(found, NEW)).steps if getattr(step, "service", "") == "containerd")


def test_every_file_of_containerds_plan_is_looked_at():
    spec = both()
    looked_at = observe.targets(spec, NEW, SITED)
    planned = [step.path for step in switch_of(SITED).steps if type(step).__name__ in ("WriteFile", "RemoveFile")]
    assert planned
    assert set(planned) <= set(looked_at)


def test_a_containerd_as_wanted_is_refused_nothing():
    assert due(READY._replace(docker_address=DEFAULT), THERE) == []
    assert due(configured(unit=READY.unit, program=""), THERE) == []


def test_another_pool_that_comes_into_force_with_the_next_start_is_refused():
    with pytest.raises(Refused) as refusal:
        due(READY, THERE, pools=("theirs",))
    assert "gives containerd's devmapper snapshotter the pool theirs, as of its next start" in refusal.value.what
    assert due(READY, THERE, pools=("theirs", "vgdocker-thinpool")) == []


def test_containerd_alone_does_not_care_whom_docker_asks():
    spec = both(None)
    assert due(SITED._replace(docker_address=DEFAULT), Docker(None), spec)


@pytest.mark.parametrize(
    ("docker", "address"),
    [
        (None, ""),
        (Docker(None, SERVICE._replace(load_state="not-found")), ""),
        (Docker("26", unit("/usr/sbin/dockerd -H fd://")), DEFAULT),
        (Docker("26", unit("/usr/sbin/dockerd $OPTS"), env_files=(("/x", "OPTS=--containerd=%s" % SITE),)), SITE),
        (Docker("26", unit("/usr/local/bin/start", ["/usr/sbin/dockerd", "--containerd", SITE])), SITE),
        (Docker("26", unit("/usr/sbin/dockerd"), daemon_json='{"containerd": "%s"}' % SITE), SITE),
        (
            Docker("26", unit("/usr/sbin/dockerd --containerd unix:///var/run/../run/site/containerd.sock")),
            "/var/run/site/containerd.sock",
        ),
    ],
    ids=["not-asked", "no-docker", "nothing-said", "environment-file", "script", "daemon-json", "as-an-address"],
)
def test_whom_docker_asks(docker, address):
    assert containerd.docker_address(docker) == (os.path.realpath(address) if address else "")
