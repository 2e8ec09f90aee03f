"""Disks and volume group where LVM's answer or the kernel's names are not what a first look takes them for."""

import pathlib
import re

import pytest
import states
from planned_steps import expect

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.names import ADOPTED_TAG, TAG
from module_utils.direct_lvm.plan import plan, volume_group


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
    assert volume_group.grown(pv, 4 * 1024**2)[0] == more


# --- logical blocks --------------------------------------------------------------------------------------


def second(host, **fields):
    """A blank disk /dev/vdd beside the recorded one."""
    fields = dict({"signatures": (), "holders": (), "our_pv_uuid": "other", "identity": "serial other"}, **fields)
    return host.disks[0]._replace(asked="/dev/vdd", path="/dev/vdd", **fields)


@pytest.mark.parametrize(
    ("state", "sizes", "words"),
    [
        (
            "00-blank",
            (512, 4096),
            "/dev/vdd has logical blocks of 4096 bytes, and /dev/vdb, which thin_pool_devices names too, of 512",
        ),
        (
            "00-blank",
            (4096, 512),
            "/dev/vdd has logical blocks of 512 bytes, and /dev/vdb, which thin_pool_devices names too, of 4096",
        ),
        ("00-blank", (4096, 4096), None),
        ("02-vg", (512, 4096), "/dev/vdd has logical blocks of 4096 bytes, and /dev/vdb, which VG vgdocker has, of 512"),
        ("07-complete-profile-attached", (4096, 512), "/dev/vdb, which VG vgdocker has, of 4096"),
        ("07-complete-profile-attached", (4096, 4096), None),
    ],
)
def test_disks_of_other_blocks_are_refused_before_the_first_label(state, sizes, words):
    host = states.tagged(states.host("bookworm", state))
    host = host._replace(disks=(host.disks[0]._replace(sector_size=sizes[0]), second(host, sector_size=sizes[1])))
    spec = states.spec(devices=("/dev/vdb", "/dev/vdd"))
    if words:
        expect(spec, host, words)
    else:
        assert plan.plan(spec, host).steps


def test_blocks_of_a_disk_that_is_not_named_count_and_a_group_of_both_sizes_takes_either():
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    vg = host.lvm.vgs[0]._replace(tags=(TAG, ADOPTED_TAG))
    large = second(host, sector_size=4096)
    more = host.lvm.pvs[0]._replace(name="/dev/vdc", uuid="u-vdc")
    away = host.disks[0]._replace(asked="/dev/vdc", path="/dev/vdc", sector_size=4096)
    both = host._replace(
        disks=(host.disks[0], large), unlisted=(away,), lvm=host.lvm._replace(vgs=(vg,), pvs=(*host.lvm.pvs, more))
    )
    with pytest.raises(Refused, match="may have given"):
        plan.plan(states.spec(devices=("/dev/vdb", "/dev/vdd"), adopt_vg=True), both)
    volume_group.check_block_size(large, both, states.ARTICLE)
    alone = both._replace(disks=(large,), lvm=both.lvm._replace(pvs=(more,)), unlisted=(away._replace(sector_size=512),))
    with pytest.raises(Refused, match="/dev/vdc, which VG vgdocker has, of 512"):
        volume_group.check_block_size(large, alone, states.ARTICLE)


# --- other names -----------------------------------------------------------------------------------------


def renamed(stranger, ours=True, **vg):
    """The recorded pool on /dev/vdb, while thin_pool_devices leads to /dev/vdd, which is a stranger's."""
    host = states.tagged(states.host("bookworm", "07-complete-profile-attached"))
    pvs = tuple(pv._replace(uuid=states.OUR_UUID if ours else "of-another-host") for pv in host.lvm.pvs)
    moved = host.disks[0]._replace(asked="/dev/disk/by-id/virtio-data0", identity="serial data0")
    lvm = host.lvm._replace(pvs=pvs, vgs=(host.lvm.vgs[0]._replace(**vg),))
    return host._replace(disks=(stranger,), unlisted=(moved,), lvm=lvm)


HOST = states.host("bookworm", "07-complete-profile-attached")
STRANGERS = {
    "blank": second(HOST),
    "with-a-file-system": second(HOST, signatures=HOST.disks[0].signatures),
    "mounted": second(HOST, mounts=("/srv",)),
    "gone": second(HOST)._replace(path=None, identity=""),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("adopted", [{}, {"adopt_vg": True}], ids=["ours", "adopted"])
def test_a_disk_of_another_name_is_told_and_no_stranger_is_taken_or_erased(stranger, adopted):
    with pytest.raises(Refused) as refusal:
        plan.plan(states.spec(devices=("/dev/vdd",), **adopted), renamed(stranger))
    text = str(refusal.value)
    assert "the kernel may have given the disks other names at a boot" in text
    assert "/dev/vdb is a disk that this tool put into it on this host: PV UUID %s, serial data0." % states.OUR_UUID in text
    assert "/dev/vdd (%s)" % (stranger.identity or "not there") in text
    assert "thin_pool_devices: [/dev/disk/by-id/virtio-data0]" in text
    assert not any(word in text for word in ("pvmove", "replace.yml", "thin_pool_wipe", "umount"))
    page, heading = re.search(r'(docs/\w+\.md), "(.+)"\.', text).groups()
    assert "\n## %s\n" % heading in (pathlib.Path(__file__).resolve().parents[3] / page).read_text()


def test_a_disk_of_a_group_from_elsewhere_is_not_said_to_be_the_same():
    with pytest.raises(Refused) as refusal:
        plan.plan(states.spec(devices=("/dev/vdd",)), renamed(STRANGERS["blank"], ours=False))
    assert "may have given the disks other names" in str(refusal.value)
    assert "this tool put into it" not in str(refusal.value)


def test_an_adopted_group_grows_by_a_disk_named_beside_those_that_it_has():
    host = renamed(STRANGERS["blank"], tags=(TAG, ADOPTED_TAG))
    with pytest.raises(Refused, match="may have given the disks other names"):
        plan.plan(states.spec(devices=("/dev/vdd",), adopt_vg=True), host)
    named = host._replace(disks=(host.unlisted[0], STRANGERS["blank"]), unlisted=())
    steps = plan.plan(states.spec(devices=("/dev/disk/by-id/virtio-data0", "/dev/vdd"), adopt_vg=True), named).steps
    assert ("vgextend", "vgdocker", "/dev/vdd") in [getattr(step, "argv", ()) for step in steps]
