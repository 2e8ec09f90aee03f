"""On a real guest: every command for a host (`# ...`) in README.md and docs/, in a state in which an operator would give it.

    .venv/bin/python3 -m pytest tests/guest/test_docs.py

tests/unit/test_docs.py holds SITUATIONS to the pages: no command is missing, and none is there that no page has.
"""

import pytest
import remote

# situation: (what brings it about, the commands as the pages have them, what must be true afterwards)
SITUATIONS = {
    "a look": (
        "true",
        (
            "lvs -a -o+seg_monitor,lv_health_status vgdocker",
            "journalctl --no-pager -u dm-event",
            "ctr plugins ls",
            "journalctl --no-pager -u docker -u containerd -n 50",
        ),
        "true",
    ),
    "nobody watches the pool": (
        "lvchange --monitor n vgdocker/thinpool",
        ("lvchange --monitor y vgdocker/thinpool",),
        "lvs --noheadings -o seg_monitor vgdocker/thinpool | grep -qx ' *monitored'",
    ),
    "metadata fill up": (
        "lvs --noheadings --units m -o lv_metadata_size vgdocker/thinpool | grep -qw 8.00m",
        ("lvextend --poolmetadatasize +64M vgdocker/thinpool",),
        "lvs --noheadings --units m -o lv_metadata_size vgdocker/thinpool | grep -qw 72.00m",
    ),
    "the pool is full": (
        # Too little room is left for a step of autoextend, and enough for these 790 MiB.
        "docker exec -d web dd if=/dev/zero of=/fill bs=1M count=790 && "
        "until lvs --noheadings -o data_percent vgdocker/thinpool | grep -q 100.00; do sleep 1; done",
        ("lvextend --extents +100%FREE vgdocker/thinpool", "docker image prune --force", "docker restart web"),
        "docker exec web true",
    ),
    "back by hand": (
        "docker rm -f web",
        (
            "systemctl stop docker.socket docker",
            "rm /etc/systemd/system/docker.service.d/daemon.conf",
            "mv /var/lib/docker/devicemapper /var/lib/docker/devicemapper.direct-lvm",
            "systemctl daemon-reload",
            "systemctl start docker.socket docker",
        ),
        "docker info --format '{{.Driver}}' | grep -qx overlay2",
    ),
}


@pytest.fixture(scope="module")
def guest(boot):
    """A small guest whose Docker is on the pool, and runs a container named web."""
    one = boot("docs", disks=("1G",))
    remote.install(one)
    assert remote.run(one, docker=True, timeout=1800)["changed"]
    one.ssh("docker import -c 'CMD [\"sh\"]' /usr/local/share/busybox.tar app:1")
    one.ssh("docker run -d --name web app:1 sleep 100000")
    return one


@pytest.mark.parametrize("situation", list(SITUATIONS))
def test_each_command_succeeds_and_does_what_the_page_says(guest, situation):
    """In the order of the table: what one leaves, the next begins with."""
    before, commands, after = SITUATIONS[situation]
    guest.ssh(before)
    for command in commands:
        guest.ssh(command)
    guest.ssh(after)
