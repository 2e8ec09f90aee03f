"""The article's result on a real guest: LVM, the policy, the drop-in, Docker, and a container that uses the pool."""

import json

import pytest

POOL = "vgdocker/thinpool"
DROPIN = "/etc/systemd/system/docker.service.d/daemon.conf"


@pytest.fixture(scope="module")
def lvs(host):
    """lvs -a as {name: columns}."""
    columns = "lv_name,lv_attr,lv_size,seg_monitor,lv_profile,chunk_size,zero,data_percent"
    answer = host.check_output("lvs -a -o %s --reportformat json vgdocker", columns)
    return {row["lv_name"]: row for row in json.loads(answer)["report"][0]["lv"]}


@pytest.fixture(scope="module")
def info(host):
    """docker info as JSON."""
    return json.loads(host.check_output("docker info --format '{{json .}}'"))


def test_the_pool_has_the_articles_sizes(lvs):
    assert lvs["thinpool"]["lv_size"] in ("<28.50g", "28.50g")
    assert lvs["thinpool"]["lv_attr"] in ("twi-a-t---", "twi-aot---")
    assert lvs["[thinpool_tmeta]"]["lv_size"] == "304.00m"
    assert lvs["[lvol0_pmspare]"]["lv_size"] == "304.00m"
    assert lvs["thinpool"]["chunk_size"] == "512.00k"
    assert lvs["thinpool"]["zero"] == ""


def test_the_policy_is_attached_and_watched(host, lvs):
    assert lvs["thinpool"]["lv_profile"] == "docker-thinpool"
    assert lvs["thinpool"]["seg_monitor"] == "monitored"
    profile = host.file("/etc/lvm/profile/docker-thinpool.profile")
    assert profile.mode == 0o644
    assert host.check_output(
        "lvmconfig --metadataprofile docker-thinpool activation/thin_pool_autoextend_threshold "
        "activation/thin_pool_autoextend_percent"
    ).split() == ["thin_pool_autoextend_threshold=80", "thin_pool_autoextend_percent=20"]


def test_the_volume_group_carries_our_tags(host):
    tags = host.check_output("vgs --noheadings -o vg_tags vgdocker").strip()
    assert tags.split(",") == ["direct-lvm", "direct-lvm/data_size=95pcVG"]


def test_the_dropin_keeps_the_units_own_command(host):
    lines = [line for line in host.file(DROPIN).content_string.splitlines() if not line.startswith("#")]
    fragment = host.check_output("systemctl show -p FragmentPath --value docker.service")
    vendor = next(line for line in host.file(fragment).content_string.splitlines() if line.startswith("ExecStart="))
    assert lines == [
        "[Service]",
        "ExecStart=",
        vendor + " --storage-driver=devicemapper --storage-opt dm.thinpooldev=/dev/mapper/vgdocker-thinpool"
        " --storage-opt dm.use_deferred_removal=true",
        "ExecStartPre=/sbin/lvm lvchange --activate y vgdocker/thinpool",
    ]


def test_the_image_of_the_former_driver_came_across(host):
    assert host.check_output("docker run --rm --pull never former:1 echo here") == "here"


def test_docker_uses_the_pool(info):
    status = dict(info["DriverStatus"])
    assert info["Driver"] == "devicemapper"
    assert status["Pool Name"] == "vgdocker-thinpool"
    assert status["Pool Blocksize"] == "524.3kB"
    assert status["Backing Filesystem"] == "xfs"
    assert status["Deferred Removal Enabled"] == "true"
    assert "Data loop file" not in status
    assert not [warning for warning in info["Warnings"] or [] if "loop" in warning]


def test_the_growth_that_cannot_happen_is_told(host):
    summary = host.ansible("direct_lvm_info", check=False)["host"]
    assert summary["pool"]["growth_steps_left"] == 0
    assert summary["pool"]["monitored"]
    assert summary["docker"]["driver"] == "devicemapper"


def used(host):
    """Bytes of data that the pool holds (dmsetup status: used/total blocks of 512 KiB)."""
    fields = host.check_output("dmsetup status vgdocker-thinpool").split()
    return int(fields[5].split("/")[0]) * 524288


def test_a_container_writes_to_the_pool(host):
    host.check_output("docker import /usr/local/share/busybox.tar busybox:test")
    before = used(host)
    host.check_output("docker run --name writer busybox:test sh -c 'dd if=/dev/zero of=/file bs=1M count=30 && sync'")
    assert used(host) - before >= 30 * 1024**2
    host.check_output("docker rm writer && docker rmi busybox:test")
    assert used(host) - before < 30 * 1024**2
