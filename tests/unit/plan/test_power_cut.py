"""A switch that is cut between any two of its steps, in a real folder, with a model of what Docker makes of it at boot.

The model is moby's: which driver it takes, what it makes when its folder is not there, what it refuses, and the two meetings
that must never happen, because it would write into metadata that are not those of its pool.
"""

import itertools
import os

import pytest
import states
from docker_hosts import JSON, OFF, ON_POOL, OVERLAY, UNIT, WANTED

from module_utils.direct_lvm.apply import apply
from module_utils.direct_lvm.facts import docker, docker_root
from module_utils.direct_lvm.model.host import Docker
from module_utils.direct_lvm.model.spec import PROVISION, ROLL_BACK
from module_utils.direct_lvm.model.steps import Command, Move, RemoveFile, Transaction, WriteFile
from module_utils.direct_lvm.plan import plan
from module_utils.direct_lvm.texts import switch_record

FOLDERS = ("devicemapper", "image/devicemapper", "containers")
LOOP = ON_POOL._replace(status=(("Pool Name", "docker-254:0-1-pool"), ("Data loop file", "/x")))
OLD_POOL = ON_POOL._replace(status=(("Pool Name", "old-pool"),))
HOST = states.tagged(states.host("bookworm", "07-complete-profile-attached"))._replace(profile_text=states.PROFILE)
INFO = {"overlay2": OVERLAY, "loop": LOOP, "old": OLD_POOL, "pool": ON_POOL}


class Machine:
    """A host with Docker's data root in a folder. side: what Docker runs on, "" while it is down."""

    def __init__(self, root, text=None, drivers=()):
        self.root, self.dropin, self.record = str(root / "docker"), str(root / "daemon.conf"), str(root / "switch.json")
        self.json, self.side, self.used, self.made = str(root / "daemon.json"), "", set(), itertools.count()
        os.makedirs(self.root)
        for name in drivers:
            os.makedirs(os.path.join(self.root, name, "x"))
        if text:
            self.write(self.json, text)
        self.boot()

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)

    def read(self, path):
        return docker.systemd.read_text(path)

    def owner(self, name):
        """Which storage made a folder, and when: "loop 3"; "" for none, or one that a refused Docker left."""
        return self.read(os.path.join(self.root, name, "owner")) or ""

    def driver(self):
        """What the settings choose, or what stands there; None when Docker cannot tell (graphdriver.New)."""
        said = (self.read(self.dropin) or "") + (self.read(self.json) or "")
        if "mapper/vgdocker-thinpool" in said or "mapper/old-pool" in said:
            return "pool" if "mapper/vgdocker-thinpool" in said else "old"
        if '"storage-driver"' in said:
            return "overlay2" if "overlay2" in said else "loop"
        there = [name for name in ("devicemapper", "overlay2") if docker_root.entries(self.root, name)]
        return {0: "overlay2", 1: "loop" if "devicemapper" in there else "overlay2"}.get(len(there))

    def boot(self):
        """Docker starts with what is there."""
        self.side, side = "", self.driver()
        os.makedirs(os.path.join(self.root, "containers"), exist_ok=True)
        if side is None:
            return
        if side == "overlay2":
            os.makedirs(os.path.join(self.root, "overlay2", "x"), exist_ok=True)
        elif not self.start_devicemapper(side):
            return
        mine = ["containers"] + (["image/devicemapper"] if side != "overlay2" else [])
        for name in mine:
            if not os.path.exists(os.path.join(self.root, name, "owner")):
                self.write(os.path.join(self.root, name, "owner"), "%s %d" % (side, next(self.made)))
        self.side = side

    def start_devicemapper(self, side):
        """Whether the driver starts: not on a pool that is used and whose metadata are not there."""
        held = self.owner("devicemapper").split(" ")[0]
        assert held in ("", side), "a Docker for %s met the metadata of %s" % (side, held)
        os.makedirs(os.path.join(self.root, "devicemapper", "metadata"), exist_ok=True)
        if not held:
            if side in self.used:
                return False
            self.write(os.path.join(self.root, "devicemapper", "owner"), "%s %d" % (side, next(self.made)))
        if side == "loop":
            self.write(os.path.join(self.root, "devicemapper", "devicemapper", "data"), "")
        else:
            self.used.add(side)
        return True

    def observe(self):
        """This host, as the planner sees it."""
        info = INFO[self.side]._replace(root=self.root) if self.side else None
        found = Docker(
            "20.10.24",
            UNIT if self.side else OFF,
            info,
            problem="" if self.side else "docker.service is failed",
            dropin_text=self.read(self.dropin),
            daemon_json=self.read(self.json),
            daemon_json_path=self.json,
            root=self.root,
            root_state=docker_root.root_state(self.root),
            former=switch_record.parse(self.read(self.record)),
            archive_free=10**12,
        )
        return HOST._replace(docker=found)

    def run(self, wanted, goal, stop=None):
        """Plan, carry out, stop before the step of that number. Whether there was such a step."""
        steps = plan.plan(self.spec(wanted, goal), self.observe()).steps
        flat = [one for step in steps for one in (step.steps + step.last if isinstance(step, Transaction) else (step,))]
        for number, step in enumerate(flat):
            if number == stop:
                return True
            if isinstance(step, (Move, WriteFile, RemoveFile)):
                apply.run_step(step, apply.Done())
            elif isinstance(step, Command) and step.argv[1] == "stop":
                self.side = ""
            elif isinstance(step, Command) and step.argv[1] == "start":
                self.boot()
        return False

    def spec(self, wanted, goal):
        """The desired state of this host."""
        return states.spec()._replace(docker=wanted._replace(dropin=self.dropin), goal=goal)

    def content(self):
        """(side, which storage made each folder that it has there)."""
        names = FOLDERS if self.side in ("pool", "loop", "old") else ()
        return self.side, tuple(self.owner(name) for name in names)


EXPLICIT = '{"storage-driver": "devicemapper"}'
STARTS = {  # what there is: daemon.json, folders; where the settings go
    "overlay2": (None, ("overlay2",), WANTED),
    "overlay2-in-daemon-json": ('{"storage-driver": "overlay2"}', ("overlay2",), JSON),
    "loop": (None, ("devicemapper",), WANTED),
    "loop-in-daemon-json": (EXPLICIT, (), JSON),
    "old-pool-in-daemon-json": (EXPLICIT[:-1] + ', "storage-opts": ["dm.thinpooldev=/dev/mapper/old-pool"]}', (), JSON),
}
WAYS = {
    "there": (),
    "back": (PROVISION,),
    "there-again": (PROVISION, ROLL_BACK),
    "back-again": (PROVISION, ROLL_BACK, PROVISION),
}


@pytest.mark.parametrize("goes_on", [True, False], ids=["the-next-run-goes-on", "the-next-run-turns-round"])
@pytest.mark.parametrize("power", [True, False], ids=["power-cut", "killed"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("start", STARTS)
def test_every_folder_is_where_its_docker_looks_for_it(tmp_path, monkeypatch, start, way, power, goes_on):
    text, drivers, wanted = STARTS[start]
    last = ROLL_BACK if way.startswith("back") else PROVISION
    after = last if goes_on else (PROVISION if last == ROLL_BACK else ROLL_BACK)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # it takes most of the time, and no power is cut here
    for stop in itertools.count():
        machine = Machine(tmp_path / str(stop), text, drivers)
        monkeypatch.setattr(switch_record, "PATH", machine.record)
        seen = {machine.side: machine.content()}
        for done in WAYS[way]:
            machine.run(wanted, done)
            seen.setdefault(machine.side, machine.content())
            assert machine.content() == seen[machine.side]
        if not machine.run(wanted, last, stop):
            break
        if machine.read(machine.record) is None:
            continue  # nothing was begun, so there is nothing to go back to
        if power:
            machine.boot()
        machine.run(wanted, after)
        assert machine.side == ("pool" if after == PROVISION else start.split("-")[0]), stop
        if machine.side in seen:
            assert machine.content() == seen[machine.side], stop
        machine.run(wanted, after)
        assert machine.side == ("pool" if after == PROVISION else start.split("-")[0]), stop
        assert plan.plan(machine.spec(wanted, after), machine.observe()).steps == (), stop
    assert stop > 5
