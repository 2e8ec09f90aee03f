"""On a real guest: Docker 25 and newer, and containerd alone, on the pool through containerd's devmapper snapshotter.

python3 -m pytest tests/guest/test_snapshotter.py                              Debian trixie
DIRECT_LVM_RELEASE=forky python3 -m pytest tests/guest/test_snapshotter.py     another release with such a Docker
"""

import json
import os

import pytest
import remote

RELEASE = os.environ.get("DIRECT_LVM_RELEASE", "trixie")
OWN, CONFIG = "/etc/containerd/conf.d/direct-lvm.toml", "/etc/containerd/config.toml"
REFUSING = "/etc/systemd/system/containerd.service.d/refusing.conf"
CONTENT = r"""
set -eu
mkdir -p /etc/docker
printf '{\n  "log-driver": "journald",\n  "features": {"buildkit": true}\n}\n' > /etc/docker/daemon.json
systemctl restart docker
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
docker tag app:1 app:latest
docker run --rm -v data:/d app:1 dd if=/dev/urandom of=/d/file bs=1M count=3 2> /dev/null
docker network create shelf > /dev/null
"""
HELD = r"""
docker images --format '{{.Repository}}:{{.Tag}}' | sort
docker run --rm --pull never --network none -v data:/d app:1 sha256sum /d/file
docker network ls --format '{{.Name}}' | sort
docker info --format '{{.LoggingDriver}}'
"""


@pytest.fixture(scope="module")
def guest(prepared):
    """A guest whose overlay2 Docker holds something, and a snapshot of that called 'before'."""
    return prepared("snapshotter", CONTENT, release=RELEASE, disks=("4G", "4G"))


@pytest.fixture
def before(guest):
    """The guest as it was."""
    guest.restore("before")
    return guest


@pytest.fixture
def converged(guest):
    """The guest with Docker on the pool, and what it held before."""
    if not hasattr(guest, "content"):
        guest.restore("before")
        guest.content = guest.ssh(HELD).stdout
        done = remote.run(guest, docker=True)
        assert done["changed"], done
        guest.snapshot("converged")
    guest.restore("converged")
    return guest


def driver(guest):
    """Storage driver and driver-type that Docker names."""
    info = json.loads(guest.ssh("docker info --format '{{json .}}'").stdout)
    return info["Driver"], dict(info["DriverStatus"]).get("driver-type")


ON_POOL = ("devmapper", "io.containerd.snapshotter.v1")


def plugin(guest):
    """The snapshotter's status."""
    return guest.ssh("ctr plugins ls | awk '$2 == \"devmapper\" {print $NF}'").stdout.strip()


def test_there_back_and_away_by_the_playbooks(before):
    guest = before
    content, config = guest.ssh(HELD).stdout, guest.ssh("cat " + CONFIG).stdout
    printed = remote.site(guest)
    assert "archive app:1, app:latest (" in printed
    assert "docker-devmapper is on /dev/mapper/vgdocker-thinpool" in " ".join(printed.split())
    assert driver(guest) == ON_POOL
    assert plugin(guest) == "ok"
    assert guest.ssh(HELD).stdout == content
    assert guest.ssh("cat " + CONFIG).stdout.partition("\n")[2] == config  # but for one line, as it was
    merged = json.loads(guest.ssh("cat /etc/docker/daemon.json").stdout)
    assert merged["features"] == {"buildkit": True, "containerd-snapshotter": True}
    assert list(merged) == ["log-driver", "features", "storage-driver"]
    again = remote.site(guest)
    assert "changed=0" in again
    on_the_host = again.partition("PLAY [Report in the exit code")[0]
    assert on_the_host.count("TASK") - on_the_host.count("skipping") <= 2  # one remote call

    guest.ssh("docker tag app:1 late:1")
    remote.play(guest, "rollback")
    assert driver(guest)[0] == "overlay2"
    assert "late:1" in guest.ssh("docker images --format '{{.Repository}}:{{.Tag}}'").stdout
    guest.ssh("docker rmi late:1 > /dev/null")
    assert guest.ssh(HELD).stdout == content

    disk = ["-e", json.dumps({"thin_pool_devices": [remote.DISK]})]
    refused = remote.play(guest, "remove", *disk, rc=2)
    assert "snapshots on pool vgdocker/thinpool" in refused
    remote.play(guest, "remove", *disk, "-e", "thin_pool_remove_data=true")
    assert guest.ssh("vgs vgdocker; ls %s; dmsetup ls | grep vgdocker" % OWN, check=False).stdout == ""
    assert guest.ssh("cat " + CONFIG).stdout == config
    assert guest.ssh("blkid -p /dev/vdb", check=False).stdout == ""
    assert guest.ssh(HELD).stdout == content


def test_check_mode_names_the_steps_of_the_real_run(before):
    state = (
        "cat %s /etc/docker/daemon.json; ls -R /etc/containerd /etc/systemd /var/lib/direct-lvm; pvs; docker images -aq" % CONFIG
    )
    untouched = before.ssh(state, check=False).stdout
    planned = remote.run(before, docker=True, check=True)
    assert planned["engine"]["name"] == "docker-devmapper"
    assert before.ssh(state, check=False).stdout == untouched
    real = remote.run(before, docker=True)
    assert planned["steps"] == real["steps"]
    assert not remote.run(before, docker=True)["changed"]


def test_thin_devices_come_and_go_with_containers(converged):
    guest = converged
    assert guest.ssh(HELD).stdout == guest.content
    used = "dmsetup status vgdocker-thinpool | awk '{split($6, n, \"/\"); print n[1]}'"
    devices = "dmsetup ls --target thin | grep -c vgdocker-thinpool-snap || true"
    free, none = int(guest.ssh(used).stdout), int(guest.ssh(devices).stdout)
    guest.ssh("docker run -d --name web app:1 sh -c 'dd if=/dev/zero of=/file bs=1M count=64; sync; sleep 100000'")
    guest.ssh("until docker exec web ls /file && sync && [ $(%s) -ge %d ]; do sleep 1; done" % (used, free + 128))
    assert int(guest.ssh(devices).stdout) == none + 1
    guest.ssh("docker rm -f web")
    guest.ssh("for n in $(seq 60); do [ $(%s) -lt %d ] && break; sleep 1; done" % (used, free + 64))
    assert int(guest.ssh(devices).stdout) == none
    assert int(guest.ssh(used).stdout) < free + 64  # discard_blocks
    smoke = remote.run(guest, module="direct_lvm_smoke_test", megabytes=16)
    assert smoke["after_write"] - smoke["before"] >= 16 << 20
    info = remote.run(guest, module="direct_lvm_info")["host"]
    assert (info["engine"], info["containerd"]["snapshotter"], info["pool"]["monitored"]) == ("docker-devmapper", "ok", True)


def test_three_boots(converged):
    guest = converged
    # A shell that ends when it is told to: the first process of a container ignores SIGTERM otherwise, and a shutdown waits.
    guest.ssh("docker run -d --restart always --name web app:1 sh -c 'trap exit TERM; while true; do sleep 1; done'; sync")
    for _boot in range(3):
        guest.reboot()
        assert guest.ssh("until docker info > /dev/null 2>&1; do sleep 1; done; docker ps --format '{{.Names}}'").stdout == "web\n"
        assert (driver(guest), plugin(guest)) == (ON_POOL, "ok")
        assert guest.ssh("lvs --noheadings -o seg_monitor vgdocker/thinpool").stdout.strip() == "monitored"
    assert not remote.run(guest, docker=True)["changed"]


def test_a_pool_that_was_not_active_when_containerd_started(converged):
    guest = converged
    guest.ssh("systemctl stop docker.socket docker containerd")
    guest.ssh("dmsetup ls --target thin | awk '/snap/ {print $1}' | xargs -r dmsetup remove")
    guest.ssh("vgchange -an vgdocker; mv /etc/systemd/system/containerd.service.d /root/; systemctl daemon-reload")
    guest.ssh("systemctl start containerd docker.socket docker")
    assert plugin(guest) == "error"
    assert driver(guest) == ON_POOL  # what Docker says proves nothing
    guest.ssh("mv /root/containerd.service.d /etc/systemd/system/")
    done = remote.run(guest, docker=True)
    assert done["changed"], done
    assert plugin(guest) == "ok"
    assert guest.ssh(HELD).stdout == guest.content


def test_other_settings_restart_containerd_and_leave_containers_running(converged):
    guest = converged
    guest.ssh("docker run -d --name web app:1 sleep 100000")
    started = guest.ssh("docker inspect -f '{{.State.StartedAt}}' web").stdout
    done = remote.run(guest, docker=True, containerd={"async_remove": True})
    assert done["changed"], done
    assert not any(step.get("argv", [""])[-1] == "docker.service" for step in done["steps"])
    assert guest.ssh("docker inspect -f '{{.State.StartedAt}} ' web").stdout.strip() == started.strip()
    assert guest.ssh("docker run --rm app:1 echo runs").stdout == "runs\n"


def test_a_containerd_that_does_not_come_up_is_put_back(before):
    guest = before
    content, config = guest.ssh(HELD).stdout, guest.ssh("cat " + CONFIG).stdout
    guest.ssh(
        "mkdir -p $(dirname {0}); cat > {0}; systemctl daemon-reload".format(REFUSING),
        stdin="[Service]\nExecStartPre=/usr/bin/test ! -e %s\n" % OWN,
    )
    failed = remote.run(guest, docker=True)
    assert "containerd runs again as before" in failed["msg"]
    assert (driver(guest)[0], guest.ssh("cat " + CONFIG).stdout) == ("overlay2", config)
    assert guest.ssh(HELD).stdout == content
    guest.ssh("rm %s; systemctl daemon-reload" % REFUSING)
    failed = remote.run(guest, docker=True, containerd={"root_path": "/proc/no-such"})
    assert "containerd runs again as before" in failed["msg"]
    assert "no-such" in failed["msg"]
    assert guest.ssh("ls " + OWN, check=False).returncode != 0
    assert remote.run(guest, docker=True)["changed"]
    assert guest.ssh(HELD).stdout == content


def test_a_docker_that_does_not_come_up_is_put_back(before):
    guest = before
    content = guest.ssh(HELD).stdout
    guest.ssh("mkdir /etc/systemd/system/docker.service.d; systemctl show docker -p Id")
    dropin = "[Service]\nExecStartPre=/bin/sh -c '! grep -q devmapper /etc/docker/daemon.json'\n"
    guest.ssh("cat > /etc/systemd/system/docker.service.d/trap.conf; systemctl daemon-reload", stdin=dropin)
    failed = remote.run(guest, docker=True)
    assert "Docker runs again as before" in failed["msg"]
    assert driver(guest)[0] == "overlay2"
    assert guest.ssh(HELD).stdout == content
    guest.ssh("rm /etc/systemd/system/docker.service.d/trap.conf; systemctl daemon-reload")
    assert remote.run(guest, docker=True)["changed"]
    assert guest.ssh(HELD).stdout == content


def test_what_is_refused_before_anything_is_touched(before):
    guest = before
    assert "removed in Docker 25.0" in remote.run(guest, docker={"engine": "devicemapper"})["msg"]
    guest.ssh("docker run -d --name web app:1 sleep 100000")
    assert "1 container, which cannot cross" in remote.run(guest, docker=True)["msg"]
    guest.ssh("docker rm -f web")
    guest.ssh("systemctl stop containerd; systemctl mask --runtime containerd")
    assert "containerd" in remote.run(guest, docker=True)["msg"]
    guest.ssh("systemctl unmask --runtime containerd; systemctl start containerd; systemctl restart docker")
    guest.ssh(
        "sed -i '1i disabled_plugins = [\"io.containerd.snapshotter.v1.devmapper\"]' %s; systemctl restart containerd" % CONFIG
    )
    assert "without the devmapper snapshotter, or its configuration disables it" in remote.run(guest, docker=True)["msg"]
    guest.ssh("sed -i 1d %s; systemctl restart containerd" % CONFIG)
    left = '{"storage-opts": ["dm.basesize=20G"]}'
    guest.ssh("cp /etc/docker/daemon.json /root; echo '%s' > /etc/docker/daemon.json" % left)
    assert "dm.basesize=20G" in remote.run(guest, docker=True)["msg"]
    guest.ssh("cp /root/daemon.json /etc/docker/")
    guest.ssh("mkdir -p /var/lib/containerd/devmapper; touch /var/lib/containerd/devmapper/old-pool.db")
    assert "metadata of pool old-pool" in remote.run(guest, docker=True)["msg"]
    guest.ssh("mv /var/lib/containerd/devmapper/old-pool.db /var/lib/containerd/devmapper/vgdocker-thinpool.db")
    assert "there is no such pool" in remote.run(guest, docker=True)["msg"]
    assert guest.ssh("pvs --noheadings").stdout == ""


@pytest.mark.parametrize(
    "text", [None, "", "version = 1\n", "version = 2\n", "version = 3\n"], ids=["no-file", "empty", "1", "2", "3"]
)
def test_config_toml_of_every_version_that_this_containerd_reads(before, text):
    guest = before
    if text is None:
        guest.ssh("rm %s; systemctl restart containerd" % CONFIG)
    else:
        guest.ssh("cat > %s" % CONFIG, stdin=text + "imports = ['/etc/containerd/other/*.toml']\noom_score = -100\n")
        if guest.ssh("containerd config dump > /dev/null && systemctl restart containerd", check=False).returncode:
            pytest.skip("this containerd does not read it")
    done = remote.run(guest, docker={"engine": "containerd"})
    assert done.get("changed"), done
    assert plugin(guest) == "ok"
    assert text is None or "oom_score = -100" in guest.ssh("containerd config dump").stdout
    assert not remote.run(guest, docker={"engine": "containerd"})["changed"]


def test_containerd_alone(before):
    guest = before
    content = guest.ssh(HELD).stdout
    done = remote.run(guest, docker={"engine": "containerd"})
    assert done["changed"], done
    assert done["engine"]["name"] == "containerd"
    assert (driver(guest)[0], plugin(guest)) == ("overlay2", "ok")
    assert guest.ssh(HELD).stdout == content
    smoke = remote.run(guest, module="direct_lvm_smoke_test", client="containerd", megabytes=16)
    assert smoke["after_write"] - smoke["before"] >= 16 << 20
    assert not remote.run(guest, docker={"engine": "containerd"})["changed"]
    assert remote.run(guest, module="direct_lvm_info")["host"]["engine"] == "containerd"


def test_a_host_without_docker(before):
    guest = before
    guest.ssh("systemctl stop docker.socket docker; dpkg --remove --force-depends docker.io docker-cli; systemctl daemon-reload")
    printed = remote.site(guest)
    assert "containerd on vgdocker-thinpool" in printed, printed
    assert "changed=0" in remote.site(guest)
    assert plugin(guest) == "ok"
    assert remote.run(guest, module="direct_lvm_info")["host"]["engine"] == "containerd"
