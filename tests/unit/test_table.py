"""The table at the end of a run: a host may return anything, and its row is all that it can spoil."""

import importlib.util
import json
import pathlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ansible")
FILE = pathlib.Path(__file__).resolve().parents[2] / "playbooks" / "callback_plugins" / "direct_lvm_table.py"
SPECIFICATION = importlib.util.spec_from_file_location("direct_lvm_table", str(FILE))
table = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(table)

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8)
PARTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("engine", "docker", "pool", "status", "driver", "device", "version"), JSON)
)
HOST = JSON | st.fixed_dictionaries({"engine": JSON, "docker": JSON | PARTS, "pool": JSON | PARTS})
ANSWER = st.fixed_dictionaries(
    {},
    optional={
        "host": HOST,
        "before": HOST,
        "begun": JSON,
        "steps": JSON,
        "downtime": JSON,
        "changed": JSON,
        "msg": JSON,
        "results": JSON,
        "failed": JSON,
    },
)
WELL = {"host": {"engine": "devicemapper", "pool": {"device": "/dev/mapper/a"}, "docker": {}}, "changed": True, "downtime": 1.5}


class Screen:
    """What is shown, in place of Ansible's display."""

    def __init__(self):
        self.lines = []

    def display(self, line, *_arguments, **_named):
        self.lines.append(line)

    def banner(self, line, *_arguments, **_named):
        self.lines.append(line)


def shown(*events):
    """The lines of the table of (host, kind of event, result of the module)."""
    callback = table.CallbackModule()
    callback._display, callback.asked = Screen(), True
    task = SimpleNamespace(action="direct_lvm", check_mode=False, get_name=lambda: "test")
    for name, kind, answer in events:
        result = SimpleNamespace(_host=SimpleNamespace(get_name=lambda name=name: name), _task=task, _result=answer)
        getattr(callback, "v2_runner_on_" + kind)(result)
    callback.v2_playbook_on_stats(None)
    return callback._display.lines


@pytest.mark.parametrize(
    ("docker", "told"),
    [
        ({"version": "20.10.24", "active": True, "driver": None, "problem": "docker is not installed"}, "Docker does not tell"),
        ({"version": "", "active": True, "driver": None}, "Docker does not tell"),
        ({"version": "20.10.24", "active": False, "driver": None}, "Docker down"),
        ({"version": "20.10.24", "active": "yes", "driver": None}, "Docker down"),
        ({"version": None, "active": False, "driver": None}, "no Docker"),
        ({"version": "20.10.24", "active": True, "driver": "overlay2"}, "overlay2"),
        ({}, "no Docker"),
    ],
    ids=["without-its-client", "of-no-known-version", "stopped", "no-answer-of-ours", "not-installed", "answers", "not-asked"],
)
def test_a_docker_without_its_client_is_not_called_down(docker, told):
    assert table.storage({"docker": docker, "engine": None, "pool": None}) == told


@given(ANSWER, st.sampled_from(["ok", "failed", "unreachable"]))
def test_any_answer_leaves_the_others_rows_as_they_are_and_is_printable(answer, kind):
    lines = shown(("odd", kind, answer), ("well", "ok", WELL))
    assert [line.split() for line in lines if line.startswith("well")] == [
        ["well", "devicemapper", "on", "a", "devicemapper", "on", "a", "1.5", "s"]
    ]
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ["no object"]),
        ("before", ["no object"]),
        ("before", {"docker": 5}),
        ("begun", "yes"),
        ("host", {"engine": "x", "pool": {"device": 5}}),
        ("host", {"docker": "text"}),
        ("host", {"docker": {"status": 5, "driver": ["a"]}}),
        ("steps", 5),
        ("downtime", "long"),
        ("downtime", float("nan")),
        ("downtime", float("inf")),
        ("downtime", int("9" * 400)),
        ("results", 5),
        ("results", ["text"]),
        ("msg", {"not": "text"}),
    ],
)
def test_an_odd_value_costs_no_other_row(field, value):
    lines = shown(("odd", "failed", dict(WELL, **{field: value})), ("well", "ok", WELL))
    assert any(line.startswith("well") and line.endswith("1.5 s") for line in lines)
    assert any(line.startswith("odd") for line in lines)


def test_what_a_host_had_is_told_when_one_call_did_all():
    before = {"engine": None, "pool": None, "docker": {"driver": "overlay2", "version": "20.10", "status": {}}}
    assert shown(("a", "ok", dict(WELL, before=before)))[2].split() == ["a", "overlay2", "devicemapper", "on", "a", "1.5", "s"]


@pytest.mark.parametrize(("begun", "word"), [(True, "FAILED"), (False, "refused")])
def test_a_failure_is_a_refusal_only_before_the_first_step(begun, word):
    lines = shown(("a", "failed", dict(WELL, changed=False, begun=begun, msg="no")))
    assert lines[2].endswith("%s: no" % word)


def test_a_message_commands_no_terminal():
    lines = shown(("odd", "failed", {"msg": json.loads('"a\\u001b]0;title\\u0007b\\u202ec\\r\\u009bd\\nsecond"')}))
    assert "refused: a?]0;title?b?c??d" in lines[2]
    assert "second" not in lines[2]
