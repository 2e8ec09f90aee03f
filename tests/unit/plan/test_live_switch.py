"""The switch that keeps containers, as a table: which Docker gives which steps, and what is refused."""

import pytest
import states
from docker_hosts import BUSYBOX, DANGLING, DONE, DROPIN, FRESH, OFF, ON_POOL, RECORD, STOP, TEXT, WANTED, WEB, due, host

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Content, KeptContainer, Live, SwitchRecord
from module_utils.direct_lvm.model.names import OURS, SHADOW
from module_utils.direct_lvm.model.spec import PROVISION, ROLL_BACK
from module_utils.direct_lvm.model.steps import Replan
from module_utils.direct_lvm.plan import plan

KEEP = WANTED._replace(containers="keep")
NUMBER = BUSYBOX.id.rpartition(":")[2]
DB = KeptContainer("d" * 64, "db", BUSYBOX.id, "overlay2", running=True)
APP = KeptContainer(WEB.id, "web", BUSYBOX.id, "overlay2", running=True, needs=(DB.id,))
OLD = KeptContainer("a" * 64, "old", BUSYBOX.id, "overlay2")
LIVE = Live(
    (APP, DB, OLD), program="/usr/sbin/dockerd", containerd="/run/containerd/containerd.sock", free=10**12, unique=BUSYBOX.size
)
ALL_IDS = (APP.id, DB.id, OLD.id)
HELD = Content(("overlay2/" + NUMBER,), (), ALL_IDS)
SERVES = FRESH._replace(images=(BUSYBOX,), containers=(WEB,), content=HELD, live=LIVE, root_state=("overlay2", "image/overlay2"))
ASIDE = ("devicemapper" + OURS, "image/devicemapper" + OURS)
FILLED = SERVES._replace(
    content=HELD._replace(images=HELD.images + ("devicemapper%s/%s" % (OURS, NUMBER),)),
    live=LIVE._replace(layers=ALL_IDS, shadow="idle", known=ALL_IDS),
    root_state=SERVES.root_state + ASIDE,
    transaction=7,
)
UNFINISHED = SERVES._replace(
    live=LIVE._replace(shadow="unfinished"), root_state=SERVES.root_state + (SHADOW, "image/devicemapper" + OURS)
)
KEPT = ((APP.id, "running"), (DB.id, "running"), (OLD.id, ""))
BEGUN = SwitchRecord("begun", "overlay2", kept=KEPT)
THERE = ON_POOL._replace(containers=3)
MOVED = tuple(one._replace(driver="devicemapper") for one in (APP, DB, OLD))
ALL = " ".join(ALL_IDS)

FILL = ["images " + BUSYBOX.id, "docker images"]
STOPS = ["docker --host unix:///var/run/docker.sock stop " + one.id for one in (APP, DB)]
STARTS = ["docker --host unix:///var/run/docker.sock start " + one.id for one in (DB, APP)]
LAST = [*STARTS, "remove /var/lib/docker/direct-lvm-shadow", RECORD]
MOVES = ["move /var/lib/docker/%s%s /var/lib/docker/%s" % (name, OURS, name) for name in ("image/devicemapper", "devicemapper")]
SECTION = [
    "space for " + DROPIN,
    "what Docker holds",
    RECORD,
    *STOPS,
    STOP,
    "what Docker holds",
    "containers " + ALL,
    "copy /var/lib/docker/image/overlay2",
    "containers " + ALL,
    *MOVES,
    DROPIN,
    "systemctl daemon-reload",
    "systemctl reset-failed docker.service",
    "systemctl start docker.socket docker.service",
    "docker info",
    "docker images, docker ps",
    *LAST,
]
WIPE = [
    "dmsetup remove --retry (each thin device of vgdocker-thinpool)",
    "lvremove --yes vgdocker/thinpool",
    *["remove /var/lib/docker/" + name for name in ("direct-lvm-shadow", ASIDE[1], ASIDE[0])],
    "docker images",
]


def test_the_pool_is_filled_first_and_containers_stop_last_and_start_in_order():
    assert due(SERVES, KEEP) == FILL + SECTION


def test_a_container_has_the_time_that_it_was_given_to_end():
    records = (APP._replace(stop_timeout=900), DB, OLD)
    planned = plan.plan(states.spec()._replace(docker=KEEP), host(SERVES._replace(live=LIVE._replace(records=records)))).steps
    stops = [step for step in planned[-1].steps if getattr(step, "argv", ())[3:4] == ("stop",)]
    assert [step.timeout for step in stops] == [120 + 900, 120 + 10]


@pytest.mark.parametrize(
    ("docker", "first"),
    [
        (FILLED, SECTION[0]),
        (FILLED._replace(live=FILLED.live._replace(shadow="used")), "images "),  # layers are made anew
        (FILLED._replace(live=FILLED.live._replace(layers=(APP.id, DB.id))), "images "),
        (FILLED._replace(live=FILLED.live._replace(layers=(*ALL_IDS, "f" * 64), known=(*ALL_IDS, "f" * 64))), "images "),
        (FILLED._replace(content=FILLED.content._replace(images=("devicemapper%s/%s" % (OURS, "9" * 64), *HELD.images))), FILL[0]),
        (FILLED._replace(images=(BUSYBOX, DANGLING)), "images " + DANGLING.id),
    ],
    ids=["all-is-there", "layers-were-used", "a-container-more", "a-container-less", "an-image-less", "an-image-more"],
)
def test_what_the_pool_lacks_is_brought_first(docker, first):
    planned = due(docker, KEEP, used=3.0, transaction=7)
    assert planned[0].strip() == first.strip()
    assert planned[-len(SECTION) :] == SECTION


def test_what_a_killed_run_left_unfinished_is_made_anew():
    docker = UNFINISHED._replace(live=UNFINISHED.live._replace(transaction=8))
    assert due(docker, KEEP, used=3.0, transaction=7) == WIPE + FILL + SECTION


def test_it_is_made_anew_whatever_is_asked_of_containers():
    docker = UNFINISHED._replace(live=UNFINISHED.live._replace(transaction=7), containers=())
    assert due(docker, WANTED, used=3.0, transaction=7)[: len(WIPE)] == WIPE


@pytest.mark.parametrize(("own", "at"), [(7, 9), (9, 7), (None, 7)])
def test_a_pool_that_somebody_has_used_since_is_not_made_anew(own, at):
    docker = UNFINISHED._replace(live=UNFINISHED.live._replace(transaction=own))
    with pytest.raises(Refused, match="holds something else by now"):
        due(docker, KEEP, used=3.0, transaction=at)


@pytest.mark.parametrize(
    ("docker", "records"),
    [
        (FILLED._replace(former=BEGUN, info=None, unit=OFF, problem="docker.service is inactive"), LIVE.records),
        (FILLED._replace(former=BEGUN), (*MOVED[:1], *LIVE.records[1:])),
    ],
    ids=["down", "a-container-on-the-other-side"],
)
def test_after_a_cut_in_the_section_docker_serves_first_as_before(docker, records):
    planned = due(docker._replace(live=docker.live._replace(records=records)), KEEP, used=3.0, transaction=7)
    assert planned[0] == STOP
    assert planned[1] == "containers " + ALL
    assert planned[-len(STARTS) - 1 - len(SECTION) :] == [*STARTS, "docker images", *SECTION]  # so that hooks are run before


def test_on_the_pool_what_ran_is_started_and_the_switch_noted_as_done():
    records = (MOVED[0]._replace(running=False), MOVED[1], MOVED[2])
    docker = DONE._replace(info=THERE, former=BEGUN, live=LIVE._replace(records=records), content=HELD)
    assert due(docker, KEEP) == [STARTS[1], *LAST[-2:]]
    assert due(docker._replace(former=BEGUN._replace(state="done")), KEEP) == []


NOT = {
    "--rm": (DB._replace(removed_at_end=True), "(--rm): db."),
    "a swarm's": (DB._replace(task=True), "makes them anew by itself: db."),
    "of an image that is gone": (DB._replace(image="sha256:" + "9" * 64), "an image that is gone, so no file system can be made"),
    "a kubelet's": (DB._replace(pod=True), "kubelet makes them anew by itself: db."),
}


@pytest.mark.parametrize("case", NOT)
def test_what_cannot_come_along_is_refused_by_name(case):
    record, sentence = NOT[case]
    with pytest.raises(Refused) as refusal:
        due(SERVES._replace(live=LIVE._replace(records=(APP, record))), KEEP)
    assert sentence in refusal.value.what


OBSTACLES = {
    "an old version": (SERVES._replace(version="19.03.15"), "it needs Docker 20.10 to 24"),
    "no flag": (SERVES._replace(live=LIVE._replace(lacks=("--bridge",))), "dockerd has no --bridge"),
    "rolled back": (FILLED._replace(live=LIVE._replace(layers=(APP.id,))), "an earlier rollback has left"),
    "another's layer": (FILLED._replace(live=FILLED.live._replace(layers=("f" * 64,))), "an earlier rollback has left"),
    "userns": (SERVES._replace(root="/var/lib/docker/165536.165536"), "userns-remap"),
    "loop files": (SERVES._replace(info=SERVES.info._replace(driver="vfs")), "Docker is on vfs"),
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_where_containers_cannot_be_kept_they_are_refused_with_the_reason(case):
    docker, sentence = OBSTACLES[case]
    with pytest.raises(Refused) as refusal:
        due(docker, KEEP, transaction=7)
    assert "cannot cross storage drivers (" in refusal.value.what
    assert sentence in refusal.value.what


def test_of_names_by_digest_nothing_is_lost_and_nothing_is_warned_of():
    digest = "app@sha256:" + "5" * 64
    for wanted, warned in ((KEEP, False), (WANTED, True)):
        docker = SERVES._replace(nameless=(digest,), containers=(), live=LIVE._replace(records=()) if wanted == KEEP else None)
        planned = plan.plan(states.spec()._replace(docker=wanted), host(docker))
        assert any(digest in sentence for sentence in planned.warnings) == warned
        assert planned.between


def test_room_for_what_docker_writes_meanwhile_is_asked_for():
    with pytest.raises(Refused) as refusal:
        due(SERVES._replace(live=LIVE._replace(free=2 * BUSYBOX.size - 1)), KEEP)
    assert "/var/lib/docker/tmp" in refusal.value.what


def test_on_the_way_back_containers_are_refused():
    docker = DONE._replace(containers=(WEB,), info=THERE, live=LIVE._replace(records=MOVED), content=HELD)
    with pytest.raises(Refused) as refusal:
        due(docker, KEEP, goal=ROLL_BACK)
    assert "on the way to the pool only" in refusal.value.what


@pytest.mark.parametrize("containers", ["keep", "refuse", "discard"])
def test_whatever_is_asked_after_a_cut_docker_has_all_containers_first(containers):
    docker = FILLED._replace(former=BEGUN, live=FILLED.live._replace(records=MOVED))
    assert due(docker, WANTED._replace(containers=containers), used=3.0, transaction=7)[:2] == [STOP, "containers " + ALL]


def test_containers_that_a_cut_off_run_has_stopped_are_started_by_the_next_one():
    down = tuple(one._replace(running=False) for one in LIVE.records)
    docker = FILLED._replace(former=BEGUN, live=FILLED.live._replace(records=down))
    assert due(docker, KEEP, used=3.0, transaction=7) == SECTION
    planned = plan.plan(states.spec()._replace(docker=KEEP), host(docker, used=3.0, transaction=7)).steps
    assert '"running"' in planned[-1].last[-1].text


@pytest.mark.parametrize("torn", [True, False])
def test_a_rollback_after_a_cut_leaves_docker_with_its_containers_where_it_was(torn):
    down = tuple(one._replace(running=False) for one in (MOVED if torn else LIVE.records))
    docker = FILLED._replace(former=BEGUN, live=FILLED.live._replace(records=down))
    planned = due(docker, WANTED, goal=ROLL_BACK, used=3.0, transaction=7)
    assert (planned[:2] == [STOP, "containers " + ALL]) == torn
    assert planned[-3:] == [*STARTS, RECORD]


def test_a_pool_is_not_full_of_what_was_brought_there():
    large = BUSYBOX._replace(size=20 * 1024**3)
    docker = FILLED._replace(images=(large,))
    assert due(docker, KEEP, used=80.0, transaction=7) == SECTION


def test_a_container_that_does_not_fit_into_its_file_system_is_refused_before_anything_is_stopped():
    docker = SERVES._replace(live=LIVE._replace(written=((DB.id, 10 * 1024**3),)))
    with pytest.raises(Refused, match="container db and its image have more than"):
        due(docker, KEEP)
    due(docker, KEEP._replace(options=(("dm.basesize", "30G"),)))


def test_what_containers_wrote_has_to_fit_into_the_pool_too():
    written = tuple((one.id, 9 * 1024**3) for one in LIVE.records)
    options = (("dm.basesize", "30G"),)
    with pytest.raises(Refused, match="what its containers wrote need 29.70g of pool vgdocker/thinpool, which has 28.50g free"):
        due(SERVES._replace(live=LIVE._replace(written=written)), KEEP._replace(options=options))
    due(FILLED._replace(live=FILLED.live._replace(written=written)), KEEP._replace(options=options), used=90.0, transaction=7)


def test_the_second_daemons_folder_never_has_dockers_own_pool_removed():
    state = SERVES.root_state + ("devicemapper", "direct-lvm-shadow")
    live = LIVE._replace(shadow="unfinished", transaction=7)
    docker = SERVES._replace(live=live, root_state=state, transaction=7)
    assert not any(line.startswith("lvremove") for line in due(docker, KEEP, used=3.0, transaction=7))


TO_POOL = [STOP, "containers " + ALL, DROPIN, "systemctl daemon-reload", "systemctl reset-failed docker.service"]
TO_POOL += ["systemctl start docker.socket docker.service", "docker info", *STARTS, "docker images"]
THERE_AND_DOWN = FILLED._replace(
    info=None, unit=OFF, problem="docker.service is inactive", former=BEGUN, dropin_text=TEXT, root_state=("devicemapper",)
)


@pytest.mark.parametrize("goal", [PROVISION, ROLL_BACK])
@pytest.mark.parametrize(
    ("docker", "records"),
    [
        (THERE_AND_DOWN, MOVED),
        (DONE._replace(info=THERE, former=BEGUN, live=LIVE, content=HELD), (*LIVE.records[:1], *MOVED[1:])),
    ],
    ids=["down-and-set-up-for-the-pool", "on-the-pool-and-a-container-hidden"],
)
def test_containers_that_may_have_written_on_the_pool_since_stay_there(docker, records, goal):
    """The switch was complete but for its record, or was being taken back: what is on overlay2 may be old by now."""
    planned = due(docker._replace(live=LIVE._replace(records=records)), KEEP, goal=goal, used=3.0, transaction=7)
    assert [line for line in planned if line != "space for " + DROPIN] == TO_POOL


def test_a_docker_that_does_not_start_on_the_pool_goes_without_it_only_when_that_is_asked_for():
    wanted = WANTED._replace(containers="discard")
    planned = due(THERE_AND_DOWN, wanted, goal=ROLL_BACK, used=3.0, transaction=7)
    seen = [line for line in planned if line in (STOP, "containers " + ALL, DROPIN)]
    assert seen == [STOP, "containers " + ALL, DROPIN]
    assert planned[-3:] == [*STARTS, RECORD]
    steps = plan.plan(states.spec()._replace(docker=KEEP), host(THERE_AND_DOWN, used=3.0, transaction=7)).steps
    said = [step.if_it_fails for step in steps if getattr(step, "argv", ())[:2] == ("systemctl", "start")]
    assert "rollback.yml -e docker_storage_containers=discard" in said[0]


def test_a_docker_that_runs_and_does_not_answer_is_not_moved():
    docker = FILLED._replace(former=BEGUN, info=None, problem="docker info: timed out")
    for goal in (PROVISION, ROLL_BACK):
        with pytest.raises(Refused, match="runs and does not answer"):
            due(docker, KEEP, goal=goal, used=3.0, transaction=7)


@pytest.mark.parametrize("docker", [FILLED._replace(former=BEGUN, info=None, unit=OFF), UNFINISHED], ids=["down", "unfinished"])
def test_what_is_refused_comes_after_docker_serves_and_what_fills_the_disk_is_gone(docker):
    records = (APP, DB._replace(removed_at_end=True))
    live = docker.live._replace(records=records, transaction=7)
    planned = plan.plan(states.spec()._replace(docker=KEEP), host(docker._replace(live=live), used=3.0, transaction=7)).steps
    assert isinstance(planned[-1], Replan)
    assert not any(hasattr(step, "way_back") for step in planned)


def test_another_switch_forgets_which_containers_came_along_with_the_one_before():
    docker = DONE._replace(info=THERE, former=BEGUN._replace(state="done"), containers=(), images=(BUSYBOX,))
    planned = plan.plan(states.spec()._replace(docker=WANTED, goal=ROLL_BACK), host(docker, used=3.0, transaction=7)).steps
    records = [step.text for step in planned if getattr(step, "path", "") == RECORD]
    assert [text.count("running") for text in records] == [0] * 2


def test_an_archived_switch_that_was_cut_off_is_not_gone_on_with_as_one_that_keeps():
    docker = SERVES._replace(former=BEGUN._replace(kept=(), pending=(BUSYBOX,)), info=None, unit=OFF, containers=())
    docker = docker._replace(images=(), live=LIVE._replace(records=()))
    assert "load " + BUSYBOX.id in due(docker, KEEP)


def test_after_a_rollback_what_is_unfinished_on_the_pool_stays_known():
    docker = UNFINISHED._replace(former=BEGUN._replace(state="back"))
    assert due(docker, WANTED, goal=ROLL_BACK, used=3.0, transaction=7) == []
