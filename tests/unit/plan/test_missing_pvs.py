"""The way back of Docker's switch, Docker off the pool again, and what its former storage left."""

import json

import pytest
import states
from docker_hosts import (
    ARCHIVE,
    BUSYBOX,
    CORE,
    DONE,
    DROPIN,
    FRESH,
    JSON,
    LOAD,
    LOOP,
    OFF,
    OLD_POOL,
    RECORD,
    SAME,
    STOP,
    TEXT,
    UNIT,
    VENDOR,
    WANTED,
    WEB,
    due,
    host,
    lines,
)  # fmt: skip

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import SwitchRecord
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.model.steps import Move, RemoveFile, Transaction, WaitForDocker, WriteFile
from module_utils.direct_lvm.plan import docker_switch, plan
from module_utils.direct_lvm.texts import own_files
from module_utils.direct_lvm.texts.daemon_json import merge


def way_back(docker):
    (switch,) = [
        step for step in plan.plan(states.spec()._replace(docker=WANTED), host(docker)).steps if isinstance(step, Transaction)
    ]
    return switch.way_back + switch.afterwards


def test_the_way_back_restores_what_was_there():
    fresh = way_back(FRESH)
    assert [type(step) for step in fresh if getattr(step, "path", "") == DROPIN] == [RemoveFile]
    # Docker does not start when it finds two drivers' folders and none is chosen.
    assert [step.target for step in fresh if isinstance(step, Move)] == [
        "/var/lib/docker/devicemapper.direct-lvm",
        "/var/lib/docker/image/devicemapper.direct-lvm",
    ]
    assert [step.driver for step in fresh if isinstance(step, WaitForDocker)] == ["overlay2"]
    assert '"back"' in fresh[-1].text
    former = FRESH._replace(info=OLD_POOL, dropin_text=MANAGED + "\n[Service]\nExecStart=/x --storage-driver=devicemapper\n")
    written = [step.text for step in way_back(former) if isinstance(step, WriteFile) and step.path == DROPIN]
    assert written == [former.dropin_text]


AS_IT_RAN = MANAGED + "\n# As Docker ran before it was switched.\n[Service]\nExecStart=\nExecStart=" + VENDOR + " %s\n"
NAMED = '--storage-driver "devicemapper" --storage-opt "dm.thinpooldev=/dev/mapper/old-pool"'
BY_FLAGS = ("/usr/sbin/dockerd", "--storage-driver=devicemapper", "-H", "fd://")
BY_FLAGS += ("--storage-opt", "dm.thinpooldev=/dev/mapper/old-pool", "--storage-opt=dm.min_free_space=5%")
MADE_BY_DOCKER = '{"storage-driver": "devicemapper", "storage-opts": ["dm.directlvm_device=/dev/sdc"]}'
IN_DAEMON_JSON = '{"storage-opts": ["dm.thinpooldev=/dev/mapper/old-pool"]}'


@pytest.mark.parametrize(
    ("arguments", "daemon_json", "dropin"),
    [
        (BY_FLAGS, None, AS_IT_RAN % (NAMED + ' --storage-opt "dm.min_free_space=5%%"')),
        (BY_FLAGS[:1], "{}", AS_IT_RAN % NAMED),
        (BY_FLAGS[:1], IN_DAEMON_JSON, None),
        (BY_FLAGS[:1], MADE_BY_DOCKER, None),
    ],
    ids=["drop-in-set-aside", "daemon-json-emptied", "daemon-json-names-it", "daemon-json-names-the-disk"],
)
def test_the_way_back_to_an_older_pool_names_it(arguments, daemon_json, dropin):
    found = FRESH._replace(info=OLD_POOL, daemon_json=daemon_json, unit=UNIT._replace(arguments=arguments))
    assert docker_switch.former_of(found) == SwitchRecord("begun", "devicemapper", "old-pool", dropin, daemon_json)


def test_folders_of_both_sides_with_one_name_are_told_apart():
    moves = [step for step in way_back(FRESH._replace(info=LOOP)) if isinstance(step, Move)]
    ours = [step for step in moves if step.target.endswith(".direct-lvm")]
    assert {step.only_if for step in ours} == {("/var/lib/docker/%s.before-direct-lvm" % name,) for name in SAME}


GOING_BACK = DONE._replace(images=(BUSYBOX,), archive_free=10**12, root_state=("devicemapper", "overlay2"))


def test_rollback_carries_images_along_and_is_done_once():
    steps = due(GOING_BACK, goal="roll_back")
    assert steps[:3] == [ARCHIVE[0], RECORD, STOP]
    assert "move /var/lib/docker/devicemapper /var/lib/docker/devicemapper.direct-lvm" in steps
    assert steps[-2:] == [LOAD[0], RECORD]
    assert due(FRESH._replace(former=SwitchRecord("back", "overlay2")), goal="roll_back") == []
    assert due(FRESH._replace(former=SwitchRecord("back", "overlay2", pending=(BUSYBOX,))), goal="roll_back") == [LOAD[0], RECORD]


def test_rollback_refuses_what_it_cannot_do():
    for docker, sentence in (
        (DONE._replace(former=None), "nothing to go back to"),
        (GOING_BACK._replace(containers=(WEB,)), "cannot cross storage drivers"),
        (GOING_BACK._replace(info=None, problem="docker.service is failed", unit=OFF), "Docker is not running"),
    ):
        with pytest.raises(Refused, match=sentence):
            due(docker, goal="roll_back")


def test_rollback_from_a_pool_that_is_dead_leaves_behind_what_only_it_has():
    dead = GOING_BACK._replace(
        info=None,
        problem="docker.service is failed",
        images=(),
        root_state=("devicemapper", "overlay2", "image/devicemapper", "image/overlay2", "containers"),
    )
    with pytest.raises(Refused, match="Or, when it does not start any more, .*\n?.*\ndocker_storage_containers: discard\n"):
        due(dead, goal="roll_back")
    steps = plan.plan(states.spec()._replace(docker=WANTED._replace(containers="discard"), goal="roll_back"), host(dead)).steps
    assert lines(steps)[:2] == [RECORD, STOP]
    assert "what only the pool has is left behind" in steps[0].why
    assert '"back"' in steps[1].last[-1].text
    owed = dead._replace(former=SwitchRecord("done", "overlay2", pending=(BUSYBOX,)))
    assert due(owed, WANTED._replace(containers="discard"), "roll_back")[-2:] == [LOAD[0], RECORD]


def test_a_broken_daemon_json_is_a_sentence_on_the_way_back_too():
    with pytest.raises(Refused, match="daemon.json is not valid JSON"):
        due(GOING_BACK._replace(daemon_json="{"), JSON, "roll_back")


OURS = own_files.docker_settings(states.ARTICLE, JSON)
EDITS = [  # settings in, daemon.json before the switch, what was written into it since
    ("nothing-written", WANTED, None, None),
    ("made-since", WANTED, None, '{"insecure-registries": ["r:5000"]}'),
    ("edited-since", WANTED, '{"debug": true}', '{"debug": true, "live-restore": true}'),
    ("removed-since", WANTED, '{"debug": true}', None),
    ("settings-there-nothing-written", JSON, None, None),
    ("settings-there-made-since", JSON, None, '{"insecure-registries": ["r:5000"]}'),
    ("settings-there-edited-since", JSON, '{"debug": true, "storage-driver": "overlay2"}', '{"storage-driver": "overlay2"}'),
]


@pytest.mark.parametrize(("wanted", "before", "since"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS])
def test_rollback_keeps_what_was_written_into_daemon_json_since_the_switch(wanted, before, since):
    """Wherever an earlier rollback was killed: before or after it wrote daemon.json, before or after the drop-in."""
    on_pool = merge(since, OURS) if wanted is JSON else since
    dropin = own_files.docker_dropin(states.ARTICLE, wanted, UNIT.command)
    former = SwitchRecord("done", "overlay2", daemon_json=before)
    down = {"info": None, "problem": "docker.service is inactive", "former": former._replace(state="begun")}
    there = DONE._replace(former=former, archive_free=10**12, root_state=("devicemapper", "overlay2"))
    for docker in (
        there._replace(daemon_json=on_pool, dropin_text=dropin),
        there._replace(daemon_json=on_pool, dropin_text=dropin, **down),
        there._replace(daemon_json=since, dropin_text=dropin, **down),
        there._replace(daemon_json=since, dropin_text=None, **down),
    ):
        found = plan.plan(states.spec()._replace(docker=wanted, goal="roll_back"), host(docker)).steps
        (switch,) = [step for step in found if isinstance(step, Transaction)]
        text = docker.daemon_json
        for step in switch.steps:
            if getattr(step, "path", "") == docker.daemon_json_path:
                text = getattr(step, "text", None)
        assert json.loads(text or "{}") == json.loads(since or "{}")
        assert (text is None) == (since is None)


OVERLAY2 = WANTED._replace(roll_back_to="overlay2")
TO_OVERLAY2 = ["space for /etc/docker/daemon.json", RECORD, STOP, "/etc/docker/daemon.json", DROPIN, *CORE, RECORD]


def on_overlay2(docker):
    """The Transaction of a Docker that goes to overlay2."""
    (switch,) = [
        step
        for step in plan.plan(states.spec()._replace(docker=OVERLAY2, goal="roll_back"), host(docker)).steps
        if isinstance(step, Transaction)
    ]
    return switch


def test_from_the_pool_to_overlay2_without_a_record():
    unknown = GOING_BACK._replace(former=None)
    ours = ["move /var/lib/docker/{0} /var/lib/docker/{0}.direct-lvm".format(name) for name in SAME[:2]]
    files, start = TO_OVERLAY2[3:-3], TO_OVERLAY2[-3:]
    assert due(unknown, OVERLAY2, "roll_back") == [ARCHIVE[0], *TO_OVERLAY2[:3], *files, *ours, *start, LOAD[0], RECORD]
    switch = on_overlay2(unknown)
    assert [step.text for step in switch.steps if getattr(step, "path", "").endswith(".json")][:1] == [
        '{\n    "storage-driver": "overlay2"\n}\n'
    ]
    assert [step.driver for step in switch.steps + switch.way_back if isinstance(step, WaitForDocker)] == [
        "overlay2",
        "devicemapper",
    ]
    assert [step.text for step in switch.way_back if getattr(step, "path", "") == DROPIN] == [TEXT]


def test_from_the_pool_to_overlay2_with_the_record_of_loop_files():
    """The loop files come back into their place, where Docker does not look for them: overlay2 is named."""
    aside_now = tuple(name + ".before-direct-lvm" for name in SAME)
    loop = GOING_BACK._replace(former=SwitchRecord("done", "devicemapper"), root_state=("devicemapper", *aside_now))
    moves = [step for step in due(loop, OVERLAY2, "roll_back") if step.startswith("move ")]
    assert moves == [
        *("move /var/lib/docker/{0} /var/lib/docker/{0}.direct-lvm".format(name) for name in SAME[:2]),
        *("move /var/lib/docker/{0}.before-direct-lvm /var/lib/docker/{0}".format(name) for name in SAME[:2]),
    ]
    assert '"driver": "overlay2"' in on_overlay2(loop).last[-1].text


def test_overlay2_is_left_alone_and_done_once():
    assert due(FRESH, OVERLAY2, "roll_back") == []
    assert due(FRESH._replace(former=SwitchRecord("back", "overlay2")), OVERLAY2, "roll_back") == []
    for text in ("{", "[]"):
        with pytest.raises(Refused, match="daemon.json is not valid JSON"):
            due(GOING_BACK._replace(former=None, daemon_json=text), OVERLAY2, "roll_back")


def test_cleanup_removes_what_the_former_storage_left():
    left = (("/var/lib/docker/overlay2", 4096), ("/var/lib/docker/image/overlay2", 4096))
    assert due(DONE._replace(left=left), goal="clean_up") == [
        "remove /var/lib/docker/overlay2",
        "remove /var/lib/docker/image/overlay2",
        RECORD,
    ]
    assert due(DONE._replace(former=None), goal="clean_up") == []
    down = DONE._replace(info=None, problem="docker.service is failed")
    for docker, why in (
        (FRESH._replace(former=SwitchRecord("back", "overlay2")), "docker info: Storage Driver is overlay2"),
        (DONE._replace(former=SwitchRecord("done", "x", pending=(BUSYBOX,))), "1 images are still to be loaded"),
        (DONE._replace(former=SwitchRecord("begun", "x")), "its switch was cut off"),
        (down, "docker.service is failed"),
        (down._replace(former=SwitchRecord("done", "x", pending=(BUSYBOX,))), "docker.service is failed"),
    ):
        with pytest.raises(Refused) as refusal:
            due(docker, goal="clean_up")
        assert "everything that it had (%s).\nRun playbooks/site.yml" % why in str(refusal.value)
