"""Docker 25 and newer on a real guest: the same pool, through the image store and containerd's devmapper snapshotter."""

import json

import pytest


@pytest.fixture(scope="module")
def info(host):
    """docker info as JSON."""
    return json.loads(host.check_output("docker info --format '{{json .}}'"))


def test_docker_is_on_the_snapshotter(host, info):
    assert int(info["ServerVersion"].partition(".")[0]) >= 25
    assert info["Driver"] == "devmapper"
    assert dict(info["DriverStatus"])["driver-type"] == "io.containerd.snapshotter.v1"
    assert host.check_output("ctr plugins ls | awk '$2 == \"devmapper\" {print $NF}'") == "ok"


def test_the_pool_leaves_room_to_grow_and_is_watched(host):
    summary = host.ansible("direct_lvm_info", check=False)["host"]
    assert summary["engine"] == "docker-devmapper"
    assert summary["pool"]["growth_steps_left"] >= 1
    assert summary["pool"]["monitored"]
    assert summary["pool"]["device"] == "/dev/mapper/vgdocker-thinpool"


def test_config_toml_is_as_it_was_but_for_one_line(host):
    config = host.file("/etc/containerd/config.toml").content_string
    first, _end, rest = config.partition("\n")
    assert first == 'imports = ["/etc/containerd/conf.d/direct-lvm.toml"]  # direct_lvm'
    assert "imports" not in rest
    assert "/usr/lib/cni" in host.check_output("containerd config dump")  # a setting of the package's file, still in force
    assert host.check_output("ctr plugins ls | awk '$2 == \"overlayfs\" {print $NF}'") == "ok"


def test_the_image_of_the_former_driver_came_across(host):
    assert host.check_output("docker run --rm --pull never former:1 echo here") == "here"


def used(host):
    """Bytes of data that the pool holds (dmsetup status: used/total blocks of 512 KiB)."""
    fields = host.check_output("dmsetup status vgdocker-thinpool").split()
    return int(fields[5].split("/")[0]) * 524288


def test_a_container_writes_to_the_pool(host):
    host.check_output("docker run -d --name writer former:1 sh -c 'dd if=/dev/zero of=/file bs=1M count=30 && sync; sleep 1000'")
    assert "vgdocker-thinpool-snap-" in host.check_output("dmsetup ls --target thin")
    host.check_output("until docker exec writer ls /file; do sleep 1; done; sync")
    before = used(host)
    host.check_output("docker rm -f writer; for n in $(seq 30); do sleep 1; dmsetup ls --target thin | grep -q snap || break; done")
    assert before - used(host) >= 30 * 1024**2
