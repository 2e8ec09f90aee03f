"""On a real guest: Docker changes its storage, there and back, by the playbooks, and nothing that it held is lost.

python3 -m pytest tests/guest/test_switch.py
"""

import json
import os
import signal
import subprocess

import pytest
import remote

DROPIN = "/etc/systemd/system/docker.service.d/daemon.conf"
LOGGING = r"""
set -eu
mkdir -p /etc/docker
echo '{
  "log-driver": "journald"
}' > /etc/docker/daemon.json
systemctl restart docker
"""
# What a host has: an image with two tags, one made by a commit, a dangling one; a volume with data, a network.
CONTENT = r"""
set -eu
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
docker tag app:1 app:latest
docker run --name make app:1 sh -c 'echo more > /more'
docker commit make app:2 > /dev/null
docker import /usr/local/share/busybox.tar > /dev/null
docker run --rm -v data:/d app:1 dd if=/dev/urandom of=/d/file bs=1M count=3 2> /dev/null
docker rm make > /dev/null
docker network create shelf > /dev/null
"""
SWARM = r"""
docker swarm init --advertise-addr 127.0.0.1 > /dev/null
until docker network inspect docker_gwbridge > /dev/null 2>&1; do sleep 0.2; done
"""
HELD = r"""
docker images --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | sort
docker run --rm --pull never --network none -v data:/d app:2 sh -c 'cat /more; sha256sum /d/file'
docker network ls --format '{{.Name}}' | sort
docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.NodeID}} {{.LoggingDriver}}'
cat /etc/docker/daemon.json
"""


@pytest.fixture(scope="module")
def guest(prepared):
    """A guest with an overlay2 Docker that holds something, and a snapshot of that called 'before'."""
    return prepared("switch", LOGGING + CONTENT, disks=("4G", "3G"))


@pytest.fixture
def before(guest):
    """The guest as it was, and what its Docker holds."""
    guest.restore("before")
    return guest, held(guest)


def held(guest):
    """What Docker holds, as text."""
    return guest.ssh(HELD).stdout


def driver(guest):
    """The storage driver and the pool that Docker names."""
    info = json.loads(guest.ssh("docker info --format '{{json .}}'").stdout)
    return info["Driver"], dict(info["DriverStatus"]).get("Pool Name")


def module(guest, goal="provision", **docker):
    """The module's answer with other parameters of Docker's storage."""
    return remote.run(guest, goal=goal, docker=docker or True)


def test_there_and_back_by_the_playbooks(before):
    guest, content = before
    printed = remote.site(guest)
    for image in ("archive app:1, app:latest (", "archive app:2 (", "archive untagged sha256:", "bring app:1, app:latest ("):
        assert image in printed
    assert "growth steps left" in " ".join(printed.split())
    assert driver(guest) == ("devicemapper", "vgdocker-thinpool")
    assert held(guest) == content
    again = remote.site(guest)
    assert "changed=0" in again
    on_the_host = again.partition("PLAY [Report in the exit code")[0]
    assert on_the_host.count("TASK") - on_the_host.count("skipping") <= 2  # one remote call

    guest.ssh("docker tag app:2 late:1")  # made on the pool
    remote.play(guest, "rollback")
    assert driver(guest)[0] == "overlay2"
    assert guest.ssh("test ! -e %s; docker image inspect late:1 > /dev/null; docker rmi late:1 > /dev/null" % DROPIN)
    assert held(guest) == content
    assert not module(guest, goal="roll_back")["changed"]

    assert module(guest)["changed"]
    listed = remote.play(guest, "cleanup")
    assert "/var/lib/docker/overlay2: " in listed
    assert guest.ssh("ls -d /var/lib/docker/overlay2").stdout
    remote.play(guest, "cleanup", "-e", "docker_storage_cleanup_confirmed=true")
    assert guest.ssh("ls /var/lib/docker").stdout.split().count("overlay2") == 0
    assert "nothing to go back to" in module(guest, goal="roll_back")["msg"]
    guest.ssh("docker rmi late:1 > /dev/null")  # the pool's own images were there still
    assert held(guest) == content


def test_check_mode_names_the_steps_of_the_real_run_and_changes_nothing(before):
    guest, _content = before
    guest.ssh("bash -s", stdin=SWARM)
    content = held(guest)
    state = "ls -R /etc /var/lib/docker/image /var/lib/direct-lvm 2>/dev/null | sha256sum; pvs; docker images -aq"
    untouched = guest.ssh(state).stdout
    planned = remote.run(guest, docker=True, check=True)
    assert guest.ssh(state).stdout == untouched
    real = remote.run(guest, docker=True)
    assert planned["steps"] == real["steps"]
    assert held(guest) == content
    again = remote.run(guest, docker=True, check=True)
    assert (again["changed"], again["steps"]) == (False, [])


def test_containers_are_refused_or_discarded_with_a_record(before):
    guest, content = before
    guest.ssh("docker run -d --name web app:1 sleep 100000; docker run --name batch app:1 sh -c 'echo kept > /kept'")
    refused = module(guest)
    assert "2 containers, which cannot cross storage drivers" in refused["msg"]
    assert "web (app:1, Up" in refused["msg"]
    assert refused["steps"] == []
    done = module(guest, containers="discard", commit_containers=True)
    assert done["changed"], done
    assert driver(guest)[0] == "devicemapper"
    assert guest.ssh("docker ps -aq").stdout == ""
    records = guest.ssh("cat /var/lib/direct-lvm/images/container-*.json").stdout
    assert '"/web"' in records
    assert '"/batch"' in records
    kept = guest.ssh("docker images --format '{{.Repository}}:{{.Tag}}' direct-lvm/batch").stdout.strip()
    assert guest.ssh("docker run --rm --pull never %s cat /kept" % kept).stdout == "kept\n"
    assert set(content.splitlines()) <= set(held(guest).splitlines())
    back = module(guest, goal="roll_back")
    assert not back.get("failed"), back
    assert guest.ssh("docker ps -a --format '{{.Names}}' | sort").stdout.split() == ["batch", "web"]


def test_a_docker_that_does_not_come_up_is_put_back(before):
    guest, content = before
    failed = module(guest, options={"dm.mkfsarg": "--no-such-option"})
    assert "Docker runs again as before" in failed["msg"]
    assert "mkfs" in failed["msg"]  # the daemon's own log
    assert driver(guest)[0] == "overlay2"
    assert held(guest) == content
    assert guest.ssh("ls %s" % DROPIN, check=False).returncode != 0
    healed = module(guest)
    assert healed["changed"], healed
    assert driver(guest)[0] == "devicemapper"
    assert held(guest) == content


def test_settings_in_daemon_json(before):
    guest, content = before
    wanted = {"config": "daemon_json"}
    assert module(guest, **wanted)["changed"]
    assert driver(guest) == ("devicemapper", "vgdocker-thinpool")
    text = guest.ssh("cat /etc/docker/daemon.json").stdout
    assert list(json.loads(text)) == ["log-driver", "storage-driver", "storage-opts"]
    assert not module(guest, **wanted)["changed"]
    assert module(guest, goal="roll_back", **wanted)["changed"]
    assert held(guest) == content


def test_containers_that_ran_run_again_after_a_restart_for_other_settings(before):
    guest, _content = before
    assert module(guest)["changed"]
    guest.ssh("docker run -d --name web app:1 sleep 100000; docker run --name batch app:1 true")
    assert module(guest, options={"dm.min_free_space": "5%"})["changed"]
    assert guest.ssh("docker ps --format '{{.Names}}'").stdout == "web\n"


def test_a_lost_controller_leaves_docker_running(before):
    guest, content = before
    variables = json.dumps({"thin_pool_devices": [remote.DISK]})
    alone = dict(os.environ, ANSIBLE_SSH_ARGS="-o ControlMaster=no")  # no connection outlives the controller
    controller = subprocess.Popen(
        remote.playbook(guest, "site", "-e", variables),
        cwd=str(remote.ROOT),
        env=alone,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    guest.ssh("until grep -qs begun /var/lib/direct-lvm/switch.json; do sleep 0.1; done")
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    guest.ssh("flock /run/direct-lvm.lock true")  # until the module has ended
    assert driver(guest) == ("devicemapper", "vgdocker-thinpool")  # the section went on to its end
    assert module(guest)["changed"]  # and the next run loads the images
    assert held(guest) == content
    assert not module(guest)["changed"]


# Docker on devicemapper before: the article's starting point, and what the article makes, on another disk.
DEVICEMAPPER = r"""
set -eu
systemctl stop docker.socket docker
rm -rf /var/lib/docker/*
%s
systemctl daemon-reload
systemctl start docker.socket docker
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
docker run --rm -v data:/d app:1 dd if=/dev/urandom of=/d/file bs=1M count=3 2> /dev/null
"""
LOOP_LVM = """echo '{"storage-driver": "devicemapper"}' > /etc/docker/daemon.json"""
NOT_CHOSEN = "systemctl stop docker.socket docker; rm /etc/docker/daemon.json; systemctl start docker.socket docker"
OLDER_POOL = r"""
vgcreate --quiet docker /dev/vdc
lvcreate --quiet --wipesignatures y --yes --name thinpool --extents 95%%VG docker
lvcreate --quiet --wipesignatures y --yes --name thinpoolmeta --extents 1%%VG docker
lvconvert --quiet --yes --zero n --chunksize 512K --thinpool docker/thinpool --poolmetadata docker/thinpoolmeta
mkdir -p /etc/systemd/system/docker.service.d
cat > %s << END
[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --storage-driver=devicemapper \
  --storage-opt=dm.thinpooldev=/dev/mapper/docker-thinpool --storage-opt dm.use_deferred_removal=true
END
"""
# What the refusal of a drop-in at our path asks for; Docker runs on.
SET_ASIDE = "mv {0} {0}.before-direct-lvm && systemctl daemon-reload".format(DROPIN)


@pytest.mark.parametrize(
    ("made", "then", "why", "shown"),
    [
        (LOOP_LVM, NOT_CHOSEN, "loop-lvm", "Data loop file: /var/lib/docker"),
        (OLDER_POOL % DROPIN, SET_ASIDE, "an older thin pool", "Pool Name: docker-thinpool"),
    ],
    ids=["loop files", "an older pool"],
)
def test_from_devicemapper_and_back(before, made, then, why, shown):
    """Both sides call their folders devicemapper."""
    guest, _content = before
    guest.ssh("bash -s", stdin=DEVICEMAPPER % made)
    assert "storage-driver" in module(guest)["msg"]  # refused, for it is chosen elsewhere
    guest.ssh(then)
    read = "docker images -q; docker run --rm --pull never -v data:/d app:1 sha256sum /d/file"
    content = guest.ssh(read).stdout
    assert shown in guest.ssh("docker info 2>/dev/null").stdout
    done = module(guest)
    assert why in " ".join(step["why"] for step in done["steps"]), done
    assert driver(guest) == ("devicemapper", "vgdocker-thinpool")
    assert guest.ssh(read).stdout == content
    assert module(guest, goal="roll_back")["changed"]
    assert shown in guest.ssh("docker info 2>/dev/null").stdout
    assert guest.ssh(read).stdout == content
    assert module(guest)["changed"]
    assert driver(guest) == ("devicemapper", "vgdocker-thinpool")
    assert guest.ssh(read).stdout == content


def test_three_boots_and_a_pool_that_is_not_active(before):
    guest, content = before
    assert module(guest)["changed"]
    # A shell that ends when it is told to: the first process of a container ignores SIGTERM otherwise, and a shutdown waits.
    guest.ssh("docker run -d --restart always --name web app:1 sh -c 'trap exit TERM; while true; do sleep 1; done'; sync")
    for _boot in range(3):
        guest.reboot()
        assert guest.ssh("until docker info > /dev/null 2>&1; do sleep 1; done; docker ps --format '{{.Names}}'").stdout == "web\n"
        assert driver(guest) == ("devicemapper", "vgdocker-thinpool")
        assert guest.ssh("lvs --noheadings -o seg_monitor vgdocker/thinpool").stdout.strip() == "monitored"
    guest.ssh("docker rm -f web; systemctl stop docker.socket docker; vgchange -an vgdocker")
    guest.ssh("rm /etc/lvm/profile/docker-thinpool.profile")
    guest.ssh("systemctl start docker.socket docker")
    assert held(guest) == content  # the drop-in activates the pool
    assert module(guest)["changed"]  # and the next run brings the profile back
    assert not module(guest)["changed"]


def test_metadata_that_do_not_belong_to_the_pool_are_refused(before):
    guest, _content = before
    assert module(guest)["changed"]
    guest.ssh("systemctl stop docker.socket docker; mv /var/lib/docker/devicemapper /root/; rm %s" % DROPIN)
    guest.ssh("rm /var/lib/direct-lvm/switch.json; systemctl daemon-reload; systemctl start docker.socket docker")
    assert "there is no metadata for it" in module(guest)["msg"]
    guest.ssh("systemctl stop docker.socket docker; mv /root/devicemapper /var/lib/docker/")
    guest.ssh("cd /var/lib/docker/devicemapper/metadata; sed -i 's/_id\":[0-9]*/_id\":1/' transaction-metadata")
    guest.ssh('echo \'{"storage-driver": "overlay2"}\' > /etc/docker/daemon.json; systemctl start docker.socket docker')
    guest.ssh("rm /etc/docker/daemon.json")
    assert "the metadata are older than the pool" in module(guest)["msg"]
