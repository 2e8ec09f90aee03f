"""On a real guest: what the LVM half promises about wiping, drift, growth, ownership, autoextend and runs at the same time.

One guest with four small disks. A test begins at a snapshot: `blank`, or `converged` with the default pool on /dev/vdb.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import remote
import yaml
from outcomes import is_refused, went_well

DISKS = ["/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde"]
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"
LOCK = "/run/direct-lvm.lock"
POLICY = "lvmconfig --metadataprofile docker-thinpool activation/thin_pool_autoextend_{threshold,percent}"
STATE = """lvs -a --units b -o+segtype,tags,lv_profile,seg_monitor,chunk_size,zero,discards,lv_when_full,lv_skip_activation,data_lv
vgs --units b -o+vg_tags; pvs --units b -o+pv_used; cat %s; %s""" % (PROFILE, POLICY)
# Every write that reached a disk, what was discarded, and what is at its start and end.
UNTOUCHED = """for disk in %s; do awk '{print $5, $7, $12}' /sys/block/${disk#/dev/}/stat
for skip in 0 316; do dd if=$disk bs=1M count=4 skip=$skip iflag=direct status=none | sha256sum; done; done""" % " ".join(DISKS)


@pytest.fixture(scope="module")
def guest(boot):
    """The guest, with its two snapshots."""
    guest = boot("pool", disks=["320M"] * len(DISKS))
    remote.install(guest)
    remote.run(guest, check=True)  # has the modules compiled
    guest.snapshot("blank")
    made = remote.run(guest)
    assert made.get("changed"), made
    guest.snapshot("converged")
    return guest


@pytest.fixture
def blank(guest):
    """The guest with blank disks."""
    guest.restore("blank")
    return guest


@pytest.fixture
def converged(guest):
    """The guest with the default pool on /dev/vdb."""
    guest.restore("converged")
    return guest


def shim(guest, name, script):
    """What to put before python3 to have a script stand in for a command; `real` in it is the command itself."""
    text = '#!/bin/sh\nPATH=${PATH#*:}\nreal() { %s "$@"; }\n%s\n' % (name, script)
    guest.ssh("mkdir -p /opt/shim; cat > /opt/shim/{0}; chmod 755 /opt/shim/{0}".format(name), stdin=text)
    return "PATH=/opt/shim:$PATH"


def until(guest, condition):
    """Wait in the guest until a shell condition holds, at most 60 s; whether it did."""
    loop = "for n in $(seq 60); do if %s; then exit 0; fi; sleep 1; done; exit 1" % condition
    return guest.ssh(loop, check=False).returncode == 0


# --- wiping ----------------------------------------------------------------------------------------------

SIGNED = """set -e
mkfs.ext4 -q /dev/vdb; mkfs.xfs -q /dev/vdc; pvcreate -q /dev/vde
sgdisk -n1:0:+90M -n2:0:+90M /dev/vdd; udevadm settle; mkfs.ext4 -q /dev/vdd1; mkfs.ext4 -q /dev/vdd2; udevadm settle; sync"""
NOT_ALLOWED = [  # (disk, thin_pool_wipe)
    ("/dev/vdb", [("/dev/vdb", "xfs")]),
    ("/dev/vdb", [("/dev/vdc", "ext4")]),
    ("/dev/vdc", [("/dev/vdc", "ext4"), ("/dev/vdb", "xfs")]),
    ("/dev/vdd", [("/dev/vdd", "gpt")]),
    ("/dev/vdd", [("/dev/vdd", "ext4")]),
    ("/dev/vde", [("/dev/vde", "data")]),
]


def test_a_wrong_or_incomplete_signature_is_refused_and_no_disk_is_written_to(blank):
    blank.ssh(SIGNED)
    before = blank.ssh(UNTOUCHED).stdout
    for disk, allowed in NOT_ALLOWED:
        is_refused(blank, disk, devices=[disk], wipe=[{"device": device, "signature": kind} for device, kind in allowed])
    assert blank.ssh(UNTOUCHED).stdout == before


def test_disks_are_erased_once_what_each_refusal_prints_is_pasted_back(blank):
    blank.ssh(SIGNED)
    before, wipe = blank.ssh(UNTOUCHED).stdout, []
    for disk in DISKS:
        told = is_refused(blank, disk, devices=DISKS, wipe=wipe)
        wipe += yaml.safe_load(told[told.index("thin_pool_wipe:") :])["thin_pool_wipe"]
    assert blank.ssh(UNTOUCHED).stdout == before
    assert [line["signature"] for line in wipe] == ["ext4", "xfs", "ext4", "gpt", "LVM2_member"]
    assert went_well(blank, devices=DISKS, wipe=wipe)["host"]["vg"]["size"] == 4 * 79 * 4194304
    assert not went_well(blank, devices=DISKS, wipe=wipe)["changed"]


# --- drift -----------------------------------------------------------------------------------------------

DRIFT = {
    "the threshold in the profile is another": "sed -i s/threshold=80/threshold=90/ " + PROFILE,
    "the profile is missing": "rm " + PROFILE,
    "the profile is broken": "echo 'activation { {' > " + PROFILE,
    "the profile is detached": "lvchange --detachprofile vgdocker/thinpool",
    "the pool is not monitored": "lvchange --monitor n vgdocker/thinpool",
    "dmeventd was killed": "pkill -9 -x dmeventd",
    "the pool is inactive": "lvchange -an vgdocker/thinpool",
    "activation is skipped": "lvchange -ky vgdocker/thinpool",
    "new blocks are zeroed": "lvchange --zero y vgdocker/thinpool",
    "discards are not passed down": "lvchange --discards nopassdown vgdocker/thinpool",
    "discards are ignored": "lvchange -an {0}; lvchange --discards ignore {0}; lvchange -ay {0}".format("vgdocker/thinpool"),
    "writes to a full pool fail": "lvchange --errorwhenfull y vgdocker/thinpool",
}


def test_drift_is_corrected_by_the_next_run_and_the_run_after_changes_nothing(converged):
    wanted = converged.ssh(STATE).stdout
    for what, drift in DRIFT.items():
        converged.ssh(drift)
        assert went_well(converged)["changed"], what
        assert not went_well(converged)["changed"], what
    assert converged.ssh(STATE).stdout == wanted


def test_another_policy_is_carried_out_once(converged):
    wanted = {"autoextend_threshold": 70, "autoextend_percent": 30}
    assert went_well(converged, **wanted)["changed"]
    assert converged.ssh(POLICY).stdout == "thin_pool_autoextend_threshold=70\nthin_pool_autoextend_percent=30\n"
    assert not went_well(converged, **wanted)["changed"]


def test_what_lvm_cannot_change_is_refused_with_the_way_out(converged):
    before = converged.ssh(STATE + "; " + UNTOUCHED).stdout
    is_refused(converged, "chunk size of 512K, wanted 1024K", "Keep it: thin_pool_chunk_size: 512K", chunk_size="1M")
    is_refused(converged, "cannot make a thin pool smaller", "Keep it: thin_pool_data_size: 75%VG", data_size="50%VG")
    assert converged.ssh(STATE + "; " + UNTOUCHED).stdout == before


# --- more disks ------------------------------------------------------------------------------------------


def test_a_second_disk_and_a_disk_that_grew_make_the_pool_larger_and_none_is_taken_out_silently(converged):
    grown = "/dev/loop7"
    converged.ssh("modprobe loop; truncate -s 100M /var/tmp/disk; losetup %s /var/tmp/disk" % grown)
    small = remote.run(converged, module="direct_lvm_info")["host"]
    more = went_well(converged, devices=["/dev/vdb", grown])
    assert [step["argv"][0] for step in more["steps"]] == ["pvcreate", "vgextend", "lvextend"]
    assert sorted(more["host"]["vg"]["devices"]) == [grown, "/dev/vdb"]
    converged.ssh("truncate -s 300M /var/tmp/disk; losetup -c %s; udevadm settle" % grown)
    most = went_well(converged, devices=["/dev/vdb", grown])
    assert [step["argv"][0] for step in most["steps"]] == ["pvresize", "lvextend"]
    sizes = [host["pool"]["size"] / host["vg"]["size"] for host in (small, more["host"], most["host"])]
    assert sizes == pytest.approx([0.75] * 3, abs=0.01)
    assert most["host"]["vg"]["size"] - more["host"]["vg"]["size"] == 200 * 1024**2
    assert not went_well(converged, devices=["/dev/vdb", grown])["changed"]
    is_refused(converged, "VG vgdocker has %s" % grown, "pvmove {0} && vgreduce vgdocker {0} && pvremove {0}".format(grown))


# --- ownership -------------------------------------------------------------------------------------------


def test_the_vg_is_ours_from_its_first_commit_on(blank):
    assert "died" in remote.run(blank, before=shim(blank, "vgcreate", 'real "$@"; kill -9 $PPID'))
    assert "direct-lvm" in blank.ssh("vgs --noheadings -o vg_tags vgdocker").stdout.strip().split(",")
    assert went_well(blank, goal="remove")["changed"]
    assert blank.ssh("pvs; vgs").stdout == ""


def test_absent_removes_the_pool_the_vg_the_labels_and_the_profile(converged):
    assert went_well(converged, goal="remove")["changed"]
    left = "pvs; vgs; lvs; wipefs /dev/vdb; ls /etc/lvm/profile | grep docker; dmsetup ls | grep vg"
    assert converged.ssh(left, check=False).stdout == ""
    assert not went_well(converged, goal="remove")["changed"]
    assert went_well(converged)["changed"]  # the disk is blank again


def test_a_foreign_vg_is_refused_until_adopted_and_its_lv_is_left_alone_even_by_absent(blank):
    blank.ssh("vgcreate -q vgdocker /dev/vdb; lvcreate -qy -L40M -n theirs vgdocker; mkfs.ext4 -q /dev/vgdocker/theirs")
    checksum = "sha256sum < /dev/vgdocker/theirs"
    before, layout = blank.ssh(checksum).stdout, blank.ssh("vgs -o+vg_tags; lvs").stdout
    is_refused(blank, "was not made by this tool", "thin_pool_adopt_vg: true")
    assert not went_well(blank, goal="remove")["changed"]
    assert blank.ssh("vgs -o+vg_tags; lvs").stdout == layout
    wanted = {"devices": [], "adopt_vg": True, "data_size": "60%VG"}
    assert went_well(blank, **wanted)["host"]["pool"]["active"]
    assert not went_well(blank, **wanted)["changed"]
    removed = went_well(blank, goal="remove", **wanted)
    assert "VG vgdocker stays: it holds theirs" in str(removed["warnings"])
    assert blank.ssh("lvs --noheadings -o lv_name vgdocker").stdout.split() == ["theirs"]
    assert blank.ssh(checksum).stdout == before
    blank.ssh("lvremove -qy vgdocker/theirs")
    assert not went_well(blank, goal="remove", **wanted)["changed"]  # the VG is its owner's again, empty or not
    assert blank.ssh("vgs --noheadings -o vg_name,vg_tags").stdout.split() == ["vgdocker"]


# --- autoextend ------------------------------------------------------------------------------------------

# A thin device on the pool, and 4 KiB into as many of its chunks as make up some percent of the pool.
FILL = """
import mmap, os, subprocess, sys
vg, percent = sys.argv[1], int(sys.argv[2])
pool, thin = "/dev/mapper/%s-thinpool" % vg, vg + "-fill"
sectors = int(subprocess.check_output(["blockdev", "--getsz", pool]))
subprocess.check_call(["dmsetup", "message", pool, "0", "create_thin 1"])
subprocess.check_call(["dmsetup", "create", thin, "--table", "0 %d thin %s 1" % (sectors, pool)])
page, target = mmap.mmap(-1, 4096), os.open("/dev/mapper/" + thin, os.O_WRONLY | os.O_DIRECT)
for chunk in range(sectors // 1024 * percent // 100):
    os.pwrite(target, page, chunk * 524288)
"""


def fill(guest, vg, percent):
    """Fill the pool of a VG to some percent."""
    guest.ssh("python3 - %s %d" % (vg, percent), stdin=FILL)


def extents(guest, vg):
    """The pool's size in extents of 4 MiB."""
    return remote.run(guest, module="direct_lvm_info", vg=vg)["host"]["pool"]["size"] // 4194304


def test_the_default_geometry_grows_by_itself_and_the_articles_does_not_and_says_so(converged):
    tight = {"devices": ["/dev/vdc"], "vg": "tight", "data_size": "95%VG"}
    is_refused(converged, "autoextend can never run", require_autoextend=True, **tight)
    made = went_well(converged, **tight)
    assert "autoextend can never run: one step of tight/thinpool needs 19 extents" in str(made["warnings"])
    assert made["host"]["pool"]["growth_steps_left"] == 0
    packed = went_well(converged, devices=["/dev/vdd"], vg="packed")
    assert packed["host"]["pool"]["growth_steps_left"] == 1

    for vg, percent in (("tight", 85), ("packed", 100), ("vgdocker", 85)):
        fill(converged, vg, percent)
    assert until(converged, "! vgs --noheadings -o vg_free_count vgdocker packed | grep -q 18"), "not extended within 60 s"
    assert (extents(converged, "vgdocker"), extents(converged, "packed")) == (59 + 12, 59 + 15)
    assert not went_well(converged)["changed"]  # what autoextend added stays
    assert until(converged, "journalctl -q | grep -q 'Insufficient free space: 15 extents needed, but only 2 available'")
    assert extents(converged, "tight") == 75


def test_a_threshold_of_100_switches_autoextend_off_and_another_policy_extends_a_full_pool_at_once(converged):
    off = went_well(converged, autoextend_threshold=100)
    assert off["host"]["pool"]["growth_steps_left"] is None
    assert "warnings" not in off
    assert "thin_pool_autoextend_threshold=100\n" in converged.ssh(POLICY).stdout
    fill(converged, "vgdocker", 100)
    assert until(converged, "journalctl -q | grep -q 'data is now 100.00% full' && sleep 3"), "dmeventd has not looked"
    assert extents(converged, "vgdocker") == 59
    assert went_well(converged)["steps"][-1]["argv"] == ["lvextend", "--use-policies", "vgdocker/thinpool"]
    assert extents(converged, "vgdocker") == 59 + 15
    assert not went_well(converged)["changed"]


# --- two at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [0, 0.25, 0.5])
def test_of_two_runs_at_once_both_end_well_and_one_changes_nothing(blank, later):
    """The second looks while the first writes, at another of its steps each time."""
    blank.ssh("cat > /tmp/args.json", stdin=remote.parameters())
    both = "({0}) > /tmp/a & sleep {1}; ({0}) > /tmp/b; wait; cat /tmp/a; echo; cat /tmp/b".format(remote.command(), later)
    results = [json.loads(line) for line in blank.ssh(both).stdout.splitlines() if line.startswith("{")]
    assert [result.get("msg") for result in results] == [None, None]
    assert sorted(result["changed"] for result in results) == [False, True]


def test_a_held_lock_is_told_after_lock_timeout_and_check_mode_does_not_wait_for_it(blank):
    blank.ssh("setsid flock --close %s sleep 300 > /dev/null 2>&1 < /dev/null &" % LOCK)
    is_refused(
        blank,
        "another run of direct_lvm, or a command that a killed one left, is at work on this host since more than 1 s",
        lock_timeout=1,
    )
    assert went_well(blank, check=True, lock_timeout=1)["changed"]


def test_a_killed_run_leaves_no_lock(blank):
    blank.ssh("cat > /tmp/args.json", stdin=remote.parameters())
    started = "exec setsid python3 -m ansible.modules.direct_lvm /tmp/args.json > /dev/null 2>&1 < /dev/null"
    blank.ssh("cd %s; (%s) & while flock -n %s true; do sleep 0.1; done; kill -9 $!" % (remote.THERE, started, LOCK))
    assert went_well(blank, lock_timeout=60, goal="remove")["host"]["vg"] is None  # its last command may still run


def test_the_lock_of_a_killed_run_is_held_while_its_lvm_command_works(blank):
    """LVM closes all that it inherits but standard input, and waits for the lock on its metadata, which somebody reads."""
    assert went_well(blank)["changed"]
    blank.ssh("lvchange --zero y vgdocker/thinpool; cat > /tmp/args.json", stdin=remote.parameters())
    blank.ssh("setsid flock --shared /run/lock/lvm/V_vgdocker sleep 600 > /dev/null 2>&1 < /dev/null & sleep 1")
    started = "exec setsid python3 -m ansible.modules.direct_lvm /tmp/args.json > /dev/null 2>&1 < /dev/null"
    blank.ssh(
        "cd %s; (%s) & until pgrep -x lvchange > /dev/null; do sleep 0.1; done; sleep 1; kill -9 $!" % (remote.THERE, started)
    )
    assert blank.ssh("pgrep -x lvchange").stdout
    inputs = blank.ssh("ls -l /proc/[0-9]*/fd/0 2> /dev/null", check=False).stdout
    assert LOCK in inputs, "the killed run's command does not hold the lock"
    assert blank.ssh("flock --nonblock %s true" % LOCK, check=False).returncode == 1
    blank.ssh("pkill -f 'sleep 600'")
    assert went_well(blank, lock_timeout=60)["changed"] is False


# --- a disk that gets something on it between our look and pvcreate --------------------------------------

RACE = """
import json, os, subprocess, sys
from ansible.module_utils.direct_lvm.facts import signatures
from ansible.module_utils.direct_lvm.host import commands
argv, lost, said = sys.argv[1:], [], set()
disk = argv[-1]
size = int(subprocess.check_output(["blockdev", "--getsize64", disk]))
subprocess.check_call(["udevadm", "control", "--stop-exec-queue"])  # it would look at each of them
kinds = ["mkfs.ext4 -q", "mkfs.xfs -q", "mkswap -q", "mkfs.vfat", "mkfs.btrfs -q", "sgdisk -o"]
for number in range(100):
    make = kinds[number % len(kinds)]
    subprocess.check_call(make.split() + [disk], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = signatures.read_edges(disk, size)
    try:
        commands.run(argv)
        lost.append(make)
    except commands.CommandFailed as failure:
        said.add(str(failure))
    if signatures.read_edges(disk, size) != before:
        lost.append(make)
    stream = os.open(disk, os.O_WRONLY)
    [os.pwrite(stream, bytes(len(data)), offset) for offset, data in before]
    os.close(stream)
print(json.dumps({"rounds": number + 1, "lost": lost, "said": sorted(said)}))
"""


def test_a_disk_that_is_formatted_just_before_pvcreate_keeps_its_filesystem(blank):
    racing = shim(blank, "pvcreate", 'for disk; do :; done; mkfs.ext4 -q $disk; real "$@"')
    result = remote.run(blank, before=racing)
    assert "ext4 signature detected on /dev/vdb" in result["msg"]
    assert blank.ssh("blkid -o value -s TYPE /dev/vdb; e2fsck -fn /dev/vdb > /dev/null").stdout == "ext4\n"
    is_refused(blank, "/dev/vdb is not blank: ext4 filesystem")
    argv = went_well(blank, check=True, devices=["/dev/vdc"])["steps"][0]["argv"]
    rounds = json.loads(blank.ssh("cd %s; python3 - %s" % (remote.THERE, " ".join(argv)), stdin=RACE).stdout)
    assert (argv[0], rounds["rounds"], rounds["lost"]) == ("pvcreate", 100, []), rounds


# --- nothing to do ---------------------------------------------------------------------------------------

TRACE = "strace -f -qq -y -o /tmp/trace -e trace=%file,write,pwrite64,writev,pwritev,ftruncate,fallocate,fchmod,fchown"
# LVM takes its locks, and asks the kernel and dmeventd; it opens its hints to lock them.
LVMS_OWN = r"/run/lock/lvm/.*|/dev/mapper/control|/run/lvm/hints|/run/dmeventd-(client|server)"
CHANGING = "creat|rename|unlink|mkdir|rmdir|link|symlink|mknod|[lf]?ch(mod|own)|f?truncate|fallocate|l?(set|remove)xattr|utime"


def touched(trace):
    """{path} of what a traced run opened for writing or changed, {path} of what it wrote into, [argv of each program]."""
    changed, written, programs = set(), set(), []
    for line in trace.splitlines():
        call, _, rest = line.split(None, 1)[1].partition("(")
        path = (re.findall(r'"([^"]*)"', rest) or re.findall(r"<([^>]*)>", rest) or [""])[0]
        if call == "execve" and "ENOENT" not in rest:
            programs.append(re.findall(r'"([^"]*)"', rest)[1:])
        elif re.match(CHANGING, call) or call.startswith("open") and re.search("O_(WRONLY|RDWR|CREAT|TRUNC)", rest):
            changed.add(path)
        elif call.startswith(("write", "pwrite")):
            written.add((re.findall(r"<([^>]*)>", rest) or ["?"])[0])
    return changed, written, programs


def test_a_host_that_is_as_wanted_is_not_written_to_and_costs_three_processes(converged):
    assert went_well(converged, docker=True)["host"]["docker"]["driver"] == "devicemapper"
    for check in (False, True):
        assert not went_well(converged, docker=True, check=check, before=TRACE)["changed"]
        changed, written, programs = touched(converged.ssh("cat /tmp/trace").stdout)
        # Standard input of what is started is /dev/null: no lock is taken.
        assert {path for path in changed if not re.fullmatch(LVMS_OWN, path)} - {"/dev/null"} == set()
        assert [path for path in written if path.startswith("/") and not path.startswith("/run/dmeventd-")] == []
        assert [argv[0] for argv in programs] == ["python3", "lvm", "systemctl", "docker"]


# --- a disk that comes late ------------------------------------------------------------------------------


def test_a_late_disk_is_waited_for_as_long_as_thin_pool_device_timeout(blank, tmp_path):
    wanted = {"late": {"thin_pool_device_timeout": 60}, "never": {"thin_pool_device_timeout": 5}}
    hosts = {name: dict(blank.variables(), thin_pool_devices=["/dev/" + name], **more) for name, more in wanted.items()}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    tell = {"ansible.builtin.debug": {"msg": "{{ preflight_plan.steps[0].argv | join(' ') }}"}}
    play = {"hosts": "all", "gather_facts": False, "roles": ["preflight"], "tasks": [tell]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    argv = [pathlib.Path(sys.executable).with_name("ansible-playbook"), "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"]
    environment, told = dict(os.environ, ANSIBLE_CONFIG=str(remote.ROOT / "ansible.cfg")), ""
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as playbook:
        for line in playbook.stdout:
            told += line
            if "FAILED - RETRYING: [late]" in line:
                blank.ssh("ln -sf /dev/vdb /dev/late")
    assert "FAILED - RETRYING: [late]" in told, told
    assert re.search(r"pvcreate --uuid \S+ --norestorefile /dev/vdb", told), told
    assert "/dev/never does not exist on this host." in told, told
    assert re.search(r"(?s)late .*failed=0.*never .*failed=1", told), told
