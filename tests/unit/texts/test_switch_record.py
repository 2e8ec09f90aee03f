"""The record of a switch, when something else than this tool has written into it."""

import json

import pytest
from containerd_hosts import READY, both, host
from docker_hosts import BUSYBOX, DANGLING, DONE
from hypothesis import given
from odd import judge, odd_answers, survives

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import SwitchRecord
from module_utils.direct_lvm.model.spec import CLEAN_UP, PROVISION, ROLL_BACK
from module_utils.direct_lvm.texts import switch_record


def test_the_record_is_read_as_it_was_written():
    kept = (("a" * 64, "running"), ("b" * 64, ""))
    former = SwitchRecord("begun", "devicemapper", "old-pool", "text\n", None, (BUSYBOX, DANGLING), kept=kept)
    assert switch_record.parse(switch_record.render(former)) == former
    for number in ("../etc", "a" * 63, "", 7):
        with pytest.raises(Refused, match="cannot be read"):
            switch_record.parse(switch_record.render(former._replace(kept=((number, ""),))))
    assert switch_record.parse(None) is None
    for text in ("", "[]", "{}", '{"state": 1}', switch_record.render(former._replace(state="x")), "[" * 100000):
        with pytest.raises(Refused, match="cannot be read"):
            switch_record.parse(text)


@pytest.mark.parametrize(
    "odd",
    [
        {"size": float("inf")},
        {"size": 10**400},
        {"size": -1},
        {"size": "7"},
        {"id": []},
        {"tags": [None]},
        {"tags": "ab"},
        {"tags": None},
    ],
    ids=["infinite", "huge", "negative", "text", "no-id", "no-tag", "tags-of-letters", "no-tags"],
)
def test_an_image_of_the_record_that_is_none_is_refused(odd):
    former = SwitchRecord("done", "overlay2", pending=(BUSYBOX,))
    record = json.loads(switch_record.render(former))
    record["pending"][0].update(odd)
    with pytest.raises(Refused, match="the record of Docker's former storage, cannot be read"):
        switch_record.parse(json.dumps(record))


@given(odd_answers([json.loads(switch_record.render(SwitchRecord("done", "overlay2", "p", "d", "{}", (BUSYBOX, DANGLING))))]))
def test_any_node_of_the_record_may_be_odd(answer):
    text = json.dumps(answer)
    if survives(lambda: switch_record.parse(text)):
        former = switch_record.parse(text)
        assert switch_record.parse(switch_record.render(former)) == former
        for goal in (PROVISION, ROLL_BACK, CLEAN_UP):
            judge(host(READY, DONE._replace(former=former)), both()._replace(goal=goal))
