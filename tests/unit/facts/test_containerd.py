"""containerd is asked for its snapshotter, its files are read, and waiting for it ends."""

import os
import pathlib

import pytest
from containerd_answers import (
    OURS,
    PLUGINS,
    POOL,
    host_fixture,  # noqa: F401  a fixture
)
from hypothesis import given
from hypothesis import strategies as st
from states import recorded

from module_utils.direct_lvm.facts import containerd
from module_utils.direct_lvm.host import commands, files
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.model.host import Containerd
from module_utils.direct_lvm.model.steps import CheckConfiguration, WaitForContainerd
from module_utils.direct_lvm.texts import containerd_config, own_files

ADDRESS = "/run/containerd/containerd.sock"
ROW = "io.containerd.snapshotter.v1           devmapper                linux/amd64    ok        \n"
MESSAGE = """Type:          io.containerd.snapshotter.v1
ID:            devmapper
Platforms:     linux/amd64
Error:
               Code:        Unknown
               Message:     1 error occurred:
\t* dmsetup version error: no thin-pool device "/dev/mapper/vg-pool"
"""
SNAPSHOTS = """KEY                                                                     PARENT                        KIND
c1                                                                      sha256:bb                     Active
sha256:aa                                                                                             Committed
sha256:bb                                                               sha256:aa                     Committed
view-1                                                                  sha256:aa                     View
"""


def with_status(status):
    """The recorded list with another status of the snapshotter."""
    assert ROW in PLUGINS
    return PLUGINS.replace(ROW, ROW.replace("ok    ", "%-6s" % status))


# --- what ctr says -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (PLUGINS, "ok"),
        (with_status("error"), "error"),
        (with_status("skip"), "skip"),
        (PLUGINS.replace(ROW, ""), "absent"),
        (PLUGINS.replace(" devmapper ", " devmapper2"), "absent"),
        (PLUGINS.replace("linux/amd64", "linux/arm64/v8,linux/amd64"), "ok"),
        ("io.containerd.snapshotter.v1 devmapper - ok", "ok"),
        ("", "absent"),
    ],
    ids=["ok", "error", "skip", "not-built-in", "another-name", "platforms", "no-platform", "nothing"],
)
def test_the_snapshotters_status_in_the_list_of_plugins(text, status):
    assert containerd.parse_plugins(text) == status


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (SNAPSHOTS, ("view-1", "c1", "sha256:bb", "sha256:aa")),
        ("KEY PARENT KIND\n", ()),
        ("", ()),
        ("KEY PARENT KIND\na    Committed\n", ("a",)),
        ("KEY PARENT KIND\na    gone    Active\n", ("a",)),
        ("KEY PARENT KIND\nb a Committed\na c Committed\nc   Committed\n", ("b", "a", "c")),
    ],
    ids=["layers-container-view", "none", "nothing", "no-parent", "parent-elsewhere", "out-of-order"],
)
def test_children_come_before_their_parents(text, keys):
    assert containerd.parse_snapshots(text) == keys


@given(st.lists(st.integers(0, 30), max_size=30), st.randoms())
def test_every_snapshot_comes_once_and_before_its_parent(choices, random):
    parents = {"k%d" % i: "k%d" % (choice % i) if i and choice else "" for i, choice in enumerate(choices)}
    rows = ["%s  %s  Committed" % row for row in parents.items()]
    random.shuffle(rows)
    keys = containerd.parse_snapshots("KEY PARENT KIND\n" + "\n".join(rows))
    assert sorted(keys) == sorted(parents)
    assert all(keys.index(key) < keys.index(parent) for key, parent in parents.items() if parent)


def test_a_chain_as_long_as_a_layered_image_may_be():
    rows = ["KEY PARENT KIND"] + ["k%03d  %s  Committed" % (i, "k%03d" % (i - 1) if i else "") for i in range(500)]
    assert containerd.parse_snapshots("\n".join(rows)) == tuple("k%03d" % i for i in reversed(range(500)))


# --- a host --------------------------------------------------------------------------------------------------------


def test_all_as_wanted_costs_two_processes(host):
    own = own_files.containerd_config(POOL, host.wanted, 2)
    dropin = own_files.containerd_dropin(POOL, host.wanted, containerd_config.checksum(own))
    config = 'imports = ["%s"]\nversion = 2\n' % host.write("conf.d/direct-lvm.toml", own)
    host.write("config.toml", config)
    host.write("containerd.service.d/direct-lvm.conf", dropin)
    host.environment = ("DIRECT_LVM_CONFIGURATION=" + containerd_config.checksum(own),)
    for name in ("metadata.db", "vg-pool.db", "old-pool.db", "x.db.lock"):
        host.write("devmapper/" + name, "")
    found = host.observe()
    assert [line.split(" ")[0] for line in host.asked] == ["systemctl", "ctr"]
    assert host.asked[1] == "ctr --address %s plugins ls" % ADDRESS
    assert found == Containerd(
        unit=found.unit,
        plugin="ok",
        program="/usr/bin/containerd",
        config_path=host.path("config.toml"),
        config_text=config,
        own_text=own,
        dropin_text=dropin,
        databases=("old-pool", "vg-pool"),
    )
    assert found.installed
    assert found.unit.command == "/usr/bin/containerd"


def test_a_host_without_containerd_is_not_asked(host):
    host.active = "absent"
    found = host.observe(with_snapshots=True)
    assert len(host.asked) == 1
    assert (found.installed, found.plugin, found.problem) == (False, None, "there is no containerd.service")
    assert (found.config_text, found.own_text, found.dropin_text, found.databases, found.snapshots) == (None, None, None, (), None)


def test_a_containerd_that_is_not_active_is_not_asked(host):
    host.active = "failed"
    found = host.observe(with_snapshots=True)
    assert len(host.asked) == 1
    assert (found.installed, found.plugin, found.problem) == (True, None, "containerd.service is failed")


def test_a_containerd_that_does_not_answer_is_a_problem_not_a_traceback(host):
    host.answer("plugins", "", rc=1, err="ctr: failed to dial: context deadline exceeded")
    found = host.observe(with_snapshots=True)
    assert (found.plugin, found.snapshots) == (None, None)
    assert found.problem.endswith("context deadline exceeded")


@pytest.mark.parametrize("status", ["error", "skip"])
def test_why_a_snapshotter_was_not_loaded_is_asked(host, status):
    host.answer("--detailed", MESSAGE)
    host.answer("ls", with_status(status))
    del host.answers["plugins"]
    found = host.observe()
    assert (found.plugin, found.problem) == (
        status,
        '1 error occurred: * dmsetup version error: no thin-pool device "/dev/mapper/vg-pool"',
    )
    assert host.asked[-1] == "ctr --address %s plugins ls --detailed id==devmapper" % ADDRESS


def test_a_snapshotter_that_works_has_no_message(host):
    host.answer("--detailed", recorded("containerd", "trixie", "plugins-detailed-ok"))
    assert containerd.plugin_status(ADDRESS) == ("ok", "")


@pytest.mark.parametrize("flags", ["--config %s", "--config=%s", "-c %s", "-l debug -c %s --root /srv"])
def test_the_config_file_that_the_unit_names_is_read_and_searched(host, flags):
    other = host.write("opt/site.conf", "version = 3\n[x]\npool_name = 'foreign'\n")
    host.command = "/usr/bin/containerd " + flags % other
    host.answer("dump", 'imports = ["%s"]\n[plugins."io.containerd.snapshotter.v1.devmapper"]\n  pool_name = "foreign"\n' % other)
    found = host.observe()
    assert "/usr/bin/containerd --config %s config dump" % other in host.asked
    assert (found.config_path, found.config_text) == (other, "version = 3\n[x]\npool_name = 'foreign'\n")
    assert found.elsewhere == ((other, "foreign"),)


@pytest.mark.parametrize(
    ("docker", "address"),
    [
        (None, ADDRESS),
        ("/usr/bin/dockerd -H fd:// --containerd=/run/other.sock", "/run/other.sock"),
        ("/usr/bin/dockerd --containerd /run/other.sock $DOCKER_OPTS", "/run/other.sock"),
        ("/usr/bin/dockerd --containerd=", ADDRESS),
    ],
)
def test_containerd_is_asked_where_docker_asks_it(host, docker, address):
    assert host.observe(docker).address == address
    assert host.asked[1].startswith("ctr --address %s " % address)


def test_snapshots_are_asked_in_every_namespace_only_when_they_are_wanted(host):
    host.answer("namespaces", "default\nmoby\n")
    host.answer("snapshots", SNAPSHOTS)
    assert host.observe().snapshots is None
    keys = containerd.parse_snapshots(SNAPSHOTS)
    found = host.observe(with_snapshots=True).snapshots
    assert found == tuple((namespace, key) for namespace in ("default", "moby") for key in keys)
    assert "ctr --address %s --namespace moby snapshots --snapshotter devmapper ls" % ADDRESS in host.asked


INFO = '{\n    "ID": "%s",\n    "Snapshotter": "%s"\n}\n'


@pytest.mark.parametrize(
    ("task", "told", "found"),
    [
        ("c1", INFO % ("c1", ""), True),
        ("vm", INFO % ("vm", "devmapper"), True),
        ("web", INFO % ("web", "overlayfs"), False),
        ("web", INFO % ("web", ""), False),
        ("web", '{"Labels": {"Snapshotter": "devmapper"}}', True),
        ("web", "", True),
    ],
    ids=[
        "by-its-snapshot-as-docker-names-none",
        "by-its-snapshotter",
        "on-another-snapshotter",
        "docker-with-a-graph-driver",
        "names-no-snapshotter",
        "does-not-tell",
    ],
)
def test_tasks_on_the_snapshotter_are_told_from_others(host, task, told, found):
    host.answer("namespaces", "k8s.io\n")
    host.answer("snapshots", SNAPSHOTS)
    host.answer("tasks", task + "\n")
    host.answer("containers", told, rc=0 if told else 1)
    assert host.observe().tasks == ()
    assert host.observe(with_snapshots=True).tasks == ((("k8s.io", task),) if found else ())


# --- steps ---------------------------------------------------------------------------------------------------------

WAIT = WaitForContainerd(ADDRESS, "wait", 30, "ok")


def test_waiting_ends_with_the_status_that_was_wanted(host, monkeypatch):
    answers = iter([(1, "", "ctr: connection refused"), (1, "", "ctr: connection refused"), (0, PLUGINS, "")])

    def run(argv, timeout=60, ok=(0,)):
        host.answers["plugins"] = next(answers)
        return host.run(argv, timeout, ok)

    monkeypatch.setattr(commands, "run", run)
    containerd.wait(WAIT)
    assert len(host.asked) == 3


@pytest.mark.parametrize(
    ("words", "counts"),
    [((), True), (("/usr/bin/containerd",), False), (("sleep", "9"), True)],
    ids=["it-is-gone", "it-is-there", "another-program-with-its-number"],
)
def test_the_answer_of_the_process_of_before_the_restart_does_not_count(host, monkeypatch, words, counts):
    monkeypatch.setattr(containerd.process, "words", lambda pid, _name: words if pid == 7 else ())
    host.answer("plugins", PLUGINS)
    if counts:
        containerd.wait(WAIT._replace(former=7))
    else:
        with pytest.raises(CommandFailed, match=r"process 7 of before the restart is there still.*exec containerd"):
            containerd.wait(WAIT._replace(former=7, timeout=0.01))
        assert host.asked == []


def test_another_status_is_told_at_once_with_containerds_own_words(host):
    host.answer("--detailed", MESSAGE)
    host.answer("ls", with_status("error"))
    del host.answers["plugins"]
    with pytest.raises(
        Refused,
        match=r'not loaded \(error\): 1 error occurred: \* dmsetup version error: no thin-pool device "/dev/mapper/vg-pool"',
    ):
        containerd.wait(WAIT)
    assert len(host.asked) == 2
    containerd.wait(WAIT._replace(plugin=""))  # on the way back any status will do


def test_waiting_for_a_containerd_that_never_answers_ends(host):
    host.answer("plugins", "", rc=1, err="ctr: connection refused")
    with pytest.raises(CommandFailed, match="gave no working containerd within 0 s: .*connection refused"):
        containerd.wait(WAIT._replace(timeout=0.01))
    assert host.asked


class FakeContainerd:
    """Stands in for commands.run of `containerd --config FILE config dump`: prints the files that it was given, in its order."""

    def __init__(self, monkeypatch, rc=0, err="", pool=None):
        self.rc, self.err, self.pool, self.read, self.argv = rc, err, pool, {}, None
        monkeypatch.setattr(commands, "run", self.run)

    def run(self, argv, timeout=None, ok=(0,)):
        assert (argv[0], argv[1], argv[3:], ok) == ("/usr/bin/containerd", "--config", ("config", "dump"), None)
        self.argv = argv
        self.read = {path.name: path.read_text() for path in pathlib.Path(argv[2]).parent.iterdir()}
        out = self.read["config.toml"] + self.read["own.toml"]
        return commands.Result(argv, self.rc, out.replace("vg-pool", self.pool or "vg-pool"), self.err)


CHECK = CheckConfiguration("/usr/bin/containerd", 'imports = ["/a"]\nversion = 2\n', OURS, "vg-pool", "check")


@pytest.mark.parametrize(
    ("config", "line"),
    [(CHECK.config_text, 'imports = ["/a", "%s"]'), (None, 'imports = ["%s"]'), ("", 'imports = ["%s"]  # direct_lvm')],
)
def test_containerd_is_given_both_files_as_they_will_be(monkeypatch, config, line):
    fake = FakeContainerd(monkeypatch)
    containerd.check_configuration(CHECK._replace(config_text=config))
    folder = os.path.dirname(fake.argv[2])
    assert sorted(fake.read) == ["config.toml", "own.toml"]
    assert line % os.path.join(folder, "own.toml") in fake.read["config.toml"].splitlines()
    assert fake.read["own.toml"] == OURS
    assert os.path.dirname(folder) == files.RUN  # whatever TMPDIR says
    assert not os.path.exists(folder)


def test_single_quotes_of_containerd_2_name_the_pool_too(monkeypatch):
    FakeContainerd(monkeypatch)
    containerd.check_configuration(CHECK._replace(own_text=OURS.replace('"vg-pool"', "'vg-pool'")))


def test_the_recorded_dump_of_debian_names_the_pool(monkeypatch):
    dump = recorded("containerd", "trixie", "config-dump")
    monkeypatch.setattr(commands, "run", lambda argv, **_options: commands.Result(argv, 0, dump, ""))
    containerd.check_configuration(CHECK._replace(pool="vgdocker-thinpool"))
    with pytest.raises(Refused, match="pool_name is not what was written"):
        containerd.check_configuration(CHECK._replace(pool="vgdocker-thin"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"rc": 1, "err": "containerd: failed to load TOML:\n  (3, 1): unexpected"}, "failed to load TOML: (3, 1): unexpected"),
        ({"pool": "other"}, "pool_name is not what was written"),
        ({"pool": "vg-pool2"}, "pool_name is not what was written"),
        ({"pool": "vgXpool"}, "pool_name is not what was written"),
    ],
    ids=["does-not-parse", "another-pool", "a-longer-name", "a-name-like-it"],
)
def test_a_configuration_that_containerd_does_not_take_is_refused(monkeypatch, answer, sentence):
    fake = FakeContainerd(monkeypatch, **answer)
    with pytest.raises(Refused) as refusal:
        containerd.check_configuration(CHECK)
    assert "containerd does not take the configuration: " in str(refusal.value)
    assert sentence in str(refusal.value)
    assert "/usr/bin/containerd --config /etc/containerd/config.toml config dump" in refusal.value.way_out
    assert not os.path.exists(os.path.dirname(fake.argv[2]))
