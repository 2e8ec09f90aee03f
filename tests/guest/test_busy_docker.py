"""On real guests: Docker's storage changes while somebody makes, runs and removes containers and images, and nothing is hidden.

python3 -m pytest tests/guest/test_busy_docker.py      Docker 20.10 (Debian 12) and 26 (Debian 13)
"""

import json
import pathlib
import random
import re
import subprocess
import time

import pytest
import remote

RELEASES = ("bookworm", "trixie")
DISK = ["-e", json.dumps({"thin_pool_devices": [remote.DISK]})]
BASE = "docker import -c 'CMD [\"sh\"]' /usr/local/share/busybox.tar app:1 > /dev/null"
WORKLOAD = pathlib.Path(__file__).with_name("busy_workload.sh")
ROUNDS = 50
# systemd runs ExecStop= while the daemon still serves: what it makes comes after any look that a plan can be made of.
AT_THE_STOP = """
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\\nExecStop=/bin/sh /root/at-the-stop\\n' > /etc/systemd/system/docker.service.d/at-the-stop.conf
cat > /root/at-the-stop
systemctl daemon-reload
"""


@pytest.fixture(params=RELEASES, scope="module")
def guest(request, prepared):
    """A guest with an image, and a snapshot of that called 'before'."""
    return prepared("busy-" + request.param, BASE, release=request.param, disks=("6G",))


@pytest.fixture
def before(guest):
    """The guest as it was."""
    guest.restore("before")
    return guest


def driver(guest):
    """The storage driver that Docker names."""
    return guest.ssh("docker info --format '{{.Driver}}'").stdout.strip()


def names(guest):
    """(names of the containers and how they are, names of the images)."""
    listed = guest.ssh(
        "docker ps -a --format '{{.Names}} {{.State}}'; echo; docker images --format '{{.Repository}}:{{.Tag}}'"
    ).stdout
    containers, _empty, images = listed.partition("\n\n") if not listed.startswith("\n") else ("", "", listed)
    return sorted(containers.split("\n")), sorted(images.split())


def test_a_container_that_is_made_at_the_stop_is_not_hidden(before):
    """Once: the way back is taken, what ran runs, and the next look refuses it by its name."""
    before.ssh(AT_THE_STOP, stdin="[ -e /root/once ] || docker run -d --name late app:1 sleep 100000; touch /root/once")
    answer = remote.run(before, docker=True)
    assert "container late" in answer["msg"]
    assert "Docker serves as before" in answer["msg"]
    assert "late (app:1, " in answer["msg"]
    assert driver(before) == "overlay2"
    assert names(before) == (["late running"], ["app:1"])
    before.ssh("docker rm -f late")
    assert remote.run(before, docker=True)["changed"]
    assert driver(before) != "overlay2"


def test_an_image_that_is_made_at_the_stop_comes_along(before):
    """Once: the plan is made anew with it, in the same run."""
    before.ssh(AT_THE_STOP, stdin="[ -e /root/once ] || docker tag app:1 late:1; touch /root/once")
    answer = remote.run(before, docker=True)
    assert answer["changed"], answer
    assert driver(before) != "overlay2"
    assert names(before) == ([""], ["app:1", "late:1"])

    before.ssh("docker tag app:1 pool:1; rm /root/once")
    before.ssh(AT_THE_STOP, stdin="[ -e /root/once ] || docker tag app:1 later:1; touch /root/once")
    answer = remote.run(before, goal="roll_back", docker=True)
    assert answer["changed"], answer
    assert driver(before) == "overlay2"
    assert names(before) == ([""], ["app:1", "late:1", "later:1", "pool:1"])


def test_who_never_stops_making_images_is_told_and_docker_serves(before):
    before.ssh(AT_THE_STOP, stdin="docker tag app:1 late:$(date +%s%N)")
    answer = remote.run(before, docker=True, timeout=1500)
    assert re.search(r"content changed in each of \d rounds; Docker serves as before.*new image late:", answer["msg"]), answer[
        "msg"
    ]
    assert "docker events" in answer["way_out"]
    assert driver(before) == "overlay2"
    assert len(names(before)[1]) > 3


def test_live_restore_a_new_container_runs_on(before):
    before.ssh("echo '{\"live-restore\": true}' > /etc/docker/daemon.json; systemctl restart docker")
    before.ssh(AT_THE_STOP, stdin="[ -e /root/once ] || docker run -d --name late app:1 sleep 100000; touch /root/once")
    answer = remote.run(before, docker=True)
    assert "container late" in answer["msg"]
    started = before.ssh("docker inspect --format '{{.State.Running}} {{.RestartCount}}' late").stdout.strip()
    assert started == "true 0"
    assert before.ssh("docker exec late true", check=False).returncode == 0


def test_a_full_file_system_restarts_nothing(before):
    """The record is the first write: it fails before Docker is stopped, and leaves no half of a file."""
    before.ssh(
        "mkdir -p /var/lib/direct-lvm; mount -t tmpfs -o size=64k none /var/lib/direct-lvm; "
        "dd if=/dev/zero of=/var/lib/direct-lvm/fill bs=4k 2> /dev/null || true"
    )
    since = before.ssh("systemctl show -p ActiveEnterTimestamp docker").stdout
    answer = remote.run(before, docker={"archive_dir": "/root/images"})
    assert "No space left" in answer["msg"], answer
    assert answer.get("downtime", 0) == 0
    assert before.ssh("systemctl show -p ActiveEnterTimestamp docker").stdout == since
    assert before.ssh("ls -A /var/lib/direct-lvm").stdout.split() == ["fill"]
    before.ssh("rm /var/lib/direct-lvm/fill")
    assert remote.run(before, docker={"archive_dir": "/root/images"})["changed"]


def test_fifty_rounds_of_work_lose_nothing(before):
    """A loop makes, runs and removes; the playbooks go to the pool and away from it until the loop ends.

    Each playbook begins in the middle of the work, which pauses some seconds later: before a look, between look and stop, or
    while the content moves. Without a pause nobody could ever change the storage of so busy a Docker.
    """
    before.put(WORKLOAD, "/root/workload")
    before.ssh("systemd-run --quiet --unit workload bash /root/workload %d" % ROUNDS)
    moves, ways = [], ("site", "rollback") if "trixie" in before.name else ("site", "upgrade", "site", "rollback")
    pauses, outcomes = random.Random(14), []
    while before.ssh("systemctl is-active workload", check=False).stdout.strip() == "active":
        way, was = ways[len(moves) % len(ways)], state(before)
        playing = subprocess.Popen(
            remote.playbook(before, way, *DISK), cwd=str(remote.ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        time.sleep(pauses.uniform(0, 40))
        before.ssh("touch /root/pause")
        printed = playing.communicate()[0]
        before.ssh("rm /root/pause")
        assert "Traceback" not in printed
        if state(before) != was:
            moves.append(way)
        outcomes.append("%s: %s -> %s, return code %d" % (way, was, state(before), playing.returncode))
        print(outcomes[-1], flush=True)
    log = before.ssh("cat /root/workload.log").stdout
    lost = expected(log) - present(before)
    assert not lost, "%s\n%s\n%s" % (sorted(lost), outcomes, log)
    # A hidden container would be gone for its maker, who then takes it for removed: only its folder tells.
    shown = before.ssh("docker ps -aq --no-trunc").stdout.split()
    assert set(before.ssh("ls /var/lib/docker/containers").stdout.split()) <= set(shown), log
    assert len(re.findall("^round ", log, re.M)) == ROUNDS
    assert len(moves) >= 2, "the playbooks never got through, so this shows nothing: %s" % outcomes


def state(guest):
    """Where Docker is, as far as it answers."""
    return guest.ssh("docker info --format '{{.Driver}}'", check=False).stdout.strip()


def expected(log):
    """What the workload was told to be there: {"container NAME ID", "image NAME ID"}, without what it tried to remove."""
    objects = {}
    for line in log.splitlines():
        verb, _blank, what = line.partition(" ")
        kind, name = (what.split() + ["", ""])[:2]
        if verb == "made":
            objects[(kind, name)] = what.split()[2]
        elif verb in ("removing", "moving"):  # whether it came to that is not known when the daemon went away meanwhile
            objects.pop((kind, name), None)
    return {"%s %s" % key for key in objects}


def present(guest):
    """What Docker shows, in the same words."""
    listed = "docker ps -a --format 'container {{.Names}}'; docker images --format 'image {{.Repository}}:{{.Tag}}'"
    return set(guest.ssh(listed).stdout.splitlines())
