"""LVM's own settings: what lvmconfig prints is read, what is pinned goes into each command, and the page's table is the code's."""

import pathlib
import re

import pytest
import states
from hypothesis import given
from hypothesis import strategies as st
from planned_steps import shown
from recorded_settings import recorded

from module_utils.direct_lvm.facts import lvm, lvm_settings
from module_utils.direct_lvm.host import commands, lvm_pins
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.model.steps import Command
from module_utils.direct_lvm.plan import plan, settings_check

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECORDED = sorted(path.name for path in (ROOT / "tests" / "recorded" / "lvm-settings").glob("*.txt"))
TABLE = dict(re.findall(r"^\| `([a-z_/0-9]+)` \| ([^|]*) \|", (ROOT / "docs/lvm-settings.md").read_text(), re.M))
# What the page says is not in its table: other kinds of LVs, reports, logs, locks of clusters, names of folders and libraries.
NO_PART = re.compile(
    r"(report|log|shell|tags|local)/|"
    r".*(cache|vdo|raid|mirror|snapshot|sanlock|lvmlockd|lvmlockctl|lvmetad|lvm1|clustered|local_locking)|"
    r".*(_dir|_library|_libraries|/dir|/etc|/proc|/scan|fsadm_executable|thin_dump_executable|dmeventd/executable)$|"
    r"(activation|config)/checks$|activation/(reserved|process|readahead|use_mlockall|verify_udev|missing_stripe)|"
    r"backup/retain|metadata/(stripesize|check_pv_device_sizes|record_lvs_history|lvs_history)|global/(umask|units|si_unit|suffix|format|locking_type|"
    r"prioritise|abort_on_internal|lvdisplay|use_aio|notify_dbus|io_memory_size|sparse_segtype)|devices/(obtain_device|external_device|hints|search|"
    r"sysfs_scan|multipath_wwids|md_component_checks|ignore_suspended|disable_after|device_ids_refresh|devicesfile_backup)"
)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_answer_is_read(name):
    values = recorded(name)
    assert values["activation/monitoring"] == "1"
    assert values["devices/global_filter"] == ("a|.*|",)
    assert values["global/thin_check_options"] == ("-q",)
    assert values["allocation/thin_pool_discards"] == "passdown"
    assert "activation/volume_list" not in values


@pytest.mark.parametrize("name", RECORDED)
def test_each_setting_of_a_real_lvm_is_judged(name):
    assert sorted(name for name in recorded(name) if name not in TABLE and not NO_PART.match(name)) == []


def test_what_is_pinned_is_what_a_real_lvm_ships():
    values = recorded()
    asked = {name: values.get(name, "0") for name in lvm_pins.PINNED}  # pvmetadatasize has no default: 0
    assert asked == lvm_pins.PINNED


def test_the_pages_table_is_the_code():
    said = {what: {name for name in TABLE if TABLE[name].split()[0] == what} for what in ("pinned", "refused", "warned")}
    assert {name: TABLE[name].split("`")[1] for name in said["pinned"]} == lvm_pins.PINNED
    by_pvs = {"devices/pv_min_size", "devices/types"}  # LVM's own words about a disk, see plan_settings.check_usable()
    assert said["refused"] == {*settings_check.REFUSED, *settings_check.VOLUME_LISTS, *settings_check.OTHERS_REFUSED} | by_pvs
    assert said["warned"] == set(settings_check.WARNED)
    assert {what.split()[0] for what in TABLE.values()} == {"pinned", "refused", "warned", "option", "kept"}


OPTIONS = ("--zero", "--chunksize", "--discards", "--physicalextentsize", "--norestorefile", "--wipesignatures")


@pytest.mark.parametrize("option", OPTIONS)
def test_the_options_that_the_page_names_are_said(option):
    lines = shown(plan.plan(states.spec(), states.host("bookworm", "00-blank")).steps)
    assert any(" %s " % option in line for line in lines)


def test_each_command_of_lvm_that_is_planned_anywhere_gets_what_is_pinned():
    folder = ROOT / "module_utils" / "direct_lvm" / "plan"
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    named = set(re.findall(r'\(?"((?:pv|vg|lv)[a-z]+)",? ', text)) & set(re.findall(r'"((?:pv|vg|lv)[a-z]+)"', text))
    commands_of_lvm = {name for name in named if re.match(r"(pv|vg|lv)(c|r|e|m)[a-z]+\Z", name)} - {"lvmconfig"}
    assert len(commands_of_lvm) >= 10
    assert commands_of_lvm <= set(lvm_pins.CHANGING)


@pytest.mark.parametrize(
    ("argv", "due"),
    [
        (("vgcreate", "vgdocker", "/dev/sdb"), ("vgcreate", "--config", "PINS", "vgdocker", "/dev/sdb")),
        (("/sbin/lvchange", "-an", "vg/p"), ("/sbin/lvchange", "--config", "PINS", "-an", "vg/p")),
        (
            ("lvchange", "--activate", "y", "--config", "global/thin_check_options=[]", "vg/p"),
            ("lvchange", "--config", "global/thin_check_options=[] PINS", "--activate", "y", "vg/p"),
        ),
        (("lvm", "vgcreate", "vg"), ("lvm", "vgcreate", "--config", "PINS", "vg")),
        (("pvs", "-o", "pv_name", "/dev/sdb"), ("pvs", "--config", "SHIPPED", "-o", "pv_name", "/dev/sdb")),
        (("/sbin/vgs", "vg"), ("/sbin/vgs", "--config", "SHIPPED", "vg")),
        (("lvm", "fullreport", "--all"), ("lvm", "fullreport", "--config", "SHIPPED", "--all")),
        (("lvm", "version"), ("lvm", "version")),
        (("lvm",), ("lvm",)),
        (("lvmconfig", "--metadataprofile", "p"), ("lvmconfig", "--metadataprofile", "p")),
        (("thin_check", "/dev/mapper/x"), ("thin_check", "/dev/mapper/x")),
    ],
    ids=[
        *("of-lvm", "by-its-path", "with-its-own", "by-lvm", "a-question", "a-question-by-its-path", "a-question-by-lvm"),
        *("no-report", "nothing", "asked-for-the-hosts-settings", "another-tool"),
    ],
)
def test_pinned(argv, due):
    words = {"PINS": lvm_pins.PINS, "SHIPPED": lvm_pins.AS_SHIPPED}
    assert lvm_pins.pinned(argv) == tuple(re.sub("PINS|SHIPPED", lambda one: words[one.group()], word) for word in due)


@pytest.fixture
def programs(monkeypatch):
    """A function that has each program end with a return code and print (output, errors); it returns the argvs, as they come."""

    def end(code, *printed):
        argvs = []

        class Session:
            returncode = code

            def __init__(self, argv, environment):
                argvs.append(argv)

            def answer(self, timeout):
                return printed

        monkeypatch.setattr(commands, "Session", Session)
        return argvs

    return end


def test_a_command_of_lvm_is_run_with_what_is_pinned_and_told_without(programs):
    argvs = programs(5, b"", b"no room")
    with pytest.raises(CommandFailed) as failure:
        commands.run(("vgcreate", "vgdocker", "/dev/sdb"))
    assert str(failure.value) == "`vgcreate vgdocker /dev/sdb` failed with return code 5: no room"
    assert commands.run(["pvs"], ok=None).argv == ("pvs",)
    assert argvs == [("vgcreate", "--config", lvm_pins.PINS, "vgdocker", "/dev/sdb"), ("pvs", "--config", lvm_pins.AS_SHIPPED)]


def sections(text):
    """{"section/name": value} of settings as --config takes them."""
    return {
        "%s/%s" % (section, name): value
        for section, inner in re.findall(r"(\w+) \{ (.*?) \}", text)
        for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', inner)
    }


HOSTS = {
    "log/command_names": "1",
    "log/prefix": '"LVM: "',
    "report/output_format": '"json"',
    "report/binary_values_as_numeric": "1",
}
QUESTIONS = {
    "fullreport": lambda: lvm.ask(),
    "pvs": lambda: lvm.unusable(["/dev/sdb"]),
    "vgs": lambda: lvm_settings.not_autoactivated("vgdocker"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("setting", HOSTS)
def test_a_question_is_answered_as_by_an_lvm_that_nobody_has_set_up_otherwise(programs, question, setting):
    argvs = programs(0, b'{"report": []}', b"")
    QUESTIONS[question]()
    (argv,) = argvs
    assert argv.count("--config") == 1
    assert sections(argv[argv.index("--config") + 1])[setting] not in ("", HOSTS[setting])


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_pinned_for_reports_is_what_a_real_lvm_ships(name):
    values = {setting: value.strip('"') for setting, value in sections(lvm_pins.AS_SHIPPED).items()}
    assert {setting: recorded(name).get(setting, values[setting]).strip('"') for setting in values} == values


def test_a_question_that_somebody_adds_is_pinned_too():
    """By name, so that nobody has to think of it: each report of LVM that module_utils or library asks for."""
    code = [path for folder in ("module_utils", "library") for path in (ROOT / folder).rglob("*.py")]
    asked = {
        name
        for path in code
        for name in re.findall(r'[(\[]"((?:lv|pv|vg)s|(?:lv|pv|vg)display|(?:lv|pv|vg)scan)",', path.read_text())
    }
    assert asked <= set(lvm_pins.REPORTING)
    assert "pvs" in asked


def test_lines_are_told_with_their_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lvm_settings, "FOLDER", str(tmp_path))
    (tmp_path / "lvm.conf").write_text('# filter = []\ndevices {\n\tfilter = [ "r|a|" ]  # x\n\tscan = 1\n}\nglobal/test = 1\n')
    (tmp_path / "lvmlocal.conf").write_text('activation { volume_list = [ "vg0" ]\n monitoring=0 }\ndevices {\n scan=2\n}\n')
    (tmp_path / "lvm_db.conf").write_bytes(b"\xff{ = }\n")
    lvm, local = str(tmp_path / "lvm.conf"), str(tmp_path / "lvmlocal.conf")
    assert lvm_settings.lines() == {
        "devices/filter": lvm + " line 3",
        "devices/scan": local + " line 4",
        "global/test": lvm + " line 6",
        "activation/volume_list": local + " line 1",
        "activation/monitoring": local + " line 2",
    }


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('a {\n\tb=["r|x, y|","a|\\"|"]\n\tc=""\n\td=[]\n}\n', {"a/b": ("r|x, y|", 'a|"|'), "a/c": "", "a/d": ()}),
        ("a {\n\tb {\n\t\tc=1\n\t}\n}\n", {"a/b/c": "1"}),
        ("", {}),
    ],
    ids=["arrays", "nested", "nothing"],
)
def test_values(text, values):
    assert lvm_settings.parse(text) == values


@given(st.one_of(st.text(), st.lists(st.sampled_from(["a {", "}", "b=1", 'c=["x"]', "d=", "=", "e"])).map("\n".join)))
def test_any_answer_is_read_or_is_an_error_with_the_command(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "run", lambda argv, timeout=None, ok=(0,): commands.Result(tuple(argv), 0, text, ""))
        with pytest.raises(CommandFailed, match="lvmconfig --type full"):
            lvm_settings.ask(None)


@pytest.mark.parametrize(
    ("out", "off"),
    [
        ("  enabled,thinpool,enabled\n  enabled,other,\n", ("vgdocker/other",)),
        ("  ,,\n", ("vgdocker",)),
        ("  enabled,,\n", ()),
        ("", ()),
    ],
    ids=["an-lv", "the-vg", "no-lv", "an-lvm-that-knows-no-such-field"],
)
def test_autoactivation(monkeypatch, out, off):
    monkeypatch.setattr(commands, "run", lambda argv, timeout=None, ok=(0,): commands.Result(tuple(argv), 0, out, ""))
    assert lvm_settings.not_autoactivated("vgdocker") == off


def test_the_plan_itself_says_nothing_of_what_is_pinned():
    steps = plan.plan(states.spec(), states.host("bookworm", "00-blank")).steps
    assert not any("--config" in step.argv for step in steps if isinstance(step, Command))
