"""Docker's half of the planner: when it may change its storage, with which steps, and when it is left alone."""

import re

import pytest
import states
from docker_hosts import (
    ARCHIVE,
    BATCH,
    BUSYBOX,
    CORE,
    DANGLING,
    DONE,
    DROPIN,
    EARLY,
    FRESH,
    JSON,
    JSON_TEXT,
    LOAD,
    LOOP,
    OFF,
    OLD_POOL,
    RECORD,
    SAME,
    SETTINGS,
    STOP,
    TEXT,
    UNIT,
    VENDOR,
    WANTED,
    WEB,
    due,
    host,
    lines,
)

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Docker, Image, SwitchRecord
from module_utils.direct_lvm.model.names import MANAGED
from module_utils.direct_lvm.model.steps import Transaction
from module_utils.direct_lvm.plan import plan

STARTED = next(line for line in TEXT.splitlines() if VENDOR in line).partition("=")[2].split()
DOWN = DONE._replace(info=None, problem="docker.service is failed", unit=OFF, root_state=("devicemapper", "image/devicemapper"))
STOPPED = FRESH._replace(info=None, problem="docker.service is inactive", unit=OFF)

FITS = "space for " + DROPIN
RESTART = [STOP, DROPIN, *CORE]  # with folders to set aside, or daemon.json to write
SWITCH = [RECORD, *EARLY, RECORD]
AGAIN = [*EARLY, "docker ps"]  # and what ran while nobody knew of it


def aside(*names):
    return ["move /var/lib/docker/{0} /var/lib/docker/{0}.before-direct-lvm".format(name) for name in names]


def back_in(*names):
    return ["move /var/lib/docker/{0}.direct-lvm /var/lib/docker/{0}".format(name) for name in names]


def in_between(number, *names):
    return ["move /var/lib/docker/{0} /var/lib/docker/{0}.in-between-{1}".format(name, number) for name in names]


FORMERS = tuple(name + ".before-direct-lvm" for name in SAME)
PARKED = ("devicemapper.direct-lvm", "image/devicemapper.direct-lvm")


TABLE = [
    ("as-the-package-starts-it", FRESH, SWITCH),
    ("on-the-pool", DONE, []),
    ("on-the-pool-never-switched-by-us", DONE._replace(former=None), []),
    ("volumes-stay-where-they-are", FRESH._replace(volumes=("data",)), SWITCH),
    ("images-come-across", FRESH._replace(images=(BUSYBOX, DANGLING)), [*ARCHIVE, *SWITCH, *LOAD]),
    (
        "archives-that-are-there-are-verified",
        FRESH._replace(images=(BUSYBOX, DANGLING), archived=(BUSYBOX.id,)),
        [*ARCHIVE, *SWITCH, *LOAD],
    ),
    ("from-loop-lvm", FRESH._replace(info=LOOP), [FITS, RECORD, STOP, *aside(*SAME), *RESTART[1:], RECORD]),
    ("from-an-older-pool", FRESH._replace(info=OLD_POOL), [FITS, RECORD, STOP, *aside(*SAME), *RESTART[1:], RECORD]),
    (
        "left-over-loop-files-are-set-aside",
        FRESH._replace(root_state=("devicemapper", "devicemapper/loop", "overlay2")),
        [FITS, RECORD, STOP, *aside(*SAME[:2]), *RESTART[1:], RECORD],
    ),
    (
        "what-an-earlier-way-back-set-aside-comes-back",
        FRESH._replace(former=SwitchRecord("back", "overlay2"), root_state=PARKED),
        [FITS, RECORD, STOP, *back_in(*SAME[1::-1]), *RESTART[1:], RECORD],
    ),
    # A run that was cut off left the record: what it had archived is not asked of a daemon that is down.
    (
        "killed-after-stop",
        STOPPED._replace(former=SwitchRecord("begun", "overlay2", pending=(BUSYBOX, DANGLING))),
        [*SWITCH, *LOAD],
    ),
    ("killed-before-start", STOPPED._replace(former=SwitchRecord("begun", "overlay2"), dropin_text=TEXT), SWITCH),
    (
        "killed-in-the-middle-of-setting-aside",
        STOPPED._replace(former=SwitchRecord("begun", "devicemapper"), root_state=("devicemapper.before-direct-lvm", "containers")),
        [FITS, RECORD, STOP, *aside(*SAME), *RESTART[1:], RECORD],
    ),
    (
        "power-cut-then-docker-started-afresh",
        FRESH._replace(former=SwitchRecord("begun", "devicemapper", pending=(BUSYBOX,)), images=(DANGLING,)),
        [
            *(ARCHIVE[1], FITS, RECORD, STOP, *in_between(1, "overlay2", "image/overlay2"), *aside(*SAME), *RESTART[1:], RECORD),
            *("load " + DANGLING.id, "load " + BUSYBOX.id, RECORD),
        ],
    ),
    (
        "power-cut-then-docker-made-loop-files-for-the-second-time",
        FRESH._replace(
            info=LOOP,
            former=SwitchRecord("begun", "devicemapper", daemon_json='{"storage-driver": "devicemapper"}'),
            daemon_json='{"storage-driver": "devicemapper"}',
            root_state=("devicemapper", "devicemapper/loop", *FORMERS, "devicemapper.in-between-1"),
        ),
        [FITS, RECORD, STOP, *in_between(2, *SAME[::-1]), *aside(*SAME), *RESTART[1:], RECORD],
    ),
    ("killed-after-start", DONE._replace(former=SwitchRecord("begun", "overlay2", pending=(BUSYBOX, DANGLING))), LOAD),
    ("controller-lost-before-loading", DONE._replace(former=SwitchRecord("done", "overlay2", pending=(BUSYBOX, DANGLING))), LOAD),
    # The same pool with other settings: a restart, nothing moves.
    ("dropin-changed", DONE._replace(dropin_text=MANAGED + "\nolder\n"), AGAIN),
    ("vendor-command-has-changed", DONE._replace(unit=UNIT._replace(command="/usr/bin/dockerd")), AGAIN),
    ("systemd-has-not-read-it", DONE._replace(unit=UNIT._replace(need_reload=True)), AGAIN[1:]),
    (
        "killed-before-the-restart",
        DONE._replace(unit=UNIT._replace(arguments=("dockerd", "--storage-opt", "dm.fs=ext4"))),
        AGAIN[1:],
    ),
    ("started-with-what-is-wanted", DONE._replace(unit=UNIT._replace(arguments=tuple(STARTED))), []),
    (
        "on-the-pool-with-containers",
        DONE._replace(dropin_text="x", containers=(WEB,), images=(BUSYBOX,)),
        [*EARLY, "docker --host unix:///var/run/docker.sock start " + WEB.id],
    ),
    # The same, cut off after its stop: it comes up on the pool, whether its files were written or not.
    ("killed-between-stop-and-start", DOWN, AGAIN[1:]),
    ("killed-between-stop-and-start-after-cleanup", DOWN._replace(former=None), AGAIN[1:]),
    ("stopped-with-older-settings", DOWN._replace(dropin_text=TEXT + "\n# older\n"), AGAIN),
    (
        "failed-with-images-still-to-be-loaded",
        DOWN._replace(former=SwitchRecord("done", "overlay2", pending=(BUSYBOX, DANGLING))),
        [*AGAIN[1:], *LOAD],
    ),
    (
        "no-socket-unit",
        FRESH._replace(unit=UNIT._replace(socket_exists=False)),
        [s.replace("docker.socket ", "") for s in SWITCH],
    ),
]


@pytest.mark.parametrize(("docker", "steps"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_steps(docker, steps):
    assert due(docker) == steps


def test_on_a_blank_host_the_switch_comes_last():
    assert due(FRESH, state="00-blank")[-8:] == SWITCH


def unmonitored(there):
    lvs = tuple(lv._replace(monitored=False) if lv.segtype == "thin-pool" else lv for lv in there.lvm.lvs)
    return there._replace(lvm=there.lvm._replace(lvs=lvs))


@pytest.mark.parametrize(
    "drift",
    [lambda there: there._replace(profile_text=None), unmonitored],
    ids=["profile-is-gone", "pool-is-not-monitored"],
)
def test_what_has_drifted_of_the_pool_does_not_restart_a_docker_that_is_on_it(drift):
    steps = plan.plan(states.spec()._replace(docker=WANTED), drift(host(DONE))).steps
    assert steps
    assert not [step for step in steps if isinstance(step, Transaction)]


def test_a_docker_that_failed_with_its_pool_starts_once_that_is_active():
    there = host(DOWN)
    lvs = tuple(lv._replace(active=False, monitored=None) if lv.segtype == "thin-pool" else lv for lv in there.lvm.lvs)
    steps = lines(plan.plan(states.spec()._replace(docker=WANTED), there._replace(lvm=there.lvm._replace(lvs=lvs))).steps)
    assert "lvchange --activate y vgdocker/thinpool" in steps
    assert steps[-len(AGAIN) + 1 :] == AGAIN[1:]


def test_a_docker_that_is_down_does_not_start_on_a_pool_that_is_not_its_own():
    for used, transaction, at in ((0.0, 9, 0), (3.0, 8, 9), (3.0, None, 9)):
        bare = {} if transaction else {"root_state": ()}
        with pytest.raises(Refused, match="metadata"):
            due(DOWN._replace(transaction=transaction, **bare), used=used, transaction=at)
    assert STOP in due(DOWN._replace(transaction=9), used=3.0, transaction=9)


def test_settings_in_daemon_json_that_were_not_written_yet_start_docker_all_the_same():
    text = SETTINGS
    json_down = DOWN._replace(dropin_text=JSON_TEXT, daemon_json=text)
    assert due(json_down, JSON) == AGAIN[1:]
    older = json_down._replace(daemon_json=text.replace("]", ', "dm.fs=ext4"]'))
    assert due(older, JSON) == ["space for /etc/docker/daemon.json", STOP, "/etc/docker/daemon.json", *CORE, "docker ps"]


def test_archives_that_are_there_are_named_as_such_and_not_read_twice():
    there = host(FRESH._replace(images=(BUSYBOX, DANGLING), archived=(BUSYBOX.id,), archive_free=5 * 2**20))
    asked = [
        plan.plan(states.spec()._replace(docker=WANTED._replace(verify_archives=verify)), there).steps for verify in (True, False)
    ]
    assert [step.why.partition(" (")[0] for step in asked[0][:2]] == [
        "verify the archive of busybox:1, busybox:latest",
        "archive untagged sha256:dddddddddddd",
    ]
    assert asked[1] == asked[0][1:]


def test_loading_may_be_left_to_a_later_call():
    later = WANTED._replace(load_images=False)
    owed = DONE._replace(former=SwitchRecord("done", "overlay2", pending=(BUSYBOX,)))
    assert due(FRESH._replace(images=(BUSYBOX,)), later) == [ARCHIVE[0], *SWITCH]
    assert due(owed, later) == []
    assert due(owed) == [LOAD[0], RECORD]


REFUSED = [
    ("not-installed", Docker(None), "Docker is not installed"),
    ("docker-23", FRESH._replace(version="23.0.6"), "docker_storage_engine: devicemapper"),
    ("built-without-the-driver", FRESH._replace(can=False), "built without the devicemapper driver"),
    ("conflict", FRESH._replace(conflicts=("daemon.json says storage-driver",)), "daemon.json says storage-driver"),
    ("containers", FRESH._replace(containers=(WEB, BATCH)), "2 containers, which cannot cross storage drivers: web (busybox:1, Up"),
    ("no-space", FRESH._replace(images=(BUSYBOX,), archive_free=1000), "image_archive_dir"),
    ("larger-than-the-pool", FRESH._replace(images=(BUSYBOX._replace(size=40 * states.GIB),)), "Docker's images have 40.00g"),
    ("stopped-with-images", STOPPED._replace(root_state=("overlay2", "image/overlay2")), "image/overlay2"),
    ("went-back-and-stopped", DOWN._replace(former=SwitchRecord("back", "overlay2")), "image/devicemapper, which would be hidden"),
    (
        "set-up-for-another-pool-and-stopped",
        DOWN._replace(former=None, dropin_text=TEXT.replace("vgdocker-thinpool", "vgdocker-thinpool-2")),
        "image/devicemapper, which would be hidden",
    ),
    ("stopped-with-containers", STOPPED._replace(root_state=("containers",)), "systemctl start docker"),
    (
        "set-aside-twice",
        FRESH._replace(info=OLD_POOL, root_state=("devicemapper.before-direct-lvm",)),
        "playbooks/cleanup.yml",
    ),
]


@pytest.mark.parametrize(("docker", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(docker, sentence):
    with pytest.raises(Refused) as refusal:
        due(docker)
    assert sentence in str(refusal.value)


def test_images_that_may_share_what_does_not_fit_are_warned_of_and_come_across():
    """Forty images of 1.2 GB on one base of 1 GB have 9 GB; a pool of 28 GB takes them."""
    many = tuple(Image("sha256:%064x" % number, (), 1200 * 10**6) for number in range(40))
    there = host(FRESH._replace(images=many, least_bytes=9 * 10**9))
    spec = states.spec()._replace(docker=WANTED)
    assert lines(plan.plan(spec, there).steps)[40:48] == SWITCH
    (warning,) = [line for line in plan.plan(spec, there).warnings if "Docker's images" in line]
    assert "have 8.38g to 44.70g, depending on what they share; the pool has 28.50g free" in warning
    assert not [line for line in plan.plan(spec, host(DONE)).warnings if "Docker's images" in line]
    with pytest.raises(Refused, match="Docker's images have 37.25g when what they share is counted once"):
        plan.plan(spec, host(FRESH._replace(images=many, least_bytes=40 * 10**9)))


def test_docker_23_on_explicit_choice():
    assert due(FRESH._replace(version="23.0.6"), WANTED._replace(engine="devicemapper")) == SWITCH


def test_discarded_containers_are_kept_as_records_and_stopped():
    steps = due(FRESH._replace(containers=(WEB, BATCH)), WANTED._replace(containers="discard"))
    stop = "docker --host unix:///var/run/docker.sock stop " + WEB.id
    assert steps == ["keep " + WEB.id, "keep " + BATCH.id, FITS, RECORD, stop, *SWITCH[1:]]


def test_images_made_of_containers_are_planned_for_once_they_are_there():
    commit = WANTED._replace(containers="discard", commit_containers=True)
    steps = due(FRESH._replace(containers=(BATCH,)), commit)
    assert steps == ["keep " + BATCH.id, "docker images", *SWITCH]
    made = Image("sha256:" + "f" * 64, ("direct-lvm/batch:" + "e" * 12,), 10)
    steps = due(FRESH._replace(containers=(BATCH,), images=(made,)), commit)
    assert steps == ["keep " + BATCH.id, "archive " + made.id, *SWITCH, "load " + made.id, RECORD]


IN_PLACE = FRESH._replace(root_state=("devicemapper", "overlay2"))
LISTED = FRESH._replace(root_state=("overlay2", "image/devicemapper"))
PAIRS = [
    # name, Docker, percent of the pool used, the pool's transaction; what is said, None: the switch goes on
    ("empty-pool-no-metadata", FRESH, 0.0, None, None),
    ("used-pool-no-metadata", FRESH, 3.0, None, "there is no metadata for it"),
    ("used-pool-a-folder-without-metadata", IN_PLACE, 3.0, 9, "there is no metadata for it"),
    ("empty-pool-images-of-another", LISTED, 0.0, None, "images that it cannot run"),
    ("images-of-the-former-pool", LISTED._replace(info=OLD_POOL), 0.0, None, None),
    ("used-pool-loop-metadata", FRESH._replace(info=LOOP), 3.0, None, "there is no metadata for it"),
    ("empty-pool-and-a-folder-without-metadata", IN_PLACE, 0.0, None, None),
    ("empty-pool-metadata-of-another", IN_PLACE._replace(transaction=9), 0.0, 0, "those of another pool"),
    ("used-pool-its-metadata", IN_PLACE._replace(transaction=9), 3.0, 9, None),
    ("used-pool-killed-between-both", IN_PLACE._replace(transaction=10), 3.0, 9, None),
    ("used-pool-older-metadata", IN_PLACE._replace(transaction=8), 3.0, 9, "the metadata are older than the pool"),
    ("used-pool-newer-metadata", IN_PLACE._replace(transaction=12), 3.0, 9, "those of another pool"),
    ("pool-made-anew", FRESH._replace(root_state=PARKED, transaction=12), 0.0, 0, "devicemapper.direct-lvm.of-another-pool"),
    ("used-pool-metadata-set-aside", FRESH._replace(root_state=PARKED, transaction=12), 3.0, 12, None),
    ("old-pool-is-left-behind", FRESH._replace(info=OLD_POOL, root_state=("devicemapper",), transaction=40), 0.0, 0, None),
]


@pytest.mark.parametrize(("docker", "used", "at", "sentence"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_pool_and_metadata_go_together(docker, used, at, sentence):
    if sentence is None:
        assert STOP in due(docker, used=used, transaction=at)
    else:
        with pytest.raises(Refused, match=sentence) as refusal:
            due(docker, used=used, transaction=at)
        assert re.search("mv /|backup of /|from a backup", refusal.value.way_out)


def test_metadata_of_another_pool_go_aside_with_the_list_of_its_images():
    """Docker takes an image that is listed for loaded, and never gets its layers otherwise."""
    with pytest.raises(Refused) as refusal:
        due(FRESH._replace(root_state=PARKED, transaction=12), transaction=0)
    aside = ["mv /var/lib/docker/{0} /var/lib/docker/{0}.of-another-pool".format(name) for name in PARKED]
    assert refusal.value.way_out.splitlines()[1:] == aside


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (FRESH, ["remove.yml -e thin_pool_remove_data=true", "site.yml"]),
        (
            FRESH._replace(former=SwitchRecord("done", "overlay2")),
            ["rollback.yml -e docker_storage_containers=discard", "remove.yml -e thin_pool_remove_data=true", "site.yml"],
        ),
        (
            IN_PLACE._replace(transaction=8),
            [
                "remove.yml -e thin_pool_remove_data=true",
                "mv /var/lib/docker/devicemapper /var/lib/docker/devicemapper.of-another-pool",
                "mv /var/lib/docker/image/devicemapper /var/lib/docker/image/devicemapper.of-another-pool",
                "site.yml",
            ],
        ),
        (
            IN_PLACE._replace(transaction=8, former=SwitchRecord("done", "overlay2")),
            ["rollback.yml -e docker_storage_containers=discard", "remove.yml -e thin_pool_remove_data=true", "site.yml"],
        ),
    ],
    ids=["no-metadata", "no-metadata-of-a-switched-docker", "older-metadata", "older-metadata-of-a-switched-docker"],
)
def test_a_pool_whose_metadata_are_lost_is_made_afresh_by_the_lines_of_the_refusal(found, lines):
    with pytest.raises(Refused) as refusal:
        due(found, used=3.0, transaction=9)
    told = refusal.value.way_out.splitlines()[2:]
    assert [line.replace("ansible-playbook playbooks/", "") for line in told] == lines


def test_a_pool_that_containerd_has_is_not_shared():
    there = host(FRESH)._replace(snapshotter_pools=("vgdocker-thinpool",))
    with pytest.raises(Refused, match="two owners") as refusal:
        plan.plan(states.spec()._replace(docker=WANTED), there)
    assert "thin_pool_name: " in refusal.value.way_out
