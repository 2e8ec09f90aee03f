"""From a name to a Disk: parsers of procfs, structure on small made-up /sys and /proc trees."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from module_utils.direct_lvm.facts import disks, signatures
from module_utils.direct_lvm.host import mountinfo
from module_utils.direct_lvm.model.host import Disk, Signature

# --- procfs ----------------------------------------------------------------------------------------------


@given(st.one_of(st.text(), st.text(alphabet="17:/\\04 \t\n-x\0", min_size=9)))
def test_any_text_in_proc_is_read(text):
    assert all(mount.number and "\n" not in mount.number for mount in mountinfo.parse(text))
    assert len(disks.parse_swaps(text)) <= text.count("\n")


def test_mountinfo_and_swaps():
    line = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    assert mountinfo.parse(line) == [("98:0", "/mnt 2", "ext3", "/dev/root")]
    assert disks.parse_swaps("Filename\tType\n/dev/sdb1   partition 1 0 -2\n") == ["/dev/sdb1"]


def test_a_disk_on_which_a_probe_hung_is_not_read_by_ourselves(monkeypatch):
    read = []
    monkeypatch.setattr(signatures, "probe", lambda _path: ((), "`blkid` did not finish within 120 s and was stopped."))
    monkeypatch.setattr(signatures, "read_edges", lambda *asked: read.append(asked))
    assert "did not finish" in disks._probed(Disk("/dev/sdb", "/dev/sdb"), "8:16").unreadable
    assert read == []


# --- what is stacked on what -----------------------------------------------------------------------------


class Tree:
    """A /sys and a /proc with just what is asked of them."""

    def __init__(self, root, monkeypatch):
        self.root = root
        for name in ("SYS", "PROC", "UDEV"):
            monkeypatch.setattr(disks, name, str(root / name))
        self.write("PROC/self/mountinfo", "")
        self.write("PROC/swaps", "Filename Type\n")

    def write(self, path, text):
        path = self.root / path
        os.makedirs(str(path.parent), exist_ok=True)
        path.write_text(text)

    def device(self, name, number, parent="", on=(), **attributes):
        folder = "SYS/devices/block/" + (parent + "/" if parent else "") + name
        for key, text in dict({"dev": number, "size": "204800", "ro": "0"}, **attributes).items():
            self.write(folder + "/" + key.replace("__", "/"), text + "\n")
        if parent:
            self.write(folder + "/partition", name[-1])
        for link in ("dev/block/" + number, "class/block/" + name) + (() if parent else ("block/" + name,)):
            self.link(link, folder)
        for lower in on:
            below = os.path.realpath(str(self.root / "SYS/class/block" / lower))
            self.link("../" + os.path.relpath(below, str(self.root)) + "/holders/" + name, folder)
            self.link("../" + folder + "/slaves/" + lower, os.path.relpath(below, str(self.root)))

    def link(self, name, folder):
        path = os.path.normpath(str(self.root / "SYS" / name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(str(self.root / folder), path)

    def mounted(self, *mounts):
        lines = ["1 1 %s / %s rw - ext4 %s rw" % mount for mount in mounts]
        self.write("PROC/self/mountinfo", "\n".join(lines))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    tree = Tree(tmp_path, monkeypatch)
    tree.device("sda", "8:0")
    tree.device("sda1", "8:1", parent="sda")
    tree.device("sda2", "8:2", parent="sda")
    tree.device("sdb", "8:16", queue__logical_block_size="4096")
    tree.device("sdc", "8:32")
    return tree


def look(number):
    return disks.structure("/dev/x", "/dev/x", number)


def test_a_blank_disk(tree):
    tree.mounted(("8:1", "/", "/dev/sda1"))
    disk = look("8:16")
    assert (disk.kind, disk.size, disk.sector_size, disk.read_only) == ("disk", 204800 * 512, 4096, False)
    assert (disk.partitions, disk.holders, disk.mounts, disk.swap, disk.system) == ((), (), (), False, False)


def test_the_root_disk_and_all_its_partitions_are_the_system(tree):
    tree.mounted(("8:1", "/", "/dev/sda1"))
    assert (look("8:0").system, look("8:0").partitions, look("8:0").mounts) == (True, ("sda1", "sda2"), ("/",))
    assert (look("8:2").system, look("8:2").kind, look("8:2").mounts) == (True, "part", ())


def test_root_on_lvm_on_md_is_found_on_every_disk_below(tree):
    tree.device("md0", "9:0", on=("sda2", "sdb"), md__level="raid1")
    tree.device("dm-0", "253:0", on=("md0",), dm__uuid="LVM-x", dm__name="vg-root")
    tree.mounted(("253:0", "/var", "/dev/mapper/vg-root"))
    assert all(look(number).system for number in ("8:0", "8:1", "8:16", "9:0", "253:0"))
    assert not look("8:32").system
    assert look("8:16").holders == ("md0", "dm-0")
    assert look("8:16").held_by == ("md0 (md array)", "dm-0 (logical volume vg-root)")
    assert look("8:16").mounts == ("/var",)


def test_a_data_mount_is_not_the_system(tree):
    tree.mounted(("8:16", "/srv", "/dev/sdb"))
    assert (look("8:16").mounts, look("8:16").system) == (("/srv",), False)


def test_btrfs_has_a_made_up_number_and_several_disks(tree):
    tree.mounted(("0:45", "/srv", "/dev/sdb"))
    for name in ("sdb", "sdc"):
        tree.link("fs/btrfs/some-uuid/devices/" + name, "SYS/devices/block/" + name)
    assert look("8:16").mounts == look("8:32").mounts == ("/srv",)


def test_swap_on_a_partition_is_swap_on_the_disk(tree):
    tree.write("PROC/swaps", "Filename Type Size\n/nowhere/sda2 partition 1\n")
    assert (look("8:2").swap, look("8:0").swap, look("8:16").swap) == (True, True, False)


@pytest.mark.parametrize(
    ("uuid", "kind"),
    [("LVM-x", "lvm"), ("mpath-3600", "mpath"), ("CRYPT-LUKS2-x", "crypt"), ("part1-mpath-3600", "part"), ("", "dm")],
)
def test_kinds_of_device_mapper(tree, uuid, kind):
    tree.device("dm-0", "253:0", dm__uuid=uuid, dm__name="x")
    assert look("253:0").kind == kind


def test_other_kinds(tree):
    tree.device("md0", "9:0", md__level="raid1")
    tree.device("sr0", "11:0")
    tree.device("loop0", "7:0", loop__backing_file="/x")
    assert [look(number).kind for number in ("9:0", "11:0", "7:0", "8:1")] == ["raid", "rom", "loop", "part"]


def test_a_multipath_leg_and_its_partitions(tree):
    tree.device("sdb1", "8:17", parent="sdb")
    tree.device("dm-0", "253:0", on=("sdb",), dm__uuid="mpath-3600", dm__name="mpatha")
    for number in ("8:16", "8:17"):
        assert look(number).signatures == (Signature("mpath_member", None, "raid", "mpatha"),)
        assert look(number).holders == ("dm-0",)


def test_multipathd_claims_a_disk_before_the_map_is_there(tree):
    tree.write("UDEV/b8:16", "E:ID_SERIAL=x\nE:DM_MULTIPATH_DEVICE_PATH=1\n")
    assert look("8:16").signatures[0].type == "mpath_member"


def test_a_loop_device_on_the_disk_is_a_holder(tree):
    tree.device("loop0", "7:0", loop__backing_file="/dev/sdb")
    assert look("8:16").held_by == ("loop0 (loop device)",)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/dev/sdb", True),
        ("/dev/mapper/x", True),
        ("/srv/chroot/dev/sdb", True),
        ("/mnt/nfs/dev/notes", False),
        ("/mnt/nfs/src/linuxdev/sdb", False),
        ("socket:[1]", False),
    ],
    ids=["device", "mapped", "in-a-chroot", "file-on-nfs", "folder-that-ends-like-it", "socket"],
)
def test_only_a_descriptor_that_looks_like_a_device_is_asked_about(tree, monkeypatch, path, asked):
    folder = tree.root / "PROC" / "77" / "fd"
    os.makedirs(str(folder))
    os.symlink(path, str(folder / "3"))
    stated, stat = [], os.stat

    def noted(name, *given, **more):
        stated.append(str(name))
        return stat(name, *given, **more)

    monkeypatch.setattr(disks.os, "stat", noted)
    assert disks._opened_by("8:16", writing=True) == ""
    assert (str(folder / "3") in stated) == asked


@pytest.mark.parametrize(
    ("comm", "shown"),
    [("qemu-system-x86\n", "qemu-system-x86"), ("a\nb: \x1b[2J\n", r"a\nb: \x1b[2J"), ("\u202ex\n", r"\u202ex"), ("", "")],
    ids=["as-usual", "with-a-line-feed", "that-turns-the-writing", "ended"],
)
def test_a_process_is_told_by_a_name_that_prints(tree, comm, shown):
    """In its own namespace of mounts, which any user may make, with the disk mounted."""
    tree.write("PROC/77/mountinfo", "1 1 8:16 / /mnt rw - ext4 /dev/sdb rw\n")
    tree.write("PROC/77/comm", comm)
    assert disks._opened_by("8:16", writing=True) == "a mount in the namespace of process 77 (%s)" % shown


def test_a_list_of_mounts_longer_than_any_memory_is_not_taken_for_one_without_the_disk(tree, monkeypatch):
    tree.mounted(("8:1", "/", "/dev/sda1"))
    tree.write("PROC/77/comm", "x\n")
    tree.write("PROC/77/mountinfo", "1 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\n" * 9)
    assert disks._opened_by("8:16", writing=True) == ""
    monkeypatch.setattr(disks.files, "LIMIT", 99)
    assert disks._opened_by("8:16", writing=True) == "perhaps process 77 (x), whose list of mounts is too long to be read,"
    assert look("8:16").unreadable is None
    tree.mounted(*[("8:1", "/", "/dev/sda1")] * 9)
    assert "the list of what is mounted cannot be read: [Errno 27] File too large" in look("8:16").unreadable


def test_a_node_without_a_device(tree):
    assert "no device 8:99" in look("8:99").unreadable


# --- names -----------------------------------------------------------------------------------------------


def test_names_that_lead_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "DEV", str(tmp_path))
    (tmp_path / "file").write_text("")
    os.mkdir(str(tmp_path / "folder"))
    os.symlink("/nowhere", str(tmp_path / "broken"))
    found = {name: disks.observe_disk(name) for name in ("sdz", "broken", "file", "folder", "a/b", "nul\0", "")}
    assert [found[name].path for name in ("sdz", "broken", "a/b", "nul\0")] == [None] * 4
    kinds = [found[name].kind for name in ("file", "folder", "", "a/b")]
    assert kinds == ["regular file", "directory", "directory", "relative name"]
    assert disks.observe_disk("/dev/null").kind == "character device"


# --- our own mark ----------------------------------------------------------------------------------------


def test_our_uuid_has_lvm_s_format_and_stays(tree):
    tree.write("SYS/class/dmi/id/product_uuid", "A")
    uuid = look("8:16").our_pv_uuid
    assert re.match(r"^[0-9A-Za-z]{6}(-[0-9A-Za-z]{4}){5}-[0-9A-Za-z]{6}\Z", uuid)
    assert look("8:16").our_pv_uuid == uuid
    assert len({look(number).our_pv_uuid for number in ("8:0", "8:1", "8:2", "8:16", "8:32")}) == 5
    tree.write("SYS/class/dmi/id/product_uuid", "B")
    assert look("8:16").our_pv_uuid != uuid


def test_our_uuid_follows_the_serial_number_not_the_name_or_size(tree):
    tree.device("vdb", "254:16", serial="S1", size="1000")
    tree.device("vdc", "254:32", serial="S1", size="2000")
    assert look("254:16").our_pv_uuid == look("254:32").our_pv_uuid


@pytest.mark.parametrize(
    ("links", "best"),
    [
        ({"wwn-0x5": "sdb", "ata-MODEL_S1": "sdb", "ata-MODEL_S2": "sdc", "lvm-pv-uuid-x": "sdb"}, "ata-MODEL_S1"),
        ({"wwn-0x5": "sdb", "lvm-pv-uuid-x": "sdb"}, "wwn-0x5"),
        ({"nvme-MODEL_S1_1": "sdb", "nvme-MODEL_S1": "sdb"}, "nvme-MODEL_S1"),
        ({"lvm-pv-uuid-x": "sdb"}, None),
        ({}, None),
    ],
    ids=["model-and-serial", "wwn", "the-shorter-one", "only-by-its-label", "none"],
)
def test_the_name_of_a_disk_that_stays(tmp_path, monkeypatch, links, best):
    monkeypatch.setattr(disks, "DEV", str(tmp_path))
    folder = tmp_path / "disk" / "by-id"
    folder.mkdir(parents=True)
    for name, target in links.items():
        (tmp_path / target).touch()
        (folder / name).symlink_to(tmp_path / target)
    path = str(tmp_path / "sdb")
    assert disks.stable_name(path) == (str(folder / best) if best else path)
