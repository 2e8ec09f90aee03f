"""Which file systems are trimmed, told from /proc; and what is not trimmed, with a word."""

import errno
import os
import pathlib

import pytest
import yaml

from module_utils.direct_lvm.apply import smoke, thin_devices, trim
from module_utils.direct_lvm.host import files, mountinfo
from module_utils.direct_lvm.model.errors import Refused

POOL = "vgdocker-thinpool"
MOUNTED = """\
514 470 %s / / rw,relatime master:2 - %s /dev/mapper/docker-254:0-1-abc rw,nouuid
515 514 0:50 / /proc rw,nosuid - proc proc rw
516 514 254:1 /volumes/data/_data /d rw,relatime - ext4 /dev/vda1 rw
"""
IDENTITY = "a1" * 32


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (MOUNTED % ("253:5", "xfs"), ("253:5", "xfs")),
        ("", None),
        ("1 2 0:1 / /proc rw - proc proc rw\n", None),
        ("1 0 0:2 / / rw - rootfs rootfs rw\n2 1 8:1 / / rw shared:1 master:3 - ext4 /dev/sda1 rw\n", ("8:1", "ext4")),
    ],
    ids=["container", "ended", "no-root", "initramfs-below"],
)
def test_what_a_process_has_as_its_root(text, found):
    root = mountinfo.root(text)
    assert (root and (root.number, root.file_system)) == found


@pytest.fixture
def processes(monkeypatch):
    """/proc with two processes of one container, one of the host, one on another pool's device, and one that has ended."""
    there = {
        10: ("host", "254:1", "ext4", "0::/init.scope"),
        20: ("one", "253:5", "xfs", "0::/system.slice/docker-%s.scope" % IDENTITY),
        21: ("one", "253:5", "xfs", "0::/system.slice/docker-%s.scope" % IDENTITY),
        30: ("two", "253:9", "xfs", ""),
        40: ("three", "253:6", "btrfs", ""),
    }

    def read(path):
        _, _, pid, name = path.split("/")
        _space, number, kind, cgroup = there[int(pid)]
        return {"mountinfo": MOUNTED % (number, kind), "cgroup": cgroup}[name]

    def readlink(path):
        if path == "/proc/50/ns/mnt":
            raise FileNotFoundError(errno.ENOENT, "gone", path)
        return there[int(path.split("/")[2])][0]

    monkeypatch.setattr(trim.os, "listdir", lambda _folder: ["self", "50", *map(str, sorted(there, reverse=True))])
    monkeypatch.setattr(trim.os, "readlink", readlink)
    monkeypatch.setattr(files, "read_text", read)
    monkeypatch.setattr(trim, "numbers", lambda _pool: {"253:5": "docker-1-abc", "253:6": "docker-1-def"})


def test_each_container_of_the_pool_is_found_once(processes):
    found = trim.roots(POOL)
    assert [(one.device, one.pid, one.container) for one in found] == [
        ("docker-1-abc", 20, IDENTITY),
        ("docker-1-def", 40, "docker-1-def"),
    ]
    assert [trim.why_not(one) for one in found] == ["", "btrfs is neither of ext4, xfs"]


def test_the_numbers_of_thin_devices(tmp_path, monkeypatch):
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "dev").write_text("253:5\n")
    monkeypatch.setattr(thin_devices, "BLOCK", str(tmp_path))
    monkeypatch.setattr(thin_devices, "names", lambda _pool: ("abc", "gone"))
    assert trim.numbers(POOL) == {"253:5": "abc"}


def here(**changes):
    """This process as a container."""
    device = os.stat("/proc/self/root/").st_dev
    root = trim.Root("docker-1-abc", "%d:%d" % (os.major(device), os.minor(device)), "ext4", os.getpid(), IDENTITY)
    return root._replace(**changes)


@pytest.fixture
def kernel(monkeypatch):
    """An ioctl that discards 5 MiB, and a pool whose use shrinks by 3 MiB with it."""
    state = {"used": 10 << 20, "error": None}

    def ioctl(_folder, number, asked):
        assert number == 0xC0185879
        assert bytes(asked) == trim.RANGE.pack(0, 2**64 - 1, 0)
        if state["error"]:
            raise OSError(state["error"], os.strerror(state["error"]))
        asked[:] = trim.RANGE.pack(0, 5 << 20, 0)
        state["used"] -= 3 << 20

    monkeypatch.setattr(trim.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(smoke, "usage", lambda _pool: smoke.Usage(state["used"], 1 << 30, 524288))
    return state


def test_what_was_discarded_and_what_came_back(kernel):
    assert trim.trim(POOL, here()) == trim.Trimmed(5 << 20, 3 << 20)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"number": "253:5"}, "has ended meanwhile"), ({"pid": 2**22 + 1}, "has ended meanwhile")],
    ids=["its-process-number-is-anothers", "no-such-process"],
)
def test_a_container_that_ended_is_not_mistaken_for_another(kernel, changes, words):
    with pytest.raises(Refused, match=words):
        trim.trim(POOL, here(**changes))
    assert kernel["used"] == 10 << 20


def test_a_device_that_takes_no_discards_is_told(kernel):
    kernel["error"] = errno.EOPNOTSUPP
    with pytest.raises(Refused, match="docker-1-abc takes no discards"):
        trim.trim(POOL, here())
    kernel["error"] = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        trim.trim(POOL, here())


def test_a_container_that_ended_after_the_listing_is_told_as_such():
    with pytest.raises(Refused, match="has ended meanwhile"):
        trim.chosen([here(device="docker-1-def")], "docker-1-abc")


def test_what_the_playbook_excuses_is_what_the_module_says():
    play = yaml.safe_load((pathlib.Path(__file__).parents[3] / "playbooks" / "trim.yml").read_text())[0]
    (task,) = [task for task in play["tasks"] if "failed_when" in task]
    assert "'%s' not in" % trim.ENDED in task["failed_when"]


def test_a_file_system_that_is_not_trimmed_is_refused():
    with pytest.raises(Refused, match="docker-1-abc is not trimmed: btrfs is neither"):
        trim.chosen([here(file_system="btrfs")], "docker-1-abc")
