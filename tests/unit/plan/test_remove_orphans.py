"""Removing what a killed run left of a disk: a PV in no VG, which is ours by its UUID, and may hold somebody's data by now."""

import pytest
import states
from pools_in_use import ALL, due

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Signature


def twice(host):
    """The host with its disk listed a second time, under another name."""
    return host._replace(disks=(*host.disks, host.disks[0]._replace(asked="/dev/disk/by-id/virtio-data0")))


def our_orphan(**disk):
    """A disk with a PV of ours in no VG."""
    host = states.host("bookworm", "01-pv-only")
    pv = host.lvm.pvs[0]._replace(uuid=states.OUR_UUID)
    return host._replace(lvm=host.lvm._replace(pvs=(pv,)), disks=(host.disks[0]._replace(**disk),))


@pytest.mark.parametrize(
    ("host", "steps"),
    [(our_orphan(), ALL[2:]), (our_orphan(pv_used=True, pv_commits=1), ALL[3:]), (twice(our_orphan()), ALL[2:])],
    ids=["pvcreate-and-no-more", "vgcreate-was-killed", "the-disk-is-listed-twice"],
)
def test_our_orphan_pv_is_removed(host, steps):
    assert due(host) == steps


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (our_orphan(pv_used=True, pv_commits=7), "vgcfgrestore"),
        (our_orphan(signatures=(Signature("xfs", 0, "filesystem"),)), "somebody else has used it since"),
        (our_orphan(in_use="process 7 (dd) has it open for writing"), "process 7 (dd)"),
    ],
    ids=["its-vg-is-lost", "somebody-has-used-it-since", "somebody-uses-it"],
)
def test_an_orphan_pv_of_ours_that_may_hold_something_stays(host, sentence):
    with pytest.raises(Refused) as refusal:
        due(host)
    assert sentence in str(refusal.value)
