"""On a real guest whose LVM sees only what its devices file names (lvmdevices(8)), as on RHEL 9 by default.

.venv/bin/python3 -m pytest tests/guest/test_devices_file.py
"""

import pytest
import remote

DEVICES_FILE = """mkdir -p /etc/lvm/devices && touch /etc/lvm/devices/system.devices
printf 'devices {\\n use_devicesfile = 1\\n}\\n' > /etc/lvm/lvmlocal.conf
"""


@pytest.fixture(scope="module")
def guest(boot):
    """A guest with an empty devices file and two blank disks."""
    one = boot("devices-file", disks=("320M", "320M"))
    remote.install(one)
    one.ssh(DEVICES_FILE)
    return one


def test_the_disk_enters_the_devices_file_and_the_pool_is_there_after_a_reboot(guest):
    made = remote.run(guest)
    assert made.get("changed"), made
    assert "DEVNAME=/dev/vdb " in guest.ssh("cat /etc/lvm/devices/system.devices").stdout
    assert remote.run(guest)["changed"] is False
    guest.reboot()
    after = remote.run(guest)
    assert "msg" not in after, after
    assert after["host"]["pool"]["active"], after
    assert remote.run(guest)["changed"] is False


def test_a_disk_whose_label_the_devices_file_hides_is_refused_with_the_way_out(guest):
    guest.ssh("pvcreate --devices /dev/vdc /dev/vdc")
    before = guest.ssh("sha256sum < /dev/vdc").stdout
    refused = remote.run(guest, devices=["/dev/vdb", "/dev/vdc"])
    assert "the devices file hides it" in refused["msg"], refused
    assert "lvmdevices --adddev /dev/vdc" in refused["msg"]
    assert guest.ssh("sha256sum < /dev/vdc").stdout == before
