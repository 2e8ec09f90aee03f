"""A disk that comes from another host with a pool of ours on it: nothing of the pool is used or removed before that is told."""

import containerd_hosts
import docker_hosts
import pytest
import states

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.names import ADOPTED_TAG
from module_utils.direct_lvm.plan import plan, thin_pool

TOLD = "Its disks do not carry the UUIDs that this tool gives here: it was made on another host"
AS_RECORDED = states.tagged(states.host("bookworm", "07-complete-profile-attached"))


def moved(host=AS_RECORDED, uuid="of-another-host", tags=(), made_on="", **disk):
    """The host with such a PV under its pool."""
    pvs = tuple(pv._replace(uuid=uuid) for pv in host.lvm.pvs)
    vgs = tuple(vg._replace(tags=vg.tags + tags) for vg in host.lvm.vgs)
    lvs = tuple(lv._replace(made_on=made_on, data_percent=12.5) if lv.name == "thinpool" else lv for lv in host.lvm.lvs)
    disks = tuple(one._replace(**disk) for one in host.disks)
    return host._replace(lvm=host.lvm._replace(pvs=pvs, vgs=vgs, lvs=lvs), disks=disks, profile_text=states.PROFILE)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (moved(), True),
        (moved(made_on="host-a"), True),
        (moved(uuid=states.OUR_UUID), False),
        (moved(tags=(ADOPTED_TAG,)), False),
        (moved(path="/dev/vdc"), False),
        (states.host("bookworm", "07-complete-profile-attached"), False),
        (states.host("bookworm", "00-blank"), False),
    ],
    ids=["other-uuid", "lvm-knows-the-host", "our-uuid", "adopted", "disk-not-listed", "not-ours", "no-vg"],
)
def test_what_the_uuids_say(host, told):
    sentence = thin_pool.from_elsewhere(states.spec().pool, host)
    assert (TOLD in sentence) == told
    assert bool(sentence) == told


def test_the_host_that_lvm_has_noted_is_named():
    assert "on another host (LVM has noted host-a as the host)" in thin_pool.from_elsewhere(
        states.spec().pool, moved(made_on="host-a")
    )


ENGINES = {
    "removed": (states.spec()._replace(goal="remove"), moved()),
    "the-graph-drivers": (
        states.spec()._replace(docker=docker_hosts.WANTED),
        moved(docker_hosts.host(docker_hosts.FRESH)),
    ),
    "the-snapshotters": (
        containerd_hosts.both(),
        moved(containerd_hosts.host(containerd_hosts.STOCK, containerd_hosts.NEW)),
    ),
}


@pytest.mark.parametrize(("spec", "host"), ENGINES.values(), ids=ENGINES)
def test_the_refusal_of_its_data_says_it(spec, host):
    with pytest.raises(Refused) as refusal:
        plan.plan(spec, host)
    assert "12.50 %" in refusal.value.what
    assert TOLD in refusal.value.what


def test_a_pool_whose_host_or_disk_has_changed_is_no_worse_for_it():
    assert plan.plan(states.spec(), moved()).steps == plan.plan(states.spec(), moved(uuid=states.OUR_UUID)).steps == ()
