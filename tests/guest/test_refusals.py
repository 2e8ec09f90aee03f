"""On a real guest: every kind of disk that may hold something is refused, with its own sentence, and not one byte changes.

    .venv/bin/python3 -m pytest tests/guest/test_refusals.py

All cases are built side by side in one guest (loop devices of 64 MiB and three small disks), judged in one go, and
compared before and after. Real tools make them; magic bytes are written by hand only where Debian's cloud image has
no tool, as libblkid's sources have them.
"""

import json
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# In each script $D is a blank loop device of 64 MiB, made from file $F. ask NAME: judge this device instead of $D.
PREAMBLE = r"""
set -u
mkdir -p /var/tmp/r && cd /var/tmp/r
mkdir -p /run/udev/rules.d && ln -sf /dev/null /run/udev/rules.d/69-bcache.rules  # else it is registered at once
mkdir -p /etc/mdadm && echo 'AUTO -all' > /etc/mdadm/mdadm.conf
udevadm control --reload
udevadm settle
modprobe -a loop dm-mod dm-crypt dm-multipath raid1 bcache btrfs xfs 2>/dev/null
modprobe -a dm-round-robin 2>/dev/null
disk() { truncate -s "${2:-64M}" "$1"; losetup ${3:-} --find --show "$1"; }
ask() { echo "$1" > "$CASE.ask"; }
magic() { printf "$2" | dd of="$D" bs=1 seek="$1" conv=notrunc status=none; }
hold() { setsid python3 -c "import os,time,sys; os.open('$1', $2); open('$CASE.held', 'w'); time.sleep(3600)" \
    > /dev/null 2>&1 < /dev/null & while [ ! -e "$CASE.held" ]; do sleep 0.1; done; }
build() {
    export CASE="$1" F="/var/tmp/r/$1.img"
    D=$(disk "$F"); ask "$D"
    ( set -e; case_$1 ) > "$CASE.log" 2>&1 < /dev/null
    echo "$? $(cat "$CASE.ask") $CASE"
    echo "$CASE $EPOCHREALTIME" >> times
}
"""

REFUSED = {
    # name: (script, what the refusal says)
    "ext4": ("mkfs.ext4 -q -L backup $D", 'ext4 filesystem "backup" at byte 1080'),
    "xfs": ("truncate -s 320M $F; losetup -c $D; mkfs.xfs -q $D", "xfs filesystem at byte 0"),
    "btrfs": ("mkfs.btrfs -q --mixed $D", "btrfs filesystem"),
    "vfat": ("mkfs.vfat $D", "vfat filesystem"),
    "ntfs": ("mkntfs -q -F $D", "ntfs filesystem"),
    "iso9660": ("mkdir iso; echo x > iso/x; xorriso -as mkisofs -o i.iso iso; dd if=i.iso of=$D bs=1M", "iso9660 filesystem"),
    "squashfs": ("mkdir sq; echo x > sq/x; mksquashfs sq i.sq; dd if=i.sq of=$D bs=1M", "squashfs filesystem"),
    "swap_unused": ("mkswap $D", "not blank: swap at byte 4086"),
    "swap_in_use": ("mkswap $D; swapon $D", "is in use as swap"),
    "luks1": ("echo -n x | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 $D -", "encrypted volume"),
    "luks2": (
        "echo -n x | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $D -",
        "an encrypted volume (crypto_LUKS) at byte 0",
    ),
    "md_090": ("mdadm -C /dev/md90 -R -e 0.90 -l1 -n2 $D missing; mdadm -S /dev/md90", "array or pool (linux_raid_member)"),
    "md_10": ("mdadm -C /dev/md10 -R -e 1.0 -l1 -n2 $D missing; mdadm -S /dev/md10", "array or pool (linux_raid_member)"),
    "md_12": ("mdadm -C /dev/md12 -R -e 1.2 -l1 -n2 $D missing; mdadm -S /dev/md12", "array or pool (linux_raid_member)"),
    "md_running": ("mdadm -C /dev/md20 -R -e 1.2 -l1 -n2 $D missing", "in use below md20 (md array)"),
    "bcache": ("make-bcache -B $D", "a member of an array or pool (bcache)"),
    "bcache_registered": ("make-bcache -B $D; echo $D > /sys/fs/bcache/register", "in use below bcache0"),
    "ceph_bluestore": ("magic 0 'bluestore block device\\n'", "(ceph_bluestore)"),
    "zfs": (
        "for n in $(seq 0 15); do magic $((131072 + n * 1024)) '\\x0c\\xb1\\xba\\0\\0\\0\\0\\0'; done",
        "a member of an array or pool (zfs_member)",
    ),
    "drbd": ("magic $((64 * 1048576 - 4096 + 60)) '\\x83\\x74\\x02\\x6b'", "(drbd)"),
    "oracleasm": ("magic 32 ORCLDISK", "pool (oracleasm) at byte 32"),
    "gpt_partitions": ("sgdisk -n1:0:+9M -n2:0:+9M $D; partx -a $D || true; ask $D", "has 2 partitions: /dev/loop"),
    "gpt_unread": ("sgdisk -n1:0:+9M $F", "a gpt partition table, though the kernel sees no partitions at byte 512"),
    "gpt_empty": ("sgdisk -o $D", "a gpt partition table"),
    "gpt_backup": ("sgdisk -o $D; dd if=/dev/zero of=$D bs=1M count=1", "a gpt partition table"),
    "mbr_partitions": ("printf 'label: dos\\n2048,20480\\n' | sfdisk -q $D; partx -a $D || true", "has 1 partition: /dev/loop"),
    "mbr_empty": ("echo 'label: dos' | sfdisk -q $D", "a dos partition table"),
    "pv_other_vg": ("vgcreate -q other $D", "is a physical volume of volume group other."),
    "pv_other_vg_lv_mounted": (
        "vgcreate -q lived $D; lvcreate -qy -Wy -l5 -n l lived; mkfs.ext4 -q /dev/lived/l; mkdir -p /srv/l; "
        "mount /dev/lived/l /srv/l",
        "of volume group lived (mounted at /srv/l)",
    ),
    "pv_orphan": ("pvcreate -q $D", "an LVM physical volume in no volume group"),
    "pv_our_vg_name": ("vgcreate -q vgdocker $D", "is a physical volume of volume group vgdocker"),
    "pv_exported": ("vgcreate -q away $D; vgexport away", "of volume group away (exported"),
    "pv_missing": (
        "E=$(disk e.img); vgcreate -q torn $D $E; losetup -d $E; udevadm settle; pvscan --cache",
        "of volume group torn (missing 1 of its disks)",
    ),
    "pv_duplicate": (
        "vgcreate -q twin $D; sync; cp --sparse=always $F copy.img; losetup -f --show copy.img > copy",
        "same PV UUID as another device",
    ),
    "pv_duplicate_copy": ("ask $(cat copy)", "same PV UUID as another device"),
    "pv_foreign_host": ("vgcreate -q --systemid elsewhere foreign $D", "LVM does not show it"),
    "pv_damaged": ("pvcreate -q $D; dd if=/dev/zero of=$D bs=512 seek=8 count=8 conv=notrunc", "metadata is damaged"),
    "pv_filtered": ("vgcreate -q hidden $D; echo $D > filtered", "LVM does not show it"),
    "mounted": ("mkfs.ext4 -q $D; mkdir -p /srv/m; mount $D /srv/m", "is mounted (ext4) at /srv/m"),
    "mounted_btrfs": ("mkfs.btrfs -q --mixed $D; mkdir -p /srv/b; mount $D /srv/b", "is mounted (btrfs) at /srv/b"),
    "mounted_second_btrfs_disk": (
        "E=$(disk b2.img); mkfs.btrfs -q --mixed -f -d single -m single $D $E; btrfs device scan $D $E; "
        "mkdir -p /srv/b2; mount $D /srv/b2; ask $E",
        "is mounted (btrfs) at /srv/b2",
    ),
    "mounted_in_another_namespace": (
        "mkfs.ext4 -q $D; mkdir -p /srv/n; "
        'setsid unshare -m --propagation private sh -c "mount $D /srv/n && touch $CASE.held && exec sleep 3600" '
        "> /dev/null 2>&1 & while [ ! -e $CASE.held ]; do sleep 0.1; done",
        "namespace of process",
    ),
    "luks_open": (
        "echo -n x | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $D -; "
        "echo -n x | cryptsetup open --key-file - $D secret",
        "(open encrypted device secret)",
    ),
    "dm_linear": ('dmsetup create plain --table "0 65536 linear $D 0"', "(device-mapper device plain)"),
    "loop_on_top": ("losetup -f $D", "(loop device)"),
    "multipath_leg": (
        'dmsetup create mpatha --uuid mpath-test --table "0 131072 multipath 0 0 1 1 round-robin 0 1 1 $D 1000"',
        "is one path of multipath device mpatha",
    ),
    "opened_exclusively": ("hold $D 'os.O_RDONLY | os.O_EXCL'", "(python3) has it open exclusively"),
    "opened_for_writing": ("hold $D os.O_RDWR", "(python3) has it open for writing"),
    "read_only": ("blockdev --setro $D", "is read-only"),
    "too_small": ("ask $(disk small.img 63M)", "is too small: 63.0 MiB"),
    "empty_drive": ("modprobe zram; udevadm settle; ask /dev/zram0", "is too small: 0.0 MiB"),
    "root_disk": ("ask /dev/vda", "belongs to the disk that this system runs from: it is mounted at /"),
    "root_disk_partition": ("addpart /dev/vda 1 2048 262144; udevadm settle; ask /dev/vda1", "a partition of that disk"),
    "swap_partition_of_a_disk": (
        "printf 'label: dos\\n2048,20480\\n' | sfdisk -q /dev/vdd; udevadm settle; mkswap /dev/vdd1; swapon /dev/vdd1; "
        "ask /dev/vdd",
        "is in use as swap",
    ),
    "logical_volume": ("vgcreate -q lvs $D; lvcreate -qy -l15 -n l lvs; ask /dev/lvs/l", "is itself a logical volume"),
    "data_at_start": ("magic 700 x", "data without a known signature at byte 700"),
    "data_at_end": ("magic $((64 * 1048576 - 1)) x", "data without a known signature at byte 67108863"),
    "pv_removed_after_use": ("vgcreate -q gone $D; vgremove -q gone; pvremove -q $D", "at byte 4096"),
    "two_signatures": ("mkfs.ext4 -q $D; magic 0 'bluestore block device\\n'", "signature: ceph_bluestore}\n  - {device: "),
    "link_to_a_used_disk": ("mkfs.ext4 -q $D; ln -s $D /dev/disk/by-label/used; ask /dev/disk/by-label/used", "is not blank"),
    "not_there": ("ask /dev/sdz", "does not exist on this host"),
    "character_device": ("ask /dev/null", "a character device, not a block device"),
    "directory": ("ask /dev/disk", "a directory, not a block device"),
    "image_file": ("ask $F", "a regular file, not a block device"),
}

ACCEPTED = {
    "blank_loop": "true",
    "blank_bare_name": "ask vdb",
    "blank_by_id": "udevadm settle; ask /dev/disk/by-id/virtio-data1",
    "blank_partition": "E=$(disk part.img 80M); sgdisk -n1:0:+70M $E; partx -a $E || true; ask ${E}p1",
    "blank_array": "E=$(disk a.img 80M); mdadm -C /dev/md50 -R -e 1.2 -l1 -n2 --assume-clean $E missing; ask /dev/md50",
    "blank_4k_sectors": "losetup -d $D; ask $(losetup --sector-size 4096 --find --show $F)",
    "blank_multipath": "E=$(disk m.img); dmsetup create mpathb --uuid mpath-two --table "
    '"0 131072 multipath 0 0 1 1 round-robin 0 1 1 $E 1000"; ask /dev/mapper/mpathb',
    "pv_removed": "pvcreate -q $D; pvremove -q $D",
    "our_orphan_pv": "pvcreate -q --uuid $(/root/judge.py uuid $D | cut -d= -f1) --norestorefile $D",
}

# pvcreate as this tool runs it, killed at its n-th read or write: what is left must be blank, or known as ours.
KILLED = range(1, 15)
KILL_ALL = r"""
disks=""
for n in $(seq 1 14); do disks="$disks $(disk killed$n.img)"; done
n=0
for pair in $(/root/judge.py uuid $disks); do
    n=$((n+1))
    strace -f -qq -o /dev/null -e trace=io_submit -e inject=io_submit:signal=KILL:when=$n \
        pvcreate -q --devices ${pair#*=} --uuid ${pair%=*} --norestorefile ${pair#*=} > killed$n.log 2>&1 < /dev/null
    echo "0 ${pair#*=} killed_$n"
done
"""

JUDGE = r"""#!/usr/bin/python3
import errno, glob, hashlib, json, os, sys
sys.path.insert(0, "/root/direct_lvm_test")
from module_utils.direct_lvm.facts import disks, lvm
from module_utils.direct_lvm.model.errors import Refused
from module_utils.direct_lvm.model.spec import Pool
from module_utils.direct_lvm.plan import blank

def parts(stream):
    # (offset, bytes) of everything in a file or device that is not zero
    size = os.lseek(stream, 0, os.SEEK_END)
    at = 0
    while at < size:
        try:
            at = os.lseek(stream, at, os.SEEK_DATA)  # a block device answers EINVAL or the same place
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
        data = os.pread(stream, 65536 - at % 65536, at)
        if data.strip(b"\0"):
            yield at, data
        at += len(data)

def digests():
    # sha256 of each disk, that is of the file behind its loop device, once everything is written back
    os.sync()
    found = {}
    for path in sorted(glob.glob("/var/tmp/r/*.img")) + ["/dev/vdb", "/dev/vdc"]:
        total, stream = hashlib.sha256(), os.open(path, os.O_RDONLY)
        for at, data in parts(stream):
            total.update(b"%d:" % at + data)
        os.close(stream)
        found[path] = total.hexdigest()
    return found

def judge(device, report):
    disk = disks.observe_disk(device)
    try:
        wipes = blank.why_not_blank(disk, report, Pool(devices=(device,)))
        return {"refused": None, "wipes": wipes, "disk": disk._asdict()}
    except Refused as refusal:
        return {"refused": str(refusal), "disk": disk._asdict()}

if sys.argv[1] == "uuid":
    for name in sys.argv[2:]:
        print("%s=%s" % (disks.observe_disk(name, probe=False).our_pv_uuid, name))
else:
    cases = json.load(sys.stdin)
    before = digests()
    report = lvm.ask()
    answers = {name: judge(device, report) for name, device in cases.items()}
    after = digests()
    print(json.dumps({"answers": answers, "before": before, "after": after, "warnings": report.warnings}))
"""


SCRIPTS = dict([(name, script) for name, (script, _sentence) in REFUSED.items()], **ACCEPTED)
# Hides one disk from LVM under all of its names.
FILTER = r"""
udevadm settle
printf 'devices { global_filter = [ "r|^%s$|", "r|/by-|", "r|^/dev/block/|", "a|.*|" ] }\n' $(cat filtered) \
    > /etc/lvm/lvmlocal.conf
"""


@pytest.fixture(scope="module")
def judged(boot):
    """{answers, before, after} of all cases, from one guest."""
    guest = boot("refusals", disks=("128M", "128M", "128M"))
    guest.ssh("mkdir -p /root/direct_lvm_test/module_utils; touch /root/direct_lvm_test/module_utils/__init__.py")
    guest.put(ROOT / "module_utils" / "direct_lvm", "/root/direct_lvm_test/module_utils/direct_lvm")
    guest.ssh("cat > /root/judge.py; chmod 755 /root/judge.py", stdin=JUDGE)
    functions = "".join("case_%s() {\n%s\n}\n" % item for item in SCRIPTS.items())
    calls = "\n".join("build %s" % name for name in SCRIPTS)
    built = guest.ssh("bash -s", stdin=PREAMBLE + functions + KILL_ALL + calls + FILTER).stdout
    rows = [line.split(" ", 2) for line in built.splitlines()]
    failed = {case: guest.ssh("cat /var/tmp/r/%s.log" % case).stdout for rc, _device, case in rows if rc != "0"}
    assert not failed, "\n".join("%s could not be built: %s" % item for item in failed.items())
    cases = {case: device for _rc, device, case in rows}
    assert set(cases) == {*SCRIPTS, *("killed_%d" % count for count in KILLED)}
    return json.loads(guest.ssh("/root/judge.py all", stdin=json.dumps(cases)).stdout)


@pytest.mark.parametrize("case", REFUSED)
def test_refused(judged, case):
    answer = judged["answers"][case]
    assert REFUSED[case][1] in str(answer["refused"]), answer


@pytest.mark.parametrize("case", [*ACCEPTED, *("killed_%d" % count for count in KILLED)])
def test_accepted(judged, case):
    answer = judged["answers"][case]
    assert answer["refused"] is None, answer
    assert answer["wipes"] == []


def test_pvcreate_was_killed_at_every_stage(judged):
    """Some kills came before the first write, some between header and label, some after the label."""
    disks = [judged["answers"]["killed_%d" % count]["disk"] for count in KILLED]
    stages = [(disk["label_header"], bool(disk["signatures"])) for disk in disks]
    assert {(False, False), (True, False), (False, True)} <= set(stages), stages


def test_a_pv_label_says_whether_a_group_uses_it(judged):
    said = {case: (answer["disk"]["pv_used"], answer["disk"]["pv_commits"]) for case, answer in judged["answers"].items()}
    assert said["pv_orphan"] == (False, 0)
    assert said["pv_other_vg"] == (True, 1)
    assert said["pv_exported"] == (True, 2)
    assert said["ext4"] == (False, 0)


def test_not_one_byte_changes(judged):
    assert len(judged["before"]) > 70
    # The kernel itself writes to swap that is on; the other one in use is a partition of vdd, which is not compared.
    swap = "/var/tmp/r/swap_in_use.img"
    assert dict(judged["after"], **{swap: ""}) == dict(judged["before"], **{swap: ""})
