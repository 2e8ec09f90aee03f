"""On a real guest: daemons that are started by a script, with files and sockets of their own, and paths that are no files.

python3 -m pytest tests/guest/test_as_it_runs.py
"""

import json

import pytest
import remote

SITE, CONFIG, OWN = "/etc/site/containerd.toml", "/etc/containerd/config.toml", "/etc/containerd/conf.d/direct-lvm.toml"
BY_A_SCRIPT = r"""
set -eu
systemctl stop docker.socket docker
mkdir -p /etc/site /etc/systemd/system/containerd.service.d
cat > /usr/local/sbin/start-containerd <<'END'
#!/bin/sh
exec /usr/bin/containerd --config "$CONTAINERD_CONFIG" "$@"
END
chmod +x /usr/local/sbin/start-containerd
echo CONTAINERD_CONFIG=/etc/site/containerd.toml > /etc/default/containerd
cat > /etc/site/containerd.toml <<'END'
version = 2
# pool_name = "vgdocker-thinpool"
[grpc]
  address = "/run/site/containerd.sock"
END
mkdir -p /etc/containerd/conf.d
cat > /etc/containerd/conf.d/nobody-imports.toml <<'END'
version = 2
[plugins."io.containerd.snapshotter.v1.devmapper"]
  pool_name = "vgdocker-thinpool"
END
cat > /etc/systemd/system/containerd.service.d/site.conf <<'END'
[Service]
EnvironmentFile=/etc/default/containerd
ExecStart=
ExecStart=/usr/local/sbin/start-containerd
END
systemctl daemon-reload
systemctl restart containerd
"""
WAITING = r"""
set -eu
sed -i 's/^exec //' /usr/local/sbin/start-containerd
printf '[Service]\nType=simple\n' > /etc/systemd/system/containerd.service.d/waits.conf
systemctl daemon-reload
systemctl restart containerd
until ctr --address /run/site/containerd.sock version > /dev/null 2>&1; do sleep 1; done
"""
NO_LONGER_WAITING = r"""
sed -i 's,^/usr/bin/containerd,exec &,' /usr/local/sbin/start-containerd
rm /etc/systemd/system/containerd.service.d/waits.conf
systemctl daemon-reload
systemctl stop containerd
pkill -x containerd
systemctl start containerd
"""
DOCKER_BY_A_SCRIPT = r"""
set -eu
mkdir -p /etc/site /etc/systemd/system/docker.service.d
cat > /usr/local/sbin/start-docker <<'END'
#!/bin/sh
exec /usr/sbin/dockerd --config-file "$DOCKER_CONFIG" --data-root /srv/docker "$@" --log-level info
END
chmod +x /usr/local/sbin/start-docker
echo DOCKER_CONFIG=/etc/site/docker.json > /etc/default/docker
echo '{"hosts": ["unix:///run/site/docker.sock"], "log-driver": "journald"}' > /etc/site/docker.json
mkdir -p /run/site
sed '/^Requires=/d' /lib/systemd/system/docker.service > /etc/systemd/system/docker.service  # no drop-in takes it back
cat > /etc/systemd/system/docker.service.d/10-site.conf <<'END'
[Service]
RuntimeDirectory=site
ExecStart=
ExecStart=/usr/local/sbin/start-docker
END
systemctl daemon-reload
systemctl stop docker.socket docker
systemctl mask docker.socket
systemctl start docker
docker --host unix:///run/site/docker.sock import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
"""


@pytest.fixture(scope="module")
def bookworm(prepared):
    """A Debian 12 guest as it was installed, and a snapshot of that called 'before'."""
    return prepared("as-it-runs", disks=("4G",))


@pytest.fixture(scope="module")
def trixie(prepared):
    """A Debian 13 guest as it was installed, and a snapshot of that called 'before'."""
    return prepared("as-it-runs-13", release="trixie", disks=("4G",))


@pytest.fixture
def guest(bookworm):
    """Debian 12 as it was."""
    bookworm.restore("before")
    return bookworm


@pytest.fixture
def guest_13(trixie):
    """Debian 13 as it was."""
    trixie.restore("before")
    return trixie


def test_containerd_by_a_script_from_site_to_remove(guest):
    guest.ssh("bash -s", stdin=BY_A_SCRIPT)
    before, site = guest.ssh("cat " + CONFIG).stdout, guest.ssh("cat " + SITE).stdout
    printed = remote.site(guest, docker_storage_engine="containerd")
    assert "containerd on vgdocker-thinpool" in " ".join(printed.split()), printed
    assert guest.ssh("cat " + CONFIG).stdout == before
    assert OWN in guest.ssh("cat " + SITE).stdout
    ctr = "ctr --address /run/site/containerd.sock plugins ls | awk '$2 == \"devmapper\" {print $NF}'"
    assert guest.ssh(ctr).stdout.strip() == "ok"
    assert guest.ssh("ls /run/containerd/containerd.sock", check=False).returncode != 0
    assert "changed=0" in remote.site(guest, docker_storage_engine="containerd")
    assert remote.run(guest, module="direct_lvm_info")["host"]["engine"] == "containerd"

    guest.ssh("systemctl stop containerd")
    refused = remote.run(guest, docker={"engine": "containerd"})["msg"]
    assert "by a script, and it is down" in refused
    guest.ssh("systemctl start containerd")

    guest.ssh("bash -s", stdin=WAITING)
    assert "changed=0" in remote.site(guest, docker_storage_engine="containerd")

    # Its daemon outlives a restart, and would go on with the pool that is taken away.
    disk = ["-e", json.dumps({"thin_pool_devices": [remote.DISK]}), "-e", "thin_pool_remove_data=true"]
    assert "has to become the daemon (exec containerd ...)" in remote.play(guest, "remove", *disk, rc=2)
    assert remote.run(guest, module="direct_lvm_info")["host"]["engine"] == "containerd"
    guest.ssh("bash -s", stdin=NO_LONGER_WAITING)
    remote.play(guest, "remove", *disk)
    assert guest.ssh("cat " + SITE).stdout == site
    assert guest.ssh("vgs vgdocker; ls " + OWN, check=False).stdout == ""


def test_docker_by_a_script_there_and_back(guest):
    guest.ssh("bash -s", stdin=DOCKER_BY_A_SCRIPT)
    before = guest.ssh("cat /etc/site/docker.json").stdout
    ask = "docker --host unix:///run/site/docker.sock info --format '{{.Driver}} {{.DockerRootDir}} {{.LoggingDriver}}'"
    assert guest.ssh(ask).stdout == "overlay2 /srv/docker journald\n"
    for config in ("dropin", "daemon_json"):
        printed = remote.site(guest, docker_storage_config=config)
        assert guest.ssh(ask).stdout == "devicemapper /srv/docker journald\n", printed
        assert ("storage-driver" in guest.ssh("cat /etc/site/docker.json").stdout) == (config == "daemon_json")
        assert guest.ssh("ls /etc/docker/daemon.json", check=False).returncode != 0
        assert "app" in guest.ssh("docker --host unix:///run/site/docker.sock images").stdout
        assert "changed=0" in remote.site(guest, docker_storage_config=config)
        remote.play(guest, "rollback", "-e", "docker_storage_config=" + config)
        assert guest.ssh(ask).stdout == "overlay2 /srv/docker journald\n"
        assert json.loads(guest.ssh("cat /etc/site/docker.json").stdout) == json.loads(before)


def test_a_label_does_not_have_a_container_removed(guest):
    guest.ssh("docker import -c 'CMD [\"sh\"]' -c 'LABEL Driver=overlay2' /usr/local/share/busybox.tar app:1 > /dev/null")
    remote.site(guest)
    run = "docker run -d --name web --network none app:1 sleep 100000"
    number = guest.ssh(run).stdout.strip()
    text = guest.ssh("cat /var/lib/docker/containers/%s/config.v2.json" % number).stdout
    assert '"Driver":"overlay2"' in text
    assert json.loads(text)["Driver"] == "devicemapper"
    listed = remote.play(guest, "cleanup")
    assert "/var/lib/docker/overlay2" in listed
    assert number not in listed
    remote.play(guest, "cleanup", "-e", "docker_storage_cleanup_confirmed=true")
    assert guest.ssh("docker restart -t 1 web && docker ps --format '{{.Names}}'").stdout == "web\nweb\n"


def test_docker_without_its_client(guest_13):
    guest = guest_13
    guest.ssh("dpkg --remove docker-cli")
    refused = remote.run(guest, docker=True)
    assert "this host lacks docker (Docker's client" in refused["msg"], refused
    assert "apt-get install docker-cli" in refused["msg"]
    for words in ("is not running", "is down", "is inactive", "does not run"):
        assert words not in refused["msg"]
    assert guest.ssh("systemctl is-active docker; pvs --noheadings").stdout == "active\n"
    told = remote.run(guest, module="direct_lvm_info")["host"]["docker"]
    assert (told["active"], told["problem"]) == (
        True,
        "docker.service is active, and its client, the program `docker`, is not installed",
    )


@pytest.mark.parametrize("service", ["docker", "containerd"])
def test_dev_null_as_configuration(guest_13, service):
    guest = guest_13
    program, flag = ("dockerd -H fd://", "--config-file=/dev/null") if service == "docker" else ("containerd", "--config /dev/null")
    dropin = "[Service]\nExecStart=\nExecStart=/usr/%s/%s %s\n" % ("sbin" if service == "docker" else "bin", program, flag)
    guest.ssh(
        "mkdir -p /etc/systemd/system/{0}.service.d; cat > /etc/systemd/system/{0}.service.d/null.conf".format(service),
        stdin=dropin,
    )
    guest.ssh("systemctl daemon-reload; systemctl restart %s; systemctl is-active docker containerd" % service)
    refused = remote.run(guest, docker=True)
    assert "/dev/null is a character device, and not a file that could be replaced" in refused["msg"], refused
    assert "systemctl cat %s" % service in refused["msg"]
    assert guest.ssh("stat -c %F /dev/null; pvs --noheadings; ls " + OWN, check=False).stdout == "character special file\n"
