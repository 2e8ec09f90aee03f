"""Every reason why a disk is not taken, as the operator reads it; and what may be erased when it is named."""

import pytest

from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.host import Disk, Signature
from module_utils.direct_lvm.model.lvm_report import Lvm, Pv, Vg
from module_utils.direct_lvm.model.spec import Pool, Wipe
from module_utils.direct_lvm.plan import blank

GIB = 1024**3
OURS = "OurOwn-uuid-of-this-disk-0000-0000-abcdef"
THEIRS = "Theirs-uuid-of-this-disk-0000-0000-abcdef"
NOTHING = Lvm((), (), ())
EXT4 = Signature("ext4", 1080, "filesystem", "backup")
GPT = (
    Signature("gpt", 512, "partition-table"),
    Signature("gpt", 4294966784, "partition-table"),
    Signature("PMBR", 510, "partition-table"),
)
LABEL = Signature("LVM2_member", 536, "raid")
LEG = Signature("mpath_member", None, "raid", "mpatha")


def disk(**fields):
    return Disk(**dict({"asked": "/dev/sdb", "path": "/dev/sdb", "size": 8 * GIB, "our_pv_uuid": OURS}, **fields))


def part(name, *signatures, **fields):
    return disk(**dict({"asked": "/dev/" + name, "path": "/dev/" + name, "kind": "part", "signatures": signatures}, **fields))


def parted(*parts):
    return disk(partitions=tuple(one.path[5:] for one in parts), signatures=GPT, inside=parts)


def pv(vg, name="/dev/sdb", uuid=THEIRS, exported=False, duplicate=False):
    return Pv(name, uuid, vg, 8 * GIB, 8 * GIB, 1048576, 2047, 0, False, exported, duplicate)


def vg(name, missing=0):
    return Vg(name, "u", (), 4194304, 2047, 2047, False, missing)


def lvm(*pvs, vgs=(), warnings=()):
    return Lvm(tuple(pvs), tuple(vgs), (), tuple(warnings))


def pool(*signatures, device="/dev/sdb"):
    return Pool(devices=("/dev/sdb",), wipe=tuple(Wipe(device, signature) for signature in signatures))


def refusal(found, report=NOTHING, wanted=None):
    with pytest.raises(Refused) as caught:
        blank.why_not_blank(found, report, wanted or pool())
    return str(caught.value)


UNUSED = "WARNING: Not using device /dev/sdb for PV x1."
PREFERRED = "WARNING: PV x1 prefers device /dev/sdb because device name matches previous."
DAMAGE = "WARNING: bad metadata header on /dev/sdb at 4096."

REFUSALS = {
    "not there": (disk(path=None), NOTHING, "/dev/sdb does not exist", "ls -l /dev/disk/by-id"),
    "relative name": (Disk("disk/by-id/x", kind="relative name"), NOTHING, "neither a path nor", "/dev/..."),
    "a directory": (disk(kind="directory"), NOTHING, "a directory, not a block device", "lsblk"),
    "a regular file": (disk(kind="regular file"), NOTHING, "a regular file, not a block device", "lsblk"),
    "a pipe": (disk(kind="not a block device"), NOTHING, "/dev/sdb is not a block device.", "lsblk"),
    "may not be looked at": (disk(path=None, unreadable="EACCES"), NOTHING, "cannot be looked at", "ls -l"),
    "the root disk": (disk(system=True, mounts=("/",)), NOTHING, "system runs from: it is mounted at /.", "another"),
    "a partition of the root disk": (disk(system=True, kind="part"), NOTHING, "a partition of that disk", "another"),
    "an array on the root disk": (disk(system=True, kind="raid"), NOTHING, "rests on that disk", "another"),
    "mounted": (disk(mounts=("/srv",), signatures=(EXT4,)), NOTHING, "mounted (ext4) at /srv", "umount /srv"),
    "swap": (disk(swap=True), NOTHING, "in use as swap", "swapoff /dev/sdb"),
    "below an md array": (
        disk(holders=("md0",), held_by=("md0 (md array)",)),
        NOTHING,
        "md0 (md array)",
        "mdadm --stop",
    ),
    "below an open LUKS": (disk(holders=("dm-0",)), NOTHING, "in use below dm-0", "cryptsetup close"),
    "opened by a process": (disk(in_use="process 7 (qemu) has it"), NOTHING, "process 7 (qemu)", "%t:%T' /dev/sdb)"),
    "a multipath leg": (disk(holders=("dm-0",), signatures=(LEG,)), NOTHING, "path of multi", "/dev/mapper/mpatha"),
    "a leg not assembled": (disk(signatures=(LEG._replace(label=""),)), NOTHING, "one path of", "multipath -ll"),
    "read-only": (disk(read_only=True), NOTHING, "is read-only", "blockdev --setrw /dev/sdb"),
    "too small": (disk(size=63 * 2**20), NOTHING, "too small: 63.0 MiB", "another"),
    "an optical drive": (disk(kind="rom"), NOTHING, "optical", "another"),
    "a logical volume": (disk(kind="lvm"), NOTHING, "a logical volume", "another"),
    "unreadable": (disk(unreadable="Input/output error"), NOTHING, "cannot be read", "dmesg | grep sdb"),
    "no medium": (disk(size=0, unreadable="No medium found"), NOTHING, "No medium", "dmesg"),
    "partitions": (
        parted(part("sdb1", EXT4), part("sdb2")),
        NOTHING,
        'has 2 partitions: /dev/sdb1 (ext4 filesystem "backup" at byte 1080), /dev/sdb2 (blank); and a gpt partition table',
        "  - {device: /dev/sdb, signature: ext4}\n  - {device: /dev/sdb, signature: gpt}",
    ),
    "one partition": (parted(part("sdb1")), NOTHING, "has 1 partition: /dev/sdb1 (blank); and", "signature: gpt}"),
    "data in a partition": (parted(part("sdb1", data_at=7)), NOTHING, "(data without", "signature: data}"),
    "a partition of a group": (
        parted(part("sdb1", LABEL)),
        lvm(pv("data", "/dev/sdb1")),
        "/dev/sdb1 is a physical volume of volume group data.",
        "vgremove data",
    ),
    "a partition of a hidden group": (parted(part("sdb1", LABEL)), NOTHING, "LVM does not show it", "--foreign"),
    "a partition in use": (parted(part("sdb1", in_use="process 7 has it")), NOTHING, "/dev/sdb1 is in use", "%t:%T' /dev/sdb1)"),
    "an unreadable partition": (parted(part("sdb1", unreadable="EIO")), NOTHING, "/dev/sdb1 cannot be read", "dmesg"),
    "a partition without a node": (
        disk(partitions=("sdb1",), signatures=GPT, inside=(Disk("/dev/sdb1"),)),
        NOTHING,
        "partition /dev/sdb1 of /dev/sdb has no node in /dev",
        "udevadm trigger",
    ),
    "a partition that may not be looked at": (
        disk(partitions=("sdb1",), signatures=GPT, inside=(Disk("/dev/sdb1", unreadable="EACCES"),)),
        NOTHING,
        "has no node in /dev",
        "udevadm trigger",
    ),
    "a file in the place of a partition's node": (parted(part("sdb1", kind="regular file")), NOTHING, "has no node in", "udevadm"),
    "partitions without a table": (disk(partitions=("sdb1",)), NOTHING, "no table on the disk", "partx --delete"),
    "partitions not looked at": (disk(partitions=("sdb1",), signatures=GPT), NOTHING, "has partitions", "partx"),
    "empty GPT": (disk(signatures=GPT), NOTHING, "a gpt partition table", "{device: /dev/sdb, signature: gpt}"),
    "backup GPT": (disk(signatures=GPT[1:2]), NOTHING, "at byte 4294966784", "signature: gpt}"),
    "a filesystem": (disk(signatures=(EXT4,)), NOTHING, 'ext4 filesystem "backup" at byte 1080', "signature: ext4}"),
    "LUKS": (
        disk(signatures=(Signature("crypto_LUKS", 0, "crypto"),)),
        NOTHING,
        "encrypted",
        "signature: crypto_LUKS}",
    ),
    "md member": (
        disk(signatures=(Signature("linux_raid_member", 4096, "raid"),)),
        NOTHING,
        "array",
        "mdadm --examine",
    ),
    "data": (
        disk(data_at=4096),
        NOTHING,
        "without a known signature at byte 4096",
        "hexdump -C -s 4096 -n 256 /dev/sdb",
    ),
    "other VG": (disk(signatures=(LABEL,)), lvm(pv("data"), vgs=[vg("data")]), "volume group data.", "vgremove data"),
    "one of two PVs": (disk(), lvm(pv("data"), pv("data", "/dev/sdc")), "group data.", "vgreduce data /dev/sdb"),
    "mounted LV": (disk(mounts=("/srv",)), lvm(pv("data")), "group data (mounted at /srv)", "vgs"),
    "exported VG": (disk(), lvm(pv("data", exported=True)), "group data (exported", "vgimport data"),
    "PV that its VG does without": (disk(), lvm(pv("data")._replace(missing=True), vgs=[vg("data", 1)]), "(missing 1 of", "vgs"),
    "VG with a missing PV": (disk(), lvm(pv("data"), vgs=[vg("data", 1)]), "(missing 1 of its disks)", "vgs"),
    "our VG name": (disk(), lvm(pv("vgdocker")), "volume group vgdocker", "vgs"),
    "duplicate PV": (disk(), lvm(pv(None, duplicate=True)), "same PV UUID", "pv_duplicate"),
    "clone that LVM leaves out": (disk(signatures=(LABEL,)), lvm(warnings=[UNUSED]), "same PV UUID", "detach"),
    "clone that LVM prefers": (disk(), lvm(pv("data"), warnings=[PREFERRED]), "same PV UUID", "detach"),
    "orphan PV": (disk(signatures=(LABEL,)), lvm(pv(None)), "UUID " + THEIRS, "signature: LVM2_member}"),
    "damaged PV": (disk(signatures=(LABEL,)), lvm(warnings=[DAMAGE]), "LVM says: " + DAMAGE, "pvck --dump headers"),
    "damaged PV shown as an orphan": (disk(signatures=(LABEL,)), lvm(pv(None), warnings=[DAMAGE]), "LVM says: " + DAMAGE, "pvck"),
    "hidden PV": (disk(signatures=(LABEL,)), NOTHING, "LVM does not show it", "--foreign --shared"),
    "PV not in the devices file": (disk(signatures=(LABEL,)), NOTHING, "the devices file hides it", "lvmdevices --adddev /dev/sdb"),
    "our PV, used since": (
        disk(signatures=(LABEL, EXT4)),
        lvm(pv(None, uuid=OURS)),
        "began, and carries ext4",
        "wipefs",
    ),
}


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.replace(" ", "-"))
def test_refused(case):
    found, report, what, way_out = REFUSALS[case]
    text = refusal(found, report)
    assert what in text
    assert way_out in text.split("\n", 1)[1]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.replace(" ", "-"))
def test_every_refusal_names_the_disk_and_leaves_no_placeholder(case):
    found, report, _what, _way_out = REFUSALS[case]
    text = refusal(found, report)
    assert found.asked in text.split("\n")[0]  # or a partition of it
    assert not any(mark in text for mark in ("%s", "{0}", "{1}", "None", "{{"))


ACCEPTED = {
    "blank": (disk(), NOTHING),
    "partition": (disk(kind="part", path="/dev/sdb1"), NOTHING),
    "array": (disk(kind="raid", path="/dev/md0"), NOTHING),
    "pvcreate killed": (disk(label_header=True), NOTHING),
    "our own orphan PV": (disk(signatures=(LABEL,)), lvm(pv(None, uuid=OURS))),
    "another disk's PV": (disk(), lvm(pv("data", "/dev/sdc"), vgs=[vg("data")])),
}


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.replace(" ", "-"))
def test_accepted(case):
    assert blank.why_not_blank(*ACCEPTED[case], pool("ext4")) == ()


def test_named_disk_and_signature_are_erased():
    found = disk(signatures=(EXT4,))
    assert blank.why_not_blank(found, NOTHING, pool("ext4")) == (EXT4,)
    assert blank.why_not_blank(found, NOTHING, pool("ext4", device="sdb")) == (EXT4,)
    link = found._replace(asked="/dev/disk/by-id/virtio-x")
    assert blank.why_not_blank(link, NOTHING, pool("ext4", device="/dev/disk/by-id/virtio-x")) == (EXT4,)
    assert blank.why_not_blank(link, NOTHING, pool("ext4")) == (EXT4,)


@pytest.mark.parametrize("wanted", [pool("ext4"), pool("swap"), pool("ext4", "swap", device="/dev/sdc"), pool()])
def test_one_signature_that_is_not_named_refuses_all(wanted):
    text = refusal(disk(signatures=(EXT4, Signature("swap", 4086, "other"))), wanted=wanted)
    assert "  - {device: /dev/sdb, signature: ext4}\n  - {device: /dev/sdb, signature: swap}" in text


def test_naming_gpt_takes_its_protective_mbr_along():
    assert {found.type for found in blank.why_not_blank(disk(signatures=GPT), NOTHING, pool("gpt"))} == {"gpt"}
    assert "signature: PMBR" in refusal(disk(signatures=GPT[2:]))


def test_partitions_go_when_the_table_and_all_they_hold_is_named():
    found = parted(part("sdb1", EXT4), part("sdb2"), part("sdb3", data_at=7))
    assert {one.type for one in blank.why_not_blank(found, NOTHING, pool("gpt", "ext4", "data"))} == {"gpt"}
    for named in (("gpt",), ("gpt", "ext4"), ("ext4", "data"), ("gpt", "data", "xfs")):
        assert "has 3 partitions" in refusal(found, wanted=pool(*named))


def test_data_without_a_signature_can_be_named():
    assert blank.why_not_blank(disk(data_at=17), NOTHING, pool("data")) == (Signature("data", 17, "other"),)


def test_orphan_and_damaged_labels_can_be_named():
    for report in (lvm(pv(None)), lvm(warnings=[DAMAGE])):
        assert blank.why_not_blank(disk(signatures=(LABEL,)), report, pool("LVM2_member")) == (LABEL,)


USED = [case for case in REFUSALS if "signature:" not in REFUSALS[case][3]]


@pytest.mark.parametrize("case", USED, ids=lambda case: case.replace(" ", "-"))
def test_what_is_in_use_is_refused_whatever_is_named(case):
    found, report, what, _way_out = REFUSALS[case]
    if what.startswith(("LVM says", "array", "without a known")):
        return
    names = ("ext4", "gpt", "PMBR", "LVM2_member", "mpath_member", "data", "swap", "crypto_LUKS")
    assert what in refusal(found, report, pool(*names))


def test_a_link_is_named_together_with_its_disk_and_kept_in_the_yaml():
    text = refusal(disk(asked="/dev/disk/by-id/virtio-x", signatures=(EXT4,)))
    assert text.startswith("/dev/disk/by-id/virtio-x (/dev/sdb) is not blank")
    assert "{device: /dev/disk/by-id/virtio-x, signature: ext4}" in text


def test_a_label_cannot_play_tricks_on_the_terminal():
    assert "\x1b" not in refusal(disk(signatures=(EXT4._replace(label="\x1b[2Jgone\n"),)))
