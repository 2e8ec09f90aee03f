"""containerd alone on the pool, on a real guest, and Docker beside it left as it was."""


def test_the_snapshotter_is_loaded(host):
    assert host.check_output("ctr plugins ls | awk '$2 == \"devmapper\" {print $NF}'") == "ok"
    assert host.check_output("ctr plugins ls | awk '$2 == \"overlayfs\" {print $NF}'") == "ok"
    summary = host.ansible("direct_lvm_info", check=False)["host"]
    assert summary["engine"] == "containerd"
    assert summary["containerd"] == {"active": True, "snapshotter": "ok", "problem": ""}
    assert summary["pool"]["monitored"]


def test_docker_is_as_it_was(host):
    assert host.check_output("docker info --format '{{.Driver}}'") == "overlay2"
    assert host.check_output("docker run --rm --pull never former:1 echo here") == "here"
    assert not host.file("/etc/systemd/system/docker.service.d/daemon.conf").exists


def test_a_container_of_containerds_lives_on_the_pool(host):
    answer = host.ansible("direct_lvm_smoke_test", "client=containerd megabytes=30", check=False)
    assert answer["after_write"] - answer["before"] >= 30 * 1024**2
    assert answer["after_remove"] < answer["after_write"]
    assert "snap" not in host.check_output("dmsetup ls --target thin")
