"""On a real guest: a pool in trouble, and what the product says that leads out of it, followed as an operator would paste it.

    .venv/bin/python3 -m pytest tests/guest/test_trouble.py                               Debian 12: Docker 20.10
    DIRECT_LVM_RELEASE=trixie .venv/bin/python3 -m pytest tests/guest/test_trouble.py     Debian 13: thin_check 1.x, the pool alone

The commands are taken from the product's own sentences. The pool has chunks of 64 KiB and the smallest metadata, so that these are
full within a minute. Each test begins at the snapshot `well`: Docker 20.10 runs a container on the pool; on Debian 13, whose Docker
has no such driver, the pool has thin devices of ours.
"""

import json
import os
import re
import shlex
import subprocess

import pytest
import remote

RELEASE = os.environ.get("DIRECT_LVM_RELEASE", "bookworm")
WITH_DOCKER = RELEASE in ("bullseye", "bookworm")
DOCKER_ONLY = pytest.mark.skipif(not WITH_DOCKER, reason="it is about Docker's graph driver")
POOL = {"chunk_size": "64K", "data_size": "45%VG", "metadata_size": "4M"}
VARIABLES = dict({"thin_pool_" + name: value for name, value in POOL.items()}, thin_pool_devices=["/dev/vdb"])
VARIABLES["verify_smoke_test"] = False
REPAIR = "-e thin_pool_repair_confirmed=true"

# Thin devices of no one's, with ids that Docker does not reach: 3000 blocks, and snapshots of them with a block in each leaf of the
# mapping tree written anew, until nothing can be written.
FILL = """
import mmap, os, subprocess, sys
NAME, BUFFER = "vgdocker-thinpool", mmap.mmap(-1, 4096)
BUFFER.write(b"x" * 4096)
def message(text):
    return subprocess.run(["dmsetup", "message", NAME, "0", text], stderr=subprocess.DEVNULL).returncode == 0
def write(number, blocks):
    table = "0 8388608 thin /dev/mapper/%s %d" % (NAME, 800000 + number)
    if subprocess.run(["dmsetup", "create", "fill", "--table", table], stderr=subprocess.DEVNULL).returncode:
        return False
    device = os.open("/dev/mapper/fill", os.O_WRONLY | os.O_DIRECT)
    try:
        for block in blocks:
            os.pwrite(device, BUFFER, block * 65536)
        os.fsync(device)
    except OSError:
        return False
    finally:
        os.close(device)
        subprocess.run(["dmsetup", "remove", "--retry", "fill"], check=True)
    return True
subprocess.check_call(["lvchange", "--monitor", "n", "vgdocker/thinpool"])  # dmeventd would extend them
most = int(sys.argv[1])
number = 0
assert message("create_thin 800000") and write(0, range(3000))
while number < most and message("create_snap %d 800000" % (800001 + number)) and write(number + 1, range(50, 3000, 100)):
    number += 1
"""

# What is on the pool's metadata device, by the kernel (drivers/md/dm-thin-metadata.c, struct thin_disk_superblock; persistent-data/
# dm-space-map-common.h, struct disk_sm_root). The checksum is crc32c, and the superblock's is xored with 160774.
METADATA = """
import os, struct, subprocess, sys
def lvm(*argv):
    return subprocess.check_output(argv, universal_newlines=True).split()
def crc(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _bit in range(8):
            value = (value >> 1) ^ (0x82F63B78 & -(value & 1))
    return value ^ 160774
disk, extent = lvm("lvs", "-a", "--noheadings", "-o", "devices", "vgdocker/thinpool_tmeta")[0].rstrip(")").split("(")
start = int(lvm("pvs", "--noheadings", "--units", "b", "--nosuffix", "-o", "pe_start", disk)[0]) + int(extent) * 4194304
raw = open(disk, "r+b")
raw.seek(start)
block = bytearray(raw.read(4096))
assert struct.unpack_from("<I", block)[0] == crc(block[4:])
if sys.argv[1] == "needs_check":
    block[4:8] = struct.pack("<I", 1)
    raw.seek(start)
    raw.write(struct.pack("<I", crc(block[4:])) + block[4:])
else:
    at = {"superblock": 0, "data": 64 + 16, "metadata": 64 + 128 + 16, "mappings": 64 + 256}[sys.argv[1]]
    raw.seek(start + (struct.unpack_from("<Q", block, at)[0] if at else 0) * 4096 + 64)
    raw.write(b"damaged " * 32)
raw.flush()
os.fsync(raw.fileno())
"""
CONTENT = """set -e
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1
docker run -d --name web --restart always app:1 sh -c 'echo kept > /kept; sync; sleep 1000000'
until docker exec web cat /kept; do sleep 1; done; sync
"""
TAKE_DOWN = """docker stop --time 1 web; systemctl stop docker.socket docker containerd
for name in $(dmsetup ls --target thin | awk '/[(]/{print $1}'); do umount -qA /dev/mapper/$name; dmsetup remove --retry $name; done
lvchange -an vgdocker/thinpool"""
RUNS = """for n in $(seq 120); do
    docker exec web cat /kept 2> /dev/null | grep -qx kept && docker run --rm app:1 true && exit 0; sleep 1
done
docker ps -a >&2; journalctl --no-pager -b -u docker -n 30 >&2; exit 1"""
THIN = "dmsetup create kept --table '0 65536 thin /dev/mapper/vgdocker-thinpool 7'"
COMMAND = re.compile(r"(?:^|: )((?:ansible-playbook|docker|for|lv\w+|mv|systemctl|vg\w+) .*)$")


def commands(sentence):
    """The commands in a sentence of ours: each ends its line, and begins it or stands behind a colon."""
    return [found.group(1) for found in map(COMMAND.search, sentence.splitlines()) if found]


def paste(guest, lines):
    """Carry commands out as they stand: on the controller with the inventory's variables, on the host by its shell."""
    assert lines
    for line in lines:
        words = shlex.split(line)
        if words[0] == "ansible-playbook":
            rc, printed = play(guest, line)
            # A pool that no engine uses is not what verify takes for well; Debian 13's Docker stays on overlay2.
            assert rc == 0 or (not WITH_DOCKER and "overlay2, not on pool" in printed), printed
        else:
            guest.ssh(line.replace("/dev/DISK", "/dev/vdc"))


def play(guest, line):
    """(return code, what is printed) of an ansible-playbook line, with the variables that an inventory would have."""
    words = shlex.split(line)
    name = re.sub(r"playbooks/(\w+)\.yml", r"\1", words[1])
    argv = remote.playbook(guest, name, "-e", json.dumps(VARIABLES), *words[2:])
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(argv, cwd=str(remote.ROOT), check=False, **out)
    return done.returncode, done.stdout


def info(guest):
    """What direct_lvm_info says of the host."""
    return remote.run(guest, module="direct_lvm_info")["host"]


def told(guest):
    """The sentence by which site.yml refuses or fails, with what to do."""
    result = remote.run(guest, docker=WITH_DOCKER, check=True, **POOL)
    if not result.get("failed"):
        result = remote.run(guest, docker=WITH_DOCKER, timeout=1200, **POOL)
    assert result.get("failed"), result
    return result["msg"]


def well(guest):
    """The pool is active and takes writes, nothing stands in the way of a boot, and Docker has its container on it."""
    if WITH_DOCKER:
        guest.ssh(RUNS)
    else:
        guest.ssh("dmsetup info kept > /dev/null 2>&1 || %s; dd if=/dev/mapper/kept bs=64k count=1 | grep -q kept" % THIN)
        guest.ssh("dd if=/dev/urandom of=/dev/mapper/kept bs=64k count=20 seek=20 oflag=direct")
    status = guest.ssh("dmsetup status vgdocker-thinpool").stdout
    assert " rw " in status, status
    assert "needs_check" not in status, status
    pool = info(guest)["pool"]
    assert (pool["active"], pool["health"], pool["check_needed"]) == (True, "", False), pool
    guest.ssh(TAKE_DOWN, check=False)
    again = guest.ssh("lvchange -ay vgdocker/thinpool", check=False)  # as a boot does
    assert again.returncode == 0, again.stderr
    start(guest)


@pytest.fixture(scope="module")
def first(boot):
    """The guest, with its snapshot."""
    one = boot("trouble-" + RELEASE, release=RELEASE, disks=("1G", "1G"))
    remote.install(one)
    made = remote.run(one, docker=WITH_DOCKER, timeout=1800, **POOL)
    assert made.get("changed"), made
    if WITH_DOCKER:
        one.ssh(CONTENT)
    else:
        # More than one block: a device that has block 0 alone makes thin_repair 1.1 take an older root, which has nothing
        # (src/thin/metadata_repair.rs, maybe_top_level: the leaf's one value, 0, could be a block of metadata).
        fill = "dd if=/dev/zero of=/dev/mapper/kept bs=64k count=3 seek=1; echo kept > /dev/mapper/kept; sync"
        one.ssh("dmsetup message vgdocker-thinpool 0 'create_thin 7'; %s; %s" % (THIN, fill))
    one.snapshot("well")
    return one


@pytest.fixture
def guest(first):
    """The guest as it was."""
    first.restore("well")
    return first


def fill(guest, most=1000):
    """Fill the pool with snapshots, at most so many."""
    guest.ssh("cat > /tmp/fill.py", stdin=FILL)
    guest.ssh("python3 /tmp/fill.py %d" % most, timeout=1200)


def write_metadata(guest, what):
    """Damage a part of the metadata, or set their flag needs_check. The pool is down afterwards."""
    guest.ssh(TAKE_DOWN)
    guest.ssh("cat > /tmp/metadata.py", stdin=METADATA)
    guest.ssh("python3 /tmp/metadata.py " + what)


def start(guest):
    """Start Docker, which may fail where it uses the pool."""
    guest.ssh("systemctl start containerd; systemctl start docker.socket docker", check=False)


# --- damage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["superblock", "data", "metadata", "mappings"])
def test_damaged_metadata_are_found_and_repaired_as_the_failure_says(guest, part):
    write_metadata(guest, part)
    lvm = guest.ssh("lvchange -ay vgdocker/thinpool", check=False)
    assert "Manual repair required" in lvm.stderr, lvm
    start(guest)
    sentence = told(guest)
    assert "Manual repair required" in sentence
    (repair,) = [line for line in commands(sentence) if "repair.yml" in line]
    rc, printed = play(guest, repair)
    print(printed)
    assert "lvconvert --yes --repair" in printed or "The metadata were damaged" in printed, printed
    if part in ("data", "metadata"):
        assert rc == 0 or not WITH_DOCKER, printed
        assert "thinpool_meta0" in guest.ssh("lvs --noheadings -o lv_name vgdocker").stdout
        well(guest)
    elif rc and "LVM cannot repair these metadata" in printed:  # whether it can depends on the release
        text = printed[printed.index("LVM cannot repair these metadata") :].replace("\\n", "\n")
        paste(guest, commands(text[: text.index("site.yml") + len("site.yml")]))
        if WITH_DOCKER:
            bring_up(guest)
    else:
        guest.ssh("lvs --noheadings -o lv_name vgdocker | grep -w thinpool_meta0")


# --- needs_check ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["ansible-playbook", "on-the-host"])
def test_a_pool_that_asks_for_a_check_is_checked_as_the_refusal_says(guest, by):
    write_metadata(guest, "needs_check")
    guest.ssh("lvchange -ay vgdocker/thinpool")
    start(guest)
    assert info(guest)["pool"]["check_needed"]
    lines = commands(told(guest))
    repair = [line for line in lines if line.startswith("ansible-playbook")]
    assert len(repair) == 1, lines
    assert lines[1:], lines
    paste(guest, repair if by == "ansible-playbook" else [line for line in lines if line not in repair])
    assert "meta0" not in guest.ssh("lvs --noheadings -o lv_name vgdocker").stdout
    well(guest)


def test_the_report_of_a_pool_that_asks_for_a_check_leads_out(guest):
    write_metadata(guest, "needs_check")
    guest.ssh("lvchange -ay vgdocker/thinpool")
    start(guest)
    (finding,) = [sentence for sentence in info(guest)["warnings"] if "needs a check" in sentence]
    paste(guest, commands(finding))
    well(guest)


# --- full ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("snapshots", "least"), [(53, 0.8), (1000, 0.99)], ids=["nearly", "quite"])
def test_full_metadata_are_extended_as_the_report_says(guest, snapshots, least):
    fill(guest, snapshots)
    status = guest.ssh("dmsetup status --noflush vgdocker-thinpool").stdout.split()
    used, total = map(int, status[4].split("/"))
    assert used > least * total, status
    (finding,) = [sentence for sentence in info(guest)["warnings"] if "Metadata of pool" in sentence]
    paste(guest, commands(finding))
    well(guest)


def test_full_metadata_are_extended_and_checked_by_a_repair(guest):
    fill(guest)
    pool = info(guest)["pool"]
    assert pool["health"] in ("metadata_read_only", "failed"), pool
    (finding,) = [sentence for sentence in info(guest)["warnings"] if "health of pool" in sentence]
    paste(guest, commands(finding))
    well(guest)
    assert info(guest)["pool"]["metadata_size"] > pool["metadata_size"]


def test_full_metadata_in_a_full_group_get_a_disk_first(guest):
    fill(guest)
    guest.ssh("lvcreate -y -q -an -Zn -Wn -l 100%FREE -n theirs vgdocker")
    refused = remote.run(guest, goal="repair", containerd={}, check=True, **POOL)
    assert "has no room to extend them" in refused["msg"], refused
    paste(guest, commands(refused["way_out"]))
    paste(guest, ["ansible-playbook playbooks/repair.yml " + REPAIR])
    well(guest)


def test_full_metadata_that_ask_for_a_check_are_extended_after_it(guest):
    fill(guest)
    write_metadata(guest, "needs_check")
    guest.ssh("lvchange -ay vgdocker/thinpool", check=False)  # thin_check 1.1 finds full metadata damaged, so LVM refuses
    start(guest)
    paste(guest, [line for line in commands(told(guest)) if line.startswith("ansible-playbook")])
    well(guest)


def test_a_missing_spare_is_made_room_for_as_the_refusal_says(guest):
    write_metadata(guest, "needs_check")
    guest.ssh("lvchange -ay vgdocker/thinpool")
    start(guest)
    guest.ssh("lvremove -y vgdocker/$(lvs -a --noheadings -o lv_name vgdocker | tr -d '[] ' | grep pmspare)")
    guest.ssh("lvcreate -y -q -an -Zn -Wn -l 100%FREE -n theirs vgdocker")
    refused = remote.run(guest, goal="repair", containerd={}, check=True, **POOL)
    assert "has no spare of that size" in refused["msg"], refused
    paste(guest, commands(refused["way_out"]))
    paste(guest, ["ansible-playbook playbooks/repair.yml " + REPAIR])
    well(guest)


@DOCKER_ONLY
def test_full_data_are_extended_as_the_report_says(guest):
    guest.ssh("lvchange --monitor n vgdocker/thinpool")
    guest.ssh("docker exec web dd if=/dev/zero of=/fill bs=1M count=1000", check=False, timeout=300)
    guest.ssh("until lvs --noheadings -o data_percent vgdocker/thinpool | grep -q 100.00; do sleep 1; done", timeout=300)
    (finding,) = [sentence for sentence in info(guest)["warnings"] if sentence.startswith("Data of pool")]
    paste(guest, commands(finding))
    paste(guest, ["docker restart web"])
    guest.ssh("docker exec web rm -f /fill; docker restart web")
    well(guest)


@DOCKER_ONLY
def test_full_data_in_a_full_group_get_a_disk_as_the_report_says(guest):
    guest.ssh("lvchange --monitor n vgdocker/thinpool; lvcreate -y -q -an -Zn -Wn -l 100%FREE -n theirs vgdocker")
    guest.ssh("docker exec web dd if=/dev/zero of=/fill bs=1M count=1000", check=False, timeout=300)
    guest.ssh("until lvs --noheadings -o data_percent vgdocker/thinpool | grep -q 100.00; do sleep 1; done", timeout=300)
    (finding,) = [sentence for sentence in info(guest)["warnings"] if sentence.startswith("Data of pool")]
    assert "playbooks/grow.yml" in finding, finding
    larger = json.dumps(dict(VARIABLES, thin_pool_devices=["/dev/vdb", "/dev/vdc"]))
    remote.play(guest, "grow", "-e", larger)
    guest.ssh("docker restart web; docker exec web rm -f /fill; docker restart web")
    well(guest)


# --- Docker's metadata and the pool --------------------------------------------------------------------------

STOP = "docker stop --time 1 web; systemctl stop docker.socket docker"
FOLDERS = "/var/lib/docker/devicemapper /var/lib/docker/image"


def bring_up(guest):
    """site.yml as it stands, and a container, for what was on the pool may be lost."""
    paste(guest, ["ansible-playbook playbooks/site.yml"])
    guest.ssh("docker info --format '{{.Driver}}' | grep -qx devicemapper")
    guest.ssh("docker image inspect app:1 || docker import /usr/local/share/busybox.tar app:1")
    guest.ssh("docker run --rm app:1 true || docker run --rm app:1 sh -c true")


@DOCKER_ONLY
@pytest.mark.parametrize("way", ["backup", "afresh"])
def test_older_metadata_of_docker_are_told_and_led_out_of(guest, way):
    guest.ssh(STOP)
    guest.ssh("mkdir /root/old /root/new; cp -a %s /root/old" % FOLDERS)
    guest.ssh("systemctl start docker.socket docker; docker start web; docker import /usr/local/share/busybox.tar later:1; " + STOP)
    guest.ssh("cp -a {0} /root/new; rm -r {0}; cp -a /root/old/* /var/lib/docker".format(FOLDERS))
    sentence = told(guest)
    assert "the metadata are older than the pool" in sentence, sentence
    if way == "backup":
        guest.ssh("rm -r {0}; cp -a /root/new/* /var/lib/docker".format(FOLDERS))
        paste(guest, ["ansible-playbook playbooks/site.yml"])
        well(guest)
    else:
        paste(guest, commands(sentence))
        bring_up(guest)


@DOCKER_ONLY
def test_a_pool_without_dockers_metadata_is_made_afresh_as_the_refusal_says(guest):
    guest.ssh(STOP)
    guest.ssh("mkdir /root/away; mv %s /root/away" % FOLDERS)
    start(guest)
    sentence = told(guest)
    assert "there is no metadata for it" in sentence, sentence
    paste(guest, commands(sentence))
    bring_up(guest)


@DOCKER_ONLY
def test_metadata_of_a_pool_that_is_gone_go_aside_as_the_refusal_says(guest):
    guest.ssh(STOP)
    guest.ssh(TAKE_DOWN, check=False)
    guest.ssh("lvremove -y vgdocker/thinpool")
    pool = {"thin_pool_devices": ["/dev/vdb"]}
    made = remote.run(guest, **POOL)
    assert made.get("changed"), (made, pool)
    sentence = told(guest)
    assert "those of another pool" in sentence, sentence
    paste(guest, commands(sentence))
    bring_up(guest)
