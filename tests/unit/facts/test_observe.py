"""What a host must have before anything is planned: tools, the kernel's targets, an LVM that can answer and that watches."""

import pytest
import states

from module_utils.direct_lvm.facts import containerd, disks, docker, lvm, observe
from module_utils.direct_lvm.host import commands, files
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.model.host import Disk, Docker
from module_utils.direct_lvm.plan import plan

NOT_THERE = commands.Result((), 1, "", "modprobe: FATAL: Module not found\n")


class Machine:
    """A host without LVM's answers on disk: each command answers what is given here, and is noted."""

    def __init__(self, monkeypatch):
        self.ran = []
        self.lacks = ()
        self.report = states.report("bookworm", "00-blank")
        self.settings = states.recorded("lvm-settings", "bookworm.txt")
        self.answers = {"lvmconfig --type": self.settings, "modprobe --dry-run": "", "pvs --noheadings": "", "vgs --noheadings": ""}
        monkeypatch.setattr(commands, "find", lambda name: None if name in self.lacks else "/sbin/" + name)
        monkeypatch.setattr(commands, "run", self.run)
        monkeypatch.setattr(lvm, "ask", self.ask)
        monkeypatch.setattr(files, "read_text", lambda _path: None)
        monkeypatch.setattr(disks, "observe_disk", lambda asked, probe=True: Disk(asked, asked, size=30 * states.GIB))
        monkeypatch.setattr(docker, "observe_docker", lambda *_given: Docker(None))
        monkeypatch.setattr(containerd, "configured_pools", lambda *_asked: ())
        monkeypatch.setattr(observe.os.path, "isdir", lambda _path: False)

    def ask(self):
        self.ran.append("lvm fullreport")
        return self.report

    def run(self, argv, timeout=None, ok=(0,)):
        asked = " ".join(argv[:2])
        self.ran.append(asked)
        answer = self.answers[asked]
        return answer if isinstance(answer, commands.Result) else commands.Result(tuple(argv), 0, answer, "")

    def refuses(self, spec=None):
        """The text with which the host is refused."""
        wanted = spec or states.spec()
        with pytest.raises(Refused) as refusal:
            plan.plan(wanted, observe.observe(wanted))
        return str(refusal.value)


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("tool", "package"),
    [
        ("lvm", "lvm2"),
        ("thin_check", "device-mapper-persistent-data"),
        ("dmeventd", "device-mapper-event"),
        ("blkid", "util-linux"),
        ("wipefs", "util-linux"),
    ],
)
def test_a_tool_that_is_not_there_is_named_with_its_packages(machine, tool, package):
    machine.lacks = (tool,)
    told = machine.refuses()
    assert "this host lacks %s (" % tool in told
    assert "dnf install %s" % package in told
    assert machine.ran == []


def test_all_tools_that_are_not_there_are_told_at_once(machine):
    machine.lacks = ("thin_check", "dmeventd")
    assert "apt-get install dmeventd thin-provisioning-tools" in machine.refuses()


def test_a_host_with_everything_is_planned_for(machine):
    assert plan.plan(states.spec(), observe.observe(states.spec())).steps


def test_a_kernel_without_the_thin_pool_target(machine):
    machine.answers["modprobe --dry-run"] = NOT_THERE
    assert "this host lacks dm_thin_pool (the kernel's thin pool target)" in machine.refuses()


def test_a_target_that_is_loaded_is_not_asked_for(machine, monkeypatch):
    monkeypatch.setattr(observe.os.path, "isdir", lambda path: path == "/sys/module/dm_thin_pool")
    observe.observe(states.spec())
    assert "modprobe --dry-run" not in machine.ran


def test_a_pool_that_is_there_proves_what_it_needed(machine):
    machine.report = states.tagged(states.host("bookworm", "07-complete-profile-attached")).lvm
    observe.observe(states.spec())
    assert machine.ran == ["lvm fullreport"]


def test_an_lvm_that_is_told_to_watch_nothing_is_refused_before_a_pool_is_made(machine):
    machine.answers["lvmconfig --type"] = machine.settings.replace("monitoring=1", "monitoring=0")
    told = machine.refuses()
    assert "activation/monitoring=0" in told
    assert "monitoring = 1" in told
    observe.observe(states.spec()._replace(goal="remove"))  # what is to be removed need not be watched


def test_what_lvm_says_of_a_new_disk_is_asked_at_once_for_all_and_its_settings_with_it(machine):
    said = "  Cannot use /dev/vdb: device is rejected by filter config\n"
    machine.answers["pvs --noheadings"] = commands.Result((), 5, "", said)
    told = machine.refuses(states.spec(devices=("/dev/vdb", "/dev/vdc")))
    assert "LVM does not take /dev/vdb: device is rejected by filter config." in told
    assert machine.ran == ["lvm fullreport", "modprobe --dry-run", "pvs --noheadings", "lvmconfig --type"]


def test_disks_of_the_group_that_are_not_named_are_known_by_names_that_stay(machine, monkeypatch):
    machine.report = states.tagged(states.host("bookworm", "07-complete-profile-attached")).lvm
    monkeypatch.setattr(disks, "stable_name", lambda path: "/dev/disk/by-id/of" + path.replace("/", "-"))
    (unlisted,) = observe.observe(states.spec(devices=("/dev/vdc",))).unlisted
    assert (unlisted.asked, unlisted.path) == ("/dev/disk/by-id/of-dev-vdb", "/dev/vdb")


@pytest.mark.parametrize("answer", ["", "monito", "g\ufffdrb\ufffdge"], ids=["nothing", "half", "garbage"])
def test_an_answer_about_monitoring_that_cannot_be_read_is_an_error(machine, answer):
    machine.answers["lvmconfig --type"] = answer
    with pytest.raises(CommandFailed, match="lvmconfig .*(does not tell|cannot be read)"):
        observe.observe(states.spec())
