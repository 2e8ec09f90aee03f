"""What is odd in an answer of `lvm fullreport` is named, with the command: sizes of zero, texts for numbers, other shapes."""

import json

import pytest
import states
from odd import GONE, answering, judge, put

from module_utils.direct_lvm.facts import lvm
from module_utils.direct_lvm.model.errors import CommandFailed

ANSWER = states.load("bookworm", "07-complete-profile-attached", "fullreport-all.json")


def place(section, name):
    """The path of a field in the report of a finished pool, in the row that the pool is in."""
    found = [
        ("report", number, section, index, name)
        for number, group in enumerate(ANSWER["report"])
        for index, row in enumerate(group.get(section, ()))
        if name in row and row.get("pv_uuid") != "" and row.get("segtype") in (None, "thin-pool")
        if row.get("lv_name") in (None, "thinpool")
    ]
    return found[0]


ROWS = [  # section, field, value, the words of the failure
    ("vg", "vg_extent_size", "0", "vg_extent_size of vg 'vgdocker' is '0'"),
    ("vg", "vg_extent_size", "", "vg_extent_size of vg 'vgdocker' is ''"),
    ("vg", "vg_extent_count", "9" * 400, "vg_extent_count of vg 'vgdocker' is '999"),
    ("vg", "vg_free_count", float("inf"), "Infinity is not a JSON number"),
    ("vg", "vg_free_count", GONE, "it tells no vg_free_count"),
    ("vg", "vg_tags", None, "vg_tags of vg 'vgdocker' is None"),
    ("seg", "chunk_size", "0", "chunk_size of seg"),
    ("lv", "lv_dm_path", None, "lv_dm_path of lv 'thinpool' is None"),
    ("lv", "lv_size", -1, "lv_size of lv 'thinpool' is -1"),
    ("lv", "lv_health_status", ["x"], "lv_health_status of lv 'thinpool' is ['x']"),
    ("lv", "data_percent", "nan", "data_percent of lv 'thinpool' is 'nan'"),
    ("lv", "data_percent", float("nan"), "NaN is not a JSON number"),
    ("lv", "metadata_percent", "inf", "metadata_percent of lv 'thinpool' is 'inf'"),
    ("lv", "lv_name", GONE, "it tells no lv_name"),
    ("lv", "lv_profile", "\ud800", "surrogates not allowed"),
    ("pv", "pv_size", "", "pv_size of pv '/dev/vdb' is ''"),
    ("pv", "pe_start", [1], "pe_start of pv '/dev/vdb' is [1]"),
    ("pv", "pv_name", "/dev/\0", "pv_name of pv"),
]


@pytest.mark.parametrize(("section", "name", "odd", "words"), ROWS, ids=["%s-%.12r" % row[1:3] for row in ROWS])
def test_what_is_odd_is_named(monkeypatch, section, name, odd, words):
    answering(monkeypatch, json.dumps(put(ANSWER, place(section, name), odd)))
    with pytest.raises(CommandFailed) as raised:
        lvm.ask()
    assert str(raised.value).startswith("`lvm fullreport ")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [([], "no list `report`"), ({"report": {}}, "no list `report`"), ({"report": [None]}, "no list `report`"),
     ({"report": [{"pv": None}]}, "`pv` is None, no list of rows"),
     ({"report": [{"lv": ["x"]}]}, "`lv` is ['x'], no list of rows")],
    ids=["a-list", "an-object", "of-nothing", "no-rows", "rows-of-text"],
)  # fmt: skip
def test_a_report_of_another_shape_is_refused(monkeypatch, answer, words):
    answering(monkeypatch, json.dumps(answer))
    with pytest.raises(CommandFailed, match="lvm fullreport") as raised:
        lvm.ask()
    assert words in str(raised.value)


def test_a_volume_group_without_extents_has_a_warning_that_can_be_written(monkeypatch):
    answering(monkeypatch, json.dumps(put(ANSWER, place("vg", "vg_extent_count"), "0")))
    judge(states.tagged(states.host("bookworm", "07-complete-profile-attached")._replace(lvm=lvm.ask())), states.spec())
