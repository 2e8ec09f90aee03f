"""daemon.json: our keys come and go, everything else and its order stays."""

import json

import pytest
import states
from docker_hosts import DONE, FRESH, JSON, JSON_TEXT, due, host
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Docker
from module_utils.direct_lvm.plan import docker_switch, plan
from module_utils.direct_lvm.texts import own_files
from module_utils.direct_lvm.texts.daemon_json import given_back, merge, paths, without

STORE = own_files.IMAGE_STORE
KEYS = ("storage-driver", "storage-opts")
MERGED = [  # daemon.json, what is merged into it, the result
    ("no-file", None, '{"a": {"b": true}}', '{\n    "a": {\n        "b": true\n    }\n}\n'),
    ("empty-file", "", '{"a": 1}', '{\n    "a": 1\n}\n'),
    ("nothing-to-set-and-no-file", None, "{}", None),
    ("nothing-to-set", "{ }", "{}", "{ }"),
    ("set-already", '{"x":1, "a":{"c":0,"b":true}}', '{"a": {"b": true}}', '{"x":1, "a":{"c":0,"b":true}}'),
    ("an-object-inside-keeps-its-other-keys", '{\n "a": {"c": 0}}', '{"a": {"b": 1}}', '{\n "a": {\n  "c": 0,\n  "b": 1\n }\n}\n'),
    ("a-value-inside-changes", '{\n\t"a": {"b": false}\n}', '{"a": {"b": true}}', '{\n\t"a": {\n\t\t"b": true\n\t}\n}\n'),
    ("what-is-no-object-is-replaced", '{"a": null}', '{"a": {"b": true}}', '{\n    "a": {\n        "b": true\n    }\n}\n'),
    ("an-object-is-replaced-by-a-value", '{"a": {"b": 1}}', '{"a": "x"}', '{\n    "a": "x"\n}\n'),
    ("a-list-is-replaced-whole", '{"a": [1, 2]}', '{"a": [3]}', '{\n    "a": [\n        3\n    ]\n}\n'),
    ("order-and-letters", '{\n  "z": "é",\n  "a": 0\n}\n', '{"a": 1, "b": 2}', '{\n  "z": "é",\n  "a": 1,\n  "b": 2\n}\n'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fragment", "merged"), [row[1:] for row in MERGED], ids=[row[0] for row in MERGED])
def test_merge(text, fragment, merged):
    assert merge(text, json.loads(fragment)) == merged
    assert merge(merged, json.loads(fragment)) == merged


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (None, None),
        ("", ""),
        ('{"debug":true}', '{"debug":true}'),
        ('{"storage-driver": null}', "{}\n"),
        ('{\n  "storage-opts": [],\n  "debug": true\n}\n', '{\n  "debug": true\n}\n'),
        ('{"x": {"storage-driver": "y"}}', '{"x": {"storage-driver": "y"}}'),
    ],
    ids=["no-file", "empty-file", "not-there", "null", "there", "inside-another-object"],
)
def test_without(text, left):
    assert without(text, KEYS) == left


@pytest.mark.parametrize("text", ["{", "[]", "1", '"x"', '{"a": NaN}', "[" * 100000])
def test_what_is_no_json_object_is_an_error(text):
    with pytest.raises(ValueError, match=r"."):
        merge(text, STORE)
    with pytest.raises(ValueError, match=r"."):
        without(text, KEYS)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)
FILES = st.dictionaries(st.one_of(st.sampled_from(["features", "storage-driver", "storage-opts", "debug"]), st.text()), VALUES)


@given(FILES, st.sampled_from([None, "\t", " ", 2]))
def test_any_file_gets_the_image_store_and_keeps_the_rest(config, indent):
    text = json.dumps(config, indent=indent)
    merged = merge(text, STORE)
    after = json.loads(merged)
    assert merge(merged, STORE) == merged
    assert (after["features"]["containerd-snapshotter"], after["storage-driver"]) == (True, "devmapper")
    assert {key: value for key, value in after.items() if key not in ("features", "storage-driver")} == {
        key: value for key, value in config.items() if key not in ("features", "storage-driver")
    }
    if isinstance(config.get("features"), dict):
        assert dict(config["features"], **{"containerd-snapshotter": True}) == after["features"]
    left = [key for key in after if key in config]
    assert left == [key for key in config if key in after]
    assert list(json.loads(without(merged, KEYS))) == [key for key in after if key not in KEYS]


@given(FILES, st.dictionaries(st.sampled_from("xy"), st.booleans()))
def test_what_was_merged_goes_and_what_was_written_since_stays(before, since):
    if not isinstance(before.get("features"), dict) or not before["features"]:
        before.pop("features", None)  # an object takes its place, and goes with its last key
    text = json.dumps(before)
    back = given_back(merge(merge(text, STORE), since), text, paths(STORE))
    assert json.loads(back) == dict(before, **since)
    assert given_back(back, text, paths(STORE)) == back
    assert back == text or since


@pytest.mark.parametrize(
    ("text", "former", "back"),
    [
        (json.dumps(STORE), None, None),
        (merge('{"debug": true}', STORE), None, '{\n    "debug": true\n}\n'),
        ("{}", None, "{}"),
        (None, '{"debug": true}', None),
        (None, '{"storage-driver": "overlay2"}', '{"storage-driver": "overlay2"}'),
    ],
    ids=["made-by-us", "made-by-us-and-written-into", "made-by-somebody", "removed-by-somebody", "our-key-removed-by-somebody"],
)
def test_a_file_goes_only_when_it_was_ours_alone(text, former, back):
    assert given_back(text, former, paths(STORE)) == back


OFF = {"containerd-snapshotter": False}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (None, {"storage-driver": "overlay2"}),
        (
            '{"storage-driver": "devicemapper", "storage-opts": ["dm.fs=xfs"], "bip": "x"}',
            {"storage-driver": "overlay2", "bip": "x"},
        ),
        ('{"features": {"buildkit": true}}', {"features": {"buildkit": True}, "storage-driver": "overlay2"}),
        ('{"features": {"containerd-snapshotter": false}}', {"features": OFF, "storage-driver": "overlay2"}),
        ('{"features": {"containerd-snapshotter": true}}', {"features": OFF, "storage-driver": "overlay2"}),
        ('{"features": null}', {"features": None, "storage-driver": "overlay2"}),
    ],
    ids=["no-file", "graph-driver", "other-features", "store-is-off", "store-is-on", "no-features"],
)
def test_daemon_json_for_overlay2(text, after):
    assert json.loads(docker_switch.overlay2(Docker("26.1.5", daemon_json=text)).daemon_json) == after


@pytest.mark.parametrize("text", ["{", "[]", '{"a": NaN}'])
def test_daemon_json_that_is_none_is_a_sentence(text):
    with pytest.raises(Refused, match=r"daemon\.json is not valid JSON"):
        docker_switch.overlay2(Docker("26.1.5", daemon_json=text))


def test_daemon_json_is_merged_and_nothing_else_of_it_changes():
    fresh = FRESH._replace(
        daemon_json='{\n  "log-driver": "journald",\n  "storage-driver": "overlay2",\n  "bip": "10.1.0.1/24"\n}\n'
    )
    _fits, _record, switch = plan.plan(states.spec()._replace(docker=JSON), host(fresh)).steps
    text = next(step.text for step in switch.steps if getattr(step, "path", "").endswith("daemon.json"))
    assert text == (
        '{\n  "log-driver": "journald",\n  "storage-driver": "devicemapper",\n  "bip": "10.1.0.1/24",\n'
        '  "storage-opts": [\n    "dm.thinpooldev=/dev/mapper/vgdocker-thinpool",\n    "dm.use_deferred_removal=true"\n  ]\n}\n'
    )
    there = DONE._replace(dropin_text=JSON_TEXT, daemon_json=text)
    assert due(there, JSON) == []
    assert fresh.daemon_json in [getattr(step, "text", "") for step in switch.way_back]
