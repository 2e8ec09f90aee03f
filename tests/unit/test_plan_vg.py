"""Disks and volume group where LVM's answer or the kernel's names are not what a first look takes them for."""

import pytest
import states
from test_plan import expect

from module_utils.direct_lvm import plan_vg


def test_two_vgs_of_that_name_are_refused_with_the_uuid_of_each():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    vg = host.lvm.vgs[0]
    twice = host._replace(lvm=host.lvm._replace(vgs=(vg, vg._replace(uuid="other-uuid"))))
    expect(states.spec(), twice, "vgrename %s NEWNAME    # or vgrename other-uuid NEWNAME" % vg.uuid)


def test_a_disk_that_came_back_after_vgreduce_removemissing_is_told_from_one_that_is_away():
    host = states.tagged(states.host("bookworm", "26-vg-missing-pv"))
    pvs = tuple(pv._replace(name="/dev/vdc") if pv.missing else pv for pv in host.lvm.pvs)
    back = host._replace(lvm=host.lvm._replace(pvs=pvs))
    expect(states.spec(), back, "vgextend --restoremissing vgdocker /dev/vdc")


@pytest.mark.parametrize("state", ["00-blank", "07-complete-profile-attached"], ids=["both-are-new", "one-is-in-the-vg"])
def test_two_disks_that_the_kernel_knows_by_one_number_are_refused(state):
    host = states.tagged(states.host("bookworm", state))
    pvs = tuple(pv._replace(uuid=states.OUR_UUID) for pv in host.lvm.pvs)
    second = host.disks[0]._replace(asked="/dev/vdd", path="/dev/vdd", signatures=(), holders=())
    host = host._replace(disks=(*host.disks, second), lvm=host.lvm._replace(pvs=pvs))
    expect(states.spec(devices=("/dev/vdb", "/dev/vdd")), host, "have the same WWID or serial number")


@pytest.mark.parametrize(("mda_at_end", "more"), [(1044480, 0), (0, 1)], ids=["pvmetadatacopies-2", "as-lvm-does-it"])
def test_metadata_at_the_end_of_a_disk_are_no_growth_of_it(mda_at_end, more):
    """Tried with 2.03.16: 297 MiB have 73 extents with two areas, 74 with one; pvresize changes neither."""
    pv = states.host("bookworm", "07-complete-profile-attached").lvm.pvs[0]
    pv = pv._replace(dev_size=297 * 1024**2, extents=73, mda_at_end=mda_at_end)
    assert plan_vg.grown(pv, 4 * 1024**2)[0] == more
