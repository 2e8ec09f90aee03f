"""On a real guest: what lvm.conf says behind the plan is pinned, refused or warned of; disks that LVM cannot put together, or
that the kernel has given other names.

.venv/bin/python3 -m pytest tests/guest/test_lvm_settings.py
"""

import outcomes
import pytest
import remote
from outcomes import went_well

LOCAL = "/etc/lvm/lvmlocal.conf"
DISKS = ["/dev/vdb", "/dev/vdc"]
# Every write that reached a disk, and what LVM has.
UNTOUCHED = "for disk in vdb vdc; do awk '{print $5, $7, $12}' /sys/block/$disk/stat; done; pvs; vgs; lvs -a; ls /etc/lvm/profile"
HOSTILE = """
activation { error_when_full = 1
 udev_sync = 0
 retry_deactivation = 0
}
allocation { thin_pool_discards = "ignore"
 thin_pool_zero = 1
 thin_pool_chunk_size = 1024
 thin_pool_chunk_size_policy = "performance"
 thin_pool_metadata_require_separate_pvs = 1
 thin_pool_crop_metadata = 1
 wipe_signatures_when_zeroing_new_lvs = 0
 use_blkid_wiping = 0
 physical_extent_size = 8192
 zero_metadata = 0
}
devices { data_alignment = 8192
 default_data_alignment = 4
 allow_mixed_block_sizes = 1
 md_chunk_alignment = 0
}
global { test = 1
 wait_for_locks = 0
 umask = 0
}
metadata { pvmetadatacopies = 2
 pvmetadataignore = 1
 pvmetadatasize = 65536
 vgmetadatacopies = 1
}
"""


@pytest.fixture(scope="module")
def guest(boot):
    """The guest, with a snapshot called blank."""
    one = boot("lvm-settings", disks=["320M"] * len(DISKS))
    remote.install(one)
    one.ssh("modprobe loop; truncate -s 400M /var/tmp/large-blocks; losetup --sector-size 4096 /dev/loop3 /var/tmp/large-blocks")
    remote.run(one, check=True)  # has the modules compiled
    one.snapshot("blank")
    return one


@pytest.fixture
def blank(guest):
    """The guest with blank disks and LVM as it is shipped."""
    guest.restore("blank")
    return guest


def conf(guest, text):
    """Have LVM read these settings after lvm.conf."""
    guest.ssh("cat > " + LOCAL, stdin=text)


def is_refused(guest, *words, **wanted):
    """The sentence of a run that must fail without a step and without a write to a disk."""
    return outcomes.is_refused(guest, *words, untouched=UNTOUCHED, **wanted)


# --- disks -----------------------------------------------------------------------------------------------


def test_disks_of_other_blocks_are_refused_before_the_first_label(blank):
    both = ["/dev/vdb", "/dev/loop3"]
    for text in ("", "devices { allow_mixed_block_sizes = 1 }\n"):
        conf(blank, text)
        is_refused(blank, "/dev/loop3 has logical blocks of 4096 bytes, and /dev/vdb", "of 512", devices=both)
    assert went_well(blank)["changed"]
    is_refused(blank, "/dev/loop3 has logical blocks of 4096", "/dev/vdb, which VG vgdocker has, of 512", devices=both)
    assert went_well(blank, devices=["/dev/loop3"], vg="other")["changed"]  # the way out that the sentence has
    assert went_well(blank, devices=["/dev/loop3"], vg="other")["changed"] is False


@pytest.mark.parametrize("setting", ["global_filter", "filter"])
def test_a_disk_that_a_filter_hides_is_refused_with_the_line_and_taken_once_that_is_mended(blank, setting):
    filters = '[ %s"r|^/dev/vdb$|", "r|/by-|", "r|^/dev/block/|", "a|.*|" ]'
    conf(blank, "devices {\n %s = %s\n}\n" % (setting, filters % ""))
    told = is_refused(
        blank,
        "LVM does not take /dev/vdb: device is rejected by filter config.",
        'lvm.conf has devices/%s=["r|^/dev/vdb$|", ' % setting,
        "(%s line 2)" % LOCAL,
    )
    let_through = told.split("and run again: ")[1].split("\n")[0]
    conf(blank, "devices {\n %s = %s\n}\n" % (setting, filters % (let_through + ", ")))
    assert went_well(blank)["changed"]
    assert went_well(blank)["changed"] is False


SWAP = """cd /sys/bus/virtio/drivers/virtio_blk
b=$(basename $(readlink -f /sys/block/vdb/device)); c=$(basename $(readlink -f /sys/block/vdc/device))
echo $b > unbind; echo $c > unbind; udevadm settle; echo $c > bind; echo $b > bind; udevadm settle
vgchange -ay --monitor y vgdocker
grep . /sys/block/vd[bc]/serial"""


@pytest.mark.parametrize("stranger", ["true", "mkfs.ext4 -q /dev/vdc"], ids=["blank", "with-a-file-system"])
def test_a_disk_that_the_kernel_has_given_another_name_is_told_and_no_other_is_taken(blank, stranger):
    assert went_well(blank)["changed"]
    uuid = blank.ssh("pvs --noheadings -o pv_uuid /dev/vdb").stdout.strip()
    blank.ssh(stranger)
    blank.ssh("vgchange -an vgdocker")
    assert "vdc/serial:data0" in blank.ssh(SWAP).stdout
    words = ["the kernel may have given the disks other names", "PV UUID %s, serial data0" % uuid, "/dev/vdb (serial data1)"]
    stays = "thin_pool_devices: [/dev/disk/by-id/virtio-data0]"
    told = is_refused(blank, *words, stays)
    assert not any(word in told for word in ("pvmove", "replace.yml", "thin_pool_wipe")), told
    assert went_well(blank, devices=["/dev/disk/by-id/virtio-data0"])["changed"] is False


def test_in_an_adopted_group_a_disk_is_added_only_beside_those_that_it_has(blank):
    blank.ssh("vgcreate -q vgdocker /dev/vdb; lvcreate -qy -L40M -n theirs vgdocker")
    adopt = {"adopt_vg": True, "data_size": "60%VG"}
    is_refused(blank, "may have given the disks other names", "[/dev/disk/by-id/virtio-data0]", devices=["/dev/vdc"], **adopt)
    assert went_well(blank, devices=["/dev/vdb"], **adopt)["changed"]
    is_refused(blank, "may have given the disks other names", devices=["/dev/vdc"], **adopt)
    added = went_well(blank, devices=["/dev/disk/by-id/virtio-data0", "/dev/vdc"], **adopt)
    assert sorted(added["host"]["vg"]["devices"]) == DISKS


# --- lvm.conf --------------------------------------------------------------------------------------------


def made(guest):
    """What LVM made, as far as settings could have had it otherwise."""
    guest.ssh("rm -f " + LOCAL)
    asked = "lv_name,lv_size,chunk_size,zero,discards,lv_when_full,lv_attr,seg_monitor"
    layout = "lvs -a --noheadings --units b -o %s vgdocker; vgs --noheadings --units b -o vg_extent_size,vg_free" % asked
    return guest.ssh(layout + "; pvs --noheadings --units b -o pe_start,pv_pe_count,pv_mda_used_count").stdout


def test_a_pool_made_under_hostile_settings_is_the_same_pool(blank):
    assert went_well(blank)["changed"]
    as_shipped = made(blank)
    blank.restore("blank")
    conf(blank, HOSTILE.replace("pvmetadatacopies = 2", "pvmetadatacopies = 1"))
    assert went_well(blank)["changed"]
    assert went_well(blank)["changed"] is False
    assert made(blank) == as_shipped
    blank.restore("blank")
    conf(blank, HOSTILE)
    assert went_well(blank)["changed"]
    assert went_well(blank)["changed"] is False
    assert went_well(blank, devices=DISKS)["changed"]
    assert went_well(blank, devices=DISKS)["changed"] is False
    assert went_well(blank, devices=DISKS, goal="remove")["changed"]
    assert blank.ssh("pvs").stdout == ""


REFUSED = {
    "global { metadata_read_only = 1 }": "LVM changes nothing on this host",
    "global { activation = 0 }": "LVM activates nothing on this host",
    'global { thin_disabled_features = [ "discards", "block_size" ] }': "without these features of the kernel: discards, block",
    "metadata { pvmetadatacopies = 0 }": "without metadata",
    'activation { volume_list = [ "vgroot", "@other" ] }': 'Add the VG to the list: "vgdocker"',
    'activation { volume_list = [ "vgdocker/thinpool" ] }': 'Add the VG to the list: "vgdocker"',
    'activation { read_only_volume_list = [ "@direct-lvm" ] }': "activates the LVs of VG vgdocker read-only",
    "activation { monitoring = 0 }": "activation/monitoring=0",
    'config { profile_dir = "/etc/lvm/other" }': "does not look for profiles in /etc/lvm/profile",
    "global { use_lvmlockd = 1 }": "which does not run",
}


def test_settings_with_which_a_command_of_ours_would_fail_are_refused_before_the_first_one(blank):
    for text, words in REFUSED.items():
        conf(blank, text + "\n")
        is_refused(blank, words, "lvmconfig --type full ", check=True)
        is_refused(blank, words, "lvmconfig --type full ")
    blank.ssh("rm " + LOCAL)
    assert went_well(blank)["changed"]
    blank.ssh("lvchange --zero y vgdocker/thinpool")
    for text, words in REFUSED.items():
        if "metadata_read_only" in text or "read_only_volume" in text:
            conf(blank, text + "\n")
            is_refused(blank, words, "%s line 1" % LOCAL)


WARNED = {
    'global { thin_check_executable = "" }': "without having its metadata checked",
    'global { thin_check_options = [ "-q", "--skip-mappings" ] }': "has only a part of",
    'dmeventd { thin_command = "/usr/local/sbin/my-own" }': "another command than LVM's own",
    'activation { auto_activation_volume_list = [ "vgroot" ] }': "does not activate the pool by itself at boot",
}


def test_settings_that_change_what_lvm_does_later_are_warned_of_when_something_is_done(blank):
    for text, words in WARNED.items():
        conf(blank, text + "\n")
        planned = went_well(blank, check=True)
        assert words in str(planned["warnings"]), planned
        assert "%s line 1" % LOCAL in str(planned["warnings"])
    assert "does not activate the pool by itself" in str(went_well(blank)["warnings"])
    assert "warnings" not in went_well(blank)  # LVM is not asked when nothing is due
    blank.ssh("rm %s; vgchange --setautoactivation n vgdocker; lvchange --zero y vgdocker/thinpool" % LOCAL)
    assert "vgchange --setautoactivation y vgdocker" in str(went_well(blank)["warnings"])


# --- discards --------------------------------------------------------------------------------------------


def discards(guest):
    """What LVM has noted, and what the kernel does."""
    return guest.ssh("lvs --noheadings -o discards,kernel_discards vgdocker/thinpool").stdout.split()


def test_discards_drift_is_corrected_as_far_as_lvm_does_and_told_where_it_does_not(blank):
    conf(blank, 'allocation { thin_pool_discards = "ignore" }\n')
    assert went_well(blank)["host"]["pool"]["discards"] == "passdown"
    for drift, steps in (
        ("lvchange --discards nopassdown {0}", 1),
        ("lvchange -an {0}; lvchange --discards ignore {0}; lvchange -ay {0}", 3),
        ("lvchange -an {0}; lvchange --discards ignore {0}", 2),
    ):
        blank.ssh(drift.format("vgdocker/thinpool"))
        found = remote.run(blank, module="direct_lvm_info")["host"]
        assert "discards" in str(found["warnings"]) or not found["pool"]["active"], found
        corrected = went_well(blank)
        assert len(corrected["steps"]) >= steps
        assert (discards(blank)[0], corrected["host"]["pool"]["monitored"]) == ("passdown", True)
        assert went_well(blank)["changed"] is False
    assert went_well(blank, discards="ignore")["changed"]
    assert discards(blank)[0] == "ignore"
    assert went_well(blank, discards="ignore")["changed"] is False
