"""Check and repair: what is done in which state of pool, Docker and containerd, and what is refused."""

import pytest
import states
from damaged_pools import DEVICE, SPEC, docker, host, unit

from module_utils.direct_lvm.apply import apply, report, thin_devices
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed, Refused
from module_utils.direct_lvm.model.host import Container, Containerd
from module_utils.direct_lvm.model.steps import REPAIR, IfFails, RemoveThinDevices
from module_utils.direct_lvm.plan import plan

META = "/dev/mapper/vgdocker-thinpool_tmeta"
DOWN, OFF = "dmsetup remove --retry (each thin device of vgdocker-thinpool)", "lvchange --activate n vgdocker/thinpool"
CHECKED = [
    "lvchange --yes --activate y vgdocker/thinpool_tmeta",
    "dd if=%s of=/dev/null bs=1M iflag=direct" % META,
    "thin_check --ignore-non-fatal-errors " + META,
    "lvchange --activate n vgdocker/thinpool_tmeta",
    "lvconvert --yes --repair vgdocker/thinpool",
    "lvchange --activate n vgdocker/thinpool_tmeta",
]
ON = "lvchange --activate y vgdocker/thinpool"
CLEARED = (
    "lvchange --activate y --config "
    'global { thin_check_executable="thin_check" thin_check_options=["-q","--clear-needs-check-flag"] } vgdocker/thinpool'
)
POLICY = "lvextend --use-policies vgdocker/thinpool"
STOP, RESET, START, ANSWERS = (
    "systemctl stop docker.socket docker.service",
    "systemctl reset-failed docker.service",
    "systemctl start docker.socket docker.service",
    "docker info",
)
DOCKER = [RESET, START, ANSWERS, "docker ps"]  # the last: what ran is started again
ENVIRONMENT = (("/etc/sysconfig/docker-storage", "O='--storage-opt dm.thinpooldev=/dev/mapper/%s'\n" % DEVICE),)
CONTAINERS = tuple(Container(name * 64, name, "app:1", "Up" if name == "a" else "Exited", name == "a") for name in ("a", "b"))


def due(found, spec=SPEC):
    """The steps as short lines."""
    lines = []
    for line in report.describe(plan.plan(spec, found).steps):
        lines.append(" ".join(line["argv"]) if "argv" in line else line["check"])
    return lines


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        (host(docker()), []),
        (host(docker(), health="out_of_data"), []),
        (host(active=False), [DOWN, OFF, *CHECKED, CLEARED, POLICY]),
        (host(docker(), check_needed=True), [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER]),
        (host(docker(), health="failed"), [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER]),
        (host(docker(), health="metadata_read_only"), [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER]),
        (
            host(docker(containers=CONTAINERS), check_needed=True),
            ["docker --host unix:///var/run/docker.sock stop " + "a" * 64, STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER[:-1]]
            + ["docker --host unix:///var/run/docker.sock start " + "a" * 64],
        ),
        (
            host(docker("failed", None, text="--x=/dev/mapper/" + DEVICE), active=False),
            [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER],
        ),
        (host(docker("failed", None, env_files=ENVIRONMENT), active=False), [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER]),
        (host(docker("failed", None), active=False), [DOWN, OFF, *CHECKED, CLEARED, POLICY]),
        (host(docker("inactive", None, text=DEVICE), active=False), [DOWN, OFF, *CHECKED, CLEARED, POLICY]),
        (host(docker(driver="overlay2"), active=False), [DOWN, OFF, *CHECKED, CLEARED, POLICY]),
        (
            host(docker(driver="devmapper"), containerd=Containerd(unit("active"), plugin="ok"), check_needed=True),
            [STOP, "systemctl stop containerd.service", DOWN, OFF, *CHECKED, CLEARED, POLICY]
            + ["systemctl start containerd.service", "ctr plugins ls", *DOCKER],
        ),
        (
            host(
                docker(driver="devmapper", containers=CONTAINERS),
                containerd=Containerd(unit("active"), plugin="ok"),
                check_needed=True,
            ),
            ["docker --host unix:///var/run/docker.sock stop " + "a" * 64, STOP, "systemctl stop containerd.service"]
            + [DOWN, OFF, *CHECKED, CLEARED, POLICY, "systemctl start containerd.service", "ctr plugins ls", *DOCKER[:-1]]
            + ["docker --host unix:///var/run/docker.sock start " + "a" * 64],
        ),
        (
            host(docker(driver="overlay2"), containerd=Containerd(unit("active"), plugin="error"), active=False),
            ["systemctl stop containerd.service", DOWN, OFF, *CHECKED, CLEARED, POLICY]
            + ["systemctl start containerd.service", "ctr plugins ls"],
        ),
        (host(docker(), check_needed=True, spare=False, free=80), [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER]),
        (
            host(docker(), health="metadata_read_only", metadata_percent=100.0, free=80),
            [STOP, DOWN, OFF, *CHECKED, CLEARED, "lvextend --poolmetadatasize +79691776b vgdocker/thinpool", POLICY, *DOCKER],
        ),
        (
            host(docker(), metadata_percent=100.0, free=10),
            [STOP, DOWN, OFF, *CHECKED, CLEARED, "lvextend --poolmetadatasize +20971520b vgdocker/thinpool", POLICY, *DOCKER],
        ),
        (host(docker(), check_needed=True, metadata_percent=100.0, free=1), [STOP, DOWN, OFF, *CHECKED, CLEARED, POLICY, *DOCKER]),
    ],
    ids=[
        "healthy",
        "full-is-no-damage",
        "inactive-and-nobody-uses-it",
        "the-kernel-asks-for-a-check",
        "failed",
        "read-only",
        "containers-run",
        "docker-cannot-start-without-it",
        "docker-cannot-start-without-it-as-an-environment-file-says",
        "docker-failed-for-another-reason",
        "docker-was-stopped",
        "docker-is-elsewhere",
        "image-store",
        "containers-run-on-the-image-store",
        "containerd-alone",
        "no-spare-but-room-for-one",
        "metadata-are-full",
        "metadata-are-full-and-the-kernel-has-not-said-so",
        "metadata-may-have-got-room-that-the-kernel-does-not-use-yet",
    ],
)
def test_what_is_due(found, steps):
    assert due(found) == steps


def test_parts_that_a_killed_repair_left_active_are_taken_down_first():
    found = host(active=False)
    lvs = tuple(lv._replace(active=lv.name == "thinpool_tmeta") for lv in found.lvm.lvs)
    assert due(found._replace(lvm=found.lvm._replace(lvs=lvs)))[:4] == [DOWN, OFF, OFF + "_tmeta", CHECKED[0]]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (host(docker(), check_needed=True, segtype="linear"), "there is no thin pool vgdocker/thinpool"),
        (host(docker(), check_needed=True, metadata_lv=""), "LVM does not show the metadata of pool vgdocker/thinpool"),
        (host(docker(), check_needed=True, thin=True), "thin LVs of LVM's own: theirs"),
        (host(docker(), check_needed=True, moving=40.0), "a pvmove from /dev/vdb is under way"),
        (host(docker(), check_needed=True, spare=False, free=75), "no spare of that size, and 300.00m free"),
        (
            host(docker(), health="metadata_read_only", metadata_percent=100.0, free=1),
            "metadata of pool vgdocker/thinpool are 100.0 % full, and VG vgdocker has no room",
        ),
    ],
    ids=["no-pool", "no-metadata", "lvms-own-thin-lvs", "pvmove-under-way", "no-room", "no-room-for-full-metadata"],
)
def test_refused(found, sentence):
    with pytest.raises(Refused) as refusal:
        due(found)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("changes", [{"check_needed": True}, {"health": "failed"}], ids=["check-needed", "failed"])
def test_the_refusal_of_a_pool_that_needs_repair_has_the_lines_that_lead_out(changes):
    """As they were followed on guests: `lvconvert --repair` alone keeps the flag, and the pool stays read-only."""
    present = states.spec(devices=("/dev/vdb",))
    found = host(docker(), **changes)._replace(disks=states.host("bookworm", "07-complete-profile-attached").disks)
    with pytest.raises(Refused, match="needs repair") as refusal:
        plan.plan(present, found)
    lines = refusal.value.way_out.splitlines()
    assert lines[0].endswith(": ansible-playbook playbooks/repair.yml -e thin_pool_repair_confirmed=true")
    clear = CLEARED.replace("--activate y", "-ay").replace("global {", "'global {").replace("} vg", "}' vg")
    assert lines[2] == "systemctl stop docker.socket docker containerd"
    assert lines[3].startswith("for name in $(cat /sys/block/$(basename $(realpath /dev/mapper/vgdocker-thinpool))/holders/")
    assert lines[4] == "lvchange -an {0} && {{ {1} || {{ lvconvert --yes --repair {0} && {1}; }}; }}".format(
        "vgdocker/thinpool", clear
    )
    assert lines[5:] == [POLICY, "systemctl start containerd docker.socket docker"]


def test_an_activation_that_fails_at_its_check_tells_of_the_repair():
    found = host(docker("failed", None), active=False)
    found = found._replace(disks=states.host("bookworm", "07-complete-profile-attached").disks)
    (activate,) = [
        step
        for step in plan.plan(states.spec(devices=("/dev/vdb",)), found).steps
        if step.argv[:3] == ("lvchange", "--activate", "y")
    ]
    assert "repair.yml -e thin_pool_repair_confirmed=true" in activate.if_it_fails


def test_a_repair_that_fails_tells_how_the_pool_is_made_afresh():
    (switch,) = plan.plan(SPEC, host(docker(), check_needed=True)).steps
    (check,) = [step for step in switch.steps if isinstance(step, IfFails)]
    assert check.steps[-1].if_it_fails.splitlines()[-2:] == [
        "ansible-playbook playbooks/remove.yml -e thin_pool_remove_data=true",
        "ansible-playbook playbooks/site.yml",
    ]


def test_a_foreign_pool_is_refused():
    found = host(docker(), check_needed=True)
    untagged = found.lvm._replace(vgs=(found.lvm.vgs[0]._replace(tags=()),))
    with pytest.raises(Refused, match="was not made by this tool"):
        due(found._replace(lvm=untagged))


def test_whatever_fails_docker_is_started_again():
    (switch,) = plan.plan(SPEC, host(docker(), check_needed=True)).steps
    back = report.describe(switch.way_back)
    assert [" ".join(line.get("argv", [line.get("check")])) for line in back] == [OFF + "_tmeta", ON, *DOCKER]
    assert [step.ok for step in switch.way_back[:2]] == [None, None]


def test_what_a_repair_keeps_is_told_and_left_alone():
    told = plan.plan(SPEC, host(docker(), extra="thinpool_meta0")).warnings
    assert "lvremove vgdocker/thinpool_meta0" in " ".join(told)
    assert plan.plan(SPEC, host(docker())).warnings == ()
    present = states.spec(devices=("/dev/vdb",))
    found = host(docker(), extra="thinpool_meta0")
    found = found._replace(disks=states.host("bookworm", "07-complete-profile-attached").disks)
    assert plan.plan(present, found).steps == ()
    assert "lvremove vgdocker/thinpool_meta0" in " ".join(plan.plan(present, found).warnings)


def test_no_engine_is_chosen_for_a_repair():
    assert plan.plan(SPEC, host(docker(), check_needed=True)).engine is None


# --- carrying out --------------------------------------------------------------------------------------------


def the_check():
    """The step of a planned repair that checks."""
    (switch,) = plan.plan(SPEC, host(docker(), check_needed=True)).steps
    (check,) = [step for step in switch.steps if isinstance(step, IfFails)]
    return check


# thin_check 0.9.0 (Debian 12) and 1.1.0 (Debian 13) with superblock, mapping tree, and space maps overwritten.
DAMAGED = ["thin_check", "lvchange", "lvconvert"]


@pytest.mark.parametrize(
    ("rc", "ran"), [(0, ["thin_check"]), (1, DAMAGED), (64, DAMAGED)], ids=["whole", "damaged-0.9", "damaged-1.x"]
)
def test_metadata_are_repaired_only_when_the_check_finds_damage(monkeypatch, rc, ran):
    called = []

    def run(argv, timeout=None, ok=(0,)):
        called.append(argv[0])
        return commands.Result(argv, rc if argv[0] == "thin_check" else 0, "", "")

    monkeypatch.setattr(commands, "run", run)
    done = apply.Done()
    assert apply.execute((the_check(),), done)
    assert called == ran
    assert [step.argv[0] for step in done] == ran
    assert [step.argv[0] for step in done if step.kind == REPAIR] == ran[2:]


@pytest.mark.parametrize("rc", [2, 101, 126, 127, -9], ids=["wrong-option", "crashed", "no-program", "not-there", "killed"])
def test_a_check_that_gives_no_verdict_is_no_damage(monkeypatch, rc):
    ran = []

    def run(argv, timeout=None, ok=(0,)):
        ran.append(argv[0])
        if rc not in ok:
            raise CommandFailed(argv, "failed with return code %d" % rc)

    monkeypatch.setattr(commands, "run", run)
    with pytest.raises(CommandFailed):
        apply.execute((the_check(),), apply.Done())
    assert ran == ["thin_check"]


@pytest.fixture
def block(tmp_path, monkeypatch):
    """A /sys/class/block with a pool, two thin devices and a linear one on it; the names that were removed."""
    names = {"dm-3": "docker-1-base", "dm-4": "docker-1-busy", "dm-5": "somebodys"}
    for node, name in names.items():
        (tmp_path / node / "dm").mkdir(parents=True)
        (tmp_path / node / "dm" / "name").write_text(name + "\n")
        (tmp_path / "pool" / "holders" / node).mkdir(parents=True)
    monkeypatch.setattr(thin_devices, "BLOCK", str(tmp_path))
    removed = []

    def run(argv, timeout=None, ok=(0,)):
        if argv[1] == "table":
            return commands.Result(argv, 0, "0 2048 %s 253:2 7\n" % ("linear" if argv[-1] == "somebodys" else "thin"), "")
        removed.append(" ".join(argv))
        return commands.Result(argv, int(argv[-1].endswith("busy")), "", "Device or resource busy\n")

    monkeypatch.setattr(commands, "run", run)
    return removed


def test_only_thin_devices_of_the_pool_are_taken_down_and_one_in_use_is_told(block):
    assert thin_devices.names("pool") == ("docker-1-base", "docker-1-busy")
    with pytest.raises(Refused, match="docker-1-busy of pool pool is in use: Device or resource busy"):
        apply.run_step(RemoveThinDevices("pool", "test"), apply.Done())
    assert block == [
        "umount --all-targets /dev/mapper/docker-1-base",
        "dmsetup remove --retry docker-1-base",
        "umount --all-targets /dev/mapper/docker-1-busy",
        "dmsetup remove --retry docker-1-busy",
    ]
    assert thin_devices.names("another") == ()
