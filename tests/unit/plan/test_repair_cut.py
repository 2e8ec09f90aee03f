"""A repair that is cut off or fails at any of its commands, with a model of what LVM makes of each.

The model refuses what LVM refuses: a pool is not taken down under thin devices, nor activated while a part of it is, and
damaged metadata are neither activated nor checked while they are in use.
"""

import pytest
from damaged_pools import SPEC, docker, host, unit

from module_utils.direct_lvm.apply import apply, daemon, thin_devices
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model import errors
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.plan import plan

POOL, META = "vgdocker/thinpool", "vgdocker/thinpool_tmeta"


class Killed(BaseException):
    """The module is killed: no way back is taken, as none is after kill -9."""


class Machine:
    """A host whose kernel has asked for a check of its pool. with_docker: Docker runs on it."""

    def __init__(self, monkeypatch, damaged, with_docker, verdict=1):
        self.damaged, self.with_docker, self.verdict = damaged, with_docker, verdict
        self.running, self.thin = with_docker, with_docker
        self.pool, self.part, self.asked, self.kept = True, False, True, 0
        self.ran, self.at, self.how = 0, None, None
        monkeypatch.setattr(commands, "run", self.run)
        monkeypatch.setattr(thin_devices, "names", lambda _pool: ("docker-1",) if self.thin else ())
        monkeypatch.setattr(daemon, "wait", lambda _step: self.told(self.running, "is down"))
        monkeypatch.setattr(daemon, "journal", lambda _service: "")

    def observe(self):
        """What a run would see."""
        engine = docker("active" if self.running else "inactive") if self.with_docker else None
        if engine and not self.running:
            engine = engine._replace(info=None, unit=unit("inactive"))
        found = host(engine, active=self.pool, check_needed=self.asked and self.pool)
        lvs = tuple(lv._replace(active=self.part or self.pool) if lv.name == "thinpool_tmeta" else lv for lv in found.lvm.lvs)
        return found._replace(lvm=found.lvm._replace(lvs=lvs))

    def fault(self, how, at):
        """Have the command of that number, counted from now, fail or be the last one. how: kill, kill-after, fail."""
        self.ran, self.how, self.at = 0, how, at

    def told(self, fine, why):
        if not fine:
            raise CommandFailed(("x",), why)

    def run(self, argv, timeout=None, ok=(0,)):
        self.ran += 1
        disturbed = self.ran == self.at
        if disturbed and self.how == "kill":
            raise Killed
        failure = 127 if argv[0] == "thin_check" else 5  # another number of its is its verdict
        rc = failure if disturbed and self.how == "fail" else self.effect(" ".join(argv), argv)
        if disturbed and self.how == "kill-after":
            raise Killed
        if ok is not None and rc not in ok:
            raise CommandFailed(argv, "failed with return code %d" % rc)
        return commands.Result(tuple(argv), rc, "", "")

    def effect(self, line, argv):
        """What a command does; its return code."""
        if line == "lvchange --activate n " + POOL:
            if self.pool and self.thin:
                return 5
            self.pool = False
        elif line == "lvchange --yes --activate y " + META:
            if self.pool:
                return 5
            self.part = True
        elif line == "lvchange --activate n " + META:
            self.part = False
        elif argv[0] == "thin_check":
            assert self.part or self.pool, "metadata that are not shown"
            assert not self.pool, "metadata in use are not checked"
            return self.verdict if self.damaged else 0
        elif argv[0] == "lvconvert":
            assert self.damaged, "whole metadata are not repaired"
            if self.pool or self.part:
                return 5
            self.damaged, self.kept = False, self.kept + 1
        elif argv[:3] == ("lvchange", "--activate", "y") and argv[-1] == POOL:
            if self.part or self.damaged:
                return 5
            self.pool, self.asked = True, self.asked and "--clear-needs-check-flag" not in line
        elif argv[0] == "lvextend":
            assert self.pool, "LVM has thin_check read them at once otherwise"
            assert not self.asked, "the kernel does not grow a pool that asks for a check"
            assert not self.running, "Docker's first write may have no room"
        elif argv[:2] == ("dmsetup", "remove"):
            assert not self.running, "Docker is stopped before"
            self.thin = False
        elif argv[:2] == ("systemctl", "stop"):
            self.running = False  # its thin devices may stay
        elif argv[:2] == ("systemctl", "start"):
            self.running = True
        else:
            assert argv[0] in ("umount", "systemctl", "dd"), line
        return 0

    def repair(self):
        """One run. Whether anything was due."""
        steps = plan.plan(SPEC, self.observe()).steps
        apply.execute(steps, apply.Done())
        return bool(steps)


CASES = [(damaged, with_docker) for damaged in (False, True) for with_docker in (False, True)]
IDS = ["%s-%s" % (("whole", "damaged")[one], ("nobody", "docker")[two]) for one, two in CASES]


@pytest.mark.parametrize("verdict", [1, 64], ids=["0.9", "1.x"])
@pytest.mark.parametrize(("damaged", "with_docker"), CASES, ids=IDS)
def test_an_active_pool_that_needs_a_check_is_well_afterwards(monkeypatch, damaged, with_docker, verdict):
    machine = Machine(monkeypatch, damaged, with_docker, verdict)
    assert machine.repair()
    assert (machine.pool, machine.part, machine.asked, machine.damaged) == (True, False, False, False)
    assert (machine.kept, machine.running) == (int(damaged), with_docker)
    assert not machine.repair()


@pytest.mark.parametrize("how", ["kill", "kill-after"])
@pytest.mark.parametrize(("damaged", "with_docker"), CASES, ids=IDS)
def test_the_run_after_one_that_was_killed_ends_well(monkeypatch, damaged, with_docker, how):
    undisturbed = Machine(monkeypatch, damaged, with_docker)
    undisturbed.repair()
    for at in range(1, undisturbed.ran + 1):
        machine = Machine(monkeypatch, damaged, with_docker)
        machine.fault(how, at)
        with pytest.raises(Killed):
            machine.repair()
        machine.fault(None, None)
        machine.repair()
        assert (machine.pool, machine.part, machine.asked, machine.damaged) == (True, False, False, False), at
        assert machine.kept == int(damaged), at
        assert not machine.repair(), at


@pytest.mark.parametrize(("damaged", "with_docker"), CASES, ids=IDS)
def test_whichever_command_fails_docker_runs_and_the_next_run_ends_well(monkeypatch, damaged, with_docker):
    undisturbed = Machine(monkeypatch, damaged, with_docker)
    undisturbed.repair()
    for at in range(1, undisturbed.ran + 1):
        machine = Machine(monkeypatch, damaged, with_docker)
        machine.fault("fail", at)
        try:
            machine.repair()
        except (CommandFailed, apply.SwitchFailed, errors.Refused):
            assert machine.running == with_docker, at
            assert machine.pool or machine.damaged or not with_docker, at
        machine.fault(None, None)
        machine.repair()
        assert (machine.pool, machine.part, machine.asked, machine.damaged) == (True, False, False, False), at
        assert machine.running == with_docker, at
