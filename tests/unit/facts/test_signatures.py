"""What is written on a disk: parsers on recorded output of the probes, and both ends of made-up disks."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from states import recorded

from module_utils.direct_lvm.facts import signatures
from module_utils.direct_lvm.host import commands
from module_utils.direct_lvm.model.errors import CommandFailed
from module_utils.direct_lvm.model.host import Signature

MIB = 1024 * 1024


# --- what the probes print -------------------------------------------------------------------------------


def probed(name):
    """What the two recorded probes of a disk say together."""
    blkid, wipefs = (recorded("signatures", name + probe) for probe in (".blkid", ".wipefs"))
    return signatures.merge(signatures.parse_blkid(blkid), signatures.parse_wipefs(wipefs))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("blank", []),
        ("ext4", [("ext4", 0x438, "filesystem")]),
        ("xfs", [("xfs", 0, "filesystem")]),
        ("btrfs", [("btrfs", 0x10040, "filesystem")]),
        ("vfat", [("vfat", 0x36, "filesystem"), ("vfat", 0, "filesystem"), ("vfat", 0x1FE, "filesystem")]),
        ("ntfs", [("ntfs", 3, "filesystem"), ("dos", 0x1FE, "partition-table")]),
        ("iso", [("iso9660", 0x8001, "filesystem")]),
        ("squash", [("squashfs", 0, "filesystem")]),
        ("swap", [("swap", 0xFF6, "other")]),
        ("luks1", [("crypto_LUKS", 0, "crypto")]),
        ("luks2", [("crypto_LUKS", 0, "crypto"), ("crypto_LUKS", 0x4000, "crypto")]),
        ("dos", [("dos", 0x1FE, "partition-table")]),
        ("dosparts", [("dos", 0x1FE, "partition-table")]),
        (
            "gptempty",
            [
                ("gpt", 0x200, "partition-table"),
                ("gpt", 0x3FFFE00, "partition-table"),
                ("PMBR", 0x1FE, "partition-table"),
            ],
        ),
        ("gptbackup", [("gpt", 0x3FFFE00, "partition-table")]),
        ("pv", [("LVM2_member", 0x218, "raid")]),
    ],
)
def test_recorded_output(name, found):
    assert [(signature.type, signature.offset, signature.usage) for signature in probed(name)] == found


def test_a_label_with_a_comma_is_read_whole():
    assert probed("ext4")[0].label == "a,b c"


def test_older_wipefs_prints_a_heading():
    assert signatures.parse_wipefs("# offset,uuid,label,type\n0x1fe,,,dos\n")[0].type == "dos"


def test_what_only_blkid_sees_counts():
    low = signatures.parse_blkid("DEVNAME=/dev/sdb\nTYPE=zfs_member\nUSAGE=filesystem\nPTTYPE=sun\n")
    assert [found.type for found in signatures.merge(low, ())] == ["zfs_member", "sun"]


KEYS = st.sampled_from(["TYPE", "PTTYPE", "USAGE", "LABEL", "", "TYPE=x"])


@given(st.one_of(st.text(), st.lists(st.builds("{}={}".format, KEYS, st.text())).map("\n".join)))
def test_any_text_from_blkid_is_read_or_refused_never_skipped(text):
    lines = [line for line in text.replace("\\\n", " ").split("\n") if line]
    try:
        found = signatures.parse_blkid(text)
    except CommandFailed:
        return
    assert all(isinstance(one, Signature) and one.type for one in found)
    assert all("=" in line for line in lines)


def test_garbage_from_blkid_is_not_a_blank_disk():
    with pytest.raises(CommandFailed, match="blkid.*cannot be read"):
        signatures.parse_blkid('g\ufffdrb\ufffdge {"report": [[1}\n\x01\x02\n')


def test_a_label_of_two_lines_is_one_value():
    text = "DEVNAME=/dev/sdb\nLABEL=one\\\ntwo\nTYPE=ext4\n"
    assert signatures.parse_blkid(text) == (Signature("ext4", None, "filesystem", "one two"),)


@given(st.one_of(st.text(), st.lists(st.text(alphabet="0x1f,e\\ #\n"), max_size=4).map("\n".join)))
def test_any_text_from_wipefs_is_read_or_refused_never_skipped(text):
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    try:
        assert len(signatures.parse_wipefs(text)) == len(lines)
    except CommandFailed:
        assert lines


@pytest.mark.parametrize("text", ["wipefs: error", "0x1fe,,dos", "1fe,,,dos", "0x1fe,,,"])
def test_what_wipefs_never_prints_is_an_error(text):
    with pytest.raises(CommandFailed):
        signatures.parse_wipefs(text)


# --- the tools' failures ---------------------------------------------------------------------------------


def answers(monkeypatch, blkid, wipefs):
    def run(argv, timeout=60, ok=(0,)):
        rc, out = blkid if argv[0] == "blkid" else wipefs
        if rc not in ok:
            raise CommandFailed(argv, "failed with return code %d" % rc, out)
        return commands.Result(tuple(argv), rc, out, "")

    monkeypatch.setattr(commands, "run", run)
    return signatures.probe("/dev/sdb")


def test_probes(monkeypatch):
    assert answers(monkeypatch, (2, ""), (0, "")) == ((), None)
    assert answers(monkeypatch, (2, ""), (0, "0x200,,,gpt\n"))[0][0].type == "gpt"
    found, unreadable = answers(monkeypatch, (8, ""), (0, "0x438,,,ext4\n0xff6,,,swap\n"))
    assert (len(found), unreadable) == (2, None)


@pytest.mark.parametrize(
    ("blkid", "wipefs"), [((8, ""), (0, "")), ((4, ""), (0, "")), ((2, ""), (1, "EIO")), ((2, ""), (0, "what?\n"))]
)
def test_what_cannot_be_told_is_not_blank(monkeypatch, blkid, wipefs):
    assert answers(monkeypatch, blkid, wipefs)[1]


# --- both ends of the disk -------------------------------------------------------------------------------


def image(path, size, **parts):
    with open(str(path), "wb") as stream:
        stream.truncate(size)
        for at, data in parts.values():
            stream.seek(at)
            stream.write(data)
    return signatures.weigh(signatures.read_edges(str(path), size))


HEADER = b"\x01\x02\x03\x04" + signatures.MDA_MAGIC + b"\x01"


@pytest.mark.parametrize(
    ("size", "parts", "expected"),
    [
        (64 * MIB, {}, (None, False)),
        (64 * MIB, {"a": (0, b"x")}, (0, False)),
        (64 * MIB, {"a": (MIB - 1, b"x")}, (MIB - 1, False)),
        (64 * MIB, {"a": (32 * MIB, b"x")}, (None, False)),
        (64 * MIB, {"a": (63 * MIB, b"x")}, (63 * MIB, False)),
        (64 * MIB + 512, {"a": (64 * MIB + 511, b"x")}, (64 * MIB + 511, False)),
        (MIB // 2, {"a": (7, b"x")}, (7, False)),
        (MIB + 512, {"a": (MIB + 5, b"x")}, (MIB + 5, False)),
        (64 * MIB, {"a": (4096, HEADER)}, (None, True)),
        (64 * MIB, {"a": (4096, HEADER), "b": (512, b"LABELONE")}, (512, False)),
        (64 * MIB, {"a": (4096, HEADER), "b": (4608, b"vg {")}, (4096, False)),
        (64 * MIB, {"a": (4096, HEADER), "b": (64 * MIB - 1, b"x")}, (4096, False)),
        (64 * MIB, {"a": (4096, b"x" * 512)}, (4096, False)),
    ],
)
def test_first_byte_at_either_end(tmp_path, size, parts, expected):
    assert image(tmp_path / "disk", size, **parts) == expected


def test_a_disk_shorter_than_it_says_is_an_error(tmp_path):
    (tmp_path / "disk").write_bytes(b"\0" * MIB)
    with pytest.raises(OSError, match="ends at byte"):
        signatures.read_edges(str(tmp_path / "disk"), 64 * MIB)


@pytest.mark.parametrize(("held", "busy"), [(0, False), (2, False), (3, True)], ids=["free", "another-look", "somebodys"])
def test_a_disk_is_held_for_no_longer_than_its_opening_and_another_look_is_waited_for(tmp_path, monkeypatch, held, busy):
    (tmp_path / "disk").write_bytes(b"\0" * MIB)
    tries, events, opening, closing = [], [], os.open, os.close

    def opened(path, flags):
        exclusively = bool(flags & os.O_EXCL)
        tries.extend([path] * exclusively)
        if exclusively and len(tries) <= held:
            raise OSError(errno.EBUSY, "Device or resource busy")
        events.append("exclusively" if exclusively else "for reading")
        return opening(path, flags & ~os.O_EXCL)

    def closed(descriptor):
        events.append("closed")
        closing(descriptor)

    monkeypatch.setattr(signatures.os, "open", opened)
    monkeypatch.setattr(signatures.os, "close", closed)
    monkeypatch.setattr(signatures.time, "sleep", lambda _seconds: None)
    if busy:
        with pytest.raises(OSError, match="busy"):
            signatures.read_edges(str(tmp_path / "disk"), MIB)
    else:
        signatures.read_edges(str(tmp_path / "disk"), MIB)
        assert events == ["exclusively", "closed", "for reading", "closed"]


# --- PV labels -------------------------------------------------------------------------------------------


def label(used, *commits):
    """The first MiB of a PV as LVM 2.03 writes it: label in sector 1, header with one data and one metadata area."""
    areas = (1048576).to_bytes(8, "little") + bytes(24) + (4096).to_bytes(8, "little") + (1044480).to_bytes(8, "little") + bytes(16)
    header = b"x" * 32 + (8 * 1024**3).to_bytes(8, "little") + areas + (2).to_bytes(4, "little") + used.to_bytes(4, "little")
    sector = b"LABELONE" + bytes(12) + (32).to_bytes(4, "little") + b"LVM2 001" + header
    texts = b"".join(b"vgdocker {\nid = 1\nseqno = %d\n" % number for number in commits)
    return bytes(512) + sector + bytes(4608 - 512 - len(sector)) + texts + bytes(1000)


@pytest.mark.parametrize(("used", "commits"), [(0, ()), (1, ()), (1, (1,)), (1, (1, 2, 7)), (0, (3,))])
def test_a_pv_says_whether_a_group_uses_it_and_how_often_that_was_changed(used, commits):
    assert signatures.pv_header(label(used, *commits)) == (bool(used), max(commits or (0,)))


@given(st.binary(max_size=2048), st.integers(min_value=0, max_value=700))
def test_any_start_of_a_disk_is_read(noise, cut):
    assert signatures.pv_header(noise)[1] == 0
    signatures.pv_header(label(1, 1)[:cut] + noise)
