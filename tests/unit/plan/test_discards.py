"""Discards that have drifted: corrected by LVM's rules (lvchange(8)), and refused where LVM does not change them."""

import pytest
import states
from planned_steps import MONITOR, ON_POOL, expect

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.plan import plan

OFF = "lvchange --activate n vgdocker/thinpool"


def pool(state="07-complete-profile-attached", **fields):
    """A recorded host with its policy in place, the pool changed."""
    host = states.tagged(states.host("bookworm", state))._replace(profile_text=states.PROFILE)
    lvs = tuple(lv._replace(**fields) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    return host._replace(lvm=host.lvm._replace(lvs=lvs))


def change(wanted):
    return "lvchange --discards %s vgdocker/thinpool" % wanted


@pytest.mark.parametrize(
    ("fields", "wanted", "due"),
    [
        ({"discards": "passdown"}, "passdown", []),
        ({"discards": ""}, "passdown", []),
        ({"discards": "nopassdown", "open": True}, "passdown", [change("passdown")]),
        ({"discards": "passdown", "open": True}, "nopassdown", [change("nopassdown")]),
        ({"discards": "ignore", "open": False}, "passdown", [OFF, change("passdown"), ON_POOL]),
        ({"discards": "nopassdown", "open": False}, "ignore", [OFF, change("ignore"), ON_POOL]),
        ({"discards": "ignore", "open": True}, "ignore", []),
        ({"discards": "ignore", "open": True}, "passdown", "is in use: LVM changes that only while the pool is not active"),
        ({"discards": "passdown", "open": True}, "ignore", "Keep it: thin_pool_discards: passdown"),
    ],
    ids=[
        *("as-wanted", "not-told", "live-one-way", "live-the-other-way", "idle-from-ignore", "idle-to-ignore"),
        *("wanted-ignore", "in-use-from-ignore", "in-use-to-ignore"),
    ],
)
def test_drift(fields, wanted, due):
    expect(states.spec(discards=wanted), pool(**fields), due)


def test_an_inactive_pool_is_changed_before_it_is_activated():
    due = [change("passdown"), ON_POOL, MONITOR]
    expect(states.spec(), pool("13-complete-inactive", discards="ignore"), due)


def test_the_way_out_of_a_pool_in_use_says_what_it_costs_and_names_the_pool_everywhere():
    with pytest.raises(Refused) as refusal:
        plan.plan(states.spec(), pool(discards="ignore", open=True))
    assert "keeps the devices of removed containers for ever" in str(refusal.value)
    assert refusal.value.way_out.split("\n")[2:] == [
        "running=$(docker ps -q); echo $running | xargs -r docker stop; systemctl stop docker.socket docker containerd",
        "dmsetup deps -o devname | awk -F: 'index($0, \"(vgdocker-thinpool)\") {print $1}' | xargs -r -n 1 dmsetup remove --retry",
        "lvchange -an vgdocker/thinpool && lvchange --discards passdown vgdocker/thinpool && lvchange -ay vgdocker/thinpool",
        "systemctl start containerd docker.socket docker; echo $running | xargs -r docker start",
    ]


@pytest.mark.parametrize("wanted", ["passdown", "nopassdown", "ignore"])
def test_a_new_pool_is_made_with_what_is_wanted_whatever_lvm_conf_says(wanted):
    steps = plan.plan(states.spec(discards=wanted), states.host("bookworm", "00-blank")).steps
    (convert,) = [step.argv for step in steps if getattr(step, "argv", ("",))[0] == "lvconvert"]
    assert convert[convert.index("--discards") + 1] == wanted
