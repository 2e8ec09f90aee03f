"""The report of playbooks/status.yml, by Ansible's own templating: no answer spoils another host's row."""

import html
import json
import pathlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ansible")
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19 each text is a template
    trust_as_template = str

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
filter_loader.add_directory(str(ROOT / "filter_plugins"))
TEXTS = {path.stem: trust_as_template(path.read_text()) for path in TEMPLATES.glob("status.*.j2")}
POOL = ("data_percent", "metadata_percent", "size", "metadata_size", "growth_steps_left", "growth_need", "monitored")
WELL = {
    "host": {
        "engine": "devicemapper",
        "docker": {"driver": "devicemapper"},
        "vg": {"size": 2**34, "free": 2**30},
        "pool": dict(dict.fromkeys(POOL, 1), data_percent=41.25, size=2**33, monitored=True),
        "danger": {},
        "warnings": [],
    }
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers(10**399, 10**400)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)


def any_of(*names):
    """Objects that have any of these names, with any value."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))


HOST = st.fixed_dictionaries(
    {},
    optional={
        "engine": JSON,
        "docker": JSON | any_of("driver"),
        "vg": JSON | any_of("size", "free"),
        "pool": JSON | any_of(*POOL) | st.fixed_dictionaries({}, optional=dict.fromkeys(POOL, st.integers(0, 100))),
        "danger": JSON | st.dictionaries(st.text(), st.sampled_from(["critical", "warning"]) | JSON, max_size=3),
        "warnings": JSON | st.lists(st.text() | JSON, max_size=3),
    },
)
ANSWER = JSON | st.fixed_dictionaries({}, optional={"host": JSON | HOST, "msg": JSON, "failed": JSON, "unreachable": JSON})


def render(name, **variables):
    """The text that the role makes of a template."""
    return str(Templar(loader=DataLoader(), variables=variables).template(TEXTS[name], **OPTIONS))


OPTIONS = {} if hasattr(Templar, "resolve_variable_expression") else {"convert_data": False, "preserve_trailing_newlines": True}


def strict(text):
    """What JSON's standard allows, and nothing more."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def report(**answers):
    """({host: row}, the page, the table) of these hosts' answers."""
    hosts = {name: {"status_answer": answer} for name, answer in answers.items()}
    text = render("status.json", ansible_play_hosts_all=list(hosts), hostvars=hosts)
    text.encode("utf-8")
    made = strict(text)
    page, shown = (render(name, status_report=made, status_folder="status") for name in ("status.html", "status.txt"))
    page.encode("utf-8")
    return {row["host"]: row for row in made["hosts"]}, page, shown


@given(ANSWER)
def test_any_answer_leaves_the_other_hosts_as_they_are(answer):
    rows, page, shown = report(odd=answer, well=WELL)
    assert rows["well"] == report(well=WELL)[0]["well"]
    assert (rows["well"]["state"], rows["well"]["data_percent"]) == ("ok", 41.25)
    assert set(rows["odd"]) == set(rows["well"])
    assert all(line.isprintable() for line in shown.split("\n")), shown
    assert page.count("<tbody") == 2
    assert all(line.isprintable() for line in page.split("\n"))
    if rows["odd"]["state"] in ("failed", "unreachable"):
        assert len(rows["odd"]["warnings"]) == 1
        assert rows["odd"]["data_percent"] is None


def changed(path, value):
    """WELL with one value changed; the path's parts are divided by dots."""
    answer = json.loads(json.dumps(WELL))
    *parents, last = path.split(".")
    place = answer
    for parent in parents:
        place = place[parent]
    place[last] = value
    return answer


@pytest.mark.parametrize(
    "value", ["41", float("nan"), float("inf"), int("9" * 400), -1, True, [], {}], ids=lambda value: str(value)[:9]
)
@pytest.mark.parametrize("figure", ["pool.data_percent", "pool.metadata_size", "vg.free", "pool.growth_steps_left"])
def test_a_figure_that_is_none_makes_its_host_failed(figure, value):
    rows, _page, shown = report(odd=changed("host." + figure, value), well=WELL)
    assert (rows["odd"]["state"], rows["well"]["state"]) == ("failed", "ok")
    (sentence,) = rows["odd"]["warnings"]
    assert sentence.startswith("The host gave an answer that direct_lvm_info never gives, in: ")
    assert figure.replace("pool.size", "data_size").replace("vg.", "vg_").replace("pool.", "") in sentence
    assert sentence in shown


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("host", "text"),
        ("host", ["text"]),
        ("host.pool", 5),
        ("host.vg", "text"),
        ("host.docker", ["text"]),
        ("host.danger", ["critical"]),
        ("host.danger", {"data": 5}),
        ("host.danger", {"data": ["critical"]}),
        ("host.warnings", "text"),
        ("host.warnings", {"a": "b"}),
        ("host.warnings", [5]),
        ("host.engine", {}),
        ("host.docker.driver", 5),
        ("host.pool.monitored", []),
        ("host.pool.monitored", "yes"),
    ],
)
def test_a_value_of_another_type_makes_its_host_failed(path, value):
    rows, _page, _shown = report(odd=changed(path, value), well=WELL)
    assert (rows["odd"]["state"], rows["well"]["state"]) == ("failed", "ok")
    assert path.rpartition(".")[2] in rows["odd"]["warnings"][0]


@pytest.mark.parametrize("value", [None, 0, 100, 41.25])
def test_a_figure_that_the_module_gives_is_taken(value):
    assert report(one=changed("host.pool.data_percent", value))[0]["one"]["data_percent"] == value


@pytest.mark.parametrize(
    "names", [["data_percent"], ["size"], ["metadata_percent", "growth_need"], ["metadata_size"], ["monitored"]]
)
def test_a_pool_of_which_little_is_known_is_shown(names):
    pool = {name: WELL["host"]["pool"][name] for name in names}
    rows, page, _shown = report(odd=changed("host.pool", pool), well=WELL)
    assert (rows["odd"]["state"], page.count("<tbody")) == ("ok", 2)


HOSTILE = "a\x1b]0;title\x07b\u202ec\r\x9bd\ud800 <script>alert(1)</script>\n<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("path", ["host.warnings", "host.engine", "host.docker.driver", "host.danger"])
def test_a_hostile_text_is_text(path):
    value = {"host.warnings": [HOSTILE], "host.danger": {HOSTILE: HOSTILE, "data": '" onclick="alert(1)'}}.get(path, HOSTILE)
    rows, page, shown = report(odd=changed(path, value), well=WELL)
    assert rows["odd"]["state"] != "failed"
    for text in (page, shown):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert not re.search("<script|<img", page)
    assert 'onclick="' not in page
    if path != "host.danger":
        assert html.escape("a?]0;title?b?c", quote=True) in page
        assert "a?]0;title?b?c" in shown


def test_a_hostile_message_is_text():
    rows, page, shown = report(odd={"failed": True, "msg": HOSTILE})
    assert rows["odd"]["state"] == "failed"
    assert "a?]0;title?b?c" in shown
    assert "<script" not in page


def answered(danger=None, data=10, **answer):
    """What direct_lvm_info returns of a host whose pool's data is that full, in percent."""
    host = dict(WELL["host"], danger=danger or {}, pool=dict(WELL["host"]["pool"], data_percent=data))
    return dict({"host": host}, **answer)


@pytest.mark.parametrize(
    ("situation", "answer", "state"),
    [
        ("all is well", answered(), "ok"),
        ("no pool and no danger", {"host": dict.fromkeys(WELL["host"])}, "ok"),
        ("one subject in danger", answered({"reserve": "warning"}), "warning"),
        ("the worst subject counts", answered({"reserve": "warning", "data": "critical"}), "critical"),
        ("a severity that is new", answered({"data": "notice"}), "warning"),
        ("not reached, though it answered before", answered(unreachable=True), "unreachable"),
        ("the module failed", answered(failed=True, msg="no LVM"), "failed"),
        ("no answer at all", {}, "failed"),
    ],
)
def test_how_bad_a_host_is(situation, answer, state):
    assert report(one=answer)[0]["one"]["state"] == state, situation


def test_the_hosts_in_danger_come_first_and_the_fuller_pools_before_the_others():
    rows = report(
        d_full=answered(data=70), c_ok=answered(), e_ok=answered(), b_warned=answered({"reserve": "warning"}),
        a_failed={"failed": True}, f_gone={"unreachable": True}, z_danger=answered({"data": "critical"}, data=99),
    )[0]  # fmt: skip
    assert list(rows) == ["z_danger", "f_gone", "a_failed", "b_warned", "d_full", "c_ok", "e_ok"]


def test_an_answer_without_end_is_cut():
    one = report(one=answered({"subject %d" % n: "warning" for n in range(5000)}))[0]["one"]
    assert len(one["danger"]) == 100
