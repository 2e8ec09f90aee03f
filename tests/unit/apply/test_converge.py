"""A whole run: planned anew while Docker's content changes, a bounded number of times, and what the answer holds."""

import pytest
import states

from module_utils.direct_lvm.apply import apply, converge, report
from module_utils.direct_lvm.model.errors import Changed, CommandFailed, Refused
from module_utils.direct_lvm.model.host import Container, Disk, Image
from module_utils.direct_lvm.model.plan import Plan
from module_utils.direct_lvm.model.spec import DockerStorage
from module_utils.direct_lvm.model.steps import (
    REPAIR,
    ArchiveImage,
    AssertBlank,
    Command,
    KeepContainer,
    LoadImage,
    Transaction,
    UntilMoved,
    WriteFile,
)
from module_utils.direct_lvm.plan import plan

DUE = Command(("true",), "test")
WRITTEN = WriteFile("/nowhere/x", "new\n", "test")
NEWS = Changed("Docker holds something else than when it was looked at: container web.", "docker events")


class Machine:
    """Stands in for the parts of a run. plans: what each look finds due; outcomes: what each attempt ends with."""

    def __init__(self, monkeypatch, plans, outcomes=()):
        self.plans, self.outcomes, self.looks = list(plans), list(outcomes), 0
        monkeypatch.setattr(converge, "observe", self.observe)
        monkeypatch.setattr(converge, "ask_settings", lambda *_given: None)
        monkeypatch.setattr(converge, "lsblk", lambda: {"vdb": "disk"})
        monkeypatch.setattr(converge, "is_moving", lambda: pytest.fail("no move is under way"))
        monkeypatch.setattr(plan, "plan", self.plan)
        monkeypatch.setattr(apply, "execute", self.execute)

    def observe(self, _spec):
        self.looks += 1
        return states.host("bookworm", "00-blank")._replace(settings=object())

    def plan(self, _spec, _host):
        step = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        if isinstance(step, Exception):
            raise step
        return Plan(step, ("a warning",))

    def execute(self, steps, done):
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, Exception):
            raise outcome
        done.extend(report.flat(steps))
        return outcome


def run(docker=None, **given):
    result = {}
    return converge.converge(states.spec()._replace(docker=docker), result, **given), result


def test_a_run_in_which_nothing_changes_looks_twice(monkeypatch):
    machine = Machine(monkeypatch, [(DUE,), ()])
    warnings, result = run()
    assert (machine.looks, result["changed"], result["begun"], warnings) == (2, True, True, ("a warning",))
    assert (result["roles"], result["host"]["block_devices"]) == ([], {"vdb": "disk"})
    assert result["before"] == {"engine": None, "pool": None, "docker": None}


def test_what_was_told_of_a_step_that_is_still_needed_is_in_the_failure(monkeypatch):
    Machine(monkeypatch, [(DUE,), (WRITTEN,)])
    monkeypatch.setattr(apply, "execute", lambda _steps, done: done.sentences.append("what was to follow failed: no space"))
    with pytest.raises(Refused, match="still needed: test\nwhat was to follow failed: no space"):
        run()


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_host_in_the_desired_state_is_looked_at_once(monkeypatch, check_mode):
    machine = Machine(monkeypatch, [()])
    result = run(check_mode=check_mode, plan_only_for=["any"])[1]
    assert (machine.looks, result["changed"], result["steps"], result["roles"]) == (1, False, [], [])
    assert result["host"]["block_devices"] is None


IMAGE = Image("sha256:" + "1" * 64, ("app:1",), 7)
SWITCH = Transaction((DUE,), (), "test")
LEFT = [  # steps, plan_only_for, whether they are left to a later call
    ((DUE,), [], False),
    ((DUE,), ["any"], True),
    ((DUE, SWITCH), ["long_steps"], False),
    ((DUE, SWITCH), ["long_steps", "docker_restart"], True),
    ((DUE, SWITCH._replace(service="containerd")), ["long_steps", "docker_restart"], False),
    ((ArchiveImage("unix:///x", IMAGE, "/x", "test"),), ["long_steps"], True),
    ((LoadImage("unix:///x", IMAGE, "/x", True, "test"),), ["long_steps"], True),
    ((KeepContainer("unix:///x", Container("c1", "web", "app:1", "Up", True), "/x", False, "test"),), ["long_steps"], True),
    ((UntilMoved("/dev/sdb", "test"),), ["long_steps"], True),
    ((UntilMoved("/dev/sdb", "test"),), ["docker_restart"], False),
]


@pytest.mark.parametrize(("steps", "only", "left"), LEFT)
def test_steps_that_are_left_to_a_later_call_change_nothing(monkeypatch, steps, only, left):
    Machine(monkeypatch, [steps, ()])
    result = run(plan_only_for=only)[1]
    assert (result["changed"], result.get("begun", False)) == (not left, not left)
    assert [step["why"] for step in result["steps"]] == ["test"] * len(steps)
    assert result["roles"] == (["thin_pool"] if left else [])


@pytest.mark.parametrize("given", [{"check_mode": True}, {"plan_only_for": ["any"]}])
def test_a_device_that_is_in_use_is_refused_with_the_plan(monkeypatch, tmp_path, given):
    Machine(monkeypatch, [(AssertBlank(str(tmp_path), "test"),)])
    monkeypatch.setattr(apply.disks, "observe_disk", lambda path: Disk(path, path, in_use="it is mounted"))
    with pytest.raises(Refused, match="is not blank: it is mounted"):
        run(**given)


def test_in_check_mode_what_a_run_would_leave_is_no_change_of_its_own(monkeypatch):
    Machine(monkeypatch, [(DUE,)])
    changed = [run(check_mode=True, plan_only_for=only)[1]["changed"] for only in ([], ["any"], ["long_steps"])]
    assert changed == [True, False, True]


@pytest.mark.parametrize("outcome", [CommandFailed(["pvcreate"], "ended with 5"), Refused("it is in use", "lsblk")])
def test_a_failure_of_the_first_step_is_no_host_that_was_left_as_it_was(monkeypatch, outcome):
    Machine(monkeypatch, [(DUE,)], [outcome])
    result = {}
    with pytest.raises(type(outcome)):
        converge.converge(states.spec(), result)
    assert (result["begun"], result["changed"]) == (True, False)


def test_a_refusal_before_the_first_step_is(monkeypatch):
    Machine(monkeypatch, [Refused("it is in use", "lsblk")])
    result = {}
    with pytest.raises(Refused):
        converge.converge(states.spec(), result)
    assert "begun" not in result


@pytest.mark.parametrize("kind", ["command", REPAIR])
def test_it_is_told_whether_metadata_were_repaired(monkeypatch, kind):
    Machine(monkeypatch, [(DUE, DUE._replace(kind=kind)), ()])
    _warnings, result = run()
    assert result["repaired"] == (kind == REPAIR)


@pytest.mark.parametrize("outcomes", [[NEWS], [NEWS, False], [NEWS] * 4], ids=["once", "then-planned-anew", "often"])
def test_what_changes_meanwhile_is_planned_anew(monkeypatch, outcomes):
    machine = Machine(monkeypatch, [(DUE,)] * (len(outcomes) + 1) + [()], outcomes)
    _warnings, result = run()
    assert result["changed"]
    assert machine.looks == len(outcomes) + 2


def test_after_some_rounds_it_is_told_what_keeps_coming(monkeypatch):
    Machine(monkeypatch, [(DUE,)], [NEWS] * 9)
    with pytest.raises(Refused, match="in each of 5 rounds; Docker serves as before.* container web") as told:
        run()
    assert told.value.way_out == "docker events"
    assert not isinstance(told.value, Changed)


def test_what_is_new_and_refused_is_told_with_both_sentences(monkeypatch):
    Machine(monkeypatch, [(DUE,), Refused("Docker holds 1 container.", "docker rm")], [NEWS])
    with pytest.raises(Refused, match="container web.\nDocker serves as before. Docker holds 1 container.") as told:
        run()
    assert told.value.way_out == "docker rm"


def test_a_refusal_of_a_plan_that_was_asked_to_be_made_anew_stays_as_it_is(monkeypatch):
    Machine(monkeypatch, [(DUE,), Refused("Docker holds 1 container.", "docker rm")], [False])
    with pytest.raises(Refused, match=r"\ADocker holds 1 container\."):
        run()


@pytest.mark.parametrize("with_diff", [True, False])
def test_the_diff_is_returned_when_it_is_asked_for(monkeypatch, with_diff):
    Machine(monkeypatch, [(WRITTEN,)])
    _warnings, result = run(check_mode=True, with_diff=with_diff)
    assert [part["after"] for part in result.get("diff", ())] == (["new\n"] if with_diff else [])


def test_images_that_another_call_loads_are_named(monkeypatch):
    Machine(monkeypatch, [(DUE, LoadImage("unix:///x", IMAGE, "/x", True, "load app:1"))])
    _warnings, result = run(docker=DockerStorage("auto", "", load_images=False), check_mode=True)
    assert result["loads"] == [{"kind": "load_image", "load": IMAGE.id, "why": "load app:1"}]
    assert run(docker=DockerStorage("auto", ""), check_mode=True)[1]["loads"] == []  # this call loads them itself
