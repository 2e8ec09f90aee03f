"""For how long Docker does not answer: our switch, a bare restart and the article's commands, side by side on one guest.

    .venv/bin/python3 benchmarks/downtime.py [--rounds 3]

Measured inside the guest, by asking the daemon for /_ping all the time: the gap between two answers. Prints ratios: seconds
in an emulated guest mean nothing.
"""

import argparse
import os
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))
import remote
from guest import Guest

# Prints the longest gap between two answers, in seconds, once /run/stop is there and Docker answers again.
PING = r"""
import os, socket, time
last, longest = None, 0.0
while True:
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(300)
            peer.connect("/run/docker.sock")
            peer.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            good = peer.recv(64).startswith(b"HTTP/1.0 200")
    except OSError:
        good = False
    now = time.monotonic()
    if good:
        longest = max(longest, now - last if last else 0.0)
        last = now
        open("/run/pinging", "w").close()
        if os.path.exists("/run/stop"):
            break
    time.sleep(0.01)
print(longest)
"""
ARTICLE = r"""
set -e
systemctl stop docker.socket docker
pvcreate -q /dev/vdb
vgcreate -q vgdocker /dev/vdb
lvcreate -qy --wipesignatures y -n thinpool vgdocker -l 95%VG
lvcreate -qy --wipesignatures y -n thinpoolmeta vgdocker -l 1%VG
lvconvert -qy --zero n -c 512K --thinpool vgdocker/thinpool --poolmetadata vgdocker/thinpoolmeta
printf 'activation {\nthin_pool_autoextend_threshold=80\nthin_pool_autoextend_percent=20\n}\n' \
  > /etc/lvm/profile/docker-thinpool.profile
lvchange -q --metadataprofile docker-thinpool vgdocker/thinpool
rm -rf /var/lib/docker/*
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock %s %s\n' \
  '--storage-driver=devicemapper --storage-opt=dm.thinpooldev=/dev/mapper/vgdocker-thinpool' \
  '--storage-opt dm.use_deferred_removal=true' \
  > /etc/systemd/system/docker.service.d/daemon.conf
systemctl daemon-reload
systemctl start docker.socket docker
"""


def gap(guest, change):
    """Seconds without an answer while change(), a function, runs."""
    guest.ssh("rm -f /run/stop /run/pinging; cat > /root/ping.py; (python3 /root/ping.py > /root/gap 2>&1 &)", stdin=PING)
    guest.ssh("until [ -e /run/pinging ]; do sleep 0.1; done; sleep 1")
    change()
    guest.ssh("touch /run/stop; until [ -s /root/gap ]; do sleep 0.1; done")
    return float(guest.ssh("cat /root/gap").stdout)


def module(guest, **options):
    """Run our module; options: further storage options of Docker."""
    answer = remote.run(guest, docker={"options": options})
    if answer.get("failed", "died" in answer) or not answer["changed"]:
        sys.exit("the module did not do its work: %s" % answer)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    guest = Guest("downtime").up(disks=("30G",), cpus=1, owner=os.getpid())
    try:
        remote.install(guest)
        remote.run(guest)
        guest.snapshot("pool")  # the pool is ready, Docker on overlay2
        guest.ssh("vgremove -qqf vgdocker; pvremove -q /dev/vdb; rm /etc/lvm/profile/docker-thinpool.profile; blkdiscard /dev/vdb")
        guest.snapshot("blank")
        guest.restore("pool")
        module(guest)
        guest.snapshot("switched")
        rows = (
            ("a bare restart, on the pool", "switched", lambda: guest.ssh("systemctl restart docker")),
            ("ours, other settings on the same pool", "switched", lambda: module(guest, **{"dm.min_free_space": "5%"})),
            ("a bare restart, on overlay2", "pool", lambda: guest.ssh("systemctl restart docker")),
            ("ours, from overlay2", "blank", lambda: module(guest)),
            ("the article, from overlay2", "blank", lambda: guest.ssh("bash -s", stdin=ARTICLE)),
        )
        times = {}
        for name, start, change in rows:
            found = []
            for _round in range(rounds):
                guest.restore(start)
                found.append(gap(guest, change))
                print("%-40s %6.1f s" % (name, found[-1]), flush=True)
            times[name] = statistics.median(found)
    finally:
        guest.down()
    print("\n%-40s %10s %30s" % ("without an answer, median of %d" % rounds, "seconds", "of a bare restart on its side"))
    for name, _start, _change in rows:
        base = times["a bare restart, on the pool" if "pool" in name else "a bare restart, on overlay2"]
        print("%-40s %10.1f %30.2f" % (name, times[name], times[name] / base))


if __name__ == "__main__":
    main()
