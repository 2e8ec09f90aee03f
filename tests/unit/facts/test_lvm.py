"""The parser of LVM's report, on recorded reports of four Debian releases."""

import os

import pytest
import states
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.facts import lvm
from module_utils.direct_lvm.host import commands, lvm_pins
from module_utils.direct_lvm.model import lvm_report
from module_utils.direct_lvm.model.errors import CommandFailed, Refused


@pytest.mark.parametrize(("suite", "state"), states.names())
def test_every_recorded_report_is_read(suite, state):
    report = states.report(suite, state)
    assert all(pv.uuid for pv in report.pvs)
    assert all(lv.segtype and lv.size for lv in report.lvs)


@pytest.mark.parametrize("suite", ["bullseye", "bookworm", "trixie", "forky"])
def test_the_articles_pool_has_the_articles_figures(suite):
    report = states.report(suite, "07-complete-profile-attached")
    pool = report.lv("vgdocker", "thinpool")
    assert pool.size == 7295 * 4194304
    assert pool.metadata_size == 304 * 1024**2
    assert (pool.chunk_size, pool.zero, pool.monitored, pool.active) == (524288, False, True, True)
    assert pool.profile == "docker-thinpool"
    assert pool.dm_path == "/dev/mapper/vgdocker-thinpool"
    assert [lv.name for lv in report.lvs if lv.hidden] == ["lvol0_pmspare", "thinpool_tdata", "thinpool_tmeta"]
    assert report.vg("vgdocker").free == 232


def test_an_inactive_pool_cannot_tell_use_or_monitoring():
    pool = states.report("bookworm", "13-complete-inactive").lv("vgdocker", "thinpool")
    assert (pool.active, pool.data_percent, pool.monitored) == (False, None, None)


@pytest.mark.parametrize(
    ("told", "monitored"),
    [("monitored", True), ("not monitored", False), ("pending", False), ("", None), ("not enabled", None)],
    ids=["monitored", "not-monitored", "dmeventd-is-about-to", "monitoring-0", "monitoring-0-newer-lvm"],
)
def test_what_seg_monitor_says(told, monitored):
    answer = states.load("bookworm", "07-complete-profile-attached", "fullreport-all.json")
    for group in answer["report"]:
        for segment in group.get("seg", ()):
            segment["seg_monitor"] = told
    assert lvm.parse(answer).lv("vgdocker", "thinpool").monitored is monitored


@pytest.mark.parametrize(
    ("table", "half"),
    [("live table present", False), ("", True), ("unknown", True)],
    ids=["whole", "killed-when-the-table-was-loaded", "killed-when-the-device-was-made"],
)
def test_what_a_killed_activation_leaves_is_not_active(table, half):
    """LVM calls each of them active. The words of a guest whose lvcreate was killed before and after DM_TABLE_LOAD."""
    answer = states.load("bookworm", "07-complete-profile-attached", "fullreport-all.json")
    for group in answer["report"]:
        for lv in group.get("lv", ()):
            lv["lv_live_table"] = table if lv["lv_name"] == "thinpool" else lv["lv_live_table"]
    pool = lvm.parse(answer).lv("vgdocker", "thinpool")
    assert (pool.active, pool.half) == (not half, half)


def test_missing_and_exported():
    missing = states.report("bookworm", "26-vg-missing-pv")
    assert [pv.missing for pv in missing.pvs] == [False, True]
    assert missing.vg("vgdocker").missing_pvs == 1
    assert states.report("bookworm", "25-vg-exported").vg("vgdocker").exported


def test_version():
    assert lvm.version("  LVM version:     2.03.16(2) (2022-05-18)\n  Library version: 1.02.185") == (2, 3, 16)
    assert lvm.version("nothing") is None
    assert lvm.version("LVM version: 2.%s.1" % ("9" * 5000)) is None


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ("  LVM version:     2.02.98(2) (2012-10-15)", "LVM here is 2.02.98; .* came with 2.02.158"),
        ("  LVM version:     2.02.157(2) (2016-06-17)", "LVM here is 2.02.157"),
        ("  LVM version:     2.02.158(2) (2016-06-25)", None),
        ("  LVM version:     2.03.16(2) (2022-05-18)", None),
        ("", None),
        (CommandFailed(["lvm", "version"], "could not be started"), None),
    ],
    ids=["ubuntu-14.04", "the-last-without-fullreport", "the-first-with-it", "debian-12", "no-version", "version-fails-too"],
)
def test_an_lvm_that_cannot_answer_is_told_from_one_that_is_too_old(monkeypatch, told, refused):
    def run(argv, timeout=None, ok=(0,)):
        if "fullreport" in argv:
            raise CommandFailed(argv, "failed with return code 3", "No such command.  Try 'help'.")
        if isinstance(told, Exception):
            raise told
        return commands.Result(tuple(argv), 0, told, "")

    monkeypatch.setattr(commands, "run", run)
    with pytest.raises(Refused if refused else CommandFailed, match=refused or "lvm fullreport .* failed with return code 3"):
        lvm.ask()


@pytest.mark.parametrize(
    "setting",
    [
        *("binary_values_as_numeric=0", 'list_item_separator=","', "compact_output=0", "prefixes=0", "mark_hidden_devices=1"),
        *("report_command_log=0", "command_names=0", 'prefix="  "', "wait_for_locks=1"),
    ],
)
def test_a_host_whose_lvm_conf_has_reports_look_otherwise_is_asked_as_any_other(monkeypatch, setting):
    asked = []

    def run(argv, timeout=None, ok=(0,)):
        asked.append(lvm_pins.pinned(argv))
        return commands.Result(tuple(argv), 0, '{"report": []}', "")

    monkeypatch.setattr(commands, "run", run)
    assert lvm.ask() == lvm_report.Lvm((), (), ())
    (argv,) = asked
    assert " %s " % setting in argv[argv.index("--config") + 1]


@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        ('  Failed to find physical volume "/dev/sdb".\n', {}),
        ("  Cannot use /dev/sdb: device is rejected by filter config\n", {"/dev/sdb": "device is rejected by filter config"}),
        ("  Cannot use /dev/sdb1: device is partitioned\n", {}),
        ('  Failed to find device "/dev/sdb".\n', {"/dev/sdb": "device not found"}),
        ('  Failed to find device for physical volume "/dev/sdb".\n', {"/dev/sdb": "device not found"}),
        ("", {}),
    ],
    ids=["blank", "filtered", "another-of-that-beginning", "labels-only", "lvm-2.03.02", "a-pv"],
)
def test_which_disks_lvm_does_not_take(monkeypatch, said, reasons):
    """The first two are 2.03.16's words on a guest, the others lvm2's sources."""
    asked = []

    def run(argv, timeout=None, ok=(0,)):
        asked.append((argv, ok))
        return commands.Result(tuple(argv), 5, "", said)

    monkeypatch.setattr(commands, "run", run)
    assert lvm.unusable(["/dev/sdb", "/dev/sdc"]) == reasons
    assert lvm.unusable([]) == {}
    assert asked == [(("pvs", "--noheadings", "-o", "pv_name,vg_name", "/dev/sdb", "/dev/sdc"), None)]


def test_discards_are_the_pools_and_nobody_elses():
    said = {lv.name: lv.discards for lv in states.report("bookworm", "07-complete-profile-attached").lvs}
    assert {name for name, discards in said.items() if discards} == {"thinpool"}
    assert said["thinpool"] == "passdown"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["report", "vg", "pv", "lv", "seg", "lv_uuid"]), inner),
)


fields = {report: [name.strip() for name in names.split(",")] for report, names in lvm.REPORTS}
fields["vg"].append("vg_name")
fields["pv"].append("pv_uuid")
values = st.one_of(
    st.text(max_size=4), st.sampled_from(["", "-1", "0", "4194304", "nan", "[lvol0]", "u1", "a,b", "zero", "\0"]), st.none()
)
rows = {name: st.lists(st.fixed_dictionaries(dict.fromkeys(keys, values)), max_size=3) for name, keys in fields.items()}
reports = st.fixed_dictionaries({"report": st.lists(st.fixed_dictionaries(rows), max_size=2)})


@given(st.one_of(json_values, reports))
def test_any_json_is_read_or_refused_with_the_command(monkeypatch_answer, answer):
    monkeypatch_answer(answer)
    try:
        report = lvm.ask()
    except CommandFailed as failure:
        report = failure
    assert isinstance(report, lvm_report.Lvm) or "lvm fullreport" in str(report)


@pytest.fixture(scope="module")
def monkeypatch_answer():
    """Have the next question to LVM answered by the given value."""
    patch = pytest.MonkeyPatch()

    def answer(value):
        patch.setattr(commands, "run_json", lambda argv: (value, commands.Result(tuple(argv), 0, "", "")))

    yield answer
    patch.undo()


POLL = "/usr/sbin/lvm\0lvpoll\0--interval\0005\0--polloperation\0pvmove\0vgdocker/pvmove0\0"


@pytest.mark.parametrize(
    ("program", "owner", "text", "moving"),
    [
        ("lvm", 0, "/sbin/init\0", False),
        ("lvm", 0, "/bin/sh\0-c\0pvmove /dev/sdb\0", False),
        ("lvm", 0, "/usr/sbin/lvmpolld\0-t\00060\0", False),
        ("lvm", 0, POLL, True),
        ("lvm", 0, "/sbin/pvmove\0/dev/sdb\0", True),
        ("lvm", 0, "(lvm2)\0--background\0", True),
        ("lvm", 65534, "/sbin/pvmove\0/dev/sdb\0", False),
        ("sleep", 0, "pvmove\047\0", False),
        ("other/lvm", 0, "/sbin/pvmove\0/dev/sdb\0", False),
        (None, 0, "/sbin/pvmove\0/dev/sdb\0", False),
    ],
    ids=[
        *("none", "a-shell", "lvmpolld-alone", "by-lvmpolld", "in-the-foreground", "without-lvmpolld"),
        *("another-users", "another-program-of-that-name", "of-a-container", "that-has-ended"),
    ],
)
def test_whether_a_process_sees_to_a_move(tmp_path, monkeypatch, program, owner, text, moving):
    for name in ("lvm", "sleep", "other/lvm"):
        (tmp_path / "sbin" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sbin" / name).write_text("")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_text(text)
    if program:
        (tmp_path / "7" / "exe").symlink_to(tmp_path / "sbin" / program)
    (tmp_path / "9" / "cmdline").mkdir(parents=True)  # cannot be read, as that of one that has just ended
    real = os.stat

    def stat(path, *given, **more):
        status = real(path, *given, **more)
        return os.stat_result((*status[:4], owner, *status[5:])) if path == str(tmp_path / "7") else status

    monkeypatch.setattr(lvm.os, "stat", stat)
    monkeypatch.setattr(commands, "find", lambda _name: str(tmp_path / "sbin" / "lvm"))
    monkeypatch.setattr(lvm, "PROCESSES", str(tmp_path / "[0-9]*" / "cmdline"))
    assert lvm.is_moving() == moving


def test_without_lvm_nothing_sees_to_a_move(tmp_path, monkeypatch):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_text(POLL)
    monkeypatch.setattr(commands, "find", lambda _name: None)
    monkeypatch.setattr(lvm, "PROCESSES", str(tmp_path / "[0-9]*" / "cmdline"))
    assert not lvm.is_moving()
