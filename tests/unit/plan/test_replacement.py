"""Disks that leave the VG: what is done in each state that a run, a kill or a power cut leaves."""

import pytest
import states
from planned_steps import expect, shown
from pools_on_disks import NEW, pool_on

from module_utils.direct_lvm.apply import apply, report
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Docker
from module_utils.direct_lvm.model.names import ADOPTED_TAG, TAG
from module_utils.direct_lvm.model.spec import GOALS, GROW, REPLACE, DockerStorage
from module_utils.direct_lvm.model.steps import UntilMoved
from module_utils.direct_lvm.plan import plan, replacement

PVCREATE, VGEXTEND = "pvcreate --uuid new --norestorefile /dev/vdc", "vgextend vgdocker /dev/vdc"
BEGIN = "pvmove --background --interval 5 /dev/vdb /dev/vdc"
GO_ON = "pvmove --background --interval 5 /dev/vdb"
ACTIVATE, MONITOR = "lvchange --activate y vgdocker/thinpool", "lvchange --monitor y vgdocker/thinpool"
MOVED = "until /dev/vdb has moved"
ZERO = "dd if=/dev/zero of=/dev/vdb bs=1M count=1 seek=%d oflag=seek_bytes conv=notrunc,fsync"
AWAY = ["vgreduce vgdocker /dev/vdb", "pvremove /dev/vdb", ZERO % (30 * states.GIB - 2**20), ZERO % 0]


def spec(**changes):
    """Only the new disk is wanted."""
    return states.spec(**dict({"devices": (NEW,), "replace": True}, **changes))


def due(host, wanted=None):
    """The steps as short lines."""
    lines = []
    for line, step in zip(report.describe(plan.plan(wanted or spec(), host).steps), plan.plan(wanted or spec(), host).steps):
        lines.append("until %s has moved" % step.device if isinstance(step, UntilMoved) else " ".join(line.get("argv", ())))
    return lines


@pytest.mark.parametrize(
    ("host", "steps"),
    [
        (pool_on("/dev/vdb"), [PVCREATE, VGEXTEND, BEGIN, MOVED, *AWAY]),
        (pool_on("/dev/vdb", NEW), [BEGIN, MOVED, *AWAY]),
        (pool_on("/dev/vdb", NEW, moving=40.0), [GO_ON, MOVED, *AWAY]),
        (pool_on("/dev/vdb", NEW, moving=40.0, active=False), [GO_ON, ACTIVATE, MOVED, *AWAY, ACTIVATE, MONITOR]),
        (pool_on("/dev/vdb", NEW, moving=None), [BEGIN, MOVED, *AWAY]),
        (pool_on(NEW, "/dev/vdb"), AWAY),
        (pool_on(NEW, orphans=("/dev/vdb",)), AWAY[1:]),
        (pool_on(NEW), []),
        (
            pool_on("/dev/vdb", "/dev/vdd", NEW, moving=40.0),
            [GO_ON, MOVED, *AWAY, BEGIN.replace("vdb", "vdd"), MOVED.replace("vdb", "vdd")]
            + [line.replace("vdb", "vdd") for line in AWAY],
        ),
        (pool_on("/dev/vdd", "/dev/vdb", NEW), None),
    ],
    ids=[
        "new-disk-blank",
        "new-disk-in-the-vg",
        "cut-off-in-the-move",
        "power-cut-in-the-move",
        "cut-off-before-the-move",
        "cut-off-after-the-move",
        "cut-off-after-vgreduce",
        "done",
        "two-leave-and-the-first-moves-to-the-second",
        "two-leave-and-one-is-empty",
    ],
)
def test_what_is_due(host, steps):
    if steps is None:
        away = [line.replace("vdb", "vdd") for line in (BEGIN, MOVED, *AWAY)]
        assert sorted(due(host)) == sorted(away + AWAY)
    else:
        assert due(host) == steps


def test_a_larger_disk_makes_the_pool_larger_once_the_old_one_is_out():
    lines = due(pool_on("/dev/vdb", size=60))
    assert lines[:8] == [PVCREATE, VGEXTEND, BEGIN, MOVED, *AWAY]
    assert [line.split()[0] for line in lines[8:]] == ["lvextend", "lvextend"]


def tagged(*tags):
    """The pool in a VG that others made."""
    host = pool_on("/dev/vdb")
    return host._replace(lvm=host.lvm._replace(vgs=(host.lvm.vgs[0]._replace(tags=tags),)))


@pytest.mark.parametrize(
    ("wanted", "host", "words"),
    [
        (spec(), pool_on("/dev/vdb", size=20), ["7447 extents", "/dev/vdc", "have 5119 free", "Add a disk of at least"]),
        (spec(replace=False), pool_on("/dev/vdb"), ["may have given the disks other names", "thin_pool_devices: [/dev/vdb]"]),
        (
            spec(replace=False),
            pool_on("/dev/vdb", NEW),
            ["is never taken out silently", "playbooks/replace.yml", "pvmove /dev/vdb &&"],
        ),
        (spec(replace=False), pool_on("/dev/vdb", NEW, moving=40.0), ["is never taken out silently"]),
        (
            spec(devices=(NEW,), replace=False, adopt_vg=True),
            pool_on("/dev/vdb", NEW, moving=40.0, profile=None),
            ["a pvmove from /dev/vdb is under way in VG vgdocker (40.0 %)", "pvmove --abort /dev/vdb"],
        ),
        (spec(adopt_vg=True), tagged(), ["VG vgdocker was adopted", "left alone", "pvmove /dev/vdb &&"]),
        (spec(), tagged(TAG, ADOPTED_TAG), ["VG vgdocker was adopted"]),
    ],
    ids=[
        "no-room",
        "not-asked-for-and-another-is-named",
        "not-asked-for",
        "not-asked-for-while-it-moves",
        "somebody-elses-move",
        "somebody-elses-disk",
        "somebody-elses-disk-in-a-vg-adopted-before",
    ],
)
def test_refused(wanted, host, words):
    for word in words:
        expect(wanted, host, word)


def filled(host, **percents):
    """The same host with its pool that full."""
    lvs = tuple(lv._replace(**percents) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs))


@pytest.mark.parametrize(
    ("percents", "words"),
    [
        ({"data_percent": 80.1}, ["data of pool vgdocker/thinpool is 80.1 % full, above its threshold of 80 %"]),
        ({"metadata_percent": 91.0}, ["metadata of pool vgdocker/thinpool is 91.0 % full"]),
        ({"data_percent": 81.0}, ['grow.yml -e \'{"thin_pool_devices": ["/dev/vdb", "/dev/vdc"]}\'']),
    ],
    ids=["data", "metadata", "the-way-out"],
)
def test_a_pool_that_is_due_to_grow_is_not_moved(percents, words):
    for word in words:
        expect(spec(), filled(pool_on("/dev/vdb"), **percents), word)


def test_a_move_under_way_goes_on_whatever_the_pool_holds():
    assert due(filled(pool_on("/dev/vdb", NEW, moving=40.0), data_percent=95.0)) == [GO_ON, MOVED, *AWAY]


def test_a_pool_that_nobody_extends_is_moved_however_full():
    host = filled(pool_on("/dev/vdb"), data_percent=95.0)
    assert BEGIN in due(host, spec(autoextend_threshold=100))


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (pool_on("/dev/vdb"), True),
        (pool_on("/dev/vdb", NEW, moving=40.0), True),
        (pool_on(NEW, "/dev/vdb"), False),
        (pool_on(NEW), False),
    ],
    ids=["to-be-emptied", "being-emptied", "empty", "out"],
)
def test_that_it_cannot_grow_meanwhile_is_told(host, told):
    found = [
        sentence for sentence in plan.plan(spec(), filled(host, data_percent=40.0)).warnings if "cannot grow while" in sentence
    ]
    assert len(found) == told
    assert all("/dev/vdb is emptied" in sentence and "data are 40.0 % full" in sentence for sentence in found)
    assert replacement.warning(spec(replace=False, adopt_vg=True).pool, host) is None


def test_somebody_elses_move_is_no_reason_when_nothing_is_due():
    host = pool_on("/dev/vdb", NEW, moving=40.0)
    vg = host.lvm.vgs[0]._replace(extents=7679, free=0)  # so that the pool has its size
    host = host._replace(lvm=host.lvm._replace(vgs=(vg,)))
    assert shown(plan.plan(spec(replace=False, adopt_vg=True), host).steps) == []


def test_the_run_ends_well_where_a_move_has_to_be_waited_for():
    done = apply.Done()
    assert apply.execute((UntilMoved("/dev/vdb", "test"), "never reached"), done)
    assert done == []


@pytest.mark.parametrize("goal", GOALS)
def test_only_a_pool_that_exists_can_grow_or_lose_a_disk(goal):
    blank = states.host("bookworm", "00-blank")
    try:
        plan.plan(spec()._replace(goal=goal, docker=DockerStorage("auto", "")), blank._replace(docker=Docker(None)))
    except Refused as refusal:
        needs = refusal.what == "There is no pool vgdocker/thinpool."
    else:
        needs = False
    assert needs == (goal in (GROW, REPLACE))
