"""What Docker holds is compared before and after its stop, and the names that there are where it goes are kept."""

import pytest
import states
from containerd_hosts import NEW, READY, both
from containerd_hosts import host as image_store_host
from docker_hosts import BUSYBOX, DONE, DROPIN, EARLY, FRESH, LOOP, OLD_POOL, RECORD, STOP, WANTED, due, host

from module_utils.direct_lvm.apply import report
from module_utils.direct_lvm.facts import docker_content
from module_utils.direct_lvm.model.host import Content, SwitchRecord
from module_utils.direct_lvm.model.steps import AssertContent, LoadImage
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import switch_record

HELD = "what Docker holds"
CONTENT = Content(("overlay2/" + "b" * 64,), (("overlay2", "busybox:1", BUSYBOX.id),), ("c" * 64,))
CHANGED_SETTINGS = DONE._replace(dropin_text="x", content=CONTENT)


def test_what_docker_holds_is_looked_at_right_before_its_stop_and_after_it():
    lines_of = due(FRESH._replace(content=CONTENT))
    assert lines_of == [HELD, RECORD, *EARLY[: EARLY.index(STOP) + 1], HELD, *EARLY[EARLY.index(STOP) + 1 :], RECORD]
    moved = due(FRESH._replace(info=LOOP, content=CONTENT))
    assert moved[:5] == ["space for " + DROPIN, HELD, RECORD, STOP, HELD]
    assert moved[5].startswith("move ")  # nothing is set aside before
    back = due(DONE._replace(former=SwitchRecord("done", "overlay2"), content=CONTENT, archive_free=10**12), goal="roll_back")
    assert back[: back.index(STOP) + 2] == [HELD, RECORD, STOP, HELD]


def test_what_containerd_has_from_an_earlier_switch_is_not_missed_by_a_look_that_does_not_ask_it(tmp_path, monkeypatch):
    """site.yml, rollback.yml, site.yml with Docker 26: containerd keeps its names, and the Docker that is left is on overlay2."""
    monkeypatch.setattr(docker_content, "PROC", str(tmp_path))
    monkeypatch.setattr(docker_content, "must_be_down", lambda pid: stopped.append(pid))
    stopped = []
    content = Content((), (("containerd", "busybox:1", BUSYBOX.id),))
    former = SwitchRecord("back", "overlay2")
    docker = NEW._replace(
        unit=NEW.unit._replace(main_pid=7), content=content, store=("/run/x.sock", "moby"), root=str(tmp_path), former=former
    )
    checks = [
        step for step in report.flat(plan.plan(both(), image_store_host(READY, docker)).steps) if isinstance(step, AssertContent)
    ]
    assert [step.stopped for step in checks] == [False, True]
    for step in checks:
        docker_content.check(step)
    assert stopped == [7]


def test_other_settings_hide_nothing_and_need_no_look():
    assert HELD not in due(CHANGED_SETTINGS)


NAMES = [  # situation, what names there are where Docker goes, Docker
    ("a-new-pool", (), FRESH._replace(content=CONTENT)),
    (
        "the-pool-again",
        (("old:1", "sha256:1"),),
        FRESH._replace(
            content=CONTENT._replace(names=(("devicemapper.direct-lvm", "old:1", "sha256:1"), *CONTENT.names)),
            root_state=("devicemapper.direct-lvm", "image/devicemapper.direct-lvm"),
        ),
    ),
    (
        "an-older-pools-own-list-is-not-the-new-pools",
        (),
        FRESH._replace(info=OLD_POOL, content=CONTENT._replace(names=(("devicemapper", "old:1", "sha256:1"),))),
    ),
]


@pytest.mark.parametrize(("names", "docker"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_the_record_has_the_names_that_there_are_where_docker_goes(names, docker):
    steps = plan.plan(states.spec()._replace(docker=WANTED), host(docker._replace(images=(BUSYBOX,), archive_free=10**12))).steps
    texts = [step.text for step in steps if getattr(step, "path", "") == switch_record.PATH]
    assert switch_record.parse(texts[0]).names == names
    assert [step.names for step in steps if isinstance(step, LoadImage)] == [names]


def test_the_record_of_the_way_back_has_the_names_of_the_former_storage():
    docker = DONE._replace(former=SwitchRecord("done", "overlay2"), content=CONTENT, archive_free=10**12)
    steps = plan.plan(states.spec()._replace(docker=WANTED, goal="roll_back"), host(docker)).steps
    texts = [step.text for step in steps if getattr(step, "path", "") == switch_record.PATH]
    assert switch_record.parse(texts[0]).names == (("busybox:1", BUSYBOX.id),)
