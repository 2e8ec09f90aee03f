"""containerd's half of the planner, Docker's half on the image store, and the way back of both."""

import json

import pytest
from containerd_hosts import (
    CONF,
    CONFIG,
    DEBIAN,
    NEW,
    OWN,
    POOL,
    PROGRAM,
    READY,
    RESTART,
    ROOT,
    SERVICE,
    STOCK,
    STORE,
    THERE,
    both,
    configured,
    due,
    host,
)
from docker_hosts import BATCH, BUSYBOX, DROPIN, FRESH, OFF, RECORD, STOP, UNIT, WANTED, WEB, lines

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Container, Containerd, Docker, Image, SwitchRecord, Unit
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.model.steps import (
    CheckConfiguration,
    RemoveFile,
    Transaction,
    WaitForContainerd,
    WaitForDocker,
    WriteFile,
)
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts.containerd_config import with_import
from module_utils.direct_lvm.texts.daemon_json import merge
from module_utils.direct_lvm.texts.own_files import IMAGE_STORE

JSON = "/etc/docker/daemon.json"


UNREAD = SERVICE._replace(environment=("DIRECT_LVM_CONFIGURATION=0123456789abcdef",))
OLD = Docker("20.10.24+dfsg1", UNIT, FRESH.info, root_state=("overlay2",))

CHECK = "containerd config dump"
HALF = [CHECK, OWN, CONFIG, CONF, *RESTART]
START = ["systemctl daemon-reload", "systemctl reset-failed docker.service"]
START += ["systemctl start docker.socket docker.service", "docker info"]
FITS = "space for " + JSON
STORED = [FITS, RECORD, STOP, JSON, *START, RECORD]


ALONE = both(None)


def only_switch(steps):
    (switch,) = [step for step in steps if isinstance(step, Transaction)]
    return switch


def written(steps, path):
    """The texts that are written to a path, None for its removal."""
    return [getattr(step, "text", None) for step in steps if getattr(step, "path", "") == path]


TABLE = [  # situation, containerd, Docker, the lines
    ("as-the-packages-start-them", STOCK, NEW, [*HALF, *STORED]),
    ("all-as-wanted", READY, THERE, []),
    ("never-switched-by-us", READY, THERE._replace(former=None), []),
    ("containerd-is-ready-and-docker-is-not", READY, NEW, STORED),
    ("no-config-toml", STOCK._replace(config_text=None), THERE, [CHECK, OWN, CONFIG, CONF, *RESTART]),
    ("config-toml-was-made-by-us", configured(None), THERE, []),
    ("config-toml-of-version-3", configured("version = 3\n"), THERE, []),
    ("config-toml-imports-the-whole-folder", configured('imports = ["/etc/containerd/conf.d/*.toml"]\n'), THERE, []),
    ("config-toml-without-the-import", configured(config_text=DEBIAN), THERE, [CHECK, CONFIG, *RESTART]),
    ("config-toml-is-gone", configured(config_text=None), THERE, [CHECK, CONFIG, *RESTART]),
    ("config-toml-has-another-version-now", configured(config_text=with_import("", OWN)), THERE, [CHECK, OWN, CONF, *RESTART]),
    ("own-file-changed", configured(own_text=MANAGED + "\nolder\n"), THERE, [CHECK, OWN, *RESTART]),
    ("own-file-missing", configured(own_text=None), THERE, [CHECK, OWN, *RESTART]),
    ("dropin-missing", configured(dropin_text=None), THERE, [CHECK, CONF, *RESTART]),
    ("dropin-changed", configured(dropin_text=MANAGED + "\nolder\n"), THERE, [CHECK, CONF, *RESTART]),
    ("killed-before-the-restart", configured(unit=UNREAD), THERE, [CHECK, *RESTART]),
    ("started-before-there-was-a-dropin", configured(unit=SERVICE), THERE, [CHECK, *RESTART]),
    ("systemd-has-not-read-it", configured(unit=READY.unit._replace(need_reload=True)), THERE, [CHECK, *RESTART]),
    ("stopped", configured(unit=READY.unit._replace(active_state="failed"), plugin=None), THERE, [CHECK, *RESTART]),
    ("started-before-the-pool-was-there", configured(plugin="error", problem="no device"), THERE, [CHECK, *RESTART]),
    ("configured-and-does-not-answer", configured(plugin=None), THERE, [CHECK, *RESTART]),
    # Docker's half
    (
        "images-come-across",
        READY,
        NEW._replace(images=(BUSYBOX,)),
        ["archive " + BUSYBOX.id, *STORED, "load " + BUSYBOX.id, RECORD],
    ),
    (
        "killed-before-loading",
        READY,
        THERE._replace(former=SwitchRecord("done", "overlay2", pending=(BUSYBOX,))),
        ["load " + BUSYBOX.id, RECORD],
    ),
    ("killed-after-the-stop", READY, NEW._replace(info=None, problem="x", former=SwitchRecord("begun", "overlay2")), STORED),
    (
        "docker-is-down-and-set-up-for-the-store",
        READY,
        THERE._replace(info=None, problem="x", unit=OFF, root_state=("image/overlay2", "containers")),
        [*START[:2], STOP, *START[2:], "docker ps"],
    ),
    (
        "the-store-is-on-with-another-driver",
        READY,
        NEW._replace(daemon_json='{"features": {"containerd-snapshotter": true}}'),
        STORED,
    ),
    ("daemon-json-changed", READY, THERE._replace(daemon_json="{}"), [FITS, STOP, JSON, *START, "docker ps"]),
    (
        "systemd-has-not-read-dockers-dropin",
        READY,
        THERE._replace(unit=UNIT._replace(need_reload=True)),
        [*START[:2], STOP, *START[2:], "docker ps"],
    ),
    (
        "the-graph-drivers-dropin-goes",
        READY,
        NEW._replace(dropin_text=MANAGED + "\nExecStart=x --storage-driver=devicemapper\n"),
        [FITS, RECORD, STOP, JSON, DROPIN, *START, RECORD],
    ),
    ("another-dropin-of-that-name-stays", READY, THERE._replace(dropin_text="[Service]\nNice=1\n"), []),
]


@pytest.mark.parametrize(("containerd", "docker", "steps"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_steps(containerd, docker, steps):
    assert due(containerd, docker) == steps


def test_on_a_blank_host_the_pool_comes_first_and_docker_last():
    steps = due(STOCK, NEW, state="00-blank")
    assert steps[-len(HALF + STORED) :] == HALF + STORED
    assert any(step.startswith("lvconvert ") for step in steps[: -len(HALF + STORED)])


@pytest.mark.parametrize(
    ("spec", "docker"),
    [
        (ALONE, OLD),
        (ALONE, Docker(None)),
        (both(WANTED._replace(engine="containerd")), OLD),
        (both(WANTED._replace(engine="containerd")), NEW._replace(containers=(WEB,))),
        (both(), Docker(None)),
    ],
    ids=[
        "nothing-said-of-docker",
        "nothing-said-and-no-docker",
        "engine-containerd",
        "engine-containerd-docker-26",
        "auto-and-no-docker",
    ],
)
def test_containerd_alone_leaves_docker_as_it_is(spec, docker):
    assert due(STOCK, docker, spec) == HALF
    assert due(READY, docker, spec) == []


def test_each_version_of_config_toml_gets_our_file_in_its_own():
    for config, version, plugin in (
        (None, 2, '"io.containerd.snapshotter.v1.devmapper"'),
        ("", 1, "devmapper"),
        ("version = 3\n", 3, '"io.containerd.snapshotter.v1.devmapper"'),
    ):
        (check, switch) = plan.plan(ALONE, host(STOCK._replace(config_text=config), OLD)).steps
        (own,) = written(switch.steps, OWN)
        assert own.splitlines()[2:4] == ["version = %d" % version, "[plugins.%s]" % plugin]
        assert check == CheckConfiguration(PROGRAM, config, own, POOL, check.why)


def test_what_is_checked_does_not_import_what_is_not_written_yet():
    (check, _switch) = plan.plan(ALONE, host(configured(own_text=None), OLD)).steps
    assert check.config_text == DEBIAN
    (check, _switch) = plan.plan(ALONE, host(configured(None, own_text=None), OLD)).steps
    assert check.config_text is None


REFUSED = [  # situation, containerd, Docker, words of the refusal
    ("not-installed", Containerd(Unit("not-found", "inactive", False, ()), problem="there is no containerd.service"), NEW,
     "containerd is not installed as a service of its own (there is no containerd.service)"),
    ("does-not-answer", STOCK._replace(plugin=None, problem="connection refused."), NEW,
     "does not answer on /run/containerd/containerd.sock: connection refused.\n"),
    ("plugin-not-built-in", STOCK._replace(plugin="absent"), NEW, "built without the devmapper snapshotter"),
    ("plugin-disabled-later", configured(plugin="absent"), THERE, "grep disabled_plugins /etc/containerd/config.toml"),
    ("pool-elsewhere", STOCK._replace(elsewhere=(("/etc/containerd/conf.d/a.toml", "other-pool"),)), NEW,
     "/etc/containerd/conf.d/a.toml gives containerd's devmapper snapshotter the pool other-pool"),
    ("foreign-file-at-our-path", STOCK._replace(own_text="[plugins]\n"), NEW, "mv {0} {0}.before-direct-lvm".format(OWN)),
    ("foreign-dropin-at-our-path", STOCK._replace(dropin_text="[Service]\n"), NEW, "mv {0} {0}.before-direct-lvm".format(CONF)),
    ("imports-on-several-lines", STOCK._replace(config_text='imports = [\n  "/a",\n]\n'), NEW,
     'Write it on one line yourself, with our file: imports = [..., "%s"]' % OWN),
    ("imports-on-several-lines-with-ours", configured(config_text='imports = [\n"%s"]\n' % OWN), THERE, "Write it on one line"),
    ("containers", READY, NEW._replace(containers=(WEB, BATCH)), "2 containers, which cannot cross storage drivers"),
    ("conflict", READY, NEW._replace(conflicts=("daemon.json sets `storage-opts` of the graph driver",)), "of the graph driver"),
    ("daemon-json-is-none", READY, NEW._replace(daemon_json="{"), "daemon.json is not valid JSON"),
    ("image-larger-than-a-snapshot", READY, NEW._replace(images=(BUSYBOX, Image("sha256:1", ("big:1",), 12 * 10**9))),
     "containerd_storage_base_image_size: 22GB"),
    ("images-larger-than-the-pool", READY, NEW._replace(images=(BUSYBOX,), least_bytes=36 * 10**9),
     "pool %s has " % POOL),
    ("no-space-for-archives", READY, NEW._replace(images=(BUSYBOX,), archive_free=1000), "image_archive_dir"),
]  # fmt: skip


@pytest.mark.parametrize(("containerd", "docker", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(containerd, docker, sentence):
    with pytest.raises(Refused) as refusal:
        due(containerd, docker)
    assert sentence in str(refusal.value)


def test_what_is_used_of_the_pool_is_not_free_for_images():
    nine = Image("sha256:9", (), 9 * 10**9)
    assert STOP in due(READY, NEW._replace(images=(nine, nine), least_bytes=18 * 10**9), used=5.0)
    with pytest.raises(Refused, match="Docker's images have"):
        due(READY, NEW._replace(images=(nine, nine), least_bytes=18 * 10**9), used=60.0)


GRAPH = NEW._replace(transaction=7, root_state=("devicemapper", "overlay2"))
PAIRS = [  # situation, containerd, Docker, per cent of the pool used, words of the refusal or None
    ("empty-pool-no-metadata", STOCK, NEW, 0.0, None),
    ("its-own-metadata", READY, NEW, 12.5, None),
    ("its-own-metadata-among-others", configured(databases=("old-pool", POOL)), NEW, 12.5, None),
    ("graph-drivers-data", STOCK, GRAPH, 12.5, "holds what Docker's graph driver put there (12.50 %)"),
    ("graph-drivers-data-and-no-docker-wanted", STOCK, OLD._replace(transaction=3), 12.5, "playbooks/upgrade.yml"),
    ("graph-drivers-metadata-and-an-empty-pool", STOCK, GRAPH, 0.0, None),
    (
        "loop-metadata-is-not-this-pools",
        STOCK,
        GRAPH._replace(root_state=("devicemapper", "devicemapper/loop")),
        12.5,
        "so what they are is not known",
    ),
    ("unknown-data", STOCK, NEW, 0.01, "holds data (0.01 %) and containerd has no metadata for it in " + ROOT),
    ("metadata-of-another-pool", STOCK._replace(databases=("old-pool",)), NEW, 0.0, "metadata of pool old-pool, not of " + POOL),
    (
        "metadata-of-several",
        STOCK._replace(databases=("a-b", "c-d")),
        NEW,
        0.0,
        "containerd_storage_root_path: %s-%s" % (ROOT, POOL),
    ),
    ("metadata-and-an-empty-pool", READY, NEW, 0.0, None),
]


@pytest.mark.parametrize(("containerd", "docker", "used", "sentence"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_pool_and_metadata_go_together(containerd, docker, used, sentence):
    there = host(containerd, docker, used=used)
    spec = ALONE if docker.version.startswith("20.") else both()
    if sentence is None:
        assert plan.plan(spec, there).steps
    else:
        with pytest.raises(Refused) as refusal:
            plan.plan(spec, there)
        assert sentence in str(refusal.value)


@pytest.mark.parametrize("state", ["00-blank", "02-vg", "04-data-and-meta-not-converted"])
def test_metadata_of_a_pool_that_is_gone_are_refused_before_a_new_one_is_made(state):
    with pytest.raises(Refused, match=r"there is no such pool: .*\n.*mv {0} {0}\.of-a-lost-pool".format(ROOT)):
        due(READY, THERE, state=state)


# --- daemon.json ---------------------------------------------------------------------------------------------------


def test_daemon_json_keeps_other_features_and_its_indentation():
    text = '{\n  "debug": true,\n  "features": {\n    "buildkit": true\n  },\n  "bip": "10.1.0.1/24"\n}\n'
    switch = only_switch(plan.plan(both(), host(READY, NEW._replace(daemon_json=text))).steps)
    (merged,) = written(switch.steps, JSON)
    assert merged == (
        '{\n  "debug": true,\n  "features": {\n    "buildkit": true,\n    "containerd-snapshotter": true\n  },\n'
        '  "bip": "10.1.0.1/24",\n  "storage-driver": "devmapper"\n}\n'
    )
    assert due(READY, THERE._replace(daemon_json=merged)) == []
    assert written(switch.way_back, JSON) == [text]


def test_daemon_json_of_the_graph_driver_gets_the_snapshotters_name():
    switch = only_switch(plan.plan(both(), host(READY, NEW._replace(daemon_json='{"storage-driver": "devicemapper"}'))).steps)
    assert '"storage-driver": "devmapper"' in written(switch.steps, JSON)[0]


# --- the way back --------------------------------------------------------------------------------------------------


def test_the_way_back_of_containerds_switch():
    switch = only_switch(plan.plan(ALONE, host(STOCK, OLD)).steps)
    assert switch.service == "containerd"
    # containerd does not start when config.toml imports a file that is not there.
    assert [(type(step), step.path) for step in switch.steps[:3]] == [(WriteFile, OWN), (WriteFile, CONFIG), (WriteFile, CONF)]
    assert [(type(step), step.path) for step in switch.way_back[:3]] == [(RemoveFile, CONF), (WriteFile, CONFIG), (RemoveFile, OWN)]
    assert switch.way_back[1].text == DEBIAN
    assert lines(switch.way_back[3:]) == RESTART
    assert [step.mode for step in switch.steps + switch.way_back if isinstance(step, WriteFile)] == [None] * 4
    waits = [step for step in switch.steps + switch.way_back if isinstance(step, WaitForContainerd)]
    assert [(wait.plugin, wait.timeout) for wait in waits] == [("ok", 120), ("", 120)]


def test_the_answer_of_the_containerd_that_runs_now_does_not_count_after_its_restart():
    running = STOCK._replace(unit=STOCK.unit._replace(main_pid=7))
    switch = only_switch(plan.plan(ALONE, host(running, OLD)).steps)
    assert [step.former for step in switch.steps + switch.way_back if isinstance(step, WaitForContainerd)] == [7, 0]


def test_the_way_back_of_a_change_brings_the_older_texts():
    older = configured(own_text=MANAGED + "\nolder\n", dropin_text=MANAGED + "\nolder dropin\n")
    switch = only_switch(plan.plan(ALONE, host(older, OLD)).steps)
    assert [(step.path, step.text) for step in switch.way_back[:2]] == [(CONF, older.dropin_text), (OWN, older.own_text)]
    assert lines(switch.way_back[2:]) == RESTART


def test_the_way_back_of_dockers_switch():
    fresh = NEW._replace(dropin_text=MANAGED + "\nnever in force\n", daemon_json='{"debug": true}')
    switch = only_switch(plan.plan(both(), host(READY, fresh)).steps)
    assert switch.service == "docker"
    assert written(switch.way_back, JSON) == ['{"debug": true}']
    assert [type(step) for step in switch.way_back if getattr(step, "path", "") == DROPIN] == [RemoveFile]
    assert [step.driver for step in switch.steps + switch.way_back if isinstance(step, WaitForDocker)] == ["devmapper", "overlay2"]
    assert lines(switch.way_back + switch.afterwards) == [STOP, JSON, DROPIN, *START, "docker ps", RECORD]
    assert '"back"' in switch.afterwards[-1].text


DEBUG = '{"debug": true}'
MERGED = merge(DEBUG, IMAGE_STORE)
GONE = THERE._replace(daemon_json=MERGED, former=SwitchRecord("done", "overlay2", daemon_json=DEBUG), archive_free=10**12)
FORMER = both()._replace(goal="roll_back")
OVERLAY2 = both(WANTED._replace(roll_back_to="overlay2"))._replace(goal="roll_back")


def test_going_back_restores_daemon_json_and_carries_images_along():
    steps = plan.plan(FORMER, host(READY, GONE._replace(images=(BUSYBOX,)))).steps
    assert lines(steps) == ["archive " + BUSYBOX.id, *STORED, "load " + BUSYBOX.id, RECORD]
    switch = only_switch(steps)
    assert written(switch.steps, JSON) == [DEBUG]
    assert written(switch.way_back, JSON) == [MERGED]
    assert [step.driver for step in switch.steps + switch.way_back if isinstance(step, WaitForDocker)] == ["overlay2", "devmapper"]
    assert due(READY, NEW._replace(former=SwitchRecord("back", "overlay2")), FORMER) == []


def test_going_back_to_no_daemon_json_removes_it():
    alone = GONE._replace(daemon_json=STORE, former=SwitchRecord("done", "overlay2"))
    switch = only_switch(plan.plan(FORMER, host(READY, alone)).steps)
    assert [type(step) for step in switch.steps if getattr(step, "path", "") == JSON] == [RemoveFile]


def test_going_back_keeps_what_was_written_into_daemon_json_since():
    edited = merge(MERGED, {"debug": False, "features": {"buildkit": True}, "live-restore": True})
    switch = only_switch(plan.plan(FORMER, host(READY, GONE._replace(daemon_json=edited))).steps)
    (text,) = written(switch.steps, JSON)
    assert json.loads(text) == {"debug": False, "features": {"buildkit": True}, "live-restore": True}


def test_going_back_refuses_containers():
    with pytest.raises(Refused, match="cannot cross storage drivers"):
        due(READY, GONE._replace(containers=(Container("c" * 64, "web", "busybox", "Up", True),)), FORMER)


def test_off_the_image_store_to_overlay2_without_a_record():
    kept = STORE.replace('"features": {', '"features": {\n        "buildkit": true,')
    switch = only_switch(plan.plan(OVERLAY2, host(READY, GONE._replace(former=None, daemon_json=kept))).steps)
    off = kept.replace('snapshotter": true', 'snapshotter": false').replace('"devmapper"', '"overlay2"')
    assert written(switch.steps, JSON) == [off]  # overlay2 is no snapshotter's name
    assert written(switch.way_back, JSON) == [kept]
