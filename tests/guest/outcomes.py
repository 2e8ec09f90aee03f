"""What a run of the module direct_lvm on a guest ended with, judged the same way by each file of tests."""

import remote


def went_well(guest, **wanted):
    """The result of a run that must not fail."""
    result = remote.run(guest, **wanted)
    assert "msg" not in result, result["msg"]
    assert "died" not in result, result["died"]
    return result


def is_refused(guest, *words, untouched=None, **wanted):
    """The sentence of a run that must fail without a step; words: what it holds. untouched: prints the same after it."""
    before = guest.ssh(untouched).stdout if untouched else ""
    result = remote.run(guest, **wanted)
    assert result.get("failed"), result
    assert result["steps"] == []
    assert [word for word in words if word not in result["msg"]] == [], result["msg"]
    assert not untouched or guest.ssh(untouched).stdout == before
    return result["msg"]
