"""On a real guest: Debian bookworm's Docker on direct-lvm is upgraded to trixie's, and keeps images and volumes.

python3 -m pytest tests/guest/test_upgrade.py      needs root, to fetch the packages
"""

import json

import pytest
import remote
from upgrade import debs

CONTENT = r"""
set -eu
docker import -c 'CMD ["sh"]' /usr/local/share/busybox.tar app:1 > /dev/null
docker run --name make app:1 sh -c 'echo more > /more'
docker commit make app:2 > /dev/null
docker rm make > /dev/null
docker run --rm -v data:/d app:1 dd if=/dev/urandom of=/d/file bs=1M count=3 2> /dev/null
"""
HELD = r"""
docker images --format '{{.Repository}}:{{.Tag}}' | sort
docker run --rm -v data:/d app:2 sh -c 'cat /more; sha256sum /d/file'
"""
UPGRADE = """
- name: Install trixie's Docker
  ansible.builtin.shell: DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confold install /root/debs/*.deb
"""


@pytest.fixture(scope="module")
def guest(boot):
    """A bookworm guest with a Docker on overlay2, the new packages in /root/debs."""
    packages = debs("bookworm", "trixie", ["docker.io", "docker-cli", "containerd"])
    one = boot("upgrade", release="bookworm", disks=("6G",))
    one.put(packages, "/root/debs")
    one.ssh("bash -s", stdin=CONTENT)
    return one


def driver(guest):
    """The version and the storage driver that Docker names."""
    info = json.loads(guest.ssh("docker info --format '{{json .}}'").stdout)
    return info["ServerVersion"].partition(".")[0], info["Driver"]


def test_images_and_volumes_survive_the_way_past_docker_24(guest, tmp_path):
    tasks = tmp_path / "upgrade.yml"
    tasks.write_text(UPGRADE)
    disk = ["-e", json.dumps({"thin_pool_devices": [remote.DISK]})]
    content = guest.ssh(HELD).stdout
    remote.site(guest)
    assert driver(guest) == ("20", "devicemapper")

    guest.ssh("docker run -d --name web app:2 sleep 100000")
    assert "cannot cross storage drivers" in remote.play(guest, "upgrade", *disk, rc=2)
    assert driver(guest) == ("20", "devicemapper")
    guest.ssh("docker rm -f web")

    # In two halves, as when the operating system is upgraded in between by other means.
    printed = remote.play(guest, "upgrade", *disk)
    assert "is on overlay2 with its images" in " ".join(printed.split())
    assert driver(guest) == ("20", "overlay2")
    assert guest.ssh("vgs vgdocker", check=False).returncode != 0
    assert guest.ssh(HELD).stdout == content

    remote.play(guest, "upgrade", *disk, "-e", "upgrade_tasks=%s" % tasks)
    assert driver(guest) == ("26", "devmapper")
    assert guest.ssh(HELD).stdout == content
    assert "changed=0" in remote.play(guest, "upgrade", *disk)
    assert "changed=0" in remote.site(guest)
